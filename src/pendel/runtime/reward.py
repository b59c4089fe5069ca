"""What MiSpeL pays for one more kilowatt hour: a signal for the planner, computed with settle.

The relief of levies and grid fees hangs on the monthly quantity (20). How much of it one more
kilowatt hour through the connection adds is the difference of (20) with and without that hour, at
the sums that the month is expected to end with. So the planner sees, as parts of its prices, that
export from the battery earns relief, that discharge into the house earns none, and that where more
was fed back than charged (12) only more charging within the same local month earns any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pendel.runtime.month_book import MonthBook, MonthSums, SiteMonths, month_of
from pendel.settle.rulesets import NEWEST, RuleSet
from pendel.settle.split import Sums, month_formulas
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff
from pendel.tariff.periods import Period
from pendel.tariff.planning import relief_kwh

CASES = ("A1", "A2", "A3", "A10", "A11")
"""Cases that the two metering points of a site are enough for."""
LEARNED_QUARTERS = 96
"""A month younger than a day says nothing about how it will end."""
_ONE_MORE = NANO
_IMPORT = Sums(n3=_ONE_MORE, n5=_ONE_MORE, n9=_ONE_MORE)
_EXPORT = Sums(n4=_ONE_MORE, n6=_ONE_MORE, n11=_ONE_MORE)


@dataclass(frozen=True, slots=True)
class Worth:
    """What one more kWh adds to (20) [kWh]: charged from the grid; fed in from the battery."""

    charged: Fraction
    exported: Fraction


@dataclass(slots=True)
class Reward:
    """cases: per site its MiSpeL case (sites without one earn nothing); months: the state's."""

    cases: dict[str, str]
    months: MonthBook
    rules: RuleSet = NEWEST
    _known: dict[tuple[str, str], Fraction] = field(default_factory=dict)

    def adders(
        self, site_id: str, tariff: Tariff, begins: Sequence[int]
    ) -> tuple[list[float], list[float]] | None:
        """Per quarter hour what is to be added to the import and the export price [per kWh];
        None where the site or its tariff knows no relief."""
        case = self.cases.get(site_id)
        if case is None or not begins:
            return None
        site = self.months.sites.get(site_id, SiteMonths())
        imports: list[float] = []
        exports: list[float] = []
        period, worth = Period("", 0, 0), Worth(Fraction(0), Fraction(0))
        for quarter in begins:
            if not period.begin <= quarter < period.end:
                period = month_of(quarter)
                worth = worth_in(site, period, case, self.rules)
            relief = relief_kwh(tariff, quarter)
            imports.append(-float(worth.charged * relief))
            exports.append(float(worth.exported * relief))
        return (imports, exports) if any(imports) or any(exports) else None


def worth_in(site: SiteMonths, period: Period, case: str, rules: RuleSet = NEWEST) -> Worth:
    """What one more kWh is worth in a month, at the sums with which it is expected to end.

    Expected: what flowed so far, and for the rest the mean of the month before, else of this one.
    Before a day was seen a car is taken to charge more than it gives back, as cars do."""
    expected = expected_sums(site, period)
    if expected is None:
        return Worth(Fraction(0), Fraction(0) if case == "A10" else Fraction(1))

    def quantity(sums: Sums) -> Fraction:
        return month_formulas(case, sums, rules)["(20)"] or Fraction(0)

    least = quantity(expected)
    return Worth(quantity(expected + _IMPORT) - least, quantity(expected + _EXPORT) - least)


def expected_sums(site: SiteMonths, period: Period) -> Sums | None:
    """The sums of a month at its end as they are expected now; None where nothing is known."""
    running = site.running
    past = site.before if site.before is not None and site.before.quarters else running
    if past is None or past.quarters < LEARNED_QUARTERS:
        past = running
    if past is None or past.quarters < LEARNED_QUARTERS:
        return None
    if running is not None and running.period == period:
        left = max(period.quarters - running.quarters, 0)
        return running.sums + _share(past, left)
    return _share(past, period.quarters)


def _share(past: MonthSums, quarters: int) -> Sums:
    """The sums of so many mean quarter hours of a month."""

    def of(total: int) -> int:
        return total * quarters // past.quarters

    s = past.sums
    return Sums(n3=of(s.n3), n4=of(s.n4), n5=of(s.n5), n6=of(s.n6), n9=of(s.n9), n11=of(s.n11))
