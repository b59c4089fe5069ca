"""The meters of a site that is served over OCPP: its charge points together, its grid connection.

Registers of charge points are counted on from the first time they are heard, so that a station
that comes or is exchanged adds nothing. The grid connection is metered by a station (EVSE 0), or
by nobody where nothing but charge points is behind it; load is what is left of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pendel.comms.ocpp.backend.stations import Station
from pendel.records import Reading
from pendel.runtime.collecting import STATIONS
from pendel.runtime.state import CARS_SUFFIX, GRID_SUFFIX, LOAD_SUFFIX, PV_SUFFIX

Registers = tuple[float, float]


@dataclass(slots=True)
class SiteMeter:
    """Counts of one site [kWh, import and export] since this process began."""

    site_id: str
    grid: str = ""
    last: dict[str, Registers] = field(default_factory=dict)
    total: Registers = (0.0, 0.0)

    def count(self, readings: Sequence[Reading]) -> None:
        """Add what the registers of its charge points moved on."""
        for reading in readings:
            if reading.import_kwh is None or reading.export_kwh is None:
                continue
            now = (reading.import_kwh, reading.export_kwh)
            before = self.last.get(reading.device_id, now)
            moved = (now[0] - before[0], now[1] - before[1])
            if min(moved) >= 0.0:
                self.total = (self.total[0] + moved[0], self.total[1] + moved[1])
            self.last[reading.device_id] = now

    def readings(
        self, readings: Sequence[Reading], main: Station | None, now_utc: datetime
    ) -> list[Reading]:
        """Readings of the site's meters from those of its charge points; main: the station whose
        EVSE 0 meters the grid connection."""
        self.count(readings)
        cars_kw = sum(reading.power_kw for reading in readings)
        found = [self._reading(CARS_SUFFIX, cars_kw, now_utc, self.total)]
        if self.grid == STATIONS:
            found.append(self._reading(GRID_SUFFIX, cars_kw, now_utc, self.total))
        evse = None if main is None else main.evses.get(0)
        if evse is not None and evse.heard_utc is not None and evse.power_w is not None:
            grid_kw = evse.power_w / 1e3
            load_kw = grid_kw - cars_kw
            found.append(self._reading(GRID_SUFFIX, grid_kw, evse.heard_utc))
            found.append(self._reading(LOAD_SUFFIX, max(load_kw, 0.0), evse.heard_utc))
            found.append(self._reading(PV_SUFFIX, min(load_kw, 0.0), evse.heard_utc))
        return found

    def _reading(
        self, suffix: str, power_kw: float, at_utc: datetime, total: Registers | None = None
    ) -> Reading:
        return Reading(
            id="",
            at_utc=at_utc,
            device_id=self.site_id + suffix,
            site_id=self.site_id,
            power_kw=power_kw,
            import_kwh=None if total is None else total[0],
            export_kwh=None if total is None else total[1],
        )
