"""`pendel plan --warm` on a large fleet in small: what is kept, and nothing wrong is believed."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pendel.control.again as again
import pendel.control.feeder_blocks as feeder_blocks
import pendel.control.fleet as fleet
from pendel.cli.main import main
from pendel.cli.plan_memory import read_memory
from pendel.control.linear_model import build_model
from pendel.control.linear_solve import Engine
from pendel.control.problem import problem_of
from pendel.control.reach import reach_of
from pendel.control.warm import take_price
from pendel.scenario.plan_folder import read_plan_folder
from pendel.scenario.read import read_scenario

GAP = "1e-3"
WORDS = ["--method", "decomposed", "--gap", GAP, "--json"]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated scenario `s` and its plan `p`."""
    base = tmp_path_factory.mktemp("again")
    words = ["--vehicles", "120", "--seed", "3", "--format", "csv", "--cars-per-home-site", "3"]
    assert main(["generate", "--out", str(base / "s"), *words]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "FLEET_PAIRS", 0)
        patch.setattr(fleet, "FLEET_SITES", 0)
        patch.setattr(feeder_blocks, "BLOCK_SITES", -1)  # blocks leave no memory
        assert main(["plan", str(base / "s"), "--out", str(base / "p"), *WORDS]) in (0, 3)
    assert (base / "p" / "site_proofs.parquet").exists()
    return base


