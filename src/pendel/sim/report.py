"""`report.html`: one file that opens without a network and says what a simulation found.

The headline in words, the strategies side by side, then each plot with its numbers as a table.
Everything shown is computed from the runs; a number that a run does not have is left out.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from pendel.sim import report_figures as figures
from pendel.sim.report_html import money, number, page, paragraph, section, share, table, tiles
from pendel.sim.report_numbers import (
    JUST_IN_TIME_S,
    base_cost_eur,
    cheapest,
    count_promises,
    in_focus,
    missed_promises,
    ordered,
    peaks,
)
from pendel.sim.result import Run
from pendel.units import LIMIT_TOLERANCE
from pendel.web.svg import text_of
from pendel.web.ticks import moment_label

MISSED_LISTED_MAX = 100
NAMES = {
    "uncontrolled": "charging at once",
    "v1g": "smart charging (v1g)",
    "v2h": "discharging to the home (v2h)",
    "v2b": "discharging to the building (v2b)",
    "v2g": "discharging to the grid (v2g)",
}


def write_report(path: Path, runs: list[Run], frontier: list[dict[str, Any]] | None = None) -> None:
    """Write the report of some runs of one scenario, in one piece (temporary name, then rename).

    runs: at least one, one per strategy. frontier: points with `cost_eur`, `confidence` (or a
    `label` where none applies), `kept_share` (0..1, or `promises_kept` and `promises_total`) and
    optionally `strategy` (or `site` and `month`) as the name of their line, `uncontrolled_eur`,
    `always_ready_eur` and `foresight_eur` as yardsticks: the plot of confidence against cost.
    Raises ValueError without runs, OSError where the file cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(report_html(runs, frontier), "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def report_html(runs: list[Run], frontier: list[dict[str, Any]] | None = None) -> str:
    """The report as text; arguments as of `write_report`."""
    if not runs:
        raise ValueError("a report needs at least one run")
    runs = ordered(runs)
    best = in_focus(runs)
    parts = [_head(runs, best), _strategies(runs), _cost(runs)]
    parts.append(_power(runs, best))
    parts += [_soc(runs, best), _promises(runs, best)]
    if frontier:
        parts.append(_frontier(frontier))
    parts += [_wear(runs), _co2(runs), _method(runs)]
    return page(f"pendel: {best.scenario.name}", "".join(parts))


def _get(run: Run, name: str) -> float:
    value = run.summary.get(name)
    return float(value) if value is not None else float("nan")


def headline(runs: list[Run], best: Run) -> str:
    """What was saved, which promises were kept, and what the batteries paid, in words."""
    name = NAMES.get(best.strategy, best.strategy)
    words = [f"With {name} these days cost {money(_get(best, 'cost_eur'))}"]
    base = next((run for run in runs if run.strategy == "uncontrolled" and run is not best), None)
    if base is not None:
        saved = _get(base, "cost_eur") - _get(best, "cost_eur")
        whole = abs(_get(base, "cost_eur"))
        part = f" ({number(100.0 * abs(saved) / whole)} %)" if whole > 0.005 else ""
        less = "less" if saved >= 0.0 else "more"
        words[0] += f", {money(abs(saved))}{part} {less} than charging at once"
        alone = base_cost_eur(best.scenario)
        charging = [_get(run, "cost_eur") - alone for run in (best, base)]
        if min(charging) > 0.0:
            words.append(
                f"The sites alone, without cars and batteries, would pay {money(alone)}: what "
                f"cars and batteries add is {money(charging[0])} instead of {money(charging[1])}"
            )
    total, kept = int(_get(best, "promises_total")), int(_get(best, "promises_kept"))
    if total:
        kept_words = "All" if kept == total else f"{number(kept, 0)} of"
        words.append(f"{kept_words} {number(total, 0)} promises were kept ({share(kept, total)})")
    words.append(f"Battery wear is {money(_get(best, 'wear_eur'))} of the cost")
    return ". ".join(words) + "."


def _head(runs: list[Run], best: Run) -> str:
    scenario, horizon = best.scenario, best.scenario.horizon
    begin = moment_label(horizon.start_s, horizon.timezone)
    end = moment_label(horizon.start_s + horizon.steps * horizon.step_s, horizon.timezone)
    where = (
        f"{begin} to {end} {horizon.start_utc.year} ({horizon.timezone}), {len(scenario.sites)} "
        f"site{'s' if len(scenario.sites) != 1 else ''}, {len(scenario.sessions)} sessions, "
        f"{len(scenario.storages)} stationary batteries"
    )
    promises = f"{number(_get(best, 'promises_kept'), 0)}/{number(_get(best, 'promises_total'), 0)}"
    shown = [
        (money(_get(best, "cost_eur")), f"cost, {best.strategy}"),
        (promises, "promises kept"),
        (f"{number(_get(best, 'peak_import_kw'))} kW", "highest import"),
        (f"{number(_get(best, 'discharged_kwh'), 0)} kWh", "discharged by cars"),
    ]
    return (
        f'<header><p class="soft">pendel simulation report <span class="mark">simulated</span>'
        f"</p><h1>{text_of(scenario.name)}</h1>{paragraph(where, 'soft')}</header>"
        f"{paragraph(headline(runs, best), 'lead')}{tiles(shown)}"
    )


_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("cost_eur", "cost EUR", 2),
    ("energy_cost_eur", "energy EUR", 2),
    ("wear_eur", "wear EUR", 2),
    ("import_kwh", "import kWh", 0),
    ("export_kwh", "export kWh", 0),
    ("discharged_kwh", "discharged kWh", 0),
    ("peak_import_kw", "peak kW", 1),
    ("shortfall_kwh", "shortfall kWh", 1),
)


