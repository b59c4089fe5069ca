"""Tests of optional parts: where something is not installed its group is named as not run."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DASK, PG8000 = "pip install 'pendel[dask]'", "pip install 'pendel[postgresql]'"
POSTGRESQL = "apt-get install postgresql"
HAS_POSTGRESQL = bool(
    shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
)
NEEDED = {
    "adapters/test_dask_engine.py": {DASK: find_spec("distributed") is not None},
    "adapters/test_postgres_log.py": {
        PG8000: find_spec("pg8000") is not None,
        POSTGRESQL: HAS_POSTGRESQL,
    },
}
"""What each group of tests needs, by the command that installs it, and whether it is there."""

missing = {
    file: [name for name, there in needs.items() if not there]
    for file, needs in NEEDED.items()
    if not all(needs.values())
}
collect_ignore = list(missing)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not run."""
    for file, names in missing.items():
        terminalreporter.write_line(f"not run: tests/{file} (needs: {'; '.join(names)})")
