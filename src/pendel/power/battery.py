"""Batteries: energy balance, power limits over state of charge and temperature, taper.

Equations (stored energy e [kWh], capacity C [kWh], AC power p [kW], positive = charging):

    e' = e + h (eta_c max(p, 0) - max(-p, 0) / eta_d),      0 <= e <= C                     (1)
    eta_c p  <= f_c(T) L(C - e; store, full_taper, full)    while charging                  (2)
    |p|/eta_d <= f_d(T) L(e; draw, empty_taper, empty)      while discharging               (3)

with L as in `power.kernels`: a plateau, then linear in energy down to its end value, which is
what the constant-voltage phase of a cell with resistance R looks like: I = (V_max - OCV) / R.
The default "constant" has none of (2) and (3): exactly the physics of the contract, with a round
trip of eta_c * eta_d.

| model | plateau in | full taper | at full | plateau out | empty taper | at empty | source |
|---|---|---|---|---|---|---|---|
| constant | - | - | - | - | - | - | contract |
| taper | charger | soc > 0.80 | 0.10 of charger | charger | soc < 0.10 | 0.20 of charger | [1] |
| lfp | 1.0 C | soc > 0.95 | 0.05 C | 2.0 C | soc < 0.05 | 0.5 C | [2] |
| nmc | 1.5 C | soc > 0.74 | 0.20 C | 2.0 C | soc < 0.17 | 0.8 C | [3] |

"of charger": share of the unit's own limit on the stored side; C: power per usable capacity [1/h].
Temperature factors f_c, f_d (1 at 25 C) stand with each model in MODELS; 10 C is the ratio of the
measured resistances R(25 C)/R(10 C) of [2]; below that, and above 45 C, they are assumed (battery
managements differ; packs are heated and cooled).

References
----------
[1] Two-stage battery with a linear second stage from 80 %, as in ACN-Sim (Lee, Johansson, Low
    2019); the end shares are assumed.
[2] Sony/Murata US26650 LFP, OCV and resistance tables of SimSES (BSD-3), V_max 3.6 V, V_min 2.0 V;
    the model lies below the table's voltage limit (tests/power/test_battery_models.py).
[3] Sanyo UR18650E NMC, the same, V_max 4.2 V, V_min 3.0 V.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pendel.errors import require
from pendel.units import FloatArray, IntArray

REFERENCE_TEMPERATURE_C = 25.0


@dataclass(frozen=True, slots=True)
class BatteryModel:
    """One row of the table above.

    charge_rate, full_rate, discharge_rate, empty_rate: in 1/h of the capacity, or as a share of
    the charger's own limit where `of_charger`. taper_soc, low_soc: where the tapers begin (0..1).
    temperature_c with charge_factor and discharge_factor (0..1): piecewise linear, flat outside.
    """

    name: str
    chemistry: str
    source: str
    of_charger: bool
    charge_rate: float
    taper_soc: float
    full_rate: float
    discharge_rate: float
    low_soc: float
    empty_rate: float
    temperature_c: tuple[float, ...] = (REFERENCE_TEMPERATURE_C,)
    charge_factor: tuple[float, ...] = (1.0,)
    discharge_factor: tuple[float, ...] = (1.0,)


CONSTANT = "constant"
_INF = float("inf")

MODELS: dict[str, BatteryModel] = {
    model.name: model
    for model in (
        BatteryModel(CONSTANT, "any", "contract", True, _INF, 1.0, _INF, _INF, 0.0, _INF),
        BatteryModel(
            "taper", "any", "ACN-Sim two-stage; end shares assumed",
            True, 1.0, 0.80, 0.10, 1.0, 0.10, 0.20,
        ),
        BatteryModel(
            "lfp", "LFP", "SimSES Sony/Murata US26650 tables",
            False, 1.0, 0.95, 0.05, 2.0, 0.05, 0.5,
            temperature_c=(-20.0, 0.0, 10.0, 25.0, 45.0, 60.0),
            charge_factor=(0.0, 0.2, 0.7, 1.0, 1.0, 0.0),
            discharge_factor=(0.2, 0.5, 0.65, 1.0, 1.0, 0.0),
        ),
        BatteryModel(
            "nmc", "NMC", "SimSES Sanyo UR18650E tables; temperature as lfp",
            False, 1.5, 0.74, 0.20, 2.0, 0.17, 0.8,
            temperature_c=(-20.0, 0.0, 10.0, 25.0, 45.0, 60.0),
            charge_factor=(0.0, 0.2, 0.7, 1.0, 1.0, 0.0),
            discharge_factor=(0.2, 0.5, 0.65, 1.0, 1.0, 0.0),
        ),
    )
}  # fmt: skip
"""Battery models by the name used in the column `battery_model` ("" means constant)."""


@dataclass(frozen=True, slots=True)
class BatteryLimits:
    """Limits on the stored side [N]: what the kernels need beside the columns of a session.

    store_kw, full_kw, draw_kw, empty_kw [kW]; full_taper_kwh, empty_taper_kwh [kWh]: room below
    which the limit falls; inf and 0 where there is none.
    """

    store_kw: FloatArray
    full_taper_kwh: FloatArray
    full_kw: FloatArray
    draw_kw: FloatArray
    empty_taper_kwh: FloatArray
    empty_kw: FloatArray

    def __len__(self) -> int:
        return len(self.store_kw)

    def take(self, rows: IntArray) -> "BatteryLimits":
        """The limits of some batteries, e.g. of those connected now."""
        return BatteryLimits(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Batteries:
    """Columns [N] of batteries at their AC connection (names and units of the nomenclature)."""

    capacity_kwh: FloatArray
    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray

    def __len__(self) -> int:
        return len(self.capacity_kwh)

    def take(self, rows: IntArray) -> "Batteries":
        """Some of the batteries, in that order."""
        return Batteries(*(getattr(self, name)[rows] for name in self.__slots__))


def model_named(name: str) -> BatteryModel:
    """The model of a name; "" is "constant". Raises KeyError with the names there are."""
    found = MODELS.get(name or CONSTANT)
    if found is None:
        raise KeyError(f"battery_model {name!r}: one of {', '.join(MODELS)}")
    return found


def unknown_models(names: Sequence[str]) -> list[str]:
    """Names that are no battery model, each once, in order of appearance."""
    return [str(name) for name in dict.fromkeys(names) if name and str(name) not in MODELS]


def temperature_factors(
    model: BatteryModel, temperature_c: float | FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Shares (0..1) of the charge and discharge limit left at a cell temperature [C].

    >>> charge, discharge = temperature_factors(MODELS["lfp"], 10.0)
    >>> float(charge), float(discharge)
    (0.7, 0.65)
    """
    charge = np.interp(temperature_c, model.temperature_c, model.charge_factor)
    discharge = np.interp(temperature_c, model.temperature_c, model.discharge_factor)
    return np.asarray(charge), np.asarray(discharge)


