"""Ageing models against their own tables, against BLAST-Lite, and their algebra."""

import csv
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.power.wear import (
    LARGE_SCALES,
    Usage,
    WearModel,
    calendar_loss,
    calendar_stress,
    cycle_loss,
    cycle_stress,
    fade_errors,
    molicel_tables,
    naumann_sets,
    profile_damage,
    rainflow,
    relative_errors,
    wear_price,
)

CASES = Path(__file__).parents[1] / "cases" / "power" / "wear"
DOCS = Path(__file__).parents[2] / "docs" / "concepts" / "power.md"
LFP, NMC = WearModel.LFP_NAUMANN, WearModel.NMC_MOLICEL
both = st.sampled_from(list(WearModel))


def columns(name: str) -> dict[str, list[str]]:
    with (CASES / name).open() as handle:
        rows = list(csv.DictReader(handle))
    return {key: [row[key] for row in rows] for key in rows[0]}


def numbers(name: str) -> dict[str, np.ndarray]:
    return {key: np.array(values, dtype=float) for key, values in columns(name).items()}


def documented(label: str) -> list[float]:
    """The numbers of the row of the docs that begins with `| label |`."""
    for line in DOCS.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == label:
            return [float(x) for x in re.findall(r"[-+]?\d+\.\d+", " ".join(cells[1:]))]
    raise AssertionError(f"docs/concepts/power.md has no row {label!r}")


