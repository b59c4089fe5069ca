"""Foreign responders and revocation lists, honest and hostile: what counts, what is asked."""

import asyncio
import base64
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import (
    DAY,
    Mo,
    Party,
    Responder,
    http_server,
    make,
    now_utc,
    responder_certificate,
    responder_of,
    revocation_list,
)

from pendel.adapters import bounded_http, certificate_sources, certificate_status
from pendel.adapters.bounded_http import Allowed, HttpFault, ask
from pendel.adapters.certificate_sources import CertificateSources
from pendel.adapters.trust_store import TrustStore
from pendel.comms.ocpp.backend.certificates import (
    ContractFinding,
    ContractQuestion,
    StatusFinding,
    StatusQuestion,
)
from pendel.comms.ocpp.certificates import HashData

EMAID = "DEABCC123456789"


class World:
    """An operator's tree, its responder, and whoever asks."""

    def __init__(self, responder: Responder, base: Path, named: bool = True) -> None:
        self.responder = responder
        self.mo = Mo(responder.url)
        responder.issuers = self.mo.issuers
        self.clock = timedelta(0)
        (base / "mo.pem").write_text(self.mo.root.pem + self.mo.sub1.pem + self.mo.sub2.pem)
        store = TrustStore({"mo": [base / "mo.pem"]}, lambda: now_utc() + self.clock)
        allowed = Allowed()
        if named:
            allowed.name([f"127.0.0.1:{responder.port}"])
        self.sources = CertificateSources(store, allowed, lambda: now_utc() + self.clock)

    def question(self, leaf: Party, issuer: Party | None = None, **more: Any) -> StatusQuestion:
        above = (issuer or self.mo.sub2).certificate
        data = (leaf.certificate, above, hashes.SHA256())
        built = ocsp.OCSPRequestBuilder().add_certificate(*data).build()
        name = HashData(
            "SHA256",
            built.issuer_name_hash.hex(),
            built.issuer_key_hash.hex(),
            f"{built.serial_number:x}",
        )
        urls = more.get("urls", (self.responder.url,))
        return StatusQuestion(name, more.get("source", "OCSP"), urls)

    def status(self, question: StatusQuestion) -> StatusFinding:
        (finding,) = asyncio.run(self.sources.find([question]))
        assert isinstance(finding, StatusFinding)
        return finding

    def contract(self, leaf: Party) -> ContractFinding:
        question = ContractQuestion(EMAID, self.mo.chain(leaf), ())
        (finding,) = asyncio.run(self.sources.find([question]))
        assert isinstance(finding, ContractFinding)
        return finding


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with responder_of([]) as responder:
        yield World(responder, tmp_path)


def test_good_revoked_and_unknown_are_told_with_the_response(world: World) -> None:
    good, gone, odd = (world.mo.contract(EMAID) for _ in range(3))
    world.responder.revoked.add(gone.certificate.serial_number)
    world.responder.unknown.add(odd.certificate.serial_number)
    for leaf, status in ((good, "Good"), (gone, "Revoked"), (odd, "Unknown")):
        finding = world.status(world.question(leaf))
        assert finding.status == status
        response = ocsp.load_der_ocsp_response(base64.b64decode(finding.der))
        assert response.serial_number == leaf.certificate.serial_number


@pytest.mark.parametrize("part", ["leaf", "sub2", "sub1"])
def test_a_contract_is_refused_where_any_part_of_its_chain_is_revoked(
    world: World, part: str
) -> None:
    leaf = world.mo.contract(EMAID)
    chosen = {"leaf": leaf, "sub2": world.mo.sub2, "sub1": world.mo.sub1}[part]
    world.responder.revoked.add(chosen.certificate.serial_number)
    assert world.contract(leaf).status == "CertificateRevoked"
    asked = [leaf, world.mo.sub2, world.mo.sub1]
    assert set(world.responder.asked) == {each.certificate.serial_number for each in asked}


def test_a_contract_that_nobody_can_be_asked_about_is_refused(world: World) -> None:
    silent = make(EMAID, world.mo.sub2)
    assert world.contract(silent).status == "CertChainError"
    world.responder.unknown.add((leaf := world.mo.contract(EMAID)).certificate.serial_number)
    assert world.contract(leaf).status == "CertChainError"


def test_a_contract_with_a_revocation_list_instead(world: World, tmp_path: Path) -> None:
    place = world.responder.url.replace("/ocsp", "/crl")
    good = world.mo.contract(EMAID, ocsp_url="", crl_url=place)
    gone = world.mo.contract(EMAID, ocsp_url="", crl_url=place)
    world.responder.crl = revocation_list(world.mo.sub2, [gone.certificate.serial_number])
    assert world.contract(good).status == "Accepted"
    assert world.contract(gone).status == "CertificateRevoked"


