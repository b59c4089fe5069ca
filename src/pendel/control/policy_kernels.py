"""Kernels of the lone-unit policy: a stochastic dynamic programme per unit on an energy grid.

Arrays and scalars only. The readable twin is `tests/control/policy_twin.py`.
The grid is anchored at the target (a node lies exactly on it) and its spacing divides a full
charging step, so that charging at once is representable without rounding:
ceil(ceil(z m) / m) = ceil(z), no step is lost on the way to the target.
"""

import numpy as np

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

NODES_MAX = 512
LEVELS_MIN = 4
LEVELS_MAX = 10
REACH_SLACK = 1e-9
TIE_EUR = 1e-12
PROMISE_SLACK_KWH = 0.1
PRESENCE_LEAST = 1e-4
LACK_EUR_KWH = 1e4


@kernel
def grid_levels(ratio: float) -> int:
    """Levels per full charging step for which full discharging loses least.

    ratio: stored energy change of full discharging over that of full charging (>= 0).
    """
    best, best_loss = LEVELS_MIN, 2.0
    for levels in range(LEVELS_MIN, LEVELS_MAX + 1):
        down = ratio * levels
        loss = 1.0 - np.floor(down + REACH_SLACK) / down if down > 0.0 else 0.0
        if loss < best_loss - 0.01:
            best, best_loss = levels, loss
    return best


@kernel
def step_back(
    value: FloatArray,
    out: FloatArray,
    wait: FloatArray,
    nodes: int,
    target_node: int,
    floor_node: int,
    spacing: float,
    up: int,
    down: int,
    charge_eur: float,
    discharge_eur: float,
    leave: float,
    miss_eur: float,
    terminal_eur: float,
) -> None:
    """One step backwards: out[j] = least expected cost from node j at the begin of the step.

    wait[j] (left filled): expected cost at the end of the step in node j, before it is known
    whether the unit leaves; floor_node: nodes below it cost LACK_EUR_KWH per kWh; leave:
    probability that it leaves then; miss_eur: cost of leaving below the target (0 where the
    promise does not count yet). charge_eur, discharge_eur: EUR per stored kWh taken in or given
    out.
    """
    stay = 1.0 - leave
    for j in range(nodes):
        wait[j] = stay * value[j]
    if miss_eur > 0.0:
        for j in range(target_node):
            wait[j] += leave * miss_eur
    if terminal_eur != 0.0:
        for j in range(target_node, nodes):
            wait[j] -= leave * terminal_eur * spacing * (j - target_node)
    for j in range(min(floor_node, nodes)):
        wait[j] += LACK_EUR_KWH * spacing * (floor_node - j)
    for j in range(nodes):
        out[j] = wait[j]
    for a in range(1, up + 1):
        cost = charge_eur * spacing * a
        for j in range(nodes - a):
            c = wait[j + a] + cost
            out[j] = c if c < out[j] else out[j]
    for a in range(1, down + 1):
        cost = -discharge_eur * spacing * a
        for j in range(a, nodes):
            c = wait[j - a] + cost
            out[j] = c if c < out[j] else out[j]


@kernel
def lone_unit(
    energy: float, target: float, energy_min: float, capacity: float,
    gain_max: float, loss_max: float, counts_in: int, presence: FloatArray,
    charge_eur: FloatArray, discharge_eur: FloatArray, floor: FloatArray,
    miss_eur: float, terminal_eur: float, levels: int, scratch: FloatArray,
    path: FloatArray, gain_at: FloatArray, loss_at: FloatArray,
) -> float:  # fmt: skip
    """Change of stored energy [kWh] in the current step that is cheapest in expectation.

    gain_max, loss_max: largest change of stored energy per step [kWh]. counts_in: steps from now
    after which a departure counts as a promise (0: already). presence [K]: probability of
    being connected throughout step k; departures happen between steps and at the end of the
    horizon. charge_eur, discharge_eur [K]: EUR per stored kWh taken in or given out. floor [K]:
    stored energy due at the end of the step whatever it costs (NaN: none). scratch
    [K + 2, NODES_MAX]. path: empty, or [2, K]: filled with the energy at the end of each step
    if the unit stays, and the probability of leaving then with a broken promise. gain_at,
    loss_at [K]: change possible in each step where the site leaves less than the unit could do.
    """
    steps = len(presence)
    spacing = (gain_max if gain_max > 0.0 else loss_max) / levels
    if spacing <= 0.0:
        return 0.0
    spacing = max(spacing, (capacity - energy_min) / (NODES_MAX - 2))
    low = -int(np.floor((target - energy_min) / spacing + REACH_SLACK))
    high = int(np.floor((capacity - target) / spacing + REACH_SLACK))
    here = int(np.floor((energy - target) / spacing + REACH_SLACK))
    up = int(np.floor(gain_max / spacing + REACH_SLACK))
    high = max(min(high, here + steps * up + 1), 0)
    nodes = high - low + 1
    goal = -low
    value, out = scratch[steps], scratch[steps + 1]
    for j in range(nodes):
        value[j] = 0.0
    for k in range(steps - 1, -1, -1):
        ahead = presence[k + 1] if k + 1 < steps else 0.0
        leave = 1.0 - ahead / presence[k] if presence[k] > 0.0 else 1.0
        counted = miss_eur if k + 1 >= counts_in else 0.0
        due = 0 if np.isnan(floor[k]) else int(np.ceil((floor[k] - target) / spacing - 1e-6)) - low
        step_back(
            value, out, scratch[k], nodes, goal, due, spacing,
            int(np.floor(gain_at[k] / spacing + REACH_SLACK)),
            int(np.floor(loss_at[k] / spacing + REACH_SLACK)),
            charge_eur[k], discharge_eur[k], leave, counted, terminal_eur,
        )  # fmt: skip
        value, out = out, value
    first = best_change(
        energy, target, capacity, gain_at[0], loss_at[0], spacing, low, nodes,
        charge_eur[0], discharge_eur[0], scratch[0],
    )  # fmt: skip
    if path.shape[0] == 2:
        x, now = first, energy
        for k in range(steps):
            if k > 0:
                x = best_change(
                    now, target, capacity, gain_at[k], loss_at[k], spacing, low, nodes,
                    charge_eur[k], discharge_eur[k], scratch[k],
                )  # fmt: skip
            now += x
            ahead = presence[k + 1] if k + 1 < steps else 0.0
            path[0, k] = now
            missed = k + 1 >= counts_in and now < target - PROMISE_SLACK_KWH
            path[1, k] = presence[k] - ahead if missed else 0.0
    return first


