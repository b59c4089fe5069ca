"""From a log to statements: exact, repeatable, corrected by new runs."""

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest
from small_world import START, small, small_scenario

from pendel.adapters.event_log import SqliteEventLog
from pendel.cli.main import main
from pendel.config import parse_toml
from pendel.records import Mode
from pendel.runtime.collecting import Collected, Stay, collect
from pendel.runtime.settle_run import RunOrder, SiteContract, settle_run
from pendel.runtime.settling import usage_of_driver
from pendel.settle.ledger import PENDING, VOID, Ledger, read_ledger
from pendel.settle.rulesets import NEWEST
from pendel.sim.engine import simulate
from pendel.sim.settled import costs_of_runs, series_of_run
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff
from pendel.tariff.periods import quarter_of
from pendel.tariff.read import read_tariff

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def shipped(name: str) -> Tariff:
    text = files("pendel").joinpath("data", "tariffs", f"{name}.toml").read_text("utf-8")
    tariff, problems = read_tariff(parse_toml(text, name))
    assert tariff is not None, problems
    return tariff


def lived(minutes: float = 240.0) -> Collected:
    world = small()
    world.to(minutes, every_min=5.0)
    return collect(world.runtime.store.replay())


def order_for(collected: Collected, **more: object) -> RunOrder:
    contracts = [
        SiteContract(site, shipped("as-published"), "A2", {"*": {site: Fraction(1)}})
        for site in sorted(collected.sites)
    ]
    return RunOrder(contracts, shipped("plugged-bonus"), NOW, **more)  # type: ignore[arg-type]


def test_bill_is_the_sum_over_deliveries_and_published_prices() -> None:
    collected, ledger = lived(), Ledger()
    statements = settle_run(collected, order_for(collected), ledger)
    for site in ("home", "shop"):
        series = collected.sites[site]
        assert len(series.begins) == 16
        cost = sum(
            Fraction(series.grid[q][0], NANO) * series.prices[q][0]
            - Fraction(series.grid[q][1], NANO) * series.prices[q][1]
            for q in series.begins
        )
        made = next(s for s in statements if s.party == site)
        assert sum(line.amount for line in made.lines) == cost
        assert made.status == "provisional"
        assert made.formulas["(3)"] == Fraction(sum(p[0] for p in series.grid.values()), NANO)


