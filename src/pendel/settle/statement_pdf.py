"""Statements as PDF: pure Python (reportlab), fonts embedded, the same bytes for the same data."""

import io
from importlib.resources import as_file, files
from typing import Any
from xml.sax.saxutils import escape

from pendel.settle.statement import Statement
from pendel.settle.statement_view import View, statement_view
from pendel.settle.wording import word

_REGULAR, _BOLD = "PendelSans", "PendelSans-Bold"
_FONTS = {_REGULAR: "DejaVuSans.ttf", _BOLD: "DejaVuSans-Bold.ttf"}
_GREY = "#5b6b6d"
_MARGIN = 54
_PADDING = 6
_SIZE, _LEADING = 9, 12


def statement_pdf(statement: Statement, language: str) -> bytes:
    """One A4 document. Raises ValueError for a language that is not spoken here."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    view = statement_view(statement, language)
    _register_fonts()
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=_MARGIN - _PADDING,
        rightMargin=_MARGIN - _PADDING,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=f"{view.title} {statement.party}",
        author="pendel",
        lang=language,
        invariant=1,
    )
    document.build(_story(view, statement, language))
    return out.getvalue()


def _register_fonts() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name, file in _FONTS.items():
        if name not in pdfmetrics.getRegisteredFontNames():
            with as_file(files("pendel").joinpath("data", "fonts", file)) as path:
                pdfmetrics.registerFont(TTFont(name, str(path)))


def _story(view: View, statement: Statement, language: str) -> list[Any]:
    from reportlab.lib.enums import TA_RIGHT
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, Spacer

    title, text, small = _styles()

    def cell(content: str, style: Any = text) -> Any:
        return Paragraph(escape(content), style)

    story: list[Any] = [cell(view.title, title), Spacer(1, 8)]
    facts = [[cell(name, small), cell(value)] for name, value in view.facts]
    story += [_table(facts, [100, 387], head=False), Spacer(1, 10)]
    right = ParagraphStyle("right", parent=text, alignment=TA_RIGHT)
    small_right = ParagraphStyle("small right", parent=small, alignment=TA_RIGHT)
    styles = [small, small_right, small_right, small_right, small]
    lines = [[cell(name, style) for name, style in zip(view.head, styles, strict=True)]]
    for row, line_id in zip(view.rows, view.ids, strict=True):
        named = Paragraph(f"{escape(row[0])}<br/><font size=6>{line_id}</font>", text)
        lines.append([named, *(cell(part, right) for part in row[1:4]), cell(row[4], small)])
    lines.append([cell(view.total[0]), *(cell(part, right) for part in view.total[1:])])
    story += [_table(lines, [132, 78, 68, 64, 145]), Spacer(1, 4), cell(view.note, small)]
    if view.notes:
        story += [Spacer(1, 12), cell(word("notes", language))]
        rows = [[cell(row[0]), *(cell(part, right) for part in row[1:])] for row in view.notes]
        story.append(_table(rows, [200, 143, 144], head=False))
    if view.counterfactual:
        story += [Spacer(1, 12), cell(word("counterfactual", language))]
        rows = [
            [cell(row[0]), *(cell(part, right) for part in row[1:])] for row in view.counterfactual
        ]
        story.append(_table(rows, [200, 143, 144]))
    if view.formulas:
        heading = f"{word('quantities', language)} ({statement.ruleset})"
        story += [Spacer(1, 12), cell(heading)]
        rows = [[cell(key), cell(value)] for key, value in view.formulas]
        story.append(_table(rows, [100, 387], head=False))
    if view.sources:
        story += [Spacer(1, 12), cell(word("readings", language))]
        story += [cell(source, small) for source in view.sources]
    return story


def _styles() -> tuple[Any, Any, Any]:
    from reportlab.lib.styles import ParagraphStyle

    text = ParagraphStyle("text", fontName=_REGULAR, fontSize=_SIZE, leading=_LEADING)
    title = ParagraphStyle("title", fontName=_BOLD, fontSize=16, leading=20)
    small = ParagraphStyle("small", parent=text, fontSize=7, leading=9, textColor=_GREY)
    return title, text, small


def _table(rows: list[list[Any]], widths: list[int], head: bool = True) -> Any:
    from reportlab.platypus import Table

    style: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
        ("LINEBELOW", (0, 0), (-1, -1), 1, "#d9e0e0"),
    ]
    if head:
        style.append(("LINEBELOW", (0, 0), (-1, 0), 1, "#1c2526"))
    return Table(rows, colWidths=widths, style=style, repeatRows=int(head), hAlign="LEFT")
