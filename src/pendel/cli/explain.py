"""`pendel explain ID`: the chain of causes of a setpoint, as an indented tree."""

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pendel.adapters.event_log import SqliteEventLog
from pendel.adapters.store_url import POSTGRES_PREFIX, Store, open_store, sqlite_path
from pendel.cli.outcome import Outcome
from pendel.errors import InputError, NotFoundError, Problem
from pendel.runtime.causes import as_data, as_text, chain

if TYPE_CHECKING:
    from pendel.runtime.collecting import SiteMeters

DEFAULT_STORES = (Path("out/demo/pendel.db"), Path("var/pendel.db"))
"""Where a demo and a server without further words keep their store; the newest one is read."""
DEFAULT_URL = "sqlite:///var/pendel.db"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `pendel explain`."""
    parser.add_argument("id", metavar="ID", help="id of a setpoint, a statement line or any record")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--store", metavar="URL", help="store to read (sqlite:///... or a path)")
    parser.add_argument(
        "--statements", metavar="DIR", type=Path, help="where the statement of a line lies"
    )
    where.add_argument("--config", metavar="FILE", type=Path, help="read the store of this server")


def run(args: argparse.Namespace) -> Outcome:
    """Print the tree. Raises NotFoundError (with ids that look alike), StoreError, InputError."""
    store = open_named(args.store, args.config)
    try:
        if args.id.startswith("line-"):
            from pendel.cli.explain_line import DEFAULT_FOLDERS, explain_line

            folders = DEFAULT_FOLDERS if args.statements is None else (args.statements,)
            return explain_line(args.id, store, folders, _meters(args.config))
        tree = chain(store, args.id)
    finally:
        store.close()
    return Outcome(data=as_data(tree), text=as_text(tree))


def _meters(config: Path | None) -> "SiteMeters | None":
    """How the sites of a server are metered."""
    if config is None:
        return None
    from pendel.config.server import load_server_config
    from pendel.runtime.contracts import site_meters

    return site_meters(load_server_config(config))


def open_named(url: str | None, config: Path | None) -> Store:
    """The store of a URL or path, of a configuration, or the newest of the usual places.

    Raises NotFoundError, StoreError, InputError.
    """
    if config is not None:
        return open_store(_configured_url(config), config.parent, read_only=True)
    if url is not None:
        if "://" in url:
            return open_store(url, Path(), read_only=True)
        return SqliteEventLog(Path(url), read_only=True)
    present = [path for path in DEFAULT_STORES if path.is_file()]
    if not present:
        looked = ", ".join(str(path) for path in DEFAULT_STORES)
        raise NotFoundError(f"no store found ({looked}); name one with --store or --config")
    return SqliteEventLog(max(present, key=lambda path: path.stat().st_mtime), read_only=True)


def _configured_url(config: Path) -> str:
    """The store of a server's configuration; only this line of it is looked at."""
    try:
        content = tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise InputError([Problem(config.name, 0, "", error.strerror or str(error))]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError([Problem(config.name, 0, "", str(error))]) from error
    url = content.get("store", DEFAULT_URL)
    if not isinstance(url, str):
        raise InputError([Problem(config.name, 0, "store", "not a text", DEFAULT_URL)])
    if url != "memory://":
        if not url.startswith(POSTGRES_PREFIX):
            sqlite_path(url, config.parent)
        return url
    raise InputError([Problem(config.name, 0, "store", "memory:// keeps nothing to explain")])
