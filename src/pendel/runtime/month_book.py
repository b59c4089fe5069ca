"""What flowed at a site in this month and the one before, as MiSpeL sums it.

The fold of deliveries: exact sums per local month, so that what one more kilowatt hour would
change in the monthly quantity (20) can be told at any time (`runtime.reward`).
"""

from dataclasses import dataclass, field

from pendel.records import Delivery
from pendel.settle.split import Sums
from pendel.tariff.exact import parse_nano
from pendel.tariff.periods import BERLIN, Period, month_periods, quarter_of


@dataclass(slots=True)
class MonthSums:
    """Sums of the quarter hours of one local month that have both points; quarters: how many."""

    period: Period
    sums: Sums = field(default_factory=Sums)
    quarters: int = 0


@dataclass(slots=True)
class SiteMonths:
    """The running month of a site, the one before, and half a quarter hour that waits."""

    running: MonthSums | None = None
    before: MonthSums | None = None
    waiting: dict[bool, tuple[int, int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class MonthBook:
    """Months by site. Months are those of Europe/Berlin, as MiSpeL counts them."""

    sites: dict[str, SiteMonths] = field(default_factory=dict)

    def take(self, record: Delivery, is_grid: bool) -> None:
        """Add a delivery of one of the two metering points of a site, oldest first."""
        quarter = quarter_of(record.begin_utc)
        taken, given = parse_nano(record.import_kwh), parse_nano(record.export_kwh)
        if quarter is None or taken is None or given is None:
            return
        site = self.sites.setdefault(record.site_id, SiteMonths())
        site.waiting[is_grid] = (quarter, taken, given)
        other = site.waiting.get(not is_grid)
        if other is None or other[0] != quarter:
            return
        grid, cars = site.waiting[True], site.waiting[False]
        _add(site, quarter, (grid[1], grid[2], cars[1], cars[2]))
        site.waiting.clear()


def _add(site: SiteMonths, quarter: int, flows: tuple[int, int, int, int]) -> None:
    running = site.running
    if running is None or quarter >= running.period.end:
        site.before = running
        running = site.running = MonthSums(month_of(quarter))
    if quarter < running.period.begin:
        return
    drawn, fed, inward, outward = flows
    running.quarters += 1
    running.sums += Sums(
        n3=drawn, n4=fed, n5=inward, n6=outward, n9=min(drawn, inward), n11=min(fed, outward)
    )


def month_of(quarter: int) -> Period:
    """The local month in which a quarter hour begins."""
    return month_periods([quarter], zone=BERLIN)[0]
