"""The plots of a report, each with a caption and its numbers as a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pendel.sim.report_html import figure, number, table
from pendel.sim.report_numbers import coarse, fleet_kw, price_rows, soc_bands, total_limit_kw
from pendel.sim.result import Run
from pendel.units import FloatArray
from pendel.web.charts import BarFigure, PointFigure, bar_figure, point_figure
from pendel.web.plots import Layer, Panel, TimeFigure, time_figure
from pendel.web.ticks import moment_label

STYLE = {"uncontrolled": 5, "v1g": 1, "v2h": 3, "v2b": 4, "v2g": 2}
TABLE_ROWS_MAX = 120
LIMIT_SHOWN_UP_TO = 2.5
"""A limit is drawn where it is at most this many times the highest import; above it says little."""
YARDSTICKS = (
    ("uncontrolled_eur", "charging at once"),
    ("always_ready_eur", "always ready, departure and prices known"),
    ("foresight_eur", "perfect foresight"),
)


def style_of(strategy: str) -> int:
    """Colour and dash of a strategy, the same in every plot."""
    return STYLE.get(strategy, 6)


def cost(runs: list[Run]) -> str:
    """Stacked bars: energy, wear, demand charge and deviations."""
    values = np.zeros((len(runs), 3))
    for index, run in enumerate(runs):
        total = float(run.summary.get("cost_eur", 0.0))
        energy = float(run.summary.get("energy_cost_eur", 0.0))
        wear = float(run.summary.get("wear_eur", 0.0))
        values[index] = energy, wear, total - energy - wear
    names = ("energy", "battery wear", "demand charge and deviations")
    words = ", ".join(
        f"{run.strategy} {number(float(run.summary.get('cost_eur', 0.0)), 2)} EUR" for run in runs
    )
    strategies = tuple(run.strategy for run in runs)
    svg = bar_figure(
        BarFigure("cost", "Cost per strategy", words, strategies, names, values, "EUR", (1, 2, 4))
    )
    rows = [
        [run.strategy, *(number(float(v), 2) for v in (*values[i], values[i].sum()))]
        for i, run in enumerate(runs)
    ]
    twin = table(
        ["strategy", *(f"{name} EUR" for name in names), "sum EUR"], rows, "Cost per part."
    )
    return figure(svg, "Total at the end of each bar; income from exports lowers energy.", twin)


def power(runs: list[Run], best: Run) -> str:
    """Net power of all sites under each strategy, what the fleet did, and the price."""
    scenario, horizon = best.scenario, best.scenario.horizon
    nets = [(run, run.net_kw.sum(axis=0)) for run in runs]
    layers = [Layer(run.strategy, net, "step", style_of(run.strategy)) for run, net in nets]
    limit = total_limit_kw(scenario)
    highest_kw = max(float(net.max(initial=0.0)) for _run, net in nets)
    if limit <= LIMIT_SHOWN_UP_TO * max(highest_kw, 1.0):
        layers.append(Layer("import limit", np.full(horizon.steps, limit), "limit", 8))
    charge, discharge = fleet_kw(best)
    buy, sell = price_rows(scenario)
    load = scenario.series.load_kw.sum(axis=0)
    pv = scenario.series.pv_kw.sum(axis=0)
    parts = (
        Layer("charging", charge, "area", 1),
        Layer("discharging", -discharge, "area", 2),
        Layer("load without cars", load, "step", 5),
        Layer("PV", -pv, "step", 6),
    )
    panels = [
        Panel("net power of all sites, import above zero [kW]", tuple(layers), 190.0),
        Panel(
            f"cars, batteries and buildings under {best.strategy} [kW]",
            tuple(layer for layer in parts if bool(layer.values.any())),
            150.0,
        ),
        Panel(
            "price [EUR/kWh]",
            (Layer("import", buy, "step", 4), Layer("export", sell, "step", 3)),
            80.0,
        ),
    ]
    highest = [f"{run.strategy} {number(float(net.max()))} kW" for run, net in nets]
    words = "Highest net import: " + ", ".join(highest) + "."
    svg = time_figure(
        TimeFigure("power", "Power of all sites over time", words, horizon.start_s, horizon.step_s,
                   horizon.timezone, tuple(panels))
    )  # fmt: skip
    columns = [(f"{run.strategy} net kW", net) for run, net in nets]
    columns += [("charging kW", charge), ("discharging kW", discharge), ("import EUR/kWh", buy)]
    caption = words + " Charging counts as import, PV and discharging as export."
    return figure(svg, caption, time_table(best, columns))


def soc(run: Run) -> str:
    """Least, quartiles and highest SoC of the connected cars."""
    horizon = run.scenario.horizon
    bands = soc_bands(run)
    connected = np.isfinite(run.energy_kwh[: len(run.scenario.sessions)]).sum(axis=0)
    panels = (
        Panel(
            "state of charge of connected cars [%]",
            (
                Layer("least to highest", bands[4], "band", 5, bands[0]),
                Layer("middle half", bands[3], "band", style_of(run.strategy), bands[1]),
                Layer("median", bands[2], "line", style_of(run.strategy)),
            ),
            150.0,
            high=100.0,
        ),
        Panel("cars connected [number]", (Layer("cars", connected * 1.0, "area", 5),), 60.0),
    )
    words = f"State of charge of the connected cars under {run.strategy}: range and quartiles."
    svg = time_figure(
        TimeFigure(f"soc-{run.strategy}", f"State of charge, {run.strategy}", words,
                   horizon.start_s, horizon.step_s, horizon.timezone, panels)
    )  # fmt: skip
    names = ("least %", "lower quartile %", "median %", "upper quartile %", "highest %")
    columns = [*zip(names, bands, strict=True), ("cars", connected * 1.0)]
    return figure(svg, words, time_table(run, columns))


def co2(runs: list[Run]) -> str:
    """Bars of CO2 per strategy."""
    values = np.array([[float(run.summary.get("co2_kg") or 0.0)] for run in runs])
    names = tuple(run.strategy for run in runs)
    words = ", ".join(f"{n} {number(float(v[0]))} kg" for n, v in zip(names, values, strict=True))
    return bar_figure(
        BarFigure("co2", "CO2 per strategy", words, names, ("CO2",), values, "kg", (3,))
    )


def frontier_point(point: Mapping[str, Any]) -> tuple[float, float, str, str]:
    """(share kept in percent, cost EUR, label, series) of a frontier entry."""
    kept = point.get("kept_share", point.get("kept"))
    if kept is None:
        total = float(point.get("promises_total") or 0.0)
        kept = float(point.get("promises_kept", 0.0)) / total if total > 0.0 else float("nan")
    confidence = point.get("confidence")
    words = point.get("label") or ("" if confidence is None else f"{float(confidence):g}")
    place = " ".join(str(point[name]) for name in ("site", "month") if name in point)
    unnamed = "for comparison" if confidence is None else "pendel"
    series = str(point.get("strategy") or place or unnamed)
    return 100.0 * float(kept), float(point.get("cost_eur", "nan")), str(words), series


def frontier(points: list[dict[str, Any]]) -> str:
    """Share of promises kept against cost; one line per series, points labelled."""
    grouped: dict[str, list[tuple[float, float, str]]] = {}
    for point in points:
        kept, price, words, name = frontier_point(point)
        grouped.setdefault(name, []).append((kept, price, words))
    series = []
    for position, (name, items) in enumerate(grouped.items()):
        items.sort()
        xs, ys = np.array([i[0] for i in items]), np.array([i[1] for i in items])
        style = STYLE.get(name, (2, 5, 3, 4, 6, 7)[position % 6])
        series.append((name, xs, ys, tuple(i[2] for i in items), style))
    words = "; ".join(
        f"{name} {label}: {number(x, 2)} % kept, {number(y, 2)} EUR"
        for name, items in grouped.items()
        for x, y, label in items
    )
    lines = references(points)
    words += "".join(f"; {name}: {number(level, 2)} EUR" for name, level in lines)
    svg = point_figure(
        PointFigure("frontier", "Confidence against cost", words, "promises kept [%]",
                    "cost [EUR]", tuple(series), lines)
    )  # fmt: skip
    rows = [
        [name, label, number(x, 2), number(y, 2)]
        for name, items in grouped.items()
        for x, y, label in items
    ]
    rows += [[name, "", "", number(level, 2)] for name, level in lines]
    twin = table(["series", "confidence", "kept %", "cost EUR"], rows, "Points of the frontier.")
    return figure(svg, "Labels are the confidence that was asked for. Right and low is good.", twin)


def references(points: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    """(name, cost EUR) of the yardsticks that every point carries with the same value."""
    found = []
    for key, name in YARDSTICKS:
        levels = {float(point[key]) for point in points if key in point}
        if len(levels) == 1 and all(key in point for point in points if "confidence" in point):
            found.append((name, levels.pop()))
    return tuple(found)


def time_table(run: Run, columns: list[tuple[str, FloatArray]]) -> str:
    """Means over hours (or longer, so that the table stays short) in local time."""
    horizon = run.scenario.horizon
    hour = max(1, 3600 // horizon.step_s)
    stride = hour * max(1, -(-horizon.steps // (TABLE_ROWS_MAX * hour)))
    starts = range(0, horizon.steps, stride)
    means = [coarse(values, stride) for _name, values in columns]
    rows = [
        [
            moment_label(horizon.start_s + start * horizon.step_s, horizon.timezone),
            *(number(float(column[i]), 3 if "EUR" in name else 1)
              for (name, _values), column in zip(columns, means, strict=True)),
        ]
        for i, start in enumerate(starts)
    ]  # fmt: skip
    caption = f"Means over {stride * horizon.step_s / 3600:g} h, local time."
    return table(["from", *(name for name, _values in columns)], rows, caption)
