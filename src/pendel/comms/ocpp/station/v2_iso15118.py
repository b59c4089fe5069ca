"""A 2.x station between backend and car: needs told, schedules offered, the car's choice reported,
renegotiation from either side (K15-K20), choice of the energy transfer (Q01, Q02).

The machine is in ev_session, the car's mind in ev_side; the wire of ISO 15118 is not spoken.
"""

from typing import Any

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.profile import Profile, Purpose
from pendel.comms.ocpp.station.behaviour import situation
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Car, Evse
from pendel.comms.ocpp.station.ev_offers import cut_by, reported
from pendel.comms.ocpp.station.ev_session import Act, EvSession, Phase
from pendel.comms.ocpp.station.ev_side import (
    Appetite,
    Choice,
    beyond,
    choose,
    prices_of,
)
from pendel.comms.ocpp.station.iso15118_variables import Iso15118Variables
from pendel.comms.ocpp.station.needs import charging_needs, services_of
from pendel.comms.ocpp.station.v2_dialect import Payload, rejected
from pendel.comms.ocpp.station.v2_offers import HORIZON_S, Offers2
from pendel.units import W_PER_KW

OFFLINE_CODES = ("ConnectionLost", "Overflow")
"""Needs that never reached the line: told again once there is one."""


class Iso15118(Offers2):
    """Blocks K15-K20, Q01 and Q02 as the station sees them."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self.sessions: dict[int, EvSession] = {}
        self.about_ev = Iso15118Variables(self.variables, station.settings, self.is_21)

    # the session of a car

    def session(self, evse: Evse) -> EvSession | None:
        """The talk with the car whose transaction is let in; begun when it is first asked for."""
        car, transaction = evse.car, evse.transaction
        if car is None or transaction is None or not transaction.authorized:
            return None
        found = self.sessions.get(evse.id)
        if found is not None and found.transaction_id == transaction.id:
            return found
        protocol = car.ev_side.speaks(car.discharge_max_kw > 0.0, self.is_21)
        if protocol == "none":
            return None
        found = self.sessions[evse.id] = EvSession(
            transaction.id,
            car.ev_side,
            protocol,
            services_of(self.station.settings, car, protocol, self.is_21),
            self.station.settings.renegotiates_service,
            self.station.now_s,
            self.station.settings.profile_wait_s,
        )
        found.pick(evse.transfers)
        self.about_ev.connected(evse.id, car, protocol, found.service)
        self._hold(evse, found)
        return found

    def plugged(self, evse: Evse, now_s: float) -> None:
        """The car's vehicle id is known with the cable (SessionSetup)."""
        car = evse.car
        if car is not None:
            protocol = car.ev_side.speaks(car.discharge_max_kw > 0.0, self.is_21)
            self.about_ev.connected(evse.id, car, protocol, "")
        super().plugged(evse, now_s)

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """The talk ends with the cable."""
        super().unplugged(evse, car, now_s)
        self.about_ev.gone(evse.id)

    def _let_in(self, evse: Evse, id_token: str, trigger: str, remote: int | None = None) -> None:
        transaction, car = evse.transaction, evse.car
        if car is not None and (transaction is None or not transaction.authorized):
            speaks = car.ev_side.speaks(car.discharge_max_kw > 0.0, self.is_21)
            evse.ev_hold = "" if speaks == "none" else "negotiating"
        super()._let_in(evse, id_token, trigger, remote)
        session = self.session(evse)
        if session is not None and self.station.peer is None and session.phase is Phase.NEEDS:
            self._act(evse, session, session.answered(""))  # offline: by what is installed

    def _end(self, evse: Evse, now_s: float, trigger: str, reason: str) -> None:
        super()._end(evse, now_s, trigger, reason)
        self.sessions.pop(evse.id, None)
        evse.ev_hold, evse.ev_profile = "", ()

    def _hold(self, evse: Evse, session: EvSession) -> None:
        """What the car does not do now: it draws nothing before the first offer or in a pause, and
        gives nothing back in a service that has no such direction."""
        evse.ev_hold = "paused" if session.paused else "" if session.drawing else "negotiating"
        if self.is_21 and not session.is_bidirectional:
            evse.v2x_allowed = False

    def _token(self, id_token: str, evse: Evse | None = None) -> Payload:
        """The EVCCID goes with the token in a -20 session (Q01.FR.02)."""
        found = super()._token(id_token, evse)
        car = None if evse is None else evse.car
        if car is None or not car.evcc_id or not self.is_21 or not id_token:
            return found
        if car.ev_side.speaks(car.discharge_max_kw > 0.0, True) == "-20":
            told = {"additionalIdToken": car.evcc_id, "type": "EVCCID"}
            found["additionalInfo"] = [told]
        return found

    def meter_value(self, evse: Evse, now_s: float, context: str) -> Payload:
        """With what the operation mode adds (Q01.FR.33-35)."""
        found = super().meter_value(evse, now_s, context)
        samples = found["sampledValue"]
        told = {sample["measurand"] for sample in samples}
        for measurand, value, unit in self.about_ev.extra(evse, context):
            if measurand not in told:
                samples.append(
                    {
                        "value": round(value, 6),
                        "measurand": measurand,
                        "unitOfMeasure": {"unit": unit},
                        "context": context,
                    }
                )
        return found

    # needs

    def ready(self, evse: Evse, now_s: float) -> None:
        """Tell needs that the backend does not know; look whether there is something to offer."""
        session = self.session(evse)
        if session is None or evse.fault is not None or evse.car is None:
            return
        if not evse.needs_sent and not session.paused:
            self._tell_needs(evse, evse.car, session)
        self._look_at(evse, session, now_s)

    def _tell_needs(self, evse: Evse, car: Car, session: EvSession) -> None:
        evse.needs_sent, session.phase = True, Phase.ASKED
        session.seen = self._installed(session)
        if self.station.settings.takes_early_profiles and not session.told:
            session.seen = (session.seen[0], ())
        settings, needs_s = self.station.settings, session.needs_s
        payload: Payload = {
            "evseId": evse.id,
            "maxScheduleTuples": session.side.points_max,
            "chargingNeeds": charging_needs(settings, car, session, self.stamp, self.is_21),
        }
        if self.is_21:
            payload["timestamp"] = self.stamp(needs_s)

        def is_current() -> bool:
            return self.sessions.get(evse.id) is session and session.needs_s == needs_s

        def answered(response: Any) -> None:
            if is_current():
                self._act(evse, session, session.answered(response.status))

        def failed(code: str) -> None:
            if is_current():
                evse.needs_sent = code not in OFFLINE_CODES
                self._act(evse, session, session.answered(""))

        wait_s = max(session.deadline_s - self.station.now_s, 0.0)
        self.station.later(wait_s, lambda: self._look_all(self.station.now_s))
        self.station.call("NotifyEVChargingNeeds", payload, answered, failed)

    def renegotiate(self, evse_id: int, now_s: float, **changes: Any) -> None:
        """The car begins a renegotiation (K17), with changes of its wishes (K20): target_kwh,
        depart_s. Raises ValueError where it cannot."""
        evse = self.station.evses[evse_id]
        session, car = self.session(evse), evse.car
        if session is None or car is None or session.paused:
            raise ValueError("no car to talk to")
        for name, value in changes.items():
            setattr(car, name, value)
        session.begin(now_s)
        evse.needs_sent = False

    def driver_wishes(self, evse_id: int, now_s: float, **changes: Any) -> None:
        """Wishes told at the station (K20, scenario 3). Raises ValueError where only the car may
        say them."""
        session = self.session(self.station.evses[evse_id])
        told_by_both = session is not None and session.is_dynamic
        if session is None or not told_by_both or session.side.mobility != "EVCC_SECC":
            raise ValueError("this car alone says what it needs")
        self.renegotiate(evse_id, now_s, **changes)

    def pause(self, evse_id: int, now_s: float, resume: bool = False) -> None:
        """The car pauses its session, or goes on with new needs. Raises ValueError."""
        evse = self.station.evses[evse_id]
        session = self.session(evse)
        if session is None or session.paused is not resume:
            raise ValueError("no session to pause" if not resume else "no paused session")
        session.paused = not resume
        if resume:
            session.begin(now_s)
            session.drawing, evse.needs_sent = False, False
        self._hold(evse, session)

    # offers

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer the backend; what changed the schedule of a car is offered to it (K16)."""
        answer = super().handle(action, payload, now_s)
        self._look_all(now_s)
        return answer

    def tick(self, now_s: float) -> None:
        """Times run out."""
        super().tick(now_s)
        self._look_all(now_s)

    def _look_all(self, now_s: float) -> None:
        for evse_id, session in list(self.sessions.items()):
            evse = self.station.evses[evse_id]
            if evse.transaction is not None and evse.transaction.id == session.transaction_id:
                self._look_at(evse, session, now_s)

    def _look_at(self, evse: Evse, session: EvSession, now_s: float) -> None:
        profiles, own = self._installed(session)
        self._act(evse, session, session.looked(profiles, own, now_s))

    def _installed(self, session: EvSession) -> tuple[Any, Any]:
        """All profiles (and the line's state) as a mark, and those of the transaction."""
        known = self.station.profiles.by_id.values()
        own = tuple(p for p in known if p.transaction_id == session.transaction_id)
        return (tuple(known), self.station.offline_since_s is None), own

    def _act(self, evse: Evse, session: EvSession, act: Act) -> None:
        match act:
            case Act.TELL:  # another service, since the backend refused this one (Q01.FR.05)
                session.pick(evse.transfers)
                self._begin_service(evse, session)
            case Act.OFFER:
                self._offer(evse, session)
            case Act.STOP:
                now_s = self.station.now_s
                self.stop(evse, now_s, "AbnormalCondition", "ReqEnergyTransferRejected")

    def _begin_service(self, evse: Evse, session: EvSession) -> None:
        """Service renegotiation: power rests until the new service is agreed."""
        session.begin(self.station.now_s)
        session.drawing, evse.needs_sent = False, False
        self._hold(evse, session)

    def _offer(self, evse: Evse, session: EvSession) -> None:
        """Give the car its schedules and take its choice; in dynamic control there is none, the
        station leads (K19)."""
        car, now_s = evse.car, self.station.now_s
        if car is None:
            return
        leading = self._leading(evse, session)
        first, session.drawing = not session.drawing, True
        if session.is_dynamic:
            evse.ev_profile = ()
            if first and leading is not None:
                told = self.wires[leading.id]["chargingSchedule"][0]
                session.prices = tuple(prices_of(told, now_s))
                self._tell_choice(evse, session, told, now_s, None)
        else:
            choice = self._chosen_offer(evse, car, session, now_s)
            evse.ev_profile = tuple((now_s + s, w) for s, w in choice.profile)
            if beyond(choice):
                self.station.log.append(f"EVSE {evse.id}: the car's profile leaves its offer")
            if leading is not None:
                limited = choice if session.side.tells_profile else as_offered(choice)
                told = reported(limited, self.is_21)
                self._tell_choice(evse, session, told, now_s, leading)
        session.seen = self._installed(session)
        self._hold(evse, session)

    def _leading(self, evse: Evse, session: EvSession) -> Profile | None:
        """The TxProfile in force, None where the car goes by what lies below."""
        where = situation(evse, self.station.settings, self.station.offline_since_s)
        known = self.station.profiles.by_id.values()
        found = composite.leading(known, Purpose.TX, where, self.station.now_s)
        return None if found is None else found[0]

    def _chosen_offer(self, evse: Evse, car: Car, session: EvSession, now_s: float) -> Choice:
        offers = session.given = self.offers(evse, car, now_s)
        choice = choose(session.side, offers, self._appetite(car, now_s))
        taken = next(i for i, offer in enumerate(offers) if offer is choice.offer)
        self.obey_number(session.transaction_id, taken)
        return choice

    def _appetite(self, car: Car, now_s: float) -> Appetite:
        lacking_kwh = max(car.target_kwh - car.energy_kwh, 0.0) / car.charge_efficiency
        most_kw = self.station.settings.power_max_kw
        return Appetite(
            lacking_kwh * W_PER_KW,
            min(car.charge_max_kw, most_kw) * W_PER_KW,
            min(car.discharge_max_kw, most_kw) * W_PER_KW,
            HORIZON_S if car.depart_s is None else car.depart_s - now_s,
        )

    def _tell_choice(
        self, evse: Evse, session: EvSession, told: Payload, now_s: float, checked: Any
    ) -> None:
        """NotifyEVChargingSchedule; checked: None in dynamic control, where nothing is judged."""
        payload: Payload = {
            "evseId": evse.id,
            "timeBase": self.stamp(now_s),
            "chargingSchedule": told,
        }
        if self.is_21:
            if told["id"] >= 0:
                payload["selectedChargingScheduleId"] = told["id"]
            payload["powerToleranceAcceptance"] = session.side.tolerates
        session.agreed = False

        def answered(response: Any) -> None:
            if self.sessions.get(evse.id) is session:
                session.agreed = response.status == "Accepted" and checked is not None

        self.station.call("NotifyEVChargingSchedule", payload, answered)

    def as_chosen(
        self, evse: Evse | None, stretches: list[composite.Stretch], now_s: float, lasts_s: float
    ) -> list[composite.Stretch]:
        """The composite schedule with what the car said it will draw (K15.FR.14)."""
        session = None if evse is None else self.sessions.get(evse.id)
        if evse is None or session is None or not session.agreed:
            return stretches
        return cut_by(stretches, tuple((s - now_s, w) for s, w in evse.ev_profile), lasts_s)

    # profiles and allowed transfers

    def take_profile(
        self, wire: Any, evse_id: int, now_s: float, transaction_id: str | None = None
    ) -> Payload:
        """A profile that comes before the needs were told is too early (K15.FR.17)."""
        is_tx = wire.chargingProfilePurpose == Purpose.TX
        evse = self.station.evses.get(evse_id)
        if is_tx and transaction_id is None and evse is not None and self._too_early(evse, wire):
            return rejected("InvalidMessageSeq", "the car's needs were not told yet")
        return super().take_profile(wire, evse_id, now_s, transaction_id)

    def _too_early(self, evse: Evse, wire: Any) -> bool:
        transaction, car = evse.transaction, evse.car
        if transaction is None or car is None or transaction.id != wire.transactionId:
            return False
        if self.station.settings.takes_early_profiles:
            return False
        if car.ev_side.speaks(car.discharge_max_kw > 0.0, self.is_21) == "none":
            return False
        session = self.sessions.get(evse.id)
        known = session is not None and session.transaction_id == transaction.id
        return not (known and (evse.needs_sent or (session is not None and session.told)))

    def _on_NotifyAllowedEnergyTransfer(self, request: Any, _: float) -> Payload:
        """The list changed: the car chooses its service anew, where both can (Q02)."""
        evse = self.by_transaction(request.transactionId)
        if evse is None:
            return {"status": "Rejected"}
        self.transfers_told(evse, tuple(request.allowedEnergyTransfer))
        session = self.session(evse)
        if session is not None and session.protocol == "-20" and session.can_renegotiate:
            session.refused.clear()
            session.pick(evse.transfers)
            self._begin_service(evse, session)
        return {"status": "Accepted"}


def as_offered(choice: Choice) -> Choice:
    """The profile of a car that told none: the schedule it took (K15.FR.19)."""
    steps = choice.offer.steps
    taken = [s.high_w if s.setpoint_w is None else s.setpoint_w for s in steps]
    return Choice(choice.offer, tuple((s.start_s, w) for s, w in zip(steps, taken, strict=True)))
