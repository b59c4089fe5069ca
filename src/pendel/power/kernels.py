"""Inner loops of the power layer: batteries advanced by one step, on scalars and columns.

The physics of one step, exact for any step length (no sub-steps, no iteration):

    charging     de/dt =  min(eta_c * p, L_full(C - e))       room to full  x = C - e
    discharging  de/dt = -min(|p| / eta_d, L_empty(e))        room to empty x = e
    L(x) = plateau                         for x >= taper
           end + (plateau - end) x / taper for x <  taper     (CC-CV like: linear in energy)

While the wanted rate is below L the energy moves linearly; from the point where L falls below
it, x decays exponentially with the slope (plateau - end) / taper, which is solved in closed
form: two half steps give what one whole step gives. `plateau = inf` means no such limit.
Energy never leaves [0, C]. All powers in kW, energies in kWh, times in h. Powers are means over
the step, on the AC side, positive = charging (pendel.units). Oracles: tests/power.
"""

import math

from pendel.kernel import kernel
from pendel.units import FloatArray, IntArray

TIME_LEFT_MIN_H = 1e-15


@kernel
def moved_kwh(
    rate_kw: float,
    room_kwh: float,
    plateau_kw: float,
    taper_kwh: float,
    end_kw: float,
    step_h: float,
) -> float:
    """Energy moved in step_h [kWh] at a wanted stored rate [kW], with room [kWh] to the end.

    taper_kwh: room below which the limit falls from plateau_kw to end_kw at the very end.
    Needs 0 <= end_kw <= plateau_kw and room_kwh, rate_kw, step_h >= 0.
    """
    rate = rate_kw if rate_kw < plateau_kw else plateau_kw
    wanted = rate * step_h
    if wanted <= room_kwh - taper_kwh:
        return wanted
    stop_kwh = 0.0
    if rate > end_kw and taper_kwh > 0.0:
        stop_kwh = taper_kwh * ((rate - end_kw) / (plateau_kw - end_kw))
    if wanted <= room_kwh - stop_kwh:
        return wanted
    if stop_kwh <= 0.0:
        return wanted if wanted < room_kwh else room_kwh
    straight = room_kwh - stop_kwh
    if straight < 0.0:
        straight = 0.0
    tapering = room_kwh - straight
    rest_h = step_h - straight / rate
    slope = (plateau_kw - end_kw) / taper_kwh
    limit = end_kw + slope * tapering
    moved = straight - limit * math.expm1(-slope * rest_h) / slope
    if moved > wanted:
        moved = wanted
    return moved if moved < room_kwh else room_kwh


@kernel
def advance_one(
    requested_kw: float,
    energy_kwh: float,
    capacity_kwh: float,
    charge_max_kw: float,
    discharge_max_kw: float,
    charge_efficiency: float,
    discharge_efficiency: float,
    store_kw: float,
    full_taper_kwh: float,
    full_kw: float,
    draw_kw: float,
    empty_taper_kwh: float,
    empty_kw: float,
    step_h: float,
) -> tuple[float, float]:
    """One battery, one step: (AC power delivered [kW], stored energy at the end [kWh]).

    requested_kw is clipped to what the battery can take or give within the step; a request that
    is not a number gives 0. store_kw, full_taper_kwh, full_kw: limit while charging (stored
    side); draw_kw, empty_taper_kwh, empty_kw: while discharging (see moved_kwh).
    Balance: end - begin = h (eta_c max(p, 0) - max(-p, 0) / eta_d) to rounding.
    """
    if requested_kw > 0.0:
        power = requested_kw if requested_kw < charge_max_kw else charge_max_kw
        room = capacity_kwh - energy_kwh
        if not (power > 0.0 and room > 0.0):
            return 0.0, energy_kwh
        rate = power * charge_efficiency
        moved = moved_kwh(rate, room, store_kw, full_taper_kwh, full_kw, step_h)
        if moved < rate * step_h:
            power = moved / (step_h * charge_efficiency)
        after = energy_kwh + moved
        return power, after if after < capacity_kwh else capacity_kwh
    if requested_kw < 0.0:
        power = -requested_kw if -requested_kw < discharge_max_kw else discharge_max_kw
        if not (power > 0.0 and energy_kwh > 0.0):
            return 0.0, energy_kwh
        rate = power / discharge_efficiency
        moved = moved_kwh(rate, energy_kwh, draw_kw, empty_taper_kwh, empty_kw, step_h)
        if moved < rate * step_h:
            power = moved * discharge_efficiency / step_h
        after = energy_kwh - moved
        return -power, after if after > 0.0 else 0.0
    return 0.0, energy_kwh


@kernel
def advance_batteries(
    requested_kw: FloatArray,
    energy_kwh: FloatArray,
    capacity_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    store_kw: FloatArray,
    full_taper_kwh: FloatArray,
    full_kw: FloatArray,
    draw_kw: FloatArray,
    empty_taper_kwh: FloatArray,
    empty_kw: FloatArray,
    step_h: float,
    power_out_kw: FloatArray,
    energy_out_kwh: FloatArray,
) -> None:
    """advance_one for every battery [N]; writes power_out_kw and energy_out_kwh [N].

    energy_out_kwh may be energy_kwh itself, power_out_kw may be requested_kw (in place).
    """
    for i in range(len(requested_kw)):
        power, energy = advance_one(
            requested_kw[i],
            energy_kwh[i],
            capacity_kwh[i],
            charge_max_kw[i],
            discharge_max_kw[i],
            charge_efficiency[i],
            discharge_efficiency[i],
            store_kw[i],
            full_taper_kwh[i],
            full_kw[i],
            draw_kw[i],
            empty_taper_kwh[i],
            empty_kw[i],
            step_h,
        )
        power_out_kw[i] = power
        energy_out_kwh[i] = energy


