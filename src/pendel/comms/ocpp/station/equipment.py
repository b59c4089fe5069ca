"""What stands there: station settings, EVSEs, a plugged-in car, a running transaction."""

import math
from dataclasses import dataclass, field
from typing import Any

from pendel.comms.ocpp.station.battery_side import CONSTANT, Key, instant_kw
from pendel.comms.ocpp.station.ev_side import DEFAULT_SIDE, EvSide
from pendel.comms.ocpp.station.load_balancing import Balance
from pendel.comms.ocpp.station.smart_charging import SmartCharging
from pendel.units import PROMISE_TOLERANCE_KWH, SECONDS_PER_HOUR, W_PER_KW, stored_change_kwh


@dataclass(frozen=True, slots=True)
class StationSettings:
    """How a virtual station is built. Powers in kW per EVSE, times in seconds.

    v2x: the EVSE can discharge and says so (2.1). is_dc: conversion in the station.
    follows_clock: set its clock by the backend's (BootNotification, Heartbeat). aligned_s: interval
    of clock-aligned meter values within transactions, 0 = none. der_modes: DER controls it carries
    out itself (None: all); nominal_hz: of its grid; smart: abilities
    of its smart charging. renegotiates_service: a car may change its energy transfer within a
    session (ISO 15118-20). profile_wait_s: how long a car waits for a profile that the backend
    promised (at most 60 s, less a step); organization: its operator as in certificates; secc_id:
    its name towards cars ("" = its id). takes_early_profiles: a TxProfile before the needs is
    taken, and not waited for again, instead of refused (K15.FR.17).
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
    aligned_s: float = 0.0
    message_attempts: int = 3
    attempt_interval_s: float = 60.0
    call_timeout_s: float = 30.0
    timezone: str = "UTC"
    follows_clock: bool = True
    id_token_type: str = "ISO14443"
    der_modes: tuple[str, ...] | None = None
    nominal_hz: float = 50.0
    smart: SmartCharging = field(default_factory=SmartCharging)
    renegotiates_service: bool = True
    profile_wait_s: float = 60.0
    organization: str = ""
    secc_id: str = ""
    takes_early_profiles: bool = False


@dataclass(slots=True)
class Car:
    """A car on the cable. Energies stored [kWh], powers AC [kW] (amounts), efficiencies 0..1.

    depart_s: when the driver says he will leave [epoch s] or None; battery_model: of
    `power.battery`, how power falls near full and empty; der_controls: those its own inverter
    carries out (None: it knows AC_BPT only, no AC_BPT_DER); ev_side: how it speaks ISO 15118.
    contract_pem: its contract certificate with the chain (Plug & Charge), "" = none, then id_token
    is shown.
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
    battery_model: str = CONSTANT
    der_controls: tuple[str, ...] | None = None
    ev_side: EvSide = DEFAULT_SIDE
    contract_pem: str = ""

    @property
    def soc(self) -> float:
        """State of charge, 0..1."""
        return self.energy_kwh / self.capacity_kwh

    @property
    def _battery(self) -> Key:
        return (
            self.battery_model,
            self.capacity_kwh,
            self.charge_max_kw,
            self.discharge_max_kw,
            self.charge_efficiency,
            self.discharge_efficiency,
        )

    def possible_kw(self, wanted_kw: float, hours: float) -> float:
        """The AC power [kW] nearest to wanted that the battery can take or give for hours [h]."""
        power_kw = min(max(wanted_kw, -self.discharge_max_kw), self.charge_max_kw)
        if self.battery_model != CONSTANT and power_kw:
            into_kw, out_kw = instant_kw(self._battery, self.energy_kwh)
            power_kw = min(max(power_kw, -out_kw), into_kw)
        if hours <= 0.0:
            return power_kw
        room_kwh = max(self.capacity_kwh - self.energy_kwh, 0.0)
        spare_kwh = max(self.energy_kwh - self.energy_min_kwh, 0.0)
        power_kw = min(power_kw, room_kwh / (hours * self.charge_efficiency))
        return max(power_kw, -spare_kwh * self.discharge_efficiency / hours)

    def lasts_s(self, power_kw: float) -> float:
        """Seconds until target, full or lowest energy is reached at an AC power [kW]."""
        if power_kw > 0.0:
            goals = [g for g in (self.target_kwh, self.capacity_kwh) if g > self.energy_kwh + 1e-9]
            if not goals:
                return math.inf
            rate = power_kw * self.charge_efficiency
            return (min(goals) - self.energy_kwh) / rate * SECONDS_PER_HOUR
        if power_kw < 0.0:
            spare_kwh = max(self.energy_kwh - self.energy_min_kwh, 0.0)
            return spare_kwh * self.discharge_efficiency / -power_kw * SECONDS_PER_HOUR
        return math.inf

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
    """One charging transaction. wire_id: what the backend knows it by (1.6: None until told);
    authorized: somebody may charge; mode: V2X operation mode last told (2.1). ready_s: from when on
    energy may flow (K01.FR.42); delays: random delays per profile id [s] (K01.FR.93);
    charging_priority: of its driver, -9..9 (K03.FR.04)."""

    id: str
    evse_id: int
    start_s: float
    wire_id: int | str | None
    id_token: str = ""
    authorized: bool = False
    sequence: int = 0
    charging_state: str = "EVConnected"
    mode: str = "ChargingOnly"
    remote_start_id: int | None = None
    reservation_id: int | None = None
    ready_s: float | None = None
    delays: dict[int, tuple[float, ...]] = field(default_factory=dict)
    charging_priority: int = 0

    @property
    def begin_s(self) -> float:
        """When a relative schedule begins [epoch s]."""
        return self.start_s if self.ready_s is None else self.ready_s

    @property
    def known_as(self) -> str:
        """The id that charging profiles name."""
        return self.id if self.wire_id is None else str(self.wire_id)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Kept for one token until expires_s [epoch s]."""

    id: int
    id_token: str
    expires_s: float


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """A start from afar that waits for the cable. profile: its wire charging profile or None."""

    id: int | None
    id_token: str
    until_s: float
    profile: Any = None


@dataclass(slots=True)
class Evse:
    """One EVSE: its registers [Wh] count up for ever, import and export apart.

    card: a token shown before the cable went in; v2x_allowed: the backend's word about
    discharging (None: nothing was said), transfers: all it allowed (() = it left the list out);
    signal: the last aFRR signal; ev_hold: why the car does not draw ("" = it may), ev_profile: what
    it said it will draw (epoch s, W signed); kvar: reactive power, absorbing positive; asleep: its
    electronics are off (Q10); followed_hz: the frequency that LocalFrequency acts upon; sources:
    profiles behind the mode; v2x: `V2xVariables` of 2.1. phases, phase: in use (0 = DC; the phase
    where it is one); share_kw: what balancing left it, None = all it wanted; least_kw: below this
    charging is not worth while (minChargingRate); sharers: EVSEs that an external
    setpoint of the whole station is divided among.
    """

    id: int
    available: bool = True
    fault: str | None = None
    car: Car | None = None
    transaction: Transaction | None = None
    import_wh: float = 0.0
    export_wh: float = 0.0
    power_kw: float = 0.0
    setpoint_kw: float | None = None
    mode: str = "ChargingOnly"
    next_meter_s: float = 0.0
    needs_sent: bool = False
    stopped: bool = False
    v2x_allowed: bool | None = None
    transfers: tuple[str, ...] | None = None
    ev_hold: str = ""
    ev_profile: tuple[tuple[float, float], ...] = ()
    signal: float | None = None
    priority: bool = False
    phases: int = 0
    phase: int | None = None
    share_kw: float | None = None
    least_kw: float = 0.0
    reservation: Reservation | None = None
    remote_start: RemoteStart | None = None
    card: str = ""
    shown: str = ""
    kvar: float = 0.0
    asleep: bool = False
    preconditions: bool = False
    followed_hz: float | None = None
    sources: tuple[int, ...] = ()
    sharers: int = 1
    balance: Balance = field(default_factory=Balance)
    v2x: Any = None

    def flow(self, hours: float) -> None:
        """Let the power flow for hours [h]; battery and registers move by the same energy."""
        if self.car is None or self.power_kw == 0.0:
            return
        power_kw = self.car.possible_kw(self.power_kw, hours)
        self.car.move(power_kw, hours)
        self.import_wh += max(power_kw, 0.0) * hours * W_PER_KW
        self.export_wh += max(-power_kw, 0.0) * hours * W_PER_KW

    @property
    def status_16(self) -> str:
        """Connector status of OCPP 1.6."""
        if self.fault is not None:
            return "Faulted"
        if not self.available and self.transaction is None:
            return "Unavailable"
        if self.car is None:
            return "Reserved" if self.reservation else "Available"
        if self.transaction is None:
            return "Finishing" if self.stopped else "Preparing"
        state = self.charging_state
        return "Preparing" if state == "EVConnected" else state

    @property
    def status_2(self) -> str:
        """Connector status of OCPP 2.x."""
        if self.fault is not None:
            return "Faulted"
        if not self.available and self.transaction is None:
            return "Unavailable"
        if self.car is not None:
            return "Occupied"
        return "Reserved" if self.reservation else "Available"

    @property
    def charging_state(self) -> str:
        """chargingState of OCPP 2.x for the running transaction."""
        if self.car is None:
            return "Idle"
        if self.transaction is None or not self.transaction.authorized:
            return "EVConnected"
        if self.ev_hold:
            return "SuspendedEV" if self.ev_hold == "paused" else "EVConnected"
        if abs(self.power_kw) > 0.0:
            return "Charging"
        if self.fault is None and self.car.is_content:
            return "SuspendedEV"
        return "SuspendedEVSE"
