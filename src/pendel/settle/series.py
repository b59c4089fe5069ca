"""Series of quarter hours per metering point and direction: validated, estimated, versioned.

Validation, estimation and editing leave a flag on every value they touch. A gap stays a gap until
somebody fills it with a substitute; substitutes never make a result final (MiSpeL keeps them as
gaps). Import and export are separate series and never netted.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from pendel.settle.meter import IntervalReading, Quality, Refused
from pendel.tariff.exact import NANO
from pendel.tariff.periods import Period

SHORT_GAP_QUARTERS = 8
"""Gaps up to two hours are filled in proportion, longer ones by a comparison day (VDE-AR-N 4400,
unconfirmed: data)."""
GREEN_SHARE = Fraction(2, 100)
YELLOW_SHARE = Fraction(5, 100)


class Light(StrEnum):
    """Device against metering operator: at most 2 % green, at most 5 % yellow."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Value:
    """Energy of a quarter hour [1e-9 kWh] and its flag."""

    nano: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class Series:
    """One metering point, one direction: values by quarter hour. What is not in it is a gap."""

    point: str
    direction: str
    values: Mapping[int, Value]

    @property
    def version(self) -> str:
        """SHA-256 over point, direction and all values: the same data, the same version."""
        digest = hashlib.sha256(f"{self.point}\n{self.direction}\n".encode())
        for quarter in sorted(self.values):
            value = self.values[quarter]
            digest.update(f"{quarter},{value.nano},{value.quality}\n".encode())
        return digest.hexdigest()

    def within(self, period: Period) -> dict[int, Value]:
        """The values of a period, ascending."""
        return {
            quarter: self.values[quarter]
            for quarter in sorted(self.values)
            if period.begin <= quarter < period.end
        }

    def usable(self, allowed: Iterable[Quality] = (Quality.TRUE,)) -> dict[int, int]:
        """Energies [1e-9 kWh] by quarter hour with an allowed flag; the rest stays a gap."""
        kept = frozenset(allowed)
        return {q: v.nano for q, v in sorted(self.values.items()) if v.quality in kept}


def build(
    readings: Iterable[IntervalReading], fuse_w: int | None = None
) -> tuple[dict[tuple[str, str], Series], list[Refused]]:
    """Series by (point, direction) from readings in any order.

    Equal duplicates count once; different values for the same quarter hour are refused (the first
    stays), unless a true value replaces a substitute; so is what the fuse [W] cannot carry.
    """
    values: dict[tuple[str, str], dict[int, Value]] = {}
    refused: list[Refused] = []
    limit = None if fuse_w is None else fuse_w * NANO // 4000
    for reading in readings:
        new = Value(reading.value_nano, reading.quality)
        if limit is not None and new.nano > limit:
            reason = "more than the fuse carries in a quarter hour (W or Wh given as kWh?)"
            refused.append(Refused(reading.line, "value", str(new.nano), reason))
            continue
        series = values.setdefault((reading.point, reading.obis.direction), {})
        old = series.get(reading.begin)
        if old is None or (old.quality is not Quality.TRUE and new.quality is Quality.TRUE):
            series[reading.begin] = new
        elif old.nano != new.nano and not (
            old.quality is Quality.TRUE and new.quality is not Quality.TRUE
        ):
            reason = "a second, different value for the same quarter hour"
            refused.append(Refused(reading.line, "time_utc", str(new.nano), reason))
    built = {key: Series(*key, dict(sorted(found.items()))) for key, found in values.items()}
    return built, refused


def fill_short_gap(series: Series, begin: int, end: int, total_nano: int) -> Series:
    """Spread the energy between two register readings over a gap begin <= q < end, in equal parts
    that add up exactly; flagged as substitutes. Raises ValueError for a gap that is too long or
    not empty."""
    count = end - begin
    if not 0 < count <= SHORT_GAP_QUARTERS:
        raise ValueError(f"a gap of {count} quarter hours is not short")
    if any(quarter in series.values for quarter in range(begin, end)):
        raise ValueError("not a gap: it holds values")
    share, rest = divmod(total_nano, count)
    filled = {
        begin + place: Value(share + (place < rest), Quality.SUBSTITUTE) for place in range(count)
    }
    return Series(series.point, series.direction, {**series.values, **filled})


def fill_from_day(series: Series, begin: int, end: int, shift: int) -> Series:
    """Fill a gap from `shift` quarter hours earlier (a comparison day, e.g. 672 for a week);
    flagged as estimated. Quarter hours that are missing there too stay gaps."""
    copied = {
        quarter: Value(series.values[quarter - shift].nano, Quality.ESTIMATED)
        for quarter in range(begin, end)
        if quarter not in series.values and quarter - shift in series.values
    }
    return Series(series.point, series.direction, {**series.values, **copied})


def edited(series: Series, changes: Mapping[int, int]) -> Series:
    """Values set by hand [1e-9 kWh], flagged as substitutes; the old version stays as it was."""
    if any(nano < 0 for nano in changes.values()):
        raise ValueError("metered energy is never negative")
    set_values = {quarter: Value(nano, Quality.SUBSTITUTE) for quarter, nano in changes.items()}
    return Series(series.point, series.direction, {**series.values, **set_values})


def traffic_light(metered_nano: int, device_nano: int) -> Light:
    """How far a device's energy is from the metering operator's, as a share of the latter."""
    difference = abs(metered_nano - device_nano)
    if difference <= GREEN_SHARE * metered_nano:
        return Light.GREEN
    return Light.YELLOW if difference <= YELLOW_SHARE * metered_nano else Light.RED


def agrees(register_delta_nano: int, values: Sequence[Value]) -> bool:
    """Whether a register's difference equals the sum of its load profile."""
    return register_delta_nano == sum(value.nano for value in values)
