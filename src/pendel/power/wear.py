"""Wear: calendar and cycle ageing of LFP and NMC cells, and what it costs per stored kWh.

Both models are power laws whose stress varies; with virtual time (and virtual throughput) they
reduce to two *damages* that simply add up, which is what makes fleets of columns possible:

    Q_lost = D_cal ** n + D_cyc ** m,   D_cal = sum k_cal(soc, T) ** (1/n) dt
                                        D_cyc = sum k_cyc(depth, rate) ** (1/m) dEFC        (1)

lfp_naumann (Sony/Murata US26650 LFP, 3 Ah) [1, 2], t in s, rate in 1/h, n = m = 1/2:

    k_cal = k_ref exp(-Ea/R (1/T - 1/298.15 K)) (C (soc - 0.5)^3 + D)
    k_cyc = (A rate + B) (C (depth - 0.6)^3 + D) / 100

nmc_molicel (Molicel NMC 18650, 1.9 Ah) [3], t in weeks, n = 0.75, m = 0.5562:

    k_cal = table(T, soc)
    k_cyc = table(depth) (2 * 1.9 Ah)^m s,  s = 1.569^log2(rate / 0.5) above 0.5/h charging,
            1.1587^(log2(rate / 0.5) - 1), at least 1, discharging; the mean of both directions

lfp_large, nmc_large: the same shapes with k_cal and k_cyc scaled (LARGE_SCALES) so that the losses
meet those of large cells as modelled by BLAST-Lite 1.1.1 [4] (250 Ah LFP, 75 Ah NMC111), by least
squares over two usages each: nearer to the pack of a car than the small cells above.

EFC (equivalent full cycles) = energy in and out / (2 capacity). Validity: lfp 0..60 C, up to
about 900 days calendar and 10,000 EFC measured; nmc 10..50 C (clamped), 0..1 soc and depth.
Cell level: no pack effects, no knee. Models of one chemistry differ by several points of
capacity (docs/concepts/power.md states the errors): a price names its model.

References
----------
[1] M. Naumann, M. Schimpe, P. Keil, H. Hesse, A. Jossen, "Analysis and modeling of calendar
    aging of a commercial LiFePO4/graphite cell", J. Energy Storage 17 (2018).
[2] M. Naumann, F. Spingler, A. Jossen, "Analysis and modeling of cycle aging of a commercial
    LiFePO4/graphite cell", J. Power Sources 451 (2020) 227666.
[3] Tables of SimSES 1.3.4 (BSD-3, TU Muenchen); charge counted in both directions, and the
    nominal 1.9 Ah, are read from that software, not from a paper.
[4] K. Smith, P. Gasper et al., BLAST-Lite (NREL, BSD-3): models run, no code taken.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

import numpy as np

from pendel.errors import require
from pendel.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, FloatArray

GAS_CONSTANT = 8.314
KELVIN_AT_0_C = 273.15
REFERENCE_K = 298.15
SECONDS_PER_WEEK = 7.0 * SECONDS_PER_DAY
DAYS_PER_YEAR = 365.25
MOLICEL_AH = 1.9
MOLICEL_RATE_FREE = 0.5
MOLICEL_RATE_CHARGE = 1.569
MOLICEL_RATE_DISCHARGE = 1.1587
MOVING_RATE_MIN = 1e-3


class WearModel(StrEnum):
    """Ageing models; the chemistry is part of the name."""

    LFP_NAUMANN = "lfp_naumann"
    NMC_MOLICEL = "nmc_molicel"
    LFP_LARGE = "lfp_large"
    NMC_LARGE = "nmc_large"

    @property
    def chemistry(self) -> str:
        """LFP or NMC."""
        return self.value.split("_", 1)[0].upper()

    @property
    def calendar_exponent(self) -> float:
        """n of (1)."""
        return 0.5 if self.chemistry == "LFP" else 0.75

    @property
    def cycle_exponent(self) -> float:
        """m of (1)."""
        return 0.5 if self.chemistry == "LFP" else 0.5562

    @property
    def time_unit_s(self) -> float:
        """Seconds in the unit of time of k_cal: 1 for LFP, a week for NMC."""
        return 1.0 if self.chemistry == "LFP" else SECONDS_PER_WEEK


LARGE_SCALES = {WearModel.LFP_LARGE: (0.146, 1.152), WearModel.NMC_LARGE: (0.726, 0.205)}
"""Factors on calendar and cycle losses, fitted by tests/power/test_wear.py (`fitted_scales`)."""


@dataclass(frozen=True, slots=True)
class NaumannCoefficients:
    """Coefficients of the LFP model; `cycle_percent`: cycle losses come in % (else fractions)."""

    k_ref: float
    activation_j_mol: float
    c_cal: float
    d_cal: float
    a_cyc: float
    b_cyc: float
    c_cyc: float
    d_cyc: float
    cycle_percent: bool


@dataclass(frozen=True, slots=True)
class MolicelTables:
    """Stress tables of the NMC model: calendar [temperature_k, soc] and cycle [depth]."""

    temperature_k: FloatArray
    soc: FloatArray
    calendar: FloatArray
    depth: FloatArray
    cycle: FloatArray


@dataclass(frozen=True, slots=True)
class Usage:
    """How a battery lives, for a price: a mean cycle and a mean rest.

    depth 0..1; charge_rate, discharge_rate [1/h]; soc_mean 0..1; temperature_c [C];
    efc_year: equivalent full cycles per year; years: over which losses are averaged.
    """

    depth: float = 0.5
    charge_rate: float = 0.2
    discharge_rate: float = 0.2
    soc_mean: float = 0.6
    temperature_c: float = 20.0
    efc_year: float = 120.0
    years: float = 10.0


@dataclass(frozen=True, slots=True)
class WearPrice:
    """Cost of cycling: wear_eur_kwh per kWh stored, each way, and what it rests on."""

    model: WearModel
    chemistry: str
    wear_eur_kwh: float
    cycle_loss: float
    calendar_loss: float
    replacement_eur_kwh: float
    end_of_life: float


def _rows(name: str) -> list[list[str]]:
    text = resources.files("pendel").joinpath("data", "wear", name).read_text("utf-8")
    return list(csv.reader(text.splitlines()))[1:]


@lru_cache(maxsize=1)
def naumann_sets() -> dict[str, NaumannCoefficients]:
    """Published coefficient sets by name: Naumann (the default), Refit, Bootstrap 1 to 3."""
    found = {}
    for name, *values, unit in _rows("lfp_naumann.csv"):
        k, ea, c_cal, d_cal, a, b, c, d = (float(value) for value in values)
        found[name] = NaumannCoefficients(k, ea, c_cal, d_cal, a, b, c, d, unit == "percent")
    return found


@lru_cache(maxsize=1)
def molicel_tables() -> MolicelTables:
    """The stress tables of the NMC model that ship with the package."""
    calendar = _rows("nmc_molicel_calendar.csv")
    cycle = np.array([[float(x) for x in row] for row in _rows("nmc_molicel_cycle.csv")])
    grid = np.array([[float(x) for x in row] for row in calendar])
    temperatures, socs = np.unique(grid[:, 0]), np.unique(grid[:, 1])
    table = grid[:, 2].reshape(len(temperatures), len(socs))
    return MolicelTables(temperatures, socs, table, cycle[:, 0], cycle[:, 1])


def calendar_stress(
    model: WearModel,
    soc: float | FloatArray,
    temperature_c: float | FloatArray,
    coefficients: NaumannCoefficients | None = None,
) -> FloatArray:
    """k_cal of (1), broadcast over soc (0..1) and temperature [C]; unit s^-n (LFP), weeks^-n."""
    kelvin = np.asarray(temperature_c, dtype=np.float64) + KELVIN_AT_0_C
    charge = np.clip(np.asarray(soc, dtype=np.float64), 0.0, 1.0)
    scale = LARGE_SCALES.get(model, (1.0, 1.0))[0]
    if model.chemistry == "LFP":
        c = coefficients if coefficients is not None else naumann_sets()["Naumann"]
        arrhenius = np.exp(-c.activation_j_mol / GAS_CONSTANT * (1.0 / kelvin - 1.0 / REFERENCE_K))
        shape = np.maximum(c.c_cal * (charge - 0.5) ** 3 + c.d_cal, 0.0)
        return np.asarray(scale * c.k_ref * arrhenius * shape)
    tables = molicel_tables()
    kelvin = np.clip(kelvin, tables.temperature_k[0], tables.temperature_k[-1])
    charge, kelvin = np.broadcast_arrays(charge, kelvin)
    inverse = 1.0 / tables.temperature_k[::-1]
    factor = np.exp(np.interp(1.0 / kelvin, inverse, np.log(tables.calendar[::-1, 0])))
    share = np.interp(charge, tables.soc, tables.calendar[0] / tables.calendar[0, 0])
    return np.asarray(scale * factor * share)


def cycle_stress(
    model: WearModel,
    depth: float | FloatArray,
    charge_rate: float,
    discharge_rate: float,
    coefficients: NaumannCoefficients | None = None,
) -> FloatArray:
    """k_cyc of (1), per EFC^m, broadcast over depth (0..1); rates in 1/h."""
    deep = np.clip(np.asarray(depth, dtype=np.float64), 0.0, 1.0)
    scale = LARGE_SCALES.get(model, (1.0, 1.0))[1]
    if model.chemistry == "LFP":
        c = coefficients if coefficients is not None else naumann_sets()["Naumann"]
        rate = 0.5 * (charge_rate + discharge_rate)
        stress = (c.a_cyc * rate + c.b_cyc) * (c.c_cyc * (deep - 0.6) ** 3 + c.d_cyc)
        return np.asarray(scale * np.maximum(stress, 0.0) * (0.01 if c.cycle_percent else 1.0))
    tables = molicel_tables()
    base = np.interp(deep, tables.depth, tables.cycle)
    into = out = 1.0
    if charge_rate > MOLICEL_RATE_FREE:
        into = MOLICEL_RATE_CHARGE ** float(np.log2(charge_rate / MOLICEL_RATE_FREE))
    if discharge_rate > MOLICEL_RATE_FREE:
        over = float(np.log2(discharge_rate / MOLICEL_RATE_FREE)) - 1.0
        out = max(1.0, MOLICEL_RATE_DISCHARGE**over)
    throughput = (2.0 * MOLICEL_AH) ** model.cycle_exponent
    return np.asarray(scale * base * throughput * 0.5 * (into + out))


def calendar_loss(
    model: WearModel,
    soc: float | FloatArray,
    temperature_c: float | FloatArray,
    years: float | FloatArray,
    coefficients: NaumannCoefficients | None = None,
) -> FloatArray:
    """Share of the capacity lost by resting at soc and temperature [C] for years.

    >>> round(float(calendar_loss(WearModel.LFP_NAUMANN, 0.5, 25.0, 1.0)), 4)
    0.0425
    """
    days = np.asarray(years, dtype=np.float64) * DAYS_PER_YEAR
    time = days * SECONDS_PER_DAY / model.time_unit_s
    stress = calendar_stress(model, soc, temperature_c, coefficients)
    return np.asarray(stress * time**model.calendar_exponent)


def cycle_loss(
    model: WearModel,
    depth: float | FloatArray,
    charge_rate: float,
    discharge_rate: float,
    efc: float | FloatArray,
    coefficients: NaumannCoefficients | None = None,
) -> FloatArray:
    """Share of the capacity lost by efc equivalent full cycles of one depth."""
    stress = cycle_stress(model, depth, charge_rate, discharge_rate, coefficients)
    return np.asarray(stress * np.asarray(efc, dtype=np.float64) ** model.cycle_exponent)


def rainflow(soc: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cycles of a state-of-charge history [K]: depths (0..1) and counts (1 or 0.5), any length.

    Rainflow counting as in ASTM E1049; sum(depth * count) is the number of equivalent full cycles.
    """
    from pendel.power import wear_kernels

    history = np.ascontiguousarray(soc, dtype=np.float64)
    depth, count = np.empty(len(history) + 1), np.empty(len(history) + 1)
    found = wear_kernels.rainflow(history, np.empty(len(history) + 1), depth, count)
    return depth[:found].copy(), count[:found].copy()


