"""Charts without a time axis as inline SVG: stacked bars by category, and labelled points."""

from dataclasses import dataclass

import numpy as np

from pendel.units import FloatArray
from pendel.web.plots import LEFT, RIGHT, WIDTH, Scale, legend, svg_document, y_axis
from pendel.web.svg import CHAR_PX, element, label, line_path, px
from pendel.web.ticks import nice_ticks, number_label

BAR_HEIGHT, BAR_GAP = 24.0, 12.0


@dataclass(frozen=True, slots=True)
class BarFigure:
    """Horizontal bars, one per row, stacked from parts; negative parts go left of zero.

    values [rows, parts], finite; styles: one per part; unit is written on the axis and totals.
    """

    key: str
    title: str
    description: str
    rows: tuple[str, ...]
    parts: tuple[str, ...]
    values: FloatArray
    unit: str
    styles: tuple[int, ...] = ()
    width: float = WIDTH


@dataclass(frozen=True, slots=True)
class PointFigure:
    """Labelled points, joined in their order within a series.

    series: (name, xs, ys, labels, style); values not finite are left out. reference: lines
    (name, y) across the plot.
    """

    key: str
    title: str
    description: str
    x_label: str
    y_label: str
    series: tuple[tuple[str, FloatArray, FloatArray, tuple[str, ...], int], ...]
    reference: tuple[tuple[str, float], ...] = ()
    width: float = WIDTH
    height: float = 300.0


def bar_figure(figure: BarFigure) -> str:
    """The SVG of the bars; each total stands at the end of its bar."""
    values = np.nan_to_num(
        np.asarray(figure.values, dtype=np.float64).reshape(len(figure.rows), len(figure.parts)),
        nan=0.0, posinf=0.0, neginf=0.0,
    )  # fmt: skip
    styles = figure.styles or tuple(range(1, len(figure.parts) + 1))
    ups = np.where(values > 0.0, values, 0.0).sum(axis=1)
    downs = np.where(values < 0.0, values, 0.0).sum(axis=1)
    totals = values.sum(axis=1)
    marks = nice_ticks(min(0.0, downs.min(initial=0.0)), max(0.0, ups.max(initial=0.0)), 6)
    left = 16.0 + CHAR_PX * max((min(len(row), 28) for row in figure.rows), default=4)
    right = figure.width - RIGHT - 66.0
    across = Scale(marks[0].value, marks[-1].value, left, right)
    parts = [("bar", name, style) for name, style in zip(figure.parts, styles, strict=True)]
    body, top = legend([(name, kind, style) for kind, name, style in parts], figure.width, 4.0)
    top += 10.0
    bottom = top + len(figure.rows) * (BAR_HEIGHT + BAR_GAP)
    for tick in marks:
        x = across(tick.value)
        kind = "grid zero" if tick.label == "0" else "grid"
        body += element("path", d=f"M{px(x)} {px(top)}V{px(bottom)}", class_=kind)
        body += label(x, bottom + 18.0, tick.label, class_="num", text_anchor="middle")
    body += label(right, bottom + 34.0, figure.unit, class_="unit", text_anchor="end")
    for index, row in enumerate(figure.rows):
        y = top + BAR_GAP / 2 + index * (BAR_HEIGHT + BAR_GAP)
        shown = row if len(row) <= 28 else row[:27] + "…"
        body += label(left - 8.0, y + 16.5, shown, class_="name", text_anchor="end")
        body += _bar(values[index], styles, across, y)
        total = number_label(float(totals[index]), 10.0 ** (np.floor(_power(values)) - 2))
        x = across(float(ups[index])) + 6.0
        body += label(x, y + 16.5, total, class_="total")
    size = (figure.width, bottom + 40.0)
    return svg_document(figure.key, figure.title, figure.description, size, body)


