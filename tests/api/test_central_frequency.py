"""Frequency support by setpoints of the backend (Q07)."""

from typing import Any

import pytest
from ocpp_network_bench import RawStation
from ocpp_server_bench import ServerBench, server_of
from test_network_api import last_setpoint, needs, plug_in, profiles, run, until


@pytest.mark.proves("Q07.FR.02", "Q07.FR.03", "Q07.FR.04")
def test_central_frequency_is_one_dynamic_period_with_a_watchdog() -> None:
    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        await until(lambda: server.runtime.state.setpoints)
        mode = {"operation_mode": "CentralFrequency"}
        assert (await server.api("PUT", "/evses/CP1/1/operation_mode", mode))[0] == 202

        def central() -> list[dict[str, Any]]:
            return [p for p in profiles(station) if "CentralFrequency" in str(p)]

        profile = (await until(central))[-1]
        (schedule,) = profile["chargingSchedule"]
        (period,) = schedule["chargingSchedulePeriod"]
        assert profile["chargingProfileKind"] == "Dynamic" and schedule["duration"] > 0
        assert period["operationMode"] == "CentralFrequency" and "setpoint" in period
        assert not {"limit", "dischargeLimit", "limit_L2", "dischargeLimit_L2"} & set(period)
        await server.api("POST", "/evses/CP1/1/setpoint", {"power_kw": -2.5})
        await until(lambda: last_setpoint(station) == -2_500)
        assert station.asked[-1][0] == "UpdateDynamicSchedule"

    with server_of() as server:
        run(server, work)
