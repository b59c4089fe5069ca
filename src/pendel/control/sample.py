"""First prices of a fleet: a sample of its sites, solved as a whole with limits to scale."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pendel.control.arrow import Arrow, arrow_of
from pendel.control.blur import add_to_prices, noise
from pendel.control.interior import Interior, solve_interior
from pendel.control.problem import PlanProblem
from pendel.control.reach import reach_of
from pendel.control.sections import Sections
from pendel.scenario.columns import Feeders
from pendel.units import FloatArray, IntArray

SAMPLE_SITES, SAMPLE_MOST, SAMPLE_EACH = 400, 2_000, 8
SITES_PER_SAMPLED = 25
CENTRED_ROUNDS = 120
USEFUL_GAP = 0.1


def sample_prices(
    sections: Sections,
    nodes: int,
    gap: float,
    remaining_s: Callable[[], float],
    reference_kw: FloatArray | None = None,
    aim: float | None = None,
    blur: float = 0.0,
) -> tuple[FloatArray, float, bool]:
    """Prices [F + 2, T] of the nodes [EUR/kW in a step], a rough cost of the whole [EUR], and
    whether the sample could be solved.

    reference_kw [S, T]: about what each site will import, from an earlier plan: a smaller sample
    then says as much, because only how it differs from that is scaled up. aim: complementarity
    [scaled] to whose point of the central path the sample is brought, so that its sites do what
    they will do in a pass at these prices (None: to the gap). blur: of the sites' prices [scaled]
    (`blur`).
    """
    problem, steps = sections.problem, sections.problem.steps
    sites = sampled_sites(sections, nodes, SAMPLE_MOST if reference_kw is None else 0)
    share = len(sites) / max(problem.sites, 1)
    sample = scaled_down(sections, sites, share)
    if reference_kw is not None:
        sample = with_rest(sample, sections, sites, share, reference_kw)
    arrow, give = arrow_of(sample, reach_of(sample), sections.give), sections.give
    if blur > 0.0:
        add_to_prices(arrow.cost, arrow, sections.scale * blur * noise(sites, steps))
    useful = 0.0 if give is None else USEFUL_GAP
    solved = None if aim is None else centred(arrow, aim * sections.scale, remaining_s)
    if solved is None:
        found = solve_interior(arrow, gap, remaining_s, useful_gap=useful)
        if found is None:
            return np.zeros((nodes + 2, steps)), rough_cost_eur(problem), False
        solved = found.node_eur_kw, found.objective_eur
    # Of the feeders those that have a price come first; the portfolio, market and none are last.
    kept = len(sections.upper.feeders)
    price, objective_eur = solved
    price = np.concatenate([price[:kept], price[len(price) - (nodes + 2 - kept) :]])
    if give is not None:  # what gives way is dear, but it is not what a gap is measured by
        return price, rough_cost_eur(problem), True
    return price, objective_eur / share, True


def centred(
    arrow: Arrow, aim_eur: float, remaining_s: Callable[[], float]
) -> tuple[FloatArray, float] | None:
    """Prices [F + 2, T] of the nodes and the cost [EUR] on the central path; None where it is not
    reached. aim_eur: complementarity, in EUR."""
    method = Interior(arrow)
    if not method.centre(aim_eur / method.scale, False, CENTRED_ROUNDS, remaining_s):
        return None
    return method.scale * method.nodes.price, method.objective_eur()


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
    by_node = sections.order[np.argsort(sections.node_of[sections.order], kind="stable")]
    apart = np.split(by_node, np.flatnonzero(np.diff(sections.node_of[by_node])) + 1)
    chosen = [evenly(np.sort(own), share) for own in apart if len(own)]
    return np.sort(np.concatenate(chosen))


def evenly(own: IntArray, share: float) -> IntArray:
    """A share of some positions, rounded up, evenly spread."""
    count = min(math.ceil(share * len(own)), len(own))
    return own[np.linspace(0, len(own) - 1, count).astype(np.int64)]


def scaled_down(sections: Sections, sites: IntArray, share: float) -> PlanProblem:
    """The problem of some sites, with feeders, portfolio and market in the same share."""
    problem, node_of = sections.problem, sections.node_of
    sample, _ = sections.part(sites)
    feeder, feeders = scaled_feeders(sections, sites, share)
    # The sample's mean load per node is made that of all its sites: less noise in the prices.
    base = problem.load_kw - problem.pv_kw
    load = sample.load_kw.copy()
    for node in np.unique(node_of[sites]):
        mine = node_of[sites] == node
        load[mine] += base[node_of == node].mean(axis=0) - base[sites[mine]].mean(axis=0)
    return replace(
        sample,
        load_kw=load,
        feeder=feeder,
        feeders=feeders,
        portfolio_import_limit_kw=share * problem.portfolio_import_limit_kw,
        portfolio_export_limit_kw=share * problem.portfolio_export_limit_kw,
        market=None
        if problem.market is None
        else replace(problem.market, position_kw=share * problem.market.position_kw),
    )


def scaled_feeders(sections: Sections, sites: IntArray, share: float) -> tuple[IntArray, Feeders]:
    """Feeder of each sampled site, and the feeders with their limits to scale: those that have a
    price first, then one below each node for all its blocks, with the sum of their limits. So the
    sample sees what blocks may do together, which one site of each cannot tell."""
    feeders, blocks, kept = sections.problem.feeders, sections.blocks, sections.upper.feeders
    feeder = sections.upper.feeder[sites]
    roots = np.flatnonzero(blocks.root == np.arange(len(feeders)))
    if len(roots) == 0:
        return feeder, scaled_limits(kept, share)
    place = np.full(len(feeders) + 1, -1, dtype=np.int64)
    place[:-1][blocks.root < 0] = np.arange(len(kept))
    parent, below = np.unique(place[feeders.parent[roots]], return_inverse=True)
    together = [
        np.bincount(below, limit[roots], len(parent))
        for limit in (feeders.import_limit_kw, feeders.export_limit_kw)
    ]
    in_block = blocks.of_site[sites] >= 0
    feeder[in_block] = len(kept) + np.searchsorted(parent, feeder[in_block])
    names = np.concatenate([kept.feeder_id, feeders.feeder_id[roots[: len(parent)]]])
    whole = Feeders(
        names,
        np.concatenate([kept.parent, parent]),
        np.concatenate([kept.import_limit_kw, together[0]]),
        np.concatenate([kept.export_limit_kw, together[1]]),
    )
    return feeder, scaled_limits(whole, share)


def scaled_limits(feeders: Feeders, share: float) -> Feeders:
    """The tree with a share of its limits."""
    return replace(
        feeders,
        import_limit_kw=share * feeders.import_limit_kw,
        export_limit_kw=share * feeders.export_limit_kw,
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
        feeder=on(sample.feeder, sections.upper.feeder[first]),
        home_only=None if home is None else on(home, none),
    )
