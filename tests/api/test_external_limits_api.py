"""Limits that others set at a station are shown; what block K forbids a backend is refused."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).parent))

from ocpp_network_bench import RawStation
from ocpp_server_bench import ServerBench
from test_network_api import needs, plug_in, run, server_of


def test_external_limits_are_shown_and_rules_hold_for_commands() -> None:
    async def shown(server: ServerBench) -> list[dict[str, Any]]:
        status, found = await server.api("GET", "/stations")
        assert status == 200
        (station,) = (item for item in found["items"] if item["station_id"] == "CP1")
        limits: list[dict[str, Any]] = station["external_limits"]
        return limits

    async def work(server: ServerBench, station: RawStation) -> None:
        await plug_in(station, needs())
        assert await shown(server) == []
        period = {"startPeriod": 0, "limit": 4000.0, "dischargeLimit": 0.0}
        schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
        limit = {"chargingLimitSource": "SO", "isGridCritical": True}
        told = {"evseId": 1, "chargingLimit": limit, "chargingSchedule": [schedule]}
        assert (await station.call("NotifyChargingLimit", told))[0] == 3
        (found,) = await shown(server)
        assert found.pop("record_id") and found.pop("since_utc")
        assert found == {
            "evse_id": 1,
            "source": "SO",
            "local_generation": False,
            "grid_critical": True,
            "import_limit_kw": 4.0,
            "export_limit_kw": 0.0,
        }
        gone = {"evseId": 1, "chargingLimitSource": "SO"}
        assert (await station.call("ClearedChargingLimit", gone))[0] == 3
        assert await shown(server) == []
        wish = {"action": "ClearChargingProfile", "payload": {}}
        status, answer = await server.api("POST", "/stations/CP1/commands", wish)
        assert status == 422 and "K10.FR.02" in str(answer)

    with server_of() as server:
        run(server, work)
