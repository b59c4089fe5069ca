"""What the input of `pendel settle mispel|pauschal` may be, and every way it may not."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pendel.cli.main import main
from pendel.clock import local_day_bounds_utc
from pendel.tariff.periods import first_quarter, quarter_of, quarter_text, year_period

HEADER = "time_utc,z1nb,z1ne"


def run(
    capsys: pytest.CaptureFixture[str], path: Path, *args: str, command: str = "mispel"
) -> tuple[int, dict[str, Any], str]:
    status = main(["settle", command, str(path), *args, "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out), err


def write(tmp_path: Path, *lines: str, name: str = "meter.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


BAD_ROWS = {
    "nan": ("2025-06-01T00:00:00Z,nan,1", "z1nb"),
    "inf": ("2025-06-01T00:00:00Z,1,inf", "z1ne"),
    "negative": ("2025-06-01T00:00:00Z,-1,1", "z1nb"),
    "text": ("2025-06-01T00:00:00Z,abc,1", "z1nb"),
    "exponent": ("2025-06-01T00:00:00Z,1e3,1", "z1nb"),
    "plus": ("2025-06-01T00:00:00Z,+1,1", "z1nb"),
    "thousands": ('2025-06-01T00:00:00Z,"1,000",1', "z1nb"),
    "ten_digits": ("2025-06-01T00:00:00Z,0.1234567891,1", "z1nb"),
    "other_digits": ("2025-06-01T00:00:00Z,١,1", "z1nb"),
    "off_grid": ("2025-06-01T00:05:00Z,1,1", "time_utc"),
    "off_grid_second": ("2025-06-01T00:00:01Z,1,1", "time_utc"),
    "no_offset": ("2025-06-01T00:00:00,1,1", "time_utc"),
    "no_time": (",1,1", "time_utc"),
    "no_calendar": ("2025-02-30T00:00:00Z,1,1", "time_utc"),
    "far_away": ("0001-01-01T00:00:00+14:00,1,1", "time_utc"),
    "too_few": ("2025-06-01T00:00:00Z,1", ""),
    "too_many": ("2025-06-01T00:00:00Z,1,1,1", ""),
}


@pytest.mark.parametrize("row, field", BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_row_is_refused_with_its_line(
    row: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, "2025-06-01T00:45:00Z,1,1", row)
    status, data, err = run(capsys, path, "--case", "A11")
    assert status == 2
    assert [(p["file"], p["line"], p["field"]) for p in data["problems"]] == [
        ("meter.csv", 3, field)
    ]
    assert err.startswith(f"meter.csv:3: {field}")


def test_every_problem_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, HEADER, "x,-1,nan", "2025-06-01T00:00:00Z,1,", "y,1,1")
    status, data, err = run(capsys, path, "--case", "A11", "--split", "soon", "--fuse-kw", "0")
    assert status == 2
    found = [(p["line"], p["field"]) for p in data["problems"]]
    assert sorted(found) == [
        (0, "--fuse-kw"),
        (0, "--split"),
        (2, "time_utc"),
        (2, "z1nb"),
        (2, "z1ne"),
        (4, "time_utc"),
    ]
    assert len(err.splitlines()) == 7


@pytest.mark.parametrize("value", ["1,1", "2,2"], ids=["equal", "different"])
def test_same_begin_twice_is_refused(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = "2025-06-01T00:00:00Z,1,1", f"2025-06-01T02:00:00+02:00,{value}"
    status, data, _ = run(capsys, write(tmp_path, HEADER, first, again), "--case", "A11")
    assert status == 2
    assert data["problems"][0]["line"] == 3
    assert "line 2" in data["problems"][0]["problem"]


def test_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for header, fields in (
        ("time_utc,z1nb", {"z1ne"}),
        ("time,z1nb,z1ne", {"time", "time_utc"}),
        ("time_utc,z1nb,z1ne,z1ne", {"z1ne"}),
        ("time_utc;z1nb;z1ne", {"time_utc;z1nb;z1ne", "time_utc", "z1nb", "z1ne"}),
    ):
        status, data, _ = run(capsys, write(tmp_path, header, "a"), "--case", "A11")
        assert status == 2
        assert {p["field"] for p in data["problems"]} == fields
        assert {p["line"] for p in data["problems"]} == {1}


def test_unused_columns_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "\ufeffz2v,z1ne,time_utc,z1nb,aw_ct_kwh", "?,2,2025-06-01T00:00Z,3,")
    status, data, _ = run(capsys, path, "--case", "A11")
    assert status == 0
    assert data["months"][0]["formulas"]["(20)"] == "2"


def test_fuse_finds_watt_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, HEADER, "2025-06-01T00:00:00Z,2.75,0", "2025-06-01T00:15:00Z,2750,0")
    assert run(capsys, path, "--case", "A11")[0] == 0
    status, data, _ = run(capsys, path, "--case", "A11", "--fuse-kw", "11")
    assert (status, [p["line"] for p in data["problems"]]) == (2, [3])


@pytest.mark.parametrize("case", ["A6", "A7", "A8", "A9", "B1", "a2", ""])
def test_unsupported_case_is_refused_by_name(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, "2025-06-01T00:00:00Z,1,1")
    status, data, _ = run(capsys, path, "--case", case)
    assert status == 2
    assert data["problems"][0]["field"] == "--case"
    assert case in data["problems"][0]["problem"]


OPTION_FAULTS = [
    ("--ruleset", "2031-01-01"),
    ("--split", "2026-02-30"),
    ("--split", "2024-06-16"),
    ("--fuse-kw", "-1"),
    ("--as-of", "2027"),
    ("--values", "guess"),
    ("--plant-kw", "1,2"),
]


@pytest.mark.parametrize("option, value", OPTION_FAULTS)
def test_option_fault_names_option_and_value(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, "2025-06-01T00:00:00Z,1,1")
    status, data, _ = run(capsys, path, "--case", "A11", f"{option}={value}")
    assert status == 2
    assert data["problems"][0]["field"] == option
    assert value in data["problems"][0]["problem"]


@pytest.mark.parametrize("value", [None, "1", "1,0", "1,2,3", "a,b"])
def test_a5_needs_two_plants(
    value: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "time_utc,z1nb,z1ne,z2v,z2e,aw_a_ct_kwh,aw_b_ct_kwh"
    path = write(tmp_path, header, "2025-06-01T00:00:00Z,1,1,1,1,1,1")
    args = [] if value is None else [f"--plant-kw={value}"]
    status, data, _ = run(capsys, path, "--case", "A5", *args)
    assert (status, data["problems"][0]["field"]) == (2, "--plant-kw")


def test_missing_and_broken_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADER.encode() + b"\n2025-06-01T00:00:00Z,1,\xe4\n")
    empty = write(tmp_path, HEADER, name="empty.csv")
    for path, line in ((tmp_path / "none.csv", 0), (tmp_path, 0), (latin, 2), (empty, 1)):
        status, data, _ = run(capsys, path, "--case", "A11")
        assert (status, data["problems"][0]["line"]) == (2, line)
        assert data["problems"][0]["file"] == path.name


def month_lines(begin: datetime, end: datetime, skip: frozenset[int] = frozenset()) -> list[str]:
    count = (end - begin) // timedelta(minutes=15)
    times = [begin + timedelta(minutes=15) * n for n in range(count) if n not in skip]
    return [f"{time.isoformat()},1,0.5" for time in times]


def june_2025() -> tuple[datetime, datetime]:
    return datetime(2025, 5, 31, 22, tzinfo=UTC), datetime(2025, 6, 30, 22, tzinfo=UTC)


def test_complete_past_month_is_final_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = month_lines(*june_2025())
    status, data, _ = run(capsys, write(tmp_path, HEADER, *reversed(lines)), "--case", "A11")
    month = data["months"][0]
    assert (status, month["status"], month["reasons"]) == (0, "final", [])
    assert month["formulas"]["(3)"] == str(30 * 96)


def test_gap_is_a_gap_and_never_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = month_lines(*june_2025(), skip=frozenset({10, 11}))
    lines[20] = lines[20].replace(",1,", ",,")
    status, data, _ = run(capsys, write(tmp_path, HEADER, *lines), "--case", "A11")
    month = data["months"][0]
    assert (status, month["status"]) == (0, "provisional")
    assert month["reasons"] == [
        {"code": "gap", "from_utc": "2025-06-01T00:30:00Z", "until_utc": "2025-06-01T01:00:00Z"},
        {"code": "gap", "from_utc": "2025-06-01T03:30:00Z", "until_utc": "2025-06-01T03:45:00Z"},
    ]
    assert month["formulas"]["(4)"] == "2877/2"


def test_future_month_is_settled_and_provisional(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, *month_lines(*june_2025()))
    before = run(capsys, path, "--case", "A11", "--as-of", "2025-06-30T21:59:59Z")[1]["months"][0]
    after = run(capsys, path, "--case", "A11", "--as-of", "2025-06-30T22:00:00Z")[1]["months"][0]
    assert [reason["code"] for reason in before["reasons"]] == ["period_not_over"]
    assert before["formulas"] == after["formulas"]
    assert after["status"] == "final"


def test_values_of_a_device_are_never_final(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, *month_lines(*june_2025()))
    month = run(capsys, path, "--case", "A11", "--values", "device")[1]["months"][0]
    assert [reason["code"] for reason in month["reasons"]] == ["not_metering_operator"]


def test_periods_follow_local_time() -> None:
    """Vectors T9, T10: days of 92 and 100 quarter hours, month bounds in UTC."""
    june, july = first_quarter(date(2021, 6, 1)), first_quarter(date(2021, 7, 1))
    assert quarter_text(june) == "2021-05-31T22:00:00Z"
    assert quarter_text(july) == "2021-06-30T22:00:00Z"
    assert quarter_text(first_quarter(date(2021, 11, 30))) == "2021-11-29T23:00:00Z"
    for day, count in ((date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2027, 3, 28), 92)):
        assert first_quarter(day + timedelta(days=1)) - first_quarter(day) == count
        begin, _ = local_day_bounds_utc(day, "Europe/Berlin")
        assert quarter_of(begin) == first_quarter(day)
    assert [year_period(year).quarters for year in (2026, 2028)] == [35_040, 35_136]


PAUSCHAL_HEADER = "time_utc,z1nb,z1ne,spot_eur_mwh,aw_ct_kwh"
PAUSCHAL_FAULTS = [
    (["--case", "P1", "--pv-kwp", "8"], "--storage-kwh"),
    (["--case", "P3", "--pv-kwp", "8", "--storage-kwh", "0"], "--storage-kwh"),
    (["--case", "P2", "--pv-kwp", "30.1"], "--pv-kwp"),
    (["--case", "P2", "--pv-kwp", "0"], "--pv-kwp"),
    (["--case", "P2"], "--pv-kwp"),
    (["--case", "P4", "--pv-kwp", "8"], "--case"),
    (["--case", "P2", "--pv-kwp", "8", "--from", "2027-05-01", "--until", "2027-05-01"], "--until"),
    (["--case", "P2", "--pv-kwp", "8", "--from", "2027-05-01", "--until", "2028-05-01"], "--until"),
]


@pytest.mark.parametrize("args, field", PAUSCHAL_FAULTS)
def test_pauschal_options(
    args: list[str], field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, PAUSCHAL_HEADER, "2027-06-01T00:00:00Z,1,1,0,1")
    status, data, _ = run(capsys, path, *args, command="pauschal")
    assert (status, [p["field"] for p in data["problems"]]) == (2, [field])


def test_pauschal_counts_spot_zero_and_not_negative(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(
        tmp_path,
        PAUSCHAL_HEADER,
        "2027-06-01T00:00:00Z,0,1,0,1",
        "2027-06-01T00:15:00Z,0,2,-0.01,0",
        "2027-06-01T00:30:00Z,0,4,-0,-1",
        "2026-12-31T22:45:00Z,0,8,1,1",
    )
    args = ("--case", "P2", "--pv-kwp", "8", "--as-of", "2027-01-01T00:00:00Z")
    status, data, err = run(capsys, path, *args, command="pauschal")
    year = data["years"][0]
    assert (status, year["year"]) == (0, "2027")
    assert (year["formulas"]["(P7)"], year["formulas"]["(P14)"]) == ("5", "1")
    assert [r["code"] for r in year["reasons"]] == ["gap", "gap", "period_not_over"]
    assert "1 quarter hours outside" in err


def test_command_without_json_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, HEADER, "2025-06-01T00:00:00Z,3,2")
    assert main(["settle", "mispel", str(path), "--case", "A11"]) == 0
    assert "2025-06  provisional (gap): (16) 2.000, (20) 2.000, (21) 1.000 kWh" in (
        capsys.readouterr().out
    )
