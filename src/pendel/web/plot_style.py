"""The look of plots (CSS for light, dark and print) and the small script behind hovering.

Both are plain strings to put on a page once; a server with a strict content policy serves them as
files. Eight styles: colour (told apart with common colour blindness, at least 3:1 against the
page) and a dash or hatch each, so that colour is never alone.
"""

_LIGHT = ("#0063a8", "#c2410c", "#007a55", "#8a3ffc", "#5f6b7a", "#b8860b", "#a3195b", "#444")
_DARK = ("#6cb6ff", "#ff9b5e", "#3ecf9a", "#c4a1ff", "#a3adba", "#f0c75e", "#ff85b8", "#ccc")
_DASH = ("none", "none", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "5 4")
_WIDTH = (1.8, 2.4, 1.8, 2.0, 1.6, 1.8, 1.8, 1.4)
_FILL = (0.42, 0.62, 0.26, 0.5, 0.18, 0.4, 0.4, 0.3)


def _variables(colours: tuple[str, ...]) -> str:
    return "".join(f"--s{i}:{colour};" for i, colour in enumerate(colours, 1))


def _styles() -> str:
    return "".join(
        f".plot .s{i}{{--c:var(--s{i});--f:{fill};stroke-dasharray:{dash};stroke-width:{width}}}"
        for i, (dash, width, fill) in enumerate(zip(_DASH, _WIDTH, _FILL, strict=True), 1)
    )


_LIGHT_BASE = "--ink:#1c2430;--soft:#566070;--rule:#dfe3e8;--strong:#9aa4b0;--paper:#fff;"
_DARK_BASE = "--ink:#e8ecf1;--soft:#a7b0bc;--rule:#303843;--strong:#66707d;--paper:#14181d;"

VARIABLES_CSS = (
    f":root{{color-scheme:light dark;{_LIGHT_BASE}{_variables(_LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK_BASE}{_variables(_DARK)}}}}}"
    f"@media print{{:root{{{_LIGHT_BASE}{_variables(_LIGHT)}}}}}"
)
"""Colours of page and plots as custom properties, for light, dark and paper."""

PLOT_CSS = (
    ".plot{display:block;width:100%;height:auto;font:13px system-ui,sans-serif}"
    ".plot text{fill:var(--ink)}.plot .num,.plot .day{fill:var(--soft);font-size:12px}"
    ".plot .day,.plot .unit{font-weight:600}.plot .unit{fill:var(--soft);font-size:12px}"
    ".plot .total{font-weight:600}.plot .point{font-size:12px}"
    ".plot .grid{stroke:var(--rule);fill:none}.plot .day.grid,.plot .zero{stroke:var(--strong)}"
    ".plot .axis{stroke:var(--strong);fill:none}"
    + _styles()
    + ".plot .line,.plot .limit{stroke:var(--c);fill:none;stroke-linejoin:round}"
    ".plot .limit{stroke-dasharray:3 4;stroke-width:1.6}"
    ".plot .fill{fill:var(--c);fill-opacity:var(--f);stroke:var(--c);stroke-width:.8;"
    "stroke-dasharray:none}.plot .thin{stroke-width:1}"
    ".plot .dot{fill:var(--c);stroke:var(--paper);stroke-width:1;stroke-dasharray:none}"
    ".plot .cross{stroke:var(--ink);stroke-width:1;stroke-dasharray:2 2}"
    ".plot-tip{position:fixed;z-index:9;pointer-events:none;background:var(--paper);"
    "color:var(--ink);border:1px solid var(--strong);border-radius:4px;padding:.4em .6em;"
    "font:12px/1.45 system-ui,sans-serif;max-width:20em;box-shadow:0 2px 8px #0003}"
    ".plot-tip b{display:block}"
    "@media print{.plot-tip,.plot .cross{display:none}.plot{break-inside:avoid}}"
)
"""Everything inside an `svg.plot`, and the box that follows the pointer."""

HOVER_JS = """
(function () {
  "use strict";
  var tip = document.createElement("div");
  tip.className = "plot-tip"; tip.hidden = true; tip.setAttribute("aria-hidden", "true");
  document.body.appendChild(tip);
  function show(svg, data, event) {
    var point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    var f = data.f, share = (point.x - f[0]) / (f[1] - f[0]);
    if (share < 0 || share >= 1) { hide(svg); return; }
    var i = Math.min(data.t.length - 1, Math.floor(share * data.n / data.k));
    var line = svg.querySelector(".cross");
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      line.setAttribute("class", "cross"); svg.appendChild(line);
    }
    line.setAttribute("x1", point.x); line.setAttribute("x2", point.x);
    line.setAttribute("y1", f[2]); line.setAttribute("y2", f[3]); line.style.display = "";
    tip.textContent = "";
    var head = document.createElement("b"); head.textContent = data.t[i]; tip.appendChild(head);
    data.r.forEach(function (row) {
      var high = row[2][i], low = row[3] ? row[3][i] : null;
      if (high === null) { return; }
      var entry = document.createElement("div");
      entry.textContent = row[0] + ": " + (low === null ? "" : low + " \\u2013 ") + high +
        " " + row[1];
      tip.appendChild(entry);
    });
    tip.hidden = false;
    var right = event.clientX + 16 + tip.offsetWidth > window.innerWidth;
    tip.style.left = (event.clientX + (right ? -16 - tip.offsetWidth : 16)) + "px";
    tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
  }
  function hide(svg) {
    tip.hidden = true;
    var line = svg.querySelector(".cross");
    if (line) { line.style.display = "none"; }
  }
  document.querySelectorAll("svg.plot[data-hover]").forEach(function (svg) {
    var data = JSON.parse(svg.getAttribute("data-hover"));
    svg.addEventListener("pointermove", function (event) { show(svg, data, event); });
    svg.addEventListener("pointerleave", function () { hide(svg); });
  });
})();
"""
"""Shows time and values under the pointer; a plot says the same without it."""


def standalone(svg: str) -> str:
    """An SVG file that carries its own style, for pages that cannot include one (e.g. a README).

    svg: what a plot function returned. Raises ValueError for anything else.
    """
    end = svg.find(">")
    if not svg.startswith("<svg ") or end < 0:
        raise ValueError("not an svg element")
    background = ".plot{background:var(--paper)}"
    return f"{svg[: end + 1]}<style>{VARIABLES_CSS}{PLOT_CSS}{background}</style>{svg[end + 1 :]}\n"
