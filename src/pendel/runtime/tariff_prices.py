"""Prices of a site from its tariff: the object that bills is the object that plans.

market (EUR/MWh as published) -> tariff (levies, taxes, windows) -> prices of the coming quarters
deliveries of the month -> reward (MiSpeL) -> adders on these prices
"""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from pendel.ports import SpotSource
from pendel.runtime.contracts import Contracts
from pendel.runtime.reward import Reward
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff, Usage
from pendel.tariff.periods import utc_of_quarter
from pendel.tariff.planning import known_rows, needs_spot, planning_prices
from pendel.units import QUARTER_HOUR_S

AHEAD_QUARTERS = 2 * 96
"""Prices that do not hang on the market are told this far ahead."""
PER_HOUR = 4
Prices = tuple[list[int], list[float], list[float], list[float]]


class TariffPrices:
    """Implements `ports.PriceSource`, and `runtime.pricing.DetailedSource` beside it.

    contracts: what holds at each site; market: of all sites, None where no [prices] is
    configured."""

    def __init__(
        self,
        contracts: Contracts,
        market: SpotSource | None = None,
        reward: Reward | None = None,
    ) -> None:
        self._contracts = contracts
        self._market = market
        self._reward = reward
        self._made: dict[int, tuple[tuple[int, ...], Prices]] = {}

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """Import and export price per kWh from the running quarter hour on, as far as known.

        Raises ValueError with the reason where not even the running one is."""
        begins, imports, exports, _ = self._prices(site_id, now_utc)
        return [utc_of_quarter(quarter) for quarter in begins], imports, exports

    def details(self, site_id: str, now_utc: datetime) -> dict[str, list[float]]:
        """What rides along with the prices, in the same order: the spot price they were made of,
        and what MiSpeL adds to them."""
        begins, _, _, spots = self._prices(site_id, now_utc)
        found = {"spot_eur_mwh": spots} if spots else {}
        if self._reward is not None:
            adders = self._reward.adders(site_id, self._tariff(site_id, now_utc), begins)
            if adders is not None:
                found["reward_import_eur_kwh"], found["reward_export_eur_kwh"] = adders
        return found

    def _prices(self, site_id: str, now_utc: datetime) -> Prices:
        """Quarter hours, import and export price, spot price ([] where none is needed)."""
        tariff = self._tariff(site_id, now_utc)
        first = int(now_utc.timestamp()) // QUARTER_HOUR_S
        begins, spots = list(range(first, first + AHEAD_QUARTERS)), list[Fraction]()
        if needs_spot(tariff):
            begins, spots = self._spots(first, now_utc)
        mark = (first, len(begins), *(hash(price) for price in spots))
        made = self._made.get(id(tariff))
        if made is not None and made[0] == mark:
            return made[1]
        usage = Usage(begins=begins, spot_nano=[round(price * NANO) for price in spots])
        known = known_rows(tariff, usage)
        past = first - begins[0]
        if known <= past:
            raise ValueError(f"tariff {tariff.name!r} has no price valid now")
        imports, exports = planning_prices(tariff, usage)
        prices: Prices = (
            begins[past:known],
            [float(price) for price in imports[past:known]],
            [float(price) for price in exports[past:known]],
            [float(price) for price in spots[past:known]],
        )
        self._made[id(tariff)] = (mark, prices)
        return prices

    def _tariff(self, site_id: str, now_utc: datetime) -> Tariff:
        """The tariff that holds now. Raises ValueError."""
        agreed = self._contracts.at(site_id, now_utc)
        if agreed is None or agreed.tariff is None:
            raise ValueError(f"no tariff holds at {site_id} now")
        return agreed.tariff

    def _spots(self, first: int, now_utc: datetime) -> tuple[list[int], list[Fraction]]:
        """The quarter hours without a gap around now of which the market's price is known, from
        the begin of the hour on (means of hours need it). Raises ValueError where there is none."""
        if self._market is None:
            raise ValueError("the tariff follows the market and no [prices] source is configured")
        known = self._market.spot(now_utc)
        if first not in known:
            why = self._market.trouble or "not published"
            raise ValueError(f"no market price of now is known: {why}")
        begin = first
        while begin - 1 in known and begin > first - first % PER_HOUR:
            begin -= 1
        end = first
        while end in known and end < first + AHEAD_QUARTERS:
            end += 1
        return list(range(begin, end)), [known[quarter] for quarter in range(begin, end)]
