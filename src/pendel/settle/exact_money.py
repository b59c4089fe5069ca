"""Money in the smallest coin of its currency."""

from fractions import Fraction

from pendel.tariff.currency import MINOR_DIGITS
from pendel.tariff.exact import rounded_int


def cents_of(amount: Fraction, currency: str) -> int:
    """An exact amount in the smallest coin, rounded half up."""
    return rounded_int(amount, MINOR_DIGITS[currency])


def coins_text(cents: int, currency: str) -> str:
    """Whole coins as decimal text: 1234 -> `12.34`."""
    digits = MINOR_DIGITS[currency]
    if not digits:
        return str(cents)
    whole, part = divmod(abs(cents), int(10**digits))
    return f"{'-' if cents < 0 else ''}{whole}.{part:0{digits}d}"
