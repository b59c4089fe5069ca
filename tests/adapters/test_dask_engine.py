"""`--engine dask` on real workers: the same plan, and a killed worker changes nothing."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pendel.adapters.dask_engine import DaskEngine, dask_engine
from pendel.cli.main import main
from pendel.control.plan import PlanOptions, plan

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
