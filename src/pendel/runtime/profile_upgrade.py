"""One operator's action that raises the security profile of a station (A05), never lowers it.

2.x: a network profile in a free slot, that slot first in the order of priority, a reboot; the old
slot stays behind it, so that a station that cannot come by the new one comes back by the old.
1.6: the key SecurityProfile, after which the station reconnects by itself. Once it came by the
higher profile the door takes no lower one (`network_security`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pendel.comms.ocpp.backend.metering_setup import PRIORITY, question
from pendel.comms.ocpp.peer import Answered, Event
from pendel.comms.ocpp.release import Version, messages_of
from pendel.errors import PendelError

if TYPE_CHECKING:
    from pendel.runtime.network import ChargingNetwork


class ProfileError(PendelError):
    """The profile cannot be raised this way; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a station shall connect by. csms_url: without the station's id (2.x); slot: of the
    network profile; interface: as OCPPInterfaceEnumType; reset: OnIdle or Immediate."""

    security_profile: int
    csms_url: str = ""
    slot: int = 2
    interface: str = "Wired0"
    message_timeout_s: int = 30
    reset: str = "OnIdle"


Step = tuple[str, str]
"""An order and what came of it."""


async def raise_profile(
    network: "ChargingNetwork", station_id: str, wish: Upgrade, timeout_s: float
) -> list[Step]:
    """Give the orders one after the other, as long as they are Accepted; what came of each.

    Raises ProfileError (nothing is sent then), OfflineError, OverflowError."""
    version = network.version_of(station_id)
    door = network.door
    link = None if door is None else door.links.get(station_id)
    now = max(network.watch.least_profile(station_id), link.security_profile if link else 0)
    if wish.security_profile <= now:
        raise ProfileError(f"the station is held to profile {now} already; it is only raised")
    if wish.security_profile >= 2 and not network.tls_port:
        raise ProfileError("no port with TLS is open: [ocpp.tls]")
    if version is not Version.V16 and not wish.csms_url:
        raise ProfileError("csms_url is needed: where the station shall connect to")
    station = network.csms.network.station(station_id)
    if version is not Version.V16 and station.variable(*PRIORITY) is None:
        await network.order(station_id, *question(version, [PRIORITY]), timeout_s)
    steps: list[Step] = []
    orders = _orders_16(wish) if version is Version.V16 else _orders_2(network, station_id, wish)
    reboots = version is not Version.V16
    for action, request in orders:
        event = await network.order(station_id, action, request, timeout_s)
        steps.append((action, _status(event)))
        reboots = reboots or steps[-1][1] == "RebootRequired"
        if steps[-1][1] not in ("Accepted", "RebootRequired"):
            return steps
    if reboots:
        kind = "Soft" if version is Version.V16 else wish.reset
        request = messages_of(version).REQUESTS["Reset"](type=kind)
        event = await network.order(station_id, "Reset", request, timeout_s)
        steps.append(("Reset", _status(event)))
    return steps


def _orders_16(wish: Upgrade) -> list[tuple[str, Any]]:
    kind = messages_of(Version.V16).REQUESTS["ChangeConfiguration"]
    return [("ChangeConfiguration", kind(key="SecurityProfile", value=str(wish.security_profile)))]


def _orders_2(network: "ChargingNetwork", station_id: str, wish: Upgrade) -> list[tuple[str, Any]]:
    version = network.version_of(station_id)
    messages: Any = messages_of(version)
    station = network.csms.network.station(station_id)
    told = (station.variable(*PRIORITY) or "").split(",")
    others = [slot.strip() for slot in told if slot.strip() not in ("", str(wish.slot))]
    profile = messages.NetworkConnectionProfileType(
        ocppVersion="OCPP21" if version is Version.V21 else "OCPP20",
        ocppTransport="JSON",
        ocppCsmsUrl=wish.csms_url,
        messageTimeout=wish.message_timeout_s,
        securityProfile=wish.security_profile,
        ocppInterface=wish.interface,
    )
    first = messages.SetNetworkProfileRequest(configurationSlot=wish.slot, connectionData=profile)
    priority = messages.SetVariableDataType(
        attributeValue=",".join([str(wish.slot), *others]),
        component=messages.ComponentType(name=PRIORITY[0]),
        variable=messages.VariableType(name=PRIORITY[1]),
    )
    second = messages.SetVariablesRequest(setVariableData=[priority])
    return [("SetNetworkProfile", first), ("SetVariables", second)]


def _status(event: Event) -> str:
    if not isinstance(event, Answered):
        return str(getattr(event, "code", ""))
    if event.action == "SetVariables":
        return str(event.response.setVariableResult[0].attributeStatus)
    return str(event.response.status)
