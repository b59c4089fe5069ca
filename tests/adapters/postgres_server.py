"""A PostgreSQL server of its own for tests, in a folder of its own, on a socket only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = "nobody"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, where they are installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(os.path.realpath(found)).parent
    # Debian and its kin keep them off the path, one folder per version.
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return kept[-1].parent if kept else None


@contextmanager
def server() -> Iterator[str]:
    """URL of the database `postgres` of a new server (without a schema)."""
    binaries = programs()
    assert binaries is not None
    # A short path: socket names are at most about 100 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    who = {"user": NOBODY} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, NOBODY)

    def run(*words: str) -> None:
        subprocess.run(
            [str(binaries / words[0]), *words[1:]], check=True, capture_output=True, cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}, **who,
        )  # fmt: skip

    data = str(folder / "data")
    try:
        run("initdb", "-D", data, "-U", "pendel", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        run(
            "pg_ctl",
            "-D",
            data,
            "-w",
            "-t",
            "60",
            "-l",
            str(folder / "log"),
            "-o",
            options,
            "start",
        )
        try:
            yield f"postgresql://pendel@localhost/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
