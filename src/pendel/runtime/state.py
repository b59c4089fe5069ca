"""The state of everything = the fold of all records, in order. Nothing else changes it.

`fold(records)` of the log rebuilds exactly what the process knew when it was killed; the live
process applies the same `apply` to each record after it has become durable.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from pendel.control.warranty import UseBook
from pendel.records import (
    AnyRecord,
    Delivery,
    Deviation,
    Limit,
    Needs,
    PlanRecord,
    Promise,
    Reading,
    SessionEvent,
    Setpoint,
    Signal,
    Tick,
)
from pendel.runtime.month_book import MonthBook
from pendel.runtime.voices import DRIVER, hardened, merged, voice_of
from pendel.scenario.columns import UNKNOWN_S
from pendel.units import PROMISE_TOLERANCE_KWH, SECONDS_PER_DAY, SECONDS_PER_HOUR

ENDED_KEPT = 500
"""Ended sessions that are remembered, newest first; older ones are in the log only."""
LESSONS_KEPT = 100_000
"""And so many as what they teach: a restarted process learns from them again."""
LEAST_KWH = 1e-6
"""Less than this is no discharging [kWh]."""
DELIVERED_GAP_MAX_S = 3_600.0
"""Between two readings further apart than this nothing is counted as delivered."""
HISTORY_S = 28 * SECONDS_PER_DAY
"""How far back meters and prices are remembered for forecasts."""
LIMIT_DELETED = "limit_deleted"
OPERATOR = "operator"
UNHEARD = "operator_unheard"
PRICE = "price"
WARRANTY = "warranty"
OUTAGE = "outage"
LEARNED = "learned"
LOAD_SUFFIX, PV_SUFFIX, GRID_SUFFIX = "#load", "#pv", "#grid"
CARS_SUFFIX = "#cars"
"""Meters of a site are devices named site_id + suffix; mean powers of whole steps in the log."""


@dataclass(slots=True)
class SessionView:
    """One car at its station: what came in, what was promised, ordered and measured last.

    wishes: what is asked, per voice (`voice_of`); the driver restates his own, all others only
    tighten theirs."""

    event: SessionEvent
    wishes: dict[str, Needs] = field(default_factory=dict)
    promise: Promise | None = None
    ended: SessionEvent | None = None
    kept: bool | None = None

    @property
    def device_id(self) -> str:
        """The device the car hangs on."""
        return self.event.device_id or self.event.session_id

    @property
    def needs(self) -> Needs | None:
        """What the driver (or his car) asked for, or None."""
        return self.wishes.get(DRIVER)

    @property
    def charge_now(self) -> bool:
        """Whether anybody wants full power at once."""
        return any(wish.charge_now for wish in self.wishes.values())

    @property
    def paused(self) -> bool:
        """Whether the driver stopped it; nobody else can."""
        return self.needs is not None and self.needs.paused

    def wish(self, record: Needs) -> None:
        """Take in a wish: fields that are not stated stay as they were."""
        voice = voice_of(record.source)
        before = self.wishes.get(voice)
        if before is not None:
            record = merged(before, record) if voice == DRIVER else hardened(before, record)
        self.wishes[voice] = record


class Lesson(NamedTuple):
    """What an ended session teaches; times epoch s (UNKNOWN_S = not stated), lacked_kwh: asked
    minus there at leaving; counted: charging at once would have kept the promise."""

    site_id: str
    vehicle_id: str
    session_id: str
    arrive_s: int
    stated_depart_s: int
    depart_s: int
    lacked_kwh: float
    counted: bool


@dataclass(slots=True)
class PriceTable:
    """Prices published so far for a row of sites: (import, export) in EUR/kWh by begin of step.

    signal_id: the publication that came last.
    """

    signal_id: str = ""
    eur_kwh: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Everything known, by id. Sessions in here are open; `ended` keeps the last ones.

    timezones: of the sites, for calendar months (UTC where not named); spent: vehicles whose
    warranty budget is used up, with the signal that says so; outages: sites without grid, with
    the signal that says so; learned: per area what its controller knew of risk after the last
    departure; months: what flowed per local month.
    """

    timezones: Mapping[str, str] = field(default_factory=dict)

    sessions: dict[str, SessionView] = field(default_factory=dict)
    ended: deque[SessionView] = field(default_factory=lambda: deque(maxlen=ENDED_KEPT))
    lessons: deque[Lesson] = field(default_factory=lambda: deque(maxlen=LESSONS_KEPT))
    learned: dict[str, Signal] = field(default_factory=dict)
    session_of_device: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    plans: dict[str, PlanRecord] = field(default_factory=dict)
    setpoints: dict[str, Setpoint] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    hands: dict[str, Signal] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    deviations: dict[str, Deviation] = field(default_factory=dict)
    use: UseBook = field(default_factory=UseBook)
    spent: dict[str, str] = field(default_factory=dict)
    past_kw: dict[str, dict[int, float]] = field(default_factory=dict)
    prices: dict[str, PriceTable] = field(default_factory=dict)
    peak_kw: dict[tuple[str, str], float] = field(default_factory=dict)
    outages: dict[str, str] = field(default_factory=dict)
    months: MonthBook = field(default_factory=MonthBook)
    last_tick: Tick | None = None
    counts: dict[str, int] = field(default_factory=dict)
    sessions_ended: int = 0
    promises_total: int = 0
    promises_kept: int = 0
    limits_broken: int = 0
    last_utc: datetime | None = None

    def apply(self, record: AnyRecord) -> None:
        """Take one record in; records about things unknown change only the counts."""
        kind = str(record.__struct_config__.tag)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.last_utc is None or record.at_utc > self.last_utc:
            self.last_utc = record.at_utc
        match record:
            case Reading():
                self._read(record)
            case Setpoint():
                self.setpoints[record.device_id] = record
            case SessionEvent():
                self._plug(record)
            case Needs():
                self._need(record)
            case Promise():
                session = self.sessions.get(record.session_id)
                if session is not None:
                    session.promise = record
            case PlanRecord():
                self.plans[record.site_id] = record
            case Limit():
                self.limits[record.id] = record
            case Signal():
                self._signal(record)
            case Tick():
                self.last_tick = record
            case Delivery():
                self.months.take(record, record.device_id.endswith(GRID_SUFFIX))
            case Deviation():
                if record.device_id.endswith(GRID_SUFFIX):
                    self.limits_broken += 1
                elif record.ended:
                    self.deviations.pop(record.device_id, None)
                else:
                    self.deviations[record.device_id] = record
            case _:
                pass

    def peaks(self, now_utc: datetime) -> dict[str, float]:
        """Highest mean import of a step in this month, per site [kW]."""
        month = f"{now_utc:%Y-%m}"
        return {site: peak for (site, of), peak in self.peak_kw.items() if of == month}

    def _signal(self, record: Signal) -> None:
        self.signals[record.topic] = record
        if record.topic == LIMIT_DELETED:
            for limit_id in record.causes:
                self.limits.pop(limit_id, None)
        elif record.topic == OPERATOR:
            device_id = str(record.detail.get("device_id", ""))
            self.hands[device_id] = record
            # The setpoint of before stands for nothing any more: the next one is written even
            # where its power is the same, so that it has its own causes.
            self.setpoints.pop(device_id, None)
        elif record.topic == PRICE:
            self._price(record)
        elif record.topic == LEARNED:
            self.learned[str(record.detail.get("area", ""))] = record
        elif record.topic == OUTAGE:
            site_id = str(record.detail.get("site_id", ""))
            self.outages.pop(site_id, None)
            if record.detail.get("grid") == "down":
                self.outages[site_id] = record.id
        elif record.topic == WARRANTY:
            vehicle_id = str(record.detail.get("vehicle_id", ""))
            self.spent.pop(vehicle_id, None)
            if record.detail.get("spent") == "yes":
                self.spent[vehicle_id] = record.id

    def _price(self, record: Signal) -> None:
        """detail: sites (names, joined), and what `planned_pairs` reads."""
        pairs = planned_pairs(record.detail)
        if not pairs:
            return
        table = self.prices.setdefault(str(record.detail.get("sites", "")), PriceTable())
        table.signal_id = record.id
        table.eur_kwh.update(pairs)
        _forget(table.eur_kwh, min(pairs) - HISTORY_S)

    def _plug(self, record: SessionEvent) -> None:
        if record.phase == "plugged":
            view = SessionView(record, others_wishes(self.sessions.get(record.session_id)))
            self.sessions[record.session_id] = view
            self.session_of_device[view.device_id] = record.session_id
            return
        ending = self.sessions.pop(record.session_id, None)
        if ending is None:
            return
        ending.ended = record
        self._count_last(ending, record)
        self.sessions_ended += 1
        device_id = ending.device_id
        if self.session_of_device.get(device_id) == record.session_id:
            del self.session_of_device[device_id]
        self.hands.pop(device_id, None)
        self.deviations.pop(device_id, None)
        self.setpoints.pop(device_id, None)
        self.ended.append(ending)
        self.lessons.append(lesson_of(ending, record))
        if ending.promise is not None and could_be_kept(ending.event, ending.promise, record):
            lacking_kwh = ending.promise.asked_kwh - record.energy_kwh
            ending.kept = lacking_kwh <= PROMISE_TOLERANCE_KWH
            self.promises_total += 1
            self.promises_kept += ending.kept

    def _need(self, record: Needs) -> None:
        """Later wishes of a voice fill in or replace single fields of earlier ones."""
        session = self.sessions.get(record.session_id)
        if session is None:
            return
        session.wish(record)

    def _read(self, record: Reading) -> None:
        before = self.readings.get(record.device_id)
        self.readings[record.device_id] = record
        if record.device_id.endswith((LOAD_SUFFIX, PV_SUFFIX)):
            past = self.past_kw.setdefault(record.device_id, {})
            past[int(record.at_utc.timestamp())] = abs(record.power_kw)
            _forget(past, int(record.at_utc.timestamp()) - HISTORY_S)
            return
        if record.device_id.endswith(GRID_SUFFIX):
            key = (record.site_id, f"{record.at_utc:%Y-%m}")
            self.peak_kw[key] = max(self.peak_kw.get(key, 0.0), record.power_kw)
            return
        session = self.sessions.get(self.session_of_device.get(record.device_id, ""))
        if before is not None and session is not None and before.at_utc >= session.event.at_utc:
            self._count(session.event, before, *given_back(before, record))

    def _count_last(self, view: SessionView, left: SessionEvent) -> None:
        """What was given back between the last reading and unplugging, by the energy stored."""
        last = self.readings.get(view.device_id)
        if last is None or last.energy_kwh is None or last.at_utc < view.event.at_utc:
            return
        lost_kwh = last.energy_kwh - left.energy_kwh
        seconds = (left.at_utc - last.at_utc).total_seconds()
        if lost_kwh > LEAST_KWH and seconds > 0.0:
            given_kwh = lost_kwh * view.event.discharge_efficiency
            self._count(view.event, last, given_kwh, seconds / SECONDS_PER_HOUR)

    def _count(self, event: SessionEvent, since: Reading, given_kwh: float, hours: float) -> None:
        if hours > 0.0:
            zone = self.timezones.get(event.site_id, "UTC")
            vehicle = event.vehicle_id or event.session_id
            self.use.add(vehicle, given_kwh, hours, since.at_utc.timestamp(), zone)


