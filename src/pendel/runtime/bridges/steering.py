"""Brings each EVSE to what it shall do: which message, in which order, how often.

    TxDefaultProfile (ChargingOnly, limit >= 0) -> TxProfile in the station's dialect
        -> UpdateDynamicSchedule for each change, where the profile is dynamic

Lives on the network's loop. One order at a time per EVSE, always the newest wish; what was refused
or lost is tried again with a growing pause.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.peer import Answered, Failed
from pendel.comms.ocpp.release import Version
from pendel.runtime.bridges.dialects import Dialect, Manner, manner_of
from pendel.runtime.bridges.wire_profiles import (
    DEFAULT_STACK,
    Wish,
    default_profile,
    in_unit,
    limit_kw,
    set_request,
    tx_profile,
    update,
    v2x_period,
)
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import OfflineError, typed_order

LOG = logging.getLogger("pendel.ocpp")
PAUSE_S = 0.5
"""Shortest time between two orders for one EVSE; a station may ask for more."""
PAUSE_ASKED_MAX_S = 60.0
RETRY_FIRST_S, RETRY_MAX_S = 5.0, 300.0
ORDER_TIMEOUT_S = 20.0
WATCHDOG_S = 3_600
"""A dynamic profile nobody refreshes runs out (K28), and the default below it takes over."""
REFRESH_S = 900.0
OFFLINE_S = 120
"""A station that lost its line keeps a V2X setpoint this long, then only charges (Q11)."""


@dataclass(slots=True)
class Line:
    """What one EVSE shall do and what it was told. sent: the last content the station accepted."""

    station_id: str
    evse_id: int
    wish: Wish | None = None
    cause: str = ""
    transaction_id: str = ""
    default_kw: float | None = None
    default_refused: bool = False
    default_cleared: bool = False
    dynamic_refused: bool = False
    manner: Manner | None = None
    profile: dict[str, Any] | None = None
    sent: dict[str, Any] = field(default_factory=dict)
    sent_s: float = -1e9
    failures: int = 0
    not_before_s: float = 0.0
    trouble: str = ""
    busy: bool = False

    def forget(self, transaction_id: str) -> None:
        """Another transaction, or a station that booted: nothing is known to be installed."""
        self.transaction_id = transaction_id
        self.default_kw, self.profile, self.sent = None, None, {}
        self.default_refused = self.dynamic_refused = self.default_cleared = False
        self.failures, self.not_before_s = 0, 0.0
        self.manner = None


class Steering:
    """default_limit_kw: for a station and EVSE, what it may draw when nobody steers it."""

    def __init__(self, network: ChargingNetwork) -> None:
        self.lines: dict[tuple[str, int], Line] = {}
        self.default_limit_kw: dict[str, float] = {}
        self._network = network

    def line(self, station_id: str, evse_id: int) -> Line:
        """The line of an EVSE."""
        return self.lines.setdefault((station_id, evse_id), Line(station_id, evse_id))

    def booted(self, station_id: str) -> None:
        """Profiles of a transaction do not outlive a boot for sure: tell everything again."""
        for line in self.lines.values():
            if line.station_id == station_id:
                line.forget(line.transaction_id)

    async def want(self, station_id: str, evse_id: int, wish: Wish, cause: str) -> None:
        """A new wish for an EVSE; returns when the station follows or cannot."""
        line = self.line(station_id, evse_id)
        line.wish = wish
        if cause:
            line.cause = cause
        await self.drive(line)

    async def drive(self, line: Line) -> None:
        """Tell the station until it was told the newest wish. Only one at a time per EVSE."""
        if line.busy:
            return
        line.busy = True
        loop = asyncio.get_running_loop()
        try:
            while self._due(line, loop.time()):
                wait_s = line.sent_s + self._pause_s(line) - loop.time()
                if wait_s > 0.0:
                    await asyncio.sleep(wait_s)
                if not await self._step(line):
                    break
        except (OfflineError, OverflowError) as error:
            line.trouble = str(error)
        finally:
            line.busy = False

    def _due(self, line: Line, now_s: float) -> bool:
        """Whether the station was not yet told the newest wish, and may be now."""
        if line.wish is None or now_s < line.not_before_s:
            return False
        if not self._network.online(line.station_id):
            return False
        station = self._network.csms.network.station(line.station_id)
        evse = station.evses.get(line.evse_id)
        if evse is None or not evse.transaction_id:
            return False
        if line.transaction_id != evse.transaction_id:
            line.forget(evse.transaction_id)
        if self._manner(line, station).dialect is Dialect.METER:
            return False
        watched = line.profile is not None and line.profile["chargingProfileKind"] == "Dynamic"
        stale = watched and now_s - line.sent_s > REFRESH_S
        return line.profile is None or stale or self._content(line) != line.sent

    async def _step(self, line: Line) -> bool:
        """One order; False when the station refused and it must wait."""
        station = self._network.csms.network.station(line.station_id)
        wish = self._wish(line)
        manner, version = self._manner(line, station), station.ocpp_version
        default_kw = self.default_limit_kw.get(line.station_id, wish.charge_max_kw)
        if line.default_kw is None and not line.default_refused:
            number = first_id(station) + line.evse_id * 10 + 1
            profile = default_profile(number, default_kw, version, manner.unit)
            accepted = await self._set(line, profile)
            if accepted is None:
                return False
            if not accepted and version != "1.6" and not line.default_cleared:
                line.default_cleared = True
                return await self._make_room(line)
            line.default_kw = default_kw if accepted else None
            line.default_refused = not accepted
            line.sent_s = -1e9  # what goes on top follows at once
            return True
        dynamic = self._dynamic(line, station)
        content = self._content(line)
        same = line.profile is not None and content["fixed"] == line.sent.get("fixed")
        if dynamic and same and content["update"]:
            return await self._update(line, content)
        number = first_id(station) + line.evse_id * 10 + 2
        profile = tx_profile(number, line.transaction_id, wish, manner, version, dynamic)
        self._bound(profile, station, dynamic, wish)
        accepted = await self._set(line, profile)
        if accepted:
            line.profile, line.sent = profile, content
            return self._told(line)
        return self._refused(line, manner, dynamic, accepted is None)

    async def _make_room(self, line: Line) -> bool:
        """A default of somebody before us holds the place: 2.x refuses a second (K01.FR.06)."""
        for evse_id in (line.evse_id, 0):
            criteria = {
                "evseId": evse_id,
                "chargingProfilePurpose": "TxDefaultProfile",
                "stackLevel": DEFAULT_STACK,
            }
            payload = {"chargingProfileCriteria": criteria}
            if await self._order(line, "ClearChargingProfile", payload) is None:
                return False
        return True

    def _bound(self, profile: dict[str, Any], station: Station, dynamic: bool, wish: Wish) -> None:
        """V2X profiles run out by themselves when the line or the server is gone."""
        if station.ocpp_version != "2.1":
            return
        if dynamic:
            profile["chargingSchedule"][0]["duration"] = WATCHDOG_S
        if wish.bidirectional and _supports(station, "MaxOfflineDuration"):
            profile["maxOfflineDuration"] = OFFLINE_S

    async def _set(self, line: Line, profile: dict[str, Any]) -> bool | None:
        """SetChargingProfile; True accepted, False refused, None no answer."""
        station = self._network.csms.network.station(line.station_id)
        payload = set_request(line.evse_id, profile, station.ocpp_version)
        return await self._order(line, "SetChargingProfile", payload)

    async def _update(self, line: Line, content: dict[str, Any]) -> bool:
        if line.profile is None:
            return False
        payload = {"chargingProfileId": line.profile["id"], "scheduleUpdate": content["update"]}
        accepted = await self._order(line, "UpdateDynamicSchedule", payload)
        if accepted:
            line.sent = content
            return self._told(line)
        line.profile = None  # the station lost it, or never really took it: install it anew
        return self._refused(line, None, False, accepted is None)

    async def _order(self, line: Line, action: str, payload: dict[str, Any]) -> bool | None:
        station = self._network.csms.network.station(line.station_id)
        version = Version(station.ocpp_version)
        typed = typed_order(version, action, payload)
        causes = (line.cause,) if line.cause else ()
        line.sent_s = asyncio.get_running_loop().time()
        event = await self._network.order(
            line.station_id, action, typed, ORDER_TIMEOUT_S, causes=causes
        )
        if isinstance(event, Answered):
            accepted = bool(event.response.status == "Accepted")
            line.trouble = "" if accepted else f"{action}: {event.response.status}"
            wait_s = _asked_pause_s(event.response)
            if wait_s is not None:  # the same again, later
                line.not_before_s = asyncio.get_running_loop().time() + wait_s
                return None
            return accepted
        line.trouble = f"{action}: {event.code}" if isinstance(event, Failed) else action
        silent = isinstance(event, Failed) and event.code in ("Timeout", "ConnectionLost")
        return None if silent else False

    def _told(self, line: Line) -> bool:
        line.failures, line.not_before_s = 0, 0.0
        station = self._network.csms.network.station(line.station_id)
        if line.profile is not None and "id" in line.profile:
            station.dynamic[line.profile["id"]] = line.sent["update"]
        return True

    def _refused(self, line: Line, manner: Manner | None, dynamic: bool, silent: bool) -> bool:
        """Try another form at once where there is one, else the same later."""
        if not silent and dynamic and not line.dynamic_refused:
            line.dynamic_refused = True
            return True
        watts = manner is not None and manner.unit == "W" and manner.dialect is Dialect.LIMIT
        if not silent and watts:
            line.manner = Manner(Dialect.LIMIT, "A")
            line.default_kw, line.default_refused = None, False
            return True
        line.failures += 1
        pause_s = min(RETRY_FIRST_S * 2.0 ** (line.failures - 1), RETRY_MAX_S)
        again_s = asyncio.get_running_loop().time() + pause_s
        line.not_before_s = max(line.not_before_s, again_s)
        LOG.warning("station %s, EVSE %d: %s", line.station_id, line.evse_id, line.trouble)
        return False

    def _wish(self, line: Line) -> Wish:
        """The wish; without a default below, nothing that could export is installed."""
        wish = line.wish or Wish(0.0, 0.0, 0.0, False)
        if line.default_refused and wish.bidirectional:
            return Wish(max(wish.power_kw, 0.0), wish.charge_max_kw, 0.0, False)
        return wish

    def _content(self, line: Line) -> dict[str, Any]:
        """What the station must know: the changing numbers, and all the rest of the period."""
        wish = self._wish(line)
        manner = line.manner or Manner(Dialect.LIMIT, "W")
        changing = update(wish, manner.unit)
        if manner.dialect is Dialect.NEGATIVE_LIMIT:
            changing = {"limit": in_unit(limit_kw(wish, manner), manner.unit)}
        fixed = {k: v for k, v in v2x_period(wish, manner.unit).items() if k not in changing}
        return {"fixed": fixed, "update": changing}

    def _dynamic(self, line: Line, station: Station) -> bool:
        if station.ocpp_version != "2.1" or line.dynamic_refused:
            return False
        return _supports(station, "DynamicProfiles")

    def _manner(self, line: Line, station: Station) -> Manner:
        if line.manner is None:
            line.manner = manner_of(station.vendor, station.model, station.ocpp_version)
        return line.manner

    def _pause_s(self, line: Line) -> float:
        station = self._network.csms.network.station(line.station_id)
        told = station.variable("SmartChargingCtrlr", "UpdateRateLimit")
        try:
            asked_s = 0.0 if told is None else float(told)
        except ValueError:
            asked_s = 0.0
        return min(max(PAUSE_S, asked_s), PAUSE_ASKED_MAX_S)


def first_id(station: Station) -> int:
    """Ids up to MaxExternalConstraintsId belong to the station (K01.FR.80)."""
    told = station.variable("SmartChargingCtrlr", "MaxExternalConstraintsId")
    try:
        return 0 if told is None else max(int(told), 0)
    except ValueError:
        return 0


def _supports(station: Station, feature: str) -> bool:
    """Whether a station has a feature of block K, as far as it said."""
    told = station.variable("SmartChargingCtrlr", f"SupportsFeature[{feature}]")
    return told is None or told.lower() == "true"


def _asked_pause_s(response: Any) -> float | None:
    """How long a station that was told too often wants to be left alone [s] (K01.FR.57 to FR.59);
    None where that is not what it said."""
    info = getattr(response, "statusInfo", UNSET)
    if info is UNSET or info.reasonCode != "RateLimitExceeded":
        return None
    words = "" if info.additionalInfo is UNSET else str(info.additionalInfo)
    seconds = words.split(" ", 1)[0]
    return min(float(seconds), RETRY_MAX_S) if seconds.isdigit() else RETRY_FIRST_S