def limits_of(
    names: Sequence[str], batteries: Batteries, temperature_c: FloatArray | float = 25.0
) -> BatteryLimits:
    """Limits [N] of batteries with the named models at cell temperatures [C].

    Raises KeyError for an unknown name.
    """
    count = len(batteries)
    out = BatteryLimits(*(np.empty(count) for _ in range(6)))
    temperatures = np.broadcast_to(np.asarray(temperature_c, dtype=np.float64), (count,))
    labels = np.asarray([str(name) for name in names], dtype=object)
    require(len(labels) == count, "limits_of: one model name per battery")
    for label in set(labels):
        model = model_named(label)
        rows = np.flatnonzero(labels == label)
        capacity = batteries.capacity_kwh[rows]
        charge, discharge = temperature_factors(model, temperatures[rows])
        base_in, base_out = charge * capacity, discharge * capacity
        if model.of_charger:
            base_in = charge * batteries.charge_max_kw[rows] * batteries.charge_efficiency[rows]
            base_out = (
                discharge * batteries.discharge_max_kw[rows] / batteries.discharge_efficiency[rows]
            )
        out.store_kw[rows] = _scaled(model.charge_rate, base_in)
        out.full_kw[rows] = _scaled(model.full_rate, base_in)
        out.draw_kw[rows] = _scaled(model.discharge_rate, base_out)
        out.empty_kw[rows] = _scaled(model.empty_rate, base_out)
        out.full_taper_kwh[rows] = (1.0 - model.taper_soc) * capacity
        out.empty_taper_kwh[rows] = model.low_soc * capacity
    return out


def _scaled(rate: float, base: FloatArray) -> FloatArray:
    """rate * base, with inf staying inf where base is 0 (no limit is no limit)."""
    return np.full(len(base), _INF) if rate == _INF else rate * base


def advance(
    requested_kw: FloatArray,
    energy_kwh: FloatArray,
    batteries: Batteries,
    step_h: float,
    limits: BatteryLimits | None = None,
) -> tuple[FloatArray, FloatArray]:
    """One step of (1) to (3): AC power delivered [N, kW] and stored energy at its end [N, kWh].

    requested_kw [N] is clipped to what each battery can take or give on average over the step;
    limits None: the constant model. Allocates its results; loops call the kernels themselves.
    """
    from pendel.power import kernels

    require(step_h > 0.0, "advance: step_h must be positive")
    power, energy = np.empty(len(batteries)), np.empty(len(batteries))
    b = batteries
    columns = (
        b.capacity_kwh, b.charge_max_kw, b.discharge_max_kw,
        b.charge_efficiency, b.discharge_efficiency,
    )  # fmt: skip
    if limits is None:
        kernels.advance_constant(requested_kw, energy_kwh, *columns, step_h, power, energy)
        return power, energy
    taper = (
        limits.store_kw, limits.full_taper_kwh, limits.full_kw,
        limits.draw_kw, limits.empty_taper_kwh, limits.empty_kw,
    )  # fmt: skip
    kernels.advance_batteries(requested_kw, energy_kwh, *columns, *taper, step_h, power, energy)
    return power, energy


