"""Readable twin of the sweep for one unit: the value function as a sorted list, merged anew in each
step, from the equations at the head of `pendel.control.sweep_kernels`."""

import math


def twin_segments(step: dict, car: dict) -> list[tuple[str, float, float]]:
    """(kind, marginal value per stored kWh, stored kWh) of one step, the dearest charging first."""
    rest, buy = step["rest_kw"], step["import_eur"]
    up, down = car["charge_efficiency"] * step["hours"], step["hours"] / car["discharge_efficiency"]
    charge = min(car["charge_max_kw"], max(step["high_kw"] - rest, 0.0))
    give = min(car["discharge_max_kw"], max(rest - step["low_kw"], 0.0))
    lost = min(charge, max(step["low_kw"] - rest, 0.0))
    surplus = max(lost, min(charge, max(-rest, 0.0)))
    to_peak = min(charge, max(step["peak_kw"] - rest, surplus))
    sold = min(step["export_eur"], buy)
    wear, eta_c, eta_d = car["wear_eur"], car["charge_efficiency"], car["discharge_efficiency"]
    cost_lost, cost_surplus = wear, max(sold, 0.0) / eta_c + wear
    cost = buy / eta_c + wear
    if surplus > 0.0:
        cost = max(cost, cost_surplus)
    cheapest = cost if surplus <= 0.0 else cost_surplus if lost <= 0.0 else cost_lost
    gain = min(buy * eta_d - wear, cheapest)
    gain = min(gain, step["weight"] * gain)
    gain_sold = sold * eta_d - wear
    gain_sold = min(gain_sold, step["weight"] * gain_sold, gain)
    home = min(give, max(rest, 0.0))
    parts = [
        ("charge", -(cost + step["peak_eur"] / eta_c), (charge - to_peak) * up),
        ("charge", -cost, (to_peak - surplus) * up),
        ("charge", -cost_surplus, (surplus - lost) * up),
        ("charge", -cost_lost, lost * up),
        ("give", -gain, home * down),
        ("give", -gain_sold, (give - home) * down),
    ]
    return [part for part in parts if part[2] > 0.0]


def twin_changes(steps: list[dict], car: dict) -> list[float]:
    """Cheapest change of stored energy per step [kWh]."""
    segments = [twin_segments(step, car) for step in steps]
    room = [sum(x for kind, _, x in parts if kind == "charge") for parts in segments]
    low, reach = [], car["energy_kwh"]
    for step, most in zip(steps, room, strict=True):
        reach = max(min(reach + most, car["capacity_kwh"]), car["energy_kwh"])
        due = -math.inf if math.isnan(step["floor_kwh"]) else step["floor_kwh"]
        low.append(min(max(due, car["energy_min_kwh"]), reach))
    for k in range(len(steps) - 2, -1, -1):
        low[k] = max(low[k], low[k + 1] - room[k + 1])
    top = max(car["capacity_kwh"], car["energy_kwh"])
    value = [(-car["end_value_eur"], top - low[-1])]
    levels = []
    for k in range(len(steps) - 1, -1, -1):
        parts = segments[k]
        levels.insert(0, [
            low[k] + sum(x for s, x in value if s < at or (kind == "give" and s == at))
            for kind, at, _ in parts
        ])  # fmt: skip
        merged = sorted([*value, *((s, x) for _, s, x in parts)])
        begin, value = low[k] - room[k], []
        for s, x in merged:  # from energy `begin` upwards; keep what lies in low[k - 1]..top
            a, b = max(begin, low[k - 1]), min(begin + x, top)
            begin += x
            if b > a:
                value.append((s, b - a))
    changes, energy = [], car["energy_kwh"]
    for parts, marks in zip(segments, levels, strict=True):
        change = 0.0
        for (kind, _, x), mark in reversed(list(zip(parts, marks, strict=True))):
            if kind == "charge":
                change += max(min(mark - energy - change, x), 0.0)
        if change <= 1e-9:
            for (kind, _, x), mark in zip(parts, marks, strict=True):
                if kind == "give":
                    change -= max(min(energy + change - mark, x), 0.0)
        changes.append(change)
        energy += change
    return changes
