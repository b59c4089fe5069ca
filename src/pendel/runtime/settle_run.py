"""One settlement run: statements of every site and driver, and the bookings behind them.

A run is named after a hash of its inputs (series versions, tariff, rule set), so the same inputs
give the same run, the same lines and the same bytes. Provisional results stay pending in the
ledger, final ones are posted; a changed result voids what is pending, reverses what is posted.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

import msgspec

from pendel.clock import format_utc
from pendel.runtime.settling import (
    Collected,
    SiteSeries,
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
from pendel.settle.statement import Settled, Shares, Source, Statement, build_statement
from pendel.settle.status import Evidence, reasons
from pendel.tariff.bill import MonthBill, bill
from pendel.tariff.model import Tariff
from pendel.units import QUARTER_HOUR_S

DRIVER_POOL = "aggregator"


@dataclass(frozen=True, slots=True)
class SiteContract:
    """How a site is settled: tariff, MiSpeL case (A2 or A11), and who has which share."""

    site_id: str
    tariff: Tariff
    case: str
    shares: Shares


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a run is asked for. driver_tariff: what stays earn; counterfactual: per site the cost
    of the same quarter hours under other strategies."""

    contracts: Sequence[SiteContract]
    driver_tariff: Tariff
    now_utc: datetime
    rules: RuleSet = NEWEST
    counterfactual: Mapping[str, Mapping[str, Fraction]] = field(default_factory=dict)

    @property
    def now(self) -> int:
        """The quarter hour that is running."""
        return int(self.now_utc.timestamp()) // QUARTER_HOUR_S


def settle_run(collected: Collected, order: RunOrder, ledger: Ledger) -> list[Statement]:
    """Statements of all contracts and drivers; books them into the ledger."""
    statements: list[Statement] = []
    for contract in order.contracts:
        series = collected.sites.get(contract.site_id)
        if series is not None and series.begins:
            statements += _settle_site(series, contract, order, ledger)
    quarters = sorted({q for series in collected.sites.values() for q in series.begins})
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
    settlement = split_site(series, contract.case, order.rules, order.now)
    usage = usage_of_site(series, contract.tariff, settlement)
    sources = series.sources()
    name = run_name(contract.tariff, order.rules, sources)
    made: list[Statement] = []
    for month in bill(contract.tariff, usage):
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
    found = next(m for m in settlement.months if m.period.key == month.period.key)
    return Settled(
        run=run,
        site_id=series.site_id,
        ruleset=f"{order.rules.name}, {settlement.case}",
        formulas=found.formulas,
        reasons=tuple(found.reasons),
        sources=sources,
        counterfactual=order.counterfactual.get(series.site_id, {}),
    )


def _settle_drivers(
    collected: Collected, order: RunOrder, ledger: Ledger, quarters: Sequence[int]
) -> list[Statement]:
    made: list[Statement] = []
    tariff = order.driver_tariff
    evidence = Evidence(quarters, order.now, metering_operator=False)
    for vehicle, stays in stays_by_vehicle(collected.stays).items():
        usage = usage_of_driver(stays, quarters[0], quarters[-1] + 1)
        version = stays_version(stays)
        plugged = sum(1 for minutes in usage.plugged_nano if minutes)
        source = Source(vehicle, "plugged", version, plugged, signed=False)
        name = run_name(tariff, order.rules, [source])
        shares: Shares = {"*": {vehicle: Fraction(1)}}
        for month in bill(tariff, usage):
            run = f"{name}-{month.period.key}"
            settled = Settled(
                run=run,
                site_id=", ".join(dict.fromkeys(stay.site_id for stay in stays)),
                reasons=tuple(reasons(month.period, evidence)),
                sources=(source,),
            )
            made.append(build_statement("driver", vehicle, tariff, month, shares, settled))
            _book(ledger, run, month, (tariff, shares, vehicle), settled, order)
    return made


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
