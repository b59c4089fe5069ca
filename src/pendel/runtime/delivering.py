"""Deliveries: what flowed through the meters that are settled, per quarter hour, exactly.

A site is settled by two metering points: its grid connection (Z1) and its charge points together
(Z2). At the first round of a quarter hour their registers are read; the difference to those of one
quarter hour before becomes a Delivery in exact decimals, with the prices of then among its causes.
Where a round came late or was missed there is none: a gap is a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from pendel.records import Delivery, Reading
from pendel.runtime.area import AreaSpec, Meters
from pendel.runtime.journal import Batch
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX
from pendel.units import QUARTER_HOUR_S

LATE_MAX_S = 27
"""A register read later than this after the begin of a quarter hour is not that of its begin
(settle.meter.CLOCK_TOLERANCE_S)."""
_DIGITS = Decimal("0.000001")
Registers = tuple[Decimal, Decimal]


@dataclass(slots=True)
class DeliveryBook:
    """Registers at the begin of the running quarter hour, and the prices that hold in it."""

    quarter_s: int = -1
    begun: dict[str, Registers] = field(default_factory=dict)
    price_ids: dict[str, str] = field(default_factory=dict)

    def record(
        self, batch: Batch, spec: AreaSpec, meters: Meters, price_ids: Sequence[str]
    ) -> None:
        """Add the deliveries of the quarter hour that has ended, if this round is the first of
        the next one. price_ids: per site the signal with its prices ("" = none published)."""
        now_s = int(batch.now_utc.timestamp())
        quarter_s = now_s - now_s % QUARTER_HOUR_S
        if quarter_s == self.quarter_s:
            return
        registers = {
            site + suffix: registers_of(meters.by_device.get(site + suffix), quarter_s)
            for site in spec.site_id
            for suffix in (GRID_SUFFIX, CARS_SUFFIX)
        }
        known = {device: pair for device, pair in registers.items() if pair is not None}
        if self.quarter_s == quarter_s - QUARTER_HOUR_S:
            for site in spec.site_id:
                self._deliver(batch, site, known)
        self.quarter_s, self.begun = quarter_s, known
        self.price_ids = dict(zip(spec.site_id, price_ids, strict=True))

    def _deliver(self, batch: Batch, site: str, known: dict[str, Registers]) -> None:
        price_id = self.price_ids.get(site, "")
        for suffix in (GRID_SUFFIX, CARS_SUFFIX):
            device = site + suffix
            if device not in known or device not in self.begun:
                continue
            taken, given = (
                after - before
                for after, before in zip(known[device], self.begun[device], strict=True)
            )
            if taken < 0 or given < 0:
                continue
            batch.add(
                Delivery,
                causes=(price_id,) if price_id else (),
                device_id=device,
                site_id=site,
                begin_utc=datetime.fromtimestamp(self.quarter_s, UTC),
                import_kwh=str(taken),
                export_kwh=str(given),
            )


def registers_of(reading: Reading | None, quarter_s: int) -> Registers | None:
    """Registers [kWh, six digits] of a reading at the begin of a quarter hour; None where it has
    none or was taken at another time."""
    if reading is None or reading.import_kwh is None or reading.export_kwh is None:
        return None
    if not 0 <= reading.at_utc.timestamp() - quarter_s <= LATE_MAX_S:
        return None
    taken, given = (
        Decimal(value).quantize(_DIGITS) for value in (reading.import_kwh, reading.export_kwh)
    )
    return taken, given
