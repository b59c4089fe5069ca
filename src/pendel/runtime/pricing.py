"""Prices as they are published: each new publication becomes one signal in the log.

A signal carries the tariff's prices, where they are made of market prices these too (a bill needs
them), and what MiSpeL adds to them for the planner (`runtime.reward`; a bill leaves it out).
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from pendel.ports import PriceSource
from pendel.records import Signal
from pendel.runtime.area import AreaSpec, PriceRows
from pendel.runtime.journal import Batch
from pendel.runtime.state import PRICE, State, planned_pairs

LOG = logging.getLogger("pendel.prices")
ASK_AGAIN_S = 10
"""A source that had nothing is asked again this much later [s]."""
Detail = dict[str, float | str | list[float]]


@runtime_checkable
class DetailedSource(Protocol):
    """A source that also says what its prices are made of."""

    def details(self, site_id: str, now_utc: datetime) -> dict[str, list[float]]:
        """Lists as long as those of `published`, by their names in the signal."""
        ...


@dataclass(slots=True)
class PriceBook:
    """Asks the source once per step; sites with equal prices share a row. trouble: "" or why
    nothing new came."""

    trouble: str = ""
    _asked_step_s: int = -1
    _ask_again_s: int = 0
    _rows: PriceRows = field(default_factory=lambda: PriceRows((), ()))

    def rows(self, spec: AreaSpec) -> PriceRows:
        """The row of each site; before anything was published: one row of nothing for all."""
        return self._rows if self._rows.row else PriceRows((0,) * len(spec.site_id), (spec.name,))

    def publish(
        self, batch: Batch, spec: AreaSpec, source: PriceSource, state: State, now_utc: datetime
    ) -> None:
        """Add a signal for each row that has news since the last one."""
        now_s = int(now_utc.timestamp())
        step_s = now_s - now_s % spec.step_s
        if step_s == self._asked_step_s or (self.trouble and now_s < self._ask_again_s):
            return
        try:
            by_content = _published(spec, source, now_utc)
        except (OSError, ValueError, TimeoutError) as error:
            self._ask_again_s = now_s + ASK_AGAIN_S
            self._say(spec, f"no new prices: {error}")
            return
        self._say(spec, "")
        self._asked_step_s = step_s
        names = [row_name(spec, sites) for sites, _ in by_content]
        row_of = {site: i for i, (sites, _) in enumerate(by_content) for site in sites}
        self._rows = PriceRows(tuple(row_of[site] for site in spec.site_id), tuple(names))
        for (_, detail), name in zip(by_content, names, strict=True):
            known = state.prices[name].eur_kwh if name in state.prices else {}
            pairs = planned_pairs(detail)
            news = [begin_s for begin_s, pair in pairs.items() if known.get(begin_s) != pair]
            if news or name not in state.prices:
                first = min(news) if news else step_s
                told = _from(detail, first, spec.step_s)
                batch.add(
                    Signal,
                    topic=PRICE,
                    published_utc=now_utc,
                    detail={"sites": name, **told},
                )

    def _say(self, spec: AreaSpec, trouble: str) -> None:
        """Tell operators what changed, once."""
        if trouble and trouble != self.trouble:
            LOG.warning("%s: %s; cars only charge while no price is known", spec.title, trouble)
        elif self.trouble and not trouble:
            LOG.info("%s: prices are known again", spec.title)
        self.trouble = trouble


def _published(
    spec: AreaSpec, source: PriceSource, now_utc: datetime
) -> list[tuple[list[str], Detail]]:
    """Sites with equal publications, each with its content. Raises what the source raises."""
    found: list[tuple[list[str], Detail]] = []
    for site in spec.site_id:
        begins, imports, exports = source.published(site, now_utc)
        extra = source.details(site, now_utc) if isinstance(source, DetailedSource) else {}
        detail: Detail = {
            "begin_s": begins[0].timestamp() if begins else now_utc.timestamp(),
            "step_s": float(spec.step_s),
            "import_eur_kwh": [float(value) for value in imports],
            "export_eur_kwh": [float(value) for value in exports],
            **extra,
        }
        same = next((sites for sites, known in found if known == detail), None)
        if same is None:
            found.append(([site], detail))
        else:
            same.append(site)
    return found


def _from(detail: Detail, first_s: int, step_s: int) -> Detail:
    """A publication from a step on."""
    begin_s = detail["begin_s"]
    skip = max(first_s - int(begin_s), 0) // step_s if isinstance(begin_s, float) else 0
    told: Detail = {
        key: value[skip:] if isinstance(value, list) else value for key, value in detail.items()
    }
    return {**told, "begin_s": float(first_s)}


def row_name(spec: AreaSpec, sites: list[str]) -> str:
    """What a row of prices is called: the area's name where all its sites share it."""
    return spec.name if len(sites) == len(spec.site_id) else " ".join(sites)
