"""Lists and long orders in parts, played against a plain model of a station as the oracle."""

import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pendel.comms.ocpp.backend.answered import recall, take_answer
from pendel.comms.ocpp.backend.local_list import list_order, listing
from pendel.comms.ocpp.backend.splitting import joined, parts_of
from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.backend.tokens import IdToken, TokenBook
from pendel.comms.ocpp.release import Version, messages_of
from pendel.records import StationMessage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = pytest.mark.parametrize("version", list(Version))


class Holder:
    """A station that keeps to D01: refuses a Differential whose number is not above its own."""

    def __init__(self, version: Version) -> None:
        self.old = version is Version.V16
        self.number = 0
        self.tokens: dict[str, dict[str, Any]] = {}

    def take(self, request: Any) -> str:
        told = msgspec.to_builtins(request)
        number = told["listVersion" if self.old else "versionNumber"]
        assert number > 0, "D01.FR.18"
        if told["updateType"] == "Differential" and number <= self.number:
            return "VersionMismatch"
        if told["updateType"] == "Full":
            self.tokens = {}
        seen = set()
        for entry in told.get("localAuthorizationList", []):
            name = entry["idTag"] if self.old else entry["idToken"]["idToken"]
            assert name not in seen, "D01.FR.06"
            seen.add(name)
            info = entry.get("idTagInfo" if self.old else "idTokenInfo")
            if info is None:
                self.tokens.pop(name, None)
            else:
                self.tokens[name] = info
        self.number = number
        return "Accepted"


def send(station: Station, holder: Holder, book: TokenBook, version: Version) -> int:
    """Bring the holder's list up to date; the number of messages."""
    request = list_order(station.local_list, listing(book, version, NOW), version)
    if request is None:
        return 0
    parts = parts_of(station, version, "SendLocalList", request)
    for part in parts:
        response = messages_of(version).RESPONSES["SendLocalList"](status=holder.take(part))
        assert response.status == "Accepted"
        take_answer(station, version, "SendLocalList", part, response)
    return len(parts)


def limit(station: Station, version: Version, items: int, size: int = 0) -> None:
    if version is Version.V16:
        station.know("", 0, "SendLocalListMaxLength", str(items))
        return
    station.know("LocalAuthListCtrlr", 0, "ItemsPerMessage", str(items))
    if size:
        station.know("LocalAuthListCtrlr", 0, "BytesPerMessage", str(size))


@ALL
@pytest.mark.parametrize("seed", range(5))
def test_after_any_edits_the_station_holds_the_book(version: Version, seed: int) -> None:
    rng = random.Random(seed)
    station, holder = Station("S"), Holder(version)
    limit(station, version, rng.randint(1, 4), rng.choice((0, 400)))
    book = TokenBook.of([IdToken(f"t{i}") for i in range(rng.randint(0, 9))])
    for _ in range(12):
        for _ in range(rng.randint(0, 4)):
            name = f"t{rng.randint(0, 12)}"
            kind = rng.choice(("delete", "Accepted", "Blocked"))
            group = rng.choice(("", "G"))
            entry = IdToken(name, status=kind, group=group)  # type: ignore[arg-type]
            book.decide(name, None if kind == "delete" else entry)
        send(station, holder, book, version)
        assert set(holder.tokens) == {token.token for token in book.listed()}
        for token in book.listed():
            told = holder.tokens[token.token]
            group = told.get("parentIdTag", told.get("groupIdToken", {"idToken": ""}))
            group = group if isinstance(group, str) else group["idToken"]
            assert (told["status"], group) == (token.status, token.group)
        assert station.local_list.version == holder.number
        assert send(station, holder, book, version) == 0, "nothing to say, nothing said"


@ALL
def test_a_long_list_goes_in_parts_the_first_of_them_full(version: Version) -> None:
    station, holder = Station("S"), Holder(version)
    limit(station, version, 3)
    book = TokenBook.of([IdToken(f"t{i}") for i in range(8)])
    request = list_order(station.local_list, listing(book, version, NOW), version)
    parts = parts_of(station, version, "SendLocalList", request)
    told = [msgspec.to_builtins(part) for part in parts]
    assert [len(t["localAuthorizationList"]) for t in told] == [3, 3, 2]
    assert [t["updateType"] for t in told] == ["Full", "Differential", "Differential"]
    assert send(station, holder, book, version) == 3


