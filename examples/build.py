"""Builds the example scenarios from the measured data sets: `python examples/build.py DATA [OUT]`.

DATA is the folder of the data sets (see each example's SOURCE.md for origin and licence). The
result is the same bytes every time, so that `git diff` after a run shows what changed.
"""

# ruff: noqa: DTZ001 (wall-clock times are meant)

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import measured
from measured import Draw, PlugIn

HOUR = timedelta(hours=1)
SESSION_COLUMNS = (
    "session_id,site_id,arrive_utc,depart_utc,stated_depart_utc,capacity_kwh,energy_arrive_kwh,"
    "energy_target_kwh,energy_min_kwh,charge_max_kw,discharge_max_kw,charge_efficiency,"
    "discharge_efficiency,wear_eur_kwh,vehicle_id"
)


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


def household_price(spot: dict[datetime, float]) -> Callable[[datetime, datetime], float]:
    """A German dynamic tariff of 2025 with a time-variable network fee, gross, EUR/kWh.

    spot + supplier 0.012 + levies 0.02651 + electricity tax 0.0205 + concession fee 0.0159
    + network fee (0.0345 from 1 to 4 h, 0.1084 from 17 to 19 h, else 0.0862), plus 19 % VAT.
    """

    def buy(utc: datetime, wall: datetime) -> float:
        network = 0.0862
        if 1 <= wall.hour < 4:
            network = 0.0345
        elif 17 <= wall.hour < 19:
            network = 0.1084
        return 1.19 * (spot[utc] + 0.012 + 0.02651 + 0.0205 + 0.0159 + network)

    return buy


def street(data: Path) -> Folder:
    """12 homes on one feeder, each with a bidirectional car, 8 with PV."""
    folder = Folder("street", ZoneInfo("Europe/Berlin"), datetime(2025, 3, 24, 12), 4)
    spot = measured.day_ahead_eur_kwh(data, "DE_LU")
    folder.files["prices.csv"] = price_lines(
        folder, household_price(spot), lambda utc: spot[utc] - 0.005
    )
    sites = ["site_id,import_limit_kw,export_limit_kw,feeder_id"]
    series = ["time_utc,site_id,load_kw,pv_kw"]
    for index in range(12):
        site_id = f"home-{index + 1:02d}"
        limit_kw = 17.0 if index % 3 else 11.0
        export_kw = 0.0 if index in (10, 11) else min(limit_kw, 11.0)
        sites.append(f"{site_id},{number(limit_kw)},{number(export_kw)},street")
        pv_kw = (6.0, 9.0, 0.0)[index % 3] if index < 10 else 0.0
        series += home_series(data, folder, site_id, index, 4_200.0, pv_kw * 0.6)
    folder.files["sites.csv"] = sites
    folder.files["feeders.csv"] = [
        "feeder_id,parent_id,import_limit_kw,export_limit_kw",
        "street,,45,45",
    ]
    folder.files["series.csv"] = series
    folder.files["sessions.csv"] = home_sessions(data, folder, 12, datetime(2020, 1, 13), 20250324)
    return folder


