"""Other schedules of a fleet at the price of a few sweeps: units move one after the other.

From a schedule that keeps all limits, each unit of a site moves to what is best for it beside all
others as they are (`move_kernels`). No site ever gets dearer, so what is found is feasible whenever
one stops; it costs least only where nothing couples the units. Joint limits are kept by sharing out
beforehand: a first sweep without them shows what each site would like, then each gets its share
of the room that is left at every node above it, and moves within that.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pendel.control.nodes import bottom_up
from pendel.control.problem import PlanProblem
from pendel.control.reach import goals_of
from pendel.kernel.threads import cores, in_threads
from pendel.scenario.unit_rows import UnitRows, Windows
from pendel.units import FloatArray

GIVE, TAKE = 1, -1
SWEEPS = 6
SHARED_SWEEPS = 4
ROUNDS = 2
PIECES_PER_CORE = 16
ASKED_LEAST = 0.05
"""Share of what it could take more at which a site counts that does not ask for it."""


@dataclass(frozen=True, slots=True)
class Steer:
    """A reason to draw less (GIVE) or more (TAKE) in steps begin..end-1, worth eur_kwh there."""

    begin: int
    end: int
    direction: int
    eur_kwh: float

    def on(self, price_eur_kwh: FloatArray) -> FloatArray:
        """Prices [R, T] with it: energy dearer there, or everywhere else, so that no price becomes
        negative that was not."""
        inside = np.zeros(price_eur_kwh.shape[1], dtype=np.bool_)
        inside[self.begin : self.end] = True
        return price_eur_kwh + self.eur_kwh * (inside if self.direction == GIVE else ~inside)


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule: energy_kwh [W] of all units at the end of each step of their windows, net_kw and
    curtailed_kw [S, T] of the sites."""

    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray


def windows_of(problem: PlanProblem) -> Windows:
    """The steps in which units are connected."""
    units, steps = problem.units, problem.steps
    first = np.clip(units.first, 0, steps)
    length = np.maximum(np.clip(units.last, 0, steps) - first, 0)
    return Windows(first, np.concatenate([[0], np.cumsum(length)]).astype(np.int64))