def planned_pairs(
    detail: Mapping[str, float | str | list[float]],
) -> dict[int, tuple[float, float]]:
    """Import and export price by begin of step [epoch s] that a price signal tells the planner:
    those of the tariff (begin_s, step_s, import_eur_kwh, export_eur_kwh) with what is added to
    them (reward_import_eur_kwh, reward_export_eur_kwh)."""
    begin_s, step_s = detail.get("begin_s"), detail.get("step_s")
    imports, exports = detail.get("import_eur_kwh"), detail.get("export_eur_kwh")
    if not isinstance(begin_s, float) or not isinstance(step_s, float):
        return {}
    if not isinstance(imports, list) or not isinstance(exports, list):
        return {}
    added_in, added_out = detail.get("reward_import_eur_kwh"), detail.get("reward_export_eur_kwh")
    if isinstance(added_in, list) and isinstance(added_out, list):
        imports = [price + more for price, more in zip(imports, added_in, strict=False)]
        exports = [price + more for price, more in zip(exports, added_out, strict=False)]
    return {
        int(begin_s + place * step_s): pair
        for place, pair in enumerate(zip(imports, exports, strict=False))
    }


def given_back(before: Reading, after: Reading) -> tuple[float, float]:
    """(AC energy [kWh], hours) a car discharged between two readings: by its registers, where it
    has none by its power."""
    seconds = (after.at_utc - before.at_utc).total_seconds()
    if not 0.0 < seconds <= DELIVERED_GAP_MAX_S:
        return 0.0, 0.0
    hours = seconds / SECONDS_PER_HOUR
    if before.export_kwh is not None and after.export_kwh is not None:
        given_kwh = after.export_kwh - before.export_kwh
        if given_kwh >= 0.0:
            return (given_kwh, hours) if given_kwh > LEAST_KWH else (0.0, 0.0)
    return (-before.power_kw * hours, hours) if before.power_kw < 0.0 else (0.0, 0.0)


