"""`pendel token NAME --role ROLE --config FILE`: a token for the API."""

import argparse
import hashlib
import secrets
from pathlib import Path

from pendel.cli.outcome import Outcome
from pendel.errors import InputError, Problem

ROLES = ("driver", "owner", "operator", "aggregator", "grid_operator", "auditor", "admin")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel token`."""
    parser.add_argument("name", metavar="NAME", help="who will use it")
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="CONFIG.toml")
    parser.add_argument(
        "--site", action="append", metavar="SITE_ID", help="only these sites (may be repeated)"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Append a [[token]] and print the token once. Raises InputError."""
    from pendel.cli.config_edit import write_text
    from pendel.config.server import check_server, load_server_config
    from pendel.config.toml import load_toml

    config = load_server_config(args.config)
    problems = []
    if not 1 <= len(args.name) <= 255 or not args.name.isprintable():
        problems.append(Problem("token", 0, "NAME", repr(args.name), "1 to 255 printable"))
    if any(token.name == args.name for token in config.token):
        problems.append(Problem(args.config.name, 0, "name", f'"{args.name}" is there', "another"))
    known = {site.site_id for site in config.site}
    problems += [
        Problem("token", 0, "--site", f'site "{site}" is not known', "a site_id of the file")
        for site in args.site or []
        if site not in known
    ]
    if problems:
        raise InputError(problems)
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    entry = f'\n[[token]]\nname = {_quoted(args.name)}\nrole = "{args.role}"\nsha256 = "{digest}"\n'
    if args.site:
        entry += f"sites = [{', '.join(_quoted(site) for site in args.site)}]\n"
    before = args.config.read_text("utf-8")
    write_text(args.config, before + ("" if before.endswith("\n") else "\n") + entry)
    _, wrong = check_server(load_toml(args.config))
    if wrong:  # e.g. `token = []` stands in the file: leave it as it was
        write_text(args.config, before)
        raise InputError(wrong)
    data: dict[str, object] = {"name": args.name, "role": args.role, "token": token}
    return Outcome(data=data, text=f"the token of {args.name}, shown this once:\n{token}")


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
