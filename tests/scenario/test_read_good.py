"""What a valid folder becomes."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from scenario_folders import START, edited, same, small_folder, utc, write_folder

from pendel.errors import InputError
from pendel.scenario import sources
from pendel.scenario.columns import UNKNOWN_S
from pendel.scenario.read import read_scenario

S = int(START.timestamp())


def test_every_table(tmp_path: Path) -> None:
    scenario = read_scenario(write_folder(tmp_path, small_folder()))
    assert scenario.name == "small"
    assert (scenario.horizon.steps, scenario.horizon.step_s) == (16, 900)
    assert scenario.horizon.start_utc == START
    assert scenario.portfolio_import_limit_kw == 50.0
    assert scenario.portfolio_export_limit_kw == 40.0
    assert scenario.sites.site_id.tolist() == ["a", "b"]
    assert scenario.sites.demand_charge_eur_kw.tolist() == [0.5, 0.0]
    assert scenario.sites.feeder.tolist() == [1, -1]
    assert scenario.feeders.parent.tolist() == [-1, 0]
    assert scenario.prices.row.tolist() == [0, 1]
    expected = np.repeat([0.30, 0.31, 0.32, 0.33], 4)
    assert np.array_equal(scenario.prices.import_eur_kwh[0], expected)
    assert np.array_equal(scenario.prices.import_eur_kwh[1], np.full(16, 0.21))
    assert np.array_equal(scenario.series.load_kw[0], np.arange(16) / 4)
    assert not scenario.series.load_kw[1].any()
    assert scenario.market is not None
    assert scenario.market.position_kw.tolist() == [-3.5] * 16
    assert scenario.co2_g_kwh is not None
    assert scenario.co2_g_kwh.tolist() == np.repeat(np.arange(200.0, 208.0), 2).tolist()
    reserves = scenario.reserves
    assert reserves is not None
    assert reserves.direction.tolist() == [0, 1]
    assert reserves.from_step.tolist() == [0, 8]
    assert reserves.until_step.tolist() == [8, 16]
    assert reserves.hold_h.tolist() == [0.25, 1.0]
    assert reserves.max_kw.tolist() == [5.0, np.inf]
    assert scenario.storages.energy_end_min_kwh.tolist() == [5.0]
    history = scenario.history  # oldest departure first
    assert history is not None
    assert history.site.tolist() == [0, 1]
    assert history.depart_s.tolist() == [S - 144_000, S - 3_600]
    assert history.stated_depart_s.tolist() == [S - 143_400, UNKNOWN_S]
    assert history.vehicle_id.tolist() == ["", "v1"]


def test_sessions_are_cut_rounded_and_counted(tmp_path: Path) -> None:
    scenario = read_scenario(write_folder(tmp_path, small_folder()))
    sessions = scenario.sessions
    assert sessions.session_id.tolist() == ["s1", "s2", "s3"]
    assert scenario.ignored_sessions == 1
    # 7 min rounds up to step 1; 100 min down to step 6; the rest is cut to the horizon
    assert sessions.arrive_step.tolist() == [1, 0, 7]
    assert sessions.depart_step.tolist() == [6, 6, 16]
    assert sessions.arrive_s.tolist() == [S + 420, S - 3600, S + 6000]
    assert sessions.depart_s.tolist() == [S + 6000, S + 6000, S + 30000]
    assert sessions.stated_depart_s.tolist() == [S + 7200, UNKNOWN_S, UNKNOWN_S]
    assert sessions.charge_efficiency.tolist() == [0.9, 1.0, 1.0]
    assert sessions.energy_min_kwh.tolist() == [5.0, 0.0, 0.0]
    assert sessions.battery_model.tolist() == ["", "", ""]
    assert sessions.site.tolist() == [0, 1, 0]


def test_session_within_one_step_has_an_empty_window(tmp_path: Path) -> None:
    row = f"x,a,{utc(31)},{utc(44)},60,20,40,11,,,,,,,,"
    folder = write_folder(tmp_path, edited(small_folder(), "sessions.csv", 2, row))
    sessions = read_scenario(folder).sessions
    assert sessions.arrive_step[0] == sessions.depart_step[0] == 3


def test_fractions_of_a_second_round_inwards(tmp_path: Path) -> None:
    row = "x,a,2025-03-03T12:00:00.5Z,2025-03-03T13:00:00.5Z,60,20,40,11,,,,,,,,"
    folder = write_folder(tmp_path, edited(small_folder(), "sessions.csv", 2, row))
    sessions = read_scenario(folder).sessions
    assert sessions.arrive_s[0] == S + 3601
    assert sessions.depart_s[0] == S + 7200
    assert (sessions.arrive_step[0], sessions.depart_step[0]) == (5, 8)


def test_only_required_files(tmp_path: Path) -> None:
    files = small_folder()
    sites = "site_id,import_limit_kw,export_limit_kw\na,17,11\n"
    prices = "time_utc,import_eur_kwh,export_eur_kwh\n" + "".join(
        f"{utc(60 * h)},0.3,0.05\n" for h in range(4)
    )
    head = files["scenario.toml"].split("[portfolio]")[0]
    files = {"scenario.toml": head, "sites.csv": sites, "prices.csv": prices}
    scenario = read_scenario(write_folder(tmp_path, files))
    assert len(scenario.sessions) == len(scenario.storages) == len(scenario.feeders) == 0
    assert scenario.market is None
    assert scenario.reserves is None
    assert scenario.co2_g_kwh is None
    assert scenario.portfolio_import_limit_kw == np.inf
    assert scenario.series.load_kw.shape == (1, 16)
    assert not scenario.series.load_kw.any()


def test_empty_fleet(tmp_path: Path) -> None:
    files = small_folder()
    files["sessions.csv"] = files["sessions.csv"].splitlines()[0] + "\n"
    assert len(read_scenario(write_folder(tmp_path, files)).sessions) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace("\ns1,", '\n"s1",').replace("v1", '"v1"'),
        lambda text: text.replace("Z", "+00:00"),
        lambda text: text.replace("T11:07:00Z", "T12:07:00+01:00"),
        lambda text: text.replace(",60,", ", 6.0e1 ,"),
    ],
    ids=["bom", "crlf", "no-end", "blank-end", "quotes", "offset", "other-offset", "exponent"],
)
@pytest.mark.parametrize("small_bytes", [1 << 20, 0], ids=["plain", "arrow"])
def test_forms_of_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object, small_bytes: int
) -> None:
    expected = read_scenario(write_folder(tmp_path / "x", small_folder()))
    monkeypatch.setattr(sources, "SMALL_BYTES", small_bytes)
    files = small_folder()
    files["sessions.csv"] = change(files["sessions.csv"])  # type: ignore[operator]
    assert same(read_scenario(write_folder(tmp_path / "y", files)), expected)


def test_gzip(tmp_path: Path) -> None:
    files = small_folder()
    expected = read_scenario(write_folder(tmp_path / "x", files))
    folder = write_folder(tmp_path / "y", {"scenario.toml": files.pop("scenario.toml")})
    for name, text in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert same(read_scenario(folder), expected)


def test_columns_in_any_order(tmp_path: Path) -> None:
    files = small_folder()
    expected = read_scenario(write_folder(tmp_path / "x", files))
    rows = [line.split(",") for line in files["sessions.csv"].splitlines()]
    files["sessions.csv"] = "\n".join(",".join(reversed(row)) for row in rows) + "\n"
    assert same(read_scenario(write_folder(tmp_path / "y", files)), expected)


def test_progress_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SMALL_BYTES", 0)
    seen: list[tuple[str, float]] = []
    read_scenario(write_folder(tmp_path, small_folder()), lambda *step: seen.append(step))
    assert {"prices.csv", "series.csv", "sessions.csv"} <= {name for name, _ in seen}
    assert all(0.0 <= share <= 1.0 for _, share in seen)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_scenario(tmp_path / "nowhere")
    assert [(p.file, p.problem) for p in caught.value.problems] == [
        ("nowhere", "folder is missing")
    ]
