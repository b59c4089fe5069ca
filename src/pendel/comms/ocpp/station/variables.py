"""The device model (2.x) and the configuration keys (1.6) of a virtual station."""

import re
from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.profile import OperationMode
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings
from pendel.comms.ocpp.station.inverter import modes_of, nameplate
from pendel.comms.ocpp.station.smart_charging import CONTROLLER, smart_rows

Key = tuple[str, int | None, str]
"""Component, its EVSE (or None), variable (with an instance: `Name[Instance]`)."""
_DECIMAL = re.compile(r"(-?\d+(\.\d+)?)?")
_PLAIN_MODES = "ChargingOnly,ExternalSetpoint,ExternalLimits"


@dataclass(slots=True)
class Variable:
    """A variable with its Actual value as text; writable by the backend or not; most: maxLimit;
    allowed: members of its list (() = any); live: it moves by itself and can be monitored."""

    value: str
    writable: bool = False
    data_type: str = "string"
    unit: str = ""
    live: bool = False
    most: float | None = None
    allowed: tuple[str, ...] = ()

    def takes(self, value: str) -> bool:
        """Whether a new value is of the variable's type."""
        if self.data_type == "integer":
            return value.isdigit()
        if self.data_type == "boolean":
            return value in ("true", "false")
        if self.data_type == "decimal":
            return value == "" or _DECIMAL.fullmatch(value) is not None
        if self.allowed:
            return all(member in self.allowed for member in value.split(",") if value)
        return True


def variable_of(name: str) -> dict[str, str]:
    """VariableType of a name that may carry an instance: `Name[Instance]`."""
    plain, bracket, instance = name.partition("[")
    return {"name": plain, "instance": instance[:-1]} if bracket else {"name": plain}


def name_of(variable: dict[str, Any]) -> str:
    """The name with its instance, as variables are kept by."""
    return named(str(variable["name"]), variable.get("instance", ""))


class Variables:
    """What GetVariables, SetVariables and GetBaseReport speak of."""

    def __init__(self, settings: StationSettings, version: Version) -> None:
        self.by_key: dict[Key, Variable] = {}
        for component, name, value, writable, kind in _STATION_VARIABLES:
            self.by_key[component, None, name] = Variable(value, writable, kind)
        add = self.by_key
        add["ChargingStation", None, "Model"] = Variable(settings.model)
        add["ChargingStation", None, "VendorName"] = Variable(settings.vendor)
        interval = str(round(settings.meter_interval_s))
        add["SampledDataCtrlr", None, "TxUpdatedInterval"] = Variable(interval, True, "integer")
        aligned = str(round(settings.aligned_s))
        add["AlignedDataCtrlr", None, "Interval"] = Variable(aligned, True, "integer")
        add["SecurityCtrlr", None, "OrganizationName"] = Variable(settings.organization, True)
        add["ISO15118Ctrlr", None, "SeccId"] = Variable(settings.secc_id or settings.station_id)
        modes = ",".join(m.value for m in OperationMode)
        for number in range(1, settings.evses + 1):
            power_w = str(round(settings.power_max_kw * 1000))
            add["EVSE", number, "Power"] = Variable(power_w, False, "decimal", "W")
            add["EVSE", number, "AvailabilityState"] = Variable("Available")
            if version is Version.V21 and not settings.v2x:
                add["V2XChargingCtrlr", number, "SupportedOperationModes"] = Variable(_PLAIN_MODES)
            if settings.is_dc and settings.smart.dc_phase_control:
                add["EVSE", number, "DCInputPhaseControl"] = Variable("true", False, "boolean")
            if version is Version.V21 and settings.v2x:
                add["EVSE", number, "DischargePower"] = Variable(power_w, False, "decimal", "W")
                add["V2XChargingCtrlr", number, "Enabled"] = Variable("true", True, "boolean")
                add["V2XChargingCtrlr", number, "SupportedOperationModes"] = Variable(modes)
                transfer = "DC_BPT" if settings.is_dc else "AC_BPT"
                add["V2XChargingCtrlr", number, "SupportedEnergyTransferModes"] = Variable(transfer)
                self._add_v2x(settings, number)
        for name, value, writable, kind in smart_rows(settings.smart, version):
            self.by_key[CONTROLLER, None, name] = Variable(value, writable, kind)
        if settings.smart.available:
            most = settings.smart.entries_max
            self.by_key[CONTROLLER, None, "Entries[ChargingProfiles]"].most = most

    def _add_v2x(self, settings: StationSettings, number: int) -> None:
        """What the modes of block Q are set by, and the nameplate of block R."""
        add, component = self.by_key, "V2XChargingCtrlr"
        step = Variable("10", True, "integer", "mHz")
        add[component, number, "LocalFrequencyUpdateThreshold"] = step
        for instance, value in BALANCING.items():
            name = f"LocalLoadBalancing[{instance}]"
            add[component, number, name] = Variable(value, True, "decimal", "W")
        if not settings.is_dc:
            modes = ",".join(modes_of(settings))
            add["ACDERCtrlr", number, "ModesSupported"] = Variable(modes, False, "MemberList")
            return
        for name, (value, kind, unit) in nameplate(settings).items():
            add["DCDERCtrlr", number, name] = Variable(value, False, kind, unit)

    def get(self, component: str, evse: int | None, name: str) -> Variable | None:
        """A variable, or None."""
        return self.by_key.get((component, evse, name))

    def value(self, component: str, name: str) -> str:
        """Value of a variable of the station itself. Raises KeyError."""
        return self.by_key[component, None, name].value

    def knows_component(self, component: str) -> bool:
        """Whether any variable belongs to this component."""
        return any(key[0] == component for key in self.by_key)

    def report(self) -> list[dict[str, Any]]:
        """All variables as ReportDataType."""
        rows = []
        for (component, evse, name), variable in self.by_key.items():
            place: dict[str, Any] = {"name": component}
            if evse is not None:
                place["evse"] = {"id": evse}
            about: dict[str, Any] = {
                "dataType": variable.data_type,
                "supportsMonitoring": variable.live,
            }
            if variable.unit:
                about["unit"] = variable.unit
            if variable.most is not None:
                about["maxLimit"] = variable.most
            attribute = {
                "type": "Actual",
                "value": variable.value,
                "mutability": "ReadWrite" if variable.writable else "ReadOnly",
            }
            rows.append(
                {
                    "component": place,
                    "variable": variable_of(name),
                    "variableAttribute": [attribute],
                    "variableCharacteristics": about,
                }
            )
        return rows


