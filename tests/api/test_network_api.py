"""Real stations over sockets and the API beside them: from needs to watts on the wire."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp_network_bench import RawStation, event, station_at
from ocpp_server_bench import ServerBench, server_of, settings, site

from pendel.adapters.memory_log import MemoryEventLog
from pendel.config.server import ServerConfig

V2X = {
    "maxChargePower": 11_000,
    "maxDischargePower": 10_000,
    "evTargetEnergyRequest": 10_000,
    "evMaxEnergyRequest": 30_000,
    "evMinEnergyRequest": -15_000,
    "evMinV2XEnergyRequest": -20_000,
    "evMaxV2XEnergyRequest": 25_000,
}


def needs(mode: str = "DC_BPT", **v2x: Any) -> dict[str, Any]:
    leaves = (datetime.now(UTC) + timedelta(hours=12)).isoformat()
    told: dict[str, Any] = {"requestedEnergyTransfer": mode, "departureTime": leaves}
    if "BPT" in mode:
        told["v2xChargingParameters"] = {**V2X, **v2x}
    else:
        told["dcChargingParameters"] = {
            "evMaxCurrent": 100, "evMaxVoltage": 400, "evMaxPower": 11_000, "energyAmount": 20_000
        }  # fmt: skip
    return {"evseId": 1, "chargingNeeds": told}


async def plug_in(station: RawStation, wants: dict[str, Any] | None = None) -> None:
    await station.boot()
    await station.call("TransactionEvent", event(0, "Started"))
    if wants is not None:
        assert (await station.call("NotifyEVChargingNeeds", wants))[2] == {"status": "Accepted"}


async def until(found: Any, within_s: float = 5.0) -> Any:
    async with asyncio.timeout(within_s):
        while True:
            value = found()
            if value:
                return value
            await asyncio.sleep(0.02)


def last_setpoint(station: RawStation) -> float | None:
    """The setpoint [W] that stands at the station."""
    for action, payload in reversed(station.asked):
        if action == "UpdateDynamicSchedule":
            return payload["scheduleUpdate"].get("setpoint")
        if action == "SetChargingProfile":
            period = payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            if payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile":
                return period.get("setpoint")
    return None


def run(server: ServerBench, work: Any, version: str = "2.1") -> None:
    async def act() -> None:
        async with station_at(server.port, version=version) as station:
            await work(server, station)

    asyncio.run(act())


def profiles(station: RawStation) -> list[dict[str, Any]]:
    return [p["chargingProfile"] for a, p in station.asked if a == "SetChargingProfile"]


@pytest.mark.proves("K01.FR.03", "K18.FR.08", "K19.FR.08", "Q03.FR.01", "Q03.FR.02")
def test_accepted_needs_bring_both_profiles_and_a_hand_moves_watts_within_a_second() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        await station.until_asked(2)
        below, above = profiles(station)[:2]
        period = below["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert below["chargingProfilePurpose"] == "TxDefaultProfile"
        assert period["operationMode"] == "ChargingOnly" and period["limit"] >= 0.0
        assert below["stackLevel"] < above["stackLevel"]
        v2x = above["chargingSchedule"][0]
        assert above["chargingProfilePurpose"] == "TxProfile" and above["transactionId"] == "T"
        assert above["chargingProfileKind"] == "Dynamic" and v2x["chargingRateUnit"] == "W"
        assert v2x["chargingSchedulePeriod"][0]["operationMode"] == "CentralSetpoint"
        assert "limit" not in v2x["chargingSchedulePeriod"][0]
        await until(lambda: server.runtime.state.sessions)

        for asked_kw, watts in ((-5.0, -5_000), (3.0, 3_000), (-30.0, -10_000)):
            begun = time.monotonic()
            body = {"power_kw": asked_kw, "duration_s": 600}
            status, told = await server.api("POST", "/evses/CP1/1/setpoint", body)
            assert status == 202 and told["requested_kw"] == asked_kw and told["reasons"]
            assert told["granted_kw"] * 1e3 == watts
            await until(lambda watts=watts: last_setpoint(station) == watts)
            assert time.monotonic() - begun < 2.0
            assert station.asked[-1][0] == "UpdateDynamicSchedule"

        order = {"export_limit_kw": 0.0, "source": "grid operator"}
        status, limit = await server.api("POST", "/sites/home/limits", order)
        assert status == 201
        await until(lambda: last_setpoint(station) == 0.0)
        count = len(station.asked)
        _, told = await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -4.0})
        assert told["granted_kw"] == 0.0
        await asyncio.sleep(0.7)
        for action, payload in station.asked[count:]:
            assert action == "UpdateDynamicSchedule"
            assert payload["scheduleUpdate"]["setpoint"] >= 0.0
        await server.api("DELETE", f"/sites/home/limits/{limit['limit_id']}")
        await until(lambda: last_setpoint(station) == -4_000)

    with server_of() as server:
        run(server, work)


@pytest.mark.parametrize(
    ("given", "wants"),
    [
        (settings("v1g"), needs()),
        (settings(site=[site(export_permit=None)]), needs()),
        (settings(), needs(evMinV2XEnergyRequest=2_000)),
        (settings(), needs(evMaxV2XEnergyRequest=-1)),
        (settings(), needs("DC")),
        (
            settings(vehicle=[{"vehicle_id": "v", "id_tokens": ["RF"], "v2x_allowed": False}]),
            needs(),
        ),
    ],
    ids=["v1g", "no permit", "below the band", "above the band", "one way", "owner says no"],
)
def test_what_never_exports(given: ServerConfig, wants: dict[str, Any]) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot()
        started = {**event(0, "Started"), "idToken": {"idToken": "RF", "type": "ISO14443"}}
        await station.call("TransactionEvent", started)
        await station.call("NotifyEVChargingNeeds", wants)
        await until(lambda: server.runtime.state.sessions)
        await until(lambda: server.runtime.state.setpoints)
        _, told = await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -6.0})
        assert told["granted_kw"] >= 0.0, told
        await asyncio.sleep(0.8)
        assert profiles(station)
        for _, payload in station.asked:
            assert all(value >= 0.0 for value in watts_of(payload)), payload

    with server_of(given) as server:
        run(server, work)


def watts_of(payload: Any) -> list[float]:
    """Every limit and setpoint anywhere in a message."""
    if isinstance(payload, list):
        return [value for item in payload for value in watts_of(item)]
    if not isinstance(payload, dict):
        return []
    found = [v for k, v in payload.items() if k in ("limit", "setpoint", "dischargeLimit")]
    return found + [value for item in payload.values() for value in watts_of(item)]


def test_without_tariff_and_hand_nothing_is_discharged() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        await asyncio.sleep(1.5)
        assert all(value >= 0.0 for _, p in station.asked for value in watts_of(p))

    with server_of() as server:
        run(server, work)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_older_stations_are_limited_never_discharged(version: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot(version)
        if version == "1.6":
            start = {"connectorId": 1, "idTag": "T", "meterStart": 0}
            start["timestamp"] = datetime.now(UTC).isoformat()
            await station.call("StartTransaction", start)
        else:
            await station.call("TransactionEvent", event(0, "Started"))
        await until(lambda: server.runtime.state.setpoints)
        await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": 4.0})

        def limits() -> list[float]:
            return [value for _, payload in station.asked for value in watts_of(payload)]

        await until(lambda: limits()[-1:] == [4_000])
        await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -4.0})
        await until(lambda: limits()[-1:] == [0.0])
        assert min(limits()) >= 0.0
        assert {action for action, _ in station.asked} == {"SetChargingProfile"}

    with server_of() as server:
        run(server, work, version)


def test_a_station_that_refuses_dynamic_profiles_gets_plain_ones() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        report = {
            "requestId": 1, "seqNo": 0, "generatedAt": datetime.now(UTC).isoformat(),
            "reportData": [{
                "component": {"name": "SmartChargingCtrlr"},
                "variable": {"name": "SupportsFeature", "instance": "DynamicProfiles"},
                "variableAttribute": [{"value": "false"}],
            }],
        }  # fmt: skip
        await station.boot()
        await station.call("NotifyReport", report)
        await station.call("TransactionEvent", event(0, "Started"))
        await station.call("NotifyEVChargingNeeds", needs())
        await station.until_asked(2)
        assert profiles(station)[1]["chargingProfileKind"] != "Dynamic"
        await until(lambda: server.runtime.state.sessions)
        await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -2.5})
        await until(lambda: last_setpoint(station) == -2_500)
        assert all(action == "SetChargingProfile" for action, _ in station.asked)

    with server_of() as server:
        run(server, work)


def test_no_default_no_v2x() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        station.answers["SetChargingProfile"] = {"status": "Rejected"}
        await plug_in(station, needs())
        await station.until_asked(2)
        await asyncio.sleep(0.3)
        assert all(value >= 0.0 for _, p in station.asked for value in watts_of(p))
        modes = [
            p["chargingSchedule"][0]["chargingSchedulePeriod"][0]["operationMode"]
            for p in profiles(station)
        ]
        assert set(modes) == {"ChargingOnly"}

    with server_of() as server:
        run(server, work)


def test_stations_sessions_and_transactions_are_listed() -> None:
    store = MemoryEventLog()

    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        now = datetime.now(UTC).isoformat()
        status = {"connectorStatus": "Occupied", "evseId": 1, "connectorId": 1, "timestamp": now}
        await station.call("StatusNotification", status)
        sampled = [{"value": 5_000}, {"value": 4_000, "measurand": "Power.Active.Import"}]
        metered = {**event(1), "meterValue": [{"timestamp": now, "sampledValue": sampled}]}
        await station.call("TransactionEvent", metered)
        await until(lambda: server.runtime.state.setpoints)
        _, listed = await server.api("GET", "/stations")
        (told,) = listed["items"]
        assert told["connected"] and told["ocpp_version"] == "2.1" and told["last_seen_utc"]
        assert told["evses"][0]["status"] == "Occupied"
        assert told["evses"][0]["power_kw"] == 4.0
        session_id = told["evses"][0]["session_id"]
        _, session = await server.api("GET", f"/sessions/{session_id}")
        assert session["promise"]["target_kwh"] == 40.0
        assert session["state"]["energy_kwh"] == pytest.approx(30.0 + 5.0 * 0.95)
        wish = {"target_soc": 0.9, "minimum_soc": 0.3, "charge_now": False}
        code, session = await server.api("PUT", f"/sessions/{session_id}/promise", wish)
        assert code == 200 and session["promise"]["target_soc"] == 0.9
        await station.call("TransactionEvent", event(3, "Ended", wh=8_000))
        await until(lambda: not server.runtime.state.sessions)
        _, listed = await server.api("GET", "/transactions?station_id=CP1")
        (done,) = listed["items"]
        assert (done["transaction_id"], done["events"], done["gaps"]) == ("T", 3, [2])
        assert (done["import_kwh"], done["export_kwh"]) == (8.0, 0.0)
        assert done["started_utc"] and done["ended_utc"] and done["ocpp_version"] == "2.1"

    with server_of(store=store) as server:
        run(server, work)


def test_commands_and_their_codes() -> None:
    async def offline(server: ServerBench) -> None:
        body = {"action": "Reset", "payload": {"type": "Immediate"}}
        assert (await server.api("POST", "/stations/CP1/commands", body))[0] == 409
        assert (await server.api("POST", "/stations/NO/commands", body))[0] == 404
        assert (await server.api("POST", "/stations/CP1/commands", body, "driver"))[0] == 403
        assert (await server.api("POST", "/stations/CP1/commands", body, "nobody"))[0] == 401

    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station)
        path = "/stations/CP1/commands"
        status, told = await server.api(
            "POST", path, {"action": "Reset", "payload": {"type": "Immediate"}, "timeout_s": 5}
        )
        assert (status, told["status"], told["response"]) == (
            200,
            "Accepted",
            {"status": "Accepted"},
        )
        assert told["message_id"]
        for wrong in (
            {"action": "Reset", "payload": {"type": "Maybe"}},
            {"action": "Nonsense", "payload": {}},
            {"action": "Reset", "payload": {"type": "Immediate"}, "extra": 1},
        ):
            assert (await server.api("POST", path, wrong))[0] == 422, wrong
        schedule = {
            "id": 1, "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -90_000}
            ],
        }  # fmt: skip
        profile = {
            "id": 99, "stackLevel": 5, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative", "chargingSchedule": [schedule],
        }  # fmt: skip
        body = {
            "action": "SetChargingProfile",
            "payload": {"evseId": 1, "chargingProfile": profile},
        }
        status, told = await server.api("POST", path, body)
        assert status == 200 and told["reasons"]
        sent = [p for p in profiles(station) if p["id"] == 99]
        assert watts_of(sent) == [0.0], "a car that may not discharge is not made to"

    with server_of() as server:
        asyncio.run(offline(server))
        run(server, work)


def test_operation_modes_are_installed_inside_the_limits_and_survive_a_restart() -> None:
    store = MemoryEventLog()
    path = "/evses/CP1/1/operation_mode"
    curve = [{"frequency_hz": 49.8, "power_kw": -20.0}, {"frequency_hz": 50.2, "power_kw": 20.0}]
    local = {"operation_mode": "LocalFrequency", "baseline_kw": 1.0, "curve": curve}

    def period(station: RawStation) -> dict[str, Any]:
        found: dict[str, Any] = profiles(station)[-1]["chargingSchedule"][0]
        return dict(found["chargingSchedulePeriod"][0])

    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        await until(lambda: server.runtime.state.setpoints)
        for wrong in (
            {"operation_mode": "Sideways"},
            {"operation_mode": "LocalFrequency", "curve": curve[:1]},
            {"operation_mode": "Idle", "curve": curve},
            {"operation_mode": "LocalFrequency", "curve": curve[::-1]},
        ):
            assert (await server.api("PUT", path, wrong))[0] == 422, wrong
        status, told = await server.api("PUT", path, local)
        assert status == 202 and told["id"]
        await until(lambda: period(station)["operationMode"] == "LocalFrequency")
        assert period(station)["v2xBaseline"] == 1_000
        points = [p["power"] + 1_000 for p in period(station)["v2xFreqWattCurve"]]
        assert points == [-10_000, 11_000]
        await server.api("PUT", path, {"operation_mode": "ExternalLimits"})
        await until(lambda: period(station)["operationMode"] == "ExternalLimits")
        assert (period(station)["limit"], period(station)["dischargeLimit"]) == (11_000, -10_000)
        await server.api("POST", "/sites/home/limits", {"export_limit_kw": 2.0, "source": "x"})
        await until(
            lambda: station.asked[-1][1].get("scheduleUpdate", {}).get("dischargeLimit") == -2_000
        )
        await server.api("PUT", path, {"operation_mode": "Idle"})
        await until(lambda: period(station) == {"startPeriod": 0, "operationMode": "Idle"})

    with server_of(store=store) as server:
        run(server, work)
    with server_of(store=store) as server:
        assert server.bridge.site_of["CP1"].modes["CP1/1"].name == "Idle"


def test_a_hybrid_speaks_2_1_under_the_name_of_2_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from pendel.runtime.bridges import dialects

    row = dialects.DialectRow("v", "m", "2.0.1", dialects.Dialect.HYBRID)
    table = (row, *dialects.rows())
    monkeypatch.setattr(dialects, "rows", lambda: table)

    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        await until(lambda: server.runtime.state.sessions)
        await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -2.5})
        await until(lambda: last_setpoint(station) == -2_500)
        _, listed = await server.api("GET", "/stations")
        assert listed["items"][0]["ocpp_version"] == "2.0.1"

    with server_of() as server:
        run(server, work, "2.0.1")


def test_a_hand_right_after_the_needs_is_heard() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        _, told = await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -5.0})
        assert told["granted_kw"] == -5.0, told
        await until(lambda: last_setpoint(station) == -5_000)

    with server_of() as server:
        run(server, work)
