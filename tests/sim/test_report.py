"""The report opens offline, is well-formed and says what the summaries say."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from report_runs import FRONTIER, run, scenario

from pendel.scenario.columns import Feeders
from pendel.sim import report_numbers as numbers
from pendel.sim.report import headline, report_html, write_report
from pendel.sim.report_html import money, number, share
from pendel.sim.result import Run

RUNS = [run("v2g", 71.5, 1, 30.25), run("uncontrolled", 1120.4, 0, 44.0), run("v1g", 99.0, 2, 40.0)]


@pytest.fixture(scope="module")
def html() -> str:
    return report_html(RUNS, FRONTIER)


def root_of(html: str) -> ET.Element:
    return ET.fromstring(html.split("\n", 1)[1])


def words_of(html: str) -> str:
    return re.sub(r"[ \n]+", " ", " ".join(root_of(html).itertext()))


def test_asks_the_network_for_nothing(html: str) -> None:
    addresses = set(re.findall(r"[a-z]+://[^\"'< )]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}
    attributes = {name for item in root_of(html).iter() for name in item.attrib}
    assert not attributes & {"src", "href", "srcset", "action", "data", "poster"}
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_is_well_formed_and_ids_are_unique(html: str) -> None:
    ids = [item.attrib["id"] for item in root_of(html).iter() if "id" in item.attrib]
    assert len(ids) == len(set(ids)) > 0
    assert html.startswith("<!DOCTYPE html>")
    assert not re.search(r"\b(nan|inf)\b", words_of(html).lower())


def test_every_plot_has_title_words_and_a_table_beside_it(html: str) -> None:
    root = root_of(html)
    plots = list(root.iter("{http://www.w3.org/2000/svg}svg"))
    assert len(plots) >= 7  # cost, power, three of SoC, frontier, CO2
    for plot in plots:
        kinds = {child.tag.rsplit("}", 1)[1] for child in plot}
        assert {"title", "desc"} <= kinds
        assert plot.attrib["role"] == "img"
    assert len(list(root.iter("table"))) >= len(plots)
    for table in root.iter("table"):
        assert table.find("caption") is not None
        assert all("scope" in head.attrib for head in table.iter("th"))


def test_says_the_numbers_of_the_summaries(html: str) -> None:
    words = words_of(html)
    for one in RUNS:
        assert number(one.summary["cost_eur"], 2) in words
        assert number(one.summary["co2_kg"], 1) in words
    assert "71.50 EUR" in words and "1\u202f120.40" in words
    assert "5 of 6 promises were kept (83.33 %)" in words
    assert "left 2.0 h before the stated departure" in words
    for kept, cost in (("93.00", "90.50"), ("99.00", "99.25"), ("100.00", "120.75")):
        assert kept in words and cost in words


def test_names_are_escaped(html: str) -> None:
    assert "three <homes> & a van" in words_of(html)
    assert "<homes>" not in html
    assert "s<5>" in words_of(html)


def test_headline_compares_with_charging_at_once() -> None:
    words = headline(numbers.ordered(RUNS), RUNS[0])
    assert "1\u202f048.90 EUR (93.6 %) less than charging at once" in words
    dearer = [run("uncontrolled", 50.0), run("v1g", 50.0)]
    assert "0.00 EUR (0.0 %) less" in headline(dearer, dearer[1])
    worse = [run("uncontrolled", 50.0), run("v1g", 60.0)]
    assert "10.00 EUR (20.0 %) more than charging at once" in headline(worse, worse[1])
    assert numbers.in_focus(worse) is worse[1]
    assert numbers.in_focus(worse[:1]) is worse[0]
    alone = [run("v2g", 71.5)]
    assert "less than" not in headline(alone, alone[0])


def test_a_report_without_frontier_and_co2_leaves_them_out() -> None:
    words = words_of(report_html([run("v1g", 9.0)]))
    assert "CO2" not in words and "Confidence against cost" not in words


def test_yardsticks_of_a_frontier_become_lines() -> None:
    points = [
        {"confidence": c, "kept": c, "cost_eur": 90.0 + c, "always_ready_eur": 88.5}
        for c in (0.9, 0.99)
    ]
    words = words_of(report_html(RUNS[:1], points))
    assert "always ready, departure and prices known: 88.50 EUR" in words
    points[0]["always_ready_eur"] = 99.0  # not one yardstick for all: no line
    assert "always ready" not in words_of(report_html(RUNS[:1], points))


def test_written_in_one_piece(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(target, RUNS[:1], None)
    assert target.read_text("utf-8") == report_html(RUNS[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(ValueError, match="at least one run"):
        write_report(target, [])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_bands_agree_with_a_plain_computation() -> None:
    one = RUNS[0]
    bands = numbers.soc_bands(one)
    step = 9
    column = one.energy_kwh[:, step]
    there = column[~np.isnan(column)] / 50.0 * 100.0
    assert len(there) >= 2
    assert bands[0, step] == there.min()
    assert bands[4, step] == there.max()
    assert bands[2, step] == pytest.approx(np.median(there))
    assert np.isnan(bands[:, 0]).all()  # nobody is connected yet


def test_promises_are_counted_by_how_they_ended() -> None:
    one = run("v2g", 1.0, missed=2)
    count = numbers.count_promises(one)
    assert (count.kept, count.just_in_time, count.missed, count.uncounted) == (4, 0, 2, 0)
    energy = one.energy_kwh.copy()
    last = int(one.scenario.sessions.depart_step[0])
    energy[0, : last - 1] = np.minimum(energy[0, : last - 1], 39.0)  # reached 15 min before
    close = Run(
        one.strategy, one.scenario, one.summary, one.power_kw, energy, one.net_kw,
        one.curtailed_kw, one.promised, one.kept, one.energy_leave_kwh,
    )  # fmt: skip
    assert numbers.count_promises(close).just_in_time == 1
    missed = numbers.missed_promises(one)
    assert [item.lacking_kwh for item in missed] == [4.0, 4.0]


def test_limit_of_all_sites_is_the_tightest_above_them() -> None:
    world = scenario()
    assert numbers.total_limit_kw(world) == 47.0
    tight = dataclasses.replace(world, portfolio_import_limit_kw=33.0)
    assert numbers.total_limit_kw(tight) == 33.0
    feeders = Feeders(
        np.array(["a", "b"]), np.array([-1, 0]), np.array([21.0, 9.0]), np.array([0.0, 0.0])
    )
    sites = dataclasses.replace(world.sites, feeder=np.array([1, 0]))
    assert numbers.total_limit_kw(dataclasses.replace(tight, feeders=feeders, sites=sites)) == 21.0
    mixed = dataclasses.replace(world.sites, feeder=np.array([1, -1]))
    assert numbers.total_limit_kw(dataclasses.replace(world, feeders=feeders, sites=mixed)) == 51.0


def test_cost_of_the_sites_alone_agrees_with_a_plain_computation() -> None:
    world = scenario()
    plain = 0.0
    for site in range(2):
        for step in range(world.horizon.steps):
            net = float(world.series.load_kw[site, step] - world.series.pv_kw[site, step])
            price = float(world.prices.import_eur_kwh[0, step])
            paid = max(price - 0.2, 0.0)
            sold = min(max(-net, 0.0), float(world.sites.export_limit_kw[site]))
            plain += 0.25 * (net * price if net > 0.0 else -sold * paid)
    assert numbers.base_cost_eur(world) == pytest.approx(plain)


def test_a_long_fleet_stays_small() -> None:
    """A month of quarter hours: every series is thinned, the file stays below 2 MB."""
    one = run("v2g", 1.0)
    steps = 2_976
    rng = np.random.default_rng(3)
    world = scenario(steps=steps)
    energy = np.abs(rng.normal(25.0, 5.0, (6, steps))).clip(0, 50)
    power, net = rng.normal(0.0, 5.0, (6, steps)), rng.normal(0.0, 9.0, (2, steps))
    months = [
        Run(name, world, one.summary, power, energy, net, net * 0.0, one.promised, one.kept,
            one.energy_leave_kwh)
        for name in numbers.ORDER
    ]  # fmt: skip
    html = report_html(months)
    root_of(html)
    assert len(html.encode()) < 2_000_000


def test_words_for_numbers() -> None:
    assert number(-1234.56) == "\u22121\u202f234.6"
    assert number(-0.01) == "0.0"
    assert number(float("nan")) == "–"
    assert money(0.005) in ("0.01 EUR", "0.00 EUR")
    assert share(99_999, 100_000) == "99.99 %"
    assert share(5, 5) == "100 %"
    assert share(0, 0) == "–"
