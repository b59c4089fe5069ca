"""Random coupled fleets: all ways to plan them agree, prove what they say, and keep the contract.

`exact` is HiGHS with every rank; what it finds is the yardstick where the oracle of
`contract_oracle` would take minutes. The price method is made to take fleets that it would
otherwise leave to the interior point.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from check_plan import check_plan
from contract_oracle import solve
from fleet_scenarios import write_fleet

from pendel.cli.main import main
from pendel.control import fleet

SAMPLE = (4, 5, 6, 8, 23, 24, 30, 32)
ORACLE = (24, 32)
GIVING = (18, 29, 35, 45, 53, 54)
"""Sites fall short, are overloaded, or cannot lift cars to their minimum (35, 45, 54: held)."""
PROOF = range(1000, 1200)
GAP = 1e-4
LIMIT_S = {"exact": "60", "decomposed": "120"}
"""With binaries (export dearer than import, burning that pays) both may take hours."""


def planned(
    folder: Path, out: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """The summary of a plan, after all it says has been checked from the files."""
    words = ["plan", str(folder), "--out", str(out), "--gap", str(GAP), "--method", method]
    words += ["--time-limit", LIMIT_S[method]]
    status = main([*words, "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert status in (0, 3)
    found = check_plan(folder, out)
    assert summary["objective_eur"] == pytest.approx(found["objective_eur"], rel=1e-9, abs=1e-6)
    assert status == 3 or max(summary["violations"].values()) <= 1e-5
    return summary


def agree(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, most: int,
) -> tuple[float, float]:  # fmt: skip
    """Plan one fleet in three ways; the exact cost, the gap of the price method. Where `exact` ran
    out of time it is a plan and a bound like the others."""
    folder = tmp_path / "in"
    write_fleet(folder, seed, 60, most, without=("reserves",), steps=24)
    exact = planned(folder, tmp_path / "exact", "exact", capsys)
    whole = planned(folder, tmp_path / "whole", "decomposed", capsys)
    monkeypatch.setattr(fleet, "FLEET_PAIRS", 0)
    monkeypatch.setattr(fleet, "FLEET_SITES", 0)
    prices = planned(folder, tmp_path / "prices", "decomposed", capsys)
    scale = max(1.0, abs(exact["objective_eur"]))
    if exact["gap"] > 1e-6:
        assert exact["method"] in ("highs-mip", "greedy")
        every = [one for one in (exact, whole, prices) if one["feasible"]]
        least = min((one["shortfall_kwh"] for one in every), default=0.0)
        bound = max((one["bound_eur"] for one in every), default=0.0)
        for one in every:
            if one["shortfall_kwh"] <= least + 1e-3:
                assert bound <= one["objective_eur"] + 1e-6 * scale
        return float(exact["objective_eur"]), float(prices["gap"])
    for found in (whole, prices):
        assert found["bound_eur"] <= exact["objective_eur"] + 1e-6 * scale
        assert found["shortfall_kwh"] == pytest.approx(exact["shortfall_kwh"], abs=2e-3)
        if exact["feasible"] and exact["shortfall_kwh"] <= 1e-3:
            assert exact["bound_eur"] <= found["objective_eur"] + 1e-6 * scale
    assert whole["objective_eur"] <= exact["objective_eur"] + 2.0 * GAP * scale
    return float(exact["objective_eur"]), float(prices["gap"])


@pytest.mark.parametrize("seed", SAMPLE)
def test_ways_agree(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cost, _ = agree(seed, tmp_path, capsys, monkeypatch, most=100)
    if seed in ORACLE:
        best = solve(tmp_path / "in")
        assert cost == pytest.approx(best["objective_eur"], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", GIVING)
def test_the_bound_is_tight_where_something_gives_way(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert agree(seed, tmp_path, capsys, monkeypatch, most=100)[1] <= GAP


@pytest.mark.proof
@pytest.mark.parametrize("seed", PROOF)
def test_ways_agree_proof(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(seed, tmp_path, capsys, monkeypatch, most=300)
