"""`pendel settle run`: the contracts of a store over a period become statements and bookings."""

import argparse
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from pendel.cli.options import Options
from pendel.cli.outcome import Outcome
from pendel.cli.settle_tariff import load_tariff
from pendel.clock import local_day_bounds_utc
from pendel.errors import ChainError, InputError, Problem
from pendel.settle.wording import LANGUAGES
from pendel.tariff.periods import BERLIN

LEDGER_FILE = "books.ledger"
STATEMENTS = "statements"
SITE_TARIFF, DRIVER_TARIFF = "as-published", "plugged-bonus"
CASES = ("A1", "A2", "A3", "A10", "A11")
"""Those that the two metering points of a site are enough for."""
DEMO_CASE = "A2"
REFUSED_FILE = "refused.json"
SUMMARY = "statements.json"


def configure(commands: Any) -> Sequence[argparse.ArgumentParser]:
    """The parser; values are checked in `run`, so that all faults are listed at once."""
    parser = commands.add_parser("run", help="settle the contracts of a store over a period")
    parser.add_argument("--store", metavar="FILE", help="store to read (default: out/demo)")
    parser.add_argument("--config", metavar="FILE", help="contracts and tariffs of this server")
    parser.add_argument("--from", dest="from_day", metavar="DAY", help="first local day")
    parser.add_argument("--until", dest="until_day", metavar="DAY", help="local day after the last")
    parser.add_argument(
        "--case", default="A2", help=f"MiSpeL case of sites that state none: {', '.join(CASES)}"
    )
    parser.add_argument(
        "--split", action="append", default=[], metavar="DAY", help="a part of a month begins"
    )
    parser.add_argument("--tariff", default=SITE_TARIFF, help="of sites without their own")
    parser.add_argument("--driver-tariff", default=DRIVER_TARIFF, help="what stays earn")
    parser.add_argument("--language", default="en", help=", ".join(LANGUAGES))
    parser.add_argument("--as-of", metavar="TIME", help="judge periods as of then (now)")
    parser.add_argument("--out", default="out/settle", metavar="DIR", help="pages and ledger")
    parser.set_defaults(settle_run=run)
    return (parser,)


def run(args: argparse.Namespace) -> Outcome:
    """Settle and write. Raises InputError with every problem, StoreError."""
    from pendel.config.server import load_server_config
    from pendel.runtime.collecting import collect
    from pendel.runtime.contracts import contracts_of, site_meters
    from pendel.runtime.settle_run import RunOrder

    options = Options(args)
    case = options.choice("--case", args.case, CASES)
    options.choice("--language", args.language, LANGUAGES)
    begin, end = _period(options)
    splits = [day for text in args.split if (day := options.day("--split", text)) is not None]
    now_utc = options.moment("--as-of", args.as_of)
    tariff = load_tariff(options, args.tariff)
    driver_tariff = load_tariff(options, args.driver_tariff)
    contracts = meters = None
    if args.config is not None:
        config = load_server_config(Path(args.config))
        contracts, meters = contracts_of(config, Path(args.config).parent), site_meters(config)
    if options.problems or tariff is None or driver_tariff is None:
        raise InputError(options.problems)
    with _Records(args.store, args.config) as records:
        collected = collect(records, begin, end, meters)
    order = RunOrder(
        contracts=[
            contract
            for site in sorted(collected.sites)
            for contract in _contracts(site, contracts, tariff, case or "")
        ],
        driver_tariff=driver_tariff,
        now_utc=now_utc,
        splits=splits,
    )
    return write_run(Path(args.out), collected, order, args.language)


def _contracts(site: str, contracts: Any, tariff: Any, case: str) -> list[Any]:
    """How a site is settled, one after the other; without a tariff of its own as published."""
    from pendel.runtime.settle_run import SiteContract

    if contracts is None or site not in contracts.by_site:
        return [SiteContract(site, tariff, case, {"*": {site: Fraction(1)}})]
    agreed = contracts.by_site[site]
    ends = [*(each.valid_from for each in agreed[1:]), None]
    return [
        SiteContract(
            site_id=site,
            tariff=each.tariff or tariff,
            case=contracts.mispel_case.get(site, case),
            shares={"*": each.shares},
            published=each.tariff is None,
            valid_from=each.valid_from,
            valid_until=end,
        )
        for each, end in zip(agreed, ends, strict=True)
    ]


def _period(options: Options) -> tuple[datetime | None, datetime | None]:
    first = options.day("--from", options.args.from_day)
    last = options.day("--until", options.args.until_day)
    if first is not None and last is not None and first >= last:
        options.fault("--until", f"{last} is not after {first}")
    return _bound(first), _bound(last)


