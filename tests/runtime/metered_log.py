"""A log as a served network writes it: prices, sessions, and meter values as they came."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pendel.records import AnyRecord, SessionEvent, Signal, StationMessage

BEGIN = datetime(2026, 3, 9, 23, 0, tzinfo=UTC)  # midnight in Berlin
SITE, STATION = "home", "CP1"
SPOTS = [50.0 + 2.0 * quarter for quarter in range(96)]


def price_signal(site: str = SITE, begin: datetime = BEGIN, quarters: int = 96) -> Signal:
    spots = [SPOTS[quarter % 96] for quarter in range(quarters)]
    return Signal(
        id=f"signal-{begin:%d}",
        at_utc=begin,
        topic="price",
        published_utc=begin,
        detail={
            "sites": site,
            "begin_s": begin.timestamp(),
            "step_s": 900.0,
            "import_eur_kwh": [spot / 1000 + 0.02 for spot in spots],
            "export_eur_kwh": [spot / 1000 for spot in spots],
            "spot_eur_mwh": spots,
        },
    )


def sampled(import_wh: object, export_wh: object, context: str = "Sample.Clock") -> list[Any]:
    return [
        {
            "value": value,
            "measurand": f"Energy.Active.{direction}.Register",
            "unitOfMeasure": {"unit": "Wh"},
            "context": context,
        }
        for value, direction in ((import_wh, "Import"), (export_wh, "Export"))
        if value is not None
    ]


def event(
    seq: int,
    kind: str,
    when: datetime,
    values: list[Any],
    transaction: str = "T1",
    station: str = STATION,
    refused: tuple[str, ...] = (),
) -> StationMessage:
    payload = {
        "eventType": kind,
        "timestamp": when.isoformat(),
        "triggerReason": "MeterValueClock",
        "seqNo": seq,
        "transactionInfo": {"transactionId": transaction},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": when.isoformat(), "sampledValue": values}],
    }
    return StationMessage(
        id=f"ocpp-{station}-{transaction}-{seq}",
        at_utc=when,
        station_id=station,
        ocpp_version="2.1",
        action="TransactionEvent",
        message_id=f"{transaction}-{seq}",
        payload=json.dumps(payload),
        transaction_id=transaction,
        refused=refused,
    )


def session(phase: str, when: datetime, transaction: str = "T1") -> SessionEvent:
    return SessionEvent(
        id=f"session-{transaction}-{phase}",
        at_utc=when,
        session_id=f"{STATION}:{transaction}",
        site_id=SITE,
        phase=phase,
        capacity_kwh=60.0,
        energy_kwh=30.0,
        charge_max_kw=11.0,
        discharge_max_kw=11.0,
        charge_efficiency=0.95,
        discharge_efficiency=0.95,
        wear_eur_kwh=0.02,
        vehicle_id="car-1",
        device_id=f"{STATION}/1",
    )


def minutes(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


def a_night() -> list[AnyRecord]:
    """A car charges 2.5 kWh in each of 8 quarter hours, gives back 2 kWh in each of 4, leaves at
    04:10; another comes at 05:05 and stands until 05:30 without taking anything."""
    records: list[AnyRecord] = [price_signal(), session("plugged", minutes(0))]
    taken, given = 100_000.0, 5_000.0
    records.append(event(0, "Started", minutes(0), sampled(taken, given)))
    for quarter in range(1, 17):
        taken += 2_500.0 if quarter <= 8 else 0.0
        given += 2_000.125 if 8 < quarter <= 12 else 0.0
        records.append(event(quarter, "Updated", minutes(15 * quarter), sampled(taken, given)))
    records.append(event(17, "Ended", minutes(250), sampled(taken, given, "Transaction.End")))
    records.append(session("unplugged", minutes(250)))
    records.append(session("plugged", minutes(305), "T2"))
    for seq, (kind, when) in enumerate((("Started", 305), ("Ended", 330))):
        records.append(event(seq, kind, minutes(when), sampled(taken, given), "T2"))
    records.append(session("unplugged", minutes(330), "T2"))
    return records
