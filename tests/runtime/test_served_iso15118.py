"""Cars that speak ISO 15118 on real stations of a served site: what they are offered and take."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from served_world import SERVER, TARIFF, Served, served, spot_csv

from pendel.comms.ocpp.station.equipment import Car
from pendel.comms.ocpp.station.ev_side import EvSide
from pendel.records import StationMessage

START = datetime(2026, 3, 3, 16, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
STATION = {"CP1": ("home", 11.0)}


def world_of(folder: Path) -> Served:
    """Dear until 18:00 UTC, then cheap."""
    prices = [400.0 if hour < 19 else 60.0 for hour in range(48)]
    (folder / "spot.csv").write_text(spot_csv(MIDNIGHT, prices), "utf-8")
    (folder / "mine.toml").write_text(TARIFF, "utf-8")
    return served(folder, SERVER, START, STATION)


def a_car(side: EvSide, energy_kwh: float = 30.0, target_kwh: float = 40.0) -> Car:
    depart = START + timedelta(hours=5)
    return Car(
        60.0, energy_kwh, target_kwh, energy_min_kwh=12.0, discharge_max_kw=11.0,
        depart_s=depart.timestamp(), ev_side=side,
    )  # fmt: skip


def messages(world: Served, action: str) -> list[dict[str, Any]]:
    return [
        json.loads(record.payload) | {"_status": record.status}
        for _, record in world.runtime.store.replay()
        if isinstance(record, StationMessage) and record.action == action
    ]


@pytest.mark.parametrize(
    "side", [EvSide("-2"), EvSide("-20", "ScheduledControl")], ids=["-2", "-20"]
)
def test_a_car_follows_its_schedule_through_the_cheap_hours(tmp_path: Path, side: EvSide) -> None:
    """Control wants it later, the schedule says so ahead, and the car's own plan is accepted."""
    world = world_of(tmp_path)
    try:
        world.fleet.plug("CP1", replace(a_car(side), discharge_max_kw=0.0))
        world.tick()
        flowed = {}
        for _ in range(20):
            world.step()
            flowed[world.now_utc] = world.power_kw("CP1")
        own = messages(world, "NotifyEVChargingSchedule")
        given = [m["chargingProfile"] for m in messages(world, "SetChargingProfile")]
        told = [p for p in given if p["chargingProfilePurpose"] == "TxProfile"]
        assert own and len(own) <= len(told)
        assert any(len(p["chargingSchedule"][0]["chargingSchedulePeriod"]) > 1 for p in told)
        assert all(p["chargingProfileKind"] == "Absolute" for p in told)
        assert not messages(world, "UpdateDynamicSchedule")
        assert world.network.csms.network.station("CP1").evse(1).schedule_problem == ""
        assert world.car("CP1").energy_kwh > 39.8
    finally:
        world.close()


def test_a_led_car_is_given_both_profiles_and_tells_the_backends_schedule(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    try:
        world.fleet.plug("CP1", a_car(EvSide("-20"), 50.0, 52.0))
        world.tick()
        kinds = [
            (p["chargingProfile"]["chargingProfilePurpose"], p["chargingProfile"]["stackLevel"])
            for p in messages(world, "SetChargingProfile")
        ]
        assert ("TxDefaultProfile", 0) in kinds and ("TxProfile", 1) in kinds
        (told,) = messages(world, "NotifyEVChargingSchedule")
        assert told["selectedChargingScheduleId"] == told["chargingSchedule"]["id"]
        site = world.bridged.site_of["CP1"]
        assert site.plugged(world.now_utc)[0].car.bidirectional
    finally:
        world.close()
