"""The planning problem as one sparse linear model, for the general solver (HiGHS).

Every feature of the contract is in it: units, sites, demand charge, feeders, portfolio, market,
reserves, presence weights. Slack columns for limits, minimum and targets are present but closed
(upper bound 0); opening them makes the model solvable whatever the limits are. Equations:
docs/concepts/planning.md.
"""

from dataclasses import dataclass, field

import numpy as np

from pendel.control.problem import PlanProblem
from pendel.control.reach import Reach
from pendel.units import FloatArray, IntArray

INF = float("inf")


@dataclass(slots=True)
class Model:
    """Columns and rows under construction; blocks of columns are index arrays by name.

    owners: the unit behind each column of a block of slacks (sorted).
    """

    cost: list[FloatArray] = field(default_factory=list)
    lower: list[FloatArray] = field(default_factory=list)
    upper: list[FloatArray] = field(default_factory=list)
    columns: int = 0
    entry_row: list[IntArray] = field(default_factory=list)
    entry_column: list[IntArray] = field(default_factory=list)
    entry_value: list[FloatArray] = field(default_factory=list)
    row_lower: list[FloatArray] = field(default_factory=list)
    row_upper: list[FloatArray] = field(default_factory=list)
    rows: int = 0
    offset_eur: float = 0.0
    blocks: dict[str, IntArray] = field(default_factory=dict)
    owners: dict[str, IntArray] = field(default_factory=dict)

    def add_columns(
        self,
        name: str,
        count: int,
        lower: FloatArray | float,
        upper: FloatArray | float,
        cost: FloatArray | float = 0.0,
    ) -> IntArray:
        """Append a block of columns and return their indices."""
        index = np.arange(self.columns, self.columns + count, dtype=np.int64)
        self.cost.append(np.broadcast_to(np.asarray(cost, dtype=np.float64), count))
        self.lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), count))
        self.upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), count))
        self.columns += count
        self.blocks[name] = index
        return index

    def add_rows(
        self, count: int, lower: FloatArray | float, upper: FloatArray | float
    ) -> IntArray:
        """Append rows lower <= a x <= upper and return their indices."""
        index = np.arange(self.rows, self.rows + count, dtype=np.int64)
        self.row_lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), count))
        self.row_upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), count))
        self.rows += count
        return index

    def put(self, rows: IntArray, columns: IntArray, values: FloatArray | float) -> None:
        """Add coefficients; rows, columns and values broadcast against each other."""
        r, c = np.broadcast_arrays(rows, columns)
        self.entry_row.append(r.ravel())
        self.entry_column.append(c.ravel())
        value = np.broadcast_to(np.asarray(values, dtype=np.float64), r.shape)
        self.entry_value.append(value.ravel())


def build_model(problem: PlanProblem, reach: Reach) -> Model:
    """The model without reserves (`linear_reserves` adds them): slacks closed, cost of the
    contract as objective."""
    model = Model()
    _add_units(model, problem, reach)
    _add_sites(model, problem, reach)
    _add_feeders(model, problem)
    _add_portfolio(model, problem)
    return model


def terminal_worth(problem: PlanProblem, reach: Reach) -> FloatArray:
    """[N] value of a stored kWh above the target; 0 where the target itself is out of reach."""
    counts = problem.units.target_kwh <= reach.reachable
    return np.where(counts, problem.units.terminal_eur_kwh, 0.0)


