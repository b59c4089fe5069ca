"""What the grid asks of a converter, and when nothing may be exported.

    P(f)   dP = + P_r (f - f_over) / (droop f_n)     f > f_over   (charge more, export less)   (1)
           dP = - P_r (f_under - f) / (droop f_n)    f < f_under  (charge less, export more)
           dP = 0 inside the dead band [f_under, f_over]
    Q(U)   piecewise linear in voltage, a share of rated power, inductive (absorbing) positive (2)
    cos    piecewise linear in P / P_r                                                        (3)

Curves and settings are data (`data/grid_codes/*.toml`), named after a standard and marked
"unverified" where the standard was not at hand. Positive power = import (pendel.units).

**Never export into a dead grid.** A meter may go on printing plausible frequencies on a dead bus:
frequency alone opens nothing. Every response passes `gate`, which wants a fresh sample with valid
voltage on all phases, a possible frequency and a possible rate of change; and the protection
(`advance_protection`), which disconnects and waits before it connects again. Where the gate is
shut, exports are 0; where the voltage is gone, everything is.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

import msgspec
import numpy as np

from pendel.errors import NotFoundError, require
from pendel.units import FloatArray

SAMPLE_AGE_MAX_S = 2.0
CLOCK_SKEW_MAX_S = 0.5
PLAUSIBLE_BAND_SHARE = 0.06


class FrequencyResponse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(1): thresholds [Hz] and droops (share of nominal frequency for full power)."""

    over_hz: float
    over_droop: float
    under_hz: float
    under_droop: float


class Reactive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(2) and (3) as break points."""

    voltage_pu: tuple[float, ...]
    q_share: tuple[float, ...]
    power_share: tuple[float, ...]
    cos_phi: tuple[float, ...]


class Connect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Band that must hold for wait_s before (re)connecting, and the ramp after it [1/min]."""

    voltage_low_pu: float
    voltage_high_pu: float
    frequency_low_hz: float
    frequency_high_hz: float
    wait_s: float
    ramp_share_min: float


