"""What a 2.x station tells beside transactions: cars, variables, limits, DER controls, streams."""

from msgspec import UNSET

from pendel.comms.ocpp.backend.car_talk import needs_told, schedule_told
from pendel.comms.ocpp.backend.external_limits import learn_notice, learn_release, learn_report
from pendel.comms.ocpp.backend.heard import Heard, Learn
from pendel.comms.ocpp.backend.metering import in_utc
from pendel.comms.ocpp.backend.stations import DerAlarm, variable_name
from pendel.comms.ocpp.release import Version

KEPT_MAX = 1_000
"""Profiles, and DER controls, that are remembered of a station."""


def _needs(heard: Heard) -> list[str]:
    needs_told(heard.station, heard.payload, heard.at_utc)
    return []


def _ev_schedule(heard: Heard) -> list[str]:
    schedule_told(heard.station, heard.payload, Version(heard.ocpp_version))
    return notice(heard)


def _report(heard: Heard) -> list[str]:
    told = heard.payload.reportData
    for entry in [] if told is UNSET else told:
        place = entry.component.evse
        evse_id = 0 if place is UNSET else place.id
        for attribute in entry.variableAttribute:
            kind = attribute.type
            if (kind is UNSET or kind == "Actual") and attribute.value is not UNSET:
                heard.station.know(
                    entry.component.name, evse_id, variable_name(entry.variable), attribute.value
                )
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
        if profile.id in heard.station.profiles or len(heard.station.profiles) < KEPT_MAX:
            heard.station.profiles[profile.id] = profile
    learn_report(heard.station.external_limits, heard.payload, heard.record_id, heard.at_utc)
    return []


def _der_started(heard: Heard) -> list[str]:
    told, controls = heard.payload, heard.station.der_controls
    if told.controlId in controls or len(controls) < KEPT_MAX:
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
    return notice(heard)


def notice(heard: Heard) -> list[str]:
    """Remember the newest messages of a kind."""
    heard.station.note(heard.action, heard.payload)
    return []


def _stream_opened(heard: Heard) -> list[str]:
    heard.station.open_stream(heard.payload.constantStreamData, heard.at_utc)
    return []


def _stream_closed(heard: Heard) -> list[str]:
    heard.station.streams.pop(heard.payload.id, None)
    return []


def _streamed(heard: Heard) -> list[str]:
    return heard.station.streamed(heard.payload)


TOLD: dict[str, Learn] = {
    "NotifyEVChargingNeeds": _needs,
    "NotifyEVChargingSchedule": _ev_schedule,
    "NotifyReport": _report,
    "NotifyChargingLimit": _external_limit,
    "ClearedChargingLimit": _external_limit_gone,
    "ReportChargingProfiles": _profiles,
    "NotifyDERStartStop": _der_started,
    "OpenPeriodicEventStream": _stream_opened,
    "ClosePeriodicEventStream": _stream_closed,
    "NotifyPeriodicEventStream": _streamed,
    "NotifyDERAlarm": _der_alarm,
    **dict.fromkeys(
        (
            "NotifyEvent",
            "SecurityEventNotification",
            "FirmwareStatusNotification",
            "LogStatusNotification",
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
        notice,
    ),
}
