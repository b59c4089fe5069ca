"""Contract certificates: every way in which a chain can be wrong, and openssl's opinion of it."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ObjectIdentifier

sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import DAY, Mo, Party, make, now_utc, rsa_key

from pendel.adapters.bounded_http import Allowed
from pendel.adapters.certificate_paths import path_of, read_chain
from pendel.adapters.certificate_sources import CertificateSources
from pendel.adapters.trust_store import TrustStore
from pendel.comms.ocpp.backend.certificates import ContractFinding, ContractQuestion
from pendel.errors import InputError

EMAID = "DEABCC123456789"
LONG_AGO, YESTERDAY = now_utc() - 800 * DAY, now_utc() - DAY
TOMORROW = now_utc() + DAY
UNKNOWN = (x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)
NOT_SIGNING = (x509.KeyUsage(*(False,) * 3, True, *(False,) * 5), True)
MAY_NOT_SIGN = (x509.KeyUsage(True, *(False,) * 8), True)

Chain = tuple[list[Party], Party]
"""Leaf and those between, and the trusted root."""


def good() -> Chain:
    mo = Mo()
    return [mo.contract(EMAID), mo.sub2, mo.sub1], mo.root


def bent(**more: Any) -> Callable[[], Chain]:
    """Something about one certificate is wrong: leaf=, sub2=, sub1=, root=."""

    def build() -> Chain:
        root = make("MO root", ca=True, **more.get("root", {}))
        sub1 = make("MO sub 1", root, **{"ca": True, "path_length": 1, **more.get("sub1", {})})
        sub2 = make("MO sub 2", sub1, **{"ca": True, "path_length": 0, **more.get("sub2", {})})
        return [make(EMAID, sub2, **more.get("leaf", {})), sub2, sub1], root

    return build


def another_root() -> Chain:
    return good()[0], Mo().root


def without_sub1() -> Chain:
    chain, root = good()
    return chain[:2], root


def same_name_other_key() -> Chain:
    chain, root = good()
    twin = make("MO sub 2", chain[2], ca=True, path_length=0)
    return [chain[0], twin, chain[2]], root


def one_below_another() -> Chain:
    """A contract that signs another contract."""
    chain, root = good()
    return [make(EMAID, chain[0]), *chain], root


def loop() -> Chain:
    a_key, b_key = make("A", ca=True), make("B", ca=True)
    a = make("A", b_key, ca=True, key=a_key.key)
    b = make("B", a_key, ca=True, key=b_key.key)
    return [make(EMAID, a), a, b], Mo().root


def longer_than_allowed() -> Chain:
    chain, root = good()
    deeper = make("MO sub 3", chain[1], ca=True)
    return [make(EMAID, deeper), deeper, *chain[1:]], root


def unordered() -> Chain:
    chain, root = good()
    return [chain[0], chain[2], chain[1]], root


def with_the_root() -> Chain:
    chain, root = good()
    return [*chain, root], root


def self_signed() -> Chain:
    return [make(EMAID)], Mo().root


def is_the_root() -> Chain:
    root = make(EMAID, ca=True)
    return [root], root


OK, ENDED, BROKEN = "Accepted", "CertificateExpired", "CertChainError"
CASES: dict[str, tuple[Callable[[], Chain], str]] = {
    "good": (good, OK),
    "unordered": (unordered, OK),
    "with the root": (with_the_root, OK),
    "RSA": (bent(sub2={"key": rsa_key()}, leaf={"key": rsa_key()}), OK),
    "another root": (another_root, BROKEN),
    "a part is missing": (without_sub1, BROKEN),
    "a twin of the issuer": (same_name_other_key, BROKEN),
    "a contract signs": (one_below_another, BROKEN),
    "a loop": (loop, BROKEN),
    "deeper than allowed": (longer_than_allowed, BROKEN),
    "self-signed": (self_signed, BROKEN),
    "the leaf ended": (bent(leaf={"begin": LONG_AGO, "end": YESTERDAY}), ENDED),
    "a sub-CA ended": (bent(sub1={"begin": LONG_AGO, "end": YESTERDAY}), ENDED),
    "the root ended": (bent(root={"begin": LONG_AGO, "end": YESTERDAY}), ENDED),
    "the leaf is of tomorrow": (bent(leaf={"begin": TOMORROW}), BROKEN),
    "a sub-CA is none": (bent(sub2={"ca": False}), BROKEN),
    "a sub-CA says nothing": (bent(sub2={"basic": False}), BROKEN),
    "a sub-CA may not sign": (bent(sub2={"extensions": (MAY_NOT_SIGN,)}), BROKEN),
    "the leaf demands something": (bent(leaf={"extensions": (UNKNOWN,)}), BROKEN),
    "a sub-CA demands something": (bent(sub1={"extensions": (UNKNOWN,)}), BROKEN),
    "a weak key of a sub-CA": (bent(sub2={"key": rsa_key(1_024)}), BROKEN),
}
STRICTER = {
    "a weak key of a sub-CA",  # openssl asks for a security level for that
    "the leaf is an authority",
    "its key is not for signing",
}
OWN_CASES: dict[str, tuple[Callable[[], Chain], str]] = {
    "the leaf is an authority": (bent(leaf={"ca": True}, sub2={"path_length": 1}), BROKEN),
    "its key is not for signing": (bent(leaf={"extensions": (NOT_SIGNING,)}), BROKEN),
    "the leaf is the root": (is_the_root, BROKEN),
}


@pytest.mark.parametrize("name", [*CASES, *OWN_CASES])
def test_a_chain_is_good_or_its_fault_is_named(name: str) -> None:
    build, expected = (CASES | OWN_CASES)[name]
    chain, root = build()
    path = path_of(
        chain[0].certificate,
        [each.certificate for each in chain[1:]],
        [root.certificate],
        now_utc(),
    )
    assert path.status == expected, path.reason
    assert bool(path.certificates) == (expected == OK)
    assert bool(path.reason) == (expected != OK)
    if expected == OK:
        assert path.certificates[-1] == root.certificate and len(path.certificates) == 4


@pytest.mark.parametrize("name", sorted(set(CASES) - STRICTER))
def test_openssl_is_of_the_same_opinion(name: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    build, expected = CASES[name]
    chain, root = build()
    files = {name: tmp_path / f"{name}.pem" for name in ("root", "between", "leaf")}
    files["root"].write_text(root.pem)
    files["between"].write_text("".join(each.pem for each in chain[1:]))
    files["leaf"].write_text(chain[0].pem)
    words = [openssl, "verify", "-CAfile", str(files["root"])]
    if chain[1:]:
        words += ["-untrusted", str(files["between"])]
    found = subprocess.run([*words, str(files["leaf"])], capture_output=True, text=True)
    assert (found.returncode == 0) == (expected == OK), found.stdout + found.stderr
    if expected == ENDED:
        assert "expired" in found.stderr


def sources(root: Party, tmp_path: Path, asks: bool = False) -> CertificateSources:
    (tmp_path / "root.pem").write_text(root.pem)
    store = TrustStore({"mo": [tmp_path / "root.pem"]}, now_utc)
    return CertificateSources(store, Allowed(), now_utc, asks_status=asks)


def verdict(found: CertificateSources, emaid: str, pem: str) -> ContractFinding:
    (finding,) = asyncio.run(found.find([ContractQuestion(emaid, pem, ())]))
    assert isinstance(finding, ContractFinding)
    return finding


@pytest.mark.parametrize(
    ("emaid", "expected"),
    [
        (EMAID, OK),
        ("de-abc-c12345678-9", OK),
        ("DEABCC123456780", BROKEN),
        ("", BROKEN),
    ],
)
def test_the_certificate_must_be_that_of_the_contract(
    emaid: str, expected: str, tmp_path: Path
) -> None:
    chain, root = good()
    pem = "".join(each.pem for each in chain)
    assert verdict(sources(root, tmp_path), emaid, pem).status == expected


def test_texts_that_are_no_chain(tmp_path: Path) -> None:
    chain, root = good()
    found = sources(root, tmp_path)
    assert verdict(found, EMAID, " \n").status == "NoCertificateAvailable"
    whole = chain[0].pem
    texts = ["nonsense", whole[:200], whole * 13, "\x00" * 100, whole.replace("M", "é", 1)]
    der = chain[0].certificate.public_bytes(serialization.Encoding.DER)
    texts.append(der.decode("latin-1"))
    for text in texts:
        finding = verdict(found, EMAID, text)
        assert (finding.status, bool(finding.reason)) == (BROKEN, True)


def test_a_thicket_of_cross_signatures_ends() -> None:
    """Eleven authorities of one name, each signed by all others: bounded work, no answer."""
    seeds = [make("X", ca=True) for _ in range(11)]
    thicket = [
        make("X", other, ca=True, key=each.key).certificate
        for each in seeds
        for other in seeds
        if other is not each
    ]
    leaf = make(EMAID, seeds[0]).certificate
    path = path_of(leaf, thicket, [Mo().root.certificate], now_utc())
    assert path.status == BROKEN


def test_without_roots_nobody_is_accepted() -> None:
    found = CertificateSources(TrustStore({}, now_utc), Allowed(), now_utc)
    chain, _ = good()
    finding = verdict(found, EMAID, "".join(each.pem for each in chain))
    assert finding.status == BROKEN and "mo_roots" in finding.reason


def test_a_store_reads_changed_files_and_names_bad_ones(tmp_path: Path) -> None:
    first, second = good(), good()
    path = tmp_path / "root.pem"
    found = sources(first[1], tmp_path)
    pems = ["".join(each.pem for each in chain) for chain, _ in (first, second)]
    assert [verdict(found, EMAID, pem).status for pem in pems] == [OK, BROKEN]
    assert found.refresh() is False
    path.unlink()
    path.write_text(second[1].pem)
    assert found.refresh() is True
    assert [verdict(found, EMAID, pem).status for pem in pems] == [BROKEN, OK]
    path.write_text("nonsense")
    with pytest.raises(InputError) as raised:
        found.refresh()
    assert "root.pem" in str(raised.value.problems[0])
    assert [verdict(found, EMAID, pem).status for pem in pems] == [BROKEN, OK], "what was holds"


def test_a_sub_authority_in_a_file_counts_only_below_a_root(tmp_path: Path) -> None:
    """A file with a stray authority makes nobody trusted by hash."""
    mo, stranger = Mo(), Mo()
    (tmp_path / "mo.pem").write_text(mo.root.pem + mo.sub1.pem + mo.sub2.pem + stranger.sub2.pem)
    store = TrustStore({"mo": [tmp_path / "mo.pem"]}, now_utc)

    def known(party: Party) -> bool:
        from pendel.comms.ocpp.certificates import issuer_hashes

        names = issuer_hashes(party.certificate, "SHA256")
        return store.issuer(("SHA256", *names), ("mo",)) is not None

    assert [known(each) for each in (mo.root, mo.sub1, mo.sub2)] == [True] * 3
    assert not known(stranger.sub2) and not known(stranger.root)


def test_read_chain_is_bounded() -> None:
    chain, _ = good()
    assert len(read_chain(chain[0].pem * 12)) == 12
    with pytest.raises(ValueError, match="more than 12"):
        read_chain(chain[0].pem * 13)


def test_times_are_compared_in_utc() -> None:
    chain, root = good()
    end = chain[0].certificate.not_valid_after_utc
    between = [each.certificate for each in chain[1:]]

    def status(at: datetime) -> str:
        return path_of(chain[0].certificate, between, [root.certificate], at).status

    assert status(end - timedelta(seconds=1)) == OK
    assert status(end + timedelta(seconds=1)) == ENDED
