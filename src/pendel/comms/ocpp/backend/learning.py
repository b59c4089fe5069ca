"""From a message of a station to what is known: the only code that changes the network's state.

The live server and the replay of the log run the same functions, so a restart knows exactly what
was known before. Each returns what it put aside (quarantined) and why.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from pendel.comms.ocpp.backend.external_limits import learn_notice, learn_release, learn_report
from pendel.comms.ocpp.backend.metering import Sample, in_utc, register_problem, samples
from pendel.comms.ocpp.backend.stations import (
    ENDED_KEPT,
    VARIABLES_MAX,
    DerAlarm,
    Network,
    Station,
    variable_name,
)
from pendel.comms.ocpp.backend.transactions import Transaction
from pendel.comms.ocpp.release import Version

UNKNOWN_TRANSACTION = "a transaction that was never started here"


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One message on its way into the state. transaction_id: that of a 1.6 transaction (given by
    this server); record_id and at_utc: of the record that keeps it."""

    network: Network
    station: Station
    ocpp_version: str
    action: str
    payload: Any
    record_id: str
    at_utc: datetime
    transaction_id: str = ""


Learn = Callable[[Heard], list[str]]


def learn(heard: Heard) -> list[str]:
    """Take a message in. Returns what was put aside; messages that say nothing change nothing."""
    heard.station.ocpp_version = heard.ocpp_version
    table = _LEARN_16 if heard.ocpp_version == "1.6" else _LEARN_2
    handler = table.get(heard.action)
    return [] if handler is None else handler(heard)


def digest(action: str, payload: Any) -> bytes:
    """Eight bytes that tell one message from another (1.6 has no sequence numbers)."""
    return hashlib.blake2b(msgspec.json.encode([action, payload]), digest_size=8).digest()


def transaction_of(
    heard: Heard, transaction_id: str, evse_id: int, at_utc: datetime
) -> Transaction:
    """The transaction of an event, made when this is the first one that came."""
    station = heard.station
    found = station.transactions.get(transaction_id)
    if found is None:
        found = station.transactions[transaction_id] = Transaction(
            station.station_id, transaction_id, evse_id, heard.ocpp_version, heard.record_id, at_utc
        )
        if len(station.transactions) > ENDED_KEPT:
            oldest = next((t for t in station.transactions.values() if not t.is_open), None)
            if oldest is not None:
                del station.transactions[oldest.transaction_id]
    if evse_id and not found.evse_id:
        found.evse_id = evse_id
    return found


def _boot_2(heard: Heard) -> list[str]:
    told = heard.payload.chargingStation
    _identity(heard.station, told.vendorName, told.model, told.serialNumber, told.firmwareVersion)
    return []


def _boot_16(heard: Heard) -> list[str]:
    told = heard.payload
    _identity(
        heard.station,
        told.chargePointVendor,
        told.chargePointModel,
        told.chargePointSerialNumber,
        told.firmwareVersion,
    )
    return []


def _identity(station: Station, vendor: str, model: str, serial: Any, firmware: Any) -> None:
    station.booted = True
    station.vendor, station.model = vendor, model
    station.serial_number = "" if serial is UNSET else serial
    station.firmware = "" if firmware is UNSET else firmware


def _status_2(heard: Heard) -> list[str]:
    told = heard.payload
    heard.station.evse(told.evseId).status[told.connectorId] = told.connectorStatus
    return []


def _status_16(heard: Heard) -> list[str]:
    told = heard.payload
    heard.station.evse(told.connectorId).status[1] = told.status
    if told.errorCode != "NoError":
        heard.station.note("fault", told)
    return []


def _transaction_event(heard: Heard) -> list[str]:
    told = heard.payload
    at_utc, info = in_utc(told.timestamp), told.transactionInfo
    evse_id = 0 if told.evse is UNSET else told.evse.id
    transaction = transaction_of(heard, info.transactionId, evse_id, at_utc)
    newest = not transaction.sequence.highs or told.seqNo > transaction.sequence.highs[-1]
    transaction.sequence.add(told.seqNo)
    refused: list[str] = []
    if told.meterValue is not UNSET:
        found, refused = samples(told.meterValue)
        refused += _take(heard, transaction, told.seqNo, found)
    if told.idToken is not UNSET and not transaction.id_token:
        transaction.id_token = told.idToken.idToken
    if told.eventType == "Started":
        transaction.started_utc, transaction.started_seq = at_utc, told.seqNo
    if told.eventType == "Ended":
        transaction.ended_utc = at_utc
        if info.stoppedReason is not UNSET:
            transaction.stopped_reason = info.stoppedReason
    if newest and info.chargingState is not UNSET:
        transaction.charging_state = info.chargingState
    mode = getattr(info, "operationMode", UNSET)
    if newest and mode is not UNSET:
        transaction.operation_mode = mode
    _place(heard, transaction)
    transaction.refused += len(refused)
    return refused


