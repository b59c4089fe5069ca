"""Costs of a lone session when departure and prices are known: the yardsticks of the frontier.

Three ways to serve the same promise: charging at once ("uncontrolled"), "always ready" (stored
energy never below charging at once) and perfect foresight (the promise only). The last two by
dynamic programming over an energy grid with LEVELS nodes per full charging step.
"""

import numpy as np

from pendel.kernel import kernel

LEVELS = 28
LACK_EUR = 1e9


@kernel
def known_cost(start, target, capacity, least, gain, loss, charge, give, floor):
    """Least cost [EUR] from start to at least target at the end; floor [T] at the end of steps.

    charge, give [T]: EUR per stored kWh taken in, given out; gain, loss: kWh per step.
    """
    spacing = gain / LEVELS
    low = -int(np.floor((target - least) / spacing + 1e-9))
    nodes = int(np.floor((capacity - target) / spacing + 1e-9)) - low + 1
    down = int(np.floor(loss / spacing + 1e-9))
    value, out = np.zeros(nodes), np.zeros(nodes)
    for k in range(len(charge) - 1, -1, -1):
        for j in range(nodes):
            if (j + low) * spacing + target < floor[k] - 1e-6:
                value[j] = LACK_EUR
            out[j] = value[j]
        for a in range(1, LEVELS + 1):
            for j in range(nodes - a):
                out[j] = min(out[j], value[j + a] + charge[k] * spacing * a)
        for a in range(1, down + 1):
            for j in range(a, nodes):
                out[j] = min(out[j], value[j - a] - give[k] * spacing * a)
        value, out = out, value
    begin = max(int(np.floor((start - target) / spacing + 1e-9)) - low, 0)
    beyond = max(start - ((begin + low) * spacing + target), 0.0)
    if beyond < 1e-9 or begin + 1 >= nodes:
        return value[begin]
    return value[begin] + (value[begin + 1] - value[begin]) * beyond / spacing


def session_costs(start, target, capacity, least, gain, loss, charge, give):
    """(uncontrolled, always ready, perfect foresight) [EUR] and whether the promise counts."""
    steps = len(charge)
    at_once = np.minimum(start + gain * np.arange(1, steps + 1), target)
    taken = np.diff(at_once, prepend=start)
    uncontrolled = float((taken * charge).sum())
    if steps == 0 or at_once[-1] < target - 1e-9:
        return uncontrolled, uncontrolled, uncontrolled, target <= start
    spacing = gain / LEVELS
    node = target - np.ceil((target - start) / spacing - 1e-9) * spacing
    ready_floor = np.minimum(node + gain * np.arange(1, steps + 1), target)
    given = (start, target, capacity, least, gain, loss, charge, give)
    ready = known_cost(*given, ready_floor)
    end_floor = np.full(steps, -1.0)
    end_floor[-1] = target
    return uncontrolled, ready, known_cost(*given, end_floor), True
