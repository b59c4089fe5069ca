"""One settlement run: statements of every site and driver, and the bookings behind them.

A run is named after a hash of its inputs (series versions, tariff, rule set), so the same inputs
give the same run, the same lines and the same bytes. Provisional results stay pending in the
ledger, final ones are posted; a changed result voids what is pending, reverses what is posted.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction

import msgspec

from pendel.clock import format_utc
from pendel.runtime.collecting import Collected, SiteSeries, Stay, exact, wear_kwh
from pendel.runtime.settling import (
    priced,
    split_site,
    stays_by_vehicle,
    stays_version,
    usage_of_driver,
    usage_of_site,
)
from pendel.settle.booking import entries_of
from pendel.settle.ledger import PENDING, Ledger, result_hash
from pendel.settle.ledger import Run as LedgerRun
from pendel.settle.mispel import Settlement
from pendel.settle.rulesets import NEWEST, RuleSet
from pendel.settle.split import Formulas
from pendel.settle.statement import Note, Settled, Shares, Source, Statement, build_statement
from pendel.settle.status import Evidence, Reason, reasons
from pendel.tariff.bill import MonthBill, bill
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff
from pendel.tariff.periods import Period, first_quarter
from pendel.units import QUARTER_HOUR_S

DRIVER_POOL = "aggregator"
FAR = 1 << 40
"""A quarter hour beyond every calendar."""


@dataclass(frozen=True, slots=True)
class SiteContract:
    """How a site is settled: tariff, MiSpeL case, and who has which share.

    published: the tariff bills prices as they were published (the site has none of its own);
    valid_from, valid_until: local days (until exclusive), None = open."""

    site_id: str
    tariff: Tariff
    case: str
    shares: Shares
    published: bool = True
    valid_from: date | None = None
    valid_until: date | None = None

    @property
    def quarters(self) -> tuple[int, int]:
        """The quarter hours in which it holds: begin, and end (exclusive)."""
        zone = self.tariff.timezone
        begin = 0 if self.valid_from is None else first_quarter(self.valid_from, zone)
        return begin, FAR if self.valid_until is None else first_quarter(self.valid_until, zone)


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a run is asked for. driver_tariff: what stays earn and cost; counterfactual: per site
    the cost of the same quarter hours under other strategies; splits: local days on which a part
    of a month begins (contracts that begin within a month split it too)."""

    contracts: Sequence[SiteContract]
    driver_tariff: Tariff
    now_utc: datetime
    rules: RuleSet = NEWEST
    counterfactual: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)
    splits: Sequence[date] = ()

    @property
    def now(self) -> int:
        """The quarter hour that is running."""
        return int(self.now_utc.timestamp()) // QUARTER_HOUR_S

    def splits_of(self, site_id: str) -> tuple[date, ...]:
        """Days on which a part of a month begins at a site."""
        days = {c.valid_from for c in self.contracts if c.site_id == site_id and c.valid_from}
        return tuple(sorted({*days, *self.splits}))


def settle_run(collected: Collected, order: RunOrder, ledger: Ledger) -> list[Statement]:
    """Statements of all contracts and drivers; books them into the ledger."""
    statements: list[Statement] = []
    for contract in order.contracts:
        series = collected.sites.get(contract.site_id)
        if series is not None:
            statements += _settle_site(series, contract, order, ledger)
    quarters = sorted({q for series in collected.sites.values() for q in series.cars})
    if quarters:
        statements += _settle_drivers(collected, order, ledger, quarters)
    return statements


def run_name(tariff: Tariff, rules: RuleSet, sources: Sequence[Source]) -> str:
    """The name of a run: a hash of everything that goes into it."""
    text = "\n".join([repr(tariff), rules.name, *(source.version for source in sources)])
    return "run-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _settle_site(
    series: SiteSeries, contract: SiteContract, order: RunOrder, ledger: Ledger
) -> list[Statement]:
    sources = series.sources()
    series = priced(series, contract.tariff, contract.published, *contract.quarters)
    if not series.begins:
        return []
    splits = order.splits_of(contract.site_id)
    settlement = split_site(series, contract.case, order.rules, order.now, splits=splits)
    usage = usage_of_site(series, contract.tariff, settlement)
    name = run_name(contract.tariff, order.rules, sources)
    made: list[Statement] = []
    for month in bill(contract.tariff, usage, splits):
        run = f"{name}-{month.period.key}"
        settled = _settled(series, settlement, month, run, sources, order)
        parties = dict.fromkeys(party for key in contract.shares.values() for party in key)
        for party in parties:
            audience = "aggregator" if party == DRIVER_POOL else "site"
            made.append(
                build_statement(audience, party, contract.tariff, month, contract.shares, settled)
            )
        scope = (contract.tariff, contract.shares, contract.site_id)
        _book(ledger, run, month, scope, settled, order)
    return made


