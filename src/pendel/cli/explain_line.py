"""`pendel explain LINE`: from a line of a statement back to the meter readings behind it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pendel.adapters.store_url import Store
from pendel.cli.outcome import Outcome
from pendel.errors import InputError, NotFoundError, Problem
from pendel.runtime.causes import as_data, as_text, chain
from pendel.runtime.collecting import Collected, SiteMeters, collect
from pendel.runtime.settling import stays_by_vehicle, stays_version

PREFIX = "line-"
FILE = Path("statements") / "statements.json"
DEFAULT_FOLDERS = (Path("out/demo"), Path("out/settle"))
DELIVERIES_SHOWN = 3


def explain_line(
    wanted: str, store: Store, folders: Sequence[Path], meters: SiteMeters | None = None
) -> Outcome:
    """The chain of a line: amount, rule, quantity, series, readings, what these came from.

    folders: where statements may lie; meters: of the server's sites.
    Raises NotFoundError, InputError, StoreError.
    """
    statement, line = _find(wanted, folders)
    found = collect(store.replay(), meters=meters)
    deliveries = list(_deliveries(found, statement))
    shown = [chain(store, delivery) for delivery in deliveries[:DELIVERIES_SHOWN]]
    series = _series(found, statement)
    code = statement["currency"].lower()
    law = f", law: {line['legal_ref']}" if line["legal_ref"] else ""
    text = [
        f"LINE {wanted}: {line['component']}, {line[f'rounded_{code}']} {statement['currency']} "
        f"(exact {line[f'amount_{code}']})",
        f"├─ statement {statement['id']}: {statement['audience']} {statement['party']}, "
        f"{statement['period']}, {statement['status']}",
        f"├─ quantity {line['quantity']} {line['unit']}, price {line['price']}, "
        f"share {line['share']}",
        f"├─ tariff {statement['tariff']}: {line['kind']}, source: {line['source']}{law}",
    ]
    if line["formula"]:
        value = statement["formulas"].get(line["formula"])
        text.append(f"├─ MiSpeL {line['formula']} = {value}, rule set {statement['ruleset']}")
    for entry in series:
        same = "as in the store" if entry["in_store"] else "the store now has other or more values"
        text.append(
            f"├─ series {entry['point']} {entry['direction']}: {entry['values']} quarter hours, "
            f"version {entry['version'][:16]}, {same}"
        )
    text.append(f"└─ {len(deliveries)} readings; the first {len(shown)}:")
    text += ["   " + row for node in shown for row in as_text(node).splitlines()]
    data = {
        "id": wanted,
        "kind": "statement_line",
        "statement": statement["id"],
        "line": line,
        "formulas": statement["formulas"],
        "series": series,
        "deliveries": deliveries,
        "causes": [as_data(node) for node in shown],
    }
    return Outcome(data=data, text="\n".join(text))


def _find(wanted: str, folders: Sequence[Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    looked = []
    for folder in folders:
        path = folder / FILE
        if not path.is_file():
            continue
        looked.append(str(path))
        try:
            statements = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            problem = Problem(path.name, 0, "", f"cannot be read: {error}")
            raise InputError([problem]) from None
        for statement in statements:
            for line in statement["lines"]:
                if line["id"] == wanted:
                    return statement, line
    where = ", ".join(looked) or "no statements found"
    raise NotFoundError(f"no statement has a line {wanted} ({where})")


def _deliveries(found: Collected, statement: dict[str, Any]) -> Iterator[str]:
    """Ids of the deliveries behind a site's statement, oldest first."""
    site = found.sites.get(statement["site_id"])
    if site is not None and statement["audience"] != "driver":
        for quarter in sorted(site.grid.keys() & site.cars.keys()):
            yield from site.causes.get(quarter, [])


def _series(found: Collected, statement: dict[str, Any]) -> list[dict[str, Any]]:
    """The statement's series, and whether the store still holds exactly these values."""
    site = found.sites.get(statement["site_id"])
    now = set() if site is None else {source.version for source in site.sources()}
    now |= {stays_version(stays, found.flows) for stays in stays_by_vehicle(found.stays).values()}
    return [{**source, "in_store": source["version"] in now} for source in statement["sources"]]
