"""What stations metered, from the log: exact registers per EVSE, signed where they are signed.

Reads the messages as they came (`StationMessage.payload`), so the digits of the wire are the
digits of the bill. Of a value that is signed and plain the signed one counts (OCA note 5.2). What
cannot be used is kept with its reason.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pendel.comms.ocpp.backend.metering import EXPORT_REGISTER, IMPORT_REGISTER, in_utc
from pendel.records import StationMessage
from pendel.settle.ocmf import KeyFormatError, OcmfError, parse_ocmf
from pendel.tariff.exact import NANO

ACTIONS = frozenset({"TransactionEvent", "MeterValues", "StartTransaction", "StopTransaction"})
REFUSED_MAX = 100_000
MULTIPLIER_MAX = 12
NANO_MAX = 10**9 * NANO
YEAR_MIN, YEAR_MAX = 2000, 2199
_KWH = {"Wh": Decimal("0.001"), "kWh": Decimal(1), "MWh": Decimal(1000)}
_PHASES = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
_DIRECTION = {IMPORT_REGISTER: "import", EXPORT_REGISTER: "export"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One register of a device at a time [1e-9 kWh]. meter: names the counter; signed: verified
    with the station's public key; record_id: of the message."""

    at_utc: datetime
    direction: str
    nano: int
    meter: str
    transaction_id: str
    record_id: str
    signed: bool = False


@dataclass(frozen=True, slots=True)
class RefusedValue:
    """A value that was not used: in which record, what it said, why."""

    record_id: str
    device_id: str
    text: str
    reason: str


@dataclass(slots=True)
class Metered:
    """Marks per device ("station/evse", evse 0 = the station's main meter) in order of arrival.

    keys: public key of the meters of a station, in any form, by station_id."""

    keys: Mapping[str, bytes] = field(default_factory=dict)
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    refused: list[RefusedValue] = field(default_factory=list)
    _evse_of: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, record: StationMessage) -> None:
        """Read one message; whatever it holds, nothing is raised."""
        if record.outgoing:
            return
        for reason in record.refused:
            self._refuse(record, record.station_id, record.payload[:200], reason)
        if record.action not in ACTIONS:
            return
        try:
            payload = json.loads(record.payload, parse_float=Decimal, parse_int=Decimal)
            self._read(record, payload)
        except _UNREADABLE as error:
            if not record.refused:
                text = f"{record.action}: {type(error).__name__}"
                self._refuse(record, record.station_id, record.payload[:200], text)

    def forget(self, station_id: str, transaction_id: str) -> None:
        """A transaction is over: nothing more of it comes."""
        self._evse_of.pop((station_id, transaction_id), None)

    def _read(self, record: StationMessage, payload: Mapping[str, Any]) -> None:
        station, transaction = record.station_id, record.transaction_id
        evse: Any = payload.get("evseId", payload.get("connectorId"))
        if record.action == "TransactionEvent":
            transaction = str(payload["transactionInfo"]["transactionId"])
            evse = payload.get("evse", {}).get("id")
        elif "transactionId" in payload:
            transaction = str(payload["transactionId"])
        if evse is None:
            evse = self._evse_of.get((station, transaction))
        if evse is None:
            return
        if transaction:
            self._evse_of[station, transaction] = int(evse)
        device = f"{station}/{int(evse)}"
        values = payload.get("meterValue", payload.get("transactionData", []))
        for name in ("meterStart", "meterStop"):
            if name in payload:
                plain = {"value": payload[name], "unit": "Wh"}
                values = [*values, {"timestamp": payload["timestamp"], "sampledValue": [plain]}]
        for value in values:
            self._meter_value(record, device, transaction, value)

    def _meter_value(
        self, record: StationMessage, device: str, transaction: str, value: Mapping[str, Any]
    ) -> None:
        at_utc = in_utc(datetime.fromisoformat(value["timestamp"]))
        if not YEAR_MIN <= at_utc.year <= YEAR_MAX:
            self._refuse(record, device, value["timestamp"], "the clock of the station is wrong")
            return
        phases: dict[str, int] = {}
        whole: set[str] = set()
        for sampled in value["sampledValue"]:
            direction = _DIRECTION.get(sampled.get("measurand", IMPORT_REGISTER))
            main = device.endswith("/0")
            place = sampled.get("location", "Outlet")
            signed = _signed_text(sampled)
            if signed is not None:
                if self._signed(record, device, transaction, signed):
                    whole |= {"import", "export"} if direction is None else {direction}
                continue
            if direction is None or (place != "Outlet" and not (main and place == "Inlet")):
                continue
            nano = _nano(sampled)
            if isinstance(nano, str):
                self._refuse(record, device, str(sampled.get("value"))[:100], nano)
            elif sampled.get("phase") in _PHASES:
                phases[direction] = phases.get(direction, 0) + nano
            elif "phase" not in sampled and direction not in whole:
                whole.add(direction)
                mark = Mark(at_utc, direction, nano, device, transaction, record.id)
                self._mark(record, device, mark)
        for direction, nano in phases.items():
            if direction not in whole:
                mark = Mark(at_utc, direction, nano, device, transaction, record.id)
                self._mark(record, device, mark)

    def _signed(self, record: StationMessage, device: str, transaction: str, text: str) -> bool:
        """Marks of a signed record; False where it cannot be read or its signature is wrong."""
        try:
            ocmf = parse_ocmf(text)
            key = self.keys.get(record.station_id)
            verified = key is not None and ocmf.is_signed_by(key)
        except (OcmfError, KeyFormatError) as error:
            self._refuse(record, device, text[:200], str(error))
            return False
        if key is not None and not verified:
            self._refuse(record, device, text[:200], "the signature does not fit the public key")
            return False
        serial = str(ocmf.fields.get("MS", ocmf.fields.get("GS", "")))
        for reading in ocmf.readings:
            if reading.state != "G" or reading.obis.interval:
                reason = f"state {reading.state} of the meter, register {reading.obis.code}"
                self._refuse(record, device, reading.written, reason)
                continue
            meter = f"{serial}#{transaction}" if reading.obis.transaction else serial or device
            nano = round(reading.kwh * NANO)
            mark = Mark(
                reading.at_utc, reading.direction, nano, meter, transaction, record.id, verified
            )
            self._mark(record, device, mark)
        return True

    def _mark(self, record: StationMessage, device: str, mark: Mark) -> None:
        if mark.nano > NANO_MAX:
            self._refuse(record, device, str(mark.nano), "beyond every meter")
            return
        self.marks.setdefault(device, []).append(mark)

    def _refuse(self, record: StationMessage, device: str, text: str, reason: str) -> None:
        if len(self.refused) < REFUSED_MAX:
            self.refused.append(RefusedValue(record.id, device, text, reason))


