"""`pendel demo` as people start it: a fast run, kills, ports, signals; each in a process."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pendel.adapters.event_log import SqliteEventLog
from pendel.cli.main import main
from pendel.records import Deviation, Setpoint

SOURCE = Path(__file__).resolve().parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE)}


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pendel", "demo", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ids_in(path: Path) -> list[str]:
    """All ids of a log; replay proves the chain."""
    log = SqliteEventLog(path)
    try:
        return [record.id for _, record in log.replay()]
    finally:
        log.close()


def wait_for_events(path: Path, more_than: int, process: subprocess.Popen[str]) -> None:
    """Until the log of a running demo has grown; a demo that ends before is an error."""
    for _ in range(1_200):
        if process.poll() is not None:
            return
        if path.exists():
            try:
                log = SqliteEventLog(path, read_only=True)
            except Exception:
                time.sleep(0.1)
                continue
            grown = log.last_sequence > more_than
            log.close()
            if grown:
                return
        time.sleep(0.1)
    raise TimeoutError("the demo does not write")


def kill_and_go_on(out: Path, kills: int, hours: str, seed: int) -> None:
    """Kill a fast run at random moments; what was stored stays, the last start ends it."""
    draw, path, before = random.Random(seed), out / "pendel.db", []
    for _ in range(kills):
        process = start("--fast", "--hours", hours, "--out", str(out))
        wait_for_events(path, len(before), process)
        time.sleep(draw.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        now = ids_in(path)
        assert now[: len(before)] == before
        assert len(now) > len(before)
        before = now
        assert not (out / "summary.json").exists()
    process = start("--fast", "--hours", hours, "--out", str(out), "--json")
    answer, said = process.communicate()
    assert process.returncode == 0, said
    assert "going on where an earlier run stopped" in said
    assert ids_in(path)[: len(before)] == before
    check_summary(json.loads(answer), out)


def check_summary(summary: dict[str, object], out: Path) -> None:
    assert json.loads((out / "summary.json").read_text("utf-8")) == summary
    strategies = summary["strategies"]
    assert isinstance(strategies, dict)
    assert {"uncontrolled", "v1g", "v2g"} <= strategies.keys()
    for name, one in strategies.items():
        assert one["strategy"] == name
        assert one["promises_kept"] <= one["promises_total"]
    assert summary["stations"] == 72
    assert summary["limits_broken"] == 0
    log = SqliteEventLog(out / "pendel.db", read_only=True)
    kept = [record for _, record in log.replay()]
    log.close()
    assert sum(isinstance(r, Setpoint) for r in kept) == summary["setpoints"]
    assert not [r for r in kept if isinstance(r, Deviation) and "#grid" in r.device_id]
    page = (out / "report.html").read_text("utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page or "<script src" not in page


def test_kill_minus_nine_at_random_moments(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path / "out", kills=2, hours="12", seed=1)
    newest = [i for i in ids_in(tmp_path / "out" / "pendel.db") if i.startswith("setpoint-")][-1]
    store = f"sqlite:///{tmp_path}/out/pendel.db"
    assert main(["explain", newest, "--store", store, "--json"]) == 0


@pytest.mark.proof
def test_many_kills_at_random_moments(tmp_path: Path) -> None:
    for seed in range(5):
        kill_and_go_on(tmp_path / str(seed), kills=8, hours="96", seed=seed)


def test_a_live_demo_serves_its_page_and_ends_on_a_signal(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("--port", str(port), "--out", str(tmp_path), "--speed", "600", "--json")
        assert process.stderr is not None
        address = ""
        for line in process.stderr:
            if "is taken" in line:
                assert str(port) in line
            if "http://127.0.0.1:" in line and "simulated" in line:
                address = line.split()[-1]
                break
        assert address and f":{port}/" not in address
        page = ""
        for _ in range(300):
            with urllib.request.urlopen(address, timeout=20) as answer:
                page = answer.read().decode("utf-8")
            if "why?" in page:
                break
            time.sleep(0.1)
        assert "simulated" in page and "why?" in page
        process.send_signal(signal.SIGINT)
        answer, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    summary = json.loads(answer)
    assert summary["simulated"] is True
    assert summary["setpoints"] > 0
    assert ids_in(tmp_path / "pendel.db")


def test_bad_arguments_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("x", "utf-8")
    arguments = ["--speed", "0", "--hours", "-1", "--port", "99999", "--out", str(file)]
    assert main(["demo", *arguments]) == 2
    said = capsys.readouterr().err
    for name in ("--speed", "--hours", "--port", "--out"):
        assert name in said


def test_a_damaged_store_is_named_and_can_be_put_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pendel.cli.demo_store import open_demo

    (tmp_path / "pendel.db").write_bytes(b"damaged " * 500)
    assert main(["demo", "--fast", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "not an event log" in said and "--fresh" in said
    run = open_demo(tmp_path, "street depot", fresh=True)
    assert run.resumed_utc is None
    run.runtime.close()
    assert (tmp_path / "pendel.previous.db").read_bytes().startswith(b"damaged")


def test_two_demos_do_not_share_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = SqliteEventLog(tmp_path / "pendel.db")
    assert main(["demo", "--fast", "--out", str(tmp_path)]) == 1
    assert "in use by another pendel" in capsys.readouterr().err
    log.close()
