"""The device model of a station that speaks ISO 15118, of the car at it, and the measurands a V2X
operation mode adds (OCPP 2.1 part 2, 2.16 to 2.18; Q01.FR.30 to FR.36)."""

from collections.abc import Callable

from pendel.comms.ocpp.profile import OperationMode
from pendel.comms.ocpp.station.equipment import Car, Evse, StationSettings
from pendel.comms.ocpp.station.variables import Variable, Variables
from pendel.units import W_PER_KW

ISO_2 = "urn:iso:15118:2:2013:MsgDef,2,0"
ISO_20 = {True: "urn:iso:std:iso:15118:-20:DC,1,0", False: "urn:iso:std:iso:15118:-20:AC,1,0"}
PRICE_ELEMENTS_MAX = 1024
_KINDS = ("TxStartedMeasurands", "TxUpdatedMeasurands", "TxEndedMeasurands")
_OF_CONTEXT = {"Transaction.Begin": _KINDS[0], "Transaction.End": _KINDS[2]}
_OF_CAR = (
    "VehicleId",
    "VehicleCertificate[Leaf]",
    "ProtocolAgreed",
    "ProtocolSupportedByEV[1]",
    "ProtocolSupportedByEV[2]",
)
_SAMPLES: dict[str, tuple[str, Callable[[Evse, Car], float]]] = {
    "Power.Active.Setpoint": ("W", lambda e, c: (e.setpoint_kw or 0.0) * W_PER_KW),
    "Display.PresentSOC": ("Percent", lambda e, c: 100.0 * c.soc),
    "Display.TargetSOC": ("Percent", lambda e, c: 100.0 * c.target_kwh / c.capacity_kwh),
    "Display.MinimumSOC": ("Percent", lambda e, c: 100.0 * c.energy_min_kwh / c.capacity_kwh),
    "Display.BatteryEnergyCapacity": ("Wh", lambda e, c: c.capacity_kwh * W_PER_KW),
    "EnergyRequest.Target": ("Wh", lambda e, c: (c.target_kwh - c.energy_kwh) * W_PER_KW),
    "EnergyRequest.Minimum": ("Wh", lambda e, c: (c.energy_min_kwh - c.energy_kwh) * W_PER_KW),
    "EnergyRequest.Maximum": ("Wh", lambda e, c: (c.capacity_kwh - c.energy_kwh) * W_PER_KW),
    "EnergyRequest.Minimum.V2X": ("Wh", lambda e, c: (c.energy_min_kwh - c.energy_kwh) * W_PER_KW),
    "EnergyRequest.Maximum.V2X": ("Wh", lambda e, c: (c.capacity_kwh - c.energy_kwh) * W_PER_KW),
}
"""Measurands that a mode can add: unit and value."""


class Iso15118Variables:
    """ISO15118Ctrlr, ConnectedEV and what V2XChargingCtrlr adds, in the station's variables."""

    def __init__(self, variables: Variables, settings: StationSettings, is_21: bool) -> None:
        self._by_key = variables.by_key
        self._is_21, self._settings = is_21, settings
        self._by_key["ISO15118Ctrlr", None, "PnCEnabled"] = Variable("false", False, "boolean")
        self._by_key["ISO15118Ctrlr", None, "ContractValidationOffline"] = Variable(
            "false", False, "boolean"
        )
        if is_21:
            for number in range(1, settings.evses + 1):
                self._of_evse(number)

    def _of_evse(self, number: int) -> None:
        by_key, settings = self._by_key, self._settings
        renews = "true" if settings.renegotiates_service else "false"
        by_key["ISO15118Ctrlr", number, "Enabled"] = Variable("true", False, "boolean")
        by_key["ISO15118Ctrlr", number, "ServiceRenegotiationSupport"] = Variable(
            renews, False, "boolean"
        )
        most = str(PRICE_ELEMENTS_MAX)
        by_key["ISO15118Ctrlr", number, "MaxPriceElements"] = Variable(most, False, "integer")
        for place, protocol in enumerate((ISO_2, ISO_20[settings.is_dc]), start=1):
            by_key["ISO15118Ctrlr", number, f"ProtocolSupported[{place}]"] = Variable(protocol)
        by_key["ConnectedEV", number, "Available"] = Variable("false", False, "boolean")
        for name in _OF_CAR:
            by_key["ConnectedEV", number, name] = Variable("")
        if settings.v2x:
            for mode in OperationMode:
                for kind in _KINDS:
                    by_key["V2XChargingCtrlr", number, f"{kind}[{mode.value}]"] = Variable(
                        "", True, "MemberList", allowed=tuple(_SAMPLES)
                    )

    def connected(self, evse_id: int, car: Car, protocol: str, service: str) -> None:
        """A car is there; service "": nothing is agreed yet."""
        if not self._is_21 or protocol == "none":
            return
        agreed = ISO_2 if protocol == "-2" else ISO_20[self._settings.is_dc]
        first, second = (agreed, ISO_2) if protocol == "-20" else (ISO_2, "")
        self._set(evse_id, "true", (car.evcc_id, "", agreed if service else "", first, second))

    def gone(self, evse_id: int) -> None:
        """No car: everything else means nothing."""
        if self._is_21:
            self._set(evse_id, "false", ("",) * len(_OF_CAR))

    def _set(self, evse_id: int, available: str, values: tuple[str, ...]) -> None:
        self._by_key["ConnectedEV", evse_id, "Available"].value = available
        for name, value in zip(_OF_CAR, values, strict=True):
            self._by_key["ConnectedEV", evse_id, name].value = value

    def extra(self, evse: Evse, context: str) -> list[tuple[str, float, str]]:
        """(measurand, value, unit) that the running operation mode adds to a meter value."""
        kind = _OF_CONTEXT.get(context, _KINDS[1])
        found = self._by_key.get(("V2XChargingCtrlr", evse.id, f"{kind}[{evse.mode}]"))
        if found is None or not found.value or evse.car is None:
            return []
        return [
            (name, _SAMPLES[name][1](evse, evse.car), _SAMPLES[name][0])
            for name in found.value.split(",")
        ]
