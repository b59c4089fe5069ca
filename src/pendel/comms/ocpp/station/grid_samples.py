"""What a 2.1 station measures of the grid, as SampledValueType: frequency, voltage, reactive power.

Told where it matters: while DER controls stand, a grid is played from a record, or reactive power
flows.
"""

import math
from typing import Any

from pendel.comms.ocpp.station.core import VirtualStation
from pendel.comms.ocpp.station.equipment import Evse
from pendel.units import W_PER_KW


def grid_samples(
    station: VirtualStation, evse: Evse, now_s: float, context: str
) -> list[dict[str, Any]]:
    """Frequency, Voltage per phase, Power.Reactive.Import (absorbed) and Export (injected), and
    Power.Factor, of this moment."""
    if not station.der_power.controls and station.around.record is None and not evse.kvar:
        return []
    grid = station.around.grid(now_s)
    up = 1.0 if grid.up else 0.0

    def sample(value: float, measurand: str, unit: str = "", **more: str) -> dict[str, Any]:
        found: dict[str, Any] = {"value": round(value, 6), "measurand": measurand,
                                 "context": context, **more}  # fmt: skip
        return found | {"unitOfMeasure": {"unit": unit}} if unit else found

    volts = station.settings.voltage_v * up
    phases = grid.phases_pu if len(grid.phases_pu) > 1 else (grid.voltage_pu,)
    names = ("L1-N", "L2-N", "L3-N")
    samples = [
        sample(share * volts, "Voltage", "V", **({"phase": name} if len(phases) > 1 else {}))
        for name, share in zip(names, phases, strict=False)
    ]
    if math.isfinite(grid.frequency_hz):
        samples.append(sample(grid.frequency_hz * up, "Frequency", "Hz"))
    samples += [
        sample(max(evse.kvar, 0.0) * W_PER_KW, "Power.Reactive.Import", "var"),
        sample(max(-evse.kvar, 0.0) * W_PER_KW, "Power.Reactive.Export", "var"),
    ]
    apparent = math.hypot(evse.power_kw, evse.kvar)
    if apparent > 0.0:
        samples.append(sample(abs(evse.power_kw) / apparent, "Power.Factor"))
    return samples