@dataclass(frozen=True, slots=True)
class ProfileDamage:
    """Damages of (1) per day of a repeated profile, and its equivalent full cycles per day."""

    model: WearModel
    calendar_day: float
    cycle_day: float
    efc_day: float

    def capacity(self, days: float | FloatArray) -> FloatArray:
        """Relative capacity q (1 = new) after repeating the profile for days; not below 0."""
        time = np.asarray(days, dtype=np.float64)
        calendar = (self.calendar_day * time) ** self.model.calendar_exponent
        cycles = (self.cycle_day * time) ** self.model.cycle_exponent
        return np.asarray(np.maximum(1.0 - calendar - cycles, 0.0))


def profile_damage(
    model: WearModel,
    time_s: FloatArray,
    soc: FloatArray,
    temperature_c: float | FloatArray,
    coefficients: NaumannCoefficients | None = None,
) -> ProfileDamage:
    """Damage per day of an SoC profile: time_s [K] rising, soc [K] 0..1, temperature [C].

    Rates are the mean of |d soc / dt| while charging and while discharging.
    """
    require(len(time_s) == len(soc) >= 2, "profile_damage: two or more samples")
    hours = np.diff(time_s) / SECONDS_PER_HOUR
    require(bool(np.all(hours > 0.0)), "profile_damage: time must rise")
    change = np.diff(soc)
    rates = change / hours
    up, down = rates > MOVING_RATE_MIN, rates < -MOVING_RATE_MIN
    into = float(change[up].sum() / hours[up].sum()) if up.any() else 0.0
    out = float(-change[down].sum() / hours[down].sum()) if down.any() else 0.0
    stress = calendar_stress(model, soc, temperature_c, coefficients)
    power = stress ** (1.0 / model.calendar_exponent)
    mean = float(np.sum(0.5 * (power[1:] + power[:-1]) * hours) / hours.sum())
    depth, count = rainflow(soc)
    cycle = cycle_stress(model, depth, into, out, coefficients) ** (1.0 / model.cycle_exponent)
    days = float(hours.sum()) / 24.0
    return ProfileDamage(
        model,
        mean * SECONDS_PER_DAY / model.time_unit_s,
        float(np.sum(cycle * depth * count)) / days,
        float(np.sum(depth * count)) / days,
    )


