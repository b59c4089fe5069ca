"""Kernels of the departure model: a multiplicative hazard per step, learned by gamma shrinkage.

Hazard of leaving within step k of a car that is connected at its begin:

    h = min(HAZARD_MAX, elapsed[s, e] * relative[r] * clock[d, c] * step/900 s)

e: class of the time since arrival (s: 1 where a departure was stated), r: class of the time to
the stated departure, c: half hour of the local day, d: 0 working day, 1 weekend. All factors lie
in one table of LEVELS numbers. The readable twin is in `tests/control/test_departures.py`.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

ELAPSED_CLASSES = 16
RELATIVE_CLASSES = 24
CLOCK_CLASSES = 48
RELATIVE_BEGIN = 2 * ELAPSED_CLASSES
CLOCK_BEGIN = RELATIVE_BEGIN + RELATIVE_CLASSES
LEVELS = CLOCK_BEGIN + 2 * CLOCK_CLASSES
UNSTATED = RELATIVE_CLASSES - 1
UNKNOWN_S = -(2**62)
HAZARD_MAX = 0.95
QUARTER_S = 900.0
STEPS_LEARNED_MAX = 2_000
STAYED_LEAST = 1e-100
"""Below this a product of probabilities goes into its logarithm."""


@kernel
def elapsed_class(elapsed_s: float) -> int:
    """Class 0..15 of the time since arrival: quarter hours first, then ever coarser."""
    h = elapsed_s / 3600.0
    if h < 1.0:
        return max(0, int(h * 4.0))
    if h < 3.0:
        return 4 + int((h - 1.0) * 2.0)
    if h < 6.0:
        return 8 + int(h - 3.0)
    if h < 10.0:
        return 11 + int((h - 6.0) / 2.0)
    if h < 14.0:
        return 13
    return 14 if h < 24.0 else 15


@kernel
def relative_class(ahead_s: float) -> int:
    """Class 0..22 of the time from the middle of the step to the stated departure (negative:
    it has passed); UNSTATED (23) is given by the caller."""
    h = ahead_s / 3600.0
    if h >= 3.0:
        return 2 if h < 4.0 else (1 if h < 6.0 else 0)
    if h >= -1.0:
        return 3 + int((3.0 - h) * 4.0)
    if h >= -2.0:
        return 19
    if h >= -4.0:
        return 20
    return 21 if h >= -8.0 else 22


@kernel
def step_levels(
    begin_s: float, step_s: float, arrive_s: int, stated_s: int, local_s: int, weekend: int,
    k: int, found: IntArray,
) -> None:  # fmt: skip
    """Indices of the three factors of the step that begins at begin_s, into row k of found [K, 3].

    local_s: begin of the step as seconds since local midnight, weekend: 0 or 1.
    """
    middle_s = begin_s + 0.5 * step_s
    stated = stated_s != UNKNOWN_S
    found[k, 0] = (ELAPSED_CLASSES if stated else 0) + elapsed_class(middle_s - arrive_s)
    found[k, 1] = RELATIVE_BEGIN + (relative_class(stated_s - middle_s) if stated else UNSTATED)
    found[k, 2] = CLOCK_BEGIN + weekend * CLOCK_CLASSES + (local_s // 1800) % CLOCK_CLASSES


@kernel
def presence_rows(
    now_s: int, step_s: int, arrive_s: IntArray, stated_s: IntArray, is_session: IntArray,
    site: IntArray, driver: IntArray, local_s: IntArray, weekend: IntArray,
    tables: FloatArray, weights: FloatArray, driver_factor: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """P(connected throughout step k | connected throughout step 0), into out [N, K].

    tables [S, A, LEVELS], weights [S, A]: factors and share of each archetype at each site;
    driver [N]: row in driver_factor [D, 3] (before, around, after the stated departure). The
    classes of a unit's steps are found once and serve all archetypes.
    """
    units, steps = out.shape
    found, factor = np.empty((steps, 3), dtype=np.int64), np.empty(steps)
    scale = step_s / QUARTER_S
    for n in range(units):
        if is_session[n] == 0:
            for k in range(steps):
                out[n, k] = 1.0
            continue
        s, own = site[n], driver[n]
        for k in range(1, steps):
            step_levels(
                float(now_s + k * step_s), float(step_s), arrive_s[n], stated_s[n], local_s[k],
                weekend[k], k, found,
            )  # fmt: skip
            factor[k] = driver_factor[own, driver_class(found[k, 1])]
        for k in range(steps):
            out[n, k] = 0.0
        for a in range(weights.shape[1]):
            alive = weights[s, a]
            if alive <= 0.0:
                continue
            out[n, 0] += alive
            for k in range(1, steps):
                h = tables[s, a, found[k, 0]] * tables[s, a, found[k, 1]]
                h = h * tables[s, a, found[k, 2]] * scale * factor[k]
                alive *= 1.0 - min(h, HAZARD_MAX)
                out[n, k] += alive


@kernel
def driver_class(relative_level: int) -> int:
    """0 earlier than half an hour before the stated departure, 1 around it, 2 later, all 1 where
    none was stated."""
    r = relative_level - RELATIVE_BEGIN
    if r == UNSTATED:
        return 1
    if r < 13:
        return 0
    return 1 if r < 17 else 2


@kernel
def session_levels(
    step_s: int, arrive_s: int, stated_s: int, depart_s: int, local_s: int, weekday: int,
    found: IntArray,
) -> int:  # fmt: skip
    """Indices of the factors of each step of an ended session, into found [steps, 3]; returns the
    number of its steps. local_s: seconds since local midnight of arrive_s, weekday: 0 Monday."""
    steps = min(max(1, (depart_s - arrive_s) // step_s + 1), STEPS_LEARNED_MAX)
    for k in range(steps):
        since = local_s + k * step_s
        day = (weekday + since // 86400) % 7
        step_levels(
            float(arrive_s + k * step_s), float(step_s), arrive_s, stated_s,
            since % 86400, 1 if day >= 5 else 0, k, found,
        )  # fmt: skip
    return steps


@kernel
def learn_session(
    scale: float, steps: int, found: IntArray, site: int, archetype: int, prior: FloatArray,
    factor: FloatArray, seen: FloatArray, expected: FloatArray, hazard: FloatArray,
    mass: FloatArray, driver_factor: FloatArray, driver_seen: FloatArray,
    driver_expected: FloatArray,
) -> float:  # fmt: skip
    """Add one ended session to the sums of one archetype; returns its log likelihood.

    found [steps, 3]: its factors; prior [A, LEVELS]; factor, seen, expected [S, A, LEVELS]; the
    driver's [3]; hazard, mass [LEVELS]: scratch. expected sums what the model without the own
    factor expected, so that (a + seen) / (a + expected) is the factor's posterior mean.
    """
    s, a = site, archetype
    for i in range(LEVELS):
        hazard[i] = prior[a, i] * factor[s, a, i]
        mass[i] = 0.0
    likelihood, stayed = 0.0, 1.0
    for k in range(steps):
        e, r, c = found[k, 0], found[k, 1], found[k, 2]
        own = driver_class(r)
        h = min(scale * driver_factor[own] * hazard[e] * hazard[r] * hazard[c], HAZARD_MAX)
        mass[e] += h
        mass[r] += h
        mass[c] += h
        driver_expected[own] += h / driver_factor[own]
        if k == steps - 1:
            seen[s, a, e] += 1.0
            seen[s, a, r] += 1.0
            seen[s, a, c] += 1.0
            driver_seen[own] += 1.0
            stayed *= max(h, 1e-9)
        else:
            stayed *= 1.0 - h
        if stayed < STAYED_LEAST:
            likelihood += np.log(stayed)
            stayed = 1.0
    for i in range(LEVELS):
        expected[s, a, i] += mass[i] / factor[s, a, i]
    return float(likelihood + np.log(stayed))


@kernel
def learn_rows(
    step_s: int, site: IntArray, arrive_s: IntArray, stated_s: IntArray, depart_s: IntArray,
    local_s: IntArray, weekday: IntArray, driver: IntArray, prior: FloatArray,
    log_share: FloatArray, factor: FloatArray, seen: FloatArray, expected: FloatArray,
    log_likelihood: FloatArray, driver_seen: FloatArray, driver_expected: FloatArray,
    fade: float, temper: float, site_strength: float, driver_strength: float,
) -> None:  # fmt: skip
    """Take in ended sessions [M] one after the other (learn_session for each archetype).

    prior [A, LEVELS], log_share [A]; factor, seen, expected [S, A, LEVELS] and log_likelihood
    [S, A] of the sites, faded per session; the driver's sums [D, 3] (row 0: unknown) are taken
    under the archetype that is likeliest before the session.
    """
    own, own_seen, own_expected = np.ones(3), np.zeros(3), np.zeros(3)
    found, hazard = np.empty((STEPS_LEARNED_MAX, 3), dtype=np.int64), np.empty(LEVELS)
    mass = np.empty(LEVELS)
    for m in range(len(site)):
        s, d = site[m], driver[m]
        for i in range(3):
            own[i] = 1.0
            if d > 0:
                own[i] = (driver_strength + driver_seen[d, i]) / (
                    driver_strength + driver_expected[d, i]
                )
        steps = session_levels(
            step_s, arrive_s[m], stated_s[m], depart_s[m], local_s[m], weekday[m], found
        )
        heaviest, most = 0, -np.inf
        for a in range(len(log_share)):
            log_likelihood[s, a] *= fade
            if log_likelihood[s, a] + log_share[a] > most:
                heaviest, most = a, log_likelihood[s, a] + log_share[a]
        for a in range(len(log_share)):
            for i in range(3):
                own_seen[i], own_expected[i] = 0.0, 0.0
            for i in range(LEVELS):
                seen[s, a, i] *= fade
                expected[s, a, i] *= fade
            log_likelihood[s, a] += temper * learn_session(
                step_s / QUARTER_S, steps, found, s, a, prior, factor, seen, expected, hazard, mass,
                own, own_seen, own_expected,
            )  # fmt: skip
            if a == heaviest and d > 0:
                for i in range(3):
                    driver_seen[d, i] += own_seen[i]
                    driver_expected[d, i] += own_expected[i]
            for i in range(LEVELS):
                factor[s, a, i] = (site_strength + seen[s, a, i]) / (
                    site_strength + expected[s, a, i]
                )


@kernel
def fit_sweeps(
    levels: IntArray, left: FloatArray, weight: FloatArray, strength: FloatArray, sweeps: int,
    table: FloatArray, use_clock: int,
) -> None:  # fmt: skip
    """Fit the factors to step rows by sweeps of (a + seen)/(a + expected), in place.

    levels [M, 3], left [M] (1 where the session ended in the step), weight [M]; strength
    [LEVELS]: a, in expected departures; table [LEVELS] starts as given. use_clock 0 keeps the
    clock factors as they are.
    """
    seen, expected = np.zeros(LEVELS), np.zeros(LEVELS)
    blocks = 3 if use_clock == 1 else 2
    for _ in range(sweeps):
        for block in range(blocks):
            seen[:] = 0.0
            expected[:] = 0.0
            for m in range(len(left)):
                h = table[levels[m, 0]] * table[levels[m, 1]] * table[levels[m, 2]]
                seen[levels[m, block]] += weight[m] * left[m]
                expected[levels[m, block]] += weight[m] * min(h, HAZARD_MAX)
            for i in range(LEVELS):
                if expected[i] > 0.0:
                    table[i] *= (strength[i] + seen[i]) / (strength[i] + expected[i])
