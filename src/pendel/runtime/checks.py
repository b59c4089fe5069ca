"""Each command is checked against the reading afterwards."""

from collections.abc import Sequence

from pendel.records import Deviation, Reading, Setpoint
from pendel.runtime.area import Meters
from pendel.runtime.journal import Batch
from pendel.runtime.state import SessionView, State

TOLERANCE_KW = 0.3
TOLERANCE_SHARE = 0.05
"""A device follows when it is within 0.3 kW or 5 % of the order, whichever is more."""
REACTION_S = 5.0
"""Readings sooner after the order say nothing yet [s]."""
FULL_KWH = 0.05


def follows(setpoint: Setpoint, reading: Reading) -> bool:
    """Whether the measured power is the ordered one, within the tolerance."""
    allowed = max(TOLERANCE_KW, TOLERANCE_SHARE * abs(setpoint.power_kw))
    return abs(reading.power_kw - setpoint.power_kw) <= allowed


def deviations(batch: Batch, state: State, views: Sequence[SessionView], meters: Meters) -> None:
    """Add a record where a device stops following, and one where it follows again."""
    for view in views:
        device = view.device_id
        setpoint, reading = state.setpoints.get(device), meters.by_device.get(device)
        if setpoint is None or reading is None:
            continue
        if (reading.at_utc - setpoint.at_utc).total_seconds() < REACTION_S:
            continue
        good, open_one = follows(setpoint, reading), state.deviations.get(device)
        if good != (open_one is not None):
            continue
        batch.add(
            Deviation,
            causes=(setpoint.id,) if open_one is None else (setpoint.id, open_one.id),
            device_id=device,
            site_id=view.event.site_id,
            ordered_kw=setpoint.power_kw,
            measured_kw=reading.power_kw,
            reason="within tolerance" if good else _why(setpoint, reading, view),
            ended=good,
        )


def _why(setpoint: Setpoint, reading: Reading, view: SessionView) -> str:
    energy_kwh = reading.energy_kwh
    if energy_kwh is not None:
        if setpoint.power_kw > 0.0 and energy_kwh >= view.event.capacity_kwh - FULL_KWH:
            return "the battery is full"
        if setpoint.power_kw < 0.0 and energy_kwh <= FULL_KWH:
            return "the battery is empty"
    return "the device does something else"
