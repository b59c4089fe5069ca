"""`pendel settle run`: the contracts of a store over a period become statements and bookings."""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
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
CASES = ("A2", "A11")
SUMMARY = "statements.json"


def configure(commands: Any) -> Sequence[argparse.ArgumentParser]:
    """The parser; values are checked in `run`, so that all faults are listed at once."""
    parser = commands.add_parser("run", help="settle the contracts of a store over a period")
    parser.add_argument("--store", metavar="FILE", help="store to read (default: out/demo)")
    parser.add_argument("--config", metavar="FILE", help="contracts and tariffs of this server")
    parser.add_argument("--from", dest="from_day", metavar="DAY", help="first local day")
    parser.add_argument("--until", dest="until_day", metavar="DAY", help="local day after the last")
    parser.add_argument("--case", default="A2", help="MiSpeL case of the sites: A2 or A11")
    parser.add_argument("--tariff", default=SITE_TARIFF, help="of sites without their own")
    parser.add_argument("--driver-tariff", default=DRIVER_TARIFF, help="what stays earn")
    parser.add_argument("--language", default="en", help=", ".join(LANGUAGES))
    parser.add_argument("--as-of", metavar="TIME", help="judge periods as of then (now)")
    parser.add_argument("--out", default="out/settle", metavar="DIR", help="pages and ledger")
    parser.set_defaults(settle_run=run)
    return (parser,)


def run(args: argparse.Namespace) -> Outcome:
    """Settle and write. Raises InputError with every problem, StoreError."""
    from pendel.runtime.settle_run import RunOrder, SiteContract
    from pendel.runtime.settling import collect

    options = Options(args)
    case = options.choice("--case", args.case, CASES)
    options.choice("--language", args.language, LANGUAGES)
    begin, end = _period(options)
    now_utc = options.moment("--as-of", args.as_of)
    tariff = load_tariff(options, args.tariff)
    driver_tariff = load_tariff(options, args.driver_tariff)
    contracts = _configured(options, args.config)
    if options.problems or tariff is None or driver_tariff is None:
        raise InputError(options.problems)
    with _Records(args.store, args.config) as records:
        collected = collect(records, begin, end)
    order = RunOrder(
        contracts=[
            SiteContract(
                site,
                contracts.get(site, (None, None))[0] or tariff,
                case or "",
                {"*": contracts.get(site, (None, None))[1] or {site: Fraction(1)}},
            )
            for site in sorted(collected.sites)
        ],
        driver_tariff=driver_tariff,
        now_utc=now_utc,
    )
    return write_run(Path(args.out), collected, order, args.language)


def _period(options: Options) -> tuple[datetime | None, datetime | None]:
    first = options.day("--from", options.args.from_day)
    last = options.day("--until", options.args.until_day)
    if first is not None and last is not None and first >= last:
        options.fault("--until", f"{last} is not after {first}")
    return _bound(first), _bound(last)


def _bound(day: date | None) -> datetime | None:
    return None if day is None else local_day_bounds_utc(day, BERLIN)[0]


Configured = dict[str, tuple[Any, Mapping[str, Fraction] | None]]


def _configured(options: Options, path: str | None) -> Configured:
    """Per site of a server's configuration its tariff and shares (None where not given)."""
    if path is None:
        return {}
    from pendel.config.server import load_server_config

    config = load_server_config(Path(path))
    named = {site.site_id: site.tariff for site in config.site}
    shares: dict[str, dict[str, Fraction]] = {}
    for contract in config.contract:
        if contract.tariff is not None:
            named[contract.site_id] = contract.tariff
        if contract.shares:
            key = {party: Fraction(repr(part)) for party, part in contract.shares.items()}
            if sum(key.values()) != 1:
                options.fault("--config", f"shares of {contract.site_id} do not sum to 1")
            shares[contract.site_id] = key
    found: Configured = {}
    for site, name in named.items():
        file = name if name is None or not name.endswith(".toml") else str(Path(path).parent / name)
        found[site] = (None if file is None else load_tariff(options, file), shares.get(site))
    return found


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
    data = {
        "statements": listed,
        "ledger": {"records": len(ledger.records), "head": ledger.head},
        "out": str(out),
    }
    text = "\n".join(
        f"{made.period}  {made.audience:10} {made.party:24} {made.status:12} "
        f"{coins_text(made.total_cents, made.currency):>10} {made.currency}"
        for made in statements
    )
    tail = f"{len(statements)} statements in {folder}, ledger {ledger.head[:16]}"
    return Outcome(data=data, text=f"{text}\n{tail}".strip())


def settle_demo(store: Any, runs: Sequence[Any], out: Path) -> int:
    """Statements of a demonstration under OUT, with the simulated strategies as counterfactual;
    returns their number. A ledger of an earlier demonstration is replaced."""
    from pendel.runtime.settle_run import RunOrder, SiteContract
    from pendel.runtime.settling import collect
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
            SiteContract(site, tariff, CASES[0], {"*": {site: Fraction(1)}})
            for site in sorted(collected.sites)
        ],
        driver_tariff=driver_tariff,
        now_utc=datetime.now(UTC),
        counterfactual=costs_of_runs(runs, tariff, CASES[0], NEWEST, collected.sites),
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
