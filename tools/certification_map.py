"""Writes docs/certification.md: which test shows which requirement or certification test to hold.

    python tools/certification_map.py            write the page
    python tools/certification_map.py --check    exit 1 if it differs from what would be written

Read from the tests without running them: `@pytest.mark.proves("K01.FR.03", ...)` on a test, and
the keys of CARDS in tests/certification/cards_*.py, each of which is one parametrized test. What no
test proves needs its reason in tests/certification/unproven.txt (the longest prefix wins).
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
LISTS = TESTS / "certification"
PAGE = ROOT / "docs" / "certification.md"
CARD_TEST = "certification/test_certification_cards.py"
PARTIES = {"CSMS": "backend", "CS": "station", "other": "other"}


def table(name: str) -> dict[str, str]:
    """A list of lines `id TAB text`."""
    lines = (LISTS / name).read_text("utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def proofs() -> dict[str, list[str]]:
    """Id -> the tests that prove it, as `file::test`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("*.py")):
        name = path.relative_to(TESTS).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for proven in _marked(node):
                    found[proven].append(f"{name}::{node.name}")
        if path.name.startswith("cards_"):
            for proven in _cards(tree):
                found[proven].append(f"{CARD_TEST}::test_card[{proven}]")
    return found


def _marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == "proves":
            yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def _cards(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "CARDS":
            keys = node.value.keys if isinstance(node.value, ast.Dict) else []
            yield from (str(ast.literal_eval(key)) for key in keys if key is not None)


def reason(name: str, reasons: dict[str, str]) -> str:
    """Why nothing proves an id. Raises SystemExit where nobody said."""
    fitting = [prefix for prefix in reasons if name.startswith(prefix)]
    if not fitting:
        raise SystemExit(f"{name}: neither a test nor a reason in unproven.txt")
    return reasons[max(fitting, key=len)]


def rows(ids: dict[str, str], found: dict[str, list[str]]) -> Iterator[str]:
    """One line of the page for each id."""
    reasons = table("unproven.txt")
    for name, about in ids.items():
        tests = found.get(name)
        if tests:
            yield f"| {name} | {about} | {'<br>'.join(f'`{test}`' for test in tests)} |"
        else:
            yield f"| {name} | {about} | not proven: {reason(name, reasons)} |"


def page() -> str:
    """The whole page."""
    cases, parties = table("test_cases_2_0_1.txt"), table("requirements_2_1.txt")
    found = proofs()
    unknown = sorted(set(found) - set(cases) - set(parties))
    if unknown:
        raise SystemExit(f"tests claim to prove what is in no list: {', '.join(unknown)}")
    lines = [HEAD.rstrip("\n"), "", "| what | ids | proven by a test |", "|---|---|---|"]
    count = sum(case in found for case in cases)
    lines.append(f"| certification tests of 2.0.1 for a backend | {len(cases)} | {count} |")
    for block in "KQR":
        for party, words in PARTIES.items():
            ids = [i for i, who in parties.items() if i[0] == block and who == party]
            done = sum(i in found for i in ids)
            lines.append(f"| block {block}, {words} | {len(ids)} | {done} |")
    lines += ["", "## Certification tests of 2.0.1 for a backend", "", *TABLE]
    lines += rows(cases, found)
    lines += ["", "## Requirements of 2.1, blocks K, Q and R", "", *TABLE]
    lines += rows({i: PARTIES[who] for i, who in parties.items()}, found)
    return "\n".join(lines) + "\n"


TABLE = ("| id | about | test, or why not |", "|---|---|---|")
HEAD = """# Certification map

Made by `tools/certification_map.py` from the tests: do not edit. No certificate was applied for;
this page only says which test here shows what a certification test or a requirement asks for, and
where none does.

- Certification tests: part 6 of OCPP 2.0.1 Edition 3, those for a backend (CSMS). A *card* is such
  a test played against the listening server: the operator's orders must stand on the wire as given,
  and every message of the station must be answered as asked.
- Requirements: OCPP 2.1 Edition 1, blocks K (smart charging), Q (bidirectional) and R (DER
  control), by whom they oblige. The station is the virtual station. The ids come from
  [lists](../tests/certification/SOURCE.md).
- Tests are named as below `tests/`.
"""


def main() -> int:
    """Write or check the page; returns the exit status."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text("utf-8") != text:
            print("docs/certification.md is stale: run tools/certification_map.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
