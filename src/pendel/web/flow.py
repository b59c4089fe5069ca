"""The energy flow of an area as SVG: grid, sun, house and cars, with arrows as wide as the power.

Drawn on the server, readable without JavaScript; the page puts the same numbers in a table.
"""

from dataclasses import dataclass

from pendel.web.svg import element, label

WIDTH, HEIGHT = 380.0, 210.0
HUB_X, HUB_Y = 190.0, 105.0
THIN, THICK = 2.0, 14.0
CLEAR_X, CLEAR_Y = 52.0, 24.0
NOTHING_KW = 0.05


@dataclass(frozen=True, slots=True)
class Flow:
    """Powers of an area now [kW]: grid import positive, sun and load amounts, cars charging and
    discharging as amounts; battery_kw: stationary batteries, charging positive, None = there are
    none. key: unique on the page."""

    key: str
    title: str
    grid_kw: float
    sun_kw: float
    load_kw: float
    charging_kw: float
    discharging_kw: float
    battery_kw: float | None = None

    @property
    def largest_kw(self) -> float:
        """The widest arrow."""
        cars = (self.charging_kw, self.discharging_kw)
        return max(
            abs(self.grid_kw), self.sun_kw, self.load_kw, *cars, abs(self.battery_kw or 0.0), 1.0
        )

    @property
    def words(self) -> str:
        """The flow in a sentence, for the description of the picture."""
        grid = "from" if self.grid_kw >= 0.0 else "into"
        return (
            f"{abs(self.grid_kw):.1f} kW {grid} the grid, {self.sun_kw:.1f} kW from the sun, "
            f"{self.load_kw:.1f} kW used on site, cars charge with {self.charging_kw:.1f} kW and "
            f"discharge with {self.discharging_kw:.1f} kW{self._battery_words}"
        )

    @property
    def _battery_words(self) -> str:
        if self.battery_kw is None:
            return ""
        what = "charges" if self.battery_kw >= 0.0 else "discharges"
        return f", the battery {what} with {abs(self.battery_kw):.1f} kW"

    @property
    def rows(self) -> list[tuple[str, float]]:
        """The same as table rows: what, signed power seen from the site (positive = into it)."""
        return [
            ("Grid", self.grid_kw),
            ("Sun", self.sun_kw),
            ("Used on site", -self.load_kw),
            ("Cars charging", -self.charging_kw),
            ("Cars discharging", self.discharging_kw),
            *([] if self.battery_kw is None else [("Battery", -self.battery_kw)]),
        ]


def flow_svg(flow: Flow) -> str:
    """The picture; sizes scale with the page."""
    parts = [
        _arm(flow, 52.0, HUB_Y, flow.grid_kw, "grid", "Grid", _side(flow.grid_kw)),
        _arm(flow, HUB_X, 34.0, flow.sun_kw, "sun", "Sun", ""),
        _arm(flow, HUB_X, 176.0, -flow.load_kw, "load", "Used on site", ""),
        _arm(flow, 318.0, 48.0, -flow.charging_kw, "cars", "Cars", "charging"),
        _arm(flow, 318.0, 166.0, flow.discharging_kw, "back", "Cars", "discharging"),
        ""
        if flow.battery_kw is None
        else _arm(flow, 52.0, 176.0, -flow.battery_kw, "load", "Battery", ""),
        element("circle", cx=HUB_X, cy=HUB_Y, r=13.0, class_="hub"),
    ]
    body = element("title", flow.title, id=f"{flow.key}-t")
    body += element("desc", flow.words, id=f"{flow.key}-d")
    return element(
        "svg",
        body + "".join(parts),
        class_="flow",
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        role="img",
        aria_labelledby=f"{flow.key}-t {flow.key}-d",
    )


def _side(power_kw: float) -> str:
    if abs(power_kw) < NOTHING_KW:
        return "nothing flows"
    return "import" if power_kw > 0.0 else "export"


def _arm(flow: Flow, x: float, y: float, inward_kw: float, kind: str, name: str, what: str) -> str:
    """One end with its arrow; inward_kw > 0 flows from the end to the hub."""
    amount = abs(inward_kw)
    idle = amount < NOTHING_KW
    width = THIN if idle else THIN + (THICK - THIN) * amount / flow.largest_kw
    length = ((HUB_X - x) ** 2 + (HUB_Y - y) ** 2) ** 0.5
    ux, uy = (HUB_X - x) / length, (HUB_Y - y) / length
    # Words stand at the end: leave their width to the side, their height above and below.
    gap = min(CLEAR_X / max(abs(ux), 1e-6), CLEAR_Y / max(abs(uy), 1e-6))
    near = (x + gap * ux, y + gap * uy)
    far = (HUB_X - 18.0 * ux, HUB_Y - 18.0 * uy)
    begin, end = (near, far) if inward_kw >= 0.0 else (far, near)
    line = element(
        "path",
        d=f"M{begin[0]:.1f} {begin[1]:.1f}L{end[0]:.1f} {end[1]:.1f}",
        class_=f"arm {kind}{' idle' if idle else ''}",
        stroke_width=round(width, 1),
    )
    head = "" if idle else _head(begin, end, width, kind)
    words = f"{name} {what}".strip()
    text = label(x, y - 3.0, words, class_="end") + label(
        x, y + 13.0, f"{amount:.1f} kW", class_="kw"
    )
    return line + head + text


def _head(begin: tuple[float, float], end: tuple[float, float], width: float, kind: str) -> str:
    """An arrow head at the end of a line, a little wider than the line."""
    length = ((end[0] - begin[0]) ** 2 + (end[1] - begin[1]) ** 2) ** 0.5 or 1.0
    ux, uy = (end[0] - begin[0]) / length, (end[1] - begin[1]) / length
    half, deep = width / 2.0 + 4.0, 9.0
    tip = (end[0] + deep * ux, end[1] + deep * uy)
    left = (end[0] - half * uy, end[1] + half * ux)
    right = (end[0] + half * uy, end[1] - half * ux)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, left, right))
    return element("polygon", points=points, class_=f"tip {kind}")