def profile(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name == "cycle_20_90_2perday":
        hours = np.array([0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0, 24.0])
        return hours * 3600.0, np.array([0.9, 0.2, 0.2, 0.9, 0.9, 0.2, 0.2, 0.9, 0.9])
    data = numbers(f"{name}_week.csv")
    return data["time_s"], data["soc"]


def blast_case(case: str) -> tuple[np.ndarray, np.ndarray]:
    data = columns("blast_capacity_fade.csv")
    where = [i for i, name in enumerate(data["case"]) if name == case]
    return (np.array([float(data[key][i]) for i in where]) for key in ("t_days", "q"))


def blast_cases() -> list[str]:
    return sorted(set(columns("blast_capacity_fade.csv")["case"]))


def test_molicel_tables_are_met() -> None:
    """The packaged knots against the full tables of SimSES."""
    full = numbers("nmc_molicel_calendar_full.csv")
    model = calendar_stress(NMC, full["soc"], full["temperature_k"] - 273.15)
    worst, rms = relative_errors(model, full["k_cal"])
    assert worst < 0.005
    assert documented("nmc calendar table") == pytest.approx([100 * worst, 100 * rms], abs=0.006)
    cycle = numbers("nmc_molicel_cycle_full.csv")
    ours = np.interp(cycle["depth"], molicel_tables().depth, molicel_tables().cycle)
    worst, rms = relative_errors(ours, cycle["k_cyc"])
    assert worst < 0.005
    assert documented("nmc cycle table") == pytest.approx([100 * worst, 100 * rms], abs=0.006)


@pytest.mark.parametrize("name", ["Refit", "Bootstrap 1", "Bootstrap 2", "Bootstrap 3"])
def test_naumann_against_its_other_fits(name: str) -> None:
    """How far the coefficient sets of one cell lie apart: points of capacity after ten years."""
    soc, temp = np.meshgrid(np.linspace(0.1, 0.9, 9), np.linspace(5.0, 45.0, 9))
    depth = np.linspace(0.1, 1.0, 10)
    other = naumann_sets()[name]
    rest = calendar_loss(LFP, soc, temp, 10.0) - calendar_loss(LFP, soc, temp, 10.0, other)
    cycle = cycle_loss(LFP, depth, 0.3, 0.3, 2000.0) - cycle_loss(
        LFP, depth, 0.3, 0.3, 2000.0, other
    )
    points = [100 * float(np.abs(x).max()) for x in (rest, cycle)]
    assert documented(f"lfp {name}") == pytest.approx(points, abs=0.06)


def test_naumann_by_hand() -> None:
    """Independent arithmetic: 40 C, soc 0.8, two years; 500 EFC of 80 % at 0.5/h."""
    k = 1.2571e-05 * np.exp(-17126 / 8.314 * (1 / 313.15 - 1 / 298.15))
    expected = k * (2.8575 * 0.3**3 + 0.60225) * np.sqrt(2 * 365.25 * 86400)
    assert calendar_loss(LFP, 0.8, 40.0, 2.0) == pytest.approx(expected, rel=1e-9)
    cycle = (0.063 * 0.5 + 0.0971) * (4.0253 * 0.2**3 + 1.0923) * np.sqrt(500) / 100
    assert cycle_loss(LFP, 0.8, 0.5, 0.5, 500.0) == pytest.approx(cycle, rel=1e-9)


def models_of(cell: str) -> tuple[WearModel, ...]:
    return (LFP, WearModel.LFP_LARGE) if cell.startswith("lfp") else (NMC, WearModel.NMC_LARGE)


@pytest.mark.parametrize("case", blast_cases())
def test_fade_against_blast(case: str) -> None:
    """Other cells of the same chemistry (and NCA, another one): agreement, not truth."""
    cell, usage, *_ = case.split("|")
    time_s, soc = profile(usage)
    days, reference = blast_case(case)
    for model in models_of(cell):
        errors = fade_errors(profile_damage(model, time_s, soc, 25.0), days, reference)
        assert documented(f"{model} / {cell} {usage}") == pytest.approx(list(errors), abs=0.006)
        if model in LARGE_SCALES and not cell.startswith("nca"):
            assert errors[1] < (2.5 if "commercial" in usage else 1.5)


@pytest.mark.parametrize(
    ("large", "small", "cell"),
    [
        (WearModel.LFP_LARGE, LFP, "lfp_250ah_prismatic"),
        (WearModel.NMC_LARGE, NMC, "nmc111_kokam75ah"),
    ],
)
def test_large_scales_are_the_fitted_ones(large: WearModel, small: WearModel, cell: str) -> None:
    """Least squares over the private week and the deep cycle; the commercial week is held out."""
    terms, losses = [], []
    for usage in ("personal_ev_largebatt", "cycle_20_90_2perday"):
        days, reference = blast_case(f"{cell}|{usage}|25C|5y")
        damage = profile_damage(small, *profile(usage), 25.0)
        calendar = (damage.calendar_day * days) ** small.calendar_exponent
        cycle = (damage.cycle_day * days) ** small.cycle_exponent
        terms.append(np.column_stack([calendar, cycle]))
        losses.append(1.0 - reference)
    fitted, *_ = np.linalg.lstsq(np.concatenate(terms), np.concatenate(losses), rcond=None)
    assert LARGE_SCALES[large] == pytest.approx(tuple(fitted), abs=6e-4)


@settings(max_examples=100, deadline=None)
@given(both, st.floats(0, 1), st.floats(-10, 60), st.floats(0, 20), st.floats(0, 20))
def test_calendar_loss_grows_and_is_warmer_worse(model, soc, temp, years, more) -> None:
    one, two = (float(calendar_loss(model, soc, temp, y)) for y in (years, years + more))
    assert 0.0 <= one <= two
    assert calendar_loss(model, soc, temp + 5.0, years) >= one - 1e-15


@settings(max_examples=100, deadline=None)
@given(both, st.floats(0.0, 3.0), st.floats(0.0, 3.0), st.floats(0, 1), st.floats(0, 0.5))
def test_faster_is_never_gentler(model, into, out, depth, more) -> None:
    base = cycle_stress(model, depth, into, out)
    assert cycle_stress(model, depth, into + more, out + more) >= base >= 0.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=60))
