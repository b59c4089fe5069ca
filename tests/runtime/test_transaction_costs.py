"""What a driver is told his charging costs, against sums made by hand and against the statement."""

import asyncio
import contextlib
import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comms" / "ocpp"))

from ocpp_network_bench import config, station_at

from pendel.adapters.memory_log import MemoryEventLog
from pendel.runtime.collecting import Stay
from pendel.runtime.contracts import contracts_of
from pendel.runtime.flows import session_flow
from pendel.runtime.metered import Mark
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_policy import ConfigPolicy
from pendel.runtime.settling import usage_of_driver
from pendel.runtime.transaction_costs import TransactionCosts, energy_part, thinned
from pendel.settle.exact_money import cents_of
from pendel.tariff.bill import bill

FLAT = """
name = "flat"
currency = "EUR"
timezone = "Europe/Berlin"
[[component]]
name = "base fee"
kind = "fixed_fee"
valid_from = 2025-01-01
eur_month = "12.5"
[[component]]
name = "energy"
kind = "flat_energy"
direction = "import"
valid_from = 2025-01-01
ct_kwh = "30"
[[component]]
name = "feed-in"
kind = "export_energy"
direction = "export"
valid_from = 2025-01-01
ct_kwh = "8"
[[component]]
name = "VAT"
kind = "tax"
valid_from = 2025-01-01
percent = "19"
of = ["energy"]
"""
SPOT = """
name = "spot"
currency = "EUR"
timezone = "Europe/Berlin"
[[component]]
name = "energy"
kind = "dynamic_energy"
direction = "import"
valid_from = 2025-01-01
factor = "1"
adder_ct_kwh = "10"
resolution_min = "60"
"""
BEGIN = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


class Market:
    """100 EUR/MWh in the first hour, 200 in the second, nothing later."""

    trouble = ""

    def spot(self, now_utc: datetime) -> Mapping[int, Fraction]:
        first = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) // 900
        return {first + i: Fraction(100 if i < 4 else 200) for i in range(8)}

    def close(self) -> None:
        """Nothing is open."""


@contextlib.contextmanager
def priced(
    folder: Path, tariff: str, store: Any = None, market: Any = None
) -> Iterator[ChargingNetwork]:
    (folder / "mine.toml").write_text(tariff, "utf-8")
    site = {
        "site_id": "home",
        "timezone": "Europe/Berlin",
        "import_limit_kw": 17.0,
        **({"tariff": "mine.toml"} if tariff else {}),
    }
    settings = config(site=[site])
    costs = TransactionCosts({"CP1": "home"}, contracts_of(settings, folder), market)
    network = ChargingNetwork(ConfigPolicy(settings), store or MemoryEventLog(), costs=costs)
    network.start("127.0.0.1", 0)
    try:
        yield network
    finally:
        network.stop()


def event(
    seq: int, kind: str, minute: float, imported: float | None = None, exported: float | None = None
) -> dict[str, Any]:
    at = (BEGIN + timedelta(minutes=minute)).isoformat()
    told: dict[str, Any] = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "T"},
        "evse": {"id": 1},
    }
    values = [{"value": imported}] if imported is not None else []
    if exported is not None:
        values.append({"value": exported, "measurand": "Energy.Active.Export.Register"})
    if values:
        told["meterValue"] = [{"timestamp": at, "sampledValue": values}]
    return told


def told_costs(network: ChargingNetwork, events: list[Any], version: str = "2.0.1") -> list[Any]:
    """totalCost of each answer, None where there is none."""

    async def act() -> list[Any]:
        async with station_at(network.port, version=version) as station:
            await station.boot(version)
            answers = [await station.call("TransactionEvent", each) for each in events]
            return [answer[2].get("totalCost") for answer in answers]

    return asyncio.run(act())


@pytest.mark.proves("TC_I_02_CSMS")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_the_running_and_the_final_cost_are_the_energy_by_the_tariff(
    version: str, tmp_path: Path
) -> None:
    events = [
        event(0, "Started", 0, 1000.0, 0.0),
        event(1, "Updated", 10, 3000.0, 0.0),
        event(2, "Updated", 40, 11000.0, 500.0),
        event(3, "Ended", 60, 11000.0, 2000.0),
    ]
    with priced(tmp_path, FLAT) as network:
        first, *between, final = told_costs(network, events, version)
        again = told_costs(network, [events[-1]], version)
    assert first == 0.0, "nothing flowed: it is known to be 0.00"
    assert all(cost is None or cost > 0.0 for cost in between)
    # 10 kWh at 30 ct and 19 % on it, 2 kWh given back at 8 ct without tax; no base fee
    assert final == 3.41 and again == [3.41], "10 * 0.30 * 1.19 - 2 * 0.08"