HOSTILE: dict[str, Callable[[World], dict[str, Any]]] = {
    "signed by a stranger": lambda w: {"signer": make("stranger", ca=True)},
    "signed by a twin of the issuer": lambda w: {"signer": make("MO sub 2", ca=True)},
    "signed by the authority above": lambda w: {"signer": w.mo.sub1},
    "signed by a contract of the issuer": lambda w: _carried(w.mo.contract(EMAID)),
    "a responder without the purpose": lambda w: _carried(
        responder_certificate(w.mo.sub2, named=False)
    ),
    "a responder of another authority": lambda w: _carried(responder_certificate(w.mo.sub1)),
    "about another certificate": lambda w: {"other_serial": True},
    "ended": lambda w: {"begin": -2 * DAY, "end": -DAY},
    "of the future": lambda w: {"begin": DAY, "end": 2 * DAY},
    "an answer to another question": lambda w: {"nonce": b"replayed replayed"},
    "nonsense": lambda w: {"raw": b"nonsense"},
    "empty": lambda w: {"raw": b""},
    "too large": lambda w: {"raw": b"\x30" * 20_000},
}


def _carried(signer: Party) -> dict[str, Any]:
    return {"signer": signer, "carries": [signer.certificate]}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_an_answer_that_does_not_count(world: World, name: str) -> None:
    for key, value in HOSTILE[name](world).items():
        setattr(world.responder, key, value)
    leaf = world.mo.contract(EMAID)
    finding = world.status(world.question(leaf))
    assert (finding.status, finding.der) == ("Failed", "") and finding.reason
    assert world.contract(leaf).status == "CertChainError"


def test_a_responder_that_the_issuer_named_counts(world: World) -> None:
    signer = responder_certificate(world.mo.sub2)
    world.responder.signer, world.responder.carries = signer, [signer.certificate]
    assert world.status(world.question(world.mo.contract(EMAID))).status == "Good"


def test_an_old_answer_of_a_revoked_certificate_cannot_be_replayed(world: World) -> None:
    """Recorded while it was good, played back after it was revoked: the nonce is another."""
    leaf = world.mo.contract(EMAID)
    world.status(world.question(leaf))
    world.responder.raw = Responder(world.mo.issuers).answer(world.responder.requests[-1])
    world.clock = timedelta(minutes=70)  # beyond what was remembered
    assert world.status(world.question(leaf)).status == "Failed"


def test_what_was_told_is_remembered_until_its_next_update_and_a_week_at_most(
    world: World,
) -> None:
    leaf = world.mo.contract(EMAID)
    serial = leaf.certificate.serial_number
    world.responder.end = timedelta(days=30)
    for days, asked in ((0.0, 1), (6.9, 1), (7.1, 2)):
        world.clock = timedelta(days=days)
        if asked == 2:
            world.responder.begin, world.responder.end = world.clock, world.clock + DAY
        assert world.status(world.question(leaf)).status == "Good"
        assert world.responder.asked.count(serial) == asked


def test_the_next_address_is_asked_where_the_first_does_not_answer(world: World) -> None:
    dead = "http://127.0.0.1:9/ocsp"
    question = world.question(world.mo.contract(EMAID), urls=(dead, world.responder.url))
    assert world.status(question).status == "Good"


def test_an_issuer_of_no_configured_root_is_not_asked_about(world: World) -> None:
    other = Mo(world.responder.url)
    finding = world.status(world.question(other.contract(EMAID), other.sub2))
    assert finding.status == "Failed" and "none of the configured roots" in finding.reason
    assert world.responder.asked == []


@pytest.mark.parametrize(
    "bad",
    [
        {"serial_number": "xyz"},
        {"issuer_key_hash": "zz"},
        {"algorithm": "MD5"},
    ],
)
def test_names_that_are_none(world: World, bad: dict[str, str]) -> None:
    import dataclasses

    question = world.question(world.mo.contract(EMAID))
    changed = dataclasses.replace(question.wanted, **bad)
    assert world.status(dataclasses.replace(question, wanted=changed)).status == "Failed"


@pytest.mark.parametrize("case", ["good", "revoked", "foreign key", "ended", "noise", "PEM"])
def test_revocation_lists(world: World, case: str) -> None:
    leaf = world.mo.contract(EMAID)
    serials = [leaf.certificate.serial_number] if case in ("revoked", "PEM") else [5]
    more: dict[str, Any] = {}
    if case == "foreign key":
        more["key"] = world.mo.sub1.key
    if case == "ended":
        more = {"begin": now_utc() - 9 * DAY, "end": now_utc() - 2 * DAY}
    world.responder.crl = revocation_list(world.mo.sub2, serials, **more)
    if case == "noise":
        world.responder.crl = b"noise"
    if case == "PEM":
        text = base64.encodebytes(world.responder.crl)
        world.responder.crl = b"-----BEGIN X509 CRL-----\n" + text + b"-----END X509 CRL-----\n"
    place = world.responder.url.replace("/ocsp", "/crl")
    finding = world.status(world.question(leaf, source="CRL", urls=(place,)))
    expected = {"good": "Good", "revoked": "Revoked", "PEM": "Revoked"}.get(case, "Failed")
    assert finding.status == expected, finding.reason


