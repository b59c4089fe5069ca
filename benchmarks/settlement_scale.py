"""A day of a million vehicles, 96 million quarter-hour rows: Parquet to ledger totals.

Beside it a numpy baseline that reads the same files and computes the same sums, and an oracle in
`Fraction` over random sites. Times are CPU seconds over all threads and wall seconds, memory is
the peak of the process; each measurement runs in a process of its own.
"""

import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

SITES = 1_000_000
SITES_PER_FILE = 62_500
QUARTERS = 96
ORACLE_SITES = 10_000
GENERATED = ("z1nb_wh", "z1ne_wh", "z2v_wh", "z2e_wh")


def write_day(folder: Path, sites: int) -> None:
    """Pseudo-random quarter hours from hashes: the same numbers on every run."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET threads = 2; SET memory_limit = '800MB'")
        for first in range(0, sites, SITES_PER_FILE):
            last = min(first + SITES_PER_FILE, sites)
            connection.execute(
                f"""COPY (
                    WITH drawn AS (
                        SELECT s::INTEGER AS site_id, q::SMALLINT AS quarter,
                            hash(s * 96 + q) AS h
                        FROM range({first}, {last}) site(s), range({QUARTERS}) quarter(q))
                    SELECT site_id, quarter,
                        CASE WHEN h & 1 = 0 THEN (h >> 8) % 2750 ELSE 0 END::INTEGER AS z1nb_wh,
                        CASE WHEN h & 6 = 0 THEN (h >> 20) % 2750 ELSE 0 END::INTEGER AS z1ne_wh,
                        CASE WHEN h & 9 = 0 THEN (h >> 8) % 2750
                            WHEN h & 112 = 0 THEN (h >> 32) % 900 ELSE 0 END::INTEGER AS z2v_wh,
                        CASE WHEN h & 38 = 0 THEN (h >> 20) % 2750
                            WHEN h & 192 = 0 THEN (h >> 44) % 500 ELSE 0 END::INTEGER AS z2e_wh
                    FROM drawn
                ) TO '{folder}/day-{first:08d}.parquet' (FORMAT parquet, COMPRESSION snappy)"""
            )


def prices_of_the_day() -> Any:
    """The shipped German tariff over a day of made-up spot prices; levies as relief."""
    from datetime import date
    from importlib.resources import files

    from pendel.adapters.settle_scale import ScalePrices
    from pendel.config import parse_toml
    from pendel.tariff.exact import NANO
    from pendel.tariff.model import Direction, Usage
    from pendel.tariff.periods import first_quarter
    from pendel.tariff.price import unit_prices
    from pendel.tariff.read import read_tariff

    text = files("pendel").joinpath("data", "tariffs", "de-dynamic.toml").read_text("utf-8")
    tariff, problems = read_tariff(parse_toml(text, "de-dynamic.toml"))
    assert tariff is not None, problems
    begin = first_quarter(date(2026, 3, 2))
    spot = [(Random(q).randrange(-2000, 20000)) * NANO // 100 for q in range(QUARTERS)]
    usage = Usage(begins=list(range(begin, begin + QUARTERS)), spot_nano=spot)
    return ScalePrices(
        import_price_kwh=unit_prices(tariff, usage, Direction.IMPORT),
        funded=[price >= 0 for price in spot],
        relief_kwh=Fraction("0.11566"),
        premium_kwh=Fraction("0.08"),
    )


def run_duckdb(folder: str) -> dict[str, Any]:
    """Totals by the engine."""
    from pendel.adapters.settle_scale import ScaleSettlement
    from pendel.settle.rulesets import DECISION_2026

    with ScaleSettlement() as engine:
        found = engine.settle(f"{folder}/*.parquet", prices_of_the_day(), DECISION_2026)
        busiest_s = busiest_thread_s()
    return {
        "sums": found.sums,
        "digest": found.digest,
        "sites": found.sites,
        "rows": found.rows,
        "busiest_thread_seconds": busiest_s,
    }


def busiest_thread_s() -> float:
    """CPU seconds of the busiest thread so far: the wall time that idle cores would need."""
    ticks = [0]
    for task in Path("/proc/self/task").glob("*/stat"):
        fields = task.read_text().rpartition(")")[2].split()
        ticks.append(int(fields[11]) + int(fields[12]))
    return max(ticks) / os.sysconf("SC_CLK_TCK")


def run_numpy(folder: str) -> dict[str, Any]:
    """The same sums per site with numpy alone, file after file (whole sites per file)."""
    import math

    import numpy as np
    import pyarrow.parquet as pq

    prices = prices_of_the_day()
    scale = math.lcm(*(price.denominator for price in prices.import_price_kwh))
    units = np.array([int(price * scale) for price in prices.import_price_kwh], dtype=np.int64)
    funded = np.array(prices.funded)
    sums: dict[str, int] = {}
    for path in sorted(Path(folder).glob("*.parquet")):
        table = pq.read_table(path)
        site = table["site_id"].to_numpy()
        quarter = table["quarter"].to_numpy()
        z1nb, z1ne, z2v, z2e = (table[name].to_numpy().astype(np.int64) for name in GENERATED)
        site = site - site.min()
        stored = np.minimum(z1ne, z2e)
        parts = {
            "n3": z1nb,
            "n4": z1ne,
            "n5": z2v,
            "n6": z2e,
            "n9": np.minimum(z1nb, z2v),
            "n11": stored,
            "n26": np.where(funded[quarter], z1ne - stored, 0),
            "n29": np.where(funded[quarter], stored, 0),
            "bill": z1nb * units[quarter],
        }
        order = np.argsort(site, kind="stable")
        starts = np.searchsorted(site[order], np.arange(site.max() + 1))
        per_site = {name: np.add.reduceat(part[order], starts) for name, part in parts.items()}
        for name, values in per_site.items():
            sums[name] = sums.get(name, 0) + int(values.sum())
    return {"sums": sums}


def run_oracle(folder: str) -> dict[str, Any]:
    """Random sites, quarter hour by quarter hour in fractions, against the engine."""
    import duckdb

    from pendel.adapters.settle_scale import COLUMNS, ScaleSettlement
    from pendel.settle.rulesets import DECISION_2026

    prices = prices_of_the_day()
    sites = duckdb.execute(f"SELECT count(DISTINCT site_id) FROM '{folder}/*.parquet'").fetchone()
    wanted = Random("oracle").sample(range(sites[0]), min(ORACLE_SITES, sites[0]))
    with ScaleSettlement() as engine:
        found = engine.sites(f"{folder}/*.parquet", prices, DECISION_2026, wanted)
    rows = duckdb.execute(
        f"SELECT site_id, quarter, {', '.join(GENERATED)} FROM '{folder}/*.parquet' "
        "WHERE list_contains(?, site_id)",
        [wanted],
    ).fetchall()
    by_site: dict[int, list[tuple[int, ...]]] = {}
    for site, *row in rows:
        by_site.setdefault(site, []).append(tuple(row))
    different = sum(
        [found[site][name] for name in COLUMNS] != oracle_site(by_site[site], prices)
        for site in wanted
    )
    return {"sites": len(wanted), "different": different}


def oracle_site(rows: list[tuple[int, ...]], prices: Any) -> list[int]:
    """COLUMNS of one site through `pendel.settle`: fractions all the way, rounded at the end."""
    from pendel.settle.ledger import money_units
    from pendel.settle.rulesets import DECISION_2026
    from pendel.settle.split import month_formulas, sum_quarters

    nano_per_wh = 10**6
    columns = {
        name: [row[place + 1] * nano_per_wh for row in rows]
        for place, name in enumerate(("z1nb", "z1ne", "z2v", "z2e"))
    }
    columns["aw_ct_kwh"] = [int(prices.funded[row[0]]) for row in rows]
    sums = sum_quarters("A2", columns)
    f = month_formulas("A2", sums, DECISION_2026)
    bill = sum(
        (prices.import_price_kwh[row[0]] * Fraction(row[1], 1000) for row in rows), Fraction(0)
    )
    energies = [f[key] or 0 for key in ("(3)", "(4)", "(5)", "(6)", "(9)", "(11)", "(26)", "(29)")]
    amounts = [bill, (f["(20)"] or 0) * prices.relief_kwh, (f["(32)"] or 0) * prices.premium_kwh]
    return [int(kwh * 1000) for kwh in energies] + [money_units(Fraction(a)) for a in amounts]


def in_a_process(run: Callable[[str], dict[str, Any]], folder: str) -> dict[str, Any]:
    """Result, wall and CPU seconds and peak memory of a run in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(run, folder, sender))
    process.start()
    sender.close()
    found: dict[str, Any] = json.loads(receiver.recv())
    process.join()
    return found