def _add_units(model: Model, problem: PlanProblem, reach: Reach) -> None:
    """Charge, discharge and energy per connected pair; slacks of minimum, floor and target."""
    units, h, u = problem.units, problem.step_h, reach.unit
    pairs = reach.pairs
    weight = np.ones(pairs) if problem.presence is None else problem.presence[u, reach.step]
    wear = units.wear_eur_kwh[u] * weight
    terminal = terminal_worth(problem, reach)
    worth = terminal[u] * weight
    eta_c, eta_d = units.charge_efficiency[u], units.discharge_efficiency[u]
    charge = model.add_columns(
        "charge", pairs, 0.0, units.charge_max_kw[u], h * (wear - worth) * eta_c
    )
    discharge = model.add_columns(
        "discharge", pairs, 0.0, units.discharge_max_kw[u], h * (wear + worth) / eta_d
    )
    model.offset_eur -= float((terminal * (reach.start - units.target_kwh)).sum())
    energy = model.add_columns("energy", pairs, reach.lo, reach.hi)
    is_first = reach.first
    due = np.where(is_first, reach.start[u], 0.0)
    rows = model.add_rows(pairs, due, due)
    model.put(rows, energy, 1.0)
    later = np.flatnonzero(~is_first)
    model.put(rows[later], energy[later - 1], -1.0)
    model.put(rows, charge, -h * eta_c)
    model.put(rows, discharge, h / eta_d)

    below = np.flatnonzero(reach.minimum > reach.lo)
    lack = model.add_columns("minimum_lack", len(below), 0.0, 0.0)
    rows = model.add_rows(len(below), reach.minimum[below], INF)
    model.put(rows, energy[below], 1.0)
    model.put(rows, lack, 1.0)

    floored = np.flatnonzero(reach.floor > reach.lo)
    who = np.unique(u[floored])
    lack = model.add_columns("floor_lack", len(who), 0.0, 0.0)
    model.owners["floor_lack"] = who
    rows = model.add_rows(len(floored), reach.floor[floored], INF)
    model.put(rows, energy[floored], 1.0)
    model.put(rows, lack[np.searchsorted(who, u[floored])], 1.0)

    last = reach.last_pair
    aiming = np.flatnonzero((last >= 0) & (reach.target > 0.0))
    # e(end) + shortfall is what exceeds the target: the terminal value counts both.
    short = model.add_columns("shortfall", len(aiming), 0.0, 0.0, -terminal[aiming])
    model.owners["shortfall"] = aiming
    rows = model.add_rows(len(aiming), reach.target[aiming], INF)
    model.put(rows, energy[last[aiming]], 1.0)
    model.put(rows, short, 1.0)


def _add_sites(model: Model, problem: PlanProblem, reach: Reach) -> None:
    """Net (inside limits plus what is over them), money's import and export, demand charge."""
    sites, steps, h = problem.sites, problem.steps, problem.step_h
    cells = sites * steps
    base = (problem.load_kw - problem.pv_kw).ravel()
    cell = problem.units.site[reach.unit] * steps + reach.step
    curtail = model.add_columns("curtail", cells, 0.0, problem.pv_kw.ravel())
    net = model.add_columns("net", cells, -reach.export_kw.ravel(), reach.import_kw.ravel())
    over_import = model.add_columns("over_import", cells, 0.0, 0.0)
    over_export = model.add_columns("over_export", cells, 0.0, 0.0)
    rows = model.add_rows(cells, base, base)
    model.put(rows, net, 1.0)
    model.put(rows, over_import, 1.0)
    model.put(rows, over_export, -1.0)
    model.put(rows, curtail, -1.0)
    model.put(rows[cell], model.blocks["charge"], -1.0)
    model.put(rows[cell], model.blocks["discharge"], 1.0)

    most = np.maximum(problem.load_kw, 0.0).ravel()
    least = problem.pv_kw.ravel().copy()
    np.add.at(most, cell, problem.units.charge_max_kw[reach.unit])
    np.add.at(least, cell, problem.units.discharge_max_kw[reach.unit])
    buy = problem.import_eur_kwh[problem.price_row].ravel()
    sell = problem.export_eur_kwh[problem.price_row].ravel()
    imported = model.add_columns("import", cells, 0.0, most, h * buy)
    exported = model.add_columns("export", cells, 0.0, least, -h * sell)
    if problem.presence is None:
        rows = model.add_rows(cells, 0.0, 0.0)
        model.put(rows, net, -1.0)
        model.put(rows, over_import, -1.0)
        model.put(rows, over_export, 1.0)
    else:
        rows = model.add_rows(cells, base, base)
        weight = problem.presence[reach.unit, reach.step]
        model.put(rows, curtail, -1.0)
        model.put(rows[cell], model.blocks["charge"], -weight)
        model.put(rows[cell], model.blocks["discharge"], weight)
    model.put(rows, imported, 1.0)
    model.put(rows, exported, -1.0)

    charged = np.flatnonzero(problem.demand_charge_eur_kw > 0.0)
    peak = model.add_columns(
        "peak",
        len(charged),
        problem.peak_so_far_kw[charged],
        INF,
        problem.demand_charge_eur_kw[charged],
    )
    rows = model.add_rows(len(charged) * steps, 0.0, INF).reshape(len(charged), steps)
    model.put(rows, peak[:, None], 1.0)
    model.put(rows, imported.reshape(sites, steps)[charged], -1.0)


