"""`pendel settle verify`: signed meter records (OCMF) or the chain of a ledger."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pendel.cli.options import Options
from pendel.cli.outcome import Outcome
from pendel.clock import format_utc
from pendel.errors import ChainError, InputError, Problem
from pendel.tariff.exact import exact_text


def configure(commands: Any) -> Sequence[argparse.ArgumentParser]:
    """The parser."""
    parser = commands.add_parser("verify", help="check OCMF signatures, or a ledger's chain")
    parser.add_argument("input", metavar="FILE", help="OCMF records, one per line; or a ledger")
    parser.add_argument(
        "--key", metavar="KEY", help="public key of the meter: a file, or the key itself"
    )
    parser.add_argument("--head", metavar="HASH", help="the ledger must end with this hash")
    parser.set_defaults(settle_run=run)
    return (parser,)


def run(args: argparse.Namespace) -> Outcome:
    """Verify a file. Raises InputError naming every record that does not hold."""
    options = Options(args)
    lines = options.text_lines(args.input)
    if lines is None:
        raise InputError(options.problems)
    name = Path(args.input).name
    if any(line.startswith("OCMF|") for line in lines):
        return _verify_ocmf(options, lines, name)
    return _verify_ledger(options, "".join(lines), name)


def _verify_ledger(options: Options, text: str, name: str) -> Outcome:
    from pendel.settle.ledger import read_ledger

    try:
        ledger = read_ledger(text)
    except ChainError as error:
        place, _, reason = str(error).partition(": ")
        problem = Problem(name, int(place.removeprefix("line ")), "", f"chain broken: {reason}")
        raise InputError([problem]) from None
    wanted: str | None = options.args.head
    if wanted is not None and wanted != ledger.head:
        options.fault("--head", f"{wanted}: the ledger ends with {ledger.head}")
        raise InputError(options.problems)
    data = {"valid": True, "records": len(ledger.records), "head": ledger.head}
    text = f"{name}: chain of {len(ledger.records)} records holds, head {ledger.head}"
    return Outcome(data=data, text=text)


def _key(options: Options) -> bytes | None:
    given: str | None = options.args.key
    if given is None:
        options.fault("--key", "missing: an OCMF record does not prove itself", "a public key")
        return None
    path = Path(given) if len(given) < 1024 else None
    try:
        return path.read_bytes() if path is not None and path.is_file() else given.encode()
    except OSError as error:
        options.fault("--key", f"{given}: {error.strerror}")
        return None


def _verify_ocmf(options: Options, lines: Sequence[str], name: str) -> Outcome:
    from pendel.settle.ocmf import KeyFormatError, OcmfError, parse_ocmf

    key = _key(options)
    if key is None:
        raise InputError(options.problems)
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_ocmf(line)
            if not record.is_signed_by(key):
                text = "does not match the payload under this key"
                options.problems.append(Problem(name, number, "signature", text))
                continue
        except (OcmfError, KeyFormatError) as error:
            options.problems.append(Problem(name, number, "", str(error)))
            continue
        records.append(
            {
                "line": number,
                "valid": True,
                "algorithm": record.algorithm,
                "readings": [
                    {
                        "time_utc": format_utc(reading.at_utc),
                        "time_status": reading.time_status,
                        "kind": reading.kind,
                        "obis": reading.obis.code,
                        "direction": reading.direction,
                        "kwh": exact_text(reading.kwh),
                        "written": reading.written,
                        "state": reading.state,
                    }
                    for reading in record.readings
                ],
                "delivered_kwh": {k: exact_text(v) for k, v in record.delivered().items()},
            }
        )
    if options.problems:
        raise InputError(options.problems)
    text = f"{name}: {len(records)} signed records hold"
    return Outcome(data={"valid": True, "records": records}, text=text)
