"""The virtual station against an independent backend: PyPI `ocpp` on real loopback sockets.

The library validates every message by the official schemas. What its 2.1 cannot carry (properties
it renames wrongly, messages 5 and 6) is not asked of it here.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Peer16
from ocpp.v16 import call as call_16
from ocpp.v16 import call_result as result_16
from ocpp.v21 import ChargePoint as Peer21
from ocpp.v21 import call as call_21
from ocpp.v21 import call_result as result_21
from ocpp.v201 import ChargePoint as Peer201
from ocpp.v201 import call as call_201
from ocpp.v201 import call_result as result_201
from scripted_backend import a_car
from websockets.asyncio.server import ServerConnection, serve

from pendel.adapters.ocpp_client import StationClient, run_clients
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import StationSettings

LIMIT_S = 20.0
KINDS = ("Started", "Updated", "Ended")


def now() -> str:
    return datetime.now(UTC).isoformat()


class Central16(Peer16):  # type: ignore[misc]
    """A 1.6 central system."""

    told: list[str]

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        self.told.append("BootNotification")
        return result_16.BootNotification(current_time=now(), interval=300, status="Accepted")

    @on("Authorize")
    def authorize(self, **_: Any) -> Any:
        return result_16.Authorize(id_tag_info={"status": "Accepted"})

    @on("StartTransaction")
    def begin(self, **_: Any) -> Any:
        self.told.append("StartTransaction")
        return result_16.StartTransaction(transaction_id=41, id_tag_info={"status": "Accepted"})

    @on("StopTransaction")
    def end(self, transaction_id: int, **_: Any) -> Any:
        self.told.append(f"StopTransaction {transaction_id}")
        return result_16.StopTransaction()

    @on("MeterValues")
    def meter(self, **_: Any) -> Any:
        return result_16.MeterValues()

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return result_16.StatusNotification()


def central_2(base: Any, results: Any, is_21: bool) -> Any:
    class Central2(base):  # type: ignore[misc]
        """A 2.x backend."""

        told: list[str]

        @on("BootNotification")
        def boot(self, **_: Any) -> Any:
            self.told.append("BootNotification")
            return results.BootNotification(current_time=now(), interval=300, status="Accepted")

        @on("Authorize")
        def authorize(self, **_: Any) -> Any:
            more = {"allowed_energy_transfer": ["AC_BPT"]} if is_21 else {}
            return results.Authorize(id_token_info={"status": "Accepted"}, **more)

        @on("TransactionEvent")
        def event(self, event_type: str, seq_no: int, transaction_info: Any, **_: Any) -> Any:
            self.told.append(f"{event_type} {seq_no}")
            self.transaction_id = transaction_info["transaction_id"]
            return results.TransactionEvent()

        @on("NotifyEVChargingNeeds")
        def needs(self, charging_needs: Any, **_: Any) -> Any:
            self.told.append(f"needs {charging_needs['requested_energy_transfer']}")
            return results.NotifyEVChargingNeeds(status="Processing")

        @on("NotifyEVChargingSchedule")
        def schedule(self, charging_schedule: Any, **_: Any) -> Any:
            self.told.append(f"schedule {charging_schedule['id']}")
            return results.NotifyEVChargingSchedule(status="Accepted")

        @on("StatusNotification")
        def status(self, **_: Any) -> Any:
            return results.StatusNotification()

        @on("SecurityEventNotification")
        def security(self, **_: Any) -> Any:
            return results.SecurityEventNotification()

        @on("NotifyReport")
        def report(self, **_: Any) -> Any:
            self.told.append("NotifyReport")
            return results.NotifyReport()

        @on("ReportChargingProfiles")
        def profiles(self, charging_profile: Any, **_: Any) -> Any:
            self.told.append(f"profile {charging_profile[0]['id']}")
            return results.ReportChargingProfiles()

    return Central2


async def converse(
    version: Version,
    central: Any,
    script: Callable[[Any, VirtualStation], Awaitable[None]],
) -> tuple[list[str], VirtualStation]:
    """Run the script against a station with a car; returns what the peer was told."""
    done, told = asyncio.Event(), []
    failures: list[BaseException] = []
    settings = StationSettings("CS 1/a", meter_interval_s=1.0)
    station = VirtualStation(settings, version, random.Random(1), time.time())

    async def accept(socket: ServerConnection) -> None:
        try:
            peer = central("CS", socket)
            peer.told = told
            listening = asyncio.create_task(peer.start())
            async with asyncio.timeout(LIMIT_S):
                await script(peer, station)
            listening.cancel()
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    offered: Any = [version.subprotocol]
    async with serve(accept, "127.0.0.1", 0, subprotocols=offered) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        address = f"ws://127.0.0.1:{port}/x"
        client = StationClient(station, address, "secret", time.time, random.Random(2), note=print)
        await run_clients([client], done.is_set)
    for failure in failures:
        raise failure
    return told, station


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def test_16_against_pypi_ocpp() -> None:
    async def script(peer: Any, station: VirtualStation) -> None:
        await until(lambda: station.accepted)
        station.plug(1, a_car(), time.time())
        await until(lambda: "StartTransaction" in peer.told)
        await until(lambda: station.evses[1].power_kw == 11.0)
        profile = {
            "charging_profile_id": 5,
            "stack_level": 0,
            "charging_profile_purpose": "TxDefaultProfile",
            "charging_profile_kind": "Absolute",
            "charging_schedule": {
                "charging_rate_unit": "A",
                "start_schedule": "2024-01-01T00:00:00Z",
                "charging_schedule_period": [{"start_period": 0, "limit": 10.0}],
            },
        }
        order = call_16.SetChargingProfile(connector_id=1, cs_charging_profiles=profile)
        assert (await peer.call(order)).status == "Accepted"
        await until(lambda: station.evses[1].power_kw == 6.9)
        asked = call_16.GetCompositeSchedule(connector_id=1, duration=60)
        schedule = (await peer.call(asked)).charging_schedule
        assert schedule["charging_schedule_period"][0]["limit"] == 6900.0
        keys = (await peer.call(call_16.GetConfiguration())).configuration_key
        assert "HeartbeatInterval" in {row["key"] for row in keys}
        assert (await peer.call(call_16.RemoteStopTransaction(transaction_id=41))).status == (
            "Accepted"
        )
        await until(lambda: "StopTransaction 41" in peer.told)
        await until(lambda: not station.queue.waiting)  # the answer has arrived, too

    told, station = asyncio.run(converse(Version.V16, Central16, script))
    assert told[0] == "BootNotification"
    assert not station.queue.waiting


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_2_against_pypi_ocpp(version: Version) -> None:
    is_21 = version is Version.V21
    calls: Any = call_21 if is_21 else call_201
    base, results = (Peer21, result_21) if is_21 else (Peer201, result_201)

    async def script(peer: Any, station: VirtualStation) -> None:
        await until(lambda: station.accepted)
        station.plug(1, a_car(), time.time())
        await until(lambda: any(line.startswith("needs") for line in peer.told))
        await until(lambda: station.evses[1].power_kw == 11.0)
        period: dict[str, Any] = {"start_period": 0, "limit": 4000.0}
        profile: dict[str, Any] = {
            "id": 5,
            "stack_level": 0,
            "charging_profile_purpose": "TxProfile",
            "charging_profile_kind": "Relative",
            "transaction_id": peer.transaction_id,
            "charging_schedule": [
                {"id": 1, "charging_rate_unit": "W", "charging_schedule_period": [period]}
            ],
        }
        if is_21:
            profile["charging_profile_kind"] = "Dynamic"
            del period["limit"]
            period |= {"operation_mode": "CentralSetpoint", "setpoint": 2000.0}
        order = calls.SetChargingProfile(evse_id=1, charging_profile=profile)
        assert (await peer.call(order)).status == "Accepted"
        await until(lambda: station.evses[1].power_kw == (2.0 if is_21 else 4.0))
        if is_21:
            update = calls.UpdateDynamicSchedule(
                charging_profile_id=5, schedule_update={"setpoint": -7000.0}
            )
            assert (await peer.call(update)).status == "Accepted"
            await until(lambda: station.evses[1].export_wh > 0.0)
        report = calls.GetBaseReport(request_id=1, report_base="FullInventory")
        assert (await peer.call(report)).status == "Accepted"
        ask = calls.GetChargingProfiles(request_id=2, charging_profile={"stack_level": 0})
        assert (await peer.call(ask)).status == "Accepted"
        await until(lambda: "profile 5" in peer.told)
        stop = calls.RequestStopTransaction(transaction_id=peer.transaction_id)
        assert (await peer.call(stop)).status == "Accepted"
        await until(lambda: any(line.startswith("Ended") for line in peer.told))

    told, _ = asyncio.run(converse(version, central_2(base, results, is_21), script))
    numbers = [int(line.split()[1]) for line in told if line.partition(" ")[0] in KINDS]
    assert numbers == list(range(len(numbers)))
    assert f"needs {'AC_BPT' if is_21 else 'AC_three_phase'}" in told
    assert "NotifyReport" in told
