"""What a station shall meter and send, against what it says it does: only what differs is changed.

Settlement counts registers at the full quarter hours, of import and of export; control wants a
value of a running transaction every so often. Sources: OCPP 1.6 section 9.1 (configuration keys),
OCPP 2.0.1 part 2 appendices (AlignedDataCtrlr, SampledDataCtrlr), J02.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any

import msgspec

from pendel.comms.ocpp.backend.metering import EXPORT_REGISTER, IMPORT_REGISTER
from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.release import Version, messages_of
from pendel.units import QUARTER_HOUR_S

REGISTERS = (IMPORT_REGISTER, EXPORT_REGISTER)
LIMITS_FIRST = (
    ("DeviceDataCtrlr", "ItemsPerMessage[GetVariables]"),
    ("DeviceDataCtrlr", "BytesPerMessage[GetVariables]"),
)
PRIORITY = ("OCPPCommCtrlr", "NetworkConfigurationPriority")
"""The order of a station's network profiles; asked once, for when a profile is raised."""
LIMITS = (
    ("DeviceDataCtrlr", "ItemsPerMessage[SetVariables]"),
    ("DeviceDataCtrlr", "BytesPerMessage[SetVariables]"),
    ("MonitoringCtrlr", "ItemsPerMessage[SetVariableMonitoring]"),
    ("MonitoringCtrlr", "ItemsPerMessage[ClearVariableMonitoring]"),
    ("MonitoringCtrlr", "BytesPerMessage[SetVariableMonitoring]"),
    ("MonitoringCtrlr", "BytesPerMessage[ClearVariableMonitoring]"),
    ("LocalAuthListCtrlr", "ItemsPerMessage"),
    ("LocalAuthListCtrlr", "BytesPerMessage"),
    PRIORITY,
)
LIMITS_16 = ("GetConfigurationMaxKeys", "SendLocalListMaxLength", "LocalAuthListMaxLength")

SET_MAX = 4
"""Variables in one change of ours: a station that cannot read one of them refuses few."""

Place = tuple[str, str]
"""Component ("" in 1.6) and name[instance] of a variable."""


class Rule(Enum):
    """When a value is good enough."""

    DIVIDES = "divides a quarter hour"
    AT_MOST = "not longer"
    HOLDS = "names these measurands"
    IS = "is the same"
    IF_TOLD = "is the same, where there is such a variable"


class Aim(msgspec.Struct, frozen=True):
    """What a variable shall be."""

    place: Place
    rule: Rule
    value: str

    def better(self, told: str | None) -> str | None:
        """The value to set, None where the one that was told (None = none) is good enough."""
        if self.rule is Rule.IF_TOLD:
            return None if told is None or told.lower() == self.value else self.value
        if self.rule is Rule.HOLDS:
            return joined_lists(told, self.value)
        if self.rule is Rule.IS:
            return None if told == self.value else self.value
        number = int(told) if told is not None and told.isascii() and told.isdigit() else 0
        most = int(self.value)
        fits = self.rule is Rule.AT_MOST or QUARTER_HOUR_S % (number or 1) == 0
        return None if 0 < number <= most and fits else self.value


def joined_lists(told: str | None, wanted: str) -> str | None:
    """The measurands of told and those wanted that it lacks; None where it lacks none."""
    have = [name.strip() for name in (told or "").split(",") if name.strip()]
    lacking = [name for name in wanted.split(",") if name not in have]
    return ",".join(have + lacking) if lacking else None