def test_rainflow_conserves_throughput(history) -> None:
    depth, count = rainflow(np.array(history))
    assert set(count) <= {0.5, 1.0}
    total = np.abs(np.diff(history)).sum() / 2.0
    assert np.sum(depth * count) == pytest.approx(total, abs=1e-12 * len(history) + 1e-12)
    if len(depth):
        assert depth.max() == pytest.approx(max(history) - min(history), abs=1e-15)


def rainflow_twin(history: list[float]) -> list[tuple[float, float]]:
    """Plain twin: repeatedly take out the innermost closed loop, the rest counts as halves."""
    points = [history[0]]
    for value in history[1:]:
        if value == points[-1]:
            continue
        if len(points) > 1 and (value > points[-1]) == (points[-1] > points[-2]):
            points[-1] = value
        else:
            points.append(value)
    found, i = [], 0
    while i + 3 < len(points):
        a, b, c, d = points[i : i + 4]
        inner = abs(c - b)
        if inner <= abs(b - a) and inner <= abs(d - c):
            found.append((inner, 1.0))
            points[i + 1 : i + 3] = []
            i = max(i - 2, 0)
        else:
            i += 1
    return found + [(abs(y - x), 0.5) for x, y in pairwise(points)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=40, unique=True))
def test_rainflow_against_its_twin(levels) -> None:
    history = [level / 40.0 for level in levels]
    depth, count = rainflow(np.array(history))

    def tally(pairs):
        sums: dict[float, float] = {}
        for size, number in pairs:
            sums[round(size, 9)] = sums.get(round(size, 9), 0.0) + number
        return sums

    assert tally(zip(depth, count, strict=True)) == tally(rainflow_twin(history))


def test_damages_add_up_like_virtual_time() -> None:
    """Half a year warm and half a year cool, in either order, is one mixed profile."""
    days = np.arange(0.0, 365.0)
    warm = np.where(days < 182.0, 35.0, 10.0)
    time_s, soc = days * 86400.0, np.full(365, 0.6)
    forth = profile_damage(LFP, time_s, soc, warm).capacity(364.0)
    back = profile_damage(LFP, time_s, soc, warm[::-1]).capacity(364.0)
    assert forth == pytest.approx(float(back), abs=1e-12)
    k1, k2 = (float(calendar_stress(LFP, 0.6, t)) for t in (35.0, 10.0))
    expected = 1.0 - np.sqrt((k1**2 * 182.0 + k2**2 * 182.0) * 86400.0)
    assert forth == pytest.approx(expected, abs=2e-4)


def test_price_names_its_model_and_scales() -> None:
    price = wear_price(LFP, 120.0, 0.8, Usage(efc_year=150.0))
    assert (price.model, price.chemistry) == (LFP, "LFP")
    lost = float(cycle_loss(LFP, 0.5, 0.2, 0.2, 1500.0))
    assert price.wear_eur_kwh == pytest.approx(120.0 * lost / (0.2 * 2 * 1500.0))
    assert wear_price(LFP, 240.0, 0.8, Usage(efc_year=150.0)).wear_eur_kwh == pytest.approx(
        2 * price.wear_eur_kwh
    )


@pytest.mark.parametrize("model", list(WearModel))
def test_price_is_as_documented(model: WearModel) -> None:
    price = wear_price(model, 120.0)
    stated = [price.wear_eur_kwh, 100 * price.cycle_loss, 100 * price.calendar_loss]
    assert documented(f"price {model}") == pytest.approx(stated, abs=6e-3, rel=1e-3)


@pytest.mark.parametrize("model", list(WearModel))
def test_reserve_profile_is_as_documented(model: WearModel) -> None:
    """Four weeks of frequency reserve at 20 C, repeated for five years: no reference, a comparison
    of the models with each other."""
    data = numbers("fcr_four_weeks.csv")
    damage = profile_damage(model, data["time_s"], data["soc"], 20.0)
    lost = 100.0 * (1.0 - float(damage.capacity(5 * 365.25)))
    stated = documented(f"fcr {model}")
    assert stated == pytest.approx([damage.efc_day * 365.25, lost], abs=0.06)