def metered(records: Iterable[Any], keys: Mapping[str, bytes] | None = None) -> Metered:
    """All that the stations of a log metered."""
    found = Metered(keys or {})
    for record in records:
        if isinstance(record, StationMessage):
            found.take(record)
    return found


def _signed_text(sampled: Mapping[str, Any]) -> str | None:
    """The OCMF record in a sampled value of 2.x (base64) or 1.6 (text, hex or base64), or None."""
    told = sampled.get("signedMeterValue")
    if isinstance(told, Mapping):
        return _decoded(str(told.get("signedMeterData", "")))
    if sampled.get("format") == "SignedData":
        return _decoded(str(sampled.get("value", "")))
    return None


def _decoded(text: str) -> str:
    if text.startswith("OCMF|"):
        return text
    for decode in (bytes.fromhex, lambda value: base64.b64decode(value, validate=True)):
        try:
            found = decode(text).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if found.startswith("OCMF|"):
            return found
    return text


def _nano(sampled: Mapping[str, Any]) -> int | str:
    """A register value [1e-9 kWh], or why it is none."""
    measure = sampled.get("unitOfMeasure", {})
    unit = sampled.get("unit", measure.get("unit", "Wh"))
    multiplier = int(measure.get("multiplier", 0))
    try:
        value = Decimal(sampled["value"])
    except (InvalidOperation, KeyError, TypeError, ValueError):
        return "no number"
    if unit not in _KWH:
        return f"unit {str(unit)[:20]!r}"
    if abs(multiplier) > MULTIPLIER_MAX:
        return f"multiplier {multiplier}"
    if not value.is_finite() or value.adjusted() > 30:
        return "not finite, or beyond every meter"
    if value < 0:
        return "negative; the direction is the register"
    return round(value.scaleb(multiplier) * _KWH[unit] * NANO)
