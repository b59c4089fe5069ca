"""Why a station speaks: what it was asked for, what somebody wanted there."""

from typing import Any

from pendel.comms.ocpp.backend.stations import Station


def asked_for(action: str, payload: Any) -> tuple[str, ...]:
    """The requests an order makes a station send (B02.FR.09); payload: typed, of any version."""
    if action in ("GetBaseReport", "GetReport"):
        return ("NotifyReport",)
    if action not in ("TriggerMessage", "ExtendedTriggerMessage"):
        return ()
    wanted = str(payload.requestedMessage)
    return ("SignCertificate",) if wanted.startswith("Sign") else (wanted,)


def der_causes(station: Station, action: str, payload: Any) -> tuple[str, ...]:
    """Why a station speaks of a DER control: somebody wanted it there."""
    if action not in ("NotifyDERAlarm", "NotifyDERStartStop"):
        return ()
    name = payload.controlType if action == "NotifyDERAlarm" else payload.controlId
    cause = station.der_causes.get(name)
    return () if cause is None else (cause,)