def _strategies(runs: list[Run]) -> str:
    rows = []
    for run in runs:
        kept, total = _get(run, "promises_kept"), _get(run, "promises_total")
        cells = [number(_get(run, name), digits) for name, _title, digits in _COLUMNS]
        cells.append(f"{number(kept, 0)}/{number(total, 0)} ({share(kept, total)})")
        used = _get(run, "self_consumption")
        cells.append(f"{number(100.0 * used)} %" if np.isfinite(used) else "–")
        rows.append([run.strategy, *cells])
    heads = ["strategy", *(title for _name, title, _digits in _COLUMNS), "promises", "own PV used"]
    caption = "The same cars on the same days under each strategy; the cheapest is bold."
    return section(
        "Strategies side by side", table(heads, rows, caption, runs.index(cheapest(runs)))
    )


def _cost(runs: list[Run]) -> str:
    return section("Cost", figures.cost(runs))


def _power(runs: list[Run], best: Run) -> str:
    rows = [
        [site, number(highest), number(limit), _used(highest, limit)]
        for site, highest, limit in peaks(best)
    ]
    caption = f"Highest import per site, {best.strategy}: those nearest to their limit."
    twin = table(["site", "highest import kW", "limit kW", "used"], rows, caption)
    return section("Power, peak and limit", figures.power(runs, best), twin)


def _used(highest_kw: float, limit_kw: float) -> str:
    if limit_kw <= 0.0:
        return "over the limit" if highest_kw > LIMIT_TOLERANCE else "–"
    over = ", over the limit" if highest_kw > limit_kw + LIMIT_TOLERANCE else ""
    return f"{number(100.0 * highest_kw / limit_kw)} %{over}"


def _soc(runs: list[Run], best: Run) -> str:
    others = "".join(
        f"<details><summary>{run.strategy}</summary>{figures.soc(run)}</details>"
        for run in runs
        if run is not best
    )
    return section("Stored energy of the connected cars", figures.soc(best), others)


