"""The promise to the driver: by when, with how much, never below, and how surely it is kept.

A promise counts where charging at once from arrival would have reached the target by the *real*
departure (contract), and departures are uncertain. The keeper therefore
  - says at plug-in what can be kept, or the best possible instead and why (`at_plug_in`);
  - gives the energy under which nobody may go (`floors`, `least_energy_kwh`);
  - finds the price of a broken promise, one for all cars, at which the share kept stays at least
    the confidence (`risk_price_eur`), from the predicted risk of the sessions seen and from a
    ledger of promises kept and broken that is never overdrawn.

The driver may restate his needs; fleet and site can tighten (more energy, earlier, a higher
minimum) and never loosen. See docs/concepts/promise.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from pendel.control.policy import LADDER_EUR, Room, RoomBelow, lone_paths, risk_ladder
from pendel.control.state import FleetState, select
from pendel.records import Needs
from pendel.scenario.columns import UNKNOWN_S, StrArray
from pendel.units import PROMISE_TOLERANCE_KWH, SECONDS_PER_HOUR, FloatArray, IntArray

CONFIDENCE_LEAST, CONFIDENCE_MOST = 0.5, 0.999
STRICT_EUR = 1e5
LADDER_HALF_LIFE = 300.0
LEDGER_BEGIN = 0.3  # share of the allowed risk run at first, fading over LEDGER_BEGIN_BROKEN breaks
LEDGER_BEGIN_BROKEN = 3.0
YOUNG_LEAST_EUR = 300.0
"""Least price of a broken promise until the ledger has a balance."""
LADDER_KEEP = 8.0  # sessions' worth of predictions that doubt leaves
LEDGER_AIM = 0.95
LEDGER_RESERVE = 0.8
LEDGER_SCALE = 1.5
LEDGER_RUNNING = 2.0
LADDER_UNITS_MAX = 64
RISK_SHARE_LEAST = 0.02
CALIBRATION = 4.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What is told at plug-in, as columns [N].

    target_kwh: what will be there; asked_kwh: what was wished; energy_min_kwh; ready_by_s: epoch
    seconds of the stated departure, or of the earliest possible completion where none was stated;
    reason "" where the wish is met.
    """

    target_kwh: FloatArray
    asked_kwh: FloatArray
    energy_min_kwh: FloatArray
    ready_by_s: IntArray
    reason: StrArray


