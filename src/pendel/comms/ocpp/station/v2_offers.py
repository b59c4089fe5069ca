"""Profiles with up to three schedules, and the composite schedules a car may choose from."""

from dataclasses import replace
from typing import Any

import msgspec

from pendel.comms.ocpp import composite
from pendel.comms.ocpp.profile import Profile, Purpose, profile_of
from pendel.comms.ocpp.profile_rules import problems_of
from pendel.comms.ocpp.station.behaviour import situation
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Car, Evse
from pendel.comms.ocpp.station.ev_offers import offer_of
from pendel.comms.ocpp.station.ev_side import OFFERS_MAX, Offer
from pendel.comms.ocpp.station.v2_dialect import Payload, rejected
from pendel.comms.ocpp.station.v2_security import Security2
from pendel.units import W_PER_KW

HORIZON_S = 86_400.0
HORIZON_LEAST_S = 3_600.0


class Offers2(Security2):
    """Of a TxProfile the first schedule is obeyed until the car took another."""

    def __init__(self, station: VirtualStation) -> None:
        super().__init__(station)
        self._alternatives: dict[int, tuple[Profile, ...]] = {}

    def offers(self, evse: Evse, car: Car, now_s: float) -> list[Offer]:
        """The composite schedules to choose from: the first of all profiles of the transaction
        together, the second, the third (K15.FR.22, K18.FR.24); what has fewer stays as it is."""
        profiles = list(self.station.profiles.by_id.values())
        where = situation(evse, self.station.settings, self.station.offline_since_s)
        own = [p for p in profiles if p.transaction_id in (where.transaction_id or "-",)]
        counts = [len(self._alternatives.get(p.id, (p,))) for p in own]
        ends_s = now_s + HORIZON_S if car.depart_s is None else car.depart_s
        lasts_s = min(max(ends_s - now_s, HORIZON_LEAST_S), HORIZON_S)
        most_w = self.station.settings.power_max_kw * W_PER_KW
        found = []
        for number in range(min(max(counts, default=1), OFFERS_MAX)):
            chosen = [self._numbered(profile, number) for profile in profiles]
            stretches = composite.composite(chosen, where, now_s, lasts_s)
            leading = composite.leading(chosen, Purpose.TX, where, now_s)
            wire = None
            if leading is not None:
                schedules: list[Payload] = self.wires[leading[0].id]["chargingSchedule"]
                wire = schedules[min(number, len(schedules) - 1)]
            found.append(offer_of(stretches, wire, now_s, lasts_s, most_w))
        return found

    def obey_number(self, transaction_id: str, number: int) -> None:
        """From now on the schedules of this place hold in a transaction's profiles."""
        by_id = self.station.profiles.by_id
        for profile in list(by_id.values()):
            if profile.transaction_id == transaction_id:
                by_id[profile.id] = self._numbered(profile, number)

    def _numbered(self, profile: Profile, number: int) -> Profile:
        found = self._alternatives.get(profile.id)
        return profile if found is None else found[min(number, len(found) - 1)]

    def take_profile(
        self, wire: Any, evse_id: int, now_s: float, transaction_id: str | None = None
    ) -> Payload:
        """Install a profile; each schedule of a TxProfile must be acceptable by itself."""
        more = []
        if wire.chargingProfilePurpose == Purpose.TX:
            for schedule in wire.chargingSchedule[1:]:
                single = msgspec.structs.replace(wire, chargingSchedule=[schedule])
                other = profile_of(
                    single,
                    evse_id,
                    now_s,
                    self.station.supply,
                    timezone=self.station.settings.timezone,
                )
                named = transaction_id or other.transaction_id
                more.append(replace(other, transaction_id=named))
        problems = [
            p for other in more for p in problems_of(other, self.ability(evse_id, transaction_id))
        ]
        if problems:
            return rejected(problems[0].code, problems[0].text)
        answer = super().take_profile(wire, evse_id, now_s, transaction_id)
        if answer["status"] == "Accepted":
            kept = self.station.profiles.by_id
            self._alternatives[wire.id] = (kept[wire.id], *more)
            self._alternatives = {
                n: all_of for n, all_of in self._alternatives.items() if n in kept and all_of[1:]
            }
        return answer
