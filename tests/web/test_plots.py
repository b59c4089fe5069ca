"""Plots are well-formed, keep every point inside, lose no spike and know the clock changes."""

import json
import math
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pendel.web.charts import BarFigure, PointFigure, bar_figure, point_figure
from pendel.web.plot_style import HOVER_JS, PLOT_CSS, VARIABLES_CSS, standalone
from pendel.web.plots import WIDTH, Layer, Panel, TimeFigure, thin, time_figure
from pendel.web.svg import step_path, text_of
from pendel.web.ticks import nice_ticks, number_label, time_ticks

SVG = "{http://www.w3.org/2000/svg}"
BERLIN = "Europe/Berlin"
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
ANY = st.floats(allow_nan=True, allow_infinity=True, width=64)
TAME = st.floats(min_value=-1e7, max_value=1e7)
TEXT = st.text(max_size=30)


def epoch_s(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


def path_points(path: str) -> list[tuple[float, float]]:
    """Corners of a path made of absolute M, L, H, V (and Z)."""
    points, x, y = [], 0.0, 0.0
    for command, rest in re.findall(r"([MLHVZ])([^MLHVZ]*)", path):
        values = [float(v) for v in NUMBERS.findall(rest)]
        if command in "ML":
            x, y = values
        elif command == "H":
            x = values[0]
        elif command == "V":
            y = values[0]
        points.append((x, y))
    return points


def check(svg: str) -> ET.Element:
    """Well-formed, titled, finite, and everything inside the view box."""
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    _x, _y, width, height = (float(v) for v in root.attrib["viewBox"].split())
    for item in root.iter():
        shapes = [v for k, v in item.attrib.items() if k in ("d", "x", "y", "cx", "cy", "width")]
        assert not any("nan" in v.lower() or "inf" in v.lower() for v in shapes)
        for x, y in path_points(item.attrib.get("d", "")) if "v4" not in item.get("d", "") else []:
            assert -0.1 <= x <= width + 0.1
            assert -0.1 <= y <= height + 0.1
        if item.tag == f"{SVG}circle":
            assert 0.0 <= float(item.attrib["cx"]) <= width
            assert 0.0 <= float(item.attrib["cy"]) <= height
    return root


def figure(*layers: Layer, begin_s: float = epoch_s(2025, 3, 29, 23), **more: object) -> TimeFigure:
    panel = Panel("power [kW]", layers, **more)  # type: ignore[arg-type]
    return TimeFigure("key", "title", "words", begin_s, 900.0, BERLIN, (panel,))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.integers(0, 60), elements=ANY),
    st.sampled_from(["step", "line", "band", "area", "limit"]),
    TEXT,
    TEXT,
    st.booleans(),
)
def test_any_numbers_and_words_give_a_sound_plot(
    values: np.ndarray, kind: str, name: str, title: str, from_zero: bool
) -> None:
    # Beyond 1e150 the spread itself overflows; nothing here is that large.
    values = np.where(np.abs(values) > 1e150, np.nan, values)
    layer = Layer(name, values, kind, 3, values - 1.0 if kind == "band" else None)  # type: ignore
    panel = Panel(name, (layer,), from_zero=from_zero)
    check(time_figure(TimeFigure(title, title, name, 1.7e9, 900.0, BERLIN, (panel, panel))))


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (3, 2), elements=ANY), TEXT)
def test_any_bars_are_sound(values: np.ndarray, name: str) -> None:
    values = np.where(np.abs(values) > 1e150, 1.0, values)
    svg = bar_figure(BarFigure("b", name, "d", (name, "b", "c"), ("x", name), values, "EUR"))
    for rect in check(svg).iter(f"{SVG}rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= WIDTH


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (2, 4), elements=ANY), TEXT)
def test_any_points_are_sound(values: np.ndarray, name: str) -> None:
    values = np.where(np.abs(values) > 1e150, np.nan, values)
    series = ((name, values[0], values[1], (name, "b", "c", "d"), 2),)
    root = check(point_figure(PointFigure("p", name, "d", "x", "y", series, (("ref", 3.0),))))
    shown = [c for c in root.iter(f"{SVG}circle") if c.get("r") == "4.5"]
    assert len(shown) == int(np.isfinite(values).all(axis=0).sum())


@settings(max_examples=100, deadline=None)
@given(TAME, TAME, st.integers(2, 10))
def test_round_marks_enclose_the_data(low: float, high: float, count: int) -> None:
    values = [tick.value for tick in nice_ticks(low, high, count)]
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert values[0] <= min(low, high) + slack
    assert values[-1] >= max(low, high) - slack
    assert 2 <= len(values) <= count + 3
    assert np.all(np.diff(values) > 0.0)


def test_labels_tell_the_marks_apart() -> None:
    for low, high in ((0, 0.001), (-3, 7), (0, 12_345), (0.31, 0.33), (-1e-9, 1e-9), (0, 1e12)):
        labels = [tick.label for tick in nice_ticks(low, high)]
        assert len(set(labels)) == len(labels), labels
    assert number_label(-0.0, 0.5) == "0"
    assert number_label(-1234.5, 0.5) == "\u22121\u202f234.5"


