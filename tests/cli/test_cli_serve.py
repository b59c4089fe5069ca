"""`pendel serve` as an own process: ready, guarded, ends cleanly, goes on after a kill."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pendel.adapters.event_log import SqliteEventLog
from pendel.cli.main import main

SOURCE = Path(__file__).resolve().parents[2] / "src"
CONFIG = f"""
store = "sqlite:///data/server.db"
[http]
port = 0
[ocpp]
port = 0
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 17.0
export_limit_kw = 11.0
[[station]]
station_id = "CP1"
site_id = "home"
[[token]]
name = "op"
role = "operator"
sha256 = "{hashlib.sha256(b"right").hexdigest()}"
"""


def start(config: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pendel", "serve", str(config), "--json"],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "pendel serves" in line:
            return process, line.split()[-1]
    raise RuntimeError(f"does not start: {process.communicate()}")


def call(url: str, token: str | None = "right", body: object = None) -> tuple[int, str]:
    request = urllib.request.Request(url)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_was_acknowledged_is_there_after_the_end(tmp_path: Path, way: int) -> None:
    config = tmp_path / "server.toml"
    config.write_text(CONFIG, "utf-8")
    process, address = start(config)
    assert call(f"{address}healthz", token=None)[0] == 200
    assert call(f"{address}api/v1/stations", token=None)[0] == 401
    assert call(f"{address}api/v1/stations", token="wrong")[0] == 401
    items = json.loads(call(f"{address}api/v1/stations")[1])["items"]
    assert (items[0]["station_id"], items[0]["connected"]) == ("CP1", False)
    status, made = call(f"{address}api/v1/sites/home/limits", body={"import_limit_kw": 4.2})
    assert status == 201
    process.send_signal(way)
    said, _ = process.communicate(timeout=60)
    if way != signal.SIGKILL:
        assert process.returncode == 0
        assert json.loads(said)["events"] >= 2
    log = SqliteEventLog(tmp_path / "data" / "server.db")
    assert json.loads(made)["limit_id"] in [record.id for _, record in log.replay()]
    log.close()
    process, address = start(config)
    sources = [
        item["source"]
        for item in json.loads(call(f"{address}api/v1/sites/home/limits")[1])["items"]
    ]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert sorted(sources) == ["fuse", "operator"]


def test_every_problem_of_a_configuration_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(
        CONFIG.replace("Europe/Berlin", "Europe/Nowhere").replace("17.0", "-1"), "utf-8"
    )
    assert main(["serve", str(config)]) == 2
    said = capsys.readouterr().err
    assert "timezone" in said and "import_limit_kw" in said


def test_a_store_that_cannot_be_opened_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(
        CONFIG.replace("sqlite:///data/server.db", "postgresql://u@localhost:1/db"), "utf-8"
    )
    assert main(["serve", str(config)]) == 1
    assert "PostgreSQL" in capsys.readouterr().err
