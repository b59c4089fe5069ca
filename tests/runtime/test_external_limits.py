"""Limits that an energy manager sets at a station reach the plan, its orders and the API."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from served_world import SERVER, TARIFF, Served, served, spot_csv

from pendel.api.network_views import external_limits
from pendel.comms.ocpp.backend.csms import Csms
from pendel.comms.ocpp.backend.external_limits import ExternalLimit
from pendel.comms.ocpp.backend.tokens import TokenInfo
from pendel.comms.ocpp.release import Version, messages_of
from pendel.comms.ocpp.station.equipment import Car
from pendel.comms.ocpp.station.external_system import Order
from pendel.comms.ocpp.station.v2_charging import Charging2
from pendel.records import SessionEvent, StationMessage

START = datetime(2026, 3, 3, 16, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)


def opened(folder: Path) -> Served:
    """A site with one price all day and a station."""
    (folder / "spot.csv").write_text(spot_csv(MIDNIGHT, [60.0] * 48), "utf-8")
    (folder / "mine.toml").write_text(TARIFF, "utf-8")
    return served(folder, SERVER, START, {"CP1": ("home", 11.0)})


def at_station(world: Served, work: Any) -> None:
    """Do something at the station, then let everybody hear of it."""
    charging = world.fleet.clients["CP1"].station.dialect
    assert isinstance(charging, Charging2)
    world.fleet._do(lambda: work(charging))
    world.step(60.0)
    world.step(60.0)


def ordered_kw(world: Served) -> float:
    """The most the station's profiles of the backend let the car draw."""
    profiles = world.fleet.clients["CP1"].station.profiles.by_id.values()
    limits = []
    for profile in profiles:
        if profile.source == "CSO" and profile.purpose.value == "TxProfile":
            period = profile.periods[0]
            value = period.limit_w if period.setpoint_w is None else period.setpoint_w
            limits.append(value[0] / 1e3)
    return max(limits)


def newest_session(world: Served) -> SessionEvent:
    (view,) = world.runtime.state.sessions.values()
    return view.event


@pytest.mark.proves("K02.FR.01")
@pytest.mark.parametrize("with_schedules", ["true", "false"])
def test_an_external_limit_is_a_limit_of_control(tmp_path: Path, with_schedules: str) -> None:
    world = opened(tmp_path)
    try:
        depart = START + timedelta(hours=3)
        world.fleet.plug("CP1", Car(60.0, 20.0, 48.0, 12.0, depart_s=depart.timestamp()))
        world.tick()
        world.step(60.0)
        assert ordered_kw(world) > 5.0

        def limited(charging: Charging2) -> None:
            name = "NotifyChargingLimitWithSchedules"
            charging.variables.by_key["SmartChargingCtrlr", None, name].value = with_schedules
            order = Order(limit_kw=3.0, critical=True)
            assert charging.external.set("SO", order, world.fleet.now_s) == ""

        at_station(world, limited)
        session = newest_session(world)
        assert session.charge_max_kw == pytest.approx(3.0)
        assert ordered_kw(world) <= 3.0 + 1e-9
        records = [record for _, record in world.runtime.store.replay()]
        notices = [r for r in records if isinstance(r, StationMessage)]
        notices = [r for r in notices if r.action == "NotifyChargingLimit"]
        assert notices[-1].id in session.causes, "why it may not charge faster"
        station = world.network.csms.network.station("CP1")
        (shown,) = external_limits(station, world.now_utc)
        assert (shown["source"], shown["import_limit_kw"]) == ("SO", 3.0)
        assert shown["grid_critical"] is True and shown["local_generation"] is False
        assert shown["record_id"] == notices[-1].id

        def stopped(charging: Charging2) -> None:
            charging.external.set("SO", Order(limit_kw=0.0), world.fleet.now_s)

        at_station(world, stopped)
        assert newest_session(world).charge_max_kw == 0.0
        assert ordered_kw(world) == 0.0

        def released(charging: Charging2) -> None:
            charging.external.release("SO", world.fleet.now_s)

        at_station(world, released)
        assert external_limits(station, world.now_utc) == []
        assert newest_session(world).charge_max_kw > 8.0
        assert ordered_kw(world) > 5.0
    finally:
        world.close()


