"""`pendel station-password ID --config FILE`: gives a station its password."""

import argparse
import sys
from pathlib import Path

from pendel.cli.outcome import Outcome
from pendel.errors import InputError, Problem

PASSWORD_CHARACTERS = (16, 64)


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel station-password`."""
    parser.add_argument("station_id", metavar="ID", help="a station_id of the file")
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="CONFIG.toml")
    parser.add_argument(
        "--stdin", action="store_true", help="read the password from stdin (one line), never print"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Write the hash into the station's table. Raises InputError."""
    from pendel.adapters.passwords import hash_password, new_password
    from pendel.cli.config_edit import with_password_hash, write_text
    from pendel.config.server import load_server_config

    load_server_config(args.config)
    text = args.config.read_text("utf-8")
    password = _read_line() if args.stdin else new_password()
    changed = with_password_hash(text, args.station_id, hash_password(password), args.config.name)
    write_text(args.config, changed)
    data: dict[str, object] = {"station_id": args.station_id, "config": str(args.config)}
    words = f"the password of {args.station_id} is set in {args.config}"
    if not args.stdin:
        data["password"] = password
        words += f"; it is shown this once:\n{password}"
    return Outcome(data=data, text=words)


def _read_line() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not 1 <= len(password.encode()) <= 1_024:
        text = "no password on stdin" if not password else "longer than 1,024 bytes"
        raise InputError([Problem("stdin", 1, "password", text, "one line")])
    low, high = PASSWORD_CHARACTERS
    if not low <= len(password) <= high:
        print(
            f"this password has {len(password)} characters; OCPP asks for {low} to {high}",
            file=sys.stderr,
        )
    return password
