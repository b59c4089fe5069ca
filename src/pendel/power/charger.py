"""Chargers: what is realisable at the connection, what of it reaches the battery, and when.

AC and DC differ in where the power electronics sit, and with them the limits and duties:

| | AC (AC V2G) | DC (DC V2G) |
|---|---|---|
| converter, efficiency, grid code, reactive power | onboard charger of the car | the station |
| set by | a current per phase in steps (pilot, IEC 61851) | power, continuous |
| least power | 6 A per phase: below it pause or stay at 6 A | `power_min_kw` of the station |
| phases | 1 or 3, switched with a pause | those of the station, fixed |

    AC power     P = phases * U * I / 1000,  I a multiple of `current_step_a`, never above the wish
    efficiency   AC: measured per current and phases [1]; DC: eta = x / (x + a + b x + c x^2),
                 x = P / P_rated (constant, linear and resistive losses)                      [2]
    reactive     Q_max = min(sqrt(S^2 - P^2), tan(arccos(cos_phi_min)) |P|)

[1] ev_models of EV2Gym (median of eight cars unless one is named); discharging is assumed to
    lose as much as charging at the same current: none is published.
[2] The usual three-term loss model of inverters; the coefficients of DC_LOSSES are assumed.
"""

import csv
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

import numpy as np

from pendel.errors import require
from pendel.units import FloatArray

CURRENT_MIN_A = 6.0
PHASE_VOLTAGE_V = 230.0
MEDIAN = "median"
DC_LOSSES = (0.010, 0.020, 0.025)
QUANTUM_SLACK = 1e-9


class Conversion(StrEnum):
    """Where AC becomes DC: in the car or in the station."""

    AC = "ac"
    DC = "dc"

    @property
    def converter_in(self) -> str:
        """ "car" or "station": who converts, holds the grid code and can give reactive power."""
        return "car" if self is Conversion.AC else "station"


class BelowMinimum(StrEnum):
    """What to do with a wish for less than the least power."""

    PAUSE = "pause"
    MINIMUM = "minimum"


@dataclass(frozen=True, slots=True)
class Charger:
    """A charge point together with the car's onboard charger (AC) or alone (DC).

    charge_max_kw, discharge_max_kw: amounts at the grid side; phases: wired 1 or 3;
    current_max_a per phase; current_step_a [A]; power_min_kw: least power (DC);
    switches_phases: can use one of three; standby_w: drawn while not converting;
    ramp_kw_s [kW/s]; response_s: from order to effect; phase_switch_s: pause while switching
    phases or direction; hold_s: least time between two phase switches, and of a pause for want
    of power; resume_share: above the least power of three phases to go back to them;
    apparent_max_kva and cos_phi_min of the converter (reactive power: 0 kVA = none).
    """

    conversion: Conversion
    charge_max_kw: float
    discharge_max_kw: float = 0.0
    phases: int = 3
    current_max_a: float = 16.0
    current_step_a: float = 1.0
    power_min_kw: float = 0.0
    switches_phases: bool = False
    below_minimum: BelowMinimum = BelowMinimum.PAUSE
    standby_w: float = 5.0
    ramp_kw_s: float = 1.0
    response_s: float = 2.0
    phase_switch_s: float = 15.0
    hold_s: float = 300.0
    resume_share: float = 0.1
    apparent_max_kva: float = 0.0
    cos_phi_min: float = 0.9
    car_model: str = MEDIAN


def phase_kw(current_a: float, phases: int) -> float:
    """AC power of a current per phase [kW] at 230 V.

    >>> phase_kw(16.0, 3)
    11.04
    """
    return phases * PHASE_VOLTAGE_V * current_a / 1000.0


def minimum_kw(charger: Charger, phases: int) -> float:
    """Least power other than zero [kW]: 6 A per phase (AC) or what the station states (DC)."""
    if charger.conversion is Conversion.AC:
        return phase_kw(CURRENT_MIN_A, phases)
    return charger.power_min_kw


def maximum_kw(charger: Charger, phases: int, charging: bool) -> float:
    """Highest power with so many phases [kW]; an AC limit is rounded down to a current step."""
    most = charger.charge_max_kw if charging else charger.discharge_max_kw
    if charger.conversion is Conversion.DC:
        return most
    top = min(charger.current_max_a, most * 1000.0 / (phases * PHASE_VOLTAGE_V))
    return phase_kw(_down_to_step(top, charger.current_step_a), phases)


def _down_to_step(current_a: float, step_a: float) -> float:
    if step_a <= 0.0:
        return current_a
    return math.floor(current_a / step_a + QUANTUM_SLACK) * step_a


