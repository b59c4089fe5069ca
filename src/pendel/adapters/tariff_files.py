"""Tariffs by path or by the name of one that ships with pendel."""

from importlib.resources import files
from pathlib import Path

from pendel.config import parse_toml
from pendel.errors import InputError, Problem
from pendel.tariff.model import Tariff
from pendel.tariff.read import read_tariff

TARIFF_BYTES_MAX = 4 << 20


def shipped_tariffs() -> list[str]:
    """Names of the tariffs that ship with pendel."""
    folder = files("pendel").joinpath("data", "tariffs")
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def open_tariff(given: str, folder: Path | None = None) -> tuple[Tariff | None, list[Problem]]:
    """A shipped tariff by name, else a file (relative to folder): it, or None and every problem."""
    if given in shipped_tariffs():
        name = f"{given}.toml"
        text = files("pendel").joinpath("data", "tariffs", name).read_text("utf-8")
    else:
        path = Path(given) if folder is None else folder / given
        name = path.name
        try:
            if path.stat().st_size > TARIFF_BYTES_MAX:
                return None, [Problem(name, 0, "", "too large", "at most 4 MiB")]
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            allowed = f"a file, or one of {', '.join(shipped_tariffs())}"
            return None, [Problem(name, 0, "", error.strerror or "cannot be read", allowed)]
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            return None, [Problem(name, line, "", "not UTF-8")]
    try:
        document = parse_toml(text, name)
    except InputError as error:
        return None, list(error.problems)
    return read_tariff(document)
