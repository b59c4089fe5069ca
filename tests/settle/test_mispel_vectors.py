"""Published and hand-computed vectors of MiSpeL, each a folder that names its source."""

import json
from pathlib import Path
from typing import Any

import pytest

from pendel.cli.main import main

CASES = Path(__file__).resolve().parents[1] / "cases"


def folders(topic: str) -> list[Path]:
    return sorted(path.parent for path in (CASES / topic).glob("*/expect.json"))


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    source = json.loads((folder / "source.json").read_text("utf-8"))
    assert source["source"]
    return tuple(json.loads((folder / f"{n}.json").read_text("utf-8")) for n in ("input", "expect"))


def answer(
    command: str, given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    lines = [",".join(given["columns"]), *(",".join(row) for row in given["rows"])]
    path = tmp_path / "meter.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert main(["settle", command, str(path), *given["args"], "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("folder", folders("mispel"), ids=lambda path: path.name)
def test_abgrenzung_vector(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, expect = load(folder)
    data = answer("mispel", given, tmp_path, capsys)
    for kind, listed in (("month", data["months"]), ("year", data["years"])):
        found = {item[kind]: item["formulas"] for item in listed}
        assert list(found) == list(expect[f"{kind}s"])
        for key, formulas in expect[f"{kind}s"].items():
            assert {name: found[key][name] for name in formulas} == formulas


@pytest.mark.parametrize("folder", folders("pauschal"), ids=lambda path: path.name)
def test_pauschal_vector(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, expect = load(folder)
    data = answer("pauschal", given, tmp_path, capsys)
    assert [year["year"] for year in data["years"]] == list(expect["years"])
    for year in data["years"]:
        formulas = expect["years"][year["year"]]
        assert {name: year["formulas"][name] for name in formulas} == formulas


def test_printed_value_is_rounded_half_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """V8e: 10 312.5 is printed as 10 313 (Annex 2 p. 13-14)."""
    from fractions import Fraction

    from pendel.tariff.exact import rounded_text

    given, _ = load(CASES / "pauschal" / "v8e_15_kwp")
    value = answer("pauschal", given, tmp_path, capsys)["years"][0]["formulas"]["(P4)"]
    assert rounded_text(Fraction(value), 0) == "10313"


EXPECTED_KEYS = {
    "A1": "3 4 5 6 9 10 11 12 13 14 15 16 17 18 19 20 21 26 28 29 30 31 32",
    "A2": "3 4 5 6 9 10 11 12 13 14 15 16 19 20 21 26 28 29 30 31 32",
    "A3": "3 4 5 6 9 10 11 12 13 14 15 16 19 20 21 26 28 29 30 31 32",
    "A4": "3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 26 28 29 30 31 32",
    "A5": "ZFa ZFb 3 4 5 6 9 10 11 12 13 14 15 16 17 18 19 20 21 26a 26b 28 28a 28b 29a 29b "
    "30a 30b 31a 31b 32a 32b",
    "A10": "3 20 21",
    "A11": "3 4 16 20 21",
}


@pytest.mark.parametrize("case", EXPECTED_KEYS)
def test_each_case_carries_exactly_its_formulas(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = [
        "time_utc",
        "z1nb",
        "z1ne",
        "z2v",
        "z2e",
        "z3v",
        "z3e",
        "aw_ct_kwh",
        "aw_a_ct_kwh",
        "aw_b_ct_kwh",
    ]
    row = ["2025-06-01T00:00:00Z", *("1" * 9)]
    args = ["--case", case, *(["--plant-kw", "1,2"] if case == "A5" else [])]
    data = answer("mispel", {"columns": columns, "rows": [row], "args": args}, tmp_path, capsys)
    assert list(data["months"][0]["formulas"]) == [f"({n})" for n in EXPECTED_KEYS[case].split()]
    funding = {"A10": [], "A11": [], "A5": ["(33a)", "(33b)"]}.get(case, ["(33)"])
    assert list(data["years"][0]["formulas"]) == ["(22)", *funding]


def test_undefined_quotient_is_null_and_its_product_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "columns": ["time_utc", "z1nb", "z1ne", "z2v", "z2e", "aw_ct_kwh"],
        "rows": [["2025-06-01T00:00:00Z", "1", "1", "0", "0", "8"]],
        "args": ["--case", "A1"],
    }
    month = answer("mispel", given, tmp_path, capsys)["months"][0]
    formulas = month["formulas"]
    assert [formulas[key] for key in ("(14)", "(18)", "(30)")] == [None, None, None]
    assert [formulas[key] for key in ("(15)", "(19)", "(31)")] == ["0", "0", "0"]
    assert not {"(14)", "(18)", "(30)"} & set(month["rounded"])


def test_quarters_carry_their_formulas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "columns": ["time_utc", "z1nb", "z1ne", "z2v", "z2e", "aw_ct_kwh"],
        "rows": [["2025-06-01T02:00:00+02:00", "1.5", "3", "1", "2", "0"]],
        "args": ["--case", "A2", "--quarters"],
    }
    quarters = answer("mispel", given, tmp_path, capsys)["quarters"]
    formulas = {"(1)": "1", "(2)": "2", "(23)": "1", "(24)": "0", "(25)": "0", "(27)": "0"}
    assert quarters == [{"time_utc": "2025-06-01T00:00:00Z", "formulas": formulas}]


def test_part_months_are_settled_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "columns": ["time_utc", "z1nb", "z1ne"],
        "rows": [
            ["2026-11-15T22:45:00Z", "3", "5"],
            ["2026-11-15T23:00:00Z", "7", "4"],
        ],
        "args": ["--case", "A11", "--split", "2026-11-16"],
    }
    data = answer("mispel", given, tmp_path, capsys)
    relieved = {month["month"]: month["formulas"]["(20)"] for month in data["months"]}
    assert relieved == {"2026-11/1": "3", "2026-11/16": "4"}
    assert data["years"][0]["formulas"]["(22)"] == "3"
    whole = answer("mispel", given | {"args": ["--case", "A11"]}, tmp_path, capsys)
    assert whole["months"][0]["formulas"]["(20)"] == "9"


def test_draft_lets_grey_export_hold_green_energy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The draft of 2025 did not subtract (15) in (16); the decision does."""
    given, _ = load(CASES / "mispel" / "a4_storage_and_charge_point")
    draft = given | {"args": [*given["args"], "--ruleset", "2025-draft"]}
    data = answer("mispel", draft, tmp_path, capsys)
    assert data["ruleset"] == "2025-draft"
    assert data["months"][0]["formulas"]["(16)"] == "30"
