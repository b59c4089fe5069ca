"""Who may charge: states, ends, groups, master passes, one at a time; as each version says it."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_csms_rules import NOW, OpenPolicy, ask, csms, event

from pendel.comms.ocpp.backend.csms import Csms
from pendel.comms.ocpp.backend.tokens import IdToken, TokenBook, TokenInfo
from pendel.comms.ocpp.release import Version

END = datetime(2026, 3, 1, 18, tzinfo=UTC)
TOKENS = [
    IdToken("Anna", group="family"),
    IdToken("ben", group="family", valid_until=END),
    IdToken("blocked", group="family", status="Blocked"),
    IdToken("old", valid_until=NOW),
    IdToken("single", concurrent=False),
    IdToken("police", group="MASTER"),
    IdToken("long", group="a group with more than twenty letters"),
]
ALL = pytest.mark.parametrize("version", list(Version))
TWO = pytest.mark.parametrize("version", [Version.V201, Version.V21])


class Booked(OpenPolicy):
    def __init__(self) -> None:
        self.book = TokenBook.of(TOKENS, ["TAG"], "MASTER")

    def token(self, token: str, now_utc: datetime) -> TokenInfo:
        return self.book.info(token, now_utc)


def backend() -> Csms:
    found = csms()
    found.policy = Booked()
    for name in ("S", "OTHER"):
        found.network.station(name).booted = True
    return found


def authorized(found: Csms, version: Version, token: str, now: datetime = NOW) -> tuple[str, str]:
    """Status and group that an Authorize is answered with."""
    if version is Version.V16:
        info = ask(found, version, "Authorize", {"idTag": token}, now=now).response.idTagInfo
        return info.status, info.parentIdTag or ""
    asked = {"idToken": {"idToken": token, "type": "ISO14443"}}
    info = ask(found, version, "Authorize", asked, now=now).response.idTokenInfo
    return info.status, info.groupIdToken.idToken if info.groupIdToken else ""


def begins(
    found: Csms, version: Version, token: str, transaction: str, station: str = "S", **more: Any
) -> Any:
    """What a token is told that begins a transaction."""
    if version is Version.V16:
        payload = {
            "connectorId": 1,
            "idTag": token,
            "meterStart": 0,
            "timestamp": (NOW + timedelta(seconds=len(transaction))).isoformat(),
        }
        return ask(found, version, "StartTransaction", payload, station).response.idTagInfo.status
    told = event(0, "Started", transaction, idToken={"idToken": token, "type": "ISO14443"}, **more)
    return ask(found, version, "TransactionEvent", told, station).response.idTokenInfo.status


@ALL
def test_each_state_is_told(version: Version) -> None:
    found = backend()
    assert authorized(found, version, "TAG") == ("Accepted", "")
    assert authorized(found, version, "anna") == ("Accepted", "family"), "case does not matter"
    assert authorized(found, version, "blocked") == ("Blocked", "family")
    assert authorized(found, version, "old") == ("Expired", "")
    assert authorized(found, version, "nobody") == ("Invalid", "")
    before, after = END - timedelta(seconds=1), END
    assert authorized(found, version, "ben", before)[0] == "Accepted"
    assert authorized(found, version, "ben", after)[0] == "Expired"


def test_an_end_is_told_and_a_long_group_only_where_it_fits() -> None:
    found = backend()
    tag = ask(found, Version.V16, "Authorize", {"idTag": "ben"}).response.idTagInfo
    assert tag.expiryDate == END
    asked = {"idToken": {"idToken": "ben", "type": "ISO14443"}}
    info = ask(found, Version.V21, "Authorize", asked).response.idTokenInfo
    assert info.cacheExpiryDateTime == END
    assert authorized(found, Version.V16, "long") == ("Accepted", "")
    assert authorized(found, Version.V201, "long")[1] == "a group with more than twenty letters"


@ALL
def test_one_of_the_group_ends_the_transaction_of_another(version: Version) -> None:
    found = backend()
    assert begins(found, version, "Anna", "T") == "Accepted"
    if version is Version.V16:
        number = next(iter(found.network.station("S").transactions))
        stop = {"transactionId": int(number), "meterStop": 5, "timestamp": END.isoformat()}
        told = ask(found, version, "StopTransaction", {**stop, "idTag": "ben"}).response.idTagInfo
        assert (told.status, told.parentIdTag) == ("Accepted", "family")
    else:
        token = {"idToken": {"idToken": "ben", "type": "ISO14443"}}
        ends = event(1, "Ended", **token)
        info = ask(found, version, "TransactionEvent", ends).response.idTokenInfo
        assert info.status == "Accepted" and info.groupIdToken.idToken == "family"
    (transaction,) = found.network.station("S").transactions.values()
    assert transaction.id_token == "Anna", "whoever began it pays for it"
    assert not transaction.is_open


@ALL
def test_one_at_a_time_is_told_where_it_begins_a_second_one(version: Version) -> None:
    found = backend()
    assert begins(found, version, "single", "T1") == "Accepted"
    assert authorized(found, version, "single")[0] == "Accepted", "he may want to stop it"
    assert begins(found, version, "SINGLE", "T22", "OTHER") == "ConcurrentTx"
    assert begins(found, version, "Anna", "T333", "OTHER") == "Accepted"
    assert begins(found, version, "Anna", "T4444", "S") == "Accepted", "others may run several"


@TWO
def test_one_at_a_time_is_free_again_when_its_transaction_ended(version: Version) -> None:
    found = backend()
    begins(found, version, "single", "T1")
    assert begins(found, version, "single", "T1") == "Accepted", "the same event once more"
    ask(found, version, "TransactionEvent", event(1, "Ended", "T1"))
    assert begins(found, version, "single", "T2", "OTHER") == "Accepted"


@TWO
def test_a_master_pass_ends_and_never_begins(version: Version) -> None:
    found = backend()
    assert authorized(found, version, "police") == ("Accepted", "MASTER")
    assert begins(found, version, "police", "T0") == "Invalid", "C16.FR.03"
    begins(found, version, "Anna", "T1")
    token = {"idToken": {"idToken": "police", "type": "ISO14443"}}
    ends = event(1, "Ended", "T1", **token)
    info = ask(found, version, "TransactionEvent", ends).response.idTokenInfo
    assert info.status == "Accepted" and info.groupIdToken.idToken == "MASTER"


def test_a_list_whose_last_token_was_deleted_stays_closed() -> None:
    book = TokenBook()
    assert book.is_open and book.info("anybody", NOW).status == "Accepted"
    book.decide("A", IdToken("A"))
    assert book.info("a", NOW).status == "Accepted" and book.info("b", NOW).status == "Invalid"
    book.decide("a", None)
    assert not book.is_open and book.info("a", NOW).status == "Invalid"


def test_what_was_decided_goes_before_what_is_configured() -> None:
    book = TokenBook.of(TOKENS, ["TAG"])
    book.decide("tag", IdToken("tag", status="Blocked"))
    assert book.info("TAG", NOW).status == "Blocked"
    book.decide("Anna", None)
    names = [token.token for token in book.listed()]
    assert "Anna" not in names and names == sorted(names, key=str.casefold)
    assert set(names) == {"ben", "blocked", "old", "single", "police", "long", "tag"}
