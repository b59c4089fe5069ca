"""Prices as they are published: each new publication becomes one signal in the log."""

from dataclasses import dataclass, field
from datetime import datetime

from pendel.ports import PriceSource
from pendel.records import Signal
from pendel.runtime.area import AreaSpec, PriceRows
from pendel.runtime.journal import Batch
from pendel.runtime.state import PRICE, State

Row = tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]


@dataclass(slots=True)
class PriceBook:
    """Asks the source once per step; sites with equal prices share a row. trouble: "" or why
    nothing new came."""

    trouble: str = ""
    _asked_step_s: int = -1
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
        if step_s == self._asked_step_s:
            return
        by_content: dict[Row, list[str]] = {}
        try:
            for site in spec.site_id:
                begins, imports, exports = source.published(site, now_utc)
                times = tuple(int(begin.timestamp()) for begin in begins)
                by_content.setdefault((times, tuple(imports), tuple(exports)), []).append(site)
            self.trouble = ""
        except (OSError, ValueError, TimeoutError) as error:
            self.trouble = f"no new prices: {error}"
            return
        self._asked_step_s = step_s
        names = [row_name(spec, sites) for sites in by_content.values()]
        row_of = {s: i for i, sites in enumerate(by_content.values()) for s in sites}
        self._rows = PriceRows(tuple(row_of[site] for site in spec.site_id), tuple(names))
        for (times, imports, exports), name in zip(by_content, names, strict=True):
            known = state.prices[name].eur_kwh if name in state.prices else {}
            news = [
                i
                for i, begin_s in enumerate(times)
                if known.get(begin_s) != (float(imports[i]), float(exports[i]))
            ]
            if news or name not in state.prices:
                first = news[0] if news else 0
                batch.add(
                    Signal,
                    topic=PRICE,
                    published_utc=now_utc,
                    detail={
                        "sites": name,
                        "begin_s": float(times[first]) if times else float(step_s),
                        "step_s": float(spec.step_s),
                        "import_eur_kwh": [float(v) for v in imports[first:]],
                        "export_eur_kwh": [float(v) for v in exports[first:]],
                    },
                )


def row_name(spec: AreaSpec, sites: list[str]) -> str:
    """What a row of prices is called: the area's name where all its sites share it."""
    return spec.name if len(sites) == len(spec.site_id) else " ".join(sites)
