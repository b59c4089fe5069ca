"""`pendel station` as its own process, alone and against `pendel serve`, in the three versions."""

import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from pendel.cli.main import main

SOURCE = Path(__file__).resolve().parents[2] / "src"
PASSWORD = "correct horse battery"
VERSIONS = {"CP16": "1.6", "CP201": "2.0.1", "CP21": "2.1"}
CONFIG = f"""
store = "sqlite:///data/server.db"
[http]
port = 0
[ocpp]
port = 0
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 50.0
export_limit_kw = 30.0
[site.export_permit]
reference = "permit"
valid_from = 2025-01-01
[[token]]
name = "op"
role = "operator"
sha256 = "{hashlib.sha256(b"right").hexdigest()}"
"""


def command(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "pendel", *words],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Server:
    """`pendel serve` on free ports."""

    def __init__(self, folder: Path) -> None:
        digest = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        stations = "".join(
            f'[[station]]\nstation_id = "{name}"\nsite_id = "home"\npassword_hash = "{digest}"\n'
            for name in VERSIONS
        )
        config = folder / "server.toml"
        config.write_text(CONFIG + stations, "utf-8")
        self.process = command("serve", str(config))
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"pendel serves (http\S+)", line)
            self.http = found[1] if found else getattr(self, "http", "")
            found = re.search(r"(ws://\S+)/ID", line)
            if found:
                self.ocpp = found[1]
                return
        raise RuntimeError("the server does not start")

    def ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        request = urllib.request.Request(f"{self.http}api/v1/{path}", method=method)
        request.add_header("Authorization", "Bearer right")
        if body is not None:
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def evse(self, station_id: str) -> dict[str, Any]:
        for station in self.ask("stations")["items"]:
            if station["station_id"] == station_id and station["evses"]:
                return dict(station["evses"][0])
        return {}

    def transactions(self, station_id: str) -> list[dict[str, Any]]:
        items = self.ask("transactions")["items"]
        return [dict(t) for t in items if t["station_id"] == station_id]


def until(condition: Callable[[], Any], within_s: float = 40.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("not reached in time")
        time.sleep(0.1)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Server]:
    found = Server(folder)
    yield found
    found.process.send_signal(signal.SIGTERM)
    found.process.communicate(timeout=30)
    assert found.process.returncode == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server that has learned nothing of drivers yet."""
    with served(tmp_path) as found:
        yield found


@pytest.mark.parametrize("name", list(VERSIONS))
def test_a_station_is_steered_by_the_server(server: Server, name: str) -> None:
    station = command(
        "station", server.ocpp, "--id", name, "--version", VERSIONS[name], "--password-stdin",
        "--meter-s", "1", "--json", "--depart", "+20h", "--soc", "0.82", "--target-soc", "1",
    )  # fmt: skip
    assert station.stdin is not None
    station.stdin.write(PASSWORD + "\n")
    station.stdin.flush()
    try:
        until(lambda: server.evse(name).get("session_id") and server.evse(name).get("soc"))
        time.sleep(1.5)  # a tick of the control loop that has seen the state of charge
        asked_kw = -5.0 if name == "CP21" else 3.0
        answer = server.ask(f"evses/{name}/1/setpoint", {"power_kw": asked_kw, "duration_s": 600})
        assert answer["granted_kw"] == asked_kw, answer
        until(lambda: abs(server.evse(name).get("power_kw", 0.0) - asked_kw) < 0.05)
        station.stdin.write("offline 2\nunplug\n")
        station.stdin.flush()
        until(lambda: all(t["ended_utc"] for t in server.transactions(name)))
    finally:
        station.send_signal(signal.SIGINT)
    out, err = station.communicate(timeout=30)
    assert (station.returncode, err) == (0, "")
    row = json.loads(out)["stations"][0]
    transaction = server.transactions(name)[0]
    assert transaction["ocpp_version"] == VERSIONS[name]
    assert transaction["gaps"] == []
    rounding_kwh = 1.1e-3 if name == "CP16" else 1e-5
    assert transaction["import_kwh"] == pytest.approx(row["import_kwh"], abs=rounding_kwh)
    assert transaction["export_kwh"] == pytest.approx(row["export_kwh"], abs=rounding_kwh)
    assert (row["export_kwh"] > 0.0) == (name == "CP21")
    assert row["queued"] == 0
    assert row["connections"] >= 2


def test_a_der_control_of_the_api_holds_the_car_back_at_high_voltage(fresh: Server) -> None:
    """From an operator's order over the wire to less power, an alarm, and its end."""
    station = command(
        "station", fresh.ocpp, "--id", "CP21", "--version", "2.1", "--password-stdin",
        "--meter-s", "1", "--json", "--depart", "+20h", "--soc", "0.82", "--target-soc", "1",
        "--voltage", "108",
    )  # fmt: skip
    assert station.stdin is not None
    station.stdin.write(PASSWORD + "\n")
    station.stdin.flush()
    points = [{"x": 106.0, "y": 100.0}, {"x": 110.0, "y": 0.0}]
    setting = {"priority": 0, "yUnit": "PctMaxW", "curveData": points}
    controls = "stations/CP21/der_controls"
    try:
        until(lambda: fresh.evse("CP21").get("session_id") and fresh.evse("CP21").get("soc"))
        time.sleep(1.5)
        fresh.ask("evses/CP21/1/setpoint", {"power_kw": -9.0, "duration_s": 600})
        until(lambda: abs(fresh.evse("CP21").get("power_kw", 0.0) + 9.0) < 0.05)
        wish = {"control_type": "VoltWatt", "setting": setting}
        fresh.ask(f"{controls}/vw", wish, "PUT")
        until(lambda: abs(fresh.evse("CP21").get("power_kw", 0.0) + 5.5) < 0.05)
        until(lambda: fresh.ask(controls)["alarm"])
        told = fresh.ask(controls)
        assert told["items"][0]["status"] == "Accepted"
        assert told["alarm"]["grid_event"] == "OverVoltage"
        station.stdin.write("voltage 101\n")
        station.stdin.flush()
        until(lambda: fresh.ask(controls)["alarm"] is None)
        until(lambda: abs(fresh.evse("CP21").get("power_kw", 0.0) + 9.0) < 0.05)
        fresh.ask(f"{controls}/vw", None, "DELETE")
        until(lambda: fresh.ask(controls)["items"] == [])
    finally:
        station.send_signal(signal.SIGINT)
        _, err = station.communicate(timeout=30)
    assert (station.returncode, err) == (0, "")


