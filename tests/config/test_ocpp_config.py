"""What the configuration says of stations' boots, metering and tokens, and ways to get it wrong."""

from datetime import UTC, datetime

import pytest
from test_server_config import EXAMPLE, found

from pendel.config import parse_toml
from pendel.config.server import check_server

LINES = EXAMPLE.count("\n")
TOKEN = '[[id_token]]\ntoken = "04AB"\ngroup = "family"\nvalid_until = 2027-01-01T00:00:00Z\n'


def test_tokens_metering_and_boots_are_read() -> None:
    text = EXAMPLE.replace("lab = false", 'lab = false\nmaster_pass_group = "M"', 1)
    text = text.replace('mode = "v2g"', 'mode = "v2g"\nboot = "pending"\nlocal_list = true', 1)
    text += "[ocpp.metering]\naligned_s = 300\nset_at_stations = false\n" + TOKEN
    config, problems = check_server(parse_toml(text, "server.toml"))
    assert not problems and config is not None
    (token,) = config.id_token
    assert (token.token, token.group, token.status) == ("04AB", "family", "Accepted")
    assert token.valid_until == datetime(2027, 1, 1, tzinfo=UTC)
    assert (config.station[0].boot, config.station[0].local_list) == ("pending", True)
    assert (config.ocpp.metering.aligned_s, config.ocpp.metering.sampled_s) == (300, 60)
    assert config.ocpp.master_pass_group == "M" and not config.ocpp.metering.set_at_stations


def test_defaults_accept_and_set_metering() -> None:
    config, _ = check_server(parse_toml(EXAMPLE, "server.toml"))
    assert config is not None and config.station[0].boot == "accepted"
    assert config.ocpp.metering.set_at_stations and config.ocpp.metering.aligned_s == 900


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (TOKEN + TOKEN.replace("04AB", "04ab"), 6, "id_token[1].token"),
        (TOKEN.replace("04AB", ""), 2, "id_token[0].token"),
        (TOKEN.replace("04AB", "04\\u0000AB"), 2, "id_token[0].token"),
        (TOKEN + 'status = "Expired"\n', 5, "id_token[0].status"),
        (TOKEN + 'type = "RFID"\n', 5, "id_token[0].type"),
        (TOKEN.replace("2027-01-01T00:00:00Z", '"soon"'), 4, "id_token[0].valid_until"),
        (TOKEN + "concurent = true\n", 5, "id_token[0].concurent"),
        ("[ocpp.metering]\naligned_s = 700\n", 2, "ocpp.metering.aligned_s"),
        ("[ocpp.metering]\nsampled_s = 0\n", 2, "ocpp.metering.sampled_s"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, field: str) -> None:
    assert found(EXAMPLE + text) == [(LINES + line, field)]


def test_an_unknown_boot_is_named() -> None:
    text = EXAMPLE.replace('mode = "v2g"', 'mode = "v2g"\nboot = "maybe"', 1)
    assert found(text) == [(21, "station[0].boot")]