@kernel
def charge_at_once(
    steps: IntArray,
    capacity_kwh: FloatArray,
    charge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    store_kw: FloatArray,
    full_taper_kwh: FloatArray,
    full_kw: FloatArray,
    step_h: float,
    energy_kwh: FloatArray,
) -> None:
    """Charge every battery [N] with all it takes for its own number of steps [N], in place."""
    for i in range(len(steps)):
        energy = energy_kwh[i]
        for _ in range(steps[i]):
            if energy >= capacity_kwh[i]:
                break
            _, energy = advance_one(
                charge_max_kw[i], energy, capacity_kwh[i], charge_max_kw[i], 0.0,
                charge_efficiency[i], 1.0, store_kw[i], full_taper_kwh[i], full_kw[i],
                0.0, 0.0, 0.0, step_h,
            )  # fmt: skip
        energy_kwh[i] = energy


@kernel
def advance_constant_one(
    requested_kw: float,
    energy_kwh: float,
    capacity_kwh: float,
    charge_max_kw: float,
    discharge_max_kw: float,
    charge_efficiency: float,
    discharge_efficiency: float,
    step_h: float,
) -> tuple[float, float]:
    """advance_one with the physics of the contract: constant efficiencies, no taper."""
    if requested_kw > 0.0:
        power = requested_kw if requested_kw < charge_max_kw else charge_max_kw
        room = capacity_kwh - energy_kwh
        if not (power > 0.0 and room > 0.0):
            return 0.0, energy_kwh
        moved = step_h * power * charge_efficiency
        if moved < room:
            return power, energy_kwh + moved
        return room / (step_h * charge_efficiency), capacity_kwh
    if requested_kw < 0.0:
        power = -requested_kw if -requested_kw < discharge_max_kw else discharge_max_kw
        if not (power > 0.0 and energy_kwh > 0.0):
            return 0.0, energy_kwh
        moved = step_h * power / discharge_efficiency
        if moved < energy_kwh:
            return -power, energy_kwh - moved
        return -energy_kwh * discharge_efficiency / step_h, 0.0
    return 0.0, energy_kwh


@kernel
def advance_constant(
    requested_kw: FloatArray,
    energy_kwh: FloatArray,
    capacity_kwh: FloatArray,
    charge_max_kw: FloatArray,
    discharge_max_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    step_h: float,
    power_out_kw: FloatArray,
    energy_out_kwh: FloatArray,
) -> None:
    """advance_constant_one for every battery [N]; out-arrays may be the in-arrays."""
    for i in range(len(requested_kw)):
        power, energy = advance_constant_one(
            requested_kw[i],
            energy_kwh[i],
            capacity_kwh[i],
            charge_max_kw[i],
            discharge_max_kw[i],
            charge_efficiency[i],
            discharge_efficiency[i],
            step_h,
        )
        power_out_kw[i] = power
        energy_out_kwh[i] = energy


@kernel
def charged_on_curve_kwh(
    rate_kw: float,
    energy_kwh: float,
    curve_kwh: FloatArray,
    curve_kw: FloatArray,
    step_h: float,
) -> float:
    """Energy stored in step_h [kWh] at a wanted stored rate under a piecewise linear limit.

    curve_kwh [K]: stored energy of the break points, strictly rising, last = capacity;
    curve_kw [K]: limit there, > 0 (DC charging curve of a car). Exact per segment.
    """
    energy = energy_kwh
    left_h = step_h
    for k in range(len(curve_kwh) - 1):
        end = curve_kwh[k + 1]
        if energy >= end:
            continue
        slope = (curve_kw[k + 1] - curve_kw[k]) / (end - curve_kwh[k])
        while energy < end and left_h > TIME_LEFT_MIN_H:
            limit = curve_kw[k] + slope * (energy - curve_kwh[k])
            target = end
            crossing = curve_kwh[k] + (rate_kw - curve_kw[k]) / slope if slope != 0.0 else end
            if energy < crossing < end:
                target = crossing
            middle = curve_kw[k] + slope * (0.5 * (energy + target) - curve_kwh[k])
            if middle >= rate_kw or slope == 0.0:
                speed = rate_kw if rate_kw < limit or slope != 0.0 else limit
                need_h = (target - energy) / speed if speed > 0.0 else math.inf
                gained = speed * left_h
            else:
                need_h = math.log((limit + slope * (target - energy)) / limit) / slope
                gained = limit * math.expm1(slope * left_h) / slope
            if need_h > left_h:
                return energy + gained - energy_kwh
            energy = target
            left_h -= need_h
        if left_h <= TIME_LEFT_MIN_H:
            break
    return energy - energy_kwh