def test_a_running_cost_is_told_once_a_minute(tmp_path: Path) -> None:
    with priced(tmp_path, FLAT) as network:
        now = [BEGIN]
        network.now_utc = lambda: now[0]
        costs = network.csms.costs
        assert costs is not None
        found = []
        for second in range(0, 300, 20):
            now[0] = BEGIN + timedelta(seconds=second)
            found.append(
                told_costs(network, [event(second, "Updated", second / 60, 1000.0 + second * 10)])[
                    0
                ]
            )
    assert [i for i, cost in enumerate(found) if cost is not None] == [0, 3, 6, 9, 12]
    assert [cost for cost in found if cost is not None] == [0.0, 0.21, 0.43, 0.64, 0.86]


def test_prices_of_the_market_count_by_their_hours(tmp_path: Path) -> None:
    minutes = [(0, 0.0), (10, 1000.0), (55, 1000.0), (56, 1000.0), (65, 3000.0)]
    kinds = ["Started", "Updated", "Updated", "Updated", "Ended"]
    events = [
        event(seq, kind, minute, wh)
        for seq, (kind, (minute, wh)) in enumerate(zip(kinds, minutes, strict=True))
    ]
    with priced(tmp_path, SPOT, market=Market()) as network:
        # 1 kWh at (0.10 + 0.10), 2 kWh at (0.20 + 0.10)
        assert told_costs(network, events)[-1] == 0.8
    late = [event(0, "Started", 119, 0.0), event(1, "Ended", 130, 1000.0)]
    with priced(tmp_path, SPOT, market=Market()) as network:
        assert told_costs(network, late)[-1] is None, "no price, no cost: not 0.00"
    with priced(tmp_path, SPOT) as network:
        assert told_costs(network, events)[-1] is None


def test_without_a_tariff_or_a_register_nothing_is_told(tmp_path: Path) -> None:
    events = [event(0, "Started", 0, 0.0), event(1, "Ended", 10, 5000.0)]
    with priced(tmp_path, "") as network:
        assert told_costs(network, events) == [None, None]
    blank = [event(0, "Started", 0), event(1, "Ended", 10)]
    with priced(tmp_path, FLAT) as network:
        assert told_costs(network, blank) == [None, None]


def test_a_restart_between_changes_nothing(tmp_path: Path) -> None:
    store = MemoryEventLog()
    with priced(tmp_path, FLAT, store) as network:
        told_costs(network, [event(0, "Started", 0, 0.0), event(1, "Updated", 10, 5000.0)])
    end = [event(2, "Ended", 20, 10000.0)]
    with priced(tmp_path, FLAT, store) as network:
        assert told_costs(network, end) == [3.57]
    with priced(tmp_path, FLAT, store) as network:
        assert told_costs(network, end) == [3.57], "the same event once more, after a restart"


def test_1_6_has_no_place_for_a_cost(tmp_path: Path) -> None:
    async def act(network: ChargingNetwork) -> None:
        async with station_at(network.port, version="1.6") as station:
            await station.boot("1.6")
            start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2026-03-01T12Z"}
            start["timestamp"] = BEGIN.isoformat()
            begun = (await station.call("StartTransaction", start))[2]
            stop = {
                "transactionId": begun["transactionId"],
                "meterStop": 5000,
                "timestamp": BEGIN.isoformat(),
            }
            assert (await station.call("StopTransaction", stop))[2] == {}

    with priced(tmp_path, FLAT) as network:
        asyncio.run(act(network))


@pytest.mark.parametrize("seed", range(10))
def test_the_cost_is_that_of_the_statement_of_the_same_registers(seed: int, tmp_path: Path) -> None:
    """The statement's way (usage_of_driver, bill) over all marks; the costs' way message by
    message, with marks dropped on the way."""
    rng = random.Random(seed)
    minute, wh, marks, events = 0.0, 1000.0, [], []
    for seq in range(rng.randint(80, 140)):
        minute += rng.choice((1.0, 2.5, 5.0, 10.0))
        wh += rng.choice((0.0, 17.0, 123.0))
        kind = "Started" if seq == 0 else "Updated"
        events.append(event(seq, kind, minute, wh))
        at = BEGIN + timedelta(minutes=minute)
        marks.append(Mark(at, "import", round(wh * 1_000_000), "CP1/1", "T", "r"))
    events[-1]["eventType"] = "Ended"
    with priced(tmp_path, FLAT) as network:
        final = told_costs(network, events)[-1]
        settings = config(
            site=[
                {
                    "site_id": "home",
                    "timezone": "Europe/Berlin",
                    "import_limit_kw": 17.0,
                    "tariff": "mine.toml",
                }
            ]
        )
        tariff = contracts_of(settings, tmp_path).tariffs_on(BEGIN.date())["home"]
    first = int(BEGIN.timestamp()) // 900
    last = int(marks[-1].at_utc.timestamp()) // 900 + 1
    stay = Stay("car", "home", BEGIN, marks[-1].at_utc, "CP1/T")
    usage = usage_of_driver([stay], first, last, {"CP1/T": session_flow(marks)})
    months = bill(energy_part(tariff), usage)
    total = sum((month.total for month in months), Fraction(0))
    assert final is not None and round(final * 100) == cents_of(total, "EUR")
    assert (
        session_flow(thinned(marks)).values.items()
        >= {q: v for q, v in session_flow(marks).values.items() if v != [0, 0]}.items()
    )
