"""Requests for certificates (CSR) of stations: what may be signed, and why not (A02, A03)."""

from collections.abc import Sequence
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8_192
EC_BITS_MIN = 224
CSR_CHARS_MAX = 5_500

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class RefusedError(Exception):
    """A request for a certificate that is not signed; the text says why."""


def checked_request(csr_pem: str, names: Sequence[str], operator: str) -> tuple[str, PublicKey]:
    """Common name (one of names) and key of a request that may be signed.

    An organization may be left out; a wrong one is refused (A00.FR.509). Raises RefusedError."""
    request = _read_request(csr_pem)
    told = [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(told) != 1 or told[0] not in names:
        told_text = ", ".join(told)[:200] or "none"
        raise RefusedError(f"the common name is {told_text}, not {' or '.join(names)}")
    owners = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if any(str(owner.value) != operator for owner in owners):
        text = ", ".join(str(owner.value) for owner in owners)[:200]
        raise RefusedError(f"the organization is {text}, not {operator}")
    try:
        key = request.public_key()
    except Exception as error:  # unknown algorithms raise other kinds
        raise RefusedError(f"its key cannot be read: {error}"[:200]) from error
    _check_strength(key)
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise RefusedError("a key that is neither RSA nor ECDSA")
    return told[0], key


def _read_request(csr_pem: str) -> x509.CertificateSigningRequest:
    if len(csr_pem) > CSR_CHARS_MAX:
        raise RefusedError(f"over {CSR_CHARS_MAX} characters")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        valid = request.is_signature_valid
        request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, InvalidSignature, x509.UnsupportedGeneralNameType) as error:
        raise RefusedError(f"not a PEM certificate signing request: {error}"[:200]) from error
    except Exception as error:  # unknown algorithms raise other kinds
        raise RefusedError(f"cannot be read: {error}"[:200]) from error
    if not valid:
        raise RefusedError("its signature does not fit its key")
    return request


def _check_strength(key: object) -> None:
    """At least 112 bits of security (OCPP 2.1 part 2, block A, "Keys used in OCPP")."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        raise RefusedError(f"an RSA key of {key.key_size} bits, less than {RSA_BITS_MIN}")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size > RSA_BITS_MAX:
        raise RefusedError(f"an RSA key of {key.key_size} bits, more than {RSA_BITS_MAX}")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < EC_BITS_MIN:
        raise RefusedError(f"an ECDSA key of {key.key_size} bits, less than {EC_BITS_MIN}")
