"""Readable twins of the promise kernels: slow, plain, from the equations in the docs."""

import math
from functools import cache

UNKNOWN_S = -(2**62)


def twin_value(
    node: int, step: int, *, presence, charge, give, floor, counts_in, miss, terminal,
    low, high, goal, up, down, spacing, target,
) -> tuple[float, int]:  # fmt: skip
    """(least expected cost from a grid node at the begin of a step, best next node)."""
    steps = len(presence)

    def wait(k: int, j: int) -> float:
        ahead = presence[k + 1] if k + 1 < steps else 0.0
        leave = 1.0 - ahead / presence[k]
        cost = 0.0 if k + 1 >= steps else (1.0 - leave) * best(k + 1, j)[0]
        if j < goal and k + 1 >= counts_in:
            cost += leave * miss
        if j > goal:
            cost -= leave * terminal * spacing * (j - goal)
        if not math.isnan(floor[k]):
            due = math.ceil((floor[k] - target) / spacing - 1e-6)
            cost += 1e4 * spacing * max(due - j, 0)
        return cost

    @cache
    def best(k: int, j: int) -> tuple[float, int]:
        options = []
        for to in range(max(j - down, low), min(j + up, high) + 1):
            x = (to - j) * spacing
            options.append((wait(k, to) + (charge[k] if x > 0 else give[k]) * x, abs(to - j), to))
        cost, _, to = min(options)
        return cost, to

    return best(step, node)


def twin_levels(begin_s, step_s, arrive_s, stated_s, local_s, weekend):
    """Levels of (time since arrival, time to the stated departure, local half hour) of a step."""
    middle_s = begin_s + 0.5 * step_s
    h = (middle_s - arrive_s) / 3600
    edges = [0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 14, 24]
    elapsed = sum(h >= edge for edge in edges)
    if stated_s == UNKNOWN_S:
        relative = 23
    else:
        to = (stated_s - middle_s) / 3600
        edges = [6, 4, 3, *[3 - 0.25 * i for i in range(1, 17)]]
        relative = sum(to < edge if edge in (6, 4, 3) else to <= edge for edge in edges)
        relative = min(relative, 18) + (to < -1) + (to < -2) + (to < -4) + (to < -8)
        if to >= -1:
            relative = relative if to >= 3 else 3 + int((3 - to) * 4)
    clock = 56 + 48 * weekend + local_s // 1800
    return (0 if stated_s == UNKNOWN_S else 16) + elapsed, 32 + relative, clock


def twin_learned(prior, sessions, strength, fade):
    """Factors [LEVELS] and log likelihood of one archetype at a site, after its sessions
    (arrive_s, stated_s, depart_s, local_s of the arrival on a working day), drivers unknown."""
    count = len(prior)
    factor, seen, expected, likelihood = [1.0] * count, [0.0] * count, [0.0] * count, 0.0
    for arrive_s, stated_s, depart_s, local_s in sessions:
        seen, expected = [fade * x for x in seen], [fade * x for x in expected]
        likelihood, steps = fade * likelihood, (depart_s - arrive_s) // 900 + 1
        for k in range(steps):
            at = local_s + 900 * k
            levels = twin_levels(arrive_s + 900 * k, 900, arrive_s, stated_s, at % 86400, 0)
            hazard = min(math.prod(prior[i] * factor[i] for i in levels), 0.95)
            gone = k == steps - 1
            likelihood += 0.5 * (math.log(max(hazard, 1e-9)) if gone else math.log(1 - hazard))
            for i in levels:
                seen[i] += gone
                expected[i] += hazard / factor[i]
        factor = [(strength + s) / (strength + e) for s, e in zip(seen, expected, strict=True)]
    return factor, likelihood


def twin_presence(now_s, step_s, steps, arrive_s, stated_s, local_s, weekend, table):
    """P(connected throughout step k | throughout step 0) from one table of factors."""
    alive, out = 1.0, [1.0]
    for k in range(1, steps):
        levels = twin_levels(now_s + k * step_s, step_s, arrive_s, stated_s, local_s[k], weekend[k])
        hazard = math.prod(table[level] for level in levels) * step_s / 900
        alive *= 1 - min(hazard, 0.95)
        out.append(alive)
    return out
