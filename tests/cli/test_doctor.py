"""`pendel doctor`: what it looks at, and its exit status."""

import json
import sqlite3
from pathlib import Path

import pytest

from pendel.cli import doctor
from pendel.cli.main import main

CONFIG = """store = "sqlite:///var/x.db"
[http]
port = 0
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 17.0
tariff = "tariff.toml"
[[station]]
station_id = "CP1"
site_id = "home"
"""


def test_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    names = [check["name"] for check in result["checks"]]
    assert names == ["python", "packages", "kernel cache", "disk", "time zones"]


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ready"
    assert lines[0].startswith("ok       python")


def test_good_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "server.toml").write_text(CONFIG)
    assert main(["doctor", str(tmp_path / "server.toml"), "--json"]) == 0
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["store"]["level"] == "ok"
    assert checks["tariffs"]["level"] == "warning"
    assert "CP1" in checks["passwords"]["detail"]
    assert not (tmp_path / "var").exists()


def test_tariffs_and_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def checks(text: str) -> dict[str, tuple[str, str]]:
        (tmp_path / "server.toml").write_text(text)
        main(["doctor", str(tmp_path / "server.toml"), "--json"])
        found = json.loads(capsys.readouterr().out)["checks"]
        return {c["name"]: (c["level"], c["detail"]) for c in found}

    follows = CONFIG.replace("tariff.toml", "de-dynamic")
    assert "tariffs" not in checks(follows)
    assert checks(follows)["prices"][0] == "warning"
    (tmp_path / "tariff.toml").write_text("name = 5")
    assert checks(CONFIG)["tariffs"][0] == "failed"
    feed = follows + '[prices]\nsource = "awattar"\n'
    assert "prices" not in checks(feed)
    assert checks(feed.replace("awattar", "spot.csv"))["prices"][0] == "failed"


def test_bad_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CONFIG.replace("17.0", "-17.0").replace("Berlin", "Nowhere")
    (tmp_path / "server.toml").write_text(text)
    assert main(["doctor", str(tmp_path / "server.toml"), "--json"]) == 2
    captured = capsys.readouterr()
    problems = json.loads(captured.out)["problems"]
    assert [(p["line"], p["field"]) for p in problems] == [
        (6, "site[0].timezone"),
        (7, "site[0].import_limit_kw"),
    ]
    assert "server.toml:7: site[0].import_limit_kw: " in captured.err


def test_missing_config(tmp_path: Path) -> None:
    assert main(["doctor", str(tmp_path / "absent.toml")]) == 2


def test_stores(tmp_path: Path) -> None:
    good = tmp_path / "good.db"
    with sqlite3.connect(good) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    (tmp_path / "bad.db").write_bytes(b"not a database" * 100)
    (tmp_path / "file").write_text("x")
    levels = {
        url: doctor.check_store(url, tmp_path).level
        for url in (
            "sqlite:///good.db",
            "sqlite:///bad.db",
            "sqlite:///new/x.db",
            "sqlite:///file/x.db",
            "memory://",
        )
    }
    assert list(levels.values()) == ["ok", "failed", "ok", "failed", "ok"]


def test_kernel_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert doctor.check_kernel_cache(tmp_path / "package").level == "warning"
    (tmp_path / "kernels.step-1.py311.nbi").write_bytes(b"")
    assert doctor.check_kernel_cache(tmp_path / "package").level == "ok"
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert doctor.check_kernel_cache(tmp_path).level == "failed"


def test_missing_package_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    assert main(["doctor", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["ok"] is False
