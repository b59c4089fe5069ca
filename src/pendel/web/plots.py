"""Plots over time as inline SVG: pure functions from numbers to text, no JavaScript needed.

A figure has one time axis (local clock, DST-safe) and one or more panels below each other, each
with its own unit; nothing is drawn against two scales at once. Long series are thinned to the
smallest and largest value per pixel column, so that a spike is never lost and a page stays small.
Layers differ by colour and by dash, never by colour alone. Styles and the hover script are in
`plot_style`; without them (and without JavaScript) a figure stays readable.

    panel = Panel("power [kW]", (Layer("net", net_kw),))
    figure = TimeFigure("p", "Power", "Import over two days.", begin_s, 900.0, zone, (panel,))
    svg = time_figure(figure)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pendel.units import FloatArray
from pendel.web.svg import (
    CHAR_PX,
    element,
    finite_runs,
    label,
    line_path,
    polygon_path,
    px,
    step_path,
    text_of,
)
from pendel.web.ticks import Tick, moment_label, nice_ticks, time_ticks

Kind = Literal["step", "line", "band", "area", "limit"]
WIDTH = 760.0
LEFT, RIGHT, GAP = 62.0, 14.0, 18.0
LEGEND_ROW, AXIS_ROWS, TITLE_ROW = 20.0, 40.0, 18.0
STYLES = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing drawn in a panel.

    values [T]: level of each step (`step`, `area`, `limit`) or value at its begin (`line`); NaN =
    nothing there. band: from `low` [T] to values. area: from `low` (default 0) to values, as
    steps. style 1..8 picks colour and dash; not-finite values are gaps.
    """

    name: str
    values: FloatArray
    kind: Kind = "step"
    style: int = 1
    low: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One y axis with its unit and what is drawn over it. height in px of the plot's own scale.

    from_zero: the axis includes 0; low, high: the axis includes these values too.
    """

    y_label: str
    layers: tuple[Layer, ...]
    height: float = 170.0
    from_zero: bool = True
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class TimeFigure:
    """Panels over one time axis. key: unique on the page; steps of step_s from begin_s (epoch)."""

    key: str
    title: str
    description: str
    begin_s: float
    step_s: float
    zone: str
    panels: tuple[Panel, ...]
    width: float = WIDTH
    hover: bool = True

    @property
    def steps(self) -> int:
        """Number of steps: the longest layer."""
        return max((len(layer.values) for p in self.panels for layer in p.layers), default=0)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight map from data to pixels."""

    data_low: float
    data_high: float
    px_low: float
    px_high: float

    def __call__(self, value: float) -> float:
        """Pixels of a value; values outside are held at the edge."""
        share = (value - self.data_low) / (self.data_high - self.data_low)
        return self.px_low + min(max(share, 0.0), 1.0) * (self.px_high - self.px_low)

    def each(self, values: FloatArray) -> list[float]:
        """Pixels of many finite values."""
        share = np.clip((values - self.data_low) / (self.data_high - self.data_low), 0.0, 1.0)
        pixels: list[float] = (self.px_low + share * (self.px_high - self.px_low)).tolist()
        return pixels


