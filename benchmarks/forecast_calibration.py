"""How good and how honest the forecasts are: `python benchmarks/forecast_calibration.py SHARED`.

SHARED is the shared data collection (or env PENDEL_SHARED). Printed per subject: coverage of the
80 % band, mean absolute error of the point, and skill = 1 - error / error of three baselines
(persistence, same time yesterday, same time a week ago). Forecasts are issued once a day at
00:00 UTC for the next 24 hours, from the past only. Departures: pinball loss of the model's
quantiles against the stated departure used as every quantile, on a month the model never saw,
and coverage of its 80 % interval.
"""

import csv
import gzip
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import session_data as data
from pendel.control.departure_fit import fit_table
from pendel.control.departure_kernels import presence_rows
from pendel.control.departures import DepartureModel, Prior
from pendel.control.forecast import Band, Place, forecast_prices, forecast_series

HOUR_S, DAY_S = 3_600, 86_400
DAYS = range(30, 330, 13)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
Row = dict[str, float | str]


def score(name: str, series: np.ndarray, forecast: Callable[[int], Band], days: range) -> Row:
    """Coverage, error and skills of day-ahead forecasts of hourly series [S, H]."""
    inside, error = [], np.zeros(4)
    for day in days:
        cut = day * 24
        truth = series[:, cut : cut + 24]
        band = forecast(cut)
        lit = (band.high > 0.0) | (truth > 0.0)
        inside.append(((truth >= band.low - 1e-9) & (truth <= band.high + 1e-9))[lit])
        guesses = (
            band.point,
            np.repeat(series[:, cut - 1 : cut], 24, axis=1),
            series[:, cut - 24 : cut],
            series[:, cut - 168 : cut - 144],
        )
        error += [np.abs(guess - truth).mean() for guess in guesses]
    error /= len(days)
    return {
        "subject": name,
        "coverage_80": float(np.concatenate(inside).mean()),
        "error": float(error[0]),
        "skill_persistence": float(1 - error[0] / error[1]),
        "skill_yesterday": float(1 - error[0] / error[2]),
        "skill_last_week": float(1 - error[0] / error[3]),
    }


