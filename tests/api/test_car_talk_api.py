"""A car's talk against the whole server: profiles after needs, renegotiation, allowed transfers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ocpp_network_bench import RawStation, event
from ocpp_server_bench import ServerBench, server_of, settings
from test_network_api import needs, plug_in, profiles, run, until

AC = {"energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}


def iso2(**more: Any) -> dict[str, Any]:
    """Needs of an ISO 15118-2 car that takes 24 entries."""
    leaves = (datetime.now(UTC) + timedelta(hours=9)).isoformat()
    told = {
        "requestedEnergyTransfer": "AC_three_phase",
        "departureTime": leaves,
        "acChargingParameters": AC,
        **more,
    }
    return {"evseId": 1, "maxScheduleTuples": 24, "chargingNeeds": told}


def tx_profiles(station: RawStation) -> list[dict[str, Any]]:
    return [p for p in profiles(station) if p["chargingProfilePurpose"] == "TxProfile"]


async def tell(station: RawStation, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    answer = await station.call(action, payload)
    assert answer[0] == 3, answer
    return dict(answer[2])


async def next_tx(station: RawStation, count: int) -> dict[str, Any]:
    """The TxProfile number `count` (from 1), which names transaction and EVSE."""
    await until(lambda: len(tx_profiles(station)) >= count, 10.0)
    found = tx_profiles(station)[count - 1]
    assert found["transactionId"] == "T"
    asked = [p for a, p in station.asked if a == "SetChargingProfile"]
    assert all(each["evseId"] == 1 for each in asked)
    return found


def own_schedule(profile: dict[str, Any], more: float = 0.0) -> dict[str, Any]:
    """NotifyEVChargingSchedule with the schedule that was offered, its limits raised by more."""
    schedule = dict(profile["chargingSchedule"][0])
    schedule["chargingSchedulePeriod"] = [
        period | {"limit": period["limit"] + more} for period in schedule["chargingSchedulePeriod"]
    ]
    base = schedule.get("startSchedule", datetime.now(UTC).isoformat())
    return {"evseId": 1, "timeBase": base, "chargingSchedule": schedule}


def said(seq: int, trigger: str, **info: Any) -> dict[str, Any]:
    found = event(seq)
    found["triggerReason"] = trigger
    found["transactionInfo"].update(info)
    return dict(found)


async def smart_charging(station: RawStation) -> dict[str, Any]:
    """The certification's state ISO15118SmartCharging; returns the profile that was given."""
    assert (await tell(station, "NotifyEVChargingNeeds", iso2()))["status"] == "Accepted"
    given = await next_tx(station, 1)
    told = await tell(station, "NotifyEVChargingSchedule", own_schedule(given))
    assert told["status"] == "Accepted"
    await tell(
        station, "TransactionEvent", said(1, "ChargingStateChanged", chargingState="Charging")
    )
    return given


