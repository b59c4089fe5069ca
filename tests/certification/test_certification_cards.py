"""Each card of the certification played against a listening backend, on the wire of 2.0.1."""

import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

import cards_control
import cards_monitoring
import cards_stations
import cards_tokens
from card_steps import Card, Sends
from ocpp_network_bench import RawStation, config, network_of, station_at

from pendel.adapters.memory_log import MemoryEventLog
from pendel.comms.ocpp.peer import Answered, Failed
from pendel.records import StationMessage
from pendel.runtime.network import ChargingNetwork

CARDS: dict[str, Card] = (
    cards_stations.CARDS | cards_control.CARDS | cards_monitoring.CARDS | cards_tokens.CARDS
)
CARS = [{"vehicle_id": "car", "id_tokens": ["TAG1"]}]
TOKENS = [
    {"token": "TAG1", "group": "FAMILY"},
    {"token": "TAG2", "group": "FAMILY"},
    {"token": "BLOCKED", "status": "Blocked"},
    {"token": "EXPIRED", "valid_until": "2020-01-01T00:00:00Z"},
    {"token": "POLICE", "group": "MASTERS"},
]


@pytest.fixture(scope="module")
def network() -> Iterator[ChargingNetwork]:
    ocpp = {"master_pass_group": "MASTERS"}
    settings = config(vehicle=CARS, id_token=TOKENS, ocpp=ocpp)
    with network_of(settings, MemoryEventLog()) as found:
        yield found


def alike(found: Any, wanted: Any) -> bool:
    """Equal, with times compared as times (+00:00 is Z)."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return found.keys() == wanted.keys() and all(alike(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    if found != wanted and isinstance(wanted, str) and wanted[:4] == "2026":
        return datetime.fromisoformat(str(found)) == datetime.fromisoformat(wanted)
    return bool(found == wanted)


def holds(found: Any, wanted: Any) -> bool:
    """Everything wanted is there."""
    if isinstance(wanted, dict):
        return all(key in found and holds(found[key], wanted[key]) for key in wanted)
    return bool(found == wanted)


def renamed(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """The card's own transaction id: cards share a station."""
    text = json.dumps(payload).replace('"transactionId": "T"', f'"transactionId": "{name}"')
    return dict(json.loads(text))


async def play(network: ChargingNetwork, name: str, card: Card) -> None:
    async with station_at(network.port, "CP1", "2.0.1") as station:
        await station.boot("2.0.1")
        for step in card:
            payload = renamed(step.payload, name)
            if isinstance(step, Sends):
                await send(network, station, step, payload)
                continue
            answer = await station.call(step.action, payload)
            assert answer[0] == 3, (step, answer)
            assert holds(answer[2], step.expected), (step, answer)


async def send(
    network: ChargingNetwork, station: RawStation, step: Sends, payload: dict[str, Any]
) -> None:
    """The order is on the wire as it was given, and its answer comes back to whoever gave it."""
    station.asked.clear()
    station.answers[step.action] = step.error or step.answer
    event = await asyncio.to_thread(network.command, "CP1", step.action, payload, 5.0)
    (asked,) = [each for each in station.asked if each[0] == step.action]
    assert alike(asked[1], payload)
    if step.error:
        assert isinstance(event, Failed) and event.code == step.error
        return
    assert isinstance(event, Answered)
    status = step.answer.get("status")
    assert status is None or event.response.status == status


@pytest.mark.parametrize("name", list(CARDS))
def test_card(network: ChargingNetwork, name: str) -> None:
    asyncio.run(play(network, name, CARDS[name]))


def test_what_the_cards_said_is_in_the_log(network: ChargingNetwork) -> None:
    """After the cards: orders and what came of them are kept, and the state is theirs."""
    asyncio.run(play(network, "LOGGED", CARDS["TC_E_21_CSMS"]))
    found = network.csms.network.station("CP1").transactions["LOGGED"]
    assert not found.is_open and found.events == 4 and found.stopped_reason == "Remote"
    store = network._store
    kept = [r for _, r in store.replay() if isinstance(r, StationMessage)]
    stop = [r for r in kept if r.outgoing and '"LOGGED"' in r.payload]
    assert [r.status for r in stop] == ["Accepted"]