def could_be_kept(plugged: SessionEvent, promise: Promise, left: SessionEvent) -> bool:
    """Whether charging at once from arrival would have reached the target by the real departure:
    only then a promise counts (contract, `pendel simulate`)."""
    hours = (left.at_utc - plugged.at_utc).total_seconds() / SECONDS_PER_HOUR
    highest = plugged.energy_kwh + hours * plugged.charge_max_kw * plugged.charge_efficiency
    return min(highest, plugged.capacity_kwh) >= promise.asked_kwh - 1e-9


def lesson_of(view: SessionView, left: SessionEvent) -> Lesson:
    """What the end of a session teaches."""
    plugged, promise, stated = view.event, view.promise, view.event.stated_depart_utc
    return Lesson(
        site_id=plugged.site_id,
        vehicle_id=plugged.vehicle_id,
        session_id=plugged.session_id,
        arrive_s=int(plugged.at_utc.timestamp()),
        stated_depart_s=UNKNOWN_S if stated is None else int(stated.timestamp()),
        depart_s=int(left.at_utc.timestamp()),
        lacked_kwh=-left.energy_kwh if promise is None else promise.asked_kwh - left.energy_kwh,
        counted=promise is not None and could_be_kept(plugged, promise, left),
    )


def others_wishes(view: SessionView | None) -> dict[str, Needs]:
    """What others than the driver asked of a session: it stays when the car says more of itself."""
    return {} if view is None else {k: v for k, v in view.wishes.items() if k != DRIVER}


def _forget(by_time: dict[int, Any], before_s: int) -> None:
    """Drop entries older than before_s; they are in order, so only the first ones are looked at."""
    for begin_s in list(islice(by_time, 0, 8)):
        if begin_s >= before_s:
            break
        del by_time[begin_s]


def fold(records: Iterable[AnyRecord], timezones: Mapping[str, str] | None = None) -> State:
    """The state after all these records, from nothing."""
    state = State(timezones or {})
    for record in records:
        state.apply(record)
    return state
