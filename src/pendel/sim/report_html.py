"""The few HTML parts of a report: tables, numbers in words, the page around them.

Everything returned is well-formed XML too, so that a test can parse it; all text is escaped.
"""

import math
from collections.abc import Sequence

from pendel.web.plot_style import HOVER_JS, PLOT_CSS, VARIABLES_CSS
from pendel.web.svg import text_of

MINUS, THIN = "\u2212", "\u202f"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

PAGE_CSS = (
    "*{box-sizing:border-box}body{margin:0 auto;padding:1.2rem 1rem 4rem;max-width:60rem;"
    "background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}"
    "h1{font-size:1.6rem;line-height:1.25;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 .4em}"
    "p{margin:.5em 0;max-width:44rem}.soft{color:var(--soft);font-size:.9rem}"
    ".lead{font-size:1.12rem}.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0;padding:0}"
    ".tiles li{list-style:none;flex:1 1 9rem;border:1px solid var(--rule);border-radius:8px;"
    "padding:.6rem .8rem}.tiles b{display:block;font-size:1.35rem;line-height:1.3}"
    ".scroll{overflow-x:auto}figure{margin:.6rem 0}figure .plot{min-width:34rem}"
    "figcaption{font-size:.9rem;color:var(--soft)}"
    "table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;color:var(--soft);padding:.2rem 0;white-space:nowrap}"
    "th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--rule);text-align:right;"
    "vertical-align:top;white-space:nowrap}th:first-child,td:first-child,.words{text-align:left}"
    "th{font-weight:600}thead th{white-space:normal;vertical-align:bottom}"
    "td.words{white-space:normal}tr.best td,tr.best th{font-weight:650}"
    "summary{cursor:pointer;color:var(--soft);font-size:.9rem}details{margin:.3rem 0 1rem}"
    ".mark{display:inline-block;border:1px solid var(--strong);border-radius:4px;padding:0 .4em;"
    "font-size:.85rem}a{color:inherit}"
    "@media print{body{max-width:none;font-size:11pt}details{display:none}"
    "figure,table,.tiles li{break-inside:avoid}}"
)


def number(value: float, digits: int = 1) -> str:
    """`1 234.5` with thin spaces and a true minus; `-` for what is not finite."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    if float(f"{value:.{digits}f}") == 0.0:
        text = text.lstrip("-")
    return text.replace(",", THIN).replace("-", MINUS)


def money(value: float) -> str:
    """EUR with cents."""
    return f"{number(value, 2)} EUR"


def share(part: float, whole: float) -> str:
    """`98.3 %`; what is not quite all never reads as 100 %."""
    if whole <= 0.0:
        return "–"
    percent = 100.0 * part / whole
    if part < whole:
        percent = min(percent, 99.99)
    return f"{percent:.2f}".rstrip("0").rstrip(".") + " %"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    best: int = -1,
    words: Sequence[int] = (),
) -> str:
    """A table; cells are plain text and escaped here. best: row to stress; words: text columns."""

    def cell(name: str, index: int, text: str, scope: str = "") -> str:
        kind = ' class="words"' if index in words else ""
        return f"<{name}{kind}{scope}>{text_of(text)}</{name}>"

    heads = "".join(cell("th", i, text, ' scope="col"') for i, text in enumerate(head))
    body = ""
    for position, row in enumerate(rows):
        cells = cell("th", 0, row[0], ' scope="row"')
        cells += "".join(cell("td", i, text) for i, text in enumerate(row) if i)
        kind = ' class="best"' if position == best else ""
        body += f"<tr{kind}>{cells}</tr>"
    return (
        f"{_scroll(caption)}<table><caption>{text_of(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _scroll(name: str) -> str:
    """Opens a box that scrolls sideways on a small screen, by keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text_of(name)}">'


def figure(svg: str, caption: str, twin: str) -> str:
    """A plot with its caption and the same numbers as a table to open."""
    return (
        f"<figure>{_scroll(caption)}{svg}</div><figcaption>{text_of(caption)}</figcaption>"
        f"</figure><details><summary>The numbers of this plot as a table</summary>{twin}</details>"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what belongs below it."""
    return f"<section><h2>{text_of(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    kinds = f' class="{kind}"' if kind else ""
    return f"<p{kinds}>{text_of(text)}</p>"


def tiles(items: Sequence[tuple[str, str]]) -> str:
    """A few large numbers, each with the words below it."""
    shown = "".join(f"<li><b>{text_of(big)}</b>{text_of(small)}</li>" for big, small in items)
    return f'<ul class="tiles">{shown}</ul>'


def page(title: str, body: str) -> str:
    """The whole file: no address outside it is ever asked for (and the policy forbids it)."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{text_of(title)}</title><style>{VARIABLES_CSS}{PAGE_CSS}{PLOT_CSS}</style></head>"
        f"<body><main>{body}</main>"
        f"<script>//<![CDATA[\n{HOVER_JS}//]]></script></body></html>\n"
    )
