"""Tests of optional parts: where a part is not installed its group is named as not run."""

from importlib.util import find_spec
from typing import Any

OPTIONAL = {"adapters/test_dask_engine.py": "distributed"}
"""File of the group, and the package it needs."""

missing = {file: package for file, package in OPTIONAL.items() if find_spec(package) is None}
collect_ignore = list(missing)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not run."""
    for file, package in missing.items():
        terminalreporter.write_line(f"not run: tests/{file} ({package} is not installed)")
