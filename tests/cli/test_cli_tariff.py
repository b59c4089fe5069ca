"""`pendel serve` with a dynamic tariff and `pendel station` 2.1: the price discharges a car."""

import hashlib
import json
import re
import signal
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from test_cli_station import command

from pendel.cli.main import main

CONFIG = f"""
store = "sqlite:///data/server.db"
[http]
port = 0
[ocpp]
port = 0
lab = true
[prices]
source = "spot.csv"
[[site]]
site_id = "home"
timezone = "UTC"
import_limit_kw = 50.0
export_limit_kw = 30.0
tariff = "dynamic.toml"
mispel_case = "A11"
[site.export_permit]
reference = "permit"
valid_from = 2025-01-01
[[station]]
station_id = "CP21"
site_id = "home"
[[token]]
name = "op"
role = "operator"
sha256 = "{hashlib.sha256(b"right").hexdigest()}"
"""
TARIFF = """
name = "dynamic"
currency = "EUR"
timezone = "UTC"
[[component]]
name = "energy"
kind = "dynamic_energy"
valid_from = 2020-01-01
factor = "1"
[[component]]
name = "feed-in"
kind = "export_energy"
direction = "export"
valid_from = 2020-01-01
factor = "1"
"""


def prices(now: datetime) -> str:
    """400 EUR/MWh in this hour and the next, 50 in the rest of two days; all published."""
    begin = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    rows = ["time_utc,spot_eur_mwh,published_utc"]
    for hour in range(50):
        when = (begin + timedelta(hours=hour)).isoformat()
        rows.append(f"{when},{400 if hour in (1, 2) else 50},2020-01-01T00:00:00Z")
    return "\n".join(rows)


def ask(address: str, path: str) -> Any:
    request = urllib.request.Request(f"{address}api/v1/{path}")
    request.add_header("Authorization", "Bearer right")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_car_gives_back_when_the_price_says_so(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(CONFIG, "utf-8")
    (tmp_path / "dynamic.toml").write_text(TARIFF, "utf-8")
    (tmp_path / "spot.csv").write_text(prices(datetime.now(UTC)), "utf-8")
    server = command("serve", str(tmp_path / "server.toml"), "--json")
    station = None
    try:
        assert server.stderr is not None
        http = ocpp = ""
        for line in server.stderr:
            found = re.search(r"pendel serves (http\S+)", line)
            http = found[1] if found else http
            found = re.search(r"(ws://\S+)/ID", line)
            if found:
                ocpp = found[1]
                break
        words = ["station", ocpp, "--id", "CP21", "--soc", "0.8", "--target-soc", "0.5"]
        station = command(*words, "--depart", "+20h", "--meter-s", "1")
        power_kw, end = 0.0, time.monotonic() + 90.0
        while power_kw > -5.0 and time.monotonic() < end:
            time.sleep(0.3)
            (known,) = ask(http, "stations")["items"]
            power_kw = min([evse["power_kw"] or 0.0 for evse in known["evses"]], default=0.0)
        assert power_kw < -5.0
        (session,) = ask(http, "sessions")["items"]
        assert session["reasons"]
        assert station.stdin is not None
        station.stdin.write("unplug\n")
        station.stdin.flush()
        while ask(http, "sessions")["items"] and time.monotonic() < end:
            time.sleep(0.3)
        (ended,) = ask(http, "transactions")["items"]
        assert ended["ended_utc"] is not None and ended["export_kwh"] > 0.0
    finally:
        for process in (station, server):
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)


def test_problems_of_tariff_and_prices_are_told_before_anything_starts(
    tmp_path: Path, capsys: Any
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(CONFIG, "utf-8")
    assert main(["serve", str(config)]) == 2
    assert "dynamic.toml" in capsys.readouterr().err
    (tmp_path / "dynamic.toml").write_text(TARIFF.replace('"1"', '"x"'), "utf-8")
    assert main(["serve", str(config)]) == 2
    assert "factor" in capsys.readouterr().err
    (tmp_path / "dynamic.toml").write_text(TARIFF, "utf-8")
    assert main(["serve", str(config)]) == 2
    assert "spot.csv" in capsys.readouterr().err
    config.write_text(CONFIG.replace("[prices]", '[prices]\ntimezone = "Nowhere"'), "utf-8")
    assert main(["serve", str(config)]) == 2
    assert "timezone" in capsys.readouterr().err
