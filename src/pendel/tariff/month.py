"""One month of one bill: what the billing of a component needs to see."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from pendel.tariff.model import Component, Line, Tariff, Usage
from pendel.tariff.periods import Period
from pendel.tariff.price import LocalTimes, rows_valid

Lines: TypeAlias = list[Line]


@dataclass(slots=True)
class Context:
    """One month of one bill run; state carries what counts over months, by component name."""

    tariff: Tariff
    usage: Usage
    times: LocalTimes
    state: dict[tuple[str, str], Fraction]
    period: Period
    low: int = 0
    high: int = 0
    lines: dict[int, Lines] = field(default_factory=dict)

    @property
    def month(self) -> str:
        """The local month, of which the period may be a part."""
        return self.period.key.partition("/")[0]

    def rows(self, component: Component) -> range:
        """Rows of the month in which a component is valid."""
        zone, begins = self.tariff.timezone, self.usage.begins
        return range(*rows_valid(component, zone, begins, self.low, self.high))