# who may be asked at all


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:22/",
        "http://127.0.0.1:1/",
        "https://[::1]/",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1 /x",
        "http://127.0.0.1/\r\nX: y",
        "gopher://x",
        "",
        "http://",
        "http://[",
    ],
)
def test_an_address_from_a_station_is_not_asked_because_it_says_so(world: World, url: str) -> None:
    finding = world.status(world.question(world.mo.contract(EMAID), urls=(url,)))
    assert finding.status == "Failed" and finding.reason


def test_a_certificate_cannot_lead_to_an_inner_address(tmp_path: Path) -> None:
    """A trusted operator's certificates name a responder on loopback: named, but not public."""
    with responder_of([]) as responder:
        world = World(responder, tmp_path, named=False)
        finding = world.contract(world.mo.contract(EMAID))
        assert finding.status == "CertChainError" and "open network" in finding.reason
        assert responder.requests == []


def test_a_name_that_resolves_to_an_inner_address_is_not_asked() -> None:
    allowed = Allowed()
    allowed.vouch(["http://localhost:8080/ocsp"])
    with pytest.raises(HttpFault, match="open network"):
        asyncio.run(ask("http://localhost:8080/ocsp", allowed, 100, 2.0))


def raw_server(answer: bytes, hold_s: float = 0.0) -> tuple[int, threading.Event]:
    """Sends bytes as they are, then holds the line."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def run() -> None:
        with listener:
            line, _ = listener.accept()
            with line:
                line.recv(65_536)
                for byte in (
                    (answer[i : i + 1] for i in range(len(answer))) if hold_s else (answer,)
                ):
                    line.sendall(byte)
                    if over.wait(hold_s):
                        return

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1], over


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:22/\r\n\r\n", "302"),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "chunks"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000, "more than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000, "head"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "HTTP"),
        (b"", "."),
    ],
)
def test_answers_that_are_none(answer: bytes, told: str) -> None:
    port, _ = raw_server(answer)
    allowed = Allowed()
    allowed.name([f"127.0.0.1:{port}"])
    with pytest.raises(HttpFault, match=told):
        asyncio.run(ask(f"http://127.0.0.1:{port}/", allowed, 1_000, 5.0))


def test_a_server_that_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    port, over = raw_server(b"HTTP/1.1 200 OK\r\n" + b"X" * 1_000, hold_s=0.05)
    allowed = Allowed()
    allowed.name([f"127.0.0.1:{port}"])
    with pytest.raises(HttpFault, match=r"within 0\.3 s"):
        asyncio.run(ask(f"http://127.0.0.1:{port}/", allowed, 1_000, 0.3))
    over.set()


def test_all_of_a_request_is_bounded_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_sources, "FIND_S", 0.2)
    port, over = raw_server(b"HTTP/1.1 200 OK\r\n" + b"X" * 1_000, hold_s=0.05)
    world.sources._allowed.name([f"127.0.0.1:{port}"])
    question = world.question(world.mo.contract(EMAID), urls=(f"http://127.0.0.1:{port}/",))
    finding = world.status(question)
    assert finding.status == "Failed" and "within 0.2 s" in finding.reason
    over.set()


def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_status, "KEPT_MAX", 3)
    for _ in range(6):
        world.status(world.question(world.mo.contract(EMAID)))
    assert len(world.sources._status._kept) == 3
    monkeypatch.setattr(bounded_http, "VOUCHED_MAX", 5)
    allowed = Allowed()
    allowed.vouch([f"http://h{i}.example/" for i in range(20)])
    assert len(allowed.vouched) == 5


def test_servers_are_named_as_people_write_them() -> None:
    allowed = Allowed()
    allowed.name(["ocsp.example.org", "10.0.0.1:8080", "https://crl.example.org/x"])
    good = ["http://ocsp.example.org/a", "https://ocsp.example.org/", "http://10.0.0.1:8080/?q=1"]
    good.append("https://crl.example.org/list.crl")
    assert [allowed.refusal(url) for url in good] == [""] * 4
    bad = ["http://ocsp.example.org:81/", "http://10.0.0.1/", "http://crl.example.org/"]
    bad.append("http://ocsp.example.org.evil.example/")
    assert all(allowed.refusal(url) for url in bad)
    with pytest.raises(ValueError, match="names no server"):
        allowed.name(["http://"])


def test_a_get_asks_for_what_it_was_told() -> None:
    seen: list[str] = []

    def answer(path: str, body: bytes, headers: dict[str, str]) -> bytes:
        seen.append(f"{path} {headers['Host']}")
        return b"whole"

    with http_server(answer) as port:
        allowed = Allowed()
        allowed.name([f"127.0.0.1:{port}"])
        url = f"http://127.0.0.1:{port}/a/b?c=d"
        assert asyncio.run(ask(url, allowed, 100, 5.0)) == b"whole"
        assert seen == [f"/a/b?c=d 127.0.0.1:{port}"]
