"""Tests of optional parts: where something is not installed its group is named as not run."""

import shutil
from importlib.util import find_spec
from typing import Any

NEEDED = {
    "adapters/test_dask_engine.py": {"distributed": find_spec("distributed") is not None},
    "adapters/test_postgres_log.py": {
        "pg8000": find_spec("pg8000") is not None,
        "PostgreSQL": shutil.which("initdb") is not None,
    },
}
"""What each group of tests needs, and whether it is there."""

missing = {
    file: [name for name, there in needs.items() if not there]
    for file, needs in NEEDED.items()
    if not all(needs.values())
}
collect_ignore = list(missing)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not run."""
    for file, names in missing.items():
        terminalreporter.write_line(f"not run: tests/{file} ({', '.join(names)} not installed)")
