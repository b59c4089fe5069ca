"""When does a car really leave? Learned, because stated departures are wrong by hours.

On the shared workplace sessions the stated departure is wrong by 1.2-1.9 h in the median and
22-37 % leave more than 15 minutes early. The model is a hazard per step (`departure_kernels`)
with three levels of knowledge, each shrunk to the one above by gamma pseudo-counts:

    prior (ships with the package, one table per archetype: workplace, home, public)
      -> site (factors per class, archetype weights by likelihood, recent sessions count more)
        -> driver (three factors per vehicle_id, where known)

Nothing here sees a departure before it happened: `learn` takes ended sessions only.
Concept and calibration: docs/concepts/promise.md.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from pendel.control.state import FleetState
from pendel.scenario.columns import StrArray
from pendel.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, FloatArray, IntArray

LEVELS = 152
MONDAY = 3
"""Weekday of day 0 of the epoch, counted from Monday."""
STEP_LEARNED_S = 900
SITE_STRENGTH = 12.0
DRIVER_STRENGTH = 6.0
HALF_LIFE_SESSIONS = 400.0
WEIGHT_LEAST = 1e-3
LIKELIHOOD_TEMPER = 0.5
DRIVERS_MAX = 1_000_000
CALENDAR_H = (-17_259_000, 70_389_000)
"""Hours from 1970 to just inside the years 1 and 9999, which calendars know."""


class Prior(msgspec.Struct, frozen=True):
    """Packaged tables: archetype names, shares [A] before any session, factors [A][LEVELS]."""

    archetypes: list[str]
    shares: list[float]
    tables: list[list[float]]
    fitted_on: str


@cache
def packaged_prior() -> Prior:
    """The prior that ships with the package (data/departures/prior.json, see SOURCE.md there)."""
    source = resources.files("pendel") / "data" / "departures" / "prior.json"
    return msgspec.json.decode(source.read_bytes(), type=Prior)


class _Learned:
    """What each site has taught, as columns that grow with the sites [S, A archetypes, LEVELS]:
    factor, seen, expected; log_likelihood [S, A]; sessions [S]."""

    def __init__(self, archetypes: int) -> None:
        self.factor: FloatArray = np.ones((0, archetypes, LEVELS))
        self.seen: FloatArray = np.zeros((0, archetypes, LEVELS))
        self.expected: FloatArray = np.zeros((0, archetypes, LEVELS))
        self.log_likelihood: FloatArray = np.zeros((0, archetypes))
        self.sessions: IntArray = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.sessions)

    def grow_to(self, sites: int) -> None:
        """Make room for sites 0..sites - 1."""
        more = max(sites, 2 * len(self)) - len(self) if sites > len(self) else 0
        if more == 0:
            return
        shape = (more, *self.factor.shape[1:])
        self.factor = np.concatenate([self.factor, np.ones(shape)])
        self.seen = np.concatenate([self.seen, np.zeros(shape)])
        self.expected = np.concatenate([self.expected, np.zeros(shape)])
        self.log_likelihood = np.concatenate([self.log_likelihood, np.zeros(shape[:2])])
        self.sessions = np.concatenate([self.sessions, np.zeros(more, dtype=np.int64)])


@dataclass(slots=True)
class DepartureModel:
    """Probability of presence per unit and step. Mutable: `learn` adds ended sessions.

    timezone: IANA name, for the local time of day and the day type.
    """

    tables: FloatArray
    shares: FloatArray
    timezone: str = "UTC"
    _learned: _Learned = field(default_factory=lambda: _Learned(0))
    _drivers: dict[str, int] = field(default_factory=dict)
    _driver_seen: FloatArray = field(default_factory=lambda: np.zeros((64, 3)))
    _driver_expected: FloatArray = field(default_factory=lambda: np.zeros((64, 3)))
    _stack: tuple[FloatArray, FloatArray] | None = None
    _changed: set[int] = field(default_factory=set)

    @classmethod
    def prior(cls, timezone: str = "UTC", prior: Prior | None = None) -> "DepartureModel":
        """A model that knows only the packaged prior (or the given one)."""
        known = prior if prior is not None else packaged_prior()
        return cls(
            tables=np.array(known.tables, dtype=np.float64),
            shares=np.array(known.shares, dtype=np.float64),
            timezone=timezone,
        )

    def presence(self, state: FleetState, now_s: int, step_s: int, steps: int) -> FloatArray:
        """P(connected throughout step k | connected throughout the current step 0) [N, steps].

        Non-increasing in k; 1 for storages and in step 0. Steps of step_s from now_s on.
        """
        from pendel.control.departure_kernels import presence_rows

        out = np.empty((len(state), steps))
        if len(state) == 0:
            return out
        tables, weights = self._stacked(int(state.site.max()) + 1)
        local_s, weekend = self._local(now_s, step_s, steps)
        presence_rows(
            now_s, step_s, state.arrive_s, state.stated_depart_s,
            state.is_session.astype(np.int64), state.site, self._driver_rows(state.vehicle_id),
            local_s, weekend, tables, weights, self._driver_factors(), out,
        )  # fmt: skip
        return out

    def learn(
        self,
        site: IntArray,
        vehicle_id: StrArray,
        arrive_s: IntArray,
        stated_depart_s: IntArray,
        depart_s: IntArray,
    ) -> None:
        """Take in ended sessions (columns, any order); a session counts half as much as one
        HALF_LIFE_SESSIONS later. vehicle_id "" = unknown driver."""
        from pendel.control.departure_kernels import learn_rows

        if len(site) == 0:
            return
        known = self._known(int(site.max()) + 1)
        rows = np.array([self._driver_row(v) for v in vehicle_id.tolist()], dtype=np.int64)
        local_s = self._local_of(arrive_s)
        learn_rows(
            STEP_LEARNED_S, site, arrive_s, stated_depart_s, depart_s,
            local_s % SECONDS_PER_DAY, (local_s // SECONDS_PER_DAY + MONDAY) % 7, rows,
            self.tables, np.log(self.shares), known.factor, known.seen, known.expected,
            known.log_likelihood, self._driver_seen, self._driver_expected,
            0.5 ** (1.0 / HALF_LIFE_SESSIONS), LIKELIHOOD_TEMPER, SITE_STRENGTH, DRIVER_STRENGTH,
        )  # fmt: skip
        np.add.at(known.sessions, site, 1)
        self._changed.update(site.tolist())

    def site_sessions(self, site: int) -> int:
        """How many sessions this site has taught."""
        return int(self._learned.sessions[site]) if site < len(self._learned) else 0

    def archetype_shares(self, site: int) -> FloatArray:
        """Share of each archetype at this site, given what it has taught [A]."""
        return np.asarray(self.shares_at(np.array([site]))[0], dtype=np.float64)

    def shares_at(self, sites: IntArray) -> FloatArray:
        """Share of each archetype at each of these sites, given what they have taught [M, A]."""
        shares = np.repeat(self.shares[None], len(sites), axis=0)
        inside = np.flatnonzero(sites < len(self._learned))
        taught = inside[self._learned.sessions[sites[inside]] > 0]
        if len(taught):
            shares[taught] = self._shares_of(sites[taught])
        return shares

    def _shares_of(self, sites: IntArray) -> FloatArray:
        """Shares [M, A] of sites that have taught something."""
        score = self._learned.log_likelihood[sites] + np.log(self.shares)
        share = np.exp(score - score.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        share[share < WEIGHT_LEAST] = 0.0
        return np.asarray(share / share.sum(axis=1, keepdims=True), dtype=np.float64)

    def _known(self, sites: int) -> _Learned:
        if len(self._learned) == 0:
            self._learned = _Learned(len(self.shares))
        self._learned.grow_to(sites)
        return self._learned

    def _stacked(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Tables [S, A, LEVELS] and weights [S, A] of sites 0..count-1 (at least)."""
        if self._stack is None or len(self._stack[1]) < count:
            tables = np.repeat(self.tables[None], count, axis=0)
            weights = np.repeat(self.shares[None], count, axis=0)
            self._stack = (tables, weights)
            self._changed.update(np.flatnonzero(self._learned.sessions > 0).tolist())
        tables, weights = self._stack
        sites = np.array(sorted(s for s in self._changed if s < len(weights)), dtype=np.int64)
        if len(sites):
            tables[sites] = self.tables * self._learned.factor[sites]
            weights[sites] = self._shares_of(sites)
            self._changed.difference_update(sites.tolist())
        return tables, weights

    def _local(self, now_s: int, step_s: int, steps: int) -> tuple[IntArray, IntArray]:
        """Seconds since local midnight and weekend flag of each step."""
        local_s = self._local_of(now_s + step_s * np.arange(steps))
        weekend = (local_s // SECONDS_PER_DAY + MONDAY) % 7 >= 5
        return local_s % SECONDS_PER_DAY, weekend.astype(np.int64)

    def _local_of(self, at_s: IntArray) -> IntArray:
        """Local wall clock times [M] as seconds since 1970-01-01 00:00 (one offset per hour)."""
        zone = ZoneInfo(self.timezone)
        hours, place = np.unique(at_s // SECONDS_PER_HOUR, return_inverse=True)
        known = np.clip(hours, *CALENDAR_H)  # calendars end; what lies beyond keeps their offset
        moments = [datetime.fromtimestamp(h * SECONDS_PER_HOUR, zone) for h in known.tolist()]
        offsets = [int((m.utcoffset() or m - m).total_seconds()) for m in moments]
        return np.asarray(at_s + np.array(offsets, dtype=np.int64)[place], dtype=np.int64)

    def _driver_row(self, vehicle_id: str) -> int:
        """Row of a driver, 0 for unknown ones; adds a row at first sight."""
        if vehicle_id == "":
            return 0
        row = self._drivers.get(vehicle_id)
        if row is None:
            if len(self._drivers) >= DRIVERS_MAX:
                return 0
            row = len(self._drivers) + 1
            self._drivers[vehicle_id] = row
            if row >= len(self._driver_seen):
                grow = np.zeros_like(self._driver_seen)
                self._driver_seen = np.concatenate([self._driver_seen, grow])
                self._driver_expected = np.concatenate([self._driver_expected, grow])
        return row

    def _driver_rows(self, vehicle_id: StrArray) -> IntArray:
        if not self._drivers:
            return np.zeros(len(vehicle_id), dtype=np.int64)
        get = self._drivers.get
        return np.array([get(v, 0) for v in vehicle_id.tolist()], dtype=np.int64)

    def _driver_factors(self) -> FloatArray:
        rows = len(self._drivers) + 1
        seen, expected = self._driver_seen[:rows], self._driver_expected[:rows]
        return np.asarray((DRIVER_STRENGTH + seen) / (DRIVER_STRENGTH + expected))