@ALL
def test_the_log_tells_what_a_station_holds(version: Version) -> None:
    station, book = Station("S"), TokenBook.of([IdToken("a"), IdToken("b")])
    request = list_order(station.local_list, listing(book, version, NOW), version)
    for status in ("Failed", "Accepted"):
        record = StationMessage(
            id="1",
            at_utc=NOW,
            station_id="S",
            ocpp_version=version.value,
            action="SendLocalList",
            message_id="m",
            payload=msgspec.json.encode(request).decode(),
            outgoing=True,
            response=f'{{"status":"{status}"}}',
        )
        recall(station, version, record)
        assert (station.local_list.version == 1) is (status == "Accepted")
    assert list_order(station.local_list, listing(book, version, NOW), version) is None
    book.decide("a", None)
    request = list_order(station.local_list, listing(book, version, NOW), version)
    told = msgspec.to_builtins(request)
    (entry,) = told["localAuthorizationList"]
    assert told["updateType"] == "Differential" and len(entry) == 1, "taken off: no info"


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
@pytest.mark.parametrize(
    ("action", "field", "instance", "component"),
    [
        ("GetVariables", "getVariableData", "[GetVariables]", "DeviceDataCtrlr"),
        ("SetVariables", "setVariableData", "[SetVariables]", "DeviceDataCtrlr"),
        (
            "SetVariableMonitoring",
            "setMonitoringData",
            "[SetVariableMonitoring]",
            "MonitoringCtrlr",
        ),
        ("ClearVariableMonitoring", "id", "[ClearVariableMonitoring]", "MonitoringCtrlr"),
    ],
)
def test_orders_go_in_parts_within_items_and_bytes(
    version: Version, action: str, field: str, instance: str, component: str
) -> None:
    place = {"component": {"name": "C"}, "variable": {"name": "V"}}
    item: Any = {
        "getVariableData": place,
        "setVariableData": {**place, "attributeValue": "1" * 40},
        "setMonitoringData": {**place, "value": 1.0, "type": "Delta", "severity": 5},
        "id": 1,
    }[field]
    items = [item if field != "id" else i for i in range(11)]
    request = msgspec.convert({field: items}, messages_of(version).REQUESTS[action])
    station = Station("S")
    assert parts_of(station, version, action, request) == [request], "nothing told, nothing cut"
    station.know(component, 0, f"ItemsPerMessage{instance}", "4")
    parts = parts_of(station, version, action, request)
    assert [len(getattr(part, field)) for part in parts] == [4, 4, 3]
    assert [each for part in parts for each in getattr(part, field)] == getattr(request, field)
    station.know(component, 0, f"BytesPerMessage{instance}", "150")
    for part in parts_of(station, version, action, request):
        frame = [2, "x" * 36, action, msgspec.to_builtins(part)]
        small = len(getattr(part, field)) == 1
        assert small or len(msgspec.json.encode(frame)) <= 150


def test_keys_of_1_6_go_in_parts_and_their_answers_are_one() -> None:
    station = Station("S")
    station.know("", 0, "GetConfigurationMaxKeys", "2")
    messages: Any = messages_of(Version.V16)
    request = messages.GetConfigurationRequest(key=["a", "b", "c"])
    parts = parts_of(station, Version.V16, "GetConfiguration", request)
    assert [part.key for part in parts] == [["a", "b"], ["c"]]
    kind = messages.RESPONSES["GetConfiguration"]
    first = msgspec.convert(
        {"configurationKey": [{"key": "a", "readonly": False}], "unknownKey": ["b"]}, kind
    )
    second = msgspec.convert({"unknownKey": ["c"]}, kind)
    told = joined([first, second])
    assert [k.key for k in told.configurationKey] == ["a"] and told.unknownKey == ["b", "c"]


@ALL
def test_numbers_begin_anew_before_they_leave_their_bits(version: Version) -> None:
    station, holder = Station("S"), Holder(version)
    book = TokenBook.of([IdToken("a")])
    station.local_list.version = holder.number = 2**31 - 2
    assert send(station, holder, book, version) == 1
    assert holder.number == 1 and set(holder.tokens) == {"a"}


def test_a_token_that_is_too_long_for_a_version_does_not_spoil_its_list() -> None:
    book = TokenBook.of([IdToken("x" * 20), IdToken("y" * 36), IdToken("z" * 255)])
    lengths = {Version.V16: [20], Version.V201: [20, 36], Version.V21: [20, 36, 255]}
    for version, expected in lengths.items():
        request = list_order(Station("S").local_list, listing(book, version, NOW), version)
        kind = messages_of(version).REQUESTS["SendLocalList"]
        msgspec.json.decode(msgspec.json.encode(request), type=kind)
        told = msgspec.to_builtins(request)["localAuthorizationList"]
        names = [e["idTag"] if "idTag" in e else e["idToken"]["idToken"] for e in told]
        assert [len(name) for name in names] == expected
