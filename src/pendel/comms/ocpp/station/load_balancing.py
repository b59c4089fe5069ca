"""Local load balancing (Q09): from a reading of the upstream meter to the next setpoint. Pure."""

from dataclasses import dataclass

from pendel.units import W_PER_KW

READ_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """V2XChargingCtrlr.LocalLoadBalancing of an EVSE [W]; upper must be above lower."""

    upper_w: float
    lower_w: float
    upper_offset_w: float = 0.0
    lower_offset_w: float = 0.0


@dataclass(slots=True)
class Balance:
    """The setpoint of one EVSE [kW] and when the meter was read last [epoch s]; moving: the last
    reading changed it."""

    setpoint_kw: float = 0.0
    read_s: float | None = None
    moving: bool = False

    def read(
        self,
        load_kw: float,
        thresholds: Thresholds,
        sharing: int,
        low_kw: float,
        high_kw: float,
        now_s: float,
    ) -> float:
        """The setpoint [kW] after a reading, at most once in READ_EVERY_S. sharing: how many EVSEs
        balance the same meter; low and high cap it (Q09.FR.05)."""
        if self.read_s is None or now_s - self.read_s >= READ_EVERY_S:
            delta_kw = delta_w(load_kw * W_PER_KW, thresholds) / W_PER_KW / max(sharing, 1)
            before_kw = self.setpoint_kw
            self.setpoint_kw = min(max(before_kw + delta_kw, low_kw), max(high_kw, low_kw))
            self.read_s, self.moving = now_s, self.setpoint_kw != before_kw
        self.setpoint_kw = min(max(self.setpoint_kw, low_kw), max(high_kw, low_kw))
        return self.setpoint_kw


def delta_w(load_w: float, thresholds: Thresholds) -> float:
    """By how much the setpoint moves at a load [W, import positive] (block Q, section 2.2)."""
    if load_w > thresholds.upper_w:
        return thresholds.upper_w + thresholds.upper_offset_w - load_w
    if load_w < thresholds.lower_w:
        return thresholds.lower_w + thresholds.lower_offset_w - load_w
    return 0.0
