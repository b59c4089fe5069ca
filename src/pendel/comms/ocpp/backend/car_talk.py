"""What a car says through its station: needs, its own schedule, who it is."""

from datetime import datetime
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.release import Version


def needs_told(station: Station, payload: Any, at_utc: datetime) -> None:
    """NotifyEVChargingNeeds."""
    evse = station.evse(payload.evseId)
    evse.needs, evse.needs_utc = payload.chargingNeeds, at_utc
    evse.needs_soc, evse.heard_utc = evse.soc, at_utc
    evse.needs_points = 0 if payload.maxScheduleTuples is UNSET else payload.maxScheduleTuples
    transaction = station.transactions.get(evse.transaction_id)
    if transaction is not None:
        evse.needs_import_kwh = transaction.imported.kwh
        evse.needs_export_kwh = transaction.exported.kwh
    else:
        evse.needs_import_kwh = evse.needs_export_kwh = 0.0


def schedule_told(station: Station, payload: Any, version: Version) -> None:
    """NotifyEVChargingSchedule, held against what was offered; in dynamic control the car is led,
    and its schedule only repeats the backend's."""
    evse = station.evse(payload.evseId)
    transaction = station.transactions.get(evse.transaction_id)
    evse.schedule, evse.schedule_problem = payload, ""
    led = getattr(evse.needs, "controlMode", UNSET) == "DynamicControl"
    if transaction is not None and not led:
        begun_s = transaction.begun_utc.timestamp()
        evse.schedule_problem = station.offered.problem(
            payload, version, transaction.transaction_id, begun_s
        )


def evcc_of(id_token: Any) -> str:
    """The EVCCID in the additionalInfo of a token (Q01.FR.02), "" = none."""
    more = () if id_token.additionalInfo is UNSET else id_token.additionalInfo
    return next((str(m.additionalIdToken) for m in more if m.type == "EVCCID"), "")
