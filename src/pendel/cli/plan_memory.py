"""What a result folder keeps of a large fleet for `pendel plan --warm`, and how it is taken up.

Two tables beside the plan: `node_prices` (node, time_utc, eur_kw) and `site_proofs` (site_id,
cost_eur, bound_eur, seal). A seal is a hash over all that a site's plan and proof depend on and
say: the site's inputs, the nodes' prices, its schedules, cost and bound. Where it is not found
again from the new scenario and what was read, the site is planned anew; so whatever is old,
foreign or damaged costs time and nothing else.
"""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pendel.units import FloatArray

if TYPE_CHECKING:
    from pendel.control.problem import PlanProblem
    from pendel.control.warm import FleetMemory, Warm
    from pendel.scenario.columns import Scenario
    from pendel.scenario.plan_folder import PlanFolder
    from pendel.scenario.results import ResultFolder

PRICES, PROOFS = "node_prices", "site_proofs"
SEAL_BYTES = 16


def node_names(scenario: "Scenario", count: int) -> list[str]:
    """A name for each row of prices of nodes: feeders, the portfolio, the market, none."""
    names = [f"feeder {name}" for name in scenario.feeders.feeder_id.tolist()]
    return [*names, "portfolio", "market", "none"] if count > len(names) + 2 else [
        *names, "market", "none"
    ]  # fmt: skip


def write_memory(folder: "ResultFolder", scenario: "Scenario", memory: "FleetMemory") -> None:
    """Write both tables."""
    from pendel.scenario.results import Texts

    horizon, price = scenario.horizon, memory.node_eur_kw
    names = node_names(scenario, len(price))
    times = horizon.start_s + horizon.step_s * np.arange(horizon.steps, dtype=np.int64)
    index = np.repeat(np.arange(len(names)), horizon.steps)
    prices = {"node": Texts(index, names), "time_utc": np.tile(times, len(names))}
    folder.write_table(PRICES, prices | {"eur_kw": price.ravel()}, "parquet")
    proofs = {
        "site_id": scenario.sites.site_id,
        "cost_eur": memory.cost_eur,
        "bound_eur": memory.bound_eur,
        "seal": np.array(seals(scenario, memory), dtype=object),
    }
    folder.write_table(PROOFS, proofs, "parquet")


def read_memory(
    path: Path, scenario: "Scenario", problem: "PlanProblem", written: "PlanFolder"
) -> "Warm | None":
    """What a folder keeps for this scenario; None where that is nothing of use."""
    from pendel.control.warm import FleetMemory, Warm

    tables = _table(path / f"{PRICES}.parquet"), _table(path / f"{PROOFS}.parquet")
    try:
        price, rolled = _prices(tables[0], scenario)
        cost, bound, seal = _proofs(tables[1], scenario)
    except (LookupError, ValueError, TypeError, OverflowError, AttributeError):
        return None
    memory = FleetMemory(
        problem, price, written.power_kw, written.energy_kwh, np.nan_to_num(written.net_kw),
        np.nan_to_num(written.curtailed_kw), cost, bound,
    )  # fmt: skip
    good = np.array([a == b for a, b in zip(seals(scenario, memory), seal, strict=True)])
    memory.bound_eur[~good.astype(np.bool_)] = -np.inf
    return Warm(memory, None, rolled)


def _table(path: Path) -> dict[str, Any]:
    """The columns of a table; none where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        return {name: table.column(name).to_numpy(zero_copy_only=False) for name in
                table.column_names}  # fmt: skip
    except (OSError, pa.ArrowException, ValueError):
        return {}


def _prices(table: dict[str, Any], scenario: "Scenario") -> tuple[FloatArray, int]:
    """Prices [F + 2, T] as they were and by how many steps the horizon has moved on since. Raises
    ValueError or KeyError where they are not those of such a scenario."""
    horizon, steps = scenario.horizon, scenario.horizon.steps
    node, price = table["node"], table["eur_kw"].astype(np.float64)
    count = len(node) // steps
    names = node_names(scenario, count)
    times = table["time_utc"].astype("datetime64[s]").astype(np.int64)
    rolled, off = divmod(horizon.start_s - int(times[0]), horizon.step_s)
    began = horizon.start_s - rolled * horizon.step_s
    wanted = began + horizon.step_s * np.arange(steps)
    same = len(names) == count and len(node) == count * steps
    if not same or off != 0 or not 0 <= rolled < steps or not np.isfinite(price).all():
        raise ValueError("prices of another horizon")
    if (times.reshape(count, steps) != wanted).any() or node.tolist() != np.repeat(
        np.array(names, dtype=object), steps
    ).tolist():
        raise ValueError("prices of other nodes")
    return price.reshape(count, steps), int(rolled)


def _proofs(
    table: dict[str, Any], scenario: "Scenario"
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Cost, bound and seal [S] of each site; no seal and no bound where nothing was written."""
    row = {name: index for index, name in enumerate(table["site_id"].tolist())}
    at = np.array([row.get(name, -1) for name in scenario.sites.site_id.tolist()], dtype=np.int64)
    known = at >= 0
    cost, bound = np.zeros(len(at)), np.full(len(at), -np.inf)
    cost[known] = np.nan_to_num(table["cost_eur"].astype(np.float64)[at[known]])
    bound[known] = np.nan_to_num(table["bound_eur"].astype(np.float64)[at[known]], nan=-np.inf)
    seal = table["seal"].tolist()
    return cost, bound, [str(seal[i]) if i >= 0 else "" for i in at.tolist()]


def seals(scenario: "Scenario", memory: "FleetMemory") -> list[str]:
    """[S] the seal of each site."""
    from pendel.control.problem import Units

    problem, units = memory.problem, memory.problem.units
    common = hashlib.blake2b(memory.node_eur_kw.tobytes(), digest_size=SEAL_BYTES)
    common.update(repr((problem.step_h, problem.steps, scenario.horizon.start_s)).encode())
    common.update(repr(scenario.feeders.feeder_id.tolist()).encode())
    common.update(np.asarray(scenario.feeders.parent).tobytes())
    order = np.argsort(units.site, kind="stable")
    begin = np.searchsorted(units.site[order], np.arange(problem.sites + 1)).tolist()
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    columns = [getattr(units, field.name) for field in fields(Units) if field.name != "site"]
    data = np.stack([np.asarray(column, dtype=np.float64)[order] for column in columns], axis=1)
    row = problem.price_row
    home = np.zeros(problem.sites) if problem.home_only is None else problem.home_only
    single = np.stack(
        [problem.demand_charge_eur_kw, problem.peak_so_far_kw, problem.feeder, home,
         memory.cost_eur, memory.bound_eur], axis=1,
    ).astype(np.float64)  # fmt: skip
    out = []
    for site in range(problem.sites):
        seal, own = common.copy(), order[begin[site] : begin[site + 1]]
        seal.update(repr([ids[unit] for unit in own.tolist()]).encode())
        parts = (
            data[begin[site] : begin[site + 1]], single[site], problem.import_limit_kw[site],
            problem.export_limit_kw[site], problem.load_kw[site], problem.pv_kw[site],
            problem.import_eur_kwh[row[site]], problem.export_eur_kwh[row[site]],
            memory.power_kw[own], np.nan_to_num(memory.energy_kwh[own]), memory.net_kw[site],
            memory.curtailed_kw[site],
        )  # fmt: skip
        for part in parts:
            seal.update((part + 0.0).tobytes())  # + 0.0: no negative zeros
        out.append(seal.hexdigest())
    return out