def aims(version: Version, aligned_s: int, sampled_s: int, master_group: str = "") -> list[Aim]:
    """Everything a station of a version shall be set to. master_group: C16, "" = none."""
    registers, aligned, sampled = ",".join(REGISTERS), str(aligned_s), str(sampled_s)
    if version is Version.V16:
        return [
            Aim(("", "ClockAlignedDataInterval"), Rule.DIVIDES, aligned),
            Aim(("", "MeterValuesAlignedData"), Rule.HOLDS, registers),
            Aim(("", "MeterValueSampleInterval"), Rule.AT_MOST, sampled),
            Aim(("", "MeterValuesSampledData"), Rule.HOLDS, registers),
        ]
    found = [
        Aim(("AlignedDataCtrlr", "Enabled"), Rule.IF_TOLD, "true"),
        Aim(("AlignedDataCtrlr", "SendDuringIdle"), Rule.IF_TOLD, "false"),
        Aim(("AlignedDataCtrlr", "Interval"), Rule.DIVIDES, aligned),
        Aim(("AlignedDataCtrlr", "Measurands"), Rule.HOLDS, registers),
        Aim(("AlignedDataCtrlr", "TxEndedInterval"), Rule.DIVIDES, aligned),
        Aim(("AlignedDataCtrlr", "TxEndedMeasurands"), Rule.HOLDS, registers),
        Aim(("SampledDataCtrlr", "Enabled"), Rule.IF_TOLD, "true"),
        Aim(("SampledDataCtrlr", "TxStartedMeasurands"), Rule.HOLDS, registers),
        Aim(("SampledDataCtrlr", "TxUpdatedInterval"), Rule.AT_MOST, sampled),
        Aim(("SampledDataCtrlr", "TxUpdatedMeasurands"), Rule.HOLDS, registers),
        Aim(("SampledDataCtrlr", "TxEndedMeasurands"), Rule.HOLDS, registers),
    ]
    if master_group:
        found.append(Aim(("AuthCtrlr", "MasterPassGroupId"), Rule.IS, master_group))
    return found


def question(version: Version, places: Iterable[Place]) -> tuple[str, Any]:
    """The request that asks a station for variables."""
    messages: Any = messages_of(version)
    if version is Version.V16:
        keys = [name for _, name in places]
        return "GetConfiguration", messages.GetConfigurationRequest(key=keys)
    data = [
        messages.GetVariableDataType(component=component, variable=variable)
        for component, variable in (_typed(messages, place) for place in places)
    ]
    return "GetVariables", messages.GetVariablesRequest(getVariableData=data)


def change(version: Version, values: dict[Place, str]) -> list[tuple[str, Any]]:
    """The requests that set variables; 1.6 takes one key at a time, 2.x SET_MAX."""
    messages: Any = messages_of(version)
    if version is Version.V16:
        return [
            ("ChangeConfiguration", messages.ChangeConfigurationRequest(key=name, value=value))
            for (_, name), value in values.items()
        ]
    data = []
    for place, value in values.items():
        component, variable = _typed(messages, place)
        data.append(
            messages.SetVariableDataType(
                attributeValue=value, component=component, variable=variable
            )
        )
    return [
        ("SetVariables", messages.SetVariablesRequest(setVariableData=data[i : i + SET_MAX]))
        for i in range(0, len(data), SET_MAX)
    ]


def places_in(version: Version, request: Any) -> list[Place]:
    """The variables that a change sets."""
    if version is Version.V16:
        return [("", str(request.key))]
    return [(str(d.component.name), str(d.variable.name)) for d in request.setVariableData]


def outcomes(version: Version, request: Any, response: Any) -> dict[Place, str]:
    """The status each variable of a change was answered with."""
    if version is Version.V16:
        return dict.fromkeys(places_in(version, request), str(response.status))
    found: dict[Place, str] = {}
    for entry in response.setVariableResult:
        name = entry.variable.name
        found[str(entry.component.name), str(name)] = str(entry.attributeStatus)
    return found


def lacking(station: Station, wanted: Iterable[Aim]) -> dict[Place, str]:
    """The values to set at a station, by what it told last."""
    found = {}
    for aim in wanted:
        value = aim.better(station.variable(*aim.place))
        if value is not None:
            found[aim.place] = value
    return found


def import_only(station: Station, place: Place) -> str | None:
    """A smaller wish where a list with the export register was refused: what was told, and the
    import register; None where that is what it is."""
    return joined_lists(station.variable(*place), IMPORT_REGISTER)


def _typed(messages: Any, place: Place) -> tuple[Any, Any]:
    component, name = place
    name, bracket, rest = name.partition("[")
    variable = messages.VariableType(name=name)
    if bracket:
        variable.instance = rest.rstrip("]")
    return messages.ComponentType(name=component), variable
