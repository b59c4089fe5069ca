"""Style as a test, so that nobody has to argue about it (cf. docs/internals/style.md)."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "pendel"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100
BLOB_BYTES_MAX = 1 << 20
DEPENDENCIES_MAX = 18
GENERATED_MARK = "generated"
BANNED_NAMES = {"utils.py", "helpers.py", "misc.py", "common.py"}
BANNED_CALLS = {
    "print": "print only in cli; return an Outcome or log",
    "eval": "parse instead",
    "exec": "parse instead",
}
SETTLE_BANNED = ("float", "numpy")


def tracked(*patterns: str) -> list[Path]:
    """Files git tracks (or would), as absolute paths; without git every file of the tree."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return [path for pattern in patterns or ("*",) for path in ROOT.rglob(pattern)]
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def is_generated(text: str) -> bool:
    return GENERATED_MARK in text.split("\n", 1)[0].lower()


def python_files() -> list[Path]:
    return [path for path in tracked("*.py") if not is_generated(path.read_text("utf-8"))]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_file_is_tidy(path: Path) -> None:
    text = path.read_text("utf-8")
    lines = text.splitlines()
    problems = []
    if path.name in BANNED_NAMES:
        problems.append("name the file after what it holds")
    if len(lines) > FILE_LINES_MAX:
        problems.append(f"{len(lines)} lines (at most {FILE_LINES_MAX})")
    problems += [
        f"line {number}: {len(line)} columns"
        for number, line in enumerate(lines, 1)
        if len(line) > LINE_COLUMNS_MAX and "http" not in line
    ]
    tree = ast.parse(text)
    for node in functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            problems.append(f"{node.name}: {length} lines (at most {FUNCTION_LINES_MAX})")
    if path.is_relative_to(SOURCE):
        problems += missing_docstrings(tree) + banned_calls(path, tree)
    assert not problems, f"{path.relative_to(ROOT)}: " + "; ".join(problems)


def missing_docstrings(tree: ast.Module) -> list[str]:
    """Public modules, classes and functions say what they do."""
    problems = [] if ast.get_docstring(tree) else ["module docstring missing"]

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                problems.append(f"line {node.lineno}: {node.name}: docstring missing")
            if isinstance(node, ast.ClassDef):
                visit(node.body)

    visit(tree.body)
    return problems


def banned_calls(path: Path, tree: ast.Module) -> list[str]:
    in_cli = path.is_relative_to(SOURCE / "cli")
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in BANNED_CALLS and not (in_cli and name == "print"):
                problems.append(f"line {node.lineno}: {name}(): {BANNED_CALLS[name]}")
        if isinstance(node, ast.Assert):
            problems.append(f"line {node.lineno}: assert: use errors.require, it stays on")
    return problems


def settle_files() -> list[Path]:
    return [path for path in python_files() if path.is_relative_to(SOURCE / "settle")]


@pytest.mark.parametrize("path", settle_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_money_is_exact(path: Path) -> None:
    """Inside settle numbers are exact: no float literal, no float() and no numpy."""
    problems = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            problems.append(f"line {node.lineno}: float literal {node.value}")
        if isinstance(node, ast.Name) and node.id in SETTLE_BANNED:
            problems.append(f"line {node.lineno}: {node.id}")
        if isinstance(node, ast.Import) and any(a.name in SETTLE_BANNED for a in node.names):
            problems.append(f"line {node.lineno}: import numpy")
    assert not problems, problems


def test_no_blobs() -> None:
    large = [str(p.relative_to(ROOT)) for p in tracked() if p.stat().st_size > BLOB_BYTES_MAX]
    assert not large


def test_few_direct_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(project["dependencies"]) <= DEPENDENCIES_MAX


def test_locks_hold_hashes_not_addresses() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index" not in text


def test_data_names_its_source() -> None:
    """Each folder with third-party data keeps the attribution of its licence."""
    for path in tracked("*.csv", "*.csv.gz", "*.parquet"):
        if path.is_relative_to(ROOT / "tests" / "cases"):
            continue
        folders = [path.parent, *path.parents[1:3]]
        assert any((folder / "SOURCE.md").exists() for folder in folders), path
