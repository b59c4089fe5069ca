"""What a report says, as numbers: series over time, promises with their reasons, peaks.

Pure functions on a Run; nothing here knows about HTML or SVG.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from pendel.clock import format_utc
from pendel.scenario.columns import UNKNOWN_S, Scenario
from pendel.sim.result import Run
from pendel.units import PROMISE_TOLERANCE_KWH, SECONDS_PER_HOUR, FloatArray, IntArray

ORDER = ("uncontrolled", "v1g", "v2h", "v2b", "v2g")
JUST_IN_TIME_S = 1_800
"""A promise kept with less than this to spare is shown as `just in time`."""
EARLY_S = 900
AT_LIMIT_SHARE = 0.1
BANDS = (0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class Missed:
    """A promise that was not kept: what was missing and the likeliest reason in words."""

    session_id: str
    site_id: str
    depart_utc: str
    lacking_kwh: float
    reason: str


@dataclass(frozen=True, slots=True)
class PromiseCount:
    """How the promises of a run ended. uncounted: charging at once would not have reached."""

    kept: int
    just_in_time: int
    missed: int
    uncounted: int


def ordered(runs: list[Run]) -> list[Run]:
    """Runs in the order of strategies, weakest control first; unknown names last."""
    rank = {name: index for index, name in enumerate(ORDER)}
    return sorted(runs, key=lambda run: rank.get(run.strategy, len(ORDER)))


def in_focus(runs: list[Run]) -> Run:
    """The run a report is about: the cheapest that controls anything, if there is one."""
    return cheapest([run for run in runs if run.strategy != ORDER[0]] or runs)


def cheapest(runs: list[Run]) -> Run:
    """The run with the least cost; the later strategy where equal."""
    return min(reversed(ordered(runs)), key=lambda run: float(run.summary.get("cost_eur", 0.0)))


def fleet_kw(run: Run) -> tuple[FloatArray, FloatArray]:
    """Charging and discharging power of all sessions and storages [T] (kW, both amounts)."""
    power = np.nan_to_num(run.power_kw)
    return np.maximum(power, 0.0).sum(axis=0), np.maximum(-power, 0.0).sum(axis=0)


def soc_bands(run: Run) -> FloatArray:
    """Least, quartiles and highest SoC [5, T] of the connected cars in percent; NaN with none."""
    capacity = run.scenario.sessions.capacity_kwh
    energy = run.energy_kwh[: len(capacity)]
    steps = energy.shape[1]
    bands = np.full((len(BANDS), steps), np.nan)
    for step in range(steps):
        column = energy[:, step]
        there = np.isfinite(column)
        if there.any():
            bands[:, step] = np.percentile(column[there] / capacity[there] * 100.0, BANDS)
    return bands


def total_limit_kw(scenario: Scenario) -> float:
    """The most that all sites together may import: the portfolio's limit, or the sum of the topmost
    feeders and of the sites that hang on none."""
    sites, feeders = scenario.sites, scenario.feeders
    free = sites.feeder < 0
    total = float(sites.import_limit_kw[free].sum())
    if not free.all():
        total += float(feeders.import_limit_kw[feeders.parent < 0].sum())
    return min(total, scenario.portfolio_import_limit_kw)


def reached_spare_s(run: Run) -> IntArray:
    """Seconds between having the target for good and the real departure [N]; -1 = never had it."""
    sessions, step_s = run.scenario.sessions, run.scenario.horizon.step_s
    spare = np.full(len(sessions), -1, dtype=np.int64)
    for index in range(len(sessions)):
        first, last = int(sessions.arrive_step[index]), int(sessions.depart_step[index])
        target = float(sessions.energy_target_kwh[index]) - PROMISE_TOLERANCE_KWH
        if float(sessions.energy_arrive_kwh[index]) >= target and last <= first:
            spare[index] = 0
            continue
        below = np.flatnonzero(~(run.energy_kwh[index, first:last] >= target))
        held_from = first + (int(below[-1]) + 1 if len(below) else 0)
        if held_from < last:
            spare[index] = (last - held_from) * step_s
    return spare


def count_promises(run: Run) -> PromiseCount:
    """Kept with time to spare, just in time, missed, and sessions that do not count."""
    close = run.promised & run.kept & (reached_spare_s(run) <= JUST_IN_TIME_S)
    close &= run.scenario.sessions.energy_arrive_kwh < run.scenario.sessions.energy_target_kwh
    kept = int((run.promised & run.kept).sum())
    return PromiseCount(
        kept=kept - int(close.sum()),
        just_in_time=int(close.sum()),
        missed=int((run.promised & ~run.kept).sum()),
        uncounted=int((~run.promised).sum()),
    )


def missed_promises(run: Run) -> list[Missed]:
    """Every promise not kept, the largest lack first."""
    sessions, sites = run.scenario.sessions, run.scenario.sites
    found = []
    for index in np.flatnonzero(run.promised & ~run.kept).tolist():
        lacking = float(sessions.energy_target_kwh[index] - run.energy_leave_kwh[index])
        found.append(
            Missed(
                session_id=str(sessions.session_id[index]),
                site_id=str(sites.site_id[int(sessions.site[index])]),
                depart_utc=format_utc(_utc(run, int(sessions.depart_s[index]))),
                lacking_kwh=lacking,
                reason=_reason(run, index),
            )
        )
    return sorted(found, key=lambda missed: -missed.lacking_kwh)


def _utc(run: Run, epoch_s: int) -> datetime:
    horizon = run.scenario.horizon
    return horizon.start_utc + timedelta(seconds=epoch_s - horizon.start_s)


def _reason(run: Run, index: int) -> str:
    """The likeliest reason, from what is recorded: early leaving, a limit, or late charging."""
    sessions = run.scenario.sessions
    stated, depart = int(sessions.stated_depart_s[index]), int(sessions.depart_s[index])
    hours = (depart - int(sessions.arrive_s[index])) / SECONDS_PER_HOUR
    reasons = []
    if stated == UNKNOWN_S:
        reasons.append(f"no departure was stated; left after {hours:.1f} h")
    elif depart < stated - EARLY_S:
        early_h = (stated - depart) / SECONDS_PER_HOUR
        reasons.append(f"left {early_h:.1f} h before the stated departure")
    share = _share_at_limit(run, index)
    if share > AT_LIMIT_SHARE:
        reasons.append(f"the site was at its import limit {share:.0%} of the time")
    return "; ".join(reasons) or "charging was put off too long"


def _share_at_limit(run: Run, index: int) -> float:
    sessions = run.scenario.sessions
    site = int(sessions.site[index])
    first, last = int(sessions.arrive_step[index]), int(sessions.depart_step[index])
    limit = float(run.scenario.sites.import_limit_kw[site])
    net = run.net_kw[site, first:last]
    return float((net >= limit - 0.01 * max(limit, 1.0)).mean()) if last > first else 0.0


def price_rows(scenario: Scenario) -> tuple[FloatArray, FloatArray]:
    """Import and export price [T] in EUR/kWh: the mean over sites where they pay differently."""
    row = scenario.prices.row
    return (
        scenario.prices.import_eur_kwh[row].mean(axis=0),
        scenario.prices.export_eur_kwh[row].mean(axis=0),
    )


def base_cost_eur(scenario: Scenario) -> float:
    """What the sites alone would pay, without cars and batteries [EUR].

    PV above the export limit, or sold below zero, is curtailed; demand charges are included.
    """
    row, load = scenario.prices.row, scenario.series.load_kw
    buy, sell = scenario.prices.import_eur_kwh[row], scenario.prices.export_eur_kwh[row]
    net = load - scenario.series.pv_kw
    drawn = np.maximum(net, 0.0)
    fed = np.minimum(np.maximum(-net, 0.0), scenario.sites.export_limit_kw[:, None])
    energy = float((drawn * buy - fed * np.maximum(sell, 0.0)).sum()) * scenario.horizon.step_h
    peak = drawn.max(axis=1, initial=0.0)
    return energy + float((scenario.sites.demand_charge_eur_kw * peak).sum())


def peaks(run: Run, most: int = 12) -> list[tuple[str, float, float]]:
    """(site, highest import kW, import limit kW), those nearest to their limit first."""
    sites = run.scenario.sites
    highest = np.maximum(run.net_kw, 0.0).max(axis=1, initial=0.0)
    use = highest / np.maximum(sites.import_limit_kw, 1e-9)
    order = np.argsort(-use, kind="stable")[:most].tolist()
    return [
        (str(sites.site_id[i]), float(highest[i]), float(sites.import_limit_kw[i])) for i in order
    ]


def coarse(values: FloatArray, stride: int) -> FloatArray:
    """Means over `stride` steps (the last may be shorter); NaN are left out, all NaN stay NaN."""
    blocks = [values[i : i + stride] for i in range(0, len(values), stride)]
    means = [block[np.isfinite(block)] for block in blocks]
    return np.array([float(m.mean()) if len(m) else np.nan for m in means])
