"""Many rows: bounded memory, and the streamed way finds what the plain way finds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenario_folders import utc

from pendel.errors import InputError
from pendel.scenario import sources
from pendel.scenario.read import read_scenario

STEPS = 1_000
MEASURE = """
import resource, sys
from pathlib import Path
import pyarrow.csv, pyarrow.compute
from pendel.scenario.read import read_scenario
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scenario = read_scenario(Path(sys.argv[1]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(scenario.sessions), int(scenario.series.load_kw.sum()), (after - before) // 1024)
"""


def head(folder: Path, sites: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "scenario.toml").write_text(
        'name = "large"\ntimezone = "UTC"\nstart = 2025-03-03T11:00:00Z\n'
        f"steps = {STEPS}\nstep_minutes = 15\n"
    )
    rows = "".join(f"site{i},17,11\n" for i in range(sites))
    (folder / "sites.csv").write_text("site_id,import_limit_kw,export_limit_kw\n" + rows)
    rows = "".join(f"{utc(15 * t)},0.3,0.05\n" for t in range(STEPS))
    (folder / "prices.csv").write_text("time_utc,import_eur_kwh,export_eur_kwh\n" + rows)


def series_folder(folder: Path, rows: int) -> Path:
    sites = rows // STEPS
    head(folder, sites)
    times = [utc(15 * t) for t in range(STEPS)]
    with (folder / "series.csv").open("w") as file:
        file.write("time_utc,site_id,load_kw,pv_kw\n")
        for site in range(sites):
            file.write("".join(f"{time},site{site},1.0,0.25\n" for time in times))
    return folder


def sessions_folder(folder: Path, rows: int) -> Path:
    head(folder, 100)
    with (folder / "sessions.csv").open("w") as file:
        file.write(
            "session_id,site_id,arrive_utc,depart_utc,capacity_kwh,energy_arrive_kwh,"
            "energy_target_kwh,charge_max_kw,discharge_max_kw,vehicle_id\n"
        )
        for begin in range(0, rows, 1_000):
            arrive = begin // 1_000 % 900
            span = f"{utc(15 * arrive)},{utc(15 * arrive + 480)}"
            file.write(
                "".join(
                    f"session{i},site{i % 100},{span},60.5,20.25,50.125,11,11,v{i}\n"
                    for i in range(begin, begin + 1_000)
                )
            )
    return folder


def measured(folder: Path) -> tuple[int, int, int]:
    """Sessions, sum of load, and MB that reading took at its peak, in a process of its own."""
    command = [sys.executable, "-c", MEASURE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    sessions, load, peak_mb = map(int, done.stdout.split())
    return sessions, load, peak_mb


def test_200_000_series_rows_in_bounded_memory(tmp_path: Path) -> None:
    _, load, peak_mb = measured(series_folder(tmp_path, 200_000))
    assert load == 200_000
    assert peak_mb < 200  # the arrays take 6 MB; buffers of the streaming reader the rest


def test_200_000_sessions_in_bounded_memory(tmp_path: Path) -> None:
    sessions, _, peak_mb = measured(sessions_folder(tmp_path, 200_000))
    assert sessions == 200_000
    assert peak_mb < 300


@pytest.mark.proof
def test_ten_million_series_rows(tmp_path: Path) -> None:
    _, load, peak_mb = measured(series_folder(tmp_path, 10_000_000))
    assert load == 10_000_000
    assert peak_mb < 1_000


@pytest.mark.proof
def test_ten_million_sessions(tmp_path: Path) -> None:
    sessions, _, peak_mb = measured(sessions_folder(tmp_path, 10_000_000))
    assert sessions == 10_000_000
    assert peak_mb < 4_000


def test_rows_outside_leave_nothing(tmp_path: Path) -> None:
    """Rows of other years cost no memory and change nothing."""
    folder = series_folder(tmp_path, 2_000)
    with (folder / "series.csv").open("a") as file:
        for year in range(1990, 2025):
            file.write("".join(f"{year}-01-01T00:{m:02}:00Z,site1,9,9\n" for m in range(60)) * 50)
    scenario = read_scenario(folder)
    assert scenario.series.load_kw.tolist() == np.ones((2, STEPS)).tolist()


def test_streamed_blocks_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems over many blocks: an id, a vehicle and a row come back much later."""
    folder = sessions_folder(tmp_path, 20_000)
    text = (folder / "sessions.csv").read_text().splitlines()
    text[15_000] = text[15_000].replace("session14999,", "session3,")
    text[18_000] = text[18_000].replace("v17999", "v17998")
    text[19_000] = text[19_000].replace("60.5", "605000")
    text[12_345] = text[12_345].replace("site", "cite")
    (folder / "sessions.csv").write_text("\n".join(text) + "\n")
    found = []
    for small_bytes, block_bytes in ((1 << 30, 4 << 20), (0, 4 << 20), (0, 1 << 16)):
        monkeypatch.setattr(sources, "SMALL_BYTES", small_bytes)
        monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
        with pytest.raises(InputError) as caught:
            read_scenario(folder)
        found.append([str(problem) for problem in caught.value.problems])
    assert found[0] == found[1] == found[2]
    assert [problem.split(":")[1] for problem in found[0]] == ["12346", "15001", "18001", "19001"]


def test_too_many_cells_are_refused(tmp_path: Path) -> None:
    head(tmp_path, 1_000)
    text = (tmp_path / "scenario.toml").read_text().replace("= 1000", "= 500000")
    (tmp_path / "scenario.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_scenario(tmp_path)
    assert [(p.file, p.field) for p in caught.value.problems] == [("scenario.toml", "steps")]