def _place(heard: Heard, transaction: Transaction) -> None:
    """Keep the EVSE's word about which transaction runs on it (the one that began last)."""
    if not transaction.evse_id:
        return
    evse = heard.station.evse(transaction.evse_id)
    evse.heard_utc = heard.at_utc
    if transaction.ended_utc is None:
        if evse.transaction_id == transaction.transaction_id:
            return
        other = heard.station.transactions.get(evse.transaction_id)
        newer = other is not None and other.is_open
        if not newer or other is None or other.begun_utc <= transaction.begun_utc:
            evse.transaction_id = transaction.transaction_id
    elif evse.transaction_id == transaction.transaction_id:
        evse.transaction_id, evse.needs, evse.needs_utc = "", None, None
        evse.soc = evse.needs_soc = None


def _take(
    heard: Heard, transaction: Transaction, order: float, found: Iterable[Sample]
) -> list[str]:
    refused: list[str] = []
    for index, sample in enumerate(found):
        reasons = transaction.take((order, index), sample)
        if reasons:
            refused += reasons
        _seen(heard, transaction.evse_id, sample)
    return refused


def _seen(heard: Heard, evse_id: int, sample: Sample) -> None:
    """The newest measurement of an EVSE."""
    evse = heard.station.evse(evse_id)
    evse.heard_utc = heard.at_utc
    if evse.measured_utc is not None and sample.at_utc < evse.measured_utc:
        return
    if sample.power_w is not None:
        evse.power_w, evse.measured_utc = sample.power_w, sample.at_utc
    if sample.soc is not None:
        evse.soc, evse.measured_utc = sample.soc, sample.at_utc


def _meter_2(heard: Heard) -> list[str]:
    evse_id = heard.payload.evseId
    found, refused = samples(heard.payload.meterValue, main=evse_id == 0)
    for sample in found:
        _seen(heard, evse_id, sample)
    return refused


def _start_16(heard: Heard) -> list[str]:
    told, station = heard.payload, heard.station
    at_utc = in_utc(told.timestamp)
    # A connector carries one transaction: one that is still open there will get no more events
    # unless its StopTransaction is under way, which is then taken as any other.
    transaction = transaction_of(heard, heard.transaction_id, told.connectorId, at_utc)
    station.starts_16[digest(heard.action, told)] = heard.transaction_id
    heard.network.transaction_number = max(
        heard.network.transaction_number, int(heard.transaction_id)
    )
    transaction.started_utc, transaction.id_token = at_utc, told.idTag
    transaction.digests.add(digest(heard.action, told))
    refused = _register_16(transaction, told.meterStart, at_utc, "meterStart")
    _place(heard, transaction)
    return refused


def _meter_16(heard: Heard) -> list[str]:
    told, station = heard.payload, heard.station
    found, refused = samples(told.meterValue)
    transaction = None
    if told.transactionId is not UNSET:
        transaction = station.transactions.get(str(told.transactionId))
        if transaction is None:
            refused.append(f"{UNKNOWN_TRANSACTION}: {told.transactionId}")
    if transaction is not None:
        transaction.digests.add(digest(heard.action, told))
        refused += _take_16(heard, transaction, found)
        transaction.refused += len(refused)
        return refused
    for sample in found:
        _seen(heard, told.connectorId, sample)
    return refused


def _stop_16(heard: Heard) -> list[str]:
    told, station = heard.payload, heard.station
    transaction = station.transactions.get(str(told.transactionId))
    if transaction is None:
        return [f"{UNKNOWN_TRANSACTION}: {told.transactionId}"]
    at_utc = in_utc(told.timestamp)
    refused: list[str] = []
    transaction.digests.add(digest(heard.action, told))
    if told.transactionData is not UNSET:
        found, refused = samples(told.transactionData)
        refused += _take_16(heard, transaction, found)
    refused += _register_16(transaction, told.meterStop, at_utc, "meterStop")
    transaction.ended_utc = at_utc
    transaction.stopped_reason = "Local" if told.reason is UNSET else told.reason
    _place(heard, transaction)
    transaction.refused += len(refused)
    return refused


def _take_16(heard: Heard, transaction: Transaction, found: Iterable[Sample]) -> list[str]:
    """1.6: import counts from meterStart to meterStop; values between only serve the export."""
    refused: list[str] = []
    for index, sample in enumerate(found):
        between = Sample(sample.at_utc, None, sample.export_wh, sample.power_w, sample.soc)
        refused += transaction.take((sample.at_utc.timestamp(), index), between)
        if sample.import_wh is not None and transaction.is_open:
            transaction.imported.take((sample.at_utc.timestamp(), index), sample.import_wh)
        _seen(heard, transaction.evse_id, sample)
    return refused