@pytest.mark.proves("TC_K_53_CSMS", "K15.FR.07", "K15.FR.08", "K15.FR.18")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_needs_bring_one_schedule_in_time(version: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot(version)
        await tell(station, "TransactionEvent", event(0, "Started"))
        given = await smart_charging(station)
        (schedule,) = given["chargingSchedule"]
        assert 1 <= len(schedule["chargingSchedulePeriod"]) <= 24
        assert given["chargingProfileKind"] == "Absolute"
        for period in schedule["chargingSchedulePeriod"]:
            assert period["limit"] >= 0.0
            assert not {"setpoint", "dischargeLimit"} & set(period)

    with server_of() as server:
        run(server, work, version)


@pytest.mark.proves("TC_K_55_CSMS", "K15.FR.13", "K16.FR.08", "K17.FR.13", "K18.FR.13")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_a_schedule_beyond_its_offer_is_refused_and_renegotiated(version: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot(version)
        await tell(station, "TransactionEvent", event(0, "Started"))
        wants = iso2() if version == "2.0.1" else iso2(controlMode="ScheduledControl")
        assert (await tell(station, "NotifyEVChargingNeeds", wants))["status"] == "Accepted"
        given = await next_tx(station, 1)
        known = len(tx_profiles(station))
        told = await tell(station, "NotifyEVChargingSchedule", own_schedule(given, 500.0))
        assert told["status"] == "Rejected"
        await tell(
            station, "TransactionEvent", said(1, "ChargingStateChanged", chargingState="Charging")
        )
        again = await next_tx(station, known + 1)
        told = await tell(station, "NotifyEVChargingSchedule", own_schedule(again))
        assert told["status"] == "Accepted"
        await tell(station, "TransactionEvent", said(2, "ChargingRateChanged"))

    with server_of() as server:
        run(server, work, version)


@pytest.mark.proves("TC_K_57_CSMS", "K17.FR.07", "K17.FR.08")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_new_needs_of_the_car_bring_a_new_profile(version: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot(version)
        await tell(station, "TransactionEvent", event(0, "Started"))
        await smart_charging(station)
        known = len(tx_profiles(station))
        wants = iso2(acChargingParameters={**AC, "energyAmount": 5_000})
        assert (await tell(station, "NotifyEVChargingNeeds", wants))["status"] == "Accepted"
        await tell(station, "TransactionEvent", said(2, "ChargingRateChanged"))
        given = await next_tx(station, known + 1)
        told = await tell(station, "NotifyEVChargingSchedule", own_schedule(given))
        assert told["status"] == "Accepted"
        await tell(station, "TransactionEvent", said(3, "ChargingRateChanged"))

    with server_of() as server:
        run(server, work, version)


@pytest.mark.proves("TC_K_58_CSMS", "TC_K_59_CSMS", "K16.FR.12")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
@pytest.mark.parametrize("repeats", [False, True], ids=["58", "59 needs again"])
def test_a_renegotiation_begun_here(version: str, repeats: bool) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot(version)
        await tell(station, "TransactionEvent", event(0, "Started"))
        await smart_charging(station)
        await until(lambda: server.runtime.state.setpoints)
        order = {"power_kw": 4.0, "duration_s": 600}
        assert (await server.api("POST", "/evses/CP1/1/setpoint", order))[0] == 202

        def four_kw() -> Any:
            last = tx_profiles(station)[-1]["chargingSchedule"][0]["chargingSchedulePeriod"]
            return last[0]["limit"] == 4_000.0

        await until(four_kw, 40.0)
        if repeats:
            known = len(tx_profiles(station))
            assert (await tell(station, "NotifyEVChargingNeeds", iso2()))["status"] == "Accepted"
            await next_tx(station, known + 1)
        told = await tell(
            station, "NotifyEVChargingSchedule", own_schedule(tx_profiles(station)[-1])
        )
        assert told["status"] == "Accepted"
        await tell(station, "TransactionEvent", said(2, "ChargingRateChanged"))

    with server_of() as server:
        run(server, work, version)


@pytest.mark.proves("K18.FR.07", "K18.FR.18", "K19.FR.07", "K17.FR.19", "K20.FR.03")
@pytest.mark.parametrize("control", ["ScheduledControl", "DynamicControl"])
def test_each_control_mode_gets_its_profile_and_new_needs_another(control: str) -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        dynamic = control == "DynamicControl"
        wants = needs("DC_BPT") if dynamic else iso2(v2xChargingParameters={"maxChargePower": 9e3})
        wants["maxScheduleTuples"] = 12
        wants["chargingNeeds"]["controlMode"] = control
        wants["chargingNeeds"].pop("acChargingParameters", None)
        await plug_in(station, wants)
        for count in (1, 2):
            given = await next_tx(station, count)
            (schedule,) = given["chargingSchedule"]
            assert 1 <= len(schedule["chargingSchedulePeriod"]) <= 12
            kind = given["chargingProfileKind"]
            assert kind == ("Dynamic" if dynamic else "Absolute")
            if count == 1:
                await asyncio.sleep(0.7)  # what control decided at first is out
                del station.asked[2:]
                leaves = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
                wants["chargingNeeds"]["departureTime"] = leaves
                told = await tell(station, "NotifyEVChargingNeeds", wants)
                assert told["status"] == "Accepted"

    with server_of() as server:
        run(server, work)


@pytest.mark.proves("Q02.FR.05")
def test_a_car_that_turns_out_to_be_allowed_is_told_so() -> None:
    """Its token says nothing; its EVCCID comes with the transaction."""
    cars = [{"vehicle_id": "v", "evcc_id": "GIVES"}]

    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot()
        token: dict[str, Any] = {"idToken": "RF", "type": "ISO14443"}
        first = await tell(station, "Authorize", {"idToken": token})
        assert "allowedEnergyTransfer" not in first
        await tell(station, "TransactionEvent", {**event(0, "Started"), "idToken": token})
        plain = needs("DC")
        assert (await tell(station, "NotifyEVChargingNeeds", plain))["status"] == "Accepted"
        await asyncio.sleep(0.5)
        assert not [a for a, _ in station.asked if a == "NotifyAllowedEnergyTransfer"]
        known = token | {"additionalInfo": [{"additionalIdToken": "GIVES", "type": "EVCCID"}]}
        await tell(station, "TransactionEvent", {**event(1), "idToken": known})

        def lists() -> list[Any]:
            return [p for a, p in station.asked if a == "NotifyAllowedEnergyTransfer"]

        await until(lists)
        (told,) = lists()
        assert told["transactionId"] == "T" and "DC_BPT" in told["allowedEnergyTransfer"]
        assert (await tell(station, "NotifyEVChargingNeeds", needs()))["status"] == "Accepted"
        await until(lambda: any(
            "setpoint" in p["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            for p in tx_profiles(station)
        ))  # fmt: skip
        await asyncio.sleep(0.5)
        assert len(lists()) == 1

    with server_of(settings(vehicle=cars)) as server:
        run(server, work)


def test_a_station_that_waits_for_needs_gets_its_profile_with_them() -> None:
    """K15.FR.17 seen from here: InvalidMessageSeq is no reason to give up a form of profile."""

    async def work(server: ServerBench, station: RawStation) -> None:
        early = {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidMessageSeq"}}
        await station.boot()
        await tell(station, "TransactionEvent", event(0, "Started"))
        await until(lambda: profiles(station))
        station.answers["SetChargingProfile"] = early
        await asyncio.sleep(1.5)
        station.answers.clear()
        station.asked.clear()
        assert (await tell(station, "NotifyEVChargingNeeds", needs()))["status"] == "Accepted"
        given = await next_tx(station, 1)
        assert given["chargingProfileKind"] == "Dynamic"

    with server_of() as server:
        run(server, work)


def test_a_car_that_keeps_breaking_its_offer_does_not_make_a_storm() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot()
        await tell(station, "TransactionEvent", event(0, "Started"))
        given = await smart_charging(station)
        known = len(tx_profiles(station))
        for _ in range(20):
            told = await tell(station, "NotifyEVChargingSchedule", own_schedule(given, 900.0))
            assert told["status"] == "Rejected"
        await asyncio.sleep(1.5)
        assert 1 <= len(tx_profiles(station)) - known <= 3

    with server_of() as server:
        run(server, work)


def test_an_unsteered_station_is_told_nothing() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await station.boot()
        await tell(station, "TransactionEvent", event(0, "Started"))
        told = await tell(station, "NotifyEVChargingNeeds", needs())
        assert told["status"] in ("Rejected", "NoChargingProfile")
        await asyncio.sleep(1.0)
        assert profiles(station) == []

    with server_of(settings("uncontrolled")) as server:
        run(server, work)