def named(name: str, instance: str = "") -> str:
    """A variable with its instance as one name."""
    return f"{name}[{instance}]" if instance else name


BALANCING = {
    "UpperThreshold": "100",
    "LowerThreshold": "-100",
    "UpperOffset": "0",
    "LowerOffset": "0",
}
"""LocalLoadBalancing as built [W]."""
MEASURANDS = (
    "Energy.Active.Import.Register,Energy.Active.Export.Register,"
    "Power.Active.Import,Power.Active.Export,SoC"
)
"""What a virtual station always tells, whatever the occasion."""

_STATION_VARIABLES = (
    ("OCPPCommCtrlr", "HeartbeatInterval", "300", True, "integer"),
    ("OCPPCommCtrlr", "MessageTimeout", "30", False, "integer"),
    ("OCPPCommCtrlr", "OfflineThreshold", "60", True, "integer"),
    ("OCPPCommCtrlr", "NetworkConfigurationPriority", "1", True, "SequenceList"),
    ("AuthCtrlr", "Enabled", "true", False, "boolean"),
    ("AuthCtrlr", "AuthorizeRemoteStart", "false", False, "boolean"),
    ("AuthCtrlr", "LocalPreAuthorize", "false", False, "boolean"),
    ("AuthCtrlr", "LocalAuthorizeOffline", "true", False, "boolean"),
    ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "true", False, "boolean"),
    ("TxCtrlr", "TxStartPoint", "EVConnected", False, "MemberList"),
    ("TxCtrlr", "TxStopPoint", "EVConnected,Authorized", False, "MemberList"),
    ("TxCtrlr", "EVConnectionTimeOut", "120", True, "integer"),
    ("TxCtrlr", "StopTxOnInvalidId", "true", False, "boolean"),
    ("TxCtrlr", "StopTxOnEVSideDisconnect", "true", False, "boolean"),
    ("SecurityCtrlr", "SecurityProfile", "1", False, "integer"),
    ("SecurityCtrlr", "AdditionalRootCertificateCheck", "false", True, "boolean"),
    ("ClockCtrlr", "DateTime", "", False, "dateTime"),
    ("LocalAuthListCtrlr", "Enabled", "true", True, "boolean"),
    ("AlignedDataCtrlr", "Measurands", MEASURANDS, False, "MemberList"),
    ("SampledDataCtrlr", "TxStartedMeasurands", MEASURANDS, False, "MemberList"),
    ("SampledDataCtrlr", "TxUpdatedMeasurands", MEASURANDS, False, "MemberList"),
    ("SampledDataCtrlr", "TxEndedMeasurands", MEASURANDS, False, "MemberList"),
)

CONFIGURATION_16: dict[str, tuple[str, bool]] = {
    "HeartbeatInterval": ("300", False),
    "MeterValueSampleInterval": ("60", False),
    "ClockAlignedDataInterval": ("0", False),
    "MeterValuesAlignedData": (MEASURANDS, True),
    "MeterValuesSampledData": (MEASURANDS, True),
    "ConnectionTimeOut": ("120", False),
    "AuthorizeRemoteTxRequests": ("false", False),
    "NumberOfConnectors": ("1", True),
    "SupportedFeatureProfiles": (
        "Core,SmartCharging,RemoteTrigger,LocalAuthListManagement,Reservation",
        True,
    ),
    "LocalAuthListEnabled": ("true", False),
    "StopTransactionOnEVSideDisconnect": ("true", False),
}
"""Configuration keys of 1.6: value, read-only."""