def test_a_grid_is_played_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a line; and what a broken file is told."""
    good = tmp_path / "grid.csv"
    good.write_text("time_s,frequency_hz,voltage_pu\n0,50.0,1.0\n2,49.9,0.99\n")
    station = command(
        "station", "ws://127.0.0.1:9/ocpp", "--id", "A", "--grid", str(good), "--json", "--no-car",
        "--hours", "0.001",
    )  # fmt: skip
    lines = "plug\nbuilding 3\nvoltage 100 104 108\nvoltage 1 2\n"
    out, err = station.communicate(lines, timeout=30)
    assert json.loads(out)["stations"][0]["import_kwh"] > 0.0
    assert err == "A: voltage: one value or three, 0 to 200 percent\n"
    bad = tmp_path / "bad.csv"
    bad.write_text("time_s,frequency_hz\n0,fifty\n")
    words = ["station", "ws://127.0.0.1:9/ocpp", "--id", "A", "--grid", str(bad)]
    assert main(words) == 2
    assert "bad.csv:2: frequency_hz: 'fifty'" in capsys.readouterr().err


def test_a_wrong_password_is_said_and_nothing_hangs(server: Server) -> None:
    station = command(
        "station", server.ocpp, "--id", "CP21", "--password", "wrong", "--hours", "0.0006"
    )
    out, _ = station.communicate(timeout=30)
    assert station.returncode == 0
    assert "refused: HTTP 401" in out
    assert PASSWORD not in out


def test_lines_on_stdin_do_what_people_do() -> None:
    station = command(
        "station", "ws://127.0.0.1:9/ocpp", "--id", "A", "--count", "2", "--no-car", "--json",
        "--hours", "0.001",
    )  # fmt: skip
    lines = "A-1: plug\nnonsense\nfault smoke\nA-2: clear\nA-2: plug\ndrift 30\nA-2: plug\n"
    lines += "A-2: target 85\nA-2: resume\nA-1: leave soon\n"
    out, err = station.communicate(lines, timeout=30)
    rows = {row["station_id"]: row for row in json.loads(out)["stations"]}
    assert rows["A-1"]["status"] == "Faulted"
    assert rows["A-2"]["status"] == "Occupied"
    assert rows["A-2"]["import_kwh"] > 0.0
    assert rows["A-1"]["queued"] > 0
    assert "A-1: nonsense: unknown" in err
    assert "A-2: plug: EVSE 1 is occupied" in err
    assert "A-2: target" not in err and "A-2: resume: no paused session" in err
    assert "A-1: leave: target 80, or leave +2h" in err


def test_a_scenario_is_followed(tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[2] / "examples" / "street"
    station = command(
        "station", "ws://127.0.0.1:9/ocpp", "--scenario", str(folder), "--speed", "3600",
        "--hours", "12", "--json",
    )  # fmt: skip
    out, _ = station.communicate(timeout=60)
    rows = json.loads(out)["stations"]
    assert len(rows) > 5
    assert sum(row["import_kwh"] for row in rows) > 10.0
    assert all(row["ocpp_version"] == "2.1" for row in rows)


def test_bad_arguments_are_told_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["station", "http://x", "--soc", "1.5", "--count", "0", "--depart", "soon"]
    assert main(words) == 2
    said = capsys.readouterr().err
    for part in ("URL", "--id", "--soc", "--count", "--depart", "5 problems found"):
        assert part in said


def test_basic_auth_carries_the_id_and_the_password() -> None:
    from pendel.adapters.ocpp_client import basic_authorization

    value = basic_authorization("CP*1", "pä:ss")
    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "CP*1:pä:ss"