def point_figure(figure: PointFigure) -> str:
    """The SVG of labelled points with both axes and their units."""
    kept = [_finite(series) for series in figure.series]
    xs = [x for _name, points, _style in kept for x, _y, _label in points]
    ys = [y for _name, points, _style in kept for _x, y, _label in points]
    ys += [level for _name, level in figure.reference if np.isfinite(level)]
    x_marks = nice_ticks(min(xs, default=0.0), max(xs, default=1.0), 7)
    y_marks = nice_ticks(min(ys, default=0.0), max(ys, default=1.0), 6)
    entries = [(name, "point", style) for name, _points, style in kept]
    body, top = legend(entries, figure.width, 4.0)
    body += label(LEFT - 56.0, top + 14.0, figure.y_label, class_="unit")
    top += 24.0
    bottom, right = top + figure.height, figure.width - RIGHT
    across = Scale(x_marks[0].value, x_marks[-1].value, LEFT, right)
    up = Scale(y_marks[0].value, y_marks[-1].value, bottom, top)
    body += y_axis(y_marks, up, LEFT, right)
    for tick in x_marks:
        x = across(tick.value)
        body += element("path", d=f"M{px(x)} {px(top)}V{px(bottom)}", class_="grid")
        body += label(x, bottom + 18.0, tick.label, class_="num", text_anchor="middle")
    body += label(right, bottom + 36.0, figure.x_label, class_="unit", text_anchor="end")
    for name, level in figure.reference:
        if np.isfinite(level):
            y = up(level)
            body += element("path", d=f"M{px(LEFT)} {px(y)}H{px(right)}", class_="limit s8")
            body += label(right - 4.0, y - 5.0, name, class_="point", text_anchor="end")
    for _name, points, style in kept:
        body += _points(points, style, across, up)
    size = (figure.width, bottom + 44.0)
    return svg_document(figure.key, figure.title, figure.description, size, body)


def _bar(values: FloatArray, styles: tuple[int, ...], across: Scale, y: float) -> str:
    body, high, low = "", 0.0, 0.0
    for value, style in zip(values.tolist(), styles, strict=True):
        if value == 0.0:
            continue
        begin = high if value > 0.0 else low
        edges = sorted((across(begin), across(begin + value)))
        body += element(
            "rect", x=edges[0], y=y, width=max(edges[1] - edges[0], 0.5), height=BAR_HEIGHT,
            class_=f"fill bar s{style}",
        )  # fmt: skip
        if edges[1] - edges[0] > 64.0:  # room for the value: the part is not told by colour alone
            words = number_label(value, 10.0 ** (np.floor(np.log10(abs(value))) - 2))
            middle = (edges[0] + edges[1]) / 2
            body += label(middle, y + 16.5, words, class_="point", text_anchor="middle")
        high, low = high + max(value, 0.0), low + min(value, 0.0)
    return body


def _power(values: FloatArray) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    return float(np.log10(largest)) if largest > 1e-9 else 0.0


def _finite(
    series: tuple[str, FloatArray, FloatArray, tuple[str, ...], int],
) -> tuple[str, list[tuple[float, float, str]], int]:
    name, xs, ys, labels, style = series
    points = [
        (float(x), float(y), words)
        for x, y, words in zip(xs, ys, labels, strict=True)
        if np.isfinite(x) and np.isfinite(y)
    ]
    return name, points, style


def _points(points: list[tuple[float, float, str]], style: int, across: Scale, up: Scale) -> str:
    if not points:
        return ""
    pixels = [(across(x), up(y)) for x, y, _words in points]
    body = element("path", d=line_path(pixels), class_=f"line thin s{style}")
    middle = (across.px_low + across.px_high) / 2
    for (x, y), (_x, _y, words) in zip(pixels, points, strict=True):
        body += element("circle", cx=x, cy=y, r=4.5, class_=f"dot s{style}")
        side, anchor = (8.0, "start") if x < middle else (-8.0, "end")
        body += label(x + side, y - 7.0, words, class_="point", text_anchor=anchor)
    return body
