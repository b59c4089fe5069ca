"""OCMF: an authentic record verifies, any altered byte fails, every curve and form of key works."""

import base64
import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from pendel.cli.main import main
from pendel.settle.curves import SMALL_CURVES, Curve
from pendel.settle.ocmf import KeyFormatError, OcmfError, parse_ocmf

CASE = Path(__file__).resolve().parents[1] / "cases" / "ocmf" / "keba_kcp30"
GIVEN = json.loads((CASE / "input.json").read_text("utf-8"))
RECORD, KEY = GIVEN["record"], GIVEN["key"].encode()


def test_authentic_record_verifies() -> None:
    """Vector T13: a record and key as a charging station made them."""
    expect = json.loads((CASE / "expect.json").read_text("utf-8"))
    record = parse_ocmf(RECORD)
    assert record.is_signed_by(KEY)
    assert [reading.written for reading in record.readings] == expect["written"]
    assert record.delivered() == {expect["direction"]: Fraction(expect["delivered_kwh"])}


def test_every_flipped_byte_of_the_payload_is_found() -> None:
    begin, end = RECORD.index("{"), RECORD.index("}|{") + 1
    data = RECORD.encode()
    for place in range(begin, end):
        for flip in (0x01, 0x20):
            changed = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            try:
                valid = parse_ocmf(changed.decode()).is_signed_by(KEY)
            except OcmfError:
                continue
            assert not valid, changed


def test_the_payload_is_never_serialised_again() -> None:
    """The same numbers in other digits are not what was signed."""
    assert not parse_ocmf(RECORD.replace("0.2596", "0.25960")).is_signed_by(KEY)
    assert not parse_ocmf(RECORD.replace('"FV":"1.0"', '"FV": "1.0"')).is_signed_by(KEY)


PAYLOAD = (
    '{"FV":"1.4","GI":"test","RD":[{"TM":"2026-10-01T10:00:00,000+0200 S","TX":"B","RV":12.50,'
    '"RI":"1-0:2.8.0","RU":"kWh","ST":"G"},{"TM":"2026-10-01T11:00:00,000+0200 S","TX":"E",'
    '"RV":20.125}]}'
)
LARGE = {
    "secp256r1": ec.SECP256R1(),
    "secp256k1": ec.SECP256K1(),
    "secp384r1": ec.SECP384R1(),
    "brainpool256r1": ec.BrainpoolP256R1(),
    "brainpool384r1": ec.BrainpoolP384R1(),
}


def record_of(payload: str, algorithm: str, signature: bytes, encoding: str = "hex") -> str:
    encoded = signature.hex() if encoding == "hex" else base64.b64encode(signature).decode()
    signed = {"SA": algorithm, "SE": encoding, "SD": encoded}
    return f"OCMF|{payload}|{json.dumps(signed)}"


@pytest.mark.parametrize("name", LARGE)
def test_each_curve_verifies_and_every_form_of_key_loads(name: str) -> None:
    """Also: an export register (2.8.0 on secp256k1) is export, fields omitted are inherited."""
    private = ec.generate_private_key(LARGE[name])
    signature = private.sign(PAYLOAD.encode(), ec.ECDSA(hashes.SHA256()))
    algorithm = f"ECDSA-{name}-SHA256"
    record = parse_ocmf(record_of(PAYLOAD, algorithm, signature, "base64"))
    assert record.delivered() == {"export": Fraction("7.625")}
    public = private.public_key()
    x962 = serialization.Encoding.X962
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    point = public.public_bytes(x962, serialization.PublicFormat.UncompressedPoint)
    short = public.public_bytes(x962, serialization.PublicFormat.CompressedPoint)
    half = len(point) // 2
    forms = [der, pem, point, short, der.hex().encode(), point.hex().upper().encode()]
    forms += [base64.b64encode(der), base64.b64encode(point), short.hex().encode()]
    forms += [f"{point[1 : half + 1].hex()}\n{point[half + 1 :].hex()}\n".encode()]
    for form in forms:
        assert record.is_signed_by(form), form
    other = ec.generate_private_key(LARGE[name]).public_key()
    assert not record.is_signed_by(
        other.public_bytes(x962, serialization.PublicFormat.UncompressedPoint)
    )


def sign(curve: Curve, secret: int, nonce: int, message: bytes) -> bytes:
    """Plain ECDSA for a test: secret and nonce are known to everybody."""
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    z = digest >> max(256 - curve.n.bit_length(), 0)
    point = curve.multiply(nonce, curve.g)
    assert point is not None
    r = point[0] % curve.n
    return encode_dss_signature(r, pow(nonce, -1, curve.n) * (z + r * secret) % curve.n)