def _settled(
    series: SiteSeries,
    settlement: Settlement,
    month: MonthBill,
    run: str,
    sources: tuple[Source, ...],
    order: RunOrder,
) -> Settled:
    formulas: Formulas = {}
    why: Sequence[Reason] = ()
    for result in settlement.months:
        if result.period.key == month.period.key:
            formulas, why = result.formulas, result.reasons
    return Settled(
        run=run,
        site_id=series.site_id,
        ruleset=f"{order.rules.name}, {settlement.case}",
        formulas=formulas,
        reasons=tuple(why),
        sources=sources,
        counterfactual=order.counterfactual.get(series.site_id, {}),
    )


def _settle_drivers(
    collected: Collected, order: RunOrder, ledger: Ledger, quarters: Sequence[int]
) -> list[Statement]:
    made: list[Statement] = []
    tariff = order.driver_tariff
    evidence = Evidence(quarters, order.now, metering_operator=False)
    flows = collected.flows
    for vehicle, stays in stays_by_vehicle(collected.stays).items():
        usage = usage_of_driver(stays, quarters[0], quarters[-1] + 1, flows, collected.sites)
        plugged = sum(1 for minutes in usage.plugged_nano if minutes)
        if not plugged:
            continue
        version = stays_version(stays, flows)
        signed = all(flows[s.session_id].signed for s in stays if s.session_id in flows)
        metered = any(s.session_id in flows for s in stays)
        source = Source(vehicle, "plugged", version, plugged, signed=signed and metered)
        name = run_name(tariff, order.rules, [source])
        shares: Shares = {"*": {vehicle: Fraction(1)}}
        for month in bill(tariff, usage, order.splits):
            run = f"{name}-{month.period.key}"
            settled = Settled(
                run=run,
                site_id=", ".join(dict.fromkeys(stay.site_id for stay in stays)),
                reasons=tuple(reasons(month.period, evidence)),
                sources=(source,),
                notes=_notes(stays, collected, month.period),
            )
            made.append(build_statement("driver", vehicle, tariff, month, shares, settled))
            _book(ledger, run, month, (tariff, shares, vehicle), settled, order)
    return made


def _notes(stays: Sequence[Stay], collected: Collected, period: Period) -> tuple[Note, ...]:
    """What a driver is told beside the bill: energy each way, and the wear it meant."""
    taken = given = 0
    wear, worth = Fraction(0), Fraction(0)
    for stay in stays:
        flow = collected.flows.get(stay.session_id)
        for quarter, pair in ({} if flow is None else flow.values).items():
            if period.begin <= quarter < period.end:
                taken, given = taken + pair[0], given + pair[1]
                stored = wear_kwh(stay, pair[0], pair[1])
                wear += stored
                worth += stored * exact(stay.wear_eur_kwh)
    if not taken and not given:
        return ()
    return (
        Note("charged", Fraction(taken, NANO), "kWh"),
        Note("discharged", Fraction(given, NANO), "kWh"),
        Note("wear", wear, "kWh", worth if worth else None),
    )


def _book(
    ledger: Ledger,
    run: str,
    month: MonthBill,
    scope: tuple[Tariff, Shares, str],
    settled: Settled,
    order: RunOrder,
) -> None:
    """Book a month once: nothing where the result is there, else correct what was booked."""
    tariff, shares, name = scope
    created_utc = format_utc(order.now_utc)
    versions = {source.point + source.direction: source.version for source in settled.sources}
    entries = entries_of(run, tariff, month, shares)
    result = result_hash(entries, versions)
    before = ledger.latest(name, month.period.key)
    if before is not None and before.result == result:
        return
    supersedes = ""
    if before is not None and ledger.state(before.run) == PENDING:
        ledger.void(before.run, created_utc, "replaced by a newer result")
    elif before is not None:
        supersedes = before.run
    status = "corrected" if supersedes else ("provisional" if settled.reasons else "final")
    run_id = ledger.free_name(run)
    ledger.book(
        LedgerRun(
            run=run_id,
            scope=name,
            period=month.period.key,
            ruleset=settled.ruleset,
            status=status,
            reasons=tuple(dict.fromkeys(reason.code for reason in settled.reasons)),
            result=result,
            created_utc=created_utc,
            supersedes=supersedes,
        ),
        [msgspec.structs.replace(entry, run=run_id) for entry in entries],
    )
    if not settled.reasons:
        ledger.post(run_id, created_utc)