@dataclass(slots=True)
class PromiseKeeper:
    """Keeps promises at a chosen confidence (0.5..0.999). Mutable: it remembers how it went."""

    confidence: float = 0.99
    counted: int = 0
    broken: int = 0
    _needs: dict[str, dict[str, Needs]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _ladder_sum: FloatArray = field(default_factory=lambda: np.zeros(len(LADDER_EUR)))
    _ladder_weight: float = 0.0
    _spent: float = 0.0

    def __post_init__(self) -> None:
        if not CONFIDENCE_LEAST <= self.confidence <= CONFIDENCE_MOST:
            raise ValueError(
                f"confidence {self.confidence} is outside {CONFIDENCE_LEAST}..{CONFIDENCE_MOST}"
            )

    # ---- what was told ---------------------------------------------------------------------

    def tighten(self, needs: Needs) -> None:
        """Take in needs of one source for one session; a source's newer needs replace its own."""
        self._needs.setdefault(needs.session_id, {})[needs.source] = needs

    def restate(self, wishes: Mapping[str, Sequence[Needs]]) -> list[str]:
        """Replace everything that is asked, by session_id; returns the sessions whose needs are
        not those of before. The live loop knows all needs from its log at every moment."""
        now = {name: {needs.source: needs for needs in own} for name, own in wishes.items() if own}
        before, self._needs = self._needs, now
        return [name for name in {**before, **now} if before.get(name) != now.get(name)]

    def forget(self, session_ids: Sequence[str]) -> None:
        """Drop what is remembered of sessions that ended."""
        for session_id in session_ids:
            self._needs.pop(session_id, None)
            self._seen.discard(session_id)

    def with_needs(self, state: FleetState) -> tuple[FleetState, IntArray]:
        """The state with all needs applied, and ready-by times [N] (UNKNOWN_S = none).

        Targets and minimums are the highest of all sources, ready-by the earliest; "charge now"
        holds if anybody wants it; only the driver may pause. The given state stays unchanged.
        """
        ready_s = np.full(len(state), UNKNOWN_S, dtype=np.int64)
        if not self._needs:
            return state, ready_s
        target, least = state.target_kwh.copy(), state.energy_min_kwh.copy()
        now, paused = state.charge_now.copy(), state.paused.copy()
        for n, unit in enumerate(state.unit_id):
            own = self._needs.get(str(unit), {})
            driver = own.get("driver")
            if driver is not None:
                if driver.target_kwh is not None:
                    target[n] = driver.target_kwh
                if driver.energy_min_kwh is not None:
                    least[n] = driver.energy_min_kwh
                paused[n] = driver.paused
            for needs in own.values():
                if needs.target_kwh is not None:
                    target[n] = max(target[n], needs.target_kwh)
                if needs.energy_min_kwh is not None:
                    least[n] = max(least[n], needs.energy_min_kwh)
                now[n] = now[n] or needs.charge_now
                if needs.ready_by_utc is not None:
                    by_s = int(needs.ready_by_utc.timestamp())
                    ready_s[n] = by_s if ready_s[n] == UNKNOWN_S else min(ready_s[n], by_s)
        target = np.minimum(target, state.capacity_kwh)
        least = np.minimum(least, state.capacity_kwh)
        tight = replace(
            state, target_kwh=target, energy_min_kwh=least, charge_now=now, paused=paused
        )
        return tight, ready_s

    def at_plug_in(self, state: FleetState, now_s: int, step_s: int) -> Offer:
        """What can be promised to each unit, and why not more [N].

        With a stated departure or a ready-by (the earlier one) the target is limited to what
        charging at once reaches until then (whole steps); without any the time of the earliest
        completion is said instead.
        """
        tight, ready_s = self.with_needs(state)
        told_s, never_s = tight.stated_depart_s, np.iinfo(np.int64).max
        by_s = np.minimum(
            np.where(ready_s == UNKNOWN_S, never_s, ready_s),
            np.where(told_s == UNKNOWN_S, never_s, told_s),
        )
        stated = by_s != never_s
        begin_s = -(-np.maximum(now_s, tight.arrive_s) // step_s) * step_s
        gain_kwh = tight.charge_max_kw * tight.charge_efficiency * step_s / SECONDS_PER_HOUR
        left = np.maximum(by_s // step_s - begin_s // step_s, 0)
        best = np.minimum(tight.energy_kwh + gain_kwh * left, tight.capacity_kwh)
        target = np.where(stated, np.minimum(tight.target_kwh, best), tight.target_kwh)
        lack = np.maximum(tight.target_kwh - tight.energy_kwh, 0.0)
        needed = np.ceil(lack / np.maximum(gain_kwh, 1e-12) - 1e-9)
        done_s = begin_s + (np.minimum(needed, 1e6) * step_s).astype(np.int64)
        reason = np.array(
            [
                f"{lack[n]:.1f} kWh more were asked; {left[n] * step_s / 60:.0f} min at "
                f"{tight.charge_max_kw[n]:.1f} kW give {max(best[n] - tight.energy_kwh[n], 0):.1f}"
                if stated[n] and target[n] < tight.target_kwh[n] - PROMISE_TOLERANCE_KWH
                else ""
                for n in range(len(tight))
            ],
            dtype=np.str_,
        )
        return Offer(
            target, tight.target_kwh, tight.energy_min_kwh, np.where(stated, by_s, done_s), reason
        )

    # ---- floors ----------------------------------------------------------------------------

    def least_energy_kwh(
        self, state: FleetState, presence: FloatArray, now_s: int, step_s: int
    ) -> FloatArray:
        """Discharge floor at this moment [N]: least stored energy from which everything promised
        can still be kept at the confidence. Never above what is stored now."""
        floors = self.ramp_floors(state, presence, now_s, step_s)
        gain = state.charge_max_kw * state.charge_efficiency * (step_s / SECONDS_PER_HOUR)
        first = np.nan_to_num(floors[:, 0], nan=-np.inf)
        least = np.maximum(first - gain, state.energy_min_kwh)
        return np.minimum(least, state.energy_kwh)

    def floors(
        self,
        state: FleetState,
        presence: FloatArray,
        now_s: int,
        step_s: int,
        import_eur_kwh: FloatArray,
        export_eur_kwh: FloatArray,
        price_row: IntArray,
        room_below: RoomBelow | None = None,
    ) -> FloatArray:
        """Energy that must be stored at the end of each step [N, K]; NaN = none.

        The energy the lone policy would hold at the risk price, at most the trajectory of charging
        at once, so that a planner that keeps the floors runs no more risk than the policy;
        room_below chooses the room of the sites (`peak`). Reachable from now by construction.
        """
        tight, ready_s = self.with_needs(state)
        gain = tight.charge_max_kw * tight.charge_efficiency * (step_s / SECONDS_PER_HOUR)
        reach = tight.energy_kwh[:, None] + gain[:, None] * np.arange(1, presence.shape[1] + 1)
        at_once = np.minimum(reach, tight.target_kwh[:, None])
        needed = self.needed(tight, ready_s, now_s, step_s, presence.shape[1])
        prices = (import_eur_kwh, export_eur_kwh, price_row)
        self._meet(tight, presence, *prices, now_s, step_s)
        risk_eur = self.risk_price_eur()
        paths = partial(lone_paths, tight, presence, needed, risk_eur, *prices, now_s, step_s)
        below = None if room_below is None else room_below(paths, risk_eur)
        floor = np.fmax(np.minimum(paths(below)[0], at_once), needed)
        return np.where((tight.is_session & ~tight.paused)[:, None], floor, np.nan)

    def ramp_floors(
        self, state: FleetState, presence: FloatArray, now_s: int, step_s: int, ends: bool = False
    ) -> FloatArray:
        """Energy that must be stored at the end of each step [N, K]; NaN = none.

        Without prices, for many: the target is due where the probability of having left with a
        counting promise reaches the risk that the confidence leaves, and before that the ramp that
        still reaches it. ends: every target is due at the last step, the end of the run.
        """
        from pendel.control.floor_kernels import NO_TIME, ramp_floors
        from pendel.control.policy import counts_in_steps

        tight, ready_s = self.with_needs(state)
        ready = np.maximum(ready_s // step_s - now_s // step_s, 0)
        out = np.empty_like(presence)
        ramp_floors(
            tight.energy_kwh, tight.target_kwh, tight.energy_min_kwh,
            tight.charge_max_kw * tight.charge_efficiency * (step_s / SECONDS_PER_HOUR),
            counts_in_steps(tight, now_s, step_s), np.where(ready_s == UNKNOWN_S, NO_TIME, ready),
            tight.charge_now, tight.is_session & ~tight.paused, presence, self.risk_share(),
            ends, out,
        )  # fmt: skip
        return out

    def needed(
        self, state: FleetState, ready_s: IntArray, now_s: int, step_s: int, steps: int
    ) -> FloatArray:
        """Energy due for certain at the end of each step [N, steps], NaN = nothing: because of
        ready-by times, "charge now" and the minimum; never more than charging at once reaches."""
        ahead = np.arange(1, steps + 1)[None, :]
        gain = state.charge_max_kw * state.charge_efficiency * (step_s / SECONDS_PER_HOUR)
        reach = state.energy_kwh[:, None] + gain[:, None] * ahead
        ready = ready_s[:, None] != UNKNOWN_S
        # the ramp that is complete at the last whole step before ready-by
        left = np.where(ready, ready_s[:, None] // step_s - now_s // step_s - ahead, 0)
        ramp = state.target_kwh[:, None] - gain[:, None] * np.maximum(left, 0)
        floor = np.where(ready, ramp, -np.inf)
        floor = np.where(state.charge_now[:, None], state.target_kwh[:, None], floor)
        floor = np.maximum(floor, state.energy_min_kwh[:, None])
        floor = np.minimum(floor, reach)
        return np.where(floor > 0.0, floor, np.nan)

    # ---- the risk --------------------------------------------------------------------------

    def observe(self, counted: int, kept: int) -> None:
        """Ended sessions: how many promises counted (contract) and how many were kept."""
        self.counted += counted
        self.broken += counted - kept

    def kept_share(self) -> float:
        """Share of promises kept so far (1 before the first)."""
        return 1.0 - self.broken / self.counted if self.counted else 1.0

    def risk_share(self) -> float:
        """Probability of a broken promise that a session may run now.

        The ledger: LEDGER_AIM (1 - confidence) is paid in per promise counted, 1 is paid out
        per promise broken. The share follows the balance above a reserve, the more gently the more
        promises are running (their outcome is not known yet). A young ledger has no balance; it
        begins with a small share of what is allowed.
        """
        allowed = 1.0 - self.confidence
        balance = self._balance()
        youth = max(1.0 - allowed * self.counted / LEDGER_BEGIN_BROKEN, 0.0)
        first = LEDGER_BEGIN * youth * min(max(1.0 + balance, 0.0), 1.0)
        if balance < LEDGER_RESERVE:
            return allowed * first / self.calibration()
        scale = LEDGER_SCALE + LEDGER_RUNNING * allowed * len(self._seen)
        share = (balance - LEDGER_RESERVE) / scale
        return allowed * min(max(share, first, RISK_SHARE_LEAST), 1.0) / self.calibration()

    def _balance(self) -> float:
        """Promises that may still break, in the ledger."""
        return LEDGER_AIM * (1.0 - self.confidence) * self.counted - self.broken

    def memory(self) -> dict[str, float | list[float]]:
        """What was learned of risk, as plain numbers, for who must know it again later."""
        return {
            "counted": float(self.counted),
            "broken": float(self.broken),
            "spent": self._spent,
            "met": float(len(self._seen)),
            "ladder_sum": self._ladder_sum.tolist(),
            "ladder_weight": self._ladder_weight,
        }

    def recall(self, memory: Mapping[str, object], seen: Sequence[str]) -> None:
        """Know again what `memory` told; what it does not hold stays. seen: units met before."""
        numbers = {k: float(v) for k, v in memory.items() if isinstance(v, float | int)}
        self.counted = int(numbers.get("counted", self.counted))
        self.broken = int(numbers.get("broken", self.broken))
        self._spent = numbers.get("spent", self._spent)
        ladder = memory.get("ladder_sum")
        if isinstance(ladder, list) and len(ladder) == len(LADDER_EUR):
            self._ladder_sum = np.array(ladder, dtype=np.float64)
            self._ladder_weight = numbers.get("ladder_weight", 0.0)
        if numbers.get("met", 0.0) > 0.0:
            self._seen.update(seen)

    def calibration(self) -> float:
        """Promises broken over those the model expected to break, shrunk to 1, at least 0.5."""
        return max((CALIBRATION + self.broken) / (CALIBRATION + self._spent), 0.5)

    def learn_risk(self, ladder: FloatArray) -> None:
        """Predicted risk of new sessions at each price of LADDER_EUR [N, L]."""
        for row in ladder:
            fade = 0.5 ** (1.0 / LADDER_HALF_LIFE)
            self._ladder_sum = self._ladder_sum * fade + row
            self._ladder_weight = self._ladder_weight * fade + 1.0

    def doubt(self, share: float) -> None:
        """Forget a share (0..1) of the predicted risks: the model behind them has changed."""
        weight = self._ladder_weight
        if weight > LADDER_KEEP:
            left = max(1.0 - share, LADDER_KEEP / weight)
            self._ladder_sum, self._ladder_weight = self._ladder_sum * left, weight * left

    def risk_price_eur(self) -> float:
        """EUR per broken promise at which the mean predicted risk is the risk share of now.

        Risk that no price avoids (a car that a limit holds back behind charging at once) is left
        out: being strict elsewhere would not lower it. What comes of it, the ledger notes.
        """
        if self._ladder_weight <= 0.0:
            return STRICT_EUR
        mean = np.maximum.accumulate((self._ladder_sum / self._ladder_weight)[::-1])[::-1]
        mean = mean - mean[-1]
        share = self.risk_share()
        if share <= 0.0:
            return STRICT_EUR
        logs = np.log(np.maximum(mean, 1e-9))
        price = float(np.exp(np.interp(-np.log(share), -logs, np.log(LADDER_EUR))))
        return max(price, YOUNG_LEAST_EUR) if self._balance() < LEDGER_RESERVE else price

    def paths(
        self,
        state: FleetState,
        presence: FloatArray,
        import_eur_kwh: FloatArray,
        export_eur_kwh: FloatArray,
        price_row: IntArray,
        now_s: int,
        step_s: int,
        room: Room | None = None,
    ) -> FloatArray:
        """Energy at the end of each step [N, K] that is cheapest in expectation for units that
        nothing couples (`policy`), at the risk price; learns the risk of units not seen before.

        presence [N, K]; prices [R, K]; price_row [N]; room: power the sites have left, if limited.
        """
        tight, ready_s = self.with_needs(state)
        self._meet(tight, presence, import_eur_kwh, export_eur_kwh, price_row, now_s, step_s)
        floor = self.needed(tight, ready_s, now_s, step_s, presence.shape[1])
        energy, _ = lone_paths(
            tight, presence, floor, self.risk_price_eur(), import_eur_kwh, export_eur_kwh,
            price_row, now_s, step_s, room,
        )  # fmt: skip
        return energy

    def _meet(
        self,
        state: FleetState,
        presence: FloatArray,
        import_eur_kwh: FloatArray,
        export_eur_kwh: FloatArray,
        price_row: IntArray,
        now_s: int,
        step_s: int,
    ) -> None:
        """Learn the risk of units not seen before, of LADDER_UNITS_MAX of them at most."""
        fresh = [n for n, unit in enumerate(state.unit_id.tolist()) if unit not in self._seen]
        if not fresh:
            return
        self._seen.update(str(state.unit_id[n]) for n in fresh)
        cars = [n for n in fresh if state.is_session[n]]
        self._spent += self.risk_share() * self.calibration() * len(cars)
        rows = np.array(cars[:: len(cars) // LADDER_UNITS_MAX + 1], dtype=np.int64)
        if len(rows):
            few, seen = select(state, rows), presence[rows]
            self.learn_risk(
                risk_ladder(
                    few, seen, import_eur_kwh, export_eur_kwh, price_row[rows], now_s, step_s
                )
            )
