"""A station with a car that speaks ISO 15118, on a test line: what its tests have in common."""

from datetime import UTC, datetime
from typing import Any

from scripted_backend import Pair, a_car, profile_2

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import Car, StationSettings
from pendel.comms.ocpp.station.ev_side import EvSide

BEFORE = "2023-11-14T00:00:00Z"
ISO_2 = EvSide("-2")
SCHEDULED = EvSide("-20", "ScheduledControl")
DYNAMIC = EvSide("-20")
SIDES = {"-2": ISO_2, "-20 scheduled": SCHEDULED, "-20 dynamic": DYNAMIC}
LIMIT_W = 4_000.0


def pair_of(version: Version = Version.V21, **changes: Any) -> Pair:
    return Pair(version, StationSettings("CS1", **changes)).connect()


def car_of(side: EvSide, **changes: Any) -> Car:
    return a_car(ev_side=side, evcc_id="WMI0001", **changes)


def needs_of(pair: Pair) -> list[dict[str, Any]]:
    return [told["chargingNeeds"] for told in pair.backend.payloads("NotifyEVChargingNeeds")]


def told_schedules(pair: Pair) -> list[dict[str, Any]]:
    return pair.backend.payloads("NotifyEVChargingSchedule")


def install(pair: Pair, profile: dict[str, Any]) -> Any:
    return pair.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile})


def default(pair: Pair, limit_w: float = LIMIT_W) -> None:
    period = {"startPeriod": 0, "limit": limit_w}
    profile = profile_2(1, "TxDefaultProfile", [period], schedule={"startSchedule": BEFORE})
    assert install(pair, profile).status == "Accepted"


def tx_id(pair: Pair) -> str:
    transaction = pair.station.evses[1].transaction
    assert transaction is not None
    return transaction.id


def steps(*limits: tuple[int, float]) -> list[dict[str, Any]]:
    return [{"startPeriod": start, "limit": limit} for start, limit in limits]


def tx(pair: Pair, *limits: tuple[int, float], number: int = 7, **more: Any) -> dict[str, Any]:
    """A TxProfile from the begin of the transaction on."""
    return profile_2(
        number, "TxProfile", steps(*limits), chargingProfileKind="Relative",
        transactionId=tx_id(pair), **more,
    )  # fmt: skip


def levels(*entries: tuple[int, int]) -> dict[str, Any]:
    """A salesTariff: (start, price level)."""
    rows = [
        {"relativeTimeInterval": {"start": start}, "ePriceLevel": level} for start, level in entries
    ]
    return {"id": 1, "numEPriceLevels": 3, "salesTariffEntry": rows}


def stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
