"""One car's negotiation with its station over a transaction, as a machine without I/O.

    needs -> told to the backend -> Accepted: wait for its profile, Ongoing each 2 s, at most 60 s
                                 -> Processing, NoChargingProfile, silence: what is installed
                                 -> Rejected: -20 another service or the end, -2 what is installed
    offer taken -> the car draws; a changed composite schedule is offered anew (scheduled control)

Sources: OCPP 2.1 part 2, K15-K20 ("Error handling"), Q01 (note on ScheduleExchange), Q02.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from pendel.comms.ocpp.station.ev_side import BIDIRECTIONAL, DYNAMIC, EvSide, Offer

EXCHANGE_S = 60.0
"""Longest time in which a car lets its station work on a schedule."""
STEP_S = 2.0
"""A station answers each request of the car within this time, if only with Ongoing."""


class Phase(Enum):
    """Where the negotiation stands."""

    NEEDS = auto()  # the car told its needs; the backend does not know them yet
    ASKED = auto()  # they are on their way
    WAITING = auto()  # accepted: a profile will come
    AGREED = auto()  # the car took an offer (or is given one now)


class Act(Enum):
    """What the station does next."""

    NOTHING = auto()
    TELL = auto()
    OFFER = auto()
    STOP = auto()


@dataclass(slots=True)
class EvSession:
    """protocol: -2 or -20; service: energy transfer in use or asked for; needs_s: when the car
    told its needs [epoch s]; told: the backend heard them at least once; seen: the profiles that
    were offered last;
    agreed: the backend accepted that profile; wait_s: how long the station lets the car wait;
    given: the schedules it was offered last, prices: those told to it in dynamic control."""

    transaction_id: str
    side: EvSide
    protocol: str
    services: tuple[str, ...]
    can_renegotiate: bool
    needs_s: float
    wait_s: float = EXCHANGE_S
    service: str = ""
    phase: Phase = Phase.NEEDS
    told: bool = False
    drawing: bool = False
    paused: bool = False
    refused: set[str] = field(default_factory=set)
    seen: Any = None
    agreed: bool = False
    given: list[Offer] = field(default_factory=list)
    prices: tuple[tuple[float, float], ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """Whether the station leads the car directly, without schedules (-20 only)."""
        return self.protocol == "-20" and self.side.control == DYNAMIC

    @property
    def is_bidirectional(self) -> bool:
        """Whether the service lets the car give back."""
        return self.service in BIDIRECTIONAL

    def pick(self, allowed: tuple[str, ...] | None) -> None:
        """Take the best service that both sides have and the backend allows (None = it said
        nothing, so all; () = it left the list out: the default, charging only; Q01.FR.09)."""
        able = [s for s in self.services if s not in self.refused]
        if allowed is not None:
            able = [s for s in able if s in allowed] or [s for s in able if s not in BIDIRECTIONAL]
        self.service = able[0] if able else self.services[-1]

    def begin(self, now_s: float) -> None:
        """The car tells (new) needs."""
        self.needs_s, self.phase = now_s, Phase.NEEDS

    def ongoing(self, now_s: float) -> int:
        """How often the station has answered `Ongoing` by now while it waits."""
        waits = self.phase in (Phase.ASKED, Phase.WAITING)
        return int((min(now_s - self.needs_s, EXCHANGE_S) - 1e-9) // STEP_S) if waits else 0

    @property
    def deadline_s(self) -> float:
        """The last answer before the car's time is over [epoch s]."""
        return self.needs_s + min(self.wait_s, EXCHANGE_S - STEP_S)

    def answered(self, status: str) -> Act:
        """The backend's answer to the needs; "" = there was none."""
        self.told = self.told or bool(status)
        if status == "Accepted":
            self.phase = Phase.WAITING
            return Act.NOTHING
        if status == "Rejected" and self.protocol == "-20":
            self.refused.add(self.service)
            if self.can_renegotiate and any(s not in self.refused for s in self.services):
                self.phase = Phase.NEEDS
                return Act.TELL
            return Act.STOP
        self.phase = Phase.AGREED
        return Act.OFFER

    def looked(self, profiles: Any, own: Any, now_s: float) -> Act:
        """Profiles as they are (own: those of the transaction): is something to be offered?"""
        if self.paused:
            return Act.NOTHING
        if self.phase is Phase.WAITING:
            came = self.seen is None or own != self.seen[1]
            if (came and own) or now_s >= self.deadline_s:
                self.phase = Phase.AGREED
                return Act.OFFER
        elif self.phase is Phase.ASKED and now_s >= self.deadline_s:
            self.phase = Phase.AGREED
            return Act.OFFER
        elif self.phase is Phase.AGREED and not self.is_dynamic and self.seen != (profiles, own):
            return Act.OFFER
        return Act.NOTHING
