"""What is shown of real stations and their transactions: plain data for the API."""

from datetime import datetime
from typing import Any

from pendel.api.views import utc_or_none
from pendel.comms.ocpp.backend.stations import Evse, Station
from pendel.comms.ocpp.backend.transactions import Transaction
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_duties import StationDuties

KWH_DIGITS = 6
TOO_SLOW = 3
"""A stream whose held-back values grew so often in a row is too slow (N15.FR.05)."""


def completed(items: list[dict[str, Any]], network: ChargingNetwork | None) -> list[dict[str, Any]]:
    """Stations of the runtime with what their own line says (contract: GET /api/v1/stations)."""
    if network is None:
        return items
    return [item if item["simulated"] else _completed(item, network) for item in items]


def _completed(item: dict[str, Any], network: ChargingNetwork) -> dict[str, Any]:
    station_id = str(item["station_id"])
    station = network.csms.network.stations.get(station_id)
    presence = network.presence.get(station_id)
    item["connected"] = network.online(station_id)
    if presence is not None:
        item["last_seen_utc"] = utc_or_none(presence.last_seen_utc)
        item["deviations"] = presence.deviations
        item["last_deviation"] = presence.last_deviation or None
    item.update(_security(station_id, network))
    item.update(_settings(station_id, network))
    if station is None:
        return item
    line = "" if presence is None else presence.ocpp_version
    item["ocpp_version"] = line or station.ocpp_version or None
    item["vendor"], item["model"] = station.vendor, station.model
    item["firmware_version"] = station.firmware
    known = {entry["evse_id"]: entry for entry in item["evses"]}
    for evse in list(station.evses.values()):  # a copy: another thread adds to it
        if evse.evse_id > 0:
            entry = known.setdefault(evse.evse_id, _unseen(evse.evse_id))
            _complete_evse(entry, evse)
    item["evses"] = [known[evse_id] for evse_id in sorted(known)]
    item["external_limits"] = external_limits(station, network.now_utc())
    return item


def external_limits(station: Station, now_utc: datetime) -> list[dict[str, Any]]:
    """Limits that others set at a station and that hold now (OCPP 2.x, K11 and K27)."""
    shown = []
    known = list(station.external_limits.values())  # a copy: another thread adds to it
    for limit in sorted(known, key=lambda each: each.at_utc):
        import_kw, export_kw = limit.most_kw(now_utc)
        shown.append(
            {
                "evse_id": limit.evse_id,
                "source": limit.source,
                "local_generation": limit.is_generation,
                "grid_critical": limit.critical,
                "import_limit_kw": import_kw,
                "export_limit_kw": export_kw,
                "since_utc": utc_or_none(limit.at_utc),
                "record_id": limit.record_id,
            }
        )
    return shown


def _security(station_id: str, network: ChargingNetwork) -> dict[str, Any]:
    """By which profile the station is there, when its certificate ends, who was turned away."""
    door, rejected = network.door, network.watch.rejections.get(station_id)
    link = None if door is None else door.links.get(station_id)
    shown = None if link is None else link.certificate
    configured = network.policy.stations.get(station_id)
    known = network.csms.network.stations.get(station_id)
    alarms = [] if known is None else list(known.notices.get("alarms", ()))
    return {
        "security_profile": None if link is None else link.security_profile,
        "least_security_profile": network.watch.least_profile(station_id),
        "certificate_not_after_utc": utc_or_none(None if shown is None else shown.not_after_utc),
        "lenient": configured is not None and configured.lenient,
        "rejections": 0 if rejected is None else rejected.count,
        "last_rejection": None if rejected is None else rejected.reason,
        "last_alarm": alarms[-1].text if alarms else None,
    }


def _settings(station_id: str, network: ChargingNetwork) -> dict[str, Any]:
    """What the station was told at its boot and shall be told, how it meters, its list."""
    station = network.csms.network.stations.get(station_id)
    duties = network.duties
    found = duties.set_up.get(station_id) if isinstance(duties, StationDuties) else None
    return {
        "boot": network.policy.boot_status(station_id).lower(),
        "boot_told": (station.boot.lower() or None) if station is not None else None,
        "metering": None if found is None else found.metering or None,
        "metering_refused": {} if found is None else found.refused,
        "local_list_version": 0 if station is None else station.local_list.version,
        "local_list": (found.local_list or None) if found is not None else None,
    }


def _unseen(evse_id: int) -> dict[str, Any]:
    return {
        "evse_id": evse_id,
        "status": "Unknown",
        "session_id": None,
        "power_kw": None,
        "setpoint_kw": None,
        "soc": None,
    }


def _complete_evse(entry: dict[str, Any], evse: Evse) -> None:
    entry["status"] = evse.told_status
    if evse.power_w is not None:
        entry["power_kw"] = round(evse.power_w / 1e3, 3)
    if evse.soc is not None:
        entry["soc"] = round(evse.soc, 4)


def transactions(
    network: ChargingNetwork | None, station_id: str | None, sites: frozenset[str] | None
) -> list[dict[str, Any]]:
    """Transactions in order of station and begin (contract: GET /api/v1/transactions)."""
    if network is None:
        return []
    found = []
    for station in list(network.csms.network.stations.values()):
        configured = network.policy.stations.get(station.station_id)
        site_id = None if configured is None else configured.site_id
        if station_id is not None and station.station_id != station_id:
            continue
        if sites is not None and site_id not in sites:
            continue
        found += [transaction(each) for each in list(station.transactions.values())]
    return sorted(found, key=lambda item: str(item["key"]))


def transaction(of: Transaction) -> dict[str, Any]:
    """One transaction; energies from its registers, missing seqNos named."""
    begun = of.started_utc or of.first_seen_utc
    return {
        "key": f"{of.station_id}/{begun:%Y%m%dT%H%M%S}/{of.transaction_id}",
        "transaction_id": of.transaction_id,
        "station_id": of.station_id,
        "evse_id": of.evse_id,
        "ocpp_version": of.ocpp_version,
        "started_utc": utc_or_none(of.started_utc),
        "ended_utc": utc_or_none(of.ended_utc),
        "import_kwh": round(of.imported.kwh, KWH_DIGITS),
        "export_kwh": round(of.exported.kwh, KWH_DIGITS),
        "events": of.events,
        "gaps": of.gaps(),
        "refused": of.refused,
        "charging_state": of.charging_state or None,
        "operation_mode": of.operation_mode or None,
        "stopped_reason": of.stopped_reason or None,
    }


def streams(station_id: str, network: ChargingNetwork) -> list[dict[str, Any]]:
    """Open event streams of a station with their newest values (contract: 2.1, N11 to N15)."""
    station = network.csms.network.stations.get(station_id)
    found = []
    for stream in [] if station is None else list(station.streams.values()):
        place = None if station is None else station.monitors.get(stream.monitor_id)
        component, evse_id, variable = place or (None, None, None)
        found.append(
            {
                "key": f"{stream.id:012d}",
                "stream_id": stream.id,
                "monitor_id": stream.monitor_id,
                "component": component,
                "evse_id": evse_id or None,
                "variable": variable,
                "interval_s": stream.interval_s,
                "values": stream.values,
                "opened_utc": utc_or_none(stream.opened_utc),
                "count": stream.count,
                "pending": stream.pending,
                "too_slow": stream.growing >= TOO_SLOW,
                "newest": [
                    {"at_utc": utc_or_none(at_utc), "value": text}
                    for at_utc, text in list(stream.newest)
                ],
            }
        )
    return sorted(found, key=lambda item: str(item["key"]))
