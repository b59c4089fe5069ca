"""V2XChargingCtrlr of one EVSE as numbers: what the modes of block Q are set by."""

import math
from dataclasses import dataclass

from pendel.comms.ocpp.station.load_balancing import Thresholds
from pendel.comms.ocpp.station.variables import Variables

COMPONENT = "V2XChargingCtrlr"
BALANCING = "LocalLoadBalancing"
HZ_PER_MHZ = 1e-3


@dataclass(frozen=True, slots=True)
class V2xVariables:
    """Reads the device model each time, so that what the backend sets holds at once."""

    variables: Variables
    evse_id: int

    def _text(self, name: str, instance: str = "") -> str:
        name = f"{name}[{instance}]" if instance else name
        found = self.variables.get(COMPONENT, self.evse_id, name)
        return "" if found is None else found.value

    def _number(self, name: str, instance: str = "") -> float | None:
        try:
            value = float(self._text(name, instance))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    @property
    def thresholds(self) -> Thresholds | None:
        """Those of LocalLoadBalancing, or None where one is missing or they contradict."""
        names = ("UpperThreshold", "LowerThreshold", "UpperOffset", "LowerOffset")
        upper, lower, over, under = (self._number(BALANCING, name) for name in names)
        if upper is None or lower is None or over is None or under is None or upper <= lower:
            return None
        return Thresholds(upper, lower, over, under)

    @property
    def frequency_step_hz(self) -> float:
        """Change of frequency that moves the setpoint of LocalFrequency."""
        return max(self._number("LocalFrequencyUpdateThreshold") or 0.0, 0.0) * HZ_PER_MHZ
