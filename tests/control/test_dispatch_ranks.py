"""Tiers of the tree of limits against two linear programmes that know nothing of stress."""

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dispatch_tree import INF, least_net, random_case, run


def only_imports(seed: int) -> dict:
    """A random tree in which only limits of import can bind."""
    case = random_case(seed)
    count_s, count_f = len(case["load_kw"]), len(case["parent"])
    return case | {
        "pv_kw": np.zeros(count_s), "export_kw": np.full(count_s, 1e4),
        "home_only": np.zeros(count_s, dtype=np.bool_), "costs": np.zeros(count_s, dtype=np.bool_),
        "feeder_export": np.full(count_f, 1e4), "portfolio_export": INF,
    }  # fmt: skip


def most_granted(case: dict, levels: np.ndarray) -> tuple[float, float]:
    """(the most power of promises that fits all limits, the most power of all with those kept)."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    units, feeders = len(case["site"]), len(case["parent"])
    power = [
        solver.addVariable(levels[u, 0], max(levels[u, 3], levels[u, 0])) for u in range(units)
    ]
    kept = [solver.addVariable(-1e4, float(levels[u, 2])) for u in range(units)]
    for u in range(units):
        solver.addConstr(kept[u] <= power[u])
    site_least, node_least = least_net(case, levels)
    nodes: list = [0.0] * (feeders + 1)
    for s in range(len(case["load_kw"])):
        net = sum((power[u] for u in range(units) if case["site"][u] == s), case["load_kw"][s])
        if not isinstance(net, float | np.floating):
            solver.addConstr(net <= float(max(case["import_kw"][s], site_least[s]) + 1e-9))
        nodes[case["feeder"][s]] = nodes[case["feeder"][s]] + net
    limits = [*case["feeder_import"], case["portfolio_import"]]
    for f in range(feeders + 1):
        if f < feeders:
            nodes[case["parent"][f]] = nodes[case["parent"][f]] + nodes[f]
        limit = max(limits[f], node_least[f])
        if np.isfinite(limit) and not isinstance(nodes[f], float | np.floating):
            solver.addConstr(nodes[f] <= float(limit + 1e-9))
    if units == 0:
        return 0.0, 0.0
    promised = sum(kept[1:], kept[0] + 0.0)
    solver.maximize(promised)
    best = float(solver.getInfo().objective_function_value)
    solver.addConstr(promised >= best - 1e-7)
    solver.maximize(sum(power[1:], power[0] + 0.0))
    return best, float(solver.getInfo().objective_function_value)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_no_other_dispatch_keeps_more_of_the_promises_or_then_grants_more(seed: int) -> None:
    """Promises first, then wishes: as much of both as any dispatch inside the limits."""
    case = only_imports(seed)
    got = run(case)
    promised, power = most_granted(case, got["levels"])
    assert np.minimum(got["power"], got["levels"][:, 2]).sum() == pytest.approx(promised, abs=1e-5)
    assert got["power"].sum() == pytest.approx(power, abs=1e-5)