class RideThrough(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stay connected inside [under, over] for up to duration_s; rocof_hz_s is withstood."""

    duration_s: tuple[float, ...]
    under_pu: tuple[float, ...]
    over_pu: tuple[float, ...]
    rocof_hz_s: float


class ProtectionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and delays of disconnection."""

    voltage_below_pu: tuple[float, ...]
    voltage_below_s: tuple[float, ...]
    voltage_above_pu: tuple[float, ...]
    voltage_above_s: tuple[float, ...]
    frequency_below_hz: float
    frequency_above_hz: float
    frequency_s: float


class GridCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One set of settings; certainty: "verified" or "unverified"."""

    name: str
    source: str
    certainty: str
    nominal_hz: float
    frequency_response: FrequencyResponse
    reactive: Reactive
    connect: Connect
    ride_through: RideThrough
    protection: ProtectionSettings


@lru_cache(maxsize=8)
def grid_code(name: str) -> GridCode:
    """The packaged settings of that name. Raises NotFoundError with the names there are."""
    folder = resources.files("pendel").joinpath("data", "grid_codes")
    names = sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))
    if name not in names:
        raise NotFoundError(f"no grid code {name!r}: one of {', '.join(names)}")
    text = folder.joinpath(f"{name}.toml").read_text("utf-8")
    return msgspec.toml.decode(text, type=GridCode)


def frequency_response_kw(
    code: GridCode,
    frequency_hz: float | FloatArray,
    reference_kw: float | FloatArray,
    charge_max_kw: float | FloatArray,
    discharge_max_kw: float | FloatArray,
) -> FloatArray:
    """Power asked for by (1), broadcast: reference plus response, inside the limits [kW].

    Rated power is the larger of the two limits. Not gated: use `respond`.

    >>> code = grid_code("vde_ar_n_4105_2018")
    >>> float(frequency_response_kw(code, 50.45, 0.0, 10.0, 10.0).round(6))
    1.0
    """
    return droop_response_kw(
        code.frequency_response,
        code.nominal_hz,
        frequency_hz,
        reference_kw,
        charge_max_kw,
        discharge_max_kw,
    )


def droop_response_kw(
    settings: FrequencyResponse,
    nominal_hz: float,
    frequency_hz: float | FloatArray,
    reference_kw: float | FloatArray,
    charge_max_kw: float | FloatArray,
    discharge_max_kw: float | FloatArray,
) -> FloatArray:
    """(1) with settings from elsewhere than a grid code (a DER control): see
    `frequency_response_kw`."""
    rated = np.maximum(charge_max_kw, discharge_max_kw)
    f = np.asarray(frequency_hz, dtype=np.float64)
    over = np.maximum(f - settings.over_hz, 0.0) / (settings.over_droop * nominal_hz)
    under = np.maximum(settings.under_hz - f, 0.0) / (settings.under_droop * nominal_hz)
    asked = np.asarray(reference_kw, dtype=np.float64) + rated * (over - under)
    return np.asarray(np.clip(asked, -np.asarray(discharge_max_kw), charge_max_kw))


def droop_kw(
    frequency_hz: float | FloatArray,
    nominal_hz: float,
    dead_band_hz: float,
    full_hz: float,
    sold_kw: float,
) -> FloatArray:
    """Reserve proportional to the deviation [kW, import positive]: 0 inside the dead band, all
    of sold_kw at full_hz. Response to the whole deviation once outside the band."""
    require(0.0 <= dead_band_hz < full_hz, "droop_kw: dead band below full deviation")
    deviation = np.asarray(frequency_hz, dtype=np.float64) - nominal_hz
    share = np.clip(deviation / full_hz, -1.0, 1.0)
    return np.asarray(np.where(np.abs(deviation) <= dead_band_hz, 0.0, sold_kw * share))


def reactive_kvar(
    code: GridCode, voltage_pu: float | FloatArray, rated_kw: float | FloatArray
) -> FloatArray:
    """(2): reactive power asked for at a voltage [kvar], inductive positive."""
    curve = np.interp(voltage_pu, code.reactive.voltage_pu, code.reactive.q_share)
    return np.asarray(curve * np.asarray(rated_kw, dtype=np.float64))


def cos_phi(
    code: GridCode, power_kw: float | FloatArray, rated_kw: float | FloatArray
) -> FloatArray:
    """(3): displacement factor while exporting power_kw (amount)."""
    share = np.abs(np.asarray(power_kw, dtype=np.float64)) / np.asarray(rated_kw)
    return np.asarray(np.interp(share, code.reactive.power_share, code.reactive.cos_phi))


def must_stay_connected(code: GridCode, voltage_pu: float, duration_s: float) -> bool:
    """Whether a voltage that has lasted for duration_s must be ridden through.

    The lower curve is linear between its points, the upper one falls in steps; after the last
    point the connect band holds.
    """
    ride = code.ride_through
    if duration_s > ride.duration_s[-1]:
        return code.connect.voltage_low_pu <= voltage_pu <= code.connect.voltage_high_pu
    under = float(np.interp(duration_s, ride.duration_s, ride.under_pu))
    steps = zip(ride.duration_s, ride.over_pu, strict=True)
    over = next(limit for until, limit in steps if duration_s <= until)
    return under <= voltage_pu <= over


@dataclass(frozen=True, slots=True)
class GridSample:
    """One measurement: at_s [s], frequency [Hz], voltage per phase in per unit of nominal.

    Values a device did not send are NaN.
    """

    at_s: float
    frequency_hz: float
    voltage_pu: tuple[float, ...]


class Gate(StrEnum):
    """Why a sample may or may not be acted upon; only OPEN lets exports through."""

    OPEN = "open"
    NO_SAMPLE = "no sample"
    STALE = "sample too old"
    NOT_A_NUMBER = "value missing"
    DEAD = "no voltage"
    VOLTAGE = "voltage outside the band"
    FREQUENCY = "impossible frequency"
    ROCOF = "frequency changes too fast"


def gate(
    code: GridCode,
    sample: GridSample | None,
    now_s: float,
    previous: GridSample | None = None,
    age_max_s: float = SAMPLE_AGE_MAX_S,
) -> Gate:
    """May the frequency of this sample be acted upon at now_s? Checks in the order of Gate.

    previous: an earlier sample, for the rate of change. DEAD: any phase below the lowest
    protection limit, whatever the frequency says.
    """
    if sample is None:
        return Gate.NO_SAMPLE
    age_s = now_s - sample.at_s
    if not -CLOCK_SKEW_MAX_S <= age_s <= age_max_s:
        return Gate.STALE
    values = (sample.frequency_hz, *sample.voltage_pu)
    if not sample.voltage_pu or not all(math.isfinite(value) for value in values):
        return Gate.NOT_A_NUMBER
    lowest, highest = min(sample.voltage_pu), max(sample.voltage_pu)
    if lowest < min(code.protection.voltage_below_pu):
        return Gate.DEAD
    if lowest < code.connect.voltage_low_pu or highest > code.connect.voltage_high_pu:
        return Gate.VOLTAGE
    if abs(sample.frequency_hz - code.nominal_hz) > PLAUSIBLE_BAND_SHARE * code.nominal_hz:
        return Gate.FREQUENCY
    if previous is not None and math.isfinite(previous.frequency_hz):
        apart_s = sample.at_s - previous.at_s
        moved = abs(sample.frequency_hz - previous.frequency_hz)
        if apart_s > 0.0 and moved > code.ride_through.rocof_hz_s * apart_s:
            return Gate.ROCOF
    return Gate.OPEN


class Link(StrEnum):
    """State of the protection."""

    CONNECTED = "connected"
    TRIPPED = "tripped"


@dataclass(frozen=True, slots=True)
class Protection:
    """Disconnection and return. beyond_since_s: per limit of the code since when it is exceeded
    (voltage below, voltage above, frequency; inf = not); good_since_s: since when the connect band
    holds (inf = it does not); reason: of the last trip; connected_s: time of the last return."""

    link: Link
    beyond_since_s: tuple[float, ...]
    good_since_s: float = math.inf
    reason: str = ""
    connected_s: float = -math.inf


def new_protection(code: GridCode) -> Protection:
    """Protection before the first sample: disconnected until the band has held for wait_s."""
    count = len(code.protection.voltage_below_pu) + len(code.protection.voltage_above_pu) + 1
    return Protection(Link.TRIPPED, (math.inf,) * count, reason="start")


def advance_protection(code: GridCode, state: Protection, sample: GridSample) -> Protection:
    """The protection after a sample. A value that is missing counts as beyond every limit."""
    settings, band = code.protection, code.connect
    known = bool(sample.voltage_pu) and all(math.isfinite(v) for v in sample.voltage_pu)
    lowest = min(sample.voltage_pu) if known else 0.0
    highest = max(sample.voltage_pu) if known else 0.0
    f = sample.frequency_hz if math.isfinite(sample.frequency_hz) else 0.0
    beyond = [lowest < limit for limit in settings.voltage_below_pu]
    beyond += [highest > limit for limit in settings.voltage_above_pu]
    beyond.append(not settings.frequency_below_hz <= f <= settings.frequency_above_hz)
    delays = (*settings.voltage_below_s, *settings.voltage_above_s, settings.frequency_s)
    labels = ["undervoltage"] * len(settings.voltage_below_pu)
    labels += ["overvoltage"] * len(settings.voltage_above_pu) + ["frequency"]
    since = tuple(
        min(old, sample.at_s) if now else math.inf
        for old, now in zip(state.beyond_since_s, beyond, strict=True)
    )
    tripping = [
        label
        for label, begin, delay in zip(labels, since, delays, strict=True)
        if sample.at_s - begin >= delay
    ]
    good = (
        known
        and band.voltage_low_pu <= lowest
        and highest <= band.voltage_high_pu
        and band.frequency_low_hz <= f <= band.frequency_high_hz
    )
    good_since = min(state.good_since_s, sample.at_s) if good else math.inf
    if tripping:
        reason = tripping[0] if state.link is Link.CONNECTED else state.reason
        return Protection(Link.TRIPPED, since, good_since, reason, state.connected_s)
    if state.link is Link.TRIPPED and sample.at_s - good_since >= band.wait_s:
        return Protection(Link.CONNECTED, since, good_since, state.reason, sample.at_s)
    return Protection(state.link, since, good_since, state.reason, state.connected_s)


def respond(
    code: GridCode,
    opened: Gate,
    link: Link,
    asked_kw: float,
    planned_kw: float,
) -> float:
    """What may really be ordered [kW]: asked_kw (with any response) behind gate and protection.

    Gate open and connected: as asked. No voltage or tripped: 0. Otherwise (stale or doubtful
    sample): the plan without response, and no export.
    """
    require(math.isfinite(asked_kw) and math.isfinite(planned_kw), "respond: power not finite")
    if link is not Link.CONNECTED or opened is Gate.DEAD:
        return 0.0
    if opened is Gate.OPEN:
        return asked_kw
    return max(planned_kw, 0.0)


def return_limit_kw(code: GridCode, state: Protection, now_s: float, rated_kw: float) -> float:
    """Highest power after a return [kW]: ramp_share_min of rated power per minute."""
    if state.link is not Link.CONNECTED:
        return 0.0
    minutes = max(now_s - state.connected_s, 0.0) / 60.0
    return rated_kw * min(1.0, code.connect.ramp_share_min * minutes)
