"""The coming steps as the controller expects them: prices, load, PV, limits.

Known prices first, then a forecast; load and PV are forecasts from the past of this run. Nothing
here comes from the future: `Knowledge` holds only what is published or measured.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.forecast import forecast_prices, forecast_series
from pendel.control.state import Knowledge
from pendel.units import SECONDS_PER_HOUR, FloatArray

SITES_EACH_STEP = 16
"""Up to this many sites are forecast anew each step, more once an hour."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expected values of the coming K steps: prices [R, K], load and PV [S, K].

    known_steps: how many of the prices are published rather than forecast.
    """

    import_eur_kwh: FloatArray
    export_eur_kwh: FloatArray
    load_kw: FloatArray
    pv_kw: FloatArray
    known_steps: int

    @property
    def steps(self) -> int:
        """Number of steps K."""
        return int(self.load_kw.shape[1])


class Expectations:
    """Makes the outlook of each step; many sites share one forecast per hour."""

    def __init__(self) -> None:
        self._made_at_s: int | None = None
        self._load_kw: FloatArray = np.zeros((0, 0))
        self._pv_kw: FloatArray = np.zeros((0, 0))

    def outlook(self, knowledge: Knowledge, steps: int) -> Outlook | None:
        """What to expect of the coming steps, or None where no price was ever known (blind)."""
        known = knowledge.import_eur_kwh.shape[1]
        if known == 0 and knowledge.import_past_eur_kwh.shape[1] == 0:
            return None
        passed = self._renew(knowledge, steps)
        return Outlook(
            prices_ahead(knowledge.import_eur_kwh, knowledge.import_past_eur_kwh, knowledge, steps),
            prices_ahead(knowledge.export_eur_kwh, knowledge.export_past_eur_kwh, knowledge, steps),
            np.ascontiguousarray(self._load_kw[:, passed : passed + steps]),
            np.ascontiguousarray(self._pv_kw[:, passed : passed + steps]),
            min(known, steps),
        )

    def _renew(self, knowledge: Knowledge, steps: int) -> int:
        """Forecast anew where due; returns how many steps the forecast is old."""
        now_s, per_hour = knowledge.now_s, max(SECONDS_PER_HOUR // knowledge.step_s, 1)
        if self._made_at_s is not None and len(knowledge.load_kw) > SITES_EACH_STEP:
            passed = (now_s - self._made_at_s) // knowledge.step_s
            if 0 <= passed < per_hour and passed + steps <= self._load_kw.shape[1]:
                return passed
        self._made_at_s = now_s
        ahead = steps + per_hour
        self._load_kw = power_ahead(knowledge.load_past_kw, knowledge, ahead, "load")
        self._pv_kw = power_ahead(knowledge.pv_past_kw, knowledge, ahead, "pv")
        return 0


def prices_ahead(
    known: FloatArray, past: FloatArray, knowledge: Knowledge, steps: int
) -> FloatArray:
    """Prices [R, K]: the published ones [R, H], then the forecast from them and the past."""
    if known.shape[1] >= steps:
        return np.ascontiguousarray(known[:, :steps])
    band = forecast_prices(
        known, past, knowledge.now_s, knowledge.step_s, steps, knowledge.timezone, coverage=0.0
    )
    return np.ascontiguousarray(band.point)


def power_ahead(past: FloatArray, knowledge: Knowledge, steps: int, kind: str) -> FloatArray:
    """Load or PV [S, K] as forecast; zero where nothing but zero was ever measured."""
    if not past.any():
        return np.zeros((past.shape[0], steps))
    band = forecast_series(
        past, knowledge.now_s, knowledge.step_s, steps, knowledge.timezone, kind, coverage=0.0
    )
    return np.ascontiguousarray(band.point)
