"""A car that charges by its contract, at the virtual station (C07)."""

import sys
from pathlib import Path

import pytest
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import a_car
from test_v2g_certificates import TWO, URL, authority, pair_of

from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.v2g_authority import V2gAuthority
from pendel.comms.ocpp.release import Version

__all__ = ["authority"]


def contract(authority: CertificateAuthority, emaid: str) -> str:
    chain, _ = V2gAuthority(authority).contract(emaid)
    return chain.read_text()


@pytest.mark.parametrize("version", TWO)
def test_a_car_charges_by_its_contract(version: Version, authority: CertificateAuthority) -> None:
    """Without the root the certificates go to the backend, with it their names."""
    pem = contract(authority, "DEABCC123456789")
    root = (authority.folder / "v2g" / "mo-root.pem").read_text()
    for installed in (False, True):
        pair = pair_of(version, authority)
        if installed:
            order = {"certificateType": "MORootCertificate", "certificate": root}
            assert pair.ask("InstallCertificate", order).status == "Accepted"
        pair.plug(a_car(contract_pem=pem))
        asked = pair.backend.payloads("Authorize")[-1]
        assert asked["idToken"] == {"idToken": "DEABCC123456789", "type": "eMAID"}
        assert ("certificate" in asked, "iso15118CertificateHashData" in asked) == (
            not installed,
            installed,
        )
        if installed:
            chain = x509.load_pem_x509_certificates(pem.encode())
            told = asked["iso15118CertificateHashData"]
            assert [int(e["serialNumber"], 16) for e in told] == [c.serial_number for c in chain]
            assert {each["responderURL"] for each in told} == {URL}
        pair.run(60)
        assert pair.power_kw > 0.0
        events = pair.backend.payloads("TransactionEvent")
        assert [e["idToken"]["type"] for e in events if "idToken" in e] == ["eMAID"]


@pytest.mark.parametrize("version", TWO)
def test_a_contract_that_ended_is_refused_by_the_station(
    version: Version, authority: CertificateAuthority
) -> None:
    pair = pair_of(version, authority)
    pair.now_s += 800 * 86_400.0
    pair.station.tick(pair.now_s)
    pair.plug(a_car(contract_pem=contract(authority, "DEABCC123456780")))
    assert pair.backend.payloads("Authorize") == [] and pair.power_kw == 0.0
    assert any("contract refused" in line for line in pair.station.log)
    pair.unplug()
    pair.plug(a_car(contract_pem="nonsense"))
    assert pair.backend.payloads("Authorize")[-1]["idToken"]["type"] == "ISO14443"
