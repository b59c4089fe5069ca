"""The runtime: areas, their state and their one lock; everything that may happen goes through it.

Pages and the API read under the lock and give commands that become records first. Ticks come from
the loop (`runtime.loop`). Nobody else changes the state.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pendel.adapters.store_url import Store
from pendel.errors import InputError, NotFoundError, Problem, StoreError
from pendel.records import AnyRecord, Limit, Needs, Promise, Setpoint, Signal
from pendel.runtime.area_tick import HEALTHY, Area
from pendel.runtime.journal import Journal
from pendel.runtime.promising import terms, tightened
from pendel.runtime.state import LIMIT_DELETED, OPERATOR, UNHEARD, SessionView, State, merged

LOG = logging.getLogger("pendel.runtime")
LIMITS_MAX = 10_000
HAND_SECONDS_MAX = 86_400.0


class Runtime:
    """One process: a store, its state, its areas."""

    def __init__(self, store: Store) -> None:
        """Replay the store. Raises ChainError, StoreError."""
        self.store = store
        self.journal = Journal(store)
        self.areas: list[Area] = []
        self.version = 0
        self.store_trouble = ""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self.now_utc: datetime | None = self.journal.state.last_utc

    @property
    def state(self) -> State:
        """The state; hold `reading()` while looking at it from another thread."""
        return self.journal.state

    @property
    def simulated(self) -> bool:
        """Whether anything shown here is simulated."""
        return any(area.spec.simulated for area in self.areas)

    @contextmanager
    def reading(self) -> Iterator[State]:
        """The state, standing still."""
        with self._lock:
            yield self.journal.state

    def wait_for_change(self, version: int, timeout_s: float) -> int:
        """Block until something happened after version, at most timeout_s; the new version."""
        with self._changed:
            self._changed.wait_for(lambda: self.version > version, timeout_s)
            return self.version

    def start(self, now_utc: datetime) -> None:
        """Bring the areas up on the state that was replayed."""
        with self._lock:
            self.now_utc = now_utc
            for area in self.areas:
                area.start(self.journal, now_utc)

    def tick(self, now_utc: datetime) -> list[Setpoint]:
        """One round of every area; returns what was ordered. A store that fails does not stop
        the control: orders that stand stay, `health` says so, the next tick tries again."""
        with self._lock:
            self.now_utc = now_utc
            ordered: list[Setpoint] = []
            self.store_trouble = ""
            for area in self.areas:
                try:
                    area.intake(self.journal, now_utc)
                    orders = area.round(self.journal, now_utc)
                    area.ports.charger.apply(orders)
                    ordered += orders
                except StoreError as error:
                    self.store_trouble = str(error)
                except Exception as error:  # one area's fault must not stop the others
                    LOG.exception("round of %s failed", area.spec.name)
                    area.health = f"round failed ({type(error).__name__}: {error})"
            self._notify()
            return ordered

    @property
    def health(self) -> str:
        """ "ok" or what is wrong, in words."""
        wrong = [f"{a.spec.name}: {a.health}" for a in self.areas if a.health != HEALTHY]
        wrong += [f"the store does not take records: {self.store_trouble}"] * bool(
            self.store_trouble
        )
        return "; ".join(wrong) or HEALTHY

    def area_of(self, site_id: str) -> Area:
        """The area a site belongs to. Raises NotFoundError."""
        for area in self.areas:
            if site_id in area.spec.site_id:
                return area
        raise NotFoundError(f"no site {site_id!r}")

    def session(self, session_id: str) -> SessionView:
        """An open session. Raises NotFoundError."""
        view = self.state.sessions.get(session_id)
        if view is None:
            raise NotFoundError(f"no open session {session_id!r}")
        return view

    def set_needs(self, wishes: Needs) -> Promise:
        """A driver or somebody else asks for something: the new promise, after one round.

        wishes: id and time are given here. Others than the driver can only tighten.
        Raises NotFoundError, InputError, StoreError.
        """
        with self._lock:
            now_utc, view = self._now(), self.session(wishes.session_id)
            _check_needs(wishes, view, now_utc)
            batch = self.journal.batch(now_utc)
            stored = batch.adopt(tightened(wishes, view.promise), (view.event.id,))
            area = self.area_of(view.event.site_id)
            energy = self.energy_kwh(view)
            needs = merged(view.needs, stored)
            told = terms(view.event, energy, needs, now_utc, area.spec.timezone)
            promise = batch.add(
                Promise,
                causes=(view.event.id, stored.id),
                session_id=wishes.session_id,
                ready_by_utc=told.ready_by_utc,
                target_kwh=told.target_kwh,
                asked_kwh=told.asked_kwh,
                energy_min_kwh=told.energy_min_kwh,
                confidence=area.spec.confidence,
                reason=told.reason,
            )
            self.journal.commit(batch)
            self._round_now(area)
            return promise

    def energy_kwh(self, view: SessionView) -> float:
        """Stored energy of a session as last known [kWh]."""
        area = self.area_of(view.event.site_id)
        now_utc = self._now()
        for reading in area.ports.meter.readings(now_utc):
            if reading.device_id == view.device_id and reading.energy_kwh is not None:
                return reading.energy_kwh
        return view.event.energy_kwh

    def add_limit(self, limit: Limit) -> Limit:
        """An order for a site, in force from its next round on. Raises NotFoundError,
        StoreError, InputError when there are too many."""
        with self._lock:
            area = self.area_of(limit.site_id)
            if len(self.state.limits) >= LIMITS_MAX:
                raise InputError([Problem("limits", 0, "", f"at most {LIMITS_MAX} may stand")])
            stored = self._commit_one(limit)
            self._round_now(area)
            return stored

    def delete_limit(self, site_id: str, limit_id: str) -> None:
        """Take back an order. Raises NotFoundError, StoreError."""
        with self._lock:
            limit = self.state.limits.get(limit_id)
            if limit is None or limit.site_id != site_id:
                raise NotFoundError(f"site {site_id!r} has no limit {limit_id!r}")
            now_utc = self._now()
            batch = self.journal.batch(now_utc)
            batch.add(Signal, causes=(limit_id,), topic=LIMIT_DELETED, published_utc=now_utc)
            self.journal.commit(batch)
            self._round_now(self.area_of(site_id))

    def hand(
        self, device_id: str, power_kw: float, duration_s: float, who: str
    ) -> Setpoint | Signal:
        """An operator's order for a device; returns the setpoint that came of it, or, where
        nothing hangs on the device, the record of the order alone. Raises StoreError."""
        with self._lock:
            self._intake_of(device_id)
            session_id = self.state.session_of_device.get(device_id)
            if session_id is None:
                asked: dict[str, float | str | list[float]] = {"device_id": device_id, "who": who}
                return self.note(UNHEARD, {**asked, "power_kw": float(power_kw)})
            now_utc, view = self._now(), self.session(session_id)
            until_utc = now_utc + timedelta(seconds=min(duration_s, HAND_SECONDS_MAX))
            batch = self.journal.batch(now_utc)
            order = batch.add(
                Signal,
                causes=(view.event.id,),
                topic=OPERATOR,
                published_utc=now_utc,
                detail={
                    "device_id": device_id,
                    "power_kw": float(power_kw),
                    "until_s": until_utc.timestamp(),
                    "who": who,
                },
            )
            self.journal.commit(batch)
            self._round_now(self.area_of(view.event.site_id))
            return self.state.setpoints.get(device_id) or order

    def find(self, record_id: str) -> AnyRecord | None:
        """The record of this id, or None."""
        return self.store.find(record_id)

    def note(self, topic: str, detail: dict[str, float | str | list[float]]) -> Signal:
        """Write down that something happened. Raises StoreError."""
        with self._lock:
            now_utc = self._now()
            batch = self.journal.batch(now_utc)
            signal = batch.add(Signal, topic=topic, published_utc=now_utc, detail=detail)
            self.journal.commit(batch)
            return signal

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self.store.close()

    def _commit_one(self, record: Limit) -> Limit:
        batch = self.journal.batch(self._now())
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        del fields["id"], fields["at_utc"]
        stored = batch.add(Limit, **fields)
        self.journal.commit(batch)
        return stored

    def _intake_of(self, device_id: str) -> None:
        """Take in what happened at a device since the last tick: a car that was plugged in a
        moment ago, or said just now that it may discharge, must hear an operator at once."""
        station_id = device_id.partition("/")[0]
        for area in self.areas:
            if any(station.station_id == station_id for station in area.stations):
                area.intake(self.journal, self._now())

    def _round_now(self, area: Area) -> None:
        """A command takes effect at once, not with the next tick."""
        area.ports.charger.apply(area.round(self.journal, self._now()))
        self._notify()

    def _now(self) -> datetime:
        if self.now_utc is None:
            raise StoreError("the runtime has not started")
        return self.now_utc

    def _notify(self) -> None:
        self.version += 1
        self._changed.notify_all()


def _check_needs(wishes: Needs, view: SessionView, now_utc: datetime) -> None:
    """Every problem of a wish at once. Raises InputError."""
    capacity, problems = view.event.capacity_kwh, []
    for name, value in (
        ("target_kwh", wishes.target_kwh),
        ("energy_min_kwh", wishes.energy_min_kwh),
    ):
        if value is not None and not 0.0 <= value <= capacity + 1e-9:
            allowed = f"0 to {capacity:.1f} kWh"
            problems.append(Problem("promise", 0, name, "outside the battery", allowed))
    ready_by = wishes.ready_by_utc
    if ready_by is not None and not now_utc < ready_by <= now_utc + timedelta(days=14):
        allowed = "after now, within 14 days"
        problems.append(Problem("promise", 0, "ready_by_utc", "not in the near future", allowed))
    if problems:
        raise InputError(problems)
