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
from pendel.units import FloatArray, IntArray

LEVELS = 152
STEP_LEARNED_S = 900
SITE_STRENGTH = 12.0
DRIVER_STRENGTH = 6.0
HALF_LIFE_SESSIONS = 400.0
WEIGHT_LEAST = 1e-3
LIKELIHOOD_TEMPER = 0.5
DRIVERS_MAX = 1_000_000


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


@dataclass(slots=True)
class _Site:
    """What one site has taught: factor, seen, expected [A, LEVELS]; log likelihoods [A]."""

    factor: FloatArray
    seen: FloatArray
    expected: FloatArray
    log_likelihood: FloatArray
    sessions: int = 0


@dataclass(slots=True)
class DepartureModel:
    """Probability of presence per unit and step. Mutable: `learn` adds ended sessions.

    timezone: IANA name, for the local time of day and the day type.
    """

    tables: FloatArray
    shares: FloatArray
    timezone: str = "UTC"
    _sites: dict[int, _Site] = field(default_factory=dict)
    _drivers: dict[str, int] = field(default_factory=dict)
    _driver_seen: FloatArray = field(default_factory=lambda: np.zeros((64, 3)))
    _driver_expected: FloatArray = field(default_factory=lambda: np.zeros((64, 3)))
    _stack: tuple[int, FloatArray, FloatArray] | None = None

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
        from pendel.control.departure_kernels import learn_session

        zone = ZoneInfo(self.timezone)
        unit = np.ones(3)
        for n in range(len(site)):
            known = self._site(int(site[n]))
            begin = datetime.fromtimestamp(int(arrive_s[n]), zone)
            local_s = begin.hour * 3600 + begin.minute * 60 + begin.second
            row = self._driver_row(str(vehicle_id[n]))
            factors = self._driver_factor(row) if row else unit
            fade = 0.5 ** (1.0 / HALF_LIFE_SESSIONS)
            known.seen *= fade
            known.expected *= fade
            known.log_likelihood *= fade
            heaviest = int(np.argmax(known.log_likelihood + np.log(self.shares)))
            for a in range(len(self.shares)):
                seen, expected = np.zeros(3), np.zeros(3)
                known.log_likelihood[a] += LIKELIHOOD_TEMPER * learn_session(
                    STEP_LEARNED_S, int(arrive_s[n]), int(stated_depart_s[n]), int(depart_s[n]),
                    local_s, begin.weekday(), self.tables[a], known.factor[a], known.seen[a],
                    known.expected[a], factors, seen, expected,
                )  # fmt: skip
                if a == heaviest and row:
                    self._driver_seen[row] += seen
                    self._driver_expected[row] += expected
            known.factor[:] = (SITE_STRENGTH + known.seen) / (SITE_STRENGTH + known.expected)
            known.sessions += 1
        if len(site):
            self._stack = None

    def site_sessions(self, site: int) -> int:
        """How many sessions this site has taught."""
        return self._sites[site].sessions if site in self._sites else 0

    def archetype_shares(self, site: int) -> FloatArray:
        """Share of each archetype at this site, given what it has taught [A]."""
        if site not in self._sites:
            return self.shares.copy()
        score = self._sites[site].log_likelihood + np.log(self.shares)
        share = np.exp(score - score.max())
        share /= share.sum()
        share[share < WEIGHT_LEAST] = 0.0
        return np.asarray(share / share.sum(), dtype=np.float64)

    def _site(self, site: int) -> _Site:
        if site not in self._sites:
            shape = self.tables.shape
            self._sites[site] = _Site(
                np.ones(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape[0])
            )
        return self._sites[site]

    def _stacked(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Tables [S, A, LEVELS] and weights [S, A] of sites 0..count-1."""
        if self._stack is not None and self._stack[0] >= count:
            return self._stack[1], self._stack[2]
        tables = np.repeat(self.tables[None], count, axis=0)
        weights = np.repeat(self.shares[None], count, axis=0)
        for site, known in self._sites.items():
            if site < count:
                tables[site] *= known.factor
                weights[site] = self.archetype_shares(site)
        self._stack = (count, tables, weights)
        return tables, weights

    def _local(self, now_s: int, step_s: int, steps: int) -> tuple[IntArray, IntArray]:
        """Seconds since local midnight and weekend flag of each step (offset of each hour)."""
        zone = ZoneInfo(self.timezone)
        local_s = np.empty(steps, dtype=np.int64)
        weekend = np.empty(steps, dtype=np.int64)
        offset, until = 0, -1
        for k in range(steps):
            at = now_s + k * step_s
            if at >= until:
                moment = datetime.fromtimestamp(at, zone)
                offset = int((moment.utcoffset() or moment - moment).total_seconds())
                until = at - at % 3600 + 3600
            local = at + offset
            local_s[k] = local % 86400
            weekend[k] = 1 if (local // 86400 + 3) % 7 >= 5 else 0
        return local_s, weekend

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
        return np.array([get(str(v), 0) for v in vehicle_id], dtype=np.int64)

    def _driver_factor(self, row: int) -> FloatArray:
        seen, expected = self._driver_seen[row], self._driver_expected[row]
        return np.asarray((DRIVER_STRENGTH + seen) / (DRIVER_STRENGTH + expected))

    def _driver_factors(self) -> FloatArray:
        rows = len(self._drivers) + 1
        seen, expected = self._driver_seen[:rows], self._driver_expected[:rows]
        return np.asarray((DRIVER_STRENGTH + seen) / (DRIVER_STRENGTH + expected))