def _promises(runs: list[Run], best: Run) -> str:
    spare_min = JUST_IN_TIME_S // 60
    intro = (
        "A promise counts where charging at once would have reached the target by the real "
        "departure; it is kept when the target is in the battery then, within 0.1 kWh. "
        f"Just in time: kept with at most {spare_min} minutes to spare."
    )
    rows = []
    for run in runs:
        count = count_promises(run)
        cells = (count.kept, count.just_in_time, count.missed, count.uncounted)
        rows.append([run.strategy, *(number(cell, 0) for cell in cells)])
    heads = ["strategy", "kept", "kept just in time", "missed", "not counted"]
    return section(
        "Promises",
        paragraph(intro),
        table(heads, rows, "Sessions by how their promise ended."),
        *(_missed(run, open_=run is best) for run in runs),
    )


def _missed(run: Run, open_: bool) -> str:
    missed = missed_promises(run)
    if not missed:
        return paragraph(f"{run.strategy}: no promise was missed.", "soft")
    rows = [
        [m.session_id, m.site_id, m.depart_utc, number(m.lacking_kwh), m.reason]
        for m in missed[:MISSED_LISTED_MAX]
    ]
    more = f" (the {MISSED_LISTED_MAX} largest)" if len(missed) > MISSED_LISTED_MAX else ""
    heads = ["session", "site", "departure UTC", "lacking kWh", "likeliest reason"]
    body = table(heads, rows, f"Missed promises{more}, {run.strategy}.", words=(1, 2, 4))
    opened = ' open="open"' if open_ else ""
    return (
        f"<details{opened}><summary>{text_of(run.strategy)}: {len(missed)} missed</summary>"
        f"{body}</details>"
    )


def _frontier(frontier: list[dict[str, Any]]) -> str:
    intro = (
        "How sure should a promise be, and what does that cost? Each point is a whole run with "
        "another confidence; early leavers are included in the share that was kept."
    )
    return section("Confidence against cost", paragraph(intro), figures.frontier(frontier))


def _wear(runs: list[Run]) -> str:
    rows = []
    for run in runs:
        discharged, wear = _get(run, "discharged_kwh"), _get(run, "wear_eur")
        moved = _get(run, "charged_kwh") + discharged
        capacity = float(run.scenario.sessions.capacity_kwh.sum())
        rows.append(
            [
                run.strategy,
                number(_get(run, "charged_kwh"), 0),
                number(discharged, 0),
                number(wear, 2),
                number(100.0 * wear / moved, 2) if moved > 0.0 else "–",
                number(100.0 * moved / (2.0 * capacity), 1) if capacity > 0.0 else "–",
            ]
        )
    heads = ["strategy", "charged kWh", "discharged kWh", "wear EUR", "ct per kWh moved",
             "cycles per 100 sessions"]  # fmt: skip
    caption = (
        "Wear as the scenario prices it, for charging for driving as well as for discharging; "
        "a cycle is the full capacity once in and once out."
    )
    return section("Battery wear", table(heads, rows, caption))


def _co2(runs: list[Run]) -> str:
    if not any(np.isfinite(_get(run, "co2_kg")) for run in runs):
        return ""
    rows = [[run.strategy, number(_get(run, "co2_kg"), 1)] for run in runs]
    caption = "CO2 of the energy taken from the grid less that of the energy given back, kg."
    return section("CO2", figures.co2(runs), table(["strategy", "CO2 kg"], rows, caption))


def _method(runs: list[Run]) -> str:
    rates = [f"{run.strategy} {number(_get(run, 'seconds'), 1)} s" for run in runs]
    text = (
        "All figures come from simulations in closed loop: at each moment the controller knew only "
        "what could be known then; real departures, loads and sun decided what happened. Cost is "
        "energy, wear, demand charge and deviations. Nothing here was measured on a vehicle. "
        f"Computing took {', '.join(rates)}."
    )
    return section("How this was made", paragraph(text, "soft"))
