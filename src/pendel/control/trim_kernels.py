"""Kernels of the last hair: what is a little over a site's limits, and targets missed by a little.

Arguments: h [hours]; order [N], begin [S + 1] units site after site; first, last [N] windows;
least, capacity [N] what each unit may hold; imports, exports [S, T] limits; power, energy [N, T],
net, curtailed [S, T] of the plan, changed in place.
"""

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray


@kernel
def add_from(energy: FloatArray, u: int, begin: int, end: int, kwh: float) -> None:
    """Add to what a unit holds at the end of the steps begin..end-1."""
    for k in range(begin, end):
        energy[u, k] += kwh


@kernel
def highest(energy: FloatArray, u: int, begin: int, end: int) -> float:
    """The most that a unit holds at the end of the steps begin..end-1."""
    most = float(energy[u, begin])
    for k in range(begin + 1, end):
        most = max(most, energy[u, k])
    return most


@kernel
def lowest(energy: FloatArray, u: int, begin: int, end: int) -> float:
    """The least that a unit holds at the end of the steps begin..end-1."""
    least = float(energy[u, begin])
    for k in range(begin + 1, end):
        least = min(least, energy[u, k])
    return least


@kernel
def trim_imports(
    h: float, most: float, order: IntArray, begin: IntArray, first: IntArray, last: IntArray,
    least: FloatArray, target: FloatArray, discharge_max: FloatArray, eta_c: FloatArray,
    eta_d: FloatArray, imports: FloatArray, power: FloatArray, energy: FloatArray,
    net: FloatArray, curtailed: FloatArray,
) -> None:  # fmt: skip
    """Bring every net import at most `most` kW over its limit to the limit, as far as the units
    allow: it is taken from what they hold from then on, those first that leave with more than
    their target."""
    sites, steps = net.shape
    for s in range(sites):
        for t in range(steps):
            over = net[s, t] - imports[s, t]
            if over <= 0.0 or over > most:
                continue
            cut = min(over, curtailed[s, t])
            curtailed[s, t] -= cut
            net[s, t] -= cut
            over -= cut
            for kind in range(2):  # those above their target, then all
                for i in range(begin[s], begin[s + 1]):
                    u = order[i]
                    if over <= 0.0 or t < first[u] or t >= last[u]:
                        continue
                    end = min(last[u], steps)
                    spare = lowest(energy, u, t, end) - least[u]
                    if kind == 0:
                        spare = min(spare, energy[u, end - 1] - target[u])
                    p = power[u, t]
                    less = max(min(over, min(max(p, 0.0), spare / (h * eta_c[u]))), 0.0)
                    spare -= less * h * eta_c[u]
                    more = 0.0
                    if p - less <= 0.0:
                        room = min(discharge_max[u] + p - less, spare * eta_d[u] / h)
                        more = max(min(over - less, room), 0.0)
                    power[u, t] = p - less - more
                    add_from(energy, u, t, end, -less * h * eta_c[u] - more * h / eta_d[u])
                    net[s, t] -= less + more
                    over -= less + more


@kernel
def trim_exports(
    h: float, order: IntArray, begin: IntArray, first: IntArray, last: IntArray,
    capacity: FloatArray, eta_c: FloatArray, eta_d: FloatArray, exports: FloatArray,
    power: FloatArray, energy: FloatArray, net: FloatArray,
) -> float:  # fmt: skip
    """Bring every export over its limit to the limit, as far as the units allow: who gives less
    keeps it, or, where that would be more than it can hold, charges less later. Returns what is
    no longer given [kWh stored]."""
    in_all = 0.0
    sites, steps = net.shape
    for s in range(sites):
        for t in range(steps):
            for i in range(begin[s], begin[s + 1]):
                u = order[i]
                under = -net[s, t] - exports[s, t]
                if under <= 0.0 or t < first[u] or t >= last[u] or power[u, t] >= 0.0:
                    continue
                end = min(last[u], steps)
                kept = min(under, -power[u, t]) * h / eta_d[u]
                kept = min(kept, max(capacity[u] - highest(energy, u, t, end), 0.0))
                power[u, t] += kept * eta_d[u] / h
                net[s, t] += kept * eta_d[u] / h
                add_from(energy, u, t, end, kept)
                in_all += kept
                for k in range(t + 1, end):
                    under = -net[s, t] - exports[s, t]
                    room = capacity[u] - highest(energy, u, t, k)
                    if under <= 0.0 or power[u, t] >= 0.0 or room <= 0.0:
                        break
                    charged = max(min(power[u, k], net[s, k] + exports[s, k]), 0.0) * h * eta_c[u]
                    kept = min(min(under, -power[u, t]) * h / eta_d[u], min(room, charged))
                    power[u, t] += kept * eta_d[u] / h
                    net[s, t] += kept * eta_d[u] / h
                    power[u, k] -= kept / (h * eta_c[u])
                    net[s, k] -= kept / (h * eta_c[u])
                    add_from(energy, u, t, k, kept)
                    in_all += kept
    return in_all


@kernel
def fill_targets(
    h: float, order: IntArray, begin: IntArray, first: IntArray, last: IntArray,
    capacity: FloatArray, goal: FloatArray, charge_max: FloatArray, eta_c: FloatArray,
    eta_d: FloatArray, imports: FloatArray, above: IntArray, parent: IntArray,
    room: FloatArray, power: FloatArray, energy: FloatArray, net: FloatArray,
) -> None:  # fmt: skip
    """Charge what is missing to the goals [N] with what the limits leave: of the sites, and of the
    nodes above [S], room [F, T] below theirs, which it takes up; parent [F], -1 on top."""
    steps = net.shape[1]
    for s in range(net.shape[0]):
        for i in range(begin[s], begin[s + 1]):
            u = order[i]
            end = min(last[u], steps)
            for t in range(max(first[u], 0), end):
                lacking = goal[u] - energy[u, end - 1]
                if lacking <= 0.0:
                    break
                head, node = imports[s, t] - net[s, t], above[s]
                while node >= 0:
                    head = min(head, room[node, t])
                    node = parent[node]
                kwh = min(lacking, capacity[u] - highest(energy, u, t, end))
                if head <= 0.0 or kwh <= 0.0:
                    continue
                p = power[u, t]
                less = min(head, min(max(-p, 0.0), kwh * eta_d[u] / h))
                kwh -= less * h / eta_d[u]
                more = 0.0
                if p + less >= 0.0:
                    free = min(head - less, charge_max[u] - p - less)
                    more = max(min(free, kwh / (h * eta_c[u])), 0.0)
                power[u, t] = p + less + more
                net[s, t] += less + more
                add_from(energy, u, t, end, less * h / eta_d[u] + more * h * eta_c[u])
                node = above[s]
                while node >= 0:
                    room[node, t] -= less + more
                    node = parent[node]
