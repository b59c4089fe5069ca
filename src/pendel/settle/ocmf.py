"""OCMF 1.4.1 (SAFE e.V.): signed meter records, parsed and verified over their exact bytes.

Form: `OCMF|{payload}|{signature}`. The payload is never serialised again: its bytes are what was
signed, and the digits of a value matter. Numbers stay decimals.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pendel.settle.obis import Obis, parse_obis
from pendel.settle.signature import KeyFormatError, curve_of, load_key, verify

RECORD_BYTES_MAX = 32_768
READINGS_MAX = 1_000
DIGITS_MAX = 30
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}),([0-9]{3})([+-][0-9]{4}) ([UIRS])"
)
_INHERITED = ("TM", "TX", "RI", "RU", "RT", "EF", "ST")
_TO_KWH = {"kWh": Fraction(1), "Wh": Fraction(1, 1000)}


class OcmfError(ValueError):
    """A record that cannot be read; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class OcmfReading:
    """One reading: kwh exact; written: its digits as signed; time_status U, I, R or S (unknown,
    informative, relative, synchronised); kind: TX (B begin, C charging, E end, ...); state G = ok.
    """

    at_utc: datetime
    time_status: str
    kind: str
    obis: Obis
    kwh: Fraction
    written: str
    state: str

    @property
    def direction(self) -> str:
        """import or export, by the register."""
        return self.obis.direction


@dataclass(frozen=True, slots=True)
class OcmfRecord:
    """A parsed record. payload: the exact bytes that were signed."""

    payload: bytes
    fields: dict[str, Any]
    readings: list[OcmfReading]
    algorithm: str
    signature: bytes

    def delivered(self) -> dict[str, Fraction]:
        """kWh per direction between first and last reading of each register."""
        first: dict[str, Fraction] = {}
        last: dict[str, OcmfReading] = {}
        for reading in self.readings:
            first.setdefault(reading.obis.code, reading.kwh)
            last[reading.obis.code] = reading
        total: dict[str, Fraction] = {}
        for code, reading in last.items():
            moved = reading.kwh - first[code]
            total[reading.direction] = total.get(reading.direction, Fraction(0)) + moved
        return total

    def is_signed_by(self, key: bytes) -> bool:
        """Whether the signature over the exact payload is valid for a public key (any form).
        Raises KeyFormatError for a key or an algorithm that cannot be used."""
        curve, _ = curve_of(self.algorithm)
        return verify(load_key(key, curve), self.payload, self.signature, self.algorithm)


def parse_ocmf(text: str) -> OcmfRecord:
    """Parse one record. Raises OcmfError."""
    if len(text.encode("utf-8", "surrogatepass")) > RECORD_BYTES_MAX:
        raise OcmfError(f"longer than {RECORD_BYTES_MAX} bytes")
    text = text.strip("\r\n\t ")
    if not text.startswith("OCMF|"):
        raise OcmfError("does not begin with OCMF|")
    payload_text, fields, rest = _object(text[5:], "payload")
    if not rest.startswith("|"):
        raise OcmfError("no | between payload and signature")
    _, signed, rest = _object(rest[1:], "signature")
    if rest.strip():
        raise OcmfError("something follows the signature")
    algorithm = _word(signed, "SA", DEFAULT_ALGORITHM)
    return OcmfRecord(
        payload=payload_text.encode("utf-8"),
        fields=fields,
        readings=_readings(fields),
        algorithm=algorithm,
        signature=_signature_bytes(signed),
    )


def _object(text: str, name: str) -> tuple[str, dict[str, Any], str]:
    """The JSON object a text begins with: (its exact text, its value, what follows)."""
    decoder = json.JSONDecoder(
        parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_once
    )
    try:
        value, end = decoder.raw_decode(text)
    except OcmfError:
        raise
    except (ValueError, RecursionError) as error:
        raise OcmfError(f"{name} is not JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise OcmfError(f"{name} is not a JSON object")
    return text[:end], value, text[end:]


def _refuse_constant(name: str) -> Any:
    raise OcmfError(f"{name} is not a number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OcmfError("a key is there twice")
    return found


def _word(fields: dict[str, Any], key: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str):
        raise OcmfError(f"{key} is missing or no text")
    return value


def _signature_bytes(signed: dict[str, Any]) -> bytes:
    data, encoding = _word(signed, "SD"), _word(signed, "SE", "hex")
    if _word(signed, "SM", "application/x-der") != "application/x-der":
        raise OcmfError("SM: only application/x-der is known")
    try:
        if encoding == "hex":
            return bytes.fromhex(data)
        if encoding == "base64":
            return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error):
        raise OcmfError(f"SD is not {encoding}") from None
    raise OcmfError(f"SE: {encoding[:20]} is neither hex nor base64")


def _readings(fields: dict[str, Any]) -> list[OcmfReading]:
    listed = fields.get("RD")
    if not isinstance(listed, list) or not 0 < len(listed) <= READINGS_MAX:
        raise OcmfError(f"RD: no list of 1 to {READINGS_MAX} readings")
    found: list[OcmfReading] = []
    known: dict[str, Any] = {}
    for place, entry in enumerate(listed):
        if not isinstance(entry, dict):
            raise OcmfError(f"RD[{place}] is not an object")
        known |= {key: entry[key] for key in _INHERITED if key in entry}
        found.append(_reading(f"RD[{place}]", {**known, **entry}))
    return found


def _reading(place: str, entry: dict[str, Any]) -> OcmfReading:
    match = _TIME.fullmatch(_word(entry, "TM"))
    if match is None:
        raise OcmfError(f"{place}.TM: not a time like 2018-07-24T13:22:04,000+0200 S")
    obis = parse_obis(_word(entry, "RI"))
    if obis is None:
        raise OcmfError(f"{place}.RI: {str(entry.get('RI'))[:30]} is no energy register known here")
    unit, value = _word(entry, "RU"), entry.get("RV")
    if unit not in _TO_KWH:
        raise OcmfError(f"{place}.RU: {unit[:20]} is neither kWh nor Wh")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise OcmfError(f"{place}.RV is not a number")
    if isinstance(value, Decimal) and not -DIGITS_MAX <= value.adjusted() <= DIGITS_MAX:
        raise OcmfError(f"{place}.RV is out of range")
    if value < 0:
        raise OcmfError(f"{place}.RV: {value} is below 0; direction is the register")
    try:
        local = datetime.fromisoformat(f"{match[1]}.{match[2]}{match[3]}")
    except ValueError as error:
        raise OcmfError(f"{place}.TM: {error}") from None
    return OcmfReading(
        at_utc=local.astimezone(UTC),
        time_status=match[4],
        kind=str(entry.get("TX", "")),
        obis=obis,
        kwh=Fraction(value) * _TO_KWH[unit],
        written=str(value),
        state=_word(entry, "ST"),
    )


__all__ = ["KeyFormatError", "OcmfError", "OcmfReading", "OcmfRecord", "parse_ocmf"]
