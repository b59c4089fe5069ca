"""Takes a plot out of a report as an SVG file: `python docs/pictures/take.py REPORT PLOT OUT`.

REPORT is a report.html that pendel wrote, PLOT the key of one of its plots (cost, power,
soc-v2g, frontier, co2). The file carries its own style and follows light and dark.
"""

import re
import sys
from pathlib import Path

from pendel.web.plot_style import standalone


def taken(report: str, key: str) -> str:
    """The plot with this key, without its hover data. Raises ValueError where there is none."""
    for svg in re.findall(r"<svg .*?</svg>", report, flags=re.DOTALL):
        head = svg[: svg.index(">") + 1]
        if f'aria-labelledby="{key}-t ' in head:
            return standalone(re.sub(r' data-hover="[^"]*"', "", head) + svg[len(head) :])
    raise ValueError(f"no plot {key!r} in the report")


def main(arguments: list[str]) -> int:
    """Read, take, write."""
    if len(arguments) != 3:
        sys.stderr.write("usage: take.py REPORT PLOT OUT\n")
        return 2
    report, key, out = arguments
    Path(out).write_text(taken(Path(report).read_text("utf-8"), key), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
