"""The controller's schedules written down as plans, one per site, when they have changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from pendel.control.plan_result import PlanCost
from pendel.records import PlanRecord
from pendel.runtime.area import AreaSpec
from pendel.runtime.journal import Batch
from pendel.runtime.reasons import Moment
from pendel.runtime.state import SessionView, State
from pendel.units import FloatArray

CHANGED_KW = 0.1
UNKNOWN = PlanCost("rolling horizon")


def record_plans(
    batch: Batch,
    spec: AreaSpec,
    state: State,
    views: Sequence[SessionView],
    planned_kw: FloatArray,
    moment: Moment,
    costs: Mapping[int, PlanCost],
) -> list[str]:
    """Add a plan for each site whose schedule is not the one written down last.

    planned_kw [N, K]: from the current step on; costs: by index of the site.
    Returns the id of the plan in force per site
    ("" = none).
    """
    known, step_s = moment.known, spec.step_s
    begin_s = known.now_s - known.now_s % step_s
    in_force = []
    for index, site in enumerate(spec.site_id):
        units = [n for n, view in enumerate(views) if view.event.site_id == site]
        standing = state.plans.get(site)
        schedule = {views[n].device_id: _trimmed(planned_kw[n]) for n in units}
        if standing is not None and not _changed(standing, schedule, begin_s):
            in_force.append(standing.id)
            continue
        if standing is None and not units:
            in_force.append("")
            continue
        cost = costs.get(index, UNKNOWN)
        plan = batch.add(
            PlanRecord,
            causes=tuple(
                name for name in (moment.price_id[index], *moment.limits[index].causes) if name
            ),
            site_id=site,
            begin_utc=datetime.fromtimestamp(begin_s, UTC),
            step_s=step_s,
            objective_eur=cost.objective_eur,
            bound_eur=cost.bound_eur,
            shortfall_kwh=cost.shortfall_kwh,
            method=cost.method,
            power_kw=schedule,
            sites=cost.sites,
        )
        in_force.append(plan.id)
    return in_force


def _trimmed(row: FloatArray) -> list[float]:
    """Powers to the watt, without the idle end."""
    busy = np.flatnonzero(np.abs(row) >= 0.0005)
    count = int(busy[-1]) + 1 if len(busy) else 0
    return [round(value, 3) + 0.0 for value in row[:count].tolist()]


def _changed(standing: PlanRecord, schedule: dict[str, list[float]], begin_s: int) -> bool:
    """Whether any device's coming steps differ from the standing plan by CHANGED_KW or more."""
    if set(standing.power_kw) != set(schedule):
        return True
    skip = (begin_s - int(standing.begin_utc.timestamp())) // standing.step_s
    for device, new in schedule.items():
        old = standing.power_kw[device][max(skip, 0) :]
        length = max(len(old), len(new))
        there = np.zeros((2, length))
        there[0, : len(old)], there[1, : len(new)] = old, new
        if length and np.abs(there[0] - there[1]).max() >= CHANGED_KW:
            return True
    return False
