"""What the backend does of itself with a station it accepted: metering, limits, lists of tokens.

    boot accepted -> ask what it can take, what it meters -> change what differs -> reboot if asked
    token set or deleted, list configured -> send the difference

A station that refuses is left as it is; what it refused is told with the station. One that does
not answer is left alone until it boots again. Setting up has no right of way: it is a handful of
short questions, each waited for at most QUESTION_TIMEOUT_S.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pendel.comms.ocpp.backend.local_list import Listing, list_order, listing
from pendel.comms.ocpp.backend.metering_setup import (
    LIMITS,
    LIMITS_16,
    LIMITS_FIRST,
    Aim,
    Place,
    aims,
    change,
    import_only,
    lacking,
    outcomes,
    places_in,
    question,
)
from pendel.comms.ocpp.peer import Answered, Event
from pendel.comms.ocpp.release import Version, messages_of
from pendel.config.ocpp import MeteringConfig
from pendel.runtime.network_orders import OfflineError

if TYPE_CHECKING:
    from pendel.runtime.network import ChargingNetwork

LOG = logging.getLogger("pendel.ocpp")
QUESTION_TIMEOUT_S = 5.0
LIST_TIMEOUT_S = 30.0
ASKED_MAX = 10
"""Variables in one question of ours, whatever the station says it can take."""
LIST_MAX = 10_000
"""Tokens in a station's list; what each station holds is remembered."""
REBOOT_AGAIN = timedelta(days=1)
METER, LIST = "meter", "list"
_TAKEN = ("Accepted", "RebootRequired")

Work = Callable[[str], Coroutine[Any, Any, None]]


class SilentError(Exception):
    """A station does not answer questions; leave it alone."""