def realisable_kw(charger: Charger, requested_kw: float, phases: int) -> float:
    """Power that an order really gives [kW], signed; never more than asked, unless MINIMUM.

    AC: down to the next current step; below the least power 0 (PAUSE) or the least power
    (MINIMUM, charging only: nobody is made to discharge more than asked).
    """
    amount, charging = abs(requested_kw), requested_kw > 0.0
    most = maximum_kw(charger, phases, charging)
    least = minimum_kw(charger, phases)
    if not amount > 0.0 or most <= 0.0 or most < least:
        return 0.0
    amount = min(amount, most)
    if charger.conversion is Conversion.AC:
        current = amount * 1000.0 / (phases * PHASE_VOLTAGE_V)
        amount = phase_kw(_down_to_step(current, charger.current_step_a), phases)
    if amount < least * (1.0 - QUANTUM_SLACK):
        amount = least if charging and charger.below_minimum is BelowMinimum.MINIMUM else 0.0
    return amount if charging else -amount


def realisable_columns_kw(
    requested_kw: FloatArray, minimum: FloatArray, maximum: FloatArray, step: FloatArray
) -> FloatArray:
    """realisable_kw with PAUSE for fleets [N]: least, highest power and power of a step [kW].

    step 0 = continuous. Signs are kept, amounts never grow.
    """
    amount = np.minimum(np.abs(requested_kw), maximum)
    count = np.divide(amount, step, out=np.zeros_like(amount), where=step > 0.0)
    stepped = np.where(step > 0.0, np.floor(count + QUANTUM_SLACK) * step, amount)
    kept = np.where(stepped < minimum * (1.0 - QUANTUM_SLACK), 0.0, stepped)
    return np.where(requested_kw >= 0.0, kept, -kept)


@lru_cache(maxsize=1)
def ac_efficiency_table() -> dict[tuple[str, int], tuple[FloatArray, FloatArray]]:
    """(currents [A], efficiencies 0..1) by car and number of phases, with "median" over cars."""
    text = resources.files("pendel").joinpath("data", "vehicles", "ac_efficiency.csv").read_text()
    points: dict[tuple[str, int], dict[float, list[float]]] = {}
    for row in csv.DictReader(text.splitlines()):
        for name in (row["model"], MEDIAN):
            curve = points.setdefault((name, int(row["phases"])), {})
            curve.setdefault(float(row["current_a"]), []).append(float(row["efficiency"]))
    table = {}
    for key, curve in points.items():
        currents = np.array(sorted(curve))
        table[key] = (currents, np.array([np.median(curve[current]) for current in currents]))
    return table


def efficiency(
    charger: Charger, power_kw: float | FloatArray, phases: int, losses: tuple[float, ...] = ()
) -> FloatArray:
    """Share of the power that passes the converter, one way, 0..1; 0 W gives that of the least.

    AC: interpolated over current, flat outside the measured 6..32 A. DC: three-term losses
    (constant, linear, quadratic share of the rated power; default DC_LOSSES).
    """
    amount = np.abs(np.asarray(power_kw, dtype=np.float64))
    if charger.conversion is Conversion.AC:
        table = ac_efficiency_table()
        require((charger.car_model, 1) in table, f"no efficiency for {charger.car_model!r}")
        currents, curve = table[(charger.car_model, 3 if phases == 3 else 1)]
        current = amount * 1000.0 / (phases * PHASE_VOLTAGE_V)
        return np.asarray(np.interp(current, currents, curve))
    constant, linear, square = losses or DC_LOSSES
    rated = max(charger.charge_max_kw, charger.discharge_max_kw)
    share = np.maximum(amount, max(charger.power_min_kw, 0.01 * rated)) / rated
    return np.asarray(share / (share + constant + linear * share + square * share**2))


def battery_side_kw(charger: Charger, power_kw: float, phases: int) -> float:
    """Power at the battery [kW] for a power at the grid: less when charging, more when giving."""
    share = float(efficiency(charger, power_kw, phases))
    return power_kw * share if power_kw >= 0.0 else power_kw / share


def reactive_max_kvar(charger: Charger, power_kw: float, may_feed_in: bool) -> float:
    """Reactive power available beside power_kw [kvar], an amount.

    AC: the car's converter decides; a car that only charges (no feed-in) holds cos phi 1: 0.
    DC: the station's converter, whichever car is plugged in.
    """
    if charger.conversion is Conversion.AC and not may_feed_in:
        return 0.0
    room = charger.apparent_max_kva**2 - power_kw**2
    if room <= 0.0:
        return 0.0
    by_angle = math.tan(math.acos(charger.cos_phi_min)) * abs(power_kw)
    return min(math.sqrt(room), by_angle)


def may_discharge(
    charger: Charger, site_grid_code: str, car_grid_code: str, station_grid_code: str
) -> bool:
    """Whether the converter is certified for the grid code of the site: AC car, DC station."""
    certified = car_grid_code if charger.conversion is Conversion.AC else station_grid_code
    return charger.discharge_max_kw > 0.0 and bool(site_grid_code) and certified == site_grid_code