@pytest.fixture(autouse=True)
def always_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 0)
    monkeypatch.setattr(feeder_blocks, "BLOCK_SITES", -1)


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sites were worked on in each attempt to close the gap with some of them."""
    counts: list[int] = []
    whole = again.Patch.run

    def run(self: again.Patch, *args: Any) -> Any:
        counts.append(int((~self.rest).sum()))
        return whole(self, *args)

    monkeypatch.setattr(again.Patch, "run", run)
    return counts


def plan_again(
    scenario: Path, warm: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    capsys.readouterr()
    words = ["plan", str(scenario), "--warm", str(warm), "--out", str(out), *WORDS]
    assert main(words) in (0, 3)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def check(scenario: Path, found: dict[str, Any]) -> None:
    """bound <= HiGHS <= plan, verified."""
    problem = problem_of(read_scenario(scenario))
    engine = Engine(build_model(problem, reach_of(problem)), lambda: float("inf"))
    assert engine.run() == "optimal"
    best = engine.objective()
    slack = 1e-6 * max(1.0, abs(best))
    assert found["bound_eur"] <= best + slack
    assert best <= found["objective_eur"] + slack
    assert max(found["violations"].values()) <= 1e-5
    assert found["gap"] <= 1e-2


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, content: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(content[0]))
        writer.writeheader()
        writer.writerows(content)


def test_the_same_scenario_needs_no_pass(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], patches: list[int]
) -> None:
    found = plan_again(planned / "s", planned / "p", tmp_path / "out", capsys)
    assert patches == [0]
    check(planned / "s", found)
    for name in ("plan", "sites"):
        file = next((planned / "p").glob(f"{name}.*")).name
        assert (tmp_path / "out" / file).read_bytes() == (planned / "p" / file).read_bytes()


def test_who_leaves_and_who_wants_less_touch_their_sites_only(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], patches: list[int]
) -> None:
    changed = tmp_path / "s"
    shutil.copytree(planned / "s", changed)
    sessions = rows(changed / "sessions.csv")
    gone = sessions.pop(5)
    sessions[20]["energy_target_kwh"] = sessions[20]["energy_arrive_kwh"]
    write_rows(changed / "sessions.csv", sessions)
    scenario = read_scenario(changed)
    written = read_plan_folder(planned / "p", scenario, strict=False)
    warm = read_memory(planned / "p", scenario, problem_of(scenario), written)
    assert warm is not None
    touched = ~np.isfinite(warm.memory.bound_eur)
    names = {gone["site_id"], sessions[20]["site_id"]}
    assert set(scenario.sites.site_id[touched].tolist()) == names
    check(changed, plan_again(changed, planned / "p", tmp_path / "out", capsys))
    assert patches[0] >= len(names)


def edited(change: Callable[[pa.Table], pa.Table], name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / f"{name}.parquet"
        pq.write_table(change(pq.read_table(path)), path)

    return edit


def column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def numbers(table: pa.Table, name: str) -> Any:
    return table.column(name).to_numpy()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "bounds that prove too much": edited(
        lambda t: column(t, "bound_eur", numbers(t, "bound_eur") + 1.0), "site_proofs"
    ),
    "other prices": edited(
        lambda t: column(t, "eur_kw", numbers(t, "eur_kw") + 0.01), "node_prices"
    ),
    "no prices": edited(
        lambda t: column(t, "eur_kw", np.full(len(t), np.nan)), "node_prices"
    ),
    "foreign nodes": edited(
        lambda t: column(t, "node", ["x"] * len(t)), "node_prices"
    ),
    "another day": edited(
        lambda t: column(
            t, "time_utc", numbers(t, "time_utc") + np.timedelta64(400, "D")
        ),
        "node_prices",
    ),
    "few rows": edited(lambda t: t.slice(0, 17), "node_prices"),
    "no rows": edited(lambda t: t.slice(0, 0), "node_prices"),
    "foreign sites": edited(
        lambda t: column(t, "site_id", [f"x{i}" for i in range(len(t))]), "site_proofs"
    ),
    "sites twice": edited(lambda t: pa.concat_tables([t.slice(3, 4), t]), "site_proofs"),
    "no seals": edited(lambda t: t.drop_columns(["seal"]), "site_proofs"),
    "texts for numbers": edited(
        lambda t: column(t, "cost_eur", ["much"] * len(t)), "site_proofs"
    ),
    "half a file": lambda folder: (folder / "site_proofs.parquet").write_bytes(
        (folder / "site_proofs.parquet").read_bytes()[:300]
    ),
    "no file": lambda folder: (folder / "node_prices.parquet").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_what_is_damaged_is_planned_anew(
    how: str, planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "p"
    shutil.copytree(planned / "p", damaged)
    DAMAGE[how](damaged)
    scenario = read_scenario(planned / "s")
    written = read_plan_folder(damaged, scenario, strict=False)
    warm = read_memory(damaged, scenario, problem_of(scenario), written)
    assert how == "sites twice" or warm is None or not np.isfinite(warm.memory.bound_eur).any()
    check(planned / "s", plan_again(planned / "s", damaged, tmp_path / "out", capsys))


def test_a_plan_that_was_edited_is_not_kept(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "p"
    shutil.copytree(planned / "p", damaged)
    plan = rows(damaged / "plan.csv")
    plan[40]["power_kw"] = str(float(plan[40]["power_kw"]) + 0.5)
    write_rows(damaged / "plan.csv", plan)
    scenario = read_scenario(planned / "s")
    written = read_plan_folder(damaged, scenario, strict=False)
    warm = read_memory(damaged, scenario, problem_of(scenario), written)
    assert warm is not None
    assert int((~np.isfinite(warm.memory.bound_eur)).sum()) == 1
    check(planned / "s", plan_again(planned / "s", damaged, tmp_path / "out", capsys))


def test_an_hour_later_the_prices_have_moved_on(
    planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], patches: list[int]
) -> None:
    """The horizon begins later: nothing is kept but prices, each at its own time."""
    head = (planned / "s" / "scenario.toml").read_text()
    start = read_scenario(planned / "s").horizon.start_s
    for name, begin in (("early", start), ("late", start + 3600)):
        shutil.copytree(planned / "s", tmp_path / name)
        text = head.replace(time_of(start), time_of(begin), 1)
        assert "steps = 96" in text
        (tmp_path / name / "scenario.toml").write_text(text.replace("steps = 96", "steps = 88"))
    out = ["--out", str(tmp_path / "p"), *WORDS]
    assert main(["plan", str(tmp_path / "early"), *out]) in (0, 3)
    late = read_scenario(tmp_path / "late")
    problem = problem_of(late)
    written = read_plan_folder(tmp_path / "p", late, strict=False)
    warm = read_memory(tmp_path / "p", late, problem, written)
    assert warm is not None
    assert warm.rolled == 4
    assert not np.isfinite(warm.memory.bound_eur).any()
    table = pq.read_table(tmp_path / "p" / "node_prices.parquet").to_pylist()
    known = {(row["node"], int(row["time_utc"].timestamp())): row["eur_kw"] for row in table}
    moved = take_price(warm, problem)[0]
    first = table[0]["node"]
    for step in (0, 40, 83):
        assert moved[step] == known[first, start + 3600 + 900 * step]
    found = plan_again(tmp_path / "late", tmp_path / "p", tmp_path / "out", capsys)
    check(tmp_path / "late", found)
    assert patches == []


def time_of(second: int) -> str:
    return str(np.datetime64(second, "s"))[:16]
