"""The device model (2.x) and the configuration keys (1.6) of a virtual station."""

from dataclasses import dataclass
from typing import Any

from pendel.comms.ocpp.profile import OperationMode
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings

Key = tuple[str, int | None, str]
"""Component, its EVSE (or None), variable."""


@dataclass(slots=True)
class Variable:
    """A variable with its Actual value as text; writable by the backend or not."""

    value: str
    writable: bool = False
    data_type: str = "string"
    unit: str = ""

    def takes(self, value: str) -> bool:
        """Whether a new value is of the variable's type."""
        if self.data_type == "integer":
            return value.isdigit()
        if self.data_type == "boolean":
            return value in ("true", "false")
        return True


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
            if version is Version.V21 and settings.v2x:
                add["EVSE", number, "DischargePower"] = Variable(power_w, False, "decimal", "W")
                add["V2XChargingCtrlr", number, "Enabled"] = Variable("true", True, "boolean")
                add["V2XChargingCtrlr", number, "SupportedOperationModes"] = Variable(modes)
                transfer = "DC_BPT" if settings.is_dc else "AC_BPT"
                add["V2XChargingCtrlr", number, "SupportedEnergyTransferModes"] = Variable(transfer)
        if version is Version.V21:
            for name in ("SupportsDynamicProfiles", "SupportsMaxOfflineDuration"):
                add["SmartChargingCtrlr", None, name] = Variable("true", False, "boolean")

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
                "supportsMonitoring": False,
            }
            if variable.unit:
                about["unit"] = variable.unit
            attribute = {
                "type": "Actual",
                "value": variable.value,
                "mutability": "ReadWrite" if variable.writable else "ReadOnly",
            }
            rows.append(
                {
                    "component": place,
                    "variable": {"name": name},
                    "variableAttribute": [attribute],
                    "variableCharacteristics": about,
                }
            )
        return rows


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
    ("SmartChargingCtrlr", "Enabled", "true", False, "boolean"),
    ("SmartChargingCtrlr", "ProfileStackLevel", "100", False, "integer"),
    ("SmartChargingCtrlr", "PeriodsPerSchedule", "1024", False, "integer"),
    ("SmartChargingCtrlr", "RateUnit", "W,A", False, "MemberList"),
    ("SecurityCtrlr", "SecurityProfile", "1", False, "integer"),
    ("SecurityCtrlr", "AdditionalRootCertificateCheck", "false", True, "boolean"),
    ("ClockCtrlr", "DateTime", "", False, "dateTime"),
    ("LocalAuthListCtrlr", "Enabled", "true", True, "boolean"),
)

CONFIGURATION_16: dict[str, tuple[str, bool]] = {
    "HeartbeatInterval": ("300", False),
    "MeterValueSampleInterval": ("60", False),
    "ClockAlignedDataInterval": ("0", False),
    "ConnectionTimeOut": ("120", False),
    "AuthorizeRemoteTxRequests": ("false", False),
    "NumberOfConnectors": ("1", True),
    "SupportedFeatureProfiles": (
        "Core,SmartCharging,RemoteTrigger,LocalAuthListManagement,Reservation",
        True,
    ),
    "ChargeProfileMaxStackLevel": ("100", True),
    "ChargingScheduleAllowedChargingRateUnit": ("Current,Power", True),
    "ChargingScheduleMaxPeriods": ("1024", True),
    "MaxChargingProfilesInstalled": ("100", True),
    "LocalAuthListEnabled": ("true", False),
    "StopTransactionOnEVSideDisconnect": ("true", False),
}
"""Configuration keys of 1.6: value, read-only."""