@pytest.mark.parametrize("name", SMALL_CURVES)
def test_curves_of_192_bit(name: str) -> None:
    curve = SMALL_CURVES[name]
    assert curve.holds(curve.g)
    assert curve.multiply(curve.n, curve.g) is None
    secret = 0x1234567890ABCDEF1234567890ABCDEF
    point = curve.multiply(secret, curve.g)
    assert point is not None
    key = b"\x04" + b"".join(value.to_bytes(curve.octets, "big") for value in point)
    signature = sign(curve, secret, 0xDEADBEEF12345678, PAYLOAD.encode())
    record = parse_ocmf(record_of(PAYLOAD, f"ECDSA-{name}-SHA256", signature))
    header = bytes.fromhex("301306072a8648ce3d0201") + curve.oid
    for form in (key, key.hex().encode(), b"\x30\x49" + header + b"\x03\x32\x00" + key):
        assert record.is_signed_by(form)
    changed = record_of(PAYLOAD.replace("12.50", "12.51"), f"ECDSA-{name}-SHA256", signature)
    assert not parse_ocmf(changed).is_signed_by(key)
    with pytest.raises(KeyFormatError):
        record.is_signed_by(key[:-1] + bytes([key[-1] ^ 1]))


def test_own_arithmetic_agrees_with_cryptography_on_p256() -> None:
    """An independent implementation signs, the plain one verifies (FIPS 186-5)."""
    curve = Curve(
        "secp256r1",
        p=2**256 - 2**224 + 2**192 + 2**96 - 1,
        a=-3,
        b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        g=(
            0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
            0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        ),
        n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        oid=b"",
    )
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    r, s = decode_dss_signature(private.sign(b"kWh", ec.ECDSA(hashes.SHA256())))
    digest = hashlib.sha256(b"kWh").digest()
    assert curve.verifies((numbers.x, numbers.y), digest, r, s)
    assert not curve.verifies((numbers.x, numbers.y), digest, r, s + 1)
    assert not curve.verifies((numbers.x, numbers.y), hashlib.sha256(b"").digest(), r, s)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("OCMF|", "OCM|", "begin with OCMF"),
        ('"RV":0.2596', '"RV":-1', "below 0"),
        ('"RV":0.2596', '"RV":NaN', "NaN"),
        ('"RV":0.2596', '"RV":"0.2596"', "not a number"),
        ('"RV":0.2596', '"RV":1e999999999', "out of range"),
        ('"RV":0.2596', '"RV":' + "9" * 5000, "not JSON"),
        ('"RU":"kWh"},{', '"RU":"kvarh"},{', "neither kWh"),
        ("1-b:1.8.0", "1-0:3.8.0", "no energy register"),
        ('"RI":"1-b:1.8.0",', "", "RI is missing"),
        ("2019-08-13T10:03:15,000+0000 I", "2019-13-13T10:03:15,000+0000 I", "TM"),
        ("2019-08-13T10:03:15,000+0000 I", "2019-08-13 10:03", "TM"),
        ('"FV":"1.0",', '"FV":"1.0","FV":"1.0",', "twice"),
        ('"SD":"30', '"SE":"rot13","SD":"30', "neither hex"),
        ('"SD":"30', '"SD":"zz', "not hex"),
        ("}|{", "}{", "no |"),
        ('"RD":[', '"RX":[', "RD"),
    ],
)
def test_broken_records_are_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(OcmfError, match=words.replace("|", r"\|")):
        parse_ocmf(RECORD.replace(old, new))


def test_unknown_algorithm_is_refused_by_name() -> None:
    record = parse_ocmf(RECORD.replace('{"SD"', '{"SA":"RSA-2048-SHA1","SD"'))
    with pytest.raises(KeyFormatError, match="RSA-2048-SHA1"):
        record.is_signed_by(KEY)


def test_command_verifies_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, key = tmp_path / "good.ocmf", tmp_path / "bad.ocmf", tmp_path / "key.txt"
    good.write_text(f"{RECORD}\n\n{RECORD}\n", "utf-8")
    bad.write_text(f"{RECORD}\n{RECORD.replace('0.2597', '0.3597')}\nOCMF|x\n", "utf-8")
    key.write_bytes(KEY)
    for given in (str(key), KEY.decode()):
        assert main(["settle", "verify", str(good), "--key", given, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert [record["line"] for record in data["records"]] == [1, 3]
        assert data["records"][0]["delivered_kwh"] == {"import": "1/10000"}
    assert main(["settle", "verify", str(bad), "--key", str(key), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(p["file"], p["line"]) for p in problems] == [("bad.ocmf", 2), ("bad.ocmf", 3)]
    assert main(["settle", "verify", str(good)]) == 2
    assert "--key" in capsys.readouterr().err