def _put_net(model: Model, rows: IntArray, cells: IntArray, sign: float) -> None:
    """Add sign * net (with its slacks) of the cells to rows (broadcast)."""
    model.put(rows, model.blocks["net"][cells], sign)
    model.put(rows, model.blocks["over_import"][cells], sign)
    model.put(rows, model.blocks["over_export"][cells], -sign)


def _add_feeders(model: Model, problem: PlanProblem) -> None:
    """Flow of every feeder and step: its own sites and the feeders below it."""
    feeders, steps = problem.feeders, problem.steps
    count = len(feeders)
    cells = count * steps
    flow = model.add_columns(
        "feeder",
        cells,
        -np.repeat(feeders.export_limit_kw, steps),
        np.repeat(feeders.import_limit_kw, steps),
    )
    over_import = model.add_columns("feeder_over_import", cells, 0.0, 0.0)
    over_export = model.add_columns("feeder_over_export", cells, 0.0, 0.0)
    if count == 0:
        return
    rows = model.add_rows(cells, 0.0, 0.0)
    model.put(rows, flow, 1.0)
    model.put(rows, over_import, 1.0)
    model.put(rows, over_export, -1.0)
    grid = rows.reshape(count, steps)
    below = np.flatnonzero(problem.feeder >= 0)
    net = np.arange(problem.sites * steps, dtype=np.int64).reshape(problem.sites, steps)
    _put_net(model, grid[problem.feeder[below]], net[below], -1.0)
    child = np.flatnonzero(feeders.parent >= 0)
    for columns, sign in ((flow, -1.0), (over_import, -1.0), (over_export, 1.0)):
        model.put(grid[feeders.parent[child]], columns.reshape(count, steps)[child], sign)


def _add_portfolio(model: Model, problem: PlanProblem) -> None:
    """Portfolio limits on the sum of all nets, and the cost of deviating from the position."""
    sites, steps, h = problem.sites, problem.steps, problem.step_h
    cell = np.arange(sites * steps, dtype=np.int64).reshape(sites, steps)
    limited = bool(
        np.isfinite(problem.portfolio_import_limit_kw).any()
        or np.isfinite(problem.portfolio_export_limit_kw).any()
    )
    count = steps if limited else 0
    total = model.add_columns(
        "portfolio",
        count,
        -problem.portfolio_export_limit_kw[:count],
        problem.portfolio_import_limit_kw[:count],
    )
    over_import = model.add_columns("portfolio_over_import", count, 0.0, 0.0)
    over_export = model.add_columns("portfolio_over_export", count, 0.0, 0.0)
    if limited:
        rows = model.add_rows(steps, 0.0, 0.0)
        model.put(rows, total, 1.0)
        model.put(rows, over_import, 1.0)
        model.put(rows, over_export, -1.0)
        _put_net(model, np.broadcast_to(rows, (sites, steps)), cell, -1.0)
    if problem.market is None:
        return
    market = problem.market
    short = model.add_columns("short", steps, 0.0, INF, h * market.short_eur_kwh)
    long = model.add_columns("long", steps, 0.0, INF, h * market.long_eur_kwh)
    rows = model.add_rows(steps, -market.position_kw, -market.position_kw)
    model.put(rows, short, 1.0)
    model.put(rows, long, -1.0)
    model.put(np.broadcast_to(rows, (sites, steps)), model.blocks["import"][cell], -1.0)
    model.put(np.broadcast_to(rows, (sites, steps)), model.blocks["export"][cell], 1.0)