class Open:
    """Everybody may."""

    def token(self, token: str, now_utc: datetime) -> TokenInfo:
        return TokenInfo("Accepted")

    def boot_status(self, station_id: str) -> str:
        return "Accepted"

    def v2x_allowed(self, station_id: str, token: str, evcc_id: str = "") -> bool:
        return True

    def steers(self, station_id: str) -> bool:
        return True


def heard(csms: Csms, version: Version, action: str, payload: dict[str, Any], now: datetime) -> Any:
    typed = msgspec.convert(payload, messages_of(version).REQUESTS[action])
    return csms.handle("S", version, f"{action}{now}", action, typed, now)


def backend(version: Version) -> Csms:
    numbers = iter(range(1, 1000))
    csms = Csms(Open(), lambda: f"r{next(numbers)}")  # type: ignore[arg-type]
    about = {"reason": "PowerUp", "chargingStation": {"model": "m", "vendorName": "v"}}
    heard(csms, version, "BootNotification", about, START)
    return csms


def limits(csms: Csms) -> dict[tuple[int, str, bool], ExternalLimit]:
    return csms.network.station("S").external_limits


SCHEDULE = {
    "id": 1,
    "chargingRateUnit": "W",
    "startSchedule": "2026-03-03T16:00:00Z",
    "duration": 1200,
    "chargingSchedulePeriod": [
        {"startPeriod": 0, "limit": 6000.0},
        {"startPeriod": 600, "limit": 2000.0},
    ],
}


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_schedules_are_followed_in_time(version: Version) -> None:
    csms = backend(version)
    told = {"evseId": 1, "chargingLimit": {"chargingLimitSource": "EMS"},
            "chargingSchedule": [SCHEDULE]}  # fmt: skip
    assert heard(csms, version, "NotifyChargingLimit", told, START).orders == ()
    (limit,) = limits(csms).values()
    found = [limit.most_kw(START + timedelta(seconds=s))[0] for s in (0, 599, 600, 1199, 1200)]
    assert found == [6.0, 6.0, 2.0, 2.0, None]
    gone = {"evseId": 1, "chargingLimitSource": "EMS"}
    heard(csms, version, "ClearedChargingLimit", gone, START)
    assert limits(csms) == {}


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_what_a_notice_leaves_out_is_asked_for(version: Version) -> None:
    csms = backend(version)
    told = {"chargingLimit": {"chargingLimitSource": "SO", "isGridCritical": True}}
    reply = heard(csms, version, "NotifyChargingLimit", told, START)
    (order,) = reply.orders
    assert order.action == "GetChargingProfiles"
    assert order.payload.chargingProfile.chargingLimitSource == ["SO"]
    profile = {"id": -1, "stackLevel": 0, "chargingProfileKind": "Absolute",
               "chargingProfilePurpose": "ChargingStationExternalConstraints",
               "chargingSchedule": [SCHEDULE]}  # fmt: skip
    report = {"requestId": order.payload.requestId, "chargingLimitSource": "SO", "evseId": 0,
              "chargingProfile": [profile]}  # fmt: skip
    heard(csms, version, "ReportChargingProfiles", report, START)
    (limit,) = limits(csms).values()
    assert (limit.most_kw(START)[0], limit.critical) == (6.0, True)
    own = report | {"chargingLimitSource": "CSO"}
    heard(csms, version, "ReportChargingProfiles", own, START)
    assert list(limits(csms)) == [(0, "SO", False)]


def test_local_generation_is_kept_apart_and_limits_nothing() -> None:
    csms = backend(Version.V21)
    for generation in (True, False):
        told = {"chargingLimit": {"chargingLimitSource": "EMS", "isLocalGeneration": generation},
                "chargingSchedule": [SCHEDULE]}  # fmt: skip
        heard(csms, Version.V21, "NotifyChargingLimit", told, START)
    assert set(limits(csms)) == {(0, "EMS", True), (0, "EMS", False)}
    for number in range(200):
        told = {"evseId": number, "chargingLimit": {"chargingLimitSource": "Other"}}
        heard(csms, Version.V21, "NotifyChargingLimit", told, START)
    assert len(limits(csms)) == 100