def homes(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Load [9, 8760] kW and PV [9, 8760] kW of the Fontana homes (modelled PV)."""
    folder = shared / "homes_fontana_2016"
    nominal = [
        float(row[-1])
        for row in csv.reader((folder / "pv_nominal_kw.csv").open())
        if row[-1][0].isdigit()
    ]
    load, pv = [], []
    for number in range(1, 10):
        rows = list(data.rows_of(folder / f"building_{number:02d}.csv.gz"))
        load.append([float(row["non_shiftable_load"]) for row in rows])
        pv.append([float(row["solar_generation"]) * nominal[number - 1] / 1e3 for row in rows])
    return np.array(load), np.array(pv)


def office(shared: Path) -> np.ndarray:
    """Simulated office load [1, 8760] kW."""
    path = shared / "site_building_pv_la" / "office_medium_la_hourly.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8-sig") as source:
        rows = list(csv.reader(source))
    column = next(i for i, name in enumerate(rows[0]) if "Electricity:Facility" in name)
    return np.array([[float(row[column]) for row in rows[1:8761]]])


def series_rows(shared: Path) -> list[Row]:
    """Loads and PV of homes and office."""
    begin_s = int(datetime(2015, 7, 31, 23, tzinfo=UTC).timestamp()) // HOUR_S * HOUR_S
    zone = "Etc/GMT+8"  # no change of clocks in the set
    load, pv = homes(shared)
    begin_s += 8 * HOUR_S
    place = Place(34.1, -117.4, 30.0, 180.0)

    def issue(past: np.ndarray, kind: str, where: Place | None) -> Callable[[int], Band]:
        return lambda cut: forecast_series(
            past[:, max(0, cut - 28 * 24) : cut],
            begin_s + cut * HOUR_S,
            HOUR_S,
            24,
            zone,
            kind,
            where,
        )

    rows = [
        score("home load", load, issue(load, "load", None), DAYS),
        score("home PV, place known", pv, issue(pv, "pv", place), DAYS),
        score("home PV, learned shape", pv, issue(pv, "pv", None), DAYS),
    ]
    building = office(shared)
    return [*rows, score("office load", building, issue(building, "load", None), DAYS)]


def price_rows(shared: Path) -> list[Row]:
    """Day-ahead prices of 2025 the day after the published ones."""
    path = shared / "prices_smard_2025_hourly" / "day_ahead_eur_per_mwh.csv.gz"
    table = list(data.rows_of(path))
    begin_s = int(datetime(2024, 12, 31, 23, tzinfo=UTC).timestamp())
    rows = []
    for zone in ("DE_LU", "NL", "FR"):
        series = np.array([[float(row[zone]) / 1e3 for row in table]])

        def issue(cut: int, series: np.ndarray = series) -> Band:
            past = series[:, max(0, cut - 28 * 24) : cut]
            return forecast_prices(
                np.zeros((1, 0)), past, begin_s + cut * HOUR_S, HOUR_S, 24, "Europe/Berlin"
            )

        rows.append(score(f"price {zone}", series, issue, DAYS))
    return rows


def departure_rows(folder: Path, months: tuple[str, ...] = ("2019-07", "2020-02")) -> list[Row]:
    """Departure quantiles at arrival on months left out of the fit, claimed sessions."""
    work, rows = data.acn(folder), []
    for month in months:
        left_out = np.char.endswith(work.group, month)
        rest = work.where(~left_out)
        table = fit_table(rest.arrive_s, rest.stated_s, rest.depart_s, data.ACN_ZONE)
        model = DepartureModel.prior(data.ACN_ZONE, Prior(["w"], [1.0], [table.tolist()], ""))
        chosen = work.where(left_out & (work.stated_s != data.UNKNOWN_S))
        found = np.array([quantiles_of(model, chosen, n) for n in range(len(chosen))])
        real = (chosen.depart_s - chosen.arrive_s) / HOUR_S
        stated = (chosen.stated_s - chosen.arrive_s) / HOUR_S
        ours = np.mean([pinball(real, found[:, i], q) for i, q in enumerate(QUANTILES)])
        naive = np.mean([pinball(real, stated, q) for q in QUANTILES])
        inside = (real >= found[:, 0]) & (real <= found[:, -1])
        rows.append(
            {
                "subject": f"departure, ACN {month}, left out",
                "coverage_80": float(inside.mean()),
                "pinball_h": float(ours),
                "pinball_stated_h": float(naive),
                "skill_stated": float(1 - ours / naive),
                "early_10": float((real < found[:, 0]).mean()),
            }
        )
    return rows


def quantiles_of(model: DepartureModel, sessions: data.SessionSet, n: int) -> list[float]:
    """Hours after arrival at which the given shares have left, seen at arrival."""
    steps, step_s = 160, 900
    begin_s = int(sessions.arrive_s[n])
    local_s, weekend = model._local(begin_s, step_s, steps)
    out = np.empty((1, steps))
    presence_rows(
        begin_s, step_s, np.array([begin_s]), sessions.stated_s[n : n + 1], np.ones(1, int),
        np.zeros(1, int), np.zeros(1, int), local_s, weekend, model.tables[None],
        model.shares[None], np.ones((1, 3)), out,
    )  # fmt: skip
    return [float(np.sum(out[0] > 1.0 - q)) * step_s / HOUR_S for q in QUANTILES]


def pinball(real: np.ndarray, guess: np.ndarray, q: float) -> float:
    """Mean pinball loss [h]."""
    return float(np.maximum(q * (real - guess), (q - 1.0) * (real - guess)).mean())


def measure(shared: Path | None = None) -> dict[str, object]:
    """All rows; without the shared collection only the departures (packaged sessions)."""
    packaged = Path(__file__).resolve().parent / "data" / "acn"
    shared = shared or (
        Path(os.environ["PENDEL_SHARED"]) if "PENDEL_SHARED" in os.environ else None
    )
    rows = departure_rows(packaged)
    if shared is not None:
        rows = series_rows(shared) + price_rows(shared) + rows
    return {"rows": rows}


def main() -> None:
    """Command line: prints one line per subject."""
    shared = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for row in measure(shared)["rows"]:
        numbers = " ".join(
            f"{name} {value:.3f}" for name, value in row.items() if not isinstance(value, str)
        )
        print(f"{row['subject']:34s} {numbers}")


if __name__ == "__main__":
    main()
