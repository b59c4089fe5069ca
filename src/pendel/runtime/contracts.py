"""Which tariff holds at a site, who has which share, and how it is split: from the configuration.

A `[[contract]]` with a tariff takes the place of the site's from its `valid_from` on, until the
next one begins. The same list prices plans (`runtime.tariff_prices`) and bills (`settle_run`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from pendel.adapters.tariff_files import open_tariff
from pendel.config.server import ContractConfig, ServerConfig
from pendel.errors import InputError, Problem
from pendel.runtime.collecting import STATIONS, SiteMeters
from pendel.tariff.model import Tariff

WHOLE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What holds at a site on local days from valid_from (None = always) until the next begins.

    tariff None: prices as they were published; shares: of the money, per party; they sum to 1."""

    site_id: str
    valid_from: date | None
    tariff: Tariff | None
    shares: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Contracts:
    """Agreements per site, oldest first; mispel_case: per site that states one; timezone: of each
    site, in whose days contracts begin."""

    by_site: Mapping[str, tuple[Agreed, ...]]
    mispel_case: Mapping[str, str]
    timezone: Mapping[str, str]

    def at(self, site_id: str, when_utc: datetime) -> Agreed | None:
        """What holds at a site at a moment."""
        zone = ZoneInfo(self.timezone.get(site_id, "UTC"))
        return self.on(site_id, when_utc.astimezone(zone).date())

    def on(self, site_id: str, day: date) -> Agreed | None:
        """What holds at a site on a day."""
        held = [a for a in self.by_site.get(site_id, ()) if (a.valid_from or date.min) <= day]
        return held[-1] if held else None

    def tariffs_on(self, day: date) -> dict[str, Tariff]:
        """The tariff of each site that has one on a day."""
        found = {}
        for site_id in self.by_site:
            agreed = self.on(site_id, day)
            if agreed is not None and agreed.tariff is not None:
                found[site_id] = agreed.tariff
        return found


def contracts_of(config: ServerConfig, folder: Path) -> Contracts:
    """The contracts of a configuration; tariff files are relative to folder.

    Raises InputError with every problem of every tariff and of the shares."""
    problems: list[Problem] = []
    opened: dict[str, Tariff | None] = {}

    def tariff(name: str | None) -> Tariff | None:
        if name is None:
            return None
        if name not in opened:
            opened[name], found = open_tariff(name, folder)
            problems.extend(found)
        return opened[name]

    by_site: dict[str, tuple[Agreed, ...]] = {}
    for site in config.site:
        base = Agreed(site.site_id, None, tariff(site.tariff), {site.site_id: WHOLE})
        listed = [base]
        named = [entry for entry in config.contract if entry.site_id == site.site_id]
        for entry in sorted(named, key=lambda entry: entry.valid_from or date.min):
            own = listed[-1].tariff if entry.tariff is None else tariff(entry.tariff)
            agreed = Agreed(site.site_id, entry.valid_from, own, _shares(entry, problems))
            listed = [a for a in listed if a.valid_from != entry.valid_from]
            listed.append(agreed)
        by_site[site.site_id] = tuple(listed)
    if problems:
        raise InputError(problems)
    cases = {site.site_id: site.mispel_case for site in config.site if site.mispel_case}
    zones = {site.site_id: site.timezone for site in config.site}
    return Contracts(by_site, cases, zones)


def _shares(entry: ContractConfig, problems: list[Problem]) -> Mapping[str, Fraction]:
    """The share key of a contract, exact; without one all of it is its party's."""
    if not entry.shares:
        return {entry.party: WHOLE}
    key = {party: Fraction(repr(part)) for party, part in entry.shares.items()}
    if sum(key.values()) != 1:
        text = f"shares of {entry.site_id} sum to {float(sum(key.values())):g}"
        problems.append(Problem("config", 0, "contract.shares", text, "1"))
    return key


def site_meters(config: ServerConfig) -> SiteMeters:
    """How the sites of a configuration are metered over OCPP."""
    grid = {}
    for meter in config.meter:
        if meter.profile == STATIONS:
            grid[meter.site_id] = STATIONS
        elif meter.profile == "ocpp":
            grid[meter.site_id] = meter.address
    return SiteMeters(
        station_site={s.station_id: s.site_id for s in config.station},
        grid=grid,
        fuse_kw={s.site_id: max(s.import_limit_kw, s.export_limit_kw) for s in config.site},
        keys={s.station_id: s.meter_key.encode() for s in config.station if s.meter_key},
    )
