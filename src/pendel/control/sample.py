"""First prices of a fleet: a sample of its sites, solved as a whole with limits to scale."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pendel.control.arrow import arrow_of
from pendel.control.interior import solve_interior
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.sections import Sections
from pendel.units import FloatArray, IntArray

SAMPLE_SITES, SAMPLE_MOST, SAMPLE_EACH = 400, 2_000, 8
SITES_PER_SAMPLED = 25
USEFUL_GAP = 0.1


def sample_prices(
    sections: Sections,
    nodes: int,
    gap: float,
    remaining_s: Callable[[], float],
    reference_kw: FloatArray | None = None,
) -> tuple[FloatArray, float, bool]:
    """Prices [F + 2, T] of the nodes [EUR/kW in a step], a rough cost of the whole [EUR], and
    whether the sample could be solved.

    reference_kw [S, T]: about what each site will import, from an earlier plan: a smaller sample
    then says as much, because only how it differs from that is scaled up.
    """
    problem = sections.problem
    sites = sampled_sites(sections, nodes, SAMPLE_MOST if reference_kw is None else 0)
    share = len(sites) / max(problem.sites, 1)
    sample = scaled_down(sections, sites, share)
    if reference_kw is not None:
        sample = with_rest(sample, sections, sites, share, reference_kw)
    arrow, give = arrow_of(sample, reach_of(sample), sections.give), sections.give
    useful = 0.0 if give is None else USEFUL_GAP
    found = solve_interior(arrow, gap, remaining_s, useful_gap=useful)
    if found is None:
        return np.zeros((nodes + 2, problem.steps)), rough_cost_eur(problem), False
    if give is not None:  # what gives way is dear, but it is not what a gap is measured by
        return found.node_eur_kw, rough_cost_eur(problem), True
    return found.node_eur_kw, found.objective_eur / share, True


def rough_cost_eur(problem: PlanProblem) -> float:
    """What all energy that is needed costs at mean prices [EUR]."""
    units = problem.units
    net = float(np.maximum(problem.load_kw - problem.pv_kw, 0.0).sum())
    wanted = float(np.maximum(units.target_kwh - units.energy_start_kwh, 0.0).sum())
    return float(np.abs(problem.import_eur_kwh).mean()) * (problem.step_h * net + wanted)


def sampled_sites(sections: Sections, nodes: int, most: int) -> IntArray:
    """Sites evenly spread over each node's sites, in the same share everywhere; most: how many
    a large fleet may give beyond what every fleet needs."""
    sites = sections.problem.sites
    many = max(SAMPLE_SITES, SAMPLE_EACH * nodes, min(sites // SITES_PER_SAMPLED, most))
    share = min(many / max(sites, 1), 1.0)
    node = sections.node_of[sections.order]
    chosen = []
    for own in np.split(sections.order, np.flatnonzero(np.diff(node)) + 1):
        count = min(math.ceil(share * len(own)), len(own))
        chosen.append(own[np.linspace(0, len(own) - 1, count).astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def scaled_down(sections: Sections, sites: IntArray, share: float) -> PlanProblem:
    """The problem of some sites, with feeders, portfolio and market in the same share."""
    problem, node_of = sections.problem, sections.node_of
    sample, _ = sections.part(sites)
    feeders = problem.feeders
    # The sample's mean load per node is made that of all its sites: less noise in the prices.
    base = problem.load_kw - problem.pv_kw
    load = sample.load_kw.copy()
    for node in np.unique(node_of[sites]):
        mine = node_of[sites] == node
        load[mine] += base[node_of == node].mean(axis=0) - base[sites[mine]].mean(axis=0)
    return replace(
        sample,
        load_kw=load,
        feeder=problem.feeder[sites],
        feeders=replace(
            feeders,
            import_limit_kw=share * feeders.import_limit_kw,
            export_limit_kw=share * feeders.export_limit_kw,
        ),
        portfolio_import_limit_kw=share * problem.portfolio_import_limit_kw,
        portfolio_export_limit_kw=share * problem.portfolio_export_limit_kw,
        market=None
        if problem.market is None
        else replace(problem.market, position_kw=share * problem.market.position_kw),
    )


def with_rest(
    sample: PlanProblem, sections: Sections, sites: IntArray, share: float, reference: FloatArray
) -> PlanProblem:
    """The sample and, below each node, a load that makes up for what its sites import less than
    their share of all sites does in the reference."""
    whole, node_of = sections.problem, sections.node_of
    base = whole.load_kw - whole.pv_kw
    nodes, first = np.unique(node_of, return_index=True)
    extra = np.zeros((len(nodes), whole.steps))
    np.add.at(extra, np.searchsorted(nodes, node_of), share * reference)
    own = reference[sites] + (sample.load_kw - sample.pv_kw) - base[sites]
    np.subtract.at(extra, np.searchsorted(nodes, node_of[sites]), own)
    free, none = np.full_like(extra, np.inf), np.zeros(len(nodes))
    home = sample.home_only

    def on(values: Any, more: Any) -> Any:
        return np.concatenate([values, more.astype(values.dtype)])

    return replace(
        sample,
        import_limit_kw=on(sample.import_limit_kw, free),
        export_limit_kw=on(sample.export_limit_kw, free),
        load_kw=on(sample.load_kw, extra),
        pv_kw=on(sample.pv_kw, np.zeros_like(extra)),
        price_row=on(sample.price_row, whole.price_row[first]),
        demand_charge_eur_kw=on(sample.demand_charge_eur_kw, none),
        peak_so_far_kw=on(sample.peak_so_far_kw, none),
        feeder=on(sample.feeder, whole.feeder[first]),
        home_only=None if home is None else on(home, none),
    )
