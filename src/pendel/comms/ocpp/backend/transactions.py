"""Transactions as the fold of their events: which came, which are missing, what was metered.

Events may come twice, late and in any order; the result depends on the set of events only.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime

from pendel.comms.ocpp.backend.metering import Sample

GAPS_TOLD_MAX = 1_000

Order = tuple[float, int]
"""Place of a sample among those of its transaction: (seqNo, index); 1.6: (epoch s, index)."""


@dataclass(slots=True)
class SequenceSet:
    """A set of sequence numbers as closed ranges: two numbers per gap-free run."""

    lows: list[int] = field(default_factory=list)
    highs: list[int] = field(default_factory=list)

    def __contains__(self, number: int) -> bool:
        if not self.highs or number > self.highs[-1]:  # the usual one: the next
            return False
        place = bisect_right(self.lows, number) - 1
        return place >= 0 and number <= self.highs[place]

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in zip(self.lows, self.highs, strict=True))

    def add(self, number: int) -> None:
        """Put a number in; one that is there changes nothing."""
        if self.highs and number == self.highs[-1] + 1:
            self.highs[-1] = number
            return
        if number in self:
            return
        place = bisect_left(self.lows, number)
        joins_before = place > 0 and self.highs[place - 1] == number - 1
        joins_after = place < len(self.lows) and self.lows[place] == number + 1
        if joins_before and joins_after:
            self.highs[place - 1] = self.highs.pop(place)
            self.lows.pop(place)
        elif joins_before:
            self.highs[place - 1] = number
        elif joins_after:
            self.lows[place] = number
        else:
            self.lows.insert(place, number)
            self.highs.insert(place, number)

    def discard(self, number: int) -> None:
        """Take a number out again."""
        if number not in self:
            return
        place = bisect_right(self.lows, number) - 1
        low, high = self.lows.pop(place), self.highs.pop(place)
        if number < high:
            self.lows.insert(place, number + 1)
            self.highs.insert(place, high)
        if number > low:
            self.lows.insert(place, low)
            self.highs.insert(place, number - 1)

    def gaps(self, first: int) -> list[int]:
        """Numbers missing from first up to the highest one, at most GAPS_TOLD_MAX."""
        if len(self.lows) == 1 and self.lows[0] <= first:
            return []
        found: list[int] = []
        expected = first
        for low, high in zip(self.lows, self.highs, strict=True):
            if low > expected:
                found += range(expected, min(low, expected + GAPS_TOLD_MAX - len(found)))
            if len(found) >= GAPS_TOLD_MAX:
                break
            expected = max(expected, high + 1)
        return found


@dataclass(slots=True)
class Register:
    """First and last reading of a counter [Wh] in the order of the transaction."""

    first_order: Order | None = None
    first_wh: float = 0.0
    last_order: Order = (0.0, 0)
    last_wh: float = 0.0

    def take(self, order: Order, value_wh: float) -> str | None:
        """Take a reading in; returns why it is refused (a counter never runs backwards)."""
        if self.first_order is None:
            self.first_order, self.first_wh = order, value_wh
            self.last_order, self.last_wh = order, value_wh
        elif order >= self.last_order:
            if value_wh < self.last_wh:
                return f"the register goes back from {self.last_wh:g} to {value_wh:g} Wh"
            self.last_order, self.last_wh = order, value_wh
        elif order < self.first_order:
            if value_wh > self.first_wh:
                return f"the register is above the later {self.first_wh:g} Wh: {value_wh:g} Wh"
            self.first_order, self.first_wh = order, value_wh
        return None

    @property
    def kwh(self) -> float:
        """Last minus first [kWh]; 0 where nothing was read."""
        return 0.0 if self.first_order is None else (self.last_wh - self.first_wh) / 1e3


@dataclass(slots=True)
class Transaction:
    """One transaction of one station. Times are those the station told. evcc_id: of the car, where
    it was told; transfers: what it was told to allow since it began (None = nothing)."""

    station_id: str
    transaction_id: str
    evse_id: int
    ocpp_version: str
    record_id: str
    first_seen_utc: datetime
    started_utc: datetime | None = None
    ended_utc: datetime | None = None
    id_token: str = ""
    evcc_id: str = ""
    transfers: tuple[str, ...] | None = None
    started_seq: int | None = None
    sequence: SequenceSet = field(default_factory=SequenceSet)
    digests: set[bytes] = field(default_factory=set)
    imported: Register = field(default_factory=Register)
    exported: Register = field(default_factory=Register)
    latest: Order = (-1.0, 0)
    power_w: float | None = None
    soc: float | None = None
    measured_utc: datetime | None = None
    charging_state: str = ""
    operation_mode: str = ""
    stopped_reason: str = ""
    refused: int = 0

    @property
    def is_open(self) -> bool:
        """Whether no end was told."""
        return self.ended_utc is None

    @property
    def begun_utc(self) -> datetime:
        """When it began as far as is known."""
        return self.started_utc or self.first_seen_utc

    @property
    def events(self) -> int:
        """Number of distinct events stored."""
        return len(self.sequence) + len(self.digests)

    def gaps(self) -> list[int]:
        """Missing seqNos (2.x); counted from the start event, or from 0 while that is missing."""
        return self.sequence.gaps(0 if self.started_seq is None else self.started_seq)

    def take(self, order: Order, sample: Sample) -> list[str]:
        """Take a sample in; returns what was refused."""
        refused: list[str] = []
        if sample.import_wh is not None:
            reason = self.imported.take(order, sample.import_wh)
            if reason is not None:
                refused.append(reason)
        if sample.export_wh is not None:
            reason = self.exported.take(order, sample.export_wh)
            if reason is not None:
                refused.append(reason)
        if order >= self.latest and (sample.power_w is not None or sample.soc is not None):
            self.latest, self.measured_utc = order, sample.at_utc
            self.power_w = self.power_w if sample.power_w is None else sample.power_w
            self.soc = self.soc if sample.soc is None else sample.soc
        return refused
