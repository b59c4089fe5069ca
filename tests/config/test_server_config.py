"""The server's configuration: the contract's example, and every way to get it wrong."""

from pathlib import Path

import pytest

from pendel.config import parse_toml
from pendel.config.server import check_server, load_server_config
from pendel.errors import InputError

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b/dWRWJTmaaJObG"
EXAMPLE = f"""store = "sqlite:///var/pendel.db"
[http]
host = "127.0.0.1"
port = 8080
[ocpp]
host = "127.0.0.1"
port = 9000
lab = false
[[site]]
site_id = "home"
timezone = "Europe/Berlin"
import_limit_kw = 17.0
export_limit_kw = 11.0
export_permit = {{ reference = "G-123", valid_from = "2026-01-01" }}
tariff = "tariffs/dynamic-de.toml"
[[station]]
station_id = "CP1"
site_id = "home"
password_hash = "{HASH}"
mode = "v2g"
[[vehicle]]
vehicle_id = "van"
capacity_kwh = 60
id_tokens = ["04AB", "04CD"]
minimum_soc = 0.2
warranty_budget = {{ year_kwh = 10000, month_h = 100 }}
[[meter]]
site_id = "home"
profile = "sdm630"
address = "tcp://10.0.0.2:502/1"
[[device]]
site_id = "home"
profile = "sunspec"
address = "tcp://10.0.0.3:502/1"
[prices]
source = "file"
zone = "DE_LU"
[[contract]]
party = "aggregator"
site_id = "home"
valid_from = 2026-01-01
shares = {{ driver = 0.5, aggregator = 0.5 }}
[[token]]
name = "ops"
role = "operator"
sites = ["home"]
sha256 = "{"0" * 64}"
"""


def found(text: str) -> list[tuple[int, str]]:
    _, problems = check_server(parse_toml(text, "server.toml"))
    return [(problem.line, problem.field) for problem in problems]


def test_example(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(EXAMPLE)
    config = load_server_config(tmp_path / "server.toml")
    permit = config.site[0].export_permit
    assert permit is not None
    assert (permit.valid_from.isoformat(), permit.valid_until) == ("2026-01-01", None)
    assert config.station[0].password_hash == HASH
    assert config.vehicle[0].warranty_budget is not None
    assert config.vehicle[0].warranty_budget.year_kwh == 10_000.0
    assert config.contract[0].shares == {"driver": 0.5, "aggregator": 0.5}


def test_defaults() -> None:
    text = '[[site]]\nsite_id = "h"\ntimezone = "UTC"\nimport_limit_kw = 17\n'
    config, problems = check_server(parse_toml(text, "server.toml"))
    assert problems == []
    assert config is not None
    assert (config.http.port, config.ocpp.port, config.ocpp.lab) == (8080, 9000, False)
    assert config.store == "sqlite:///var/pendel.db"
    assert config.site[0].export_permit is None
    assert config.station == []


LINE_OF = {text: number for number, text in enumerate(EXAMPLE.splitlines(), 1)}
BAD = {
    "unknown store": ('"sqlite:///var/pendel.db"', '"mysql://x"', 1, "store"),
    "store without a path": ('"sqlite:///var/pendel.db"', '"sqlite:///"', 1, "store"),
    "port": ("port = 8080", "port = 80800", 4, "http.port"),
    "one port for both": ("port = 9000", "port = 8080", 7, "ocpp.port"),
    "lab as text": ("lab = false", 'lab = "no"', 8, "ocpp.lab"),
    "unknown key": ("lab = false", "labs = false", 8, "ocpp.labs"),
    "time zone": ("Europe/Berlin", "Berlin", 11, "site[0].timezone"),
    "negative limit": ("= 17.0", "= -17.0", 12, "site[0].import_limit_kw"),
    "limit in W": ("= 11.0", "= 11000", 13, "site[0].export_limit_kw"),
    "permit without reference": (
        'reference = "G-123", ',
        "",
        14,
        "site[0].export_permit.reference",
    ),
    "permit date": ('"2026-01-01"', '"soon"', 14, "site[0].export_permit.valid_from"),
    "permit ends first": (
        '"2026-01-01"',
        '"2026-01-01", valid_until = "2025-01-01"',
        14,
        "site[0].export_permit.valid_until",
    ),
    "station id with a slash": ('"CP1"', '"CP/1"', 17, "station[0].station_id"),
    "station at an unknown site": (
        'CP1"\nsite_id = "home"',
        'CP1"\nsite_id = "house"',
        18,
        "station[0].site_id",
    ),
    "plain password": (HASH, "secret", 19, "station[0].password_hash"),
    "other hash": ("argon2id", "argon2i", 19, "station[0].password_hash"),
    "unknown mode": ('"v2g"', '"v2x"', 20, "station[0].mode"),
    "SoC in percent": ("minimum_soc = 0.2", "minimum_soc = 20", 25, "vehicle[0].minimum_soc"),
    "unknown budget": ("year_kwh", "year_mwh", 26, "vehicle[0].warranty_budget.year_mwh"),
    "share above 1": ("driver = 0.5", "driver = 1.5", 42, "contract[0].shares"),
    "role": ('"operator"', '"boss"', 45, "token[0].role"),
    "token of an unknown site": ('["home"]', '["home", "hut"]', 46, "token[0].sites[1]"),
    "short token hash": ('"' + "0" * 64, '"' + "0" * 63, 47, "token[0].sha256"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    old, new, line, field = BAD[name]
    assert old in EXAMPLE
    assert found(EXAMPLE.replace(old, new, 1)) == [(line, field)]


@pytest.mark.parametrize("table", ["site", "station", "vehicle", "token"])
def test_ids_are_unique(table: str) -> None:
    start = EXAMPLE.index(f"[[{table}]]")
    end = EXAMPLE.find("\n[", start + 3) + 1 or len(EXAMPLE)
    lines = EXAMPLE.count("\n")
    key = "name" if table == "token" else f"{table}_id"
    assert found(EXAMPLE + EXAMPLE[start:end]) == [(lines + 2, f"{table}[1].{key}")]


def test_one_vehicle_per_id_token() -> None:
    text = EXAMPLE + '[[vehicle]]\nvehicle_id = "car"\nid_tokens = ["1", "04CD"]\n'
    assert found(text) == [(50, "vehicle[1].id_tokens[1]")]


def test_no_site() -> None:
    assert found("") == [(1, "site")]
    assert found("site = []") == [(1, "site")]


def test_everything_at_once(tmp_path: Path) -> None:
    text = EXAMPLE
    for old, new, _, _ in (BAD["port"], BAD["time zone"], BAD["unknown mode"], BAD["role"]):
        text = text.replace(old, new, 1)
    assert [line for line, _ in found(text)] == [4, 11, 20, 45]
    (tmp_path / "server.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_server_config(tmp_path / "server.toml")
    assert caught.value.count == 4


def test_secrets_stay_out_of_messages() -> None:
    text = EXAMPLE.replace(HASH, "hunter2").replace("0" * 64, "token-in-the-clear")
    _, problems = check_server(parse_toml(text, "server.toml"))
    assert len(problems) == 2
    assert not any("hunter2" in str(p) or "clear" in str(p) for p in problems)
