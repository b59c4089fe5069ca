"""What the steering says to stations that are strict: in which order, with which ids, how often."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.peer import Answered
from pendel.comms.ocpp.release import Version, messages_of
from pendel.runtime.bridges.dialects import manner_of
from pendel.runtime.bridges.steering import Steering
from pendel.runtime.bridges.wire_profiles import Wish

Told = tuple[str, dict[str, Any]]


class Wire:
    """Stands for the network: one 2.1 station that answers as it was told to."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self.answers = answers
        self.told: list[Told] = []
        self.station = Station("S", "2.1", booted=True, vendor="pendel", model="virtual")
        self.station.evse(1).transaction_id = "T"
        self.csms = SimpleNamespace(network=SimpleNamespace(station=lambda _: self.station))
        self.policy = SimpleNamespace(manner=lambda _, *model: manner_of(*model))

    def online(self, _: str) -> bool:
        return True

    async def order(
        self, _: str, action: str, payload: Any, timeout_s: float, causes: tuple[str, ...] = ()
    ) -> Answered:
        self.told.append((action, msgspec.to_builtins(payload)))
        waiting = self.answers.get(action, [])
        answer = waiting.pop(0) if waiting else {"status": "Accepted"}
        response = msgspec.convert(answer, messages_of(Version.V21).RESPONSES[action])
        return Answered("m", action, response)


def steered(wire: Wire, *wishes: Wish) -> list[Told]:
    async def work() -> None:
        steering = Steering(wire)  # type: ignore[arg-type]
        for wish in wishes:
            await steering.want("S", 1, wish, "")

    asyncio.run(work())
    return wire.told


WISH = Wish(4.0, 11.0, 0.0, False)


@pytest.mark.proves("K01.FR.06")
def test_the_default_of_somebody_before_gives_way() -> None:
    refused = {"status": "Rejected", "statusInfo": {"reasonCode": "DuplicateProfile"}}
    told = steered(Wire({"SetChargingProfile": [refused]}), WISH)
    assert [action for action, _ in told] == [
        "SetChargingProfile", "ClearChargingProfile", "ClearChargingProfile",
        "SetChargingProfile", "SetChargingProfile",
    ]  # fmt: skip
    criteria = [payload["chargingProfileCriteria"] for _, payload in told[1:3]]
    assert [each["evseId"] for each in criteria] == [1, 0]
    assert {each["chargingProfilePurpose"] for each in criteria} == {"TxDefaultProfile"}
    purposes = [payload["chargingProfile"]["chargingProfilePurpose"] for _, payload in told[3:]]
    assert purposes == ["TxDefaultProfile", "TxProfile"]


@pytest.mark.proves("K01.FR.80")
@pytest.mark.parametrize(("most", "least"), [(None, 1), ("100", 101), ("-5", 1), ("what", 1)])
def test_ids_lie_above_those_of_external_constraints(most: str | None, least: int) -> None:
    wire = Wire({})
    if most is not None:
        wire.station.variables["SmartChargingCtrlr", 0, "MaxExternalConstraintsId"] = most
    ids = [payload["chargingProfile"]["id"] for _, payload in steered(wire, WISH)]
    assert len(set(ids)) == 2 and min(ids) >= least


@pytest.mark.proves("K01.FR.58", "K01.FR.59")
def test_a_station_that_asks_for_a_pause_gets_it() -> None:
    info = {"reasonCode": "RateLimitExceeded", "additionalInfo": "40 seconds before retry"}
    wire = Wire({"SetChargingProfile": [{"status": "Rejected", "statusInfo": info}]})

    async def work() -> None:
        steering = Steering(wire)  # type: ignore[arg-type]
        begin_s = asyncio.get_running_loop().time()
        await steering.want("S", 1, WISH, "")
        line = steering.line("S", 1)
        assert 39.0 < line.not_before_s - begin_s < 41.0
        assert not line.default_refused
        await steering.want("S", 1, WISH, "")
        assert len(wire.told) == 1
        line.not_before_s = 0.0
        await steering.drive(line)

    asyncio.run(work())
    assert [action for action, _ in wire.told] == ["SetChargingProfile"] * 3
    first, again, _ = (payload["chargingProfile"] for _, payload in wire.told)
    assert first == again