def test_ticks_across_the_night_that_loses_an_hour() -> None:
    begin_s = epoch_s(2025, 3, 29, 23)  # local midnight before the change
    ticks = time_ticks(begin_s, begin_s + 23 * 3600, BERLIN, 24)
    assert [tick.label for tick in ticks][:4] == ["00:00", "01:00", "03:00", "04:00"]
    assert ticks[0].below == "Sun 30 Mar"
    assert ticks[-1].value == begin_s + 23 * 3600
    assert np.all(np.diff([tick.value for tick in ticks]) == 3600)


def test_ticks_across_the_night_that_gains_an_hour() -> None:
    begin_s = epoch_s(2025, 10, 25, 22)
    ticks = time_ticks(begin_s, begin_s + 25 * 3600, BERLIN, 26)
    assert [tick.label for tick in ticks][:4] == ["00:00", "01:00", "02:00", "03:00"]
    assert ticks[3].value - ticks[2].value == 2 * 3600


@settings(max_examples=60, deadline=None)
@given(st.integers(1_500_000_000, 1_900_000_000), st.integers(60, 40_000_000))
def test_time_marks_are_local_round_and_few(begin_s: int, span_s: int) -> None:
    ticks = time_ticks(float(begin_s), float(begin_s + span_s), BERLIN, 8)
    values = [tick.value for tick in ticks]
    assert all(begin_s <= value <= begin_s + span_s for value in values)
    assert values == sorted(set(values))
    assert len(values) <= 11
    for value in values:
        wall = datetime.fromtimestamp(value, ZoneInfo(BERLIN))
        assert wall.minute % 15 == 0 and wall.second == 0


def test_no_spike_is_lost_and_long_series_get_short() -> None:
    values = np.zeros(200_000)
    values[123_457], values[60_001] = 9.0, -4.0
    xs, ys = thin(np.arange(200_000.0), values, 600)
    assert len(ys) <= 1200
    assert ys.max() == 9.0 and ys.min() == -4.0
    assert np.all(np.diff(xs) >= 0.0)
    svg = time_figure(figure(Layer("a", values), Layer("b", values, "area")))
    assert len(svg) < 120_000
    check(svg)


def test_a_step_holds_until_the_next() -> None:
    assert step_path([0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 7.0]) == "M0 5H2V7H3"


def test_gaps_stay_gaps() -> None:
    values = np.array([1.0, math.nan, math.inf, 2.0, 3.0])
    root = check(time_figure(figure(Layer("a", values))))
    lines = [p for p in root.iter(f"{SVG}path") if p.get("class") == "line s1"]
    assert len(lines) == 3  # the swatch of the legend and two stretches


def test_hover_data_say_what_is_drawn() -> None:
    values = np.array([1.25, math.nan, 3.5])
    root = check(time_figure(figure(Layer("net <b>", values))))
    data = json.loads(root.attrib["data-hover"])
    assert data["t"] == ["Sun 30 Mar 00:00", "Sun 30 Mar 00:15", "Sun 30 Mar 00:30"]
    assert data["r"] == [["net <b>", "kW", [1.25, None, 3.5]]]


def test_limits_and_names_are_in_the_plot_and_escaped() -> None:
    svg = time_figure(
        figure(Layer("<script>", np.ones(4)), Layer("fuse", np.full(4, 17.0), "limit"))
    )
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert any(t.text == "power [kW]" for t in check(svg).iter(f"{SVG}text"))


def test_text_survives_what_xml_forbids() -> None:
    assert text_of("a\x00b\x0c<&>\ud800\uffff") == "ab&lt;&amp;&gt;"


def test_standalone_file_carries_its_style_and_asks_for_nothing() -> None:
    text = standalone(time_figure(figure(Layer("a", np.arange(4.0)))))
    ET.fromstring(text)
    assert "prefers-color-scheme:dark" in text
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
    with pytest.raises(ValueError, match="svg"):
        standalone("<p>")


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_seen_on_their_paper() -> None:
    """WCAG 2.2: text 4.5:1, graphics 3:1, in light and in dark."""
    for block in re.findall(r"--ink:[^}]*", VARIABLES_CSS):
        named = dict(re.findall(r"--(\w+):(#[0-9a-fA-F]{3,6})", block))
        paper = luminance(named["paper"])
        for name, colour in named.items():
            least = {"ink": 4.5, "soft": 4.5}.get(name, 3.0 if re.match(r"s\d", name) else 0.0)
            pair = sorted((luminance(colour), paper))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, colour)


def test_styles_and_script_fetch_nothing() -> None:
    for text in (PLOT_CSS, VARIABLES_CSS, HOVER_JS):
        assert "url(" not in text and "@import" not in text
        assert "fetch" not in text and "innerHTML" not in text