def home_series(
    data: Path, folder: Folder, site_id: str, index: int, year_kwh: float, pv_kw: float
) -> list[str]:
    """Hourly load and PV of one home; homes beyond the ninth take another week of the first."""
    load, sun = measured.home(data, index % 9 + 1)
    scale = year_kwh * (0.8 + 0.4 * ((index * 5) % 12) / 11.0) / sum(load)
    lines = []
    for utc, wall in folder.grid(60):
        row = measured.home_hour(wall + timedelta(weeks=index // 9))
        lines.append(
            f"{zulu(utc)},{site_id},{number(load[row] * scale)},{number(sun[row] * pv_kw)}"
        )
    return lines


HOME_CARS_KWH = (58.0, 52.0, 77.0, 40.0, 62.0, 58.0, 75.0, 52.0, 96.0, 45.0, 79.0, 57.5)


def home_sessions(data: Path, folder: Folder, count: int, week: datetime, seed: int) -> list[str]:
    """Measured plug-ins at home of the `count` busiest users, one car each, with statements."""
    draw, errors_h = Draw(seed), measured.late_h(data)
    weeks = round((folder.begin - week).days / 7)
    plug_ins = within(folder, measured.norway(data), weeks)
    lines = [SESSION_COLUMNS]
    for index, items in enumerate(busiest([p for p in plug_ins if p.energy_kwh > 0.0], count)):
        car = Car(HOME_CARS_KWH[index % len(HOME_CARS_KWH)])
        for turn, plug_in in enumerate(items, 1):
            stated = with_statement(plug_in, draw, errors_h, 0.1)
            ids = (f"h{index + 1:02d}-{turn}", f"home-{index + 1:02d}")
            lines.append(session_line(folder, *ids, stated, car, f"car-{index + 1:02d}"))
    return lines


VANS = 60
VAN_EARLY = 10
VAN = Car(68.0, 11.0, 0.0, 0.91, 0.90, 0.015, 0.95, 0.10)
VAN_V2G = Car(68.0, 20.0, 20.0, 0.94, 0.93, 0.015, 0.95, 0.10)


def depot(data: Path) -> Folder:
    """60 vans with a timetable behind an office with PV, a demand charge and a tight limit."""
    folder = Folder("depot", ZoneInfo("Europe/Berlin"), datetime(2025, 3, 24, 12), 4)
    spot = measured.day_ahead_eur_kwh(data, "DE_LU")
    adder = 0.02651 + 0.0205 + 0.0011 + 0.015 + 0.002
    folder.files["prices.csv"] = price_lines(
        folder, lambda utc, _wall: spot[utc] + adder, lambda utc: spot[utc] - 0.003
    )
    folder.files["sites.csv"] = [
        "site_id,import_limit_kw,export_limit_kw,demand_charge_eur_kw",
        "depot,350,200,1.3333",
    ]
    office, sun = measured.office_kw(data), measured.pv_per_kw(data)
    lines = ["time_utc,site_id,load_kw,pv_kw"]
    for utc, wall in folder.grid(30):
        load_kw = 0.4 * office[measured.office_hour(wall)]
        pv_kw = 150.0 * 0.6 * sun[measured.half_hour(wall)]
        lines.append(f"{zulu(utc)},depot,{number(load_kw)},{number(pv_kw)}")
    folder.files["series.csv"] = lines
    folder.files["sessions.csv"] = [SESSION_COLUMNS, *van_lines(folder)]
    return folder


def van_lines(folder: Folder) -> list[str]:
    """A constructed timetable: every fourth van has a day off now and then; the first ten run an
    early shift. One departure in ten is up to 45 min before the timetable, the rest up to 15 after.
    """
    draw = Draw(60)
    lines = []
    midnight = folder.begin.replace(hour=0)
    for van in range(VANS):
        early = van < VAN_EARLY
        car = VAN_V2G if van % 5 < 2 else VAN
        leave_h = 4.5 + 0.25 * (van % 4) if early else 5.75 + 0.25 * (van % 9)
        day, turn = 0, 1
        while day < folder.days:
            back_h = draw.between(12.1, 13.6) if early else draw.between(14.5, 18.5)
            begin = midnight + timedelta(days=day, minutes=round(60 * back_h))
            nights = 2 if draw.unit() < 0.06 else 1
            planned = midnight + timedelta(days=day + nights, hours=leave_h)
            shift_min = draw.between(-45, 0) if draw.unit() < 0.1 else draw.between(0, 15)
            end = planned + timedelta(minutes=round(shift_min))
            km = draw.between(50, 120) + draw.between(0, 60)
            day += nights
            if begin < folder.begin or end > folder.end:
                continue
            plug_in = PlugIn(f"van-{van + 1:02d}", begin, end, 0.30 * km, planned)
            session_id = f"v{van + 1:02d}-{turn}"
            lines.append(session_line(folder, session_id, "depot", plug_in, car, plug_in.who))
            turn += 1
    return lines


EXAMPLES: tuple[Callable[[Path], Folder], ...] = (street, depot)


def main(arguments: list[str]) -> int:
    """Build every example below OUT (by default beside this file)."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: build.py DATA [OUT]\n")
        return 2
    data = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).resolve().parent
    for example in EXAMPLES:
        example(data).write(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
