"""Quantities that are counted elsewhere: month, component, quantity as CSV."""

import csv
import re
from collections.abc import Iterable
from fractions import Fraction

from pendel.errors import Problem
from pendel.tariff.exact import AMOUNT_ALLOWED, parse_fraction

HEADER = ["month", "component", "quantity"]
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def read_quantities(
    text: Iterable[str], file: str, names: set[str]
) -> tuple[dict[tuple[str, str], Fraction], list[Problem]]:
    """Quantities by (month, component) and every problem; names: the components there are."""
    found: dict[tuple[str, str], Fraction] = {}
    problems: list[Problem] = []
    reader = csv.reader(text)
    header = [name.strip() for name in next(reader, [])]
    if header != HEADER:
        return {}, [Problem(file, 1, "", "wrong header", ",".join(HEADER))]
    for row in reader:
        line = reader.line_num
        if not row:
            continue
        if len(row) != len(HEADER):
            problems.append(Problem(file, line, "", f"{len(row)} values", str(len(HEADER))))
            continue
        month, name, value = (part.strip() for part in row)
        quantity = parse_fraction(value)
        if not _MONTH.fullmatch(month):
            problems.append(Problem(file, line, "month", f"{month!r} is no month", "2026-11"))
        elif name not in names:
            problems.append(Problem(file, line, "component", f"{name!r} is not in the tariff"))
        elif quantity is None or quantity < 0:
            problems.append(Problem(file, line, "quantity", f"{value!r}", AMOUNT_ALLOWED))
        elif (month, name) in found:
            problems.append(Problem(file, line, "component", f"{name} in {month} twice"))
        else:
            found[month, name] = quantity
    return found, problems