def phases_wanted(charger: Charger, requested_kw: float, phases: int) -> int:
    """How many phases serve a wish best, with hysteresis: 3 to 1 below 6 A on three phases, back
    only where three phases give the resume share more than their minimum."""
    if charger.conversion is Conversion.DC or not charger.switches_phases or charger.phases != 3:
        return charger.phases
    least = minimum_kw(charger, 3)
    amount = abs(requested_kw)
    if phases == 3:
        return 1 if 0.0 < amount < least * (1.0 - QUANTUM_SLACK) else 3
    return 3 if amount >= least * (1.0 + charger.resume_share) else 1


class Phase(StrEnum):
    """What a charger is doing."""

    PAUSED = "paused"
    RUNNING = "running"
    SWITCHING = "switching"


@dataclass(frozen=True, slots=True)
class ChargerState:
    """State of one charger at at_s [s, any epoch].

    order_kw acts now; pending_kw from pending_s on (NaN: none); switch_end_s: end of a phase or
    direction switch; held_until_s: no phase switch and no resumption before; low: paused because
    the wish fell below the least power.
    """

    at_s: float
    phase: Phase
    phases: int
    power_kw: float = 0.0
    order_kw: float = 0.0
    pending_kw: float = math.nan
    pending_s: float = math.inf
    switch_end_s: float = -math.inf
    held_until_s: float = -math.inf
    low: bool = False


def plugged_in(charger: Charger, now_s: float) -> ChargerState:
    """State of a charger with a car just plugged in: paused, all phases."""
    return ChargerState(now_s, Phase.PAUSED, charger.phases)


def advance_charger(
    charger: Charger, state: ChargerState, requested_kw: float, now_s: float
) -> ChargerState:
    """The charger at now_s, having been asked for requested_kw [kW, signed] since state.at_s.

    A new order acts after response_s (orders that follow replace it without waiting longer).
    Changing direction or the number of phases goes through 0 for phase_switch_s. A wish below the
    least power pauses at once; the pause ends when the wish was realisable again for hold_s
    without a break, so that nothing oscillates faster. Power moves at ramp_kw_s, except between 0
    and the least power, where nothing exists; stopping is immediate.
    """
    require(now_s >= state.at_s, "advance_charger: time runs backwards")
    order, pending, pending_s = state.order_kw, state.pending_kw, state.pending_s
    wish = requested_kw if math.isfinite(requested_kw) else 0.0
    if math.isnan(pending) and wish != order:
        pending_s = state.at_s + charger.response_s
    if wish != order or not math.isnan(pending):
        pending = wish
    if not math.isnan(pending) and now_s >= pending_s:
        order, pending, pending_s = pending, math.nan, math.inf
    phases, phase = state.phases, state.phase
    switch_end_s, held_until_s = state.switch_end_s, state.held_until_s
    power = state.power_kw
    wanted = phases_wanted(charger, order, phases)
    turn = power * order < 0.0
    if phase is Phase.SWITCHING and now_s >= switch_end_s:
        phase = Phase.PAUSED
    if phase is not Phase.SWITCHING and (turn or (wanted != phases and now_s >= held_until_s)):
        phases = phases if turn else wanted
        phase, power = Phase.SWITCHING, 0.0
        switch_end_s = now_s + charger.phase_switch_s
        held_until_s = held_until_s if turn else now_s + charger.hold_s
    low = state.low
    if phase is not Phase.SWITCHING:
        aim = realisable_kw(charger, order, phases)
        low = order != 0.0 and aim == 0.0 if phase is Phase.RUNNING else low
        if low and aim == 0.0:
            held_until_s = now_s + charger.hold_s
        if aim == 0.0 or (low and now_s < held_until_s):
            phase, power = Phase.PAUSED, 0.0
        else:
            phase, low = Phase.RUNNING, False
            least = minimum_kw(charger, phases)
            power = _ramped(power, aim, least, charger.ramp_kw_s * (now_s - state.at_s))
    return ChargerState(
        now_s, phase, phases, power, order, pending, pending_s, switch_end_s, held_until_s, low
    )


def _ramped(power_kw: float, aim_kw: float, least_kw: float, change_kw: float) -> float:
    """From power towards aim by at most change; what lies between 0 and least is skipped."""
    if abs(power_kw) < least_kw:
        power_kw = math.copysign(min(least_kw, abs(aim_kw)), aim_kw)
    if abs(aim_kw - power_kw) <= change_kw:
        return aim_kw
    return power_kw + math.copysign(change_kw, aim_kw - power_kw)


def grid_kw(charger: Charger, state: ChargerState) -> float:
    """What the connection sees [kW]: power, plus standby while nothing is converted."""
    standby = charger.standby_w / 1000.0
    return state.power_kw + (standby if state.power_kw == 0.0 else 0.0)
