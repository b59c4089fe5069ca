"""What of all readings is kept: changes of devices, and the mean of each site meter per step.

The mean of a step is taken from its first round to its last one: what flows between the begin of
a step and the first round in it is what no order could have changed. Means come from the registers
(kWh) where a meter has them, else from the samples of the step. A step whose mean import or export
is above the limit is a deviation of the site.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pendel.control.limits import SiteLimit
from pendel.records import Deviation, Reading
from pendel.runtime.area import AreaSpec, Meters
from pendel.runtime.journal import Batch
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX, LOAD_SUFFIX, PV_SUFFIX, State
from pendel.units import LIMIT_TOLERANCE, SECONDS_PER_HOUR

METER_SHARE = 0.001
"""Share of a limit by which a measured mean may be above it: the fraction of a round in which a
car that left is not yet made up for."""
CHANGED_KW = 0.1
"""A device's reading is kept when it differs by this much from the last kept one [kW]."""


@dataclass(slots=True)
class StepMeters:
    """Begin of the running step and what the registers said then."""

    step_s: int = -1
    begun: dict[str, Reading] = field(default_factory=dict)
    latest: dict[str, Reading] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    allowed: dict[str, tuple[float, float]] = field(default_factory=dict)

    def record(
        self,
        batch: Batch,
        spec: AreaSpec,
        state: State,
        meters: Meters,
        limits: Sequence[SiteLimit],
    ) -> None:
        """Add the readings of this tick that are kept."""
        now_s = int(batch.now_utc.timestamp())
        step_s = now_s - now_s % spec.step_s
        new_step = step_s != self.step_s
        site_meters = {
            site + suffix: site
            for site in spec.site_id
            for suffix in (LOAD_SUFFIX, PV_SUFFIX, GRID_SUFFIX, CARS_SUFFIX)
        }
        if new_step and self.step_s >= 0:
            for device, site in site_meters.items():
                self._keep_mean(batch, spec, meters, device, site)
            self._check_limits(batch, spec, limits)
        if new_step:
            self.step_s = step_s
            self.begun = {d: meters.by_device[d] for d in site_meters if d in meters.by_device}
            self.samples, self.allowed, self.latest = {}, {}, {}
        else:
            self.latest = {d: meters.by_device[d] for d in site_meters if d in meters.by_device}
        for site, limit in zip(spec.site_id, limits, strict=True):
            # An order that comes within the step is measured from the next step on.
            now = (limit.import_limit_kw, limit.export_limit_kw)
            before = self.allowed.get(site, now)
            self.allowed[site] = (max(before[0], now[0]), max(before[1], now[1]))
        for device in site_meters:
            if device in meters.by_device:
                self.samples.setdefault(device, []).append(meters.by_device[device].power_kw)
        for device, reading in meters.by_device.items():
            if device in site_meters:
                continue
            kept = state.readings.get(device)
            jump = kept is None or abs(kept.power_kw - reading.power_kw) >= CHANGED_KW
            if (new_step or jump) and (kept is None or reading.at_utc > kept.at_utc):
                batch.adopt(reading)

    def _keep_mean(
        self, batch: Batch, spec: AreaSpec, meters: Meters, device: str, site: str
    ) -> None:
        begun = self.begun.get(device)
        ended = self.latest.get(device) or meters.by_device.get(device)
        samples = self.samples.get(device, [])
        if begun is None or ended is None or not samples:
            return
        mean_kw = _mean_of_registers(begun, ended)
        if mean_kw is None:
            mean_kw = sum(samples) / len(samples)
        batch.add(
            Reading,
            at_utc=datetime.fromtimestamp(self.step_s, UTC),
            device_id=device,
            site_id=site,
            power_kw=mean_kw,
            import_kwh=ended.import_kwh,
            export_kwh=ended.export_kwh,
            simulated=ended.simulated,
        )

    def _check_limits(self, batch: Batch, spec: AreaSpec, limits: Sequence[SiteLimit]) -> None:
        """A mean above what was allowed in the step that ended is a deviation."""
        means = {
            record.device_id: record
            for record in batch.records
            if isinstance(record, Reading) and record.device_id.endswith(GRID_SUFFIX)
        }
        for site, limit in zip(spec.site_id, limits, strict=True):
            mean = means.get(site + GRID_SUFFIX)
            if mean is None or site not in self.allowed:
                continue
            most_in, most_out = self.allowed[site]
            allowed = most_in if mean.power_kw > 0.0 else -most_out
            over_in = mean.power_kw > most_in * (1.0 + METER_SHARE) + LIMIT_TOLERANCE
            over_out = mean.power_kw < -most_out * (1.0 + METER_SHARE) - LIMIT_TOLERANCE
            if over_in or over_out:
                batch.add(
                    Deviation,
                    causes=(mean.id, *limit.causes),
                    device_id=mean.device_id,
                    site_id=site,
                    ordered_kw=allowed,
                    measured_kw=mean.power_kw,
                    reason="the mean of a step is above the limit of the connection",
                )


def _mean_of_registers(begun: Reading, ended: Reading) -> float | None:
    """Mean net power between two readings [kW]; None without registers or after a reset."""
    hours = (ended.at_utc - begun.at_utc).total_seconds() / SECONDS_PER_HOUR
    if hours <= 0.0 or None in (begun.import_kwh, ended.import_kwh):
        return None
    taken = (ended.import_kwh or 0.0) - (begun.import_kwh or 0.0)
    given = (ended.export_kwh or 0.0) - (begun.export_kwh or 0.0)
    return None if taken < 0.0 or given < 0.0 else (taken - given) / hours