class Moves:
    """A problem and the order in which its units move; `windows` tells where energies [W] lie."""

    def __init__(self, problem: PlanProblem) -> None:
        units, feeders = problem.units, problem.feeders
        self.problem, self.windows = problem, windows_of(problem)
        # The cars that wear least come first: they get the room of their site.
        self.order = np.lexsort((units.wear_eur_kwh, units.site)).astype(np.int64)
        self.site_begin = np.searchsorted(
            units.site[self.order], np.arange(problem.sites + 1)
        ).astype(np.int64)
        self.children_first = [int(f) for f in bottom_up(feeders.parent)]
        tall = np.ones((1, problem.steps))
        self.high_kw = np.concatenate(
            [feeders.import_limit_kw[:, None] * tall, problem.portfolio_import_limit_kw[None]]
        )
        self.low_kw = -np.concatenate(
            [feeders.export_limit_kw[:, None] * tall, problem.portfolio_export_limit_kw[None]]
        )
        # What a site can reach at all bounds it, too: limits may be infinite.
        charge, discharge = (
            np.bincount(units.site, power, problem.sites)[:, None]
            for power in (units.charge_max_kw, units.discharge_max_kw)
        )
        most = np.maximum(problem.load_kw, 0.0) + charge
        self.site_high_kw = np.minimum(problem.import_limit_kw, most)
        self.site_low_kw = -np.minimum(problem.export_limit_kw, problem.pv_kw + discharge)
        counts = units.target_kwh <= goals_of(problem)[1]
        self.worth = np.where(counts, units.terminal_eur_kwh, 0.0)

    def moved(self, begin: Standing, steer: Steer, sweeps: int = SWEEPS) -> Standing:
        """A schedule that is better where the reason counts, and keeps every limit that `begin`
        keeps."""
        wish = self._swept(begin, steer, self.site_low_kw, self.site_high_kw, sweeps)
        if self.over_kw(wish.net_kw) <= self.over_kw(begin.net_kw):
            return self.curtailed(wish)
        for _ in range(ROUNDS):
            begin = self._swept(begin, steer, *self._shared(begin, wish), SHARED_SWEEPS)
        return self.curtailed(begin)

    def curtailed(self, at: Standing) -> Standing:
        """Curtailment as it is cheapest at the prices without a reason to move, where joint limits
        allow that: what curtailing more or less costs is not part of what moving costs."""
        problem, row = self.problem, self.problem.price_row
        low = np.minimum(self.site_low_kw, at.net_kw)
        high = np.maximum(self.site_high_kw, at.net_kw)
        sell, buy = problem.export_eur_kwh[row], problem.import_eur_kwh[row]
        until = np.where(buy >= 0.0, np.clip(0.0, low, high), high)
        until = np.where(sell >= 0.0, low, until)
        g = at.net_kw - at.curtailed_kw
        cut = np.clip(until - g, 0.0, problem.pv_kw)
        if self.over_kw(g + cut) > self.over_kw(at.net_kw):
            return at
        return Standing(at.energy_kwh, g + cut, cut)

    def over_kw(self, net_kw: FloatArray) -> float:
        """Worst excess over a joint limit."""
        flow = self.at_nodes(net_kw)
        over = np.maximum(flow - self.high_kw, self.low_kw - flow)
        return max(float(over.max(initial=0.0)), 0.0)

    def at_nodes(self, kw: FloatArray) -> FloatArray:
        """Sums [F + 1, T] of sites [S, T] below each feeder and the portfolio."""
        parent = self.problem.feeders.parent
        out = np.zeros_like(self.high_kw)
        np.add.at(out, self.problem.feeder, kw)  # no feeder: -1, the portfolio
        for node in self.children_first:
            out[parent[node]] += out[node]
        return out

    def _shared(self, begin: Standing, wish: Standing) -> tuple[FloatArray, FloatArray]:
        """Limits [S, T] within which each site may move whatever the others do: of the room that
        is left at each node above, as large a share as what it asks for has in all that is."""
        net, more = begin.net_kw, wish.net_kw - begin.net_kw
        flow = self.at_nodes(net)
        sides = []
        for sign, limit, own in (
            (1.0, self.high_kw, self.site_high_kw),
            (-1.0, self.low_kw, self.site_low_kw),
        ):
            free = np.maximum(sign * (own - net), 0.0)
            asked = np.minimum(np.maximum(sign * more, ASKED_LEAST * free), free)
            room = np.maximum(sign * (limit - flow), 0.0)
            total = self.at_nodes(asked)
            share = np.divide(room, total, out=np.full_like(room, np.inf), where=total > 0.0)
            for node in reversed(self.children_first):
                above = self.problem.feeders.parent[node]
                share[node] = np.minimum(share[node], share[above])
            mine = np.where(asked > 0.0, share[self.problem.feeder], 0.0)
            sides.append(net + sign * np.minimum(free, mine * np.maximum(asked, 1e-300)))
        return sides[1], sides[0]

    def _swept(
        self, begin: Standing, steer: Steer, low: FloatArray, high: FloatArray, sweeps: int
    ) -> Standing:
        """The units moved within net limits [S, T] of their sites, whatever is above these."""
        from pendel.control.move_kernels import move_sites

        problem, units, windows = self.problem, self.problem.units, self.windows
        low, high = np.minimum(low, begin.net_kw), np.maximum(high, begin.net_kw)
        out = Standing(begin.energy_kwh.copy(), begin.net_kw.copy(), begin.curtailed_kw.copy())
        buy, sell = steer.on(problem.import_eur_kwh), steer.on(problem.export_eur_kwh)
        base = problem.load_kw - problem.pv_kw
        top = np.maximum(units.capacity_kwh, units.energy_start_kwh)

        def work(sites: tuple[int, int]) -> None:
            move_sites(
                *sites, problem.step_h, self.order, self.site_begin, windows.first,
                windows.offset, units.energy_start_kwh, top, units.energy_min_kwh,
                units.target_kwh, units.charge_max_kw, units.discharge_max_kw,
                units.charge_efficiency, units.discharge_efficiency, units.wear_eur_kwh,
                self.worth, base, problem.pv_kw, problem.demand_charge_eur_kw,
                problem.peak_so_far_kw, problem.price_row, low, high, buy, sell, steer.begin,
                steer.end, int(steer.direction == TAKE), steer.eur_kwh, sweeps, out.energy_kwh,
                out.net_kw, out.curtailed_kw,
            )  # fmt: skip

        in_threads(work, self._pieces())
        return out

    def _pieces(self) -> list[tuple[int, int]]:
        """Ranges of sites with about as many units each."""
        count = min(PIECES_PER_CORE * cores(), max(self.problem.sites, 1))
        wanted = np.arange(1, count) * (len(self.order) / count)
        cuts = np.unique(
            np.concatenate([[0], np.searchsorted(self.site_begin, wanted), [self.problem.sites]])
        ).tolist()
        return list(pairwise(cuts))


def rows_of(problem: PlanProblem, windows: Windows, energy_kwh: FloatArray) -> UnitRows:
    """Energies [W] with the powers [W] that follow from them."""
    from pendel.control.move_kernels import follow_powers

    units, power = problem.units, np.empty_like(energy_kwh)
    follow_powers(
        problem.step_h, windows.offset, units.energy_start_kwh, units.charge_efficiency,
        units.discharge_efficiency, energy_kwh, power,
    )  # fmt: skip
    return UnitRows(windows, power, energy_kwh)


def net_of(problem: PlanProblem, rows: UnitRows, curtailed_kw: FloatArray) -> FloatArray:
    """Net import [S, T] of all sites."""
    from pendel.control.move_kernels import sum_by_site

    net = problem.load_kw - problem.pv_kw + curtailed_kw
    sum_by_site(problem.units.site, rows.windows.first, rows.windows.offset, rows.power_kw, net)
    return net


def standing_of(
    problem: PlanProblem, windows: Windows, energy_kwh: FloatArray, curtailed_kw: FloatArray
) -> Standing:
    """The schedule of energies [W] and curtailment [S, T]."""
    net = net_of(problem, rows_of(problem, windows, energy_kwh), curtailed_kw)
    return Standing(energy_kwh, net, curtailed_kw)