def _bound(day: date | None) -> datetime | None:
    return None if day is None else local_day_bounds_utc(day, BERLIN)[0]


class _Records:
    """The records of a store, closed afterwards."""

    def __init__(self, store: str | None, config: str | None) -> None:
        from pendel.cli.explain import open_named

        self._store = open_named(store, None if config is None else Path(config))

    def __enter__(self) -> Iterable[Any]:
        return self._store.replay()

    def __exit__(self, *_: object) -> None:
        self._store.close()


def write_run(out: Path, collected: Any, order: Any, language: str) -> Outcome:
    """Settle, write OUT/statements and OUT/books.ledger (each whole or not at all)."""
    import msgspec

    from pendel.runtime.settle_run import settle_run
    from pendel.settle.exact_money import coins_text
    from pendel.settle.statement_view import statement_data

    ledger = _ledger(out / LEDGER_FILE)
    statements = settle_run(collected, order, ledger)
    folder = out / STATEMENTS
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for made in statements:
        files = _write_statement(folder, made, language)
        listed.append(
            {
                "id": made.id,
                "audience": made.audience,
                "party": made.party,
                "site_id": made.site_id,
                "period": made.period,
                "status": made.status,
                f"total_{made.currency.lower()}": coins_text(made.total_cents, made.currency),
                "files": files,
            }
        )
    whole = msgspec.json.encode([statement_data(made) for made in statements])
    _put(folder / SUMMARY, whole)
    _put(out / LEDGER_FILE, ledger.lines().encode("ascii"))
    _put(out / REFUSED_FILE, msgspec.json.encode(collected.refused))
    data = {
        "statements": listed,
        "refused": len(collected.refused),
        "ledger": {"records": len(ledger.records), "head": ledger.head},
        "out": str(out),
    }
    text = "\n".join(
        f"{made.period}  {made.audience:10} {made.party:24} {made.status:12} "
        f"{coins_text(made.total_cents, made.currency):>10} {made.currency}"
        for made in statements
    )
    tail = f"{len(statements)} statements in {folder}, ledger {ledger.head[:16]}"
    if collected.refused:
        tail += f"\n{len(collected.refused)} values refused, see {out / REFUSED_FILE}"
    return Outcome(data=data, text=f"{text}\n{tail}".strip())


def settle_demo(store: Any, runs: Sequence[Any], out: Path) -> int:
    """Statements of a demonstration under OUT, with the simulated strategies as counterfactual;
    returns their number. A ledger of an earlier demonstration is replaced."""
    from pendel.runtime.collecting import collect
    from pendel.runtime.settle_run import RunOrder, SiteContract
    from pendel.settle.rulesets import NEWEST
    from pendel.sim.settled import costs_of_runs

    options = Options(argparse.Namespace())
    tariff, driver_tariff = (load_tariff(options, name) for name in (SITE_TARIFF, DRIVER_TARIFF))
    if tariff is None or driver_tariff is None:
        raise InputError(options.problems)
    collected = collect(store.replay())
    (out / LEDGER_FILE).unlink(missing_ok=True)
    order = RunOrder(
        contracts=[
            SiteContract(site, tariff, DEMO_CASE, {"*": {site: Fraction(1)}})
            for site in sorted(collected.sites)
        ],
        driver_tariff=driver_tariff,
        now_utc=datetime.now(UTC),
        counterfactual=costs_of_runs(runs, tariff, DEMO_CASE, NEWEST, collected.sites),
    )
    return len(write_run(out, collected, order, LANGUAGES[1]).data["statements"])


def _ledger(path: Path) -> Any:
    """The ledger so far, checked. Raises InputError where its chain is broken."""
    from pendel.settle.ledger import Ledger, read_ledger

    if not path.exists():
        return Ledger()
    try:
        return read_ledger(path.read_text("utf-8"))
    except (ChainError, UnicodeDecodeError) as error:
        problem = Problem(path.name, 0, "", f"the ledger is damaged: {error}")
        raise InputError([problem]) from None


def _write_statement(folder: Path, made: Any, language: str) -> list[str]:
    from pendel.settle.statement_pdf import statement_pdf
    from pendel.settle.statement_view import statement_csv, statement_html

    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in f"{made.audience}-{made.party}")
    stem = f"{made.period.replace('/', '-')}-{safe}"[:120]
    parts = {
        ".html": statement_html(made, language).encode(),
        ".pdf": statement_pdf(made, language),
        ".csv": statement_csv(made).encode(),
    }
    for suffix, content in parts.items():
        _put(folder / (stem + suffix), content)
    return [stem + suffix for suffix in parts]


def _put(path: Path, content: bytes) -> None:
    """Write to a temporary name, then rename: whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
