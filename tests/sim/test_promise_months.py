"""The figures of the promise on real months, in the closed loop (all of them: make proof)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import promise_frontier as frontier


def check(row: dict[str, float], closed_least: float) -> None:
    assert row["kept"] >= row["confidence"], frontier.line_of(row)
    if row["confidence"] == 0.99:
        assert row["closed"] >= closed_least, frontier.line_of(row)


def test_a_month_of_each_kind_keeps_its_promises() -> None:
    """April 2020: few cars, changed habits; the prior never saw the month."""
    result = frontier.measure(months=("2020-04",), out_of_sample=True)
    for row in result["rows"]:
        check(row, 1 / 3)
    half = [row for row in result["all"] if row["confidence"] == 0.9]
    assert half[0]["cost_eur"] <= half[0]["half_way_eur"]


def test_a_binding_site_limit_is_kept_and_shared() -> None:
    """With a tenth of the power the site limit holds and most promises are kept still."""
    variant = frontier.Variant(limit_kw=60.0)
    result = frontier.measure(months=("2020-04",), confidences=(0.9,), variant=variant)
    assert min(row["kept"] for row in result["rows"]) >= 0.8


@pytest.mark.proof
@pytest.mark.parametrize("align", ["utc", "wall"])
def test_all_months_out_of_sample(align: str) -> None:
    variant = frontier.Variant(align=align)
    result = frontier.measure(months=frontier.MONTHS, variant=variant, out_of_sample=True)
    for row in result["rows"]:
        check(row, 1 / 3)
    for row in result["all"]:
        check(row, 1 / 2)
        if row["confidence"] == 0.9:
            assert row["cost_eur"] <= row["half_way_eur"]


@pytest.mark.proof
@pytest.mark.parametrize(
    "variant",
    [
        frontier.Variant(zone="NL", align="utc", capacity_kwh=40.0, wear_eur_kwh=0.05),
        frontier.Variant(zone="FR", capacity_kwh=80.0, wear_eur_kwh=0.0),
        frontier.Variant(markup_eur_kwh=0.05, export_share=0.9, timezone="Europe/Berlin"),
    ],
    ids=["NL", "FR", "markup"],
)
def test_other_cars_zones_and_tariffs(variant: frontier.Variant) -> None:
    for row in frontier.measure(months=("2019-08", "2020-02"), variant=variant)["rows"]:
        assert row["kept"] >= row["confidence"], frontier.line_of(row)