@kernel
def best_change(
    energy: float, target: float, capacity: float, gain_max: float, loss_max: float,
    spacing: float, low: int, nodes: int, charge_eur: float, discharge_eur: float,
    wait: FloatArray,
) -> float:  # fmt: skip
    """Best change of energy [kWh] from anywhere onto the grid (or by full power, or resting, each
    valued as the node below), given the value wait [nodes] at the end of the step."""
    best, best_x = np.inf, 0.0
    here = int(np.floor((energy - target) / spacing + REACH_SLACK)) - low
    if 0 <= here < nodes:
        best = wait[here]
    elif here >= nodes:
        best = wait[nodes - 1]
    full = min(gain_max, capacity - energy)
    above = int(np.floor((energy + full - target) / spacing + REACH_SLACK)) - low
    if full > 0.0 and 0 <= above < nodes:
        cost = wait[above] + charge_eur * full
        if cost < best - TIE_EUR:
            best, best_x = cost, full
    first = int(np.ceil((energy - loss_max - target) / spacing - REACH_SLACK)) - low
    last = int(np.floor((energy + gain_max - target) / spacing + REACH_SLACK)) - low
    for j in range(max(first, 0), min(last, nodes - 1) + 1):
        x = (j + low) * spacing + target - energy
        cost = wait[j] + (charge_eur * x if x > 0.0 else discharge_eur * x)
        if cost < best - TIE_EUR:
            best, best_x = cost, x
    return min(best_x, gain_max) if best_x > 0.0 else max(best_x, -loss_max)


@kernel
def lone_rows(
    rows: IntArray, energy: FloatArray, target: FloatArray, energy_min: FloatArray,
    capacity: FloatArray, charge_max: FloatArray, discharge_max: FloatArray, counts_in: IntArray,
    presence: FloatArray, import_eur: FloatArray, export_eur: FloatArray, price_row: IntArray,
    charge_efficiency: FloatArray, discharge_efficiency: FloatArray, wear_eur: FloatArray,
    terminal_eur: FloatArray, floor: FloatArray, miss_eur: FloatArray, step_h: float,
    site: IntArray, import_room: FloatArray, export_room: FloatArray, paths: FloatArray,
) -> None:  # fmt: skip
    """`lone_unit` for the units in rows, one after the other; paths [N, 2, K] gets the results.

    presence, floor [N, K]; import_eur, export_eur [R, K]; miss_eur [N]. import_room, export_room
    [S, K]: power the site has left in each direction [kW], reduced here by what each unit is
    expected to take or give. Steps after the unit has surely left are cut.
    """
    steps = presence.shape[1]
    scratch = np.empty((steps + 2, NODES_MAX))
    charge_eur, discharge_eur = np.empty(steps), np.empty(steps)
    gain_at, loss_at = np.empty(steps), np.empty(steps)
    for n in rows:
        last = 1
        while last < steps and presence[n, last] > PRESENCE_LEAST:
            last += 1
        up, down, s = charge_efficiency[n] * step_h, step_h / discharge_efficiency[n], site[n]
        for k in range(last):
            charge_eur[k] = import_eur[price_row[n], k] / charge_efficiency[n] + wear_eur[n]
            discharge_eur[k] = export_eur[price_row[n], k] * discharge_efficiency[n] - wear_eur[n]
            gain_at[k] = min(charge_max[n], max(import_room[s, k], 0.0)) * up
            loss_at[k] = min(discharge_max[n], max(export_room[s, k], 0.0)) * down
        gain, loss = charge_max[n] * up, discharge_max[n] * down
        lone_unit(
            energy[n], target[n], energy_min[n], capacity[n], gain, loss, counts_in[n],
            presence[n, :last], charge_eur[:last], discharge_eur[:last], floor[n, :last],
            miss_eur[n], terminal_eur[n], grid_levels(loss / gain if gain > 0.0 else 1.0),
            scratch, paths[n, :, :last], gain_at[:last], loss_at[:last],
        )  # fmt: skip
        before = energy[n]
        for k in range(steps):
            if k >= last:
                paths[n, 0, k] = paths[n, 0, last - 1]
                paths[n, 1, k] = 0.0
            x = paths[n, 0, k] - before
            before = paths[n, 0, k]
            power = (x / up if x > 0.0 else x / down) * presence[n, k]
            import_room[s, k] -= power
            export_room[s, k] += power
