"""What stands there: station settings, EVSEs, a plugged-in car, a running transaction."""

from dataclasses import dataclass, field

from pendel.units import PROMISE_TOLERANCE_KWH, stored_change_kwh


@dataclass(frozen=True, slots=True)
class StationSettings:
    """How a virtual station is built. Powers in kW per EVSE, times in seconds.

    v2x: the EVSE can discharge and says so (2.1). is_dc: conversion in the station.
    """

    station_id: str
    evses: int = 1
    power_max_kw: float = 11.0
    v2x: bool = True
    is_dc: bool = False
    voltage_v: float = 230.0
    phases: int = 3
    vendor: str = "pendel"
    model: str = "virtual"
    firmware: str = "1.0"
    serial: str = "0"
    meter_interval_s: float = 60.0
    message_attempts: int = 3
    attempt_interval_s: float = 60.0
    timezone: str = "UTC"


@dataclass(slots=True)
class Car:
    """A car on the cable. Energies stored [kWh], powers AC [kW] (amounts), efficiencies 0..1.

    depart_s: when the driver says he will leave [epoch s] or None; bidirectional: may discharge.
    """

    capacity_kwh: float
    energy_kwh: float
    target_kwh: float
    energy_min_kwh: float = 0.0
    charge_max_kw: float = 11.0
    discharge_max_kw: float = 0.0
    charge_efficiency: float = 0.92
    discharge_efficiency: float = 0.92
    depart_s: float | None = None
    id_token: str = "TAG1"
    evcc_id: str = ""

    @property
    def soc(self) -> float:
        """State of charge, 0..1."""
        return self.energy_kwh / self.capacity_kwh

    def possible_kw(self, wanted_kw: float, hours: float) -> float:
        """The AC power [kW] nearest to wanted that the battery can take or give for hours [h]."""
        power_kw = min(max(wanted_kw, -self.discharge_max_kw), self.charge_max_kw)
        if hours <= 0.0:
            return power_kw
        room_kwh = self.capacity_kwh - self.energy_kwh
        spare_kwh = max(self.energy_kwh - self.energy_min_kwh, 0.0)
        power_kw = min(power_kw, max(room_kwh, 0.0) / (hours * self.charge_efficiency))
        return max(power_kw, -spare_kwh * self.discharge_efficiency / hours)

    def move(self, power_kw: float, hours: float) -> None:
        """Charge or discharge at the AC power for hours [h]."""
        change = stored_change_kwh(
            power_kw, hours, self.charge_efficiency, self.discharge_efficiency
        )
        self.energy_kwh = min(max(self.energy_kwh + change, 0.0), self.capacity_kwh)

    @property
    def is_content(self) -> bool:
        """Whether the target is reached."""
        return self.energy_kwh >= self.target_kwh - PROMISE_TOLERANCE_KWH / 2.0


@dataclass(slots=True)
class Transaction:
    """One charging transaction. wire_id: what the backend knows it by (1.6: None until told)."""

    id: str
    evse_id: int
    id_token: str
    start_s: float
    wire_id: int | str | None
    sequence: int = 0
    charging_state: str = "EVConnected"
    remote_start_id: int | None = None
    ended: bool = False


@dataclass(slots=True)
class Evse:
    """One EVSE: its registers [Wh] count up for ever, import and export apart."""

    id: int
    available: bool = True
    fault: str | None = None
    car: Car | None = None
    transaction: Transaction | None = None
    import_wh: float = 0.0
    export_wh: float = 0.0
    power_kw: float = 0.0
    setpoint_kw: float | None = None
    next_meter_s: float = 0.0
    needs_sent: bool = False
    stopped: bool = False
    signal: float | None = None
    priority: bool = False
    reserved_for: str | None = None
    shown: str = field(default="")

    @property
    def status_16(self) -> str:
        """Connector status of OCPP 1.6."""
        if self.fault is not None:
            return "Faulted"
        if not self.available:
            return "Unavailable"
        if self.car is None:
            return "Reserved" if self.reserved_for else "Available"
        if self.transaction is None:
            return "Finishing" if self.stopped else "Preparing"
        if abs(self.power_kw) > 0.0:
            return "Charging"
        return "SuspendedEV" if self.car.is_content else "SuspendedEVSE"

    @property
    def status_2(self) -> str:
        """Connector status of OCPP 2.x."""
        if self.fault is not None:
            return "Faulted"
        if not self.available:
            return "Unavailable"
        if self.car is not None:
            return "Occupied"
        return "Reserved" if self.reserved_for else "Available"

    @property
    def charging_state(self) -> str:
        """chargingState of OCPP 2.x for the running transaction."""
        if self.car is None:
            return "Idle"
        if self.stopped:
            return "EVConnected"
        if abs(self.power_kw) > 0.0:
            return "Charging"
        return "SuspendedEV" if self.car.is_content else "SuspendedEVSE"