def wear_price(
    model: WearModel,
    replacement_eur_kwh: float,
    end_of_life: float = 0.8,
    usage: Usage | None = None,
) -> WearPrice:
    """What cycling costs: EUR per kWh stored, each way, averaged over the years of the usage.

        wear = replacement * Q_cyc(EFC) / ((1 - end_of_life) * 2 EFC),   EFC = efc_year * years

    replacement_eur_kwh: new battery per kWh of capacity, installed, less its residual value;
    end_of_life: relative capacity at which it is replaced (0..1). Calendar loss is stated beside
    it: it is not caused by cycling and not in the price.
    """
    use = usage if usage is not None else Usage()
    require(0.0 <= end_of_life < 1.0, "wear_price: end_of_life in [0, 1)")
    require(use.efc_year > 0.0 and use.years > 0.0, "wear_price: cycles and years above 0")
    efc = use.efc_year * use.years
    lost = float(cycle_loss(model, use.depth, use.charge_rate, use.discharge_rate, efc))
    rested = float(calendar_loss(model, use.soc_mean, use.temperature_c, use.years))
    price = replacement_eur_kwh * lost / ((1.0 - end_of_life) * 2.0 * efc)
    return WearPrice(
        model, model.chemistry, price, lost, rested, replacement_eur_kwh, end_of_life
    )  # fmt: skip


def relative_errors(model_values: FloatArray, table_values: FloatArray) -> tuple[float, float]:
    """(largest, root mean square) of model / table - 1 over the entries where the table is > 0."""
    table = np.asarray(table_values, dtype=np.float64)
    where = table > 0.0
    error = np.asarray(model_values, dtype=np.float64)[where] / table[where] - 1.0
    return float(np.abs(error).max()), float(np.sqrt(np.mean(error**2)))


def fade_errors(
    damage: ProfileDamage, days: FloatArray, capacity: FloatArray
) -> tuple[float, float, float]:
    """Model less reference in points of capacity: (at the end, largest amount, rms).

    days [K], capacity [K] (1 = new): the reference curve of the same profile.
    """
    error = 100.0 * (damage.capacity(days) - capacity)
    return float(error[-1]), float(np.abs(error).max()), float(np.sqrt(np.mean(error**2)))
