"""How a virtual station's smart charging is built, and the variables that say so.

Names with an instance are written `Name[Instance]`. Source: OCPP 2.1 part 2, section 2.11 of the
configuration variables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pendel.comms.ocpp.profile_support import FEATURES, Support
from pendel.comms.ocpp.release import Version

CONTROLLER = "SmartChargingCtrlr"
Row = tuple[str, str, bool, str]
"""Name, value, writable, data type."""


@dataclass(frozen=True, slots=True)
class SmartCharging:
    """Built-in abilities. available False: no smart charging at all (K01.FR.29). connection_kw:
    the fixed limit of all EVSEs together (K04.FR.02), None = their sum. pause_s: shortest time
    between two persistent profiles of one purpose and EVSE (K01.FR.56), 0 = none.
    persistent: purposes kept over a reboot beside those that must be (K01.FR.55)."""

    available: bool = True
    stack_level_max: int = 100
    periods_max: int = 1024
    entries_max: int = 100
    rate_units: tuple[str, ...] = ("W", "A")
    purposes: tuple[str, ...] = ("PriorityCharging", "LocalGeneration")
    features: frozenset[str] = FEATURES | {"EvseSleep"}
    switches_phases: bool = True
    chooses_phase: bool = True
    dc_phase_control: bool = False
    external_id_max: int | None = None
    connection_kw: float | None = None
    pause_s: float = 0.0
    persistent: tuple[str, ...] = ("ChargingStationExternalConstraints", "LocalGeneration")


def support_of(smart: SmartCharging, is_dc: bool, phases: int) -> Support:
    """What the rules for profiles need of it."""
    return Support(
        rate_units=frozenset(smart.rate_units),
        purposes=frozenset(smart.purposes),
        features=smart.features,
        phases=phases,
        is_dc=is_dc,
        dc_phase_control=smart.dc_phase_control,
        switches_phases=smart.switches_phases,
        chooses_phase=smart.chooses_phase,
        external_id_max=smart.external_id_max,
        entries_max=smart.entries_max,
    )


def smart_rows(smart: SmartCharging, version: Version) -> Iterator[Row]:
    """The variables of SmartChargingCtrlr."""
    yield "Available", _word(smart.available), False, "boolean"
    yield "Enabled", _word(smart.available), False, "boolean"
    if not smart.available:
        return
    yield "ProfileStackLevel", str(smart.stack_level_max), False, "integer"
    yield "PeriodsPerSchedule", str(smart.periods_max), False, "integer"
    yield "RateUnit", ",".join(smart.rate_units), False, "MemberList"
    yield "Entries[ChargingProfiles]", "0", False, "integer"
    yield "Phases3to1", _word(smart.switches_phases), False, "boolean"
    yield "ACPhaseSwitchingSupported", _word(smart.chooses_phase), False, "boolean"
    yield "ExternalControlSignalsEnabled", "true", True, "boolean"
    yield "NotifyChargingLimitWithSchedules", "false", True, "boolean"
    yield "LimitChangeSignificance", "1.0", True, "decimal"
    if version is not Version.V21:
        return
    yield "ExternalConstraintsProfileDisallowed", "false", True, "boolean"
    yield "SetpointPriority", "ExternalSystem", True, "OptionList"
    yield "SupportedAdditionalPurposes", ",".join(smart.purposes), False, "MemberList"
    if smart.external_id_max is not None:
        yield "MaxExternalConstraintsId", str(smart.external_id_max), True, "integer"
    for purpose in ("TxProfile", "LocalGeneration", "ChargingStationExternalConstraints"):
        kept = _word(purpose in smart.persistent)
        yield f"ChargingProfilePersistence[{purpose}]", kept, False, "boolean"
    for feature in sorted(FEATURES | {"EvseSleep"}):
        yield f"SupportsFeature[{feature}]", _word(feature in smart.features), False, "boolean"


def configuration_16(smart: SmartCharging) -> dict[str, str]:
    """The configuration keys of 1.6 (section 9.4), all read-only."""
    units = {"A": "Current", "W": "Power"}
    return {
        "ChargeProfileMaxStackLevel": str(smart.stack_level_max),
        "ChargingScheduleAllowedChargingRateUnit": ",".join(
            sorted(units[unit] for unit in smart.rate_units)
        ),
        "ChargingScheduleMaxPeriods": str(smart.periods_max),
        "ConnectorSwitch3to1PhaseSupported": _word(smart.switches_phases),
        "MaxChargingProfilesInstalled": str(smart.entries_max),
    }


def _word(value: bool) -> str:
    return "true" if value else "false"
