"""Public keys and signatures of meters: which key in which form, which curve, valid or not.

Keys come out of band and in every form people have them: PEM, DER, raw or compressed point, as
bytes, hex or base64, whole or split into two coordinates.
"""

import base64
import binascii
import re
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pendel.settle.curves import SMALL_CURVES, Curve

SmallKey: TypeAlias = tuple[Curve, tuple[int, int]]
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | SmallKey

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp256r1": ec.SECP256R1,
    "secp256k1": ec.SECP256K1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}
ALGORITHMS = ", ".join(f"ECDSA-{name}-SHA256" for name in (*_CURVES, *SMALL_CURVES))
_ALGORITHM = re.compile(r"ECDSA-(?:brainpoolP?)?([a-z0-9]+)-(SHA256|SHA384|SHA512)")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
KEY_TEXT_MAX = 4096


class KeyFormatError(ValueError):
    """A key or an algorithm that cannot be used; the message says why."""


def curve_of(algorithm: str) -> tuple[str, hashes.HashAlgorithm]:
    """Curve and hash of an OCMF algorithm name. Raises KeyFormatError for one not known."""
    match = _ALGORITHM.fullmatch(algorithm)
    if match is not None:
        name = f"brainpool{match[1]}" if "brainpool" in algorithm else match[1]
        if name in _CURVES or name in SMALL_CURVES:
            return name, _HASHES[match[2]]()
    raise KeyFormatError(f"algorithm {algorithm[:60]} is not supported: {ALGORITHMS}")


def load_key(given: bytes, curve: str) -> PublicKey:
    """A public key in any of the usual forms, for a named curve. Raises KeyFormatError."""
    if len(given) > KEY_TEXT_MAX:
        raise KeyFormatError(f"key longer than {KEY_TEXT_MAX} bytes")
    for raw in _decodings(given):
        for attempt in (_from_der, _from_point):
            key = attempt(raw, curve)
            if key is not None:
                return key
    raise KeyFormatError(
        f"no public key on {curve} in any known form (PEM, DER, point; hex, base64)"
    )


def verify(key: PublicKey, message: bytes, signature: bytes, algorithm: str) -> bool:
    """Whether a DER signature over exactly these bytes is valid. Raises KeyFormatError for an
    algorithm not known or not that of the key."""
    name, algorithm_hash = curve_of(algorithm)
    if isinstance(key, tuple):
        curve, point = key
        if curve.name != name:
            raise KeyFormatError(f"the key is on {curve.name}, the signature on {name}")
        try:
            r, s = decode_dss_signature(signature)
        except ValueError:
            return False
        digest = hashes.Hash(algorithm_hash)
        digest.update(message)
        return curve.verifies(point, digest.finalize(), r, s)
    if name not in _CURVES or not isinstance(key.curve, _CURVES[name]):
        raise KeyFormatError(f"the key is on {key.curve.name}, the signature on {name}")
    try:
        key.verify(signature, message, ec.ECDSA(algorithm_hash))
    except InvalidSignature:
        return False
    return True


def _decodings(given: bytes) -> list[bytes]:
    """The bytes a key may stand for: as they are, PEM, hex, base64, two hex halves."""
    found = [given]
    text = given.decode("ascii", "ignore").strip()
    if "-----BEGIN" in text:
        text = "".join(line for line in text.splitlines() if "-----" not in line)
    halves = [part.removeprefix("0x") for part in re.split(r"[\s:,;]+", text) if part]
    compact = "".join(halves)
    if _HEX.fullmatch(compact):
        raw = bytes.fromhex(compact)
        found += [raw, b"\x04" + raw]
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
        found += [raw, b"\x04" + raw]
    except (binascii.Error, ValueError):
        pass
    return found


def _from_der(raw: bytes, curve: str) -> PublicKey | None:
    if curve in SMALL_CURVES:
        small = SMALL_CURVES[curve]
        octets = 2 * small.octets + 1
        if raw[:1] == b"\x30" and small.oid in raw and len(raw) > octets:
            return _from_point(raw[-octets:], curve)
        return None
    try:
        key = serialization.load_der_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES[curve]):
        return key
    return None


def _from_point(raw: bytes, curve: str) -> PublicKey | None:
    if curve in SMALL_CURVES:
        small = SMALL_CURVES[curve]
        if len(raw) != 2 * small.octets + 1 or raw[:1] != b"\x04":
            return None
        x = int.from_bytes(raw[1 : small.octets + 1], "big")
        y = int.from_bytes(raw[small.octets + 1 :], "big")
        return (small, (x, y)) if small.holds((x, y)) else None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve](), raw)
    except (ValueError, UnsupportedAlgorithm):
        return None
