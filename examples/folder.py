"""A scenario folder in the making, and how measured plug-ins become rows of its files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import measured
from measured import Draw, PlugIn

SESSION_COLUMNS = (
    "session_id,site_id,arrive_utc,depart_utc,stated_depart_utc,capacity_kwh,energy_arrive_kwh,"
    "energy_target_kwh,energy_min_kwh,charge_max_kw,discharge_max_kw,charge_efficiency,"
    "discharge_efficiency,wear_eur_kwh,vehicle_id"
)

HISTORY_COLUMNS = "site_id,arrive_utc,depart_utc,stated_depart_utc,vehicle_id"
HISTORY_DAYS = 28


@dataclass
class Folder:
    """One scenario in the making: local begin (wall clock), zone, days, and the files' lines."""

    name: str
    zone: ZoneInfo
    begin: datetime
    days: int
    toml_tail: str = ""
    files: dict[str, list[str]] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        """Wall-clock end of the horizon."""
        return self.begin + timedelta(days=self.days)

    def utc(self, wall: datetime) -> datetime:
        """UTC of a wall-clock time in the scenario's zone."""
        return wall.replace(tzinfo=self.zone).astimezone(UTC)

    def grid(self, minutes: int) -> list[tuple[datetime, datetime]]:
        """(UTC, wall clock) of every point of the horizon, `minutes` apart in UTC."""
        points, when, end = [], self.utc(self.begin), self.utc(self.end)
        while when < end:
            points.append((when, when.astimezone(self.zone).replace(tzinfo=None)))
            when += timedelta(minutes=minutes)
        return points

    def stamp(self, wall: datetime) -> str:
        """ISO 8601 with offset."""
        return wall.replace(tzinfo=self.zone).isoformat()

    def write(self, out: Path) -> None:
        """Write the folder: scenario.toml and the CSV files."""
        folder = out / self.name
        folder.mkdir(parents=True, exist_ok=True)
        steps = int((self.utc(self.end) - self.utc(self.begin)) / timedelta(minutes=15))
        toml = (
            f'name = "{self.name}"\ntimezone = "{self.zone.key}"\n'
            f"start = {zulu(self.utc(self.begin))}\nsteps = {steps}\nstep_minutes = 15\n"
        )
        (folder / "scenario.toml").write_text(toml + self.toml_tail, "utf-8")
        for name, lines in self.files.items():
            (folder / name).write_text("\n".join(lines) + "\n", "utf-8")


@dataclass(frozen=True)
class Car:
    """What a car brings to its charger: kWh, kW, efficiencies, EUR per kWh stored, SoC wishes."""

    capacity_kwh: float
    charge_kw: float = 11.0
    discharge_kw: float = 11.0
    charge_efficiency: float = 0.91
    discharge_efficiency: float = 0.90
    wear_eur_kwh: float = 0.015
    target_soc: float = 0.8
    minimum_soc: float = 0.15


def zulu(when: datetime) -> str:
    """UTC as 2025-03-24T11:00:00Z."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: float, digits: int = 3) -> str:
    """Fixed digits, without trailing zeros and never `-0`."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def session_line(
    folder: Folder, session_id: str, site_id: str, plug_in: PlugIn, car: Car, vehicle_id: str
) -> str:
    """A row of sessions.csv: the energy that was measured is what is missing to the target."""
    target_kwh = car.target_soc * car.capacity_kwh
    arrive_kwh = target_kwh - plug_in.energy_kwh
    lowest_kwh = 0.08 * car.capacity_kwh
    if arrive_kwh < lowest_kwh:  # a deep charge: it began near empty and went above 80 %
        arrive_kwh = lowest_kwh
        target_kwh = min(lowest_kwh + plug_in.energy_kwh, car.capacity_kwh)
    stated = folder.stamp(plug_in.stated_end) if plug_in.stated_end else ""
    values = (
        car.capacity_kwh,
        arrive_kwh,
        target_kwh,
        min(car.minimum_soc * car.capacity_kwh, target_kwh),
        car.charge_kw,
        car.discharge_kw,
        car.charge_efficiency,
        car.discharge_efficiency,
        car.wear_eur_kwh,
    )
    times = f"{folder.stamp(plug_in.begin)},{folder.stamp(plug_in.end)},{stated}"
    numbers = ",".join(number(value) for value in values)
    return f"{session_id},{site_id},{times},{numbers},{vehicle_id}"


def history_line(folder: Folder, site_id: str, plug_in: PlugIn, vehicle_id: str) -> str:
    """A row of history.csv."""
    stated = folder.stamp(plug_in.stated_end) if plug_in.stated_end else ""
    times = f"{folder.stamp(plug_in.begin)},{folder.stamp(plug_in.end)},{stated}"
    return f"{site_id},{times},{vehicle_id}"


def before(folder: Folder, plug_ins: Iterable[PlugIn], weeks: int) -> list[PlugIn]:
    """Those of the four weeks before the horizon after moving them by whole weeks, by time."""
    first = folder.begin - timedelta(days=HISTORY_DAYS)
    later = (measured.moved(plug_in, weeks) for plug_in in plug_ins)
    past = [p for p in later if p.begin >= first and p.end <= folder.begin]
    return sorted(past, key=lambda p: (p.end, p.who))


def within(folder: Folder, plug_ins: Iterable[PlugIn], weeks: int) -> list[PlugIn]:
    """Those that lie wholly inside the horizon after moving them by whole weeks."""
    later = (measured.moved(plug_in, weeks) for plug_in in plug_ins)
    return [p for p in later if p.begin >= folder.begin and p.end <= folder.end]


def busiest(plug_ins: list[PlugIn], count: int) -> list[list[PlugIn]]:
    """Plug-ins per user (or connector), those with the most first; ties by name."""
    by_who: dict[str, list[PlugIn]] = {}
    for plug_in in plug_ins:
        by_who.setdefault(plug_in.who, []).append(plug_in)
    ranked = sorted(by_who.items(), key=lambda item: (-len(item[1]), item[0]))
    return [items for _who, items in ranked[:count]]


def with_statement(plug_in: PlugIn, draw: Draw, errors_h: list[float], silent: float) -> PlugIn:
    """The same plug-in with a drawn statement of its departure."""
    stated = draw.stated(plug_in, errors_h, silent)
    return PlugIn(plug_in.who, plug_in.begin, plug_in.end, plug_in.energy_kwh, stated)


def price_lines(
    folder: Folder, buy: Callable[[datetime, datetime], float], sell: Callable[[datetime], float]
) -> list[str]:
    """Hourly rows; `buy` gets UTC and wall clock, `sell` UTC; EUR/kWh."""
    lines = ["time_utc,import_eur_kwh,export_eur_kwh"]
    for utc, wall in folder.grid(60):
        lines.append(f"{zulu(utc)},{number(buy(utc, wall), 5)},{number(sell(utc), 5)}")
    return lines
