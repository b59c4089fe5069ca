"""The one place where a tariff becomes floats: the prices that control plans with."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

import numpy as np

from pendel.tariff.exact import NANO
from pendel.tariff.model import Direction, Tariff, Usage
from pendel.tariff.periods import quarter_of
from pendel.tariff.price import unit_prices
from pendel.units import FloatArray


def price_arrays(
    tariff: Tariff, begins_utc: Sequence[datetime], spot_eur_mwh: Sequence[Fraction] = ()
) -> tuple[FloatArray, FloatArray]:
    """import and export price [T] per kWh in the currency of the tariff, taxes included.

    begins_utc: ascending begins of quarter hours [T]; spot_eur_mwh [T], needed where the tariff
    is dynamic. Raises ValueError for a time that begins no quarter hour.
    """
    begins = [quarter_of(when) for when in begins_utc]
    if any(begin is None for begin in begins):
        raise ValueError("not the begin of a quarter hour")
    usage = Usage(
        begins=[begin for begin in begins if begin is not None],
        spot_nano=[round(price * NANO) for price in spot_eur_mwh],
    )
    imported = unit_prices(tariff, usage, Direction.IMPORT)
    exported = unit_prices(tariff, usage, Direction.EXPORT)
    return np.array(imported, dtype=np.float64), np.array(exported, dtype=np.float64)