def _register_16(transaction: Transaction, value: int, at_utc: datetime, name: str) -> list[str]:
    problem = register_problem(float(value))
    if problem is not None:
        return [f"{name}: {problem}"]
    register = transaction.imported
    if name == "meterStop" and register.first_order is not None:
        if value < register.first_wh:
            return [f"{name}: {value} Wh is below the start, {register.first_wh:g} Wh"]
        # The end is what counts, whatever a value between said.
        register.last_order = max(register.last_order, (at_utc.timestamp(), 1 << 30))
        register.last_wh = float(value)
        return []
    refused = register.take((at_utc.timestamp(), -1), float(value))
    return [] if refused is None else [f"{name}: {refused}"]


def _needs(heard: Heard) -> list[str]:
    evse = heard.station.evse(heard.payload.evseId)
    evse.needs, evse.needs_utc = heard.payload.chargingNeeds, heard.at_utc
    evse.needs_soc, evse.heard_utc = evse.soc, heard.at_utc
    transaction = heard.station.transactions.get(evse.transaction_id)
    if transaction is not None:
        evse.needs_import_kwh = transaction.imported.kwh
        evse.needs_export_kwh = transaction.exported.kwh
    else:
        evse.needs_import_kwh = evse.needs_export_kwh = 0.0
    return []


def _report(heard: Heard) -> list[str]:
    told = heard.payload.reportData
    variables = heard.station.variables
    for entry in [] if told is UNSET else told:
        place = entry.component.evse
        evse_id = 0 if place is UNSET else place.id
        for attribute in entry.variableAttribute:
            kind = attribute.type
            if (kind is UNSET or kind == "Actual") and attribute.value is not UNSET:
                key = (entry.component.name, evse_id, variable_name(entry.variable))
                if key in variables or len(variables) < VARIABLES_MAX:
                    variables[key] = attribute.value
    return []


def _external_limit(heard: Heard) -> list[str]:
    known, version = heard.station.external_limits, Version(heard.ocpp_version)
    learn_notice(known, heard.payload, version, heard.record_id, heard.at_utc)
    return []


def _external_limit_gone(heard: Heard) -> list[str]:
    learn_release(heard.station.external_limits, heard.payload)
    return []


def _profiles(heard: Heard) -> list[str]:
    for profile in heard.payload.chargingProfile:
        if profile.id in heard.station.profiles or len(heard.station.profiles) < 1_000:
            heard.station.profiles[profile.id] = profile
    learn_report(heard.station.external_limits, heard.payload, heard.record_id, heard.at_utc)
    return []


def _der_started(heard: Heard) -> list[str]:
    told, controls = heard.payload, heard.station.der_controls
    if told.controlId in controls or len(controls) < 1_000:
        controls[told.controlId] = told
    return []


def _der_alarm(heard: Heard) -> list[str]:
    told, station = heard.payload, heard.station
    event = "" if told.gridEventFault is UNSET else told.gridEventFault
    ended = told.alarmEnded is True
    since_utc = in_utc(told.timestamp)
    station.der_alarm = (
        None if ended else DerAlarm(told.controlType, event, since_utc, heard.record_id)
    )
    return _notice(heard)


def _notice(heard: Heard) -> list[str]:
    heard.station.note(heard.action, heard.payload)
    return []


_LEARN_16: dict[str, Learn] = {
    "BootNotification": _boot_16,
    "StatusNotification": _status_16,
    "StartTransaction": _start_16,
    "MeterValues": _meter_16,
    "StopTransaction": _stop_16,
    "FirmwareStatusNotification": _notice,
    "DiagnosticsStatusNotification": _notice,
    "SecurityEventNotification": _notice,
    "LogStatusNotification": _notice,
    "SignedFirmwareStatusNotification": _notice,
}
_LEARN_2: dict[str, Learn] = {
    "BootNotification": _boot_2,
    "StatusNotification": _status_2,
    "TransactionEvent": _transaction_event,
    "MeterValues": _meter_2,
    "NotifyEVChargingNeeds": _needs,
    "NotifyReport": _report,
    "NotifyChargingLimit": _external_limit,
    "ClearedChargingLimit": _external_limit_gone,
    "ReportChargingProfiles": _profiles,
    "NotifyDERStartStop": _der_started,
    "NotifyDERAlarm": _der_alarm,
    **dict.fromkeys(
        (
            "NotifyEvent",
            "SecurityEventNotification",
            "FirmwareStatusNotification",
            "LogStatusNotification",
            "NotifyEVChargingSchedule",
            "ReportDERControl",
            "NotifyPriorityCharging",
            "NotifyCustomerInformation",
            "NotifyMonitoringReport",
            "NotifyDisplayMessages",
            "ReservationStatusUpdate",
            "PublishFirmwareStatusNotification",
            "NotifySettlement",
            "BatterySwap",
        ),
        _notice,
    ),
}