def time_figure(figure: TimeFigure) -> str:
    """The SVG of a figure. Raises ValueError for a step or width that is not positive."""
    if not (figure.step_s > 0.0 and figure.width > LEFT + RIGHT + 50.0):
        raise ValueError("step_s and width must be positive and large enough")
    end_s = figure.begin_s + max(figure.steps, 1) * figure.step_s
    across = Scale(figure.begin_s, end_s, LEFT, figure.width - RIGHT)
    parts: list[str] = []
    frames: list[tuple[float, float]] = []
    top = 4.0
    ticks = time_ticks(figure.begin_s, end_s, figure.zone, int((figure.width - LEFT) // 80))
    for panel in figure.panels:
        drawn_legend, legend_height = legend(
            [(layer.name, layer.kind, layer.style) for layer in panel.layers], figure.width, top
        )
        begin_y = top + legend_height + TITLE_ROW
        parts.append(drawn_legend)
        parts.append(label(LEFT - 56.0, begin_y - 8.0, panel.y_label, class_="unit"))
        parts.append(_panel(figure, panel, across, begin_y, ticks))
        frames.append((begin_y, begin_y + panel.height))
        top = begin_y + panel.height + GAP
    bottom = top - GAP
    parts.append(_time_axis(ticks, across, bottom, figure.width))
    hover = _hover(figure, across, frames) if figure.hover else ""
    return svg_document(
        figure.key, figure.title, figure.description, (figure.width, bottom + AXIS_ROWS),
        "".join(parts), hover,
    )  # fmt: skip


def svg_document(
    key: str, title: str, description: str, size: tuple[float, float], body: str, hover: str = ""
) -> str:
    """The outer svg element with its title and description for screen readers."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in key)
    head = element("title", text_of(title) or "plot", id=f"{safe}-t")
    head += element("desc", text_of(description) or "-", id=f"{safe}-d")
    width, height = size
    return element(
        "svg",
        head + body,
        xmlns="http://www.w3.org/2000/svg",
        class_="plot",
        role="img",
        aria_labelledby=f"{safe}-t {safe}-d",
        viewBox=f"0 0 {px(width)} {px(height)}",
        **({"data_hover": hover} if hover else {}),
    )


def legend(entries: Sequence[tuple[str, str, int]], width: float, top: float) -> tuple[str, float]:
    """Swatches and names (name, kind, style) in rows from `top`; returns the SVG and its height."""
    x, row, parts = LEFT, 0, []
    for name, kind, style in entries:
        shown = name if len(name) <= 48 else name[:47] + "…"
        need = 34.0 + CHAR_PX * len(shown)
        if x + need > width - RIGHT and x > LEFT:
            x, row = LEFT, row + 1
        y = top + LEGEND_ROW * row + 9.0
        if kind in ("band", "area", "bar"):
            swatch = element("rect", x=x, y=y - 6.0, width=22.0, height=12.0,
                             class_=f"fill s{_style(style)}")  # fmt: skip
        elif kind == "point":
            swatch = element("circle", cx=x + 11.0, cy=y, r=4.0, class_=f"dot s{_style(style)}")
        else:
            swatch = element("path", d=f"M{px(x)} {px(y)}H{px(x + 22.0)}",
                             class_=f"{_line_class(kind)} s{_style(style)}")  # fmt: skip
        parts.append(swatch + label(x + 27.0, y + 4.5, shown, class_="name"))
        x += need
    return "".join(parts), LEGEND_ROW * (row + 1) if entries else 0.0


def y_axis(panel_ticks: Sequence[Tick], up: Scale, left: float, right: float) -> str:
    """Horizontal grid lines with their numbers; the line of zero is stronger."""
    parts = []
    for tick in panel_ticks:
        y = up(tick.value)
        kind = "grid zero" if tick.label == "0" else "grid"
        parts.append(element("path", d=f"M{px(left)} {px(y)}H{px(right)}", class_=kind))
        parts.append(label(left - 6.0, y + 4.5, tick.label, class_="num", text_anchor="end"))
    return "".join(parts)


def value_range(panel: Panel) -> tuple[float, float]:
    """Smallest and largest finite value of all layers (0 to 1 where there is none)."""
    found: list[float] = [v for v in (panel.low, panel.high) if v is not None]
    found += [0.0] if panel.from_zero else []
    for layer in panel.layers:
        for column in (layer.values, layer.low):
            if column is not None:
                good = column[np.isfinite(column)]
                found += [float(good.min()), float(good.max())] if len(good) else []
    return (min(found), max(found)) if found else (0.0, 1.0)


def thin(xs: FloatArray, ys: FloatArray, columns: int) -> tuple[FloatArray, FloatArray]:
    """At most 2 points for each of `columns` equal stretches: its smallest and largest value, in
    the order in which they came. Shorter input comes back as it is. All values finite."""
    count = len(ys)
    if count <= 2 * columns:
        return xs, ys
    edges = np.linspace(0, count, columns + 1).astype(np.int64)
    keep: list[int] = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = ys[first:last]
        keep += sorted({first + int(part.argmin()), first + int(part.argmax())})
    return xs[keep], ys[keep]


def _panel(
    figure: TimeFigure, panel: Panel, across: Scale, top: float, ticks: Sequence[Tick]
) -> str:
    low, high = value_range(panel)
    marks = nice_ticks(low, high, max(2, int(panel.height // 34)))
    up = Scale(marks[0].value, marks[-1].value, top + panel.height, top)
    right = figure.width - RIGHT
    parts = [y_axis(marks, up, LEFT, right)]
    for tick in ticks:
        x = across(tick.value)
        kind = "grid day" if tick.below else "grid"
        parts.append(element("path", d=f"M{px(x)} {px(top)}V{px(top + panel.height)}", class_=kind))
    order = {"band": 0, "area": 1, "limit": 3}
    layers = sorted(panel.layers, key=lambda item: order.get(item.kind, 2))
    parts += [_layer(figure, layer, across, up) for layer in layers]
    return "".join(parts)


def _layer(figure: TimeFigure, layer: Layer, across: Scale, up: Scale) -> str:
    values = np.asarray(layer.values, dtype=np.float64)
    low = np.zeros(len(values)) if layer.low is None else np.asarray(layer.low, dtype=np.float64)
    edges = figure.begin_s + figure.step_s * np.arange(len(values) + 1, dtype=np.float64)
    columns = int(across.px_high - across.px_low)
    style = _style(layer.style)
    parts = []
    for run in finite_runs(values, low) if layer.kind in ("band", "area") else finite_runs(values):
        xs, ys = edges[run], values[run]
        end = across(float(edges[run.stop]))
        if layer.kind in ("band", "area"):
            pixels, upper, lower = _area(xs, ys, low[run], columns, across, up)
            path = _filled(layer.kind, pixels, upper, lower, end)
            parts.append(element("path", d=path, class_=f"fill s{style}"))
        elif layer.kind == "line" or len(ys) > 2 * columns:
            xs, ys = thin(xs, ys, columns)
            path = line_path(zip(across.each(xs), up.each(ys), strict=True))
            parts.append(element("path", d=path, class_=f"{_line_class(layer.kind)} s{style}"))
        else:
            path = step_path([*across.each(xs), end], up.each(ys))
            parts.append(element("path", d=path, class_=f"{_line_class(layer.kind)} s{style}"))
    return "".join(parts)


def _area(
    xs: FloatArray, high: FloatArray, low: FloatArray, columns: int, across: Scale, up: Scale
) -> tuple[list[float], list[float], list[float]]:
    """Pixels of an area; long ones keep the outermost value of each pixel column."""
    if len(xs) > 2 * columns:
        edges = np.linspace(0, len(xs), columns + 1).astype(np.int64)[:-1]
        high, low = np.maximum.reduceat(high, edges), np.minimum.reduceat(low, edges)
        xs = xs[edges]
    return across.each(xs), up.each(high), up.each(low)


def _filled(kind: str, xs: list[float], upper: list[float], lower: list[float], end: float) -> str:
    if kind == "band":
        tail = [*xs, end]
        return polygon_path(tail, [*upper, upper[-1]], [*lower, lower[-1]])
    corners: list[float] = []
    high: list[float] = []
    low: list[float] = []
    for index, x in enumerate(xs):
        corners += [x, xs[index + 1] if index + 1 < len(xs) else end]
        high += [upper[index]] * 2
        low += [lower[index]] * 2
    return polygon_path(corners, high, low)


def _time_axis(ticks: Sequence[Tick], across: Scale, bottom: float, width: float) -> str:
    parts = [element("path", d=f"M{px(LEFT)} {px(bottom)}H{px(width - RIGHT)}", class_="axis")]
    for tick in ticks:
        x = across(tick.value)
        anchor = "end" if x > width - 30.0 else "middle"
        parts.append(element("path", d=f"M{px(x)} {px(bottom)}v4", class_="axis"))
        parts.append(label(x, bottom + 18.0, tick.label, class_="num", text_anchor=anchor))
        if tick.below:
            parts.append(label(x, bottom + 34.0, tick.below, class_="day", text_anchor=anchor))
    return "".join(parts)


def _hover(figure: TimeFigure, across: Scale, frames: Sequence[tuple[float, float]]) -> str:
    """What the hover script shows, as JSON: times and rounded values, at most one per pixel."""
    count = figure.steps
    stride = max(1, -(-count // int(across.px_high - across.px_low)))
    at = list(range(0, count, stride))
    rows = []
    for panel in figure.panels:
        unit = panel.y_label[panel.y_label.find("[") + 1 : -1] if "[" in panel.y_label else ""
        for layer in panel.layers:
            names = ("values", "low") if layer.kind == "band" else ("values",)
            columns = [getattr(layer, name) for name in names]
            rows.append([layer.name, unit, *[_rounded(c, at) for c in columns if c is not None]])
    times = [moment_label(figure.begin_s + index * figure.step_s, figure.zone) for index in at]
    frame = [across.px_low, across.px_high, frames[0][0], frames[-1][1]] if frames else []
    data = {"f": frame, "n": count, "k": stride, "t": times, "r": rows}
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def _rounded(values: FloatArray, at: Sequence[int]) -> list[float | None]:
    return [
        float(f"{values[i]:.4g}") if i < len(values) and np.isfinite(values[i]) else None
        for i in at
    ]


def _style(style: int) -> int:
    return (style - 1) % STYLES + 1


def _line_class(kind: str) -> str:
    return "limit" if kind == "limit" else "line"