def power_bounds_kw(
    energy_kwh: FloatArray,
    batteries: Batteries,
    step_h: float,
    limits: BatteryLimits | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Highest mean AC power [N, kW] over the coming step: charging and discharging, amounts."""
    charge, _ = advance(batteries.charge_max_kw, energy_kwh, batteries, step_h, limits)
    discharge, _ = advance(-batteries.discharge_max_kw, energy_kwh, batteries, step_h, limits)
    return charge, -discharge


def instant_limits_kw(
    energy_kwh: FloatArray, batteries: Batteries, limits: BatteryLimits
) -> tuple[FloatArray, FloatArray]:
    """AC limits [N, kW] at this very moment: (charging, discharging), amounts."""
    room = np.maximum(batteries.capacity_kwh - energy_kwh, 0.0)
    stored = np.maximum(energy_kwh, 0.0)
    into = _limit(room, limits.store_kw, limits.full_taper_kwh, limits.full_kw)
    out = _limit(stored, limits.draw_kw, limits.empty_taper_kwh, limits.empty_kw)
    charge = np.minimum(batteries.charge_max_kw, into / batteries.charge_efficiency)
    discharge = np.minimum(batteries.discharge_max_kw, out * batteries.discharge_efficiency)
    return np.where(room > 0.0, charge, 0.0), np.where(stored > 0.0, discharge, 0.0)


def _limit(
    room_kwh: FloatArray, plateau_kw: FloatArray, taper_kwh: FloatArray, end_kw: FloatArray
) -> FloatArray:
    inside = (room_kwh < taper_kwh) & np.isfinite(plateau_kw)
    share = np.divide(room_kwh, taper_kwh, out=np.ones(len(room_kwh)), where=inside)
    span = np.subtract(plateau_kw, end_kw, out=np.zeros(len(room_kwh)), where=inside)
    return np.where(inside, end_kw + span * share, plateau_kw)


def limits_under_curve(
    curve_soc: Sequence[float], curve_kw: Sequence[float], capacity_kwh: float
) -> tuple[float, float, float]:
    """(store_kw, full_taper_kwh, full_kw): the largest one-knee limit below a DC charging curve.

    curve_soc [K] 0..1 rising, curve_kw [K] battery power; of the knees at the break points the
    one with the shortest time from 10 to 100 % is taken. For fleets; one car can use
    `charge_on_curve`, which follows the curve itself.
    """
    soc, power = np.asarray(curve_soc, dtype=np.float64), np.asarray(curve_kw, dtype=np.float64)
    require(len(soc) >= 2 and bool(np.all(np.diff(soc) > 0.0)), "curve_soc must rise")
    require(bool(np.all(power > 0.0)), "curve_kw must be positive")
    grid = np.linspace(0.1, 1.0, 181)
    curve = np.interp(grid, soc, power)
    full = float(curve[-1])
    best: tuple[float, float, float, float] = (_INF, full, 0.0, full)
    for knee in grid[:-1]:
        before = curve[grid <= knee]
        after = grid > knee
        plateau = float(before.min())
        room = np.maximum((1.0 - grid[after]) / (1.0 - knee), 1e-12)
        slope = (curve[after][:-1] - full) / room[:-1]
        if len(slope):
            plateau = min(plateau, full + float(slope.min()))
        if plateau < full:
            continue
        limit = np.where(grid <= knee, plateau, full + (plateau - full) * (1 - grid) / (1 - knee))
        hours = float(np.sum(1.0 / limit))
        if hours < best[0]:
            best = (hours, plateau, float(1.0 - knee) * capacity_kwh, full)
    if best[0] == _INF:
        lowest = float(curve.min())
        return lowest, 0.0, lowest
    return best[1:]


def charge_on_curve(
    requested_kw: float,
    energy_kwh: float,
    capacity_kwh: float,
    charge_efficiency: float,
    curve_soc: Sequence[float],
    curve_kw: Sequence[float],
    step_h: float,
) -> tuple[float, float]:
    """One DC-charged car, one step, under its own curve: (AC power [kW], energy after [kWh]).

    curve_soc [K] 0..1 rising from 0 to 1, curve_kw [K] > 0: limit on the stored side (`ev_models`
    charging_curve). Exact for piecewise linear curves, whatever the step.
    """
    from pendel.power import kernels

    require(requested_kw >= 0.0 and step_h > 0.0, "charge_on_curve: request >= 0, step_h > 0")
    curve_e = np.asarray(curve_soc, dtype=np.float64) * capacity_kwh
    curve_p = np.asarray(curve_kw, dtype=np.float64)
    require(len(curve_e) == len(curve_p) >= 2, "curve needs two or more points")
    require(curve_e[0] == 0.0 and curve_e[-1] == capacity_kwh, "curve must reach from 0 to 1")
    rate = requested_kw * charge_efficiency
    moved = kernels.charged_on_curve_kwh(rate, energy_kwh, curve_e, curve_p, step_h)
    power = min(moved / (step_h * charge_efficiency), requested_kw)
    return power, min(energy_kwh + moved, capacity_kwh)
