"""`pendel plan` and `pendel generate` that are stopped or have no room: nothing half is left."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pendel.cli.main import main

SMALL = ["generate", "--vehicles", "60", "--seed", "3", "--out"]
FILE_BYTES_MAX = 20_000


@pytest.fixture
def city(tmp_path: Path) -> Path:
    assert main([*SMALL, str(tmp_path / "city")]) == 0
    return tmp_path / "city"


def stop(*_words: Any, **_more: Any) -> Any:
    raise KeyboardInterrupt


STAGES = (
    "pendel.scenario.read.build_prices",
    "pendel.control.plan.plan",
    "pendel.scenario.results._write_csv",
    "pendel.scenario.plan_folder.read_plan_folder",
    "pendel.control.verify.verify_rows",
)


@pytest.mark.parametrize("stage", STAGES)
def test_interrupted_in_each_stage(
    stage: str, city: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The old result stays as it was, and nothing new lies beside it."""
    out = city.parent / "out"
    assert main(["plan", str(city), "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(stage, stop)
    capsys.readouterr()
    assert main(["plan", str(city), "--out", str(out), "--json"]) == 130
    assert capsys.readouterr().out == ""
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert {path.name for path in city.parent.iterdir()} == {"city", "out"}


def test_generate_interrupted_keeps_the_old(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in city.iterdir()}
    monkeypatch.setattr("pendel.scenario.results._write_csv", stop)
    assert main([*SMALL, str(city)]) == 130
    assert {path.name: path.read_bytes() for path in city.iterdir()} == before
    assert [path.name for path in city.parent.iterdir()] == ["city"]


def little_room() -> None:
    """No file may grow beyond some kB: what a full disk is to a writer."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))


@pytest.mark.parametrize("command", ["plan", "generate"])
def test_no_room(command: str, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["plan", str(city)] if command == "plan" else ["generate", "--vehicles", "3000"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pendel", *words, "--out", str(out), "--json"],
        preexec_fn=little_room, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    problem = json.loads(done.stdout)["problems"][0]
    assert problem["field"] == "--out"
    assert "cannot be written" in problem["problem"]
    assert {path.name for path in tmp_path.iterdir()} == {"city"}


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_signals_leave_no_half_result(sign: int, tmp_path: Path) -> None:
    """A signal while the result is written: it is not there, and the next run clears up."""
    city, out = tmp_path / "city", tmp_path / "out"
    assert main(["generate", "--vehicles", "1500", "--out", str(city)]) == 0
    command = [sys.executable, "-m", "pendel", "plan", str(city), "--out", str(out), "--gap", "0.1"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not list(tmp_path.glob(".out.partial-*")):
        time.sleep(0.002)
    running.send_signal(sign)
    status = running.wait()
    assert status in (0, 130 if sign == signal.SIGINT else -sign)
    if status != 0:
        assert not out.exists()
    if sign == signal.SIGINT:
        assert not list(tmp_path.glob(".out.*"))
    assert main([*SMALL, str(tmp_path / "small")]) == 0
    assert main(["plan", str(tmp_path / "small"), "--out", str(out)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"city", "small", "out"}
