"""The contract certificate of a car at a station: how it is shown to the backend (C07).

A station that has the contract's root checks the chain itself and sends the names of its parts with
their responders; one that has not sends the certificates for the backend to check (C07.FR.06).
"""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pendel.comms.ocpp.certificates import hash_data

PARTS_MAX = 4
EMAID = "eMAID"


def emaid_of(chain_pem: str) -> str:
    """The contract's id: common name of the first certificate. Raises ValueError."""
    leaf = x509.load_pem_x509_certificates(chain_pem.encode())[0]
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise ValueError("a contract certificate without a common name")
    return str(names[0].value)


def shown(chain_pem: str, roots: list[x509.Certificate], now_s: float) -> dict[str, Any]:
    """Fields of Authorize about a contract. Raises ValueError: the station itself refuses it."""
    chain = x509.load_pem_x509_certificates(chain_pem.encode())
    now = datetime.fromtimestamp(now_s, UTC)
    for each in chain:
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise ValueError("a contract certificate that is not valid now")
    above = [root for root in roots if _signed(chain[-1], root)][:1]
    if not above:
        return {"certificate": chain_pem}
    for each, by in pairwise(chain):
        if not _signed(each, by):
            raise ValueError("a contract certificate whose chain does not hold together")
    named = []
    for each, by in pairwise([*chain, *above]):
        name = hash_data(each, by).to_wire()
        named.append({**name, "responderURL": _responder(each)})
    return {"iso15118CertificateHashData": named[:PARTS_MAX]}


def _signed(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _responder(certificate: x509.Certificate) -> str:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError):
        return ""
    for each in access.value:
        if each.access_method == AuthorityInformationAccessOID.OCSP:
            return str(each.access_location.value)[:500]
    return ""
