"""What a plan costs and its bound, as the controller's last plan knows it, and said honestly."""

from dataclasses import replace

import numpy as np
from real_world import Real, real
from small_world import small_scenario

from pendel.api import views
from pendel.records import PlanRecord
from pendel.web.page_data import first_page


def plans(run: Real) -> list[PlanRecord]:
    return [r for _, r in run.runtime.store.replay() if isinstance(r, PlanRecord)]


def test_an_exact_plan_has_its_cost_and_a_bound_near_it() -> None:
    run = real()
    run.to(60)
    found = plans(run)
    assert found
    for plan in found:
        assert plan.objective_eur is not None and plan.bound_eur is not None
        gap = plan.objective_eur - plan.bound_eur
        assert 0.0 <= gap <= 1e-4 * max(1.0, abs(plan.objective_eur))
    shown = views.session(run.runtime, run.runtime.session("s1"))["plan"]
    assert shown["objective_eur"] == run.runtime.state.plans["home"].objective_eur
    (area,) = first_page(run.runtime)["areas"]
    assert area.plan_note.startswith("Planned exactly (")
    assert " EUR were needed" in area.plan_note


def test_the_cost_of_a_plan_is_that_of_the_whole_site() -> None:
    """Load and sun alone: what is planned costs what the verifier's oracle, a plain sum, says."""
    scenario = small_scenario()
    dear = replace(
        scenario,
        sites=replace(scenario.sites, demand_charge_eur_kw=np.array([5.0, 5.0])),
    )
    cheap, more = real(), real(scenario=dear)
    for run in (cheap, more):
        run.to(15)
    cost, peak = plans(cheap)[-1].objective_eur, plans(more)[-1].objective_eur
    assert cost is not None and peak is not None
    assert peak > cost + 5.0  # the load alone has a peak of some kW


def test_a_policy_says_that_it_knows_no_cost() -> None:
    scenario = small_scenario()
    bare = replace(
        scenario,
        series=replace(
            scenario.series,
            load_kw=0.0 * scenario.series.load_kw,
            pv_kw=0.0 * scenario.series.pv_kw,
        ),
    )
    run = real(scenario=bare)
    run.to(30)
    found = plans(run)
    assert {plan.method for plan in found} == {"policy"}
    assert {(plan.objective_eur, plan.bound_eur) for plan in found} == {(None, None)}
    (area,) = first_page(run.runtime)["areas"]
    assert "what it costs as a whole is not computed" in area.plan_note