@dataclass(slots=True)
class SetUp:
    """How a station stands. metering: "" (not asked), "asked", "set", "refused" (something was),
    "silent" (it does not answer) or "reboot" (it takes effect after one); refused: variable ->
    what it answered; local_list: what became of the last list, "" = none was sent."""

    metering: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    at_utc: datetime | None = None
    local_list: str = ""
    rebooted_utc: datetime | None = None
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class StationDuties:
    """Implements `network_presence.Duties`."""

    def __init__(self, network: "ChargingNetwork", metering: MeteringConfig) -> None:
        self.set_up: dict[str, SetUp] = {}
        self._network = network
        self._metering = metering
        self._waiting: set[tuple[str, str]] = set()
        self._made: dict[Version, tuple[tuple[int, datetime], Listing]] = {}

    def came(self, station_id: str) -> None:
        """A station connected: one that was accepted before sends no BootNotification."""
        station = self._network.csms.network.station(station_id)
        if station.booted and self._network.policy.boot_status(station_id) == "Accepted":
            known = self.set_up.get(station_id)
            if known is None or not known.metering:
                wanted = self._aims(station_id)
                if lacking(station, wanted):
                    self._once(station_id, METER, self._meter)
                elif wanted:
                    self._of(station_id).metering = "set"  # by what it told before
            self._once(station_id, LIST, self._list)

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A request was stored and answered."""
        station = self._network.csms.network.station(station_id)
        if action == "BootNotification" and station.booted:
            self._once(station_id, METER, self._meter)
            self._once(station_id, LIST, self._list)
        elif action == "StopTransaction":
            set_up = self.set_up.get(station_id)
            if set_up is not None and set_up.metering == "reboot":
                self._network.soon(self._reboot(station_id, set_up))

    def answered(self, station_id: str, action: str) -> None:
        """A station answered an order: one that cleared a customer needs another list."""
        if action == "CustomerInformation":
            self._once(station_id, LIST, self._list)

    def tokens_changed(self) -> None:
        """An operator set or deleted a token."""
        for station_id in self._network.links():
            self._once(station_id, LIST, self._list)

    async def send_list(self, station_id: str, full: bool) -> str:
        """Send a station what its list lacks, or all of it; what came of it. Raises OfflineError,
        OverflowError."""
        set_up = self._of(station_id)
        async with set_up.busy:
            set_up.local_list = await self._send_list(station_id, full)
            return set_up.local_list

    def _once(self, station_id: str, duty: str, work: Work) -> None:
        """Do a duty soon; one that waits already is not put beside itself, however often a
        station boots meanwhile."""
        if (station_id, duty) not in self._waiting:
            self._waiting.add((station_id, duty))
            self._network.soon(self._do(station_id, duty, work))

    async def _do(self, station_id: str, duty: str, work: Work) -> None:
        async with self._of(station_id).busy:
            self._waiting.discard((station_id, duty))
            await work(station_id)

    def _of(self, station_id: str) -> SetUp:
        return self.set_up.setdefault(station_id, SetUp())

    def _aims(self, station_id: str) -> list[Aim]:
        wanted, policy = self._metering, self._network.policy
        if not wanted.set_at_stations:
            return []
        version = Version(self._network.csms.network.station(station_id).ocpp_version)
        group = policy.tokens.master_group
        return aims(version, wanted.aligned_s, wanted.sampled_s, group)

    async def _meter(self, station_id: str) -> None:
        """Set a station's metering as far as it lets us."""
        wanted = self._aims(station_id)
        if not wanted:
            return
        set_up = self._of(station_id)
        set_up.metering, set_up.refused = "asked", {}
        set_up.at_utc = self._network.now_utc()
        try:
            await self._ask(station_id, wanted)
            waits = await self._set(station_id, wanted, set_up)
            set_up.metering = "refused" if set_up.refused else "set"
            if waits:
                set_up.metering = "reboot"
                await self._reboot(station_id, set_up)
        except SilentError:
            set_up.metering = "silent"
        except (OfflineError, OverflowError):
            set_up.metering = ""  # the line was lost: again when the station is back
        if set_up.refused:
            names = ", ".join(sorted(set_up.refused))
            LOG.info("station %s refused settings of its metering: %s", station_id, names[:500])

    async def _ask(self, station_id: str, wanted: list[Aim]) -> None:
        """Ask for the limits of messages first, then for everything else."""
        version = self._network.version_of(station_id)
        places = [aim.place for aim in wanted]
        if version is Version.V16:
            await self._order(station_id, *question(version, [("", name) for name in LIMITS_16]))
        else:
            await self._order(station_id, *question(version, LIMITS_FIRST))
            places += LIMITS
        for first in range(0, len(places), ASKED_MAX):
            part = places[first : first + ASKED_MAX]
            await self._order(station_id, *question(version, part))

    async def _set(self, station_id: str, wanted: list[Aim], set_up: SetUp) -> bool:
        """Change what differs; whether something takes effect after a reboot only."""
        station = self._network.csms.network.station(station_id)
        told = await self._change(station_id, lacking(station, wanted))
        smaller: dict[Place, str] = {}
        for place, status in told.items():
            if status not in _TAKEN:
                set_up.refused[_text(place)] = status
                is_list = "," in _value(wanted, place)
                value = import_only(station, place) if is_list else None
                if value is not None and status == "Rejected":
                    smaller[place] = value
        for place, status in (await self._change(station_id, smaller)).items():
            told[place] = status
            if status in _TAKEN:
                set_up.refused[_text(place)] = "no export register"
        return "RebootRequired" in told.values()

    async def _change(self, station_id: str, values: dict[Place, str]) -> dict[Place, str]:
        version = self._network.version_of(station_id)
        told: dict[Place, str] = {}
        for action, request in change(version, values):
            event = await self._order(station_id, action, request)
            if isinstance(event, Answered):
                told |= outcomes(version, request, event.response)
            else:
                code = str(getattr(event, "code", ""))
                told |= dict.fromkeys(places_in(version, request), code)
        return told

    async def _order(self, station_id: str, action: str, request: Any) -> Event:
        """Raises SilentError where nothing comes back, OfflineError, OverflowError."""
        event = await self._network.order_in_parts(station_id, action, request, QUESTION_TIMEOUT_S)
        code = getattr(event, "code", "")
        if code == "Timeout":
            raise SilentError
        if code == "ConnectionLost":
            raise OfflineError(f"station {station_id!r} went offline")
        return event

    async def _reboot(self, station_id: str, set_up: SetUp) -> None:
        """Reboot a station on which nobody charges; at most once a day."""
        now_utc, version = self._network.now_utc(), self._network.version_of(station_id)
        if set_up.rebooted_utc is not None and now_utc < set_up.rebooted_utc + REBOOT_AGAIN:
            return
        station = self._network.csms.network.station(station_id)
        if version is Version.V16 and station.open_transactions():
            return  # when the last one ends (`heard`); 2.x waits by itself (OnIdle)
        set_up.rebooted_utc = now_utc
        kind = "Soft" if version is Version.V16 else "OnIdle"
        request = messages_of(version).REQUESTS["Reset"](type=kind)
        await self._network.order(station_id, "Reset", request, QUESTION_TIMEOUT_S)

    async def _list(self, station_id: str) -> None:
        """Keep a list up to date where the station has one, or shall have one."""
        station = self._network.csms.network.station(station_id)
        configured = self._network.policy.stations.get(station_id)
        if not station.local_list.version and not (configured and configured.local_list):
            return
        if station.booted:
            self._of(station_id).local_list = await self._send_list(station_id, False)

    def _listing(self, version: Version) -> Listing:
        """What lists shall hold now, made anew when a token was set, and once a minute, since
        tokens expire."""
        now_utc, book = self._network.now_utc(), self._network.policy.tokens
        mark = (book.revision, now_utc.replace(second=0, microsecond=0))
        made = self._made.get(version)
        if made is None or made[0] != mark:
            made = self._made[version] = (mark, listing(book, version, now_utc))
        return made[1]

    async def _send_list(self, station_id: str, full: bool) -> str:
        """Bring a list up to date; where the station has another one than we know, all of it."""
        version = self._network.version_of(station_id)
        station = self._network.csms.network.station(station_id)
        held, wanted = station.local_list, self._listing(version)
        told = station.variable("", "LocalAuthListMaxLength") or ""
        most = min(int(told), LIST_MAX) if told.isascii() and told.isdigit() else LIST_MAX
        if len(wanted) > most:
            return f"TooLong: {len(wanted)} tokens, {most} fit"
        status = "Accepted"
        for whole in (full, True):
            request = list_order(held, wanted, version, whole)
            if request is None:
                return status
            event = await self._network.order_in_parts(
                station_id, "SendLocalList", request, LIST_TIMEOUT_S
            )
            if not isinstance(event, Answered):
                return str(getattr(event, "code", "Failed"))
            status = str(event.response.status)
            if status not in ("Failed", "VersionMismatch"):
                return status
            asked = messages_of(version).REQUESTS["GetLocalListVersion"]()
            event = await self._network.order(station_id, "GetLocalListVersion", asked)
            if isinstance(event, Answered):
                told = event.response
                number = told.listVersion if version is Version.V16 else told.versionNumber
                held.version = max(held.version, number)
        return status


def _text(place: Place) -> str:
    component, name = place
    return f"{component}.{name}" if component else name


def _value(wanted: list[Aim], place: Place) -> str:
    return next((aim.value for aim in wanted if aim.place == place), "")
