"""Exact numbers: decimal text to integers and fractions, and back, without rounding on the way.

Energies are held as integers of 1e-9 kWh ("nano"), the finest digit an input may carry, so that
sums of quarter hours are integer sums; quotients are `Fraction`. Text that leaves this layer is
`num/den` in lowest terms, or a decimal rounded half up (away from zero) at a stated digit.
"""

import re
from fractions import Fraction

NANO_DIGITS = 9
NANO = 1_000_000_000

AMOUNT_ALLOWED = "a decimal like 12.345: digits, point, at most 9 digits after it"
SIGNED_ALLOWED = "a decimal like -12.345: at most 9 digits after the point"

_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?")


def parse_nano(text: str) -> int | None:
    """A decimal without sign or exponent as an integer of 1e-9; None where it is none.

    >>> parse_nano("12.5"), parse_nano("-1"), parse_nano("1e3"), parse_nano("nan")
    (12500000000, None, None, None)
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    whole, part = match.groups()
    if part is None:
        return int(whole) * NANO
    nano: int = int(whole + part.ljust(NANO_DIGITS, "0"))
    return nano


def parse_signed_nano(text: str) -> int | None:
    """Like `parse_nano`, with an optional leading minus (prices).

    >>> parse_signed_nano("-0.5")
    -500000000
    """
    if text.startswith("-"):
        amount = parse_nano(text[1:])
        return None if amount is None else -amount
    return parse_nano(text)


def parse_fraction(text: str) -> Fraction | None:
    """A signed decimal as an exact fraction; None where it is none.

    >>> parse_fraction("0.85")
    Fraction(17, 20)
    """
    nano = parse_signed_nano(text)
    return None if nano is None else Fraction(nano, NANO)


def exact_text(value: Fraction | int) -> str:
    """`num/den` in lowest terms with den > 0, or `num` where den is 1.

    >>> exact_text(Fraction(6, 8)), exact_text(Fraction(4, 2))
    ('3/4', '2')
    """
    return str(Fraction(value))


def rounded_int(value: Fraction | int, digits: int) -> int:
    """value * 10**digits, rounded half up (away from zero).

    >>> rounded_int(Fraction(5, 1000), 2), rounded_int(Fraction(-5, 1000), 2)
    (1, -1)
    """
    scaled = Fraction(value) * int(10**digits)
    amount: int = (2 * abs(scaled.numerator) + scaled.denominator) // (2 * scaled.denominator)
    return amount if scaled >= 0 else -amount


def rounded_text(value: Fraction | int, digits: int) -> str:
    """Decimal text with exactly `digits` digits after the point, rounded half up.

    >>> rounded_text(Fraction(20625, 2), 0), rounded_text(Fraction(4, 5), 3)
    ('10313', '0.800')
    """
    units = rounded_int(value, digits)
    if digits == 0:
        return str(units)
    whole, part = divmod(abs(units), 10**digits)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}"
