"""`pendel station-password` and `pendel token` change one thing in a file, tell a secret once."""

import hashlib
import io
import json
from pathlib import Path

import pytest

from pendel.adapters.passwords import matches
from pendel.cli.main import main
from pendel.config.server import load_server_config

TEXT = """# our house
store = "memory://"   # nothing kept

[[site]]
site_id = "home"  # the site
timezone = "Europe/Berlin"
import_limit_kw = 17.0

[[station]]
site_id = "home"
station_id = 'CP1'   # in the garage
mode = "v2h"

[[station]]
station_id = "CP10"
site_id = "home"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pendel.toml"
    path.write_text(TEXT, "utf-8")
    return path


def test_a_made_password_is_shown_once_and_fits(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["station-password", "CP1", "--config", str(config), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first, second = load_server_config(config).station
    assert first.password_hash is not None and second.password_hash is None
    assert matches(first.password_hash, told["password"].encode())
    assert 16 <= len(told["password"]) <= 40
    kept = [line for line in config.read_text("utf-8").splitlines() if "password_hash" not in line]
    assert kept == TEXT.splitlines(), "everything else stays as it was written"


def test_a_password_of_stdin_is_never_printed(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for secret in ("first secret of them all", "second secret of them"):
        monkeypatch.setattr("sys.stdin", io.StringIO(secret + "\n"))
        assert main(["station-password", "CP10", "--config", str(config), "--stdin"]) == 0
        shown = capsys.readouterr()
        assert secret not in shown.out + shown.err
        found = load_server_config(config).station[1].password_hash
        assert found is not None and matches(found, secret.encode())
    assert config.read_text("utf-8").count("password_hash") == 1, "the old one is replaced"


def test_a_token_is_shown_once_and_only_its_hash_is_kept(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["token", 'Anna "A"', "--role", "operator", "--site", "home"]
    assert main([*command, "--config", str(config), "--json"]) == 0
    token = json.loads(capsys.readouterr().out)["token"]
    (kept,) = load_server_config(config).token
    assert (kept.name, kept.role, kept.sites) == ('Anna "A"', "operator", ["home"])
    assert kept.sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in config.read_text("utf-8")
    assert config.read_text("utf-8").startswith(TEXT)
    assert main([*command, "--config", str(config)]) == 2, "a name is there once"


@pytest.mark.parametrize(
    "arguments",
    [
        ["station-password", "CP2"],
        ["token", "x", "--role", "admin", "--site", "elsewhere"],
        ["token", "", "--role", "admin"],
    ],
)
def test_bad_input_changes_nothing(config: Path, arguments: list[str]) -> None:
    assert main([*arguments, "--config", str(config)]) == 2
    assert config.read_text("utf-8") == TEXT


def test_an_empty_password_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["station-password", "CP1", "--config", str(config), "--stdin"]) == 2
    assert config.read_text("utf-8") == TEXT
