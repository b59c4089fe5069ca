"""Puts the official OCPP schemas into the wheel, unmodified, as they lie in the `ocpp` wheel.

They are CC BY-ND 4.0, so they are neither committed nor changed: read at build time, held against a
known digest, and shipped under pendel/data/ocpp/schemas with the notice in data/ocpp/SOURCE.md. An
editable installation needs none of them: pendel never reads them while it runs.
"""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VERSIONS = ("v16", "v201", "v21")
DIGEST = "04fe7b233d08278ec03e645d6bda1f5e5440ff52c2cd4508be4a2dd0387e60c6"


def schema_files() -> dict[str, Path]:
    """Place inside the package -> file, for all three versions."""
    package = importlib.metadata.distribution("ocpp")
    found = {}
    for version in VERSIONS:
        folder = Path(str(package.locate_file(f"ocpp/{version}/schemas")))
        for path in sorted(folder.glob("*.json")):
            found[f"{version}/{path.name}"] = path
    return found


def digest_of(files: dict[str, Path]) -> str:
    """SHA-256 over names and contents."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


class SchemasHook(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook of hatchling (a custom one must lie in this file)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the schemas to a real wheel. Raises RuntimeError for schemas nobody checked."""
        if version == "editable":
            return
        files = schema_files()
        found = digest_of(files)
        if found != DIGEST:
            raise RuntimeError(f"the schemas of the ocpp wheel are not the known ones: {found}")
        for name, path in files.items():
            build_data["force_include"][str(path)] = f"pendel/data/ocpp/schemas/{name}"
