"""`--engine dask` on real workers: the same plan, and a killed worker changes nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pendel.adapters.dask_engine import DaskEngine, dask_engine, versions
from pendel.cli.main import main
from pendel.control import feeder_blocks, fleet
from pendel.control.plan import PlanOptions, plan
from pendel.control.spread_crew import SectionShard
from pendel.errors import PendelError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from plan_fleet import fleet_problem


@pytest.fixture(scope="module")
def engine() -> Iterator[DaskEngine]:
    with dask_engine(workers=2) as made:
        yield made


def test_a_killed_worker_changes_nothing(engine: DaskEngine) -> None:
    problem = fleet_problem(60, 1)
    whole = plan(problem, PlanOptions(method="decomposed"))
    calm = plan(problem, PlanOptions(method="decomposed", make=engine))
    assert engine.team is not None
    assert len(engine.team.parts) == 2
    assert calm.objective_eur == pytest.approx(whole.objective_eur, rel=1e-7)
    victims = list(engine.client.run(os.getpid).values())

    def kill(iteration: int, objective_eur: float, bound_eur: float) -> None:
        if iteration == 5:
            os.kill(victims[0], signal.SIGKILL)

    options = PlanOptions(method="decomposed", make=engine, progress=kill)
    found = plan(problem, options)
    assert engine.team.replaced >= 1
    assert np.array_equal(found.power_kw, calm.power_kw)
    assert found.bound_eur == calm.bound_eur


def test_prices_above_sections_with_a_worker_killed_on_the_way(
    engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large fleet in small: as in this process to the last digit, on one worker less, too."""
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 1)
    monkeypatch.setattr(feeder_blocks, "BLOCK_SITES", -1)  # blocks are worked on in one process
    problem = fleet_problem(400, 2)
    wanted = PlanOptions(method="decomposed", gap=1e-5)
    here = plan(problem, wanted)
    assert here.method == "decomposed"
    spread = replace(wanted, make=engine, crew=engine.crew)
    calm = plan(problem, spread)
    assert engine.team is not None
    assert engine.team.kind is SectionShard
    assert len(engine.team.parts) == 2
    victims = list(engine.client.run(os.getpid).values())

    def kill(number: int, objective_eur: float, bound_eur: float) -> None:
        if number == 1:
            os.kill(victims[1], signal.SIGKILL)

    lost = plan(problem, replace(spread, progress=kill))
    assert engine.team.replaced >= 1
    for found in (calm, lost):
        assert np.array_equal(found.power_kw, here.power_kw)
        assert np.array_equal(found.energy_kwh, here.energy_kwh, equal_nan=True)
        assert (found.bound_eur, found.objective_eur) == (here.bound_eur, here.objective_eur)


def test_a_worker_with_another_version_is_refused(
    engine: DaskEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes later is not used; with one that is there nothing begins."""
    other = tmp_path / "pendel-9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pendel\nVersion: 9.9\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    address, before = engine.client.scheduler.address, engine.count
    words = ["-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1"]
    stranger = subprocess.Popen(
        [sys.executable, *words, "--no-dashboard", "--local-directory", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    try:
        engine.client.wait_for_workers(before + 1, timeout=60)
        with pytest.raises(PendelError, match=r"need pendel \S+, but there is tcp://\S+: 9\.9"):
            DaskEngine(engine.client)
        found = plan(fleet_problem(60, 1), PlanOptions(method="decomposed", make=engine))
        assert found.method == "interior"
        assert engine.team is not None
        assert len(engine.team.parts) == before
        stranger_at = next(w for w, its in versions(engine.client).items() if its == "9.9")
        assert not engine.client.has_what()[stranger_at]
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        assert main(["generate", "--vehicles", "5", "--out", str(tmp_path / "city")]) == 0
        assert main(["plan", str(tmp_path / "city"), "--engine", "dask"]) == 1
    finally:
        stranger.terminate()
        stranger.wait(timeout=30)


def test_the_command_on_a_running_cluster(
    engine: DaskEngine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", engine.client.scheduler.address)
    city, costs = tmp_path / "city", []
    assert main(["generate", "--vehicles", "30", "--out", str(city)]) == 0
    for engine_name in ("local", "dask"):
        capsys.readouterr()
        words = ["plan", str(city), "--engine", engine_name, "--json"]
        assert main(words) == 0
        costs.append(json.loads(capsys.readouterr().out))
    assert costs[1]["objective_eur"] == pytest.approx(costs[0]["objective_eur"], rel=1e-6)
    assert costs[1]["method"] == "interior"
    assert max(costs[1]["violations"].values()) <= 1e-5


def test_no_scheduler_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = tmp_path / "city"
    assert main(["generate", "--vehicles", "5", "--out", str(city)]) == 0
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "not an address")
    assert main(["plan", str(city), "--engine", "dask"]) == 1
