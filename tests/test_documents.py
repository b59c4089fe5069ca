"""The newcomer's documents say what is there: links lead somewhere, commands exist."""

import re
from pathlib import Path

import pytest

from pendel.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target in LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, f"{page.relative_to(ROOT)}: {broken}"


@pytest.mark.parametrize("name", ["README.md", "docs/tutorials/first-hour.md"])
def test_commands_and_examples_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    called = set(re.findall(r"(?:\.venv/bin/|`)pendel ([a-z-]+)", text))
    assert called
    assert called <= set(COMMANDS)
    for folder in re.findall(r"examples/([a-z]+)\b(?!\.)", text):
        assert (ROOT / "examples" / folder / "scenario.toml").is_file(), folder


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    tree = text.split("## The tree", 1)[1].split("## ", 1)[0]
    source = ROOT / "src" / "pendel"
    there = {p.name for p in source.iterdir() if p.is_dir() and not p.name.startswith("_")}
    named = set(re.findall(r"^ {8}([a-z]+)/", tree, re.MULTILINE))
    assert named == there


def test_the_picture_is_small_and_asks_for_nothing() -> None:
    picture = (ROOT / "docs" / "pictures" / "carshare.svg").read_text("utf-8")
    assert len(picture.encode()) < 100_000
    assert set(re.findall(r"[a-z]+://[^\"'< )]+", picture)) == {"http://www.w3.org/2000/svg"}
