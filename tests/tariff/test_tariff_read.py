"""Reading tariffs: what ships is valid, what is wrong is refused with its line."""

import json
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from pendel.adapters.tariff_files import shipped_tariffs
from pendel.cli.main import main
from pendel.config import parse_toml
from pendel.tariff.model import Kind
from pendel.tariff.read import read_tariff

HEAD = 'name = "t"\ncurrency = "EUR"\ntimezone = "Europe/Berlin"\n'
FLAT = '[[component]]\nname = "e"\nkind = "flat_energy"\nvalid_from = "2025-01-01"\nct_kwh = "30"\n'


def shipped_text(name: str) -> str:
    return files("pendel").joinpath("data", "tariffs", f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize("name", shipped_tariffs())
def test_shipped_tariff_is_valid(name: str) -> None:
    tariff, problems = read_tariff(parse_toml(shipped_text(name), name))
    assert problems == []
    assert tariff is not None
    for component in tariff.components:
        assert component.source or component.legal_ref, component.name


def test_shipped_tariffs_use_every_kind() -> None:
    used = set()
    for name in shipped_tariffs():
        tariff, _ = read_tariff(parse_toml(shipped_text(name), name))
        assert tariff is not None
        used |= {component.kind for component in tariff.components}
    assert used == set(Kind)


def test_german_levies_add_up_as_published() -> None:
    """Vector T5: 2.651 ct in 2025, 2.946 ct in 2026."""
    tariff, _ = read_tariff(parse_toml(shipped_text("de-dynamic"), "x"))
    assert tariff is not None
    for year, total in ((2025, "2.651"), (2026, "2.946")):
        levies = [
            component.numbers["ct_kwh"]
            for component in tariff.components
            if component.name in ("kwkg-levy", "offshore-levy", "special-grid-use")
            and component.valid_from.year == year
        ]
        assert sum(levies) == Fraction(total)


BAD = {
    "gap": (FLAT + 'valid_until = "2025-06-01"\n' + FLAT.replace("2025-01", "2025-07"), "gap"),
    "overlap": (FLAT + FLAT.replace("2025-01", "2025-07"), "overlap"),
    "same_day": (FLAT + FLAT, "overlap"),
    "other_kind": (
        FLAT + 'valid_until = "2025-06-01"\n'
        '[[component]]\nname = "e"\nkind = "levy"\nvalid_from = 2025-06-01\nct_kwh = "1"\n',
        "before it was flat_energy",
    ),
    "kind": (FLAT.replace("flat_energy", "magic"), "magic is unknown"),
    "unknown_key": (FLAT + 'eur_kwh = "1"\n', "unknown key"),
    "float": (FLAT.replace('"30"', "30.5"), "not a text"),
    "integer": (FLAT.replace('"30"', "30"), "not a text"),
    "nan": (FLAT.replace('"30"', '"nan"'), "no number"),
    "no_price": (FLAT.replace('ct_kwh = "30"\n', ""), "missing"),
    "direction": (FLAT + 'direction = "sideways"\n', "sideways"),
    "until_before_from": (FLAT + 'valid_until = "2024-01-01"\n', "not after valid_from"),
    "day": (FLAT.replace("2025-01-01", "soon"), "not a day"),
    "time_as_day": (FLAT.replace('"2025-01-01"', "2025-01-01T00:00:00Z"), "not a day"),
    "two_prices": (
        '[[component]]\nname = "f"\nkind = "fixed_fee"\nvalid_from = 2025-01-01\n'
        'eur_day = "1"\neur_month = "1"\n',
        "two prices",
    ),
    "window": (
        '[[component]]\nname = "f"\nkind = "tou_energy"\nvalid_from = 2025-01-01\nct_kwh = "1"\n'
        '[[component.window]]\nfrom = "25:00"\nuntil = "09:10"\nct_kwh = "1"\n',
        "quarter hour of the day",
    ),
    "group": (
        '[[component]]\nname = "f"\nkind = "cap"\nvalid_from = 2025-01-01\n'
        'eur_month = "1"\nof = ["nobody"]\n',
        "nobody",
    ),
    "mid_month_cap": (
        '[[component]]\nname = "f"\nkind = "floor"\nvalid_from = 2025-01-16\neur_month = "1"\n',
        "changes with the month",
    ),
    "negative_factor": (
        '[[component]]\nname = "f"\nkind = "dynamic_energy"\nvalid_from = 2025-01-01\n'
        'factor = "-1"\n',
        "below 0",
    ),
    "resolution": (
        '[[component]]\nname = "f"\nkind = "dynamic_energy"\nvalid_from = 2025-01-01\n'
        'factor = "1"\nresolution_min = "20"\n',
        "20 minutes",
    ),
}


@pytest.mark.parametrize("body, words", BAD.values(), ids=BAD)
def test_bad_tariff_is_refused_with_its_line(body: str, words: str) -> None:
    tariff, problems = read_tariff(parse_toml(HEAD + body, "t.toml"))
    assert tariff is None
    assert any(words in problem.problem for problem in problems), problems
    assert all(problem.line >= 4 for problem in problems)


@pytest.mark.parametrize(
    "old, new, field",
    [
        ('"EUR"', '"XYZ"', "currency"),
        ('currency = "EUR"\n', "", "currency"),
        ("Europe/Berlin", "Mars/Olympus", "timezone"),
        ("Europe/Berlin", "../../etc/passwd", "timezone"),
        ('name = "t"\n', "", "name"),
    ],
)
def test_bad_head_is_refused(old: str, new: str, field: str) -> None:
    tariff, problems = read_tariff(parse_toml(HEAD.replace(old, new) + FLAT, "t.toml"))
    assert tariff is None
    assert [problem.field for problem in problems] == [field]


def test_every_problem_is_listed_in_order() -> None:
    body = FLAT.replace('"30"', '"x"') + FLAT.replace("flat_energy", "magic")
    _, problems = read_tariff(parse_toml('currency = "ABC"\n' + body, "t.toml"))
    assert [problem.field for problem in problems] == [
        "name",
        "currency",
        "timezone",
        "component[0].ct_kwh",
        "component[1].kind",
    ]


def run(
    capsys: pytest.CaptureFixture[str], tariff: Path | str, usage: Path, *args: str
) -> tuple[int, dict[str, object]]:
    status = main(["settle", "tariff", str(tariff), str(usage), *args, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_command_answers_in_the_fixed_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = tmp_path / "usage.csv"
    usage.write_text("time_utc,import_kwh\n2025-06-01T00:00:00Z,1.005\n", "utf-8")
    tariff = tmp_path / "t.toml"
    tariff.write_text(HEAD + FLAT, "utf-8")
    status, data = run(capsys, tariff, usage)
    line = {
        "component": "e",
        "kind": "flat_energy",
        "quantity": "201/200",
        "unit": "kWh",
        "amount_eur": "603/2000",
        "rounded_eur": "0.30",
    }
    months = [{"month": "2025-06", "lines": [line]}]
    assert (status, data) == (0, {"tariff": "t", "currency": "EUR", "months": months})


def test_command_lists_problems_of_both_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = tmp_path / "usage.csv"
    usage.write_text("time_utc,plugged_min\n2026-06-01T00:00:00Z,15.1\n", "utf-8")
    assert run(capsys, "de-bmw-eon", usage)[0] == 2
    usage.write_text("time_utc,import_kwh\n2026-06-01T00:00:00Z,1\n", "utf-8")
    status, data = run(capsys, "de-dynamic", usage)
    problems = data["problems"]
    assert isinstance(problems, list)
    assert (status, [p["field"] for p in problems]) == (2, ["spot_eur_mwh"])
    broken = tmp_path / "t.toml"
    broken.write_text("name = \n", "utf-8")
    status, data = run(capsys, broken, usage)
    assert status == 2


def test_command_takes_quantities_counted_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = tmp_path / "usage.csv"
    usage.write_text("time_utc\n2026-06-01T00:00:00Z\n", "utf-8")
    tariff = tmp_path / "t.toml"
    relief = 'name = "r"\nkind = "levy_relief"\nvalid_from = 2026-01-01\nct_kwh = "2.946"\n'
    tariff.write_text(HEAD + "[[component]]\n" + relief, "utf-8")
    assert run(capsys, tariff, usage)[0] == 2
    counted = tmp_path / "q.csv"
    counted.write_text("month,component,quantity\n2026-06,r,100\n", "utf-8")
    status, data = run(capsys, tariff, usage, "--quantities", str(counted))
    assert status == 0
    assert data["months"][0]["lines"][0]["amount_eur"] == "-1473/500"  # type: ignore[index]
    counted.write_text("month,component,quantity\n2026,r,1\n2026-06,x,1\n2026-06,r,-1\na\n")
    status, data = run(capsys, tariff, usage, "--quantities", str(counted))
    assert status == 2
    assert [p["line"] for p in data["problems"]] == [2, 3, 4, 5]  # type: ignore[union-attr]
