"""Changes to a configuration file that keep everything else in it as it was written."""

import os
import re
import tempfile
from pathlib import Path

from pendel.errors import InputError, Problem

_HEADER = re.compile(r"^\s*\[")


def station_line(lines: list[str], station_id: str) -> int | None:
    """Index of the `[[station]]` line whose table names station_id, or None."""
    begin: int | None = None
    named = re.compile(r"""^\s*["']?station_id["']?\s*=\s*["'](.*?)["']\s*(#.*)?$""")
    for index, line in enumerate(lines):
        if re.match(r"^\s*\[\[\s*station\s*\]\]", line):
            begin = index
        elif _HEADER.match(line):
            begin = None
        elif begin is not None:
            found = named.match(line)
            if found is not None and found.group(1) == station_id:
                return begin
    return None


def with_password_hash(text: str, station_id: str, password_hash: str, file: str) -> str:
    """The text with the hash in that station's table. Raises InputError (no such station)."""
    lines = text.splitlines(keepends=True)
    begin = station_line(lines, station_id)
    if begin is None:
        text = f'no [[station]] with station_id "{station_id}"'
        raise InputError([Problem(file, 0, "station_id", text, "a station of this file")])
    end = next((i for i in range(begin + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    entry = f'password_hash = "{password_hash}"\n'
    for index in range(begin + 1, end):
        if re.match(r"""^\s*["']?password_hash["']?\s*=""", lines[index]):
            lines[index] = entry
            return "".join(lines)
    place = next(i for i in range(begin + 1, end) if "station_id" in lines[i]) + 1
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    lines.insert(place, entry)
    return "".join(lines)


def write_text(path: Path, text: str) -> None:
    """Replace a file in one piece; a file with secrets keeps its mode, a new one is private."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(draft, path.stat().st_mode & 0o777)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
