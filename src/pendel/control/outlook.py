"""The coming steps as the controller expects them: prices, load, PV, limits.

Known prices first, then a forecast; load and PV are forecasts from the past of this run. Nothing
here comes from the future: `Knowledge` holds only what is published or measured.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.state import Knowledge
from pendel.units import SECONDS_PER_DAY, FloatArray


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


def outlook_of(knowledge: Knowledge, steps: int) -> Outlook | None:
    """What to expect of the coming steps, or None where no price was ever known (blind)."""
    known = knowledge.import_eur_kwh.shape[1]
    if known == 0 and knowledge.import_past_eur_kwh.shape[1] == 0:
        return None
    return Outlook(
        extended(knowledge.import_eur_kwh, knowledge.import_past_eur_kwh, knowledge, steps),
        extended(knowledge.export_eur_kwh, knowledge.export_past_eur_kwh, knowledge, steps),
        same_time_yesterday(knowledge.load_past_kw, knowledge, steps),
        same_time_yesterday(knowledge.pv_past_kw, knowledge, steps),
        min(known, steps),
    )


def extended(known: FloatArray, past: FloatArray, knowledge: Knowledge, steps: int) -> FloatArray:
    """Prices [R, K]: the known ones [R, H], then those of a day earlier."""
    if known.shape[1] >= steps:
        return np.ascontiguousarray(known[:, :steps])
    day = SECONDS_PER_DAY // knowledge.step_s
    series = np.concatenate([past, known], axis=1)
    while series.shape[1] - past.shape[1] < steps:
        back = min(day, series.shape[1])
        series = np.concatenate([series, series[:, -back:]], axis=1)
    return np.ascontiguousarray(series[:, past.shape[1] : past.shape[1] + steps])


def same_time_yesterday(past: FloatArray, knowledge: Knowledge, steps: int) -> FloatArray:
    """Load or PV [S, K] as a day earlier; as last measured where the run is younger than that."""
    day = SECONDS_PER_DAY // knowledge.step_s
    count = past.shape[1]
    if count == 0:
        return np.zeros((past.shape[0], steps))
    index = count + np.arange(steps) - day
    while (index >= count).any():
        index = np.where(index >= count, index - day, index)
    index = np.where(index < 0, count - 1, index)
    return np.ascontiguousarray(past[:, index])