def _measured(run: Callable[[str], dict[str, Any]], folder: str, sender: Any) -> None:
    begin = time.perf_counter()
    result = run(folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "wall_seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": used.ru_maxrss // 1024,
    }
    sender.send(json.dumps(result | figures))


def measure(sites: int = SITES) -> dict[str, Any]:
    """Engine twice, numpy once, oracle over random sites."""
    with tempfile.TemporaryDirectory() as folder:
        write_day(Path(folder), sites)
        size_mb = sum(path.stat().st_size for path in Path(folder).iterdir()) >> 20
        first = in_a_process(run_duckdb, folder)
        again = in_a_process(run_duckdb, folder)
        baseline = in_a_process(run_numpy, folder)
        oracle = in_a_process(run_oracle, folder)
    shared = set(first["sums"]) & set(baseline["sums"])
    return {
        "vehicles": first["sites"],
        "rows": first["rows"],
        "parquet_mb": size_mb,
        "wall_seconds": first["wall_seconds"],
        "cpu_seconds": first["cpu_seconds"],
        "busiest_thread_seconds": first["busiest_thread_seconds"],
        "peak_mb": first["peak_mb"],
        "rerun_identical": first["digest"] == again["digest"] and first["sums"] == again["sums"],
        "numpy_wall_seconds": baseline["wall_seconds"],
        "numpy_cpu_seconds": baseline["cpu_seconds"],
        "numpy_peak_mb": baseline["peak_mb"],
        "numpy_agrees": all(first["sums"][name] == baseline["sums"][name] for name in shared),
        "oracle_sites": oracle["sites"],
        "oracle_different": oracle["different"],
        "totals": first["sums"],
    }


if __name__ == "__main__":
    import sys

    count = int(sys.argv[1]) if len(sys.argv) > 1 else SITES
    print(json.dumps(measure(count), indent=1))
