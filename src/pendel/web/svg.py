"""The few SVG elements the plots are made of: escaped text, short numbers, paths with gaps."""

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from pendel.units import FloatArray

CHAR_PX = 7.8
"""Mean width of a character of the 13 px plot font, for placing legends (an estimate)."""


def text_of(value: object) -> str:
    """Any value as XML text: escaped, control characters (not allowed in XML) dropped."""
    clean = "".join(
        c for c in str(value) if c in "\t\n" or (ord(c) >= 32 and not 0xD800 <= ord(c) <= 0xDFFF)
    )
    clean = clean.replace("\ufffe", "").replace("\uffff", "").replace("\x7f", "")
    return escape(clean, quote=True)


def px(value: float) -> str:
    """A coordinate with one decimal at most. Raises ValueError where it is not finite."""
    if not math.isfinite(value):
        raise ValueError("coordinate is not finite")
    text = f"{value:.1f}"
    text = text[:-2] if text.endswith(".0") else text
    return "0" if text == "-0" else text


def element(name: str, body: str = "", **attributes: object) -> str:
    """`<name a="b">body</name>`; body must be XML already; `class_` and `a_b` become class, a-b."""
    parts = []
    for key, value in attributes.items():
        shown = px(value) if isinstance(value, float) else text_of(value)
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{shown}"')
    opened = f"<{name}{''.join(parts)}"
    return f"{opened}>{body}</{name}>" if body else f"{opened}/>"


def label(x: float, y: float, words: str, **attributes: object) -> str:
    """A text element at (x, y)."""
    return element("text", text_of(words), x=float(x), y=float(y), **attributes)


def finite_runs(*columns: FloatArray) -> Iterator[slice]:
    """Stretches in which every column is finite, as slices in order."""
    good = np.ones(len(columns[0]), dtype=np.bool_)
    for column in columns:
        good &= np.isfinite(column)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield slice(int(first), int(last))


def line_path(points: Iterable[tuple[float, float]]) -> str:
    """`M x y L x y ...` through the points."""
    return "".join(f"{'L' if index else 'M'}{px(x)} {px(y)}" for index, (x, y) in enumerate(points))


def step_path(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A staircase: ys[i] holds from xs[i] to xs[i + 1]; len(xs) = len(ys) + 1."""
    path = f"M{px(xs[0])} {px(ys[0])}"
    before = px(ys[0])
    for index, y in enumerate(ys):
        level = px(y)
        if level != before:
            path += f"H{px(xs[index])}V{level}"
            before = level
    return f"{path}H{px(xs[-1])}"


def polygon_path(xs: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> str:
    """The closed area between two lines over the same xs."""
    there = line_path(zip(xs, upper, strict=True))
    back = "".join(f"L{px(x)} {px(y)}" for x, y in zip(reversed(xs), reversed(lower), strict=True))
    return f"{there}{back}Z"
