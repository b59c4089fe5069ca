"""The certification page is what the tests say, and its links lead to tests that exist."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from test_certification_cards import CARDS

import certification_map


def test_the_page_is_fresh() -> None:
    assert certification_map.PAGE.read_text("utf-8") == certification_map.page(), (
        "run tools/certification_map.py"
    )


def test_every_card_is_read_by_the_tool_and_the_other_way_round() -> None:
    cards = {
        name
        for name, tests in certification_map.proofs().items()
        if any(test.startswith(certification_map.CARD_TEST) for test in tests)
    }
    assert cards == set(CARDS)


def test_no_reason_is_left_over() -> None:
    found = certification_map.proofs()
    ids = certification_map.table("test_cases_2_0_1.txt")
    ids |= certification_map.table("requirements_2_1.txt")
    reasons = certification_map.table("unproven.txt")
    used = set()
    for name in ids:
        if name not in found:
            used.add(max((p for p in reasons if name.startswith(p)), key=len))
    assert used == set(reasons), "a reason that nobody needs is a proof that nobody named"


def test_the_lists_are_whole() -> None:
    cases = certification_map.table("test_cases_2_0_1.txt")
    assert len(cases) >= 247 and all(re.fullmatch(r"TC_[A-P]_\d+_CSMS", name) for name in cases)
    counts = {block: sum(name[3] == block for name in cases) for block in "BEKN"}
    assert counts == {"B": 21, "E": 27, "K": 32, "N": 30}
    needs = certification_map.table("requirements_2_1.txt")
    assert all(re.fullmatch(r"[KQR]\d\d\.FR\.\d+", name) for name in needs)
    assert {name[:3] for name in needs} >= {"K01", "K29", "Q01", "Q10", "R01", "R05"}