def test_drivers_earn_by_the_minute_they_are_plugged() -> None:
    collected = lived()
    statements = settle_run(collected, order_for(collected), Ledger())
    made = {s.party: s for s in statements if s.audience == "driver"}
    assert set(made) == {"car-s1", "car-s2", "car-s3", "car-s4"}
    assert made["car-s1"].lines[0].quantity == 4
    assert made["car-s1"].lines[0].amount == Fraction("-0.96")
    stayed = [stay for stay in collected.stays if stay.vehicle == "car-s2"]
    assert len(stayed) == 1
    assert stayed[0].end_utc is not None
    minutes = int((stayed[0].end_utc - stayed[0].begin_utc).total_seconds() // 60)
    assert abs(made["car-s2"].lines[0].quantity * 60 - minutes) <= 2


def test_plugged_minutes_are_clipped_to_quarter_hours() -> None:
    begin = quarter_of(START)
    assert begin is not None
    stays = [Stay("v", "s", START + timedelta(minutes=20), START + timedelta(minutes=50))]
    usage = usage_of_driver(stays, begin, begin + 4)
    assert [nano // NANO for nano in usage.plugged_nano] == [0, 10, 15, 5]


def test_the_same_inputs_book_nothing_new_and_new_ones_replace_what_is_pending() -> None:
    collected, ledger = lived(), Ledger()
    first = settle_run(collected, order_for(collected), ledger)
    head = ledger.head
    assert settle_run(collected, order_for(collected), ledger) == first
    assert ledger.head == head
    series = collected.sites["home"]
    quarter = series.begins[3]
    series.grid[quarter] = (series.grid[quarter][0] + NANO, series.grid[quarter][1])
    again = settle_run(collected, order_for(collected), ledger)
    runs = [next(s.run for s in made if s.party == "home") for made in (first, again)]
    assert runs[0] != runs[1]
    assert [ledger.state(run) for run in runs] == [VOID, PENDING]
    for states in ((PENDING,), (PENDING, VOID)):
        balances = ledger.balances(states).values()
        assert [sum(pair) for pair in zip(*balances, strict=True)] == [0, 0]
    assert read_ledger(ledger.lines()).head == ledger.head


def test_counterfactual_covers_exactly_the_settled_quarter_hours() -> None:
    collected = lived()
    runs = [simulate(small_scenario(), mode) for mode in (Mode.UNCONTROLLED, Mode.V2G)]
    tariff = shipped("as-published")
    costs = costs_of_runs(runs, tariff, "A2", NEWEST, collected.sites)
    assert {site: set(found) for site, found in costs.items()} == {
        site: {"uncontrolled", "v2g"} for site in ("home", "shop")
    }
    for index, site in enumerate(("home", "shop")):
        whole = series_of_run(runs[0], index)
        begins = collected.sites[site].begins
        expected = sum(
            Fraction(whole.grid[q][0], NANO) * whole.prices[q][0]
            - Fraction(whole.grid[q][1], NANO) * whole.prices[q][1]
            for q in begins
        )
        assert costs[site]["uncontrolled"] == expected
    statements = settle_run(collected, order_for(collected, counterfactual=costs), Ledger())
    home = next(s for s in statements if s.party == "home")
    assert home.saving("uncontrolled") == costs["home"]["uncontrolled"] - home.actual


def test_command_settles_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = tmp_path / "pendel.db", tmp_path / "settled"
    world = small(SqliteEventLog(store))
    world.to(120.0)
    world.runtime.close()
    args = ["settle", "run", "--store", str(store), "--out", str(out), "--language", "pl"]
    heads = []
    for _ in range(2):
        assert main([*args, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        heads.append(data["ledger"]["head"])
    assert heads[0] == heads[1]
    parties = {(made["audience"], made["party"]) for made in data["statements"]}
    assert {("site", "home"), ("site", "shop"), ("driver", "car-s1")} <= parties
    for made in data["statements"]:
        for file in made["files"]:
            assert (out / "statements" / file).stat().st_size > 0
    assert main(["settle", "verify", str(out / "books.ledger"), "--head", heads[0]]) == 0
    assert main([*args, "--from", "2026-03-03", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["statements"] == []
    wrong = [*args, "--case", "A7", "--language", "xx", "--from", "2026-03-03"]
    assert main([*wrong, "--until", "2026-03-01", "--tariff", "none", "--json"]) == 2
    fields = {p["field"] for p in json.loads(capsys.readouterr().out)["problems"]}
    assert {"--case", "--language", "--until"} <= fields


def test_explain_leads_from_a_line_to_its_deliveries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "pendel.db", tmp_path / "settled"
    world = small(SqliteEventLog(store))
    world.to(60.0)
    world.runtime.close()
    assert main(["settle", "run", "--store", str(store), "--out", str(out)]) == 0
    made = json.loads((out / "statements" / "statements.json").read_text("utf-8"))
    line = next(s for s in made if s["party"] == "home")["lines"][0]
    where = ["--store", str(store), "--statements", str(out)]
    capsys.readouterr()
    assert main(["explain", line["id"], *where, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert len(data["deliveries"]) == 8
    assert all(series["in_store"] for series in data["series"])
    assert [cause["kind"] for cause in data["causes"]] == ["delivery"] * 3
    assert data["causes"][0]["causes"][0]["kind"] == "signal"
    driver = next(s for s in made if s["party"] == "car-s1")["lines"][0]["id"]
    assert main(["explain", driver, *where, "--json"]) == 0
    assert [s["in_store"] for s in json.loads(capsys.readouterr().out)["series"]] == [True]
    assert main(["explain", line["id"], *where]) == 0
    assert f"LINE {line['id']}: energy" in capsys.readouterr().out
    assert main(["explain", "line-0000", *where]) == 2
