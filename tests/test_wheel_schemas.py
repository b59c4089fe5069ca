"""The schemas that a wheel carries are those the messages were made from, byte for byte."""

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("hatchling", "builders", "hooks", "plugin", "interface")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """hatch_build.py as a module; hatchling itself is not needed for it."""
    for depth in range(1, len(PARTS) + 1):
        module = types.ModuleType(".".join(PARTS[:depth]))
        module.BuildHookInterface = object  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_all_schemas_go_into_a_wheel_and_none_into_an_editable_one(hook: Any) -> None:
    files = hook.schema_files()
    assert len(files) == 78 + 128 + 181
    assert hook.digest_of(files) == hook.DIGEST
    for version, count in (("standard", 387), ("editable", 0)):
        data: dict[str, Any] = {"force_include": {}}
        hook.SchemasHook().initialize(version, data)
        assert len(data["force_include"]) == count
        assert all("/schemas/v" in place for place in data["force_include"].values())


def test_schemas_nobody_checked_stop_the_build(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = tmp_path / "Authorize.json"
    changed.write_text("{}")
    files = hook.schema_files() | {"v16/Authorize.json": changed}
    monkeypatch.setattr(hook, "schema_files", lambda: files)
    with pytest.raises(RuntimeError, match="not the known ones"):
        hook.SchemasHook().initialize("standard", {"force_include": {}})
