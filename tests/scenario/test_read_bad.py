"""Every kind of broken scenario: each problem is found, in its file, line and field, and no other.

Each case runs through the plain reader, the streamed one, gzip and (where lines allow) parquet.
"""

import gzip
import os
from pathlib import Path

import pytest
from broken_scenarios import HEADERS, LINES, SESSIONS, TOML, Place, session
from scenario_folders import HEAD, edited, small_folder, utc, write_folder

from pendel.errors import InputError, Problem
from pendel.scenario import sources
from pendel.scenario.read import read_scenario


def problems_of(folder: Path) -> list[Problem]:
    try:
        read_scenario(folder)
    except InputError as error:
        assert error.count == len(error.problems)
        return error.problems
    return []


def places(problems: list[Problem], suffix: str = "") -> list[Place]:
    return sorted((p.file.removesuffix(suffix), p.line, p.field) for p in problems)


@pytest.fixture(params=["plain", "arrow", "gzip"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "arrow":
        monkeypatch.setattr(sources, "SMALL_BYTES", 0)
    return str(request.param)


def broken(folder: Path, files: dict[str, str], file: str, way: str) -> list[Place]:
    write_folder(folder, files)
    if way == "gzip":
        path = folder / file
        (folder / f"{file}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        return places(problems_of(folder), ".gz")
    return places(problems_of(folder))


@pytest.mark.parametrize("name", LINES)
def test_broken_line(name: str, way: str, tmp_path: Path) -> None:
    file, line, text, expected = LINES[name]
    files = edited(small_folder(), file, line, text)
    assert broken(tmp_path, files, file, way) == sorted(expected)


@pytest.mark.parametrize("name", HEADERS)
def test_broken_header(name: str, way: str, tmp_path: Path) -> None:
    file, old, new, expected = HEADERS[name]
    files = small_folder()
    header, rest = files[file].split("\n", 1)
    if new == "colour":  # a column more: rows grow too
        header += f",{new}"
        rest = rest.replace("\n", ",red\n")
    else:
        header = header.replace(old, new, 1)
    files[file] = f"{header}\n{rest}"
    assert broken(tmp_path, files, file, way) == sorted(expected)


@pytest.mark.parametrize("name", TOML)
def test_broken_toml(name: str, tmp_path: Path) -> None:
    old, new, expected = TOML[name]
    files = {**small_folder(), "scenario.toml": HEAD.replace(old, new, 1)}
    assert places(problems_of(write_folder(tmp_path, files))) == expected


@pytest.mark.parametrize("file", ["scenario.toml", "sites.csv", "prices.csv"])
def test_missing_file(file: str, tmp_path: Path) -> None:
    files = small_folder()
    del files[file]
    assert places(problems_of(write_folder(tmp_path, files))) == [(file, 0, "")]


def test_every_bad_file_is_told_at_once(tmp_path: Path) -> None:
    files = small_folder()
    files["scenario.toml"] = HEAD.replace("= 15", "= 7")
    for file, line, text in (
        ("sites.csv", 2, "a,x,11,,"),
        ("prices.csv", 3, f"{utc(0)},a,0,"),
        ("sessions.csv", 2, session(capacity_kwh="-1")),
        ("storages.csv", 2, "s1,a,10,11,4,4,,,,"),
    ):
        files = edited(files, file, line, text)
    assert places(problems_of(write_folder(tmp_path, files))) == [
        ("prices.csv", 3, "import_eur_kwh"),
        ("scenario.toml", 5, "step_minutes"),
        ("sessions.csv", 2, "capacity_kwh"),
        ("sites.csv", 2, "import_limit_kw"),
        ("storages.csv", 2, "energy_start_kwh"),
        ("storages.csv", 2, "storage_id"),
    ]


@pytest.mark.parametrize("name", ["session.csv", "Prices.csv", "storage.parquet", "SITES.CSV.GZ"])
def test_misspelt_file(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path, {**small_folder(), name: "x"})
    assert places(problems_of(folder)) == [(name, 0, "")]


def test_foreign_files_are_noted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {**small_folder(), "weather.csv": "x", "SOURCE.md": "y"})
    assert read_scenario(folder).notes == (
        "weather.csv is not a table of scenarios and was not read",
    )


def test_what_is_no_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small_folder())
    (folder / "scenario.toml").unlink()
    os.mkfifo(folder / "scenario.toml")
    assert places(problems_of(folder)) == [("scenario.toml", 0, "")]


def test_both_csv_and_parquet(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small_folder())
    (folder / "sites.parquet").write_bytes(b"")
    assert places(problems_of(folder)) == [("sites.csv", 0, "")]


def test_empty_file_and_no_site(tmp_path: Path) -> None:
    files = small_folder()
    files["storages.csv"] = ""
    files["sites.csv"] = "site_id,import_limit_kw,export_limit_kw\n"
    found = places(problems_of(write_folder(tmp_path, files)))
    assert ("storages.csv", 1, "") in found
    assert ("sites.csv", 1, "") in found


def test_broken_forms(tmp_path: Path, way: str) -> None:
    files = small_folder()
    lines = files["sessions.csv"].splitlines()
    cases = {
        "latin": ([*lines[:2], lines[2].replace("s2", "s\udcff")], 3),
        "open quote": ([*lines[:2], '"s2' + lines[2][2:]], 3),
    }
    for name, (text, line) in cases.items():
        folder = tmp_path / name
        changed = {**files, "sessions.csv": "\n".join(text) + "\n"}
        found = broken(folder, changed, "sessions.csv", way)
        assert [place[0] for place in found] == ["sessions.csv"], name
        assert found[0][1] in (line, line + 1), name


def test_lines_after_a_cell_over_two_lines(tmp_path: Path, way: str) -> None:
    files = small_folder()
    lines = files["sessions.csv"].splitlines()
    lines[1] = lines[1].replace("v1", '"v\n1"')
    lines[2] = lines[2].replace(",60,", ",-60,")
    files["sessions.csv"] = "\n".join(lines) + "\n"
    assert broken(tmp_path, files, "sessions.csv", way) == [("sessions.csv", 4, "capacity_kwh")]


def test_cut_gzip(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, small_folder())
    packed = gzip.compress((folder / "series.csv").read_bytes())
    (folder / "series.csv").unlink()
    (folder / "series.csv.gz").write_bytes(packed[: len(packed) // 2])
    assert ("series.csv.gz", 0, "") in places(problems_of(folder))
    (folder / "series.csv.gz").write_bytes(b"not packed at all")
    assert places(problems_of(folder)) == [("series.csv.gz", 0, "")]


def test_messages_say_what_is_allowed(tmp_path: Path) -> None:
    files = edited(small_folder(), "sessions.csv", 2, session(charge_efficiency="1.1"))
    assert [str(p) for p in problems_of(write_folder(tmp_path, files))] == [
        "sessions.csv:2: charge_efficiency: 1.1 is out of range (above 0, at most 1)"
    ]


def test_more_than_a_thousand(tmp_path: Path, way: str) -> None:
    files = small_folder()
    bad = [
        SESSIONS[1].replace("s1", f"x{i}").replace("v1", "").replace(",60,", ",-6,")
        for i in range(2500)
    ]
    files["sessions.csv"] = "\n".join([SESSIONS[0], *bad]) + "\n"
    folder = write_folder(tmp_path, files)
    with pytest.raises(InputError) as caught:
        read_scenario(folder)
    assert caught.value.count == 2500
    assert [p.line for p in caught.value.problems] == list(range(2, 1002))
