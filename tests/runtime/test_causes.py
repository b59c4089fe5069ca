"""The tree of causes: bounded, without repetition, for any graph of causes."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.adapters.memory_log import MemoryEventLog
from pendel.records import Tick
from pendel.runtime.causes import NODES_MAX, Node, as_data, as_text, chain

AT = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def nodes(root: Node) -> list[Node]:
    return [root] + [node for child in root.causes for node in nodes(child)]


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.lists(st.integers(0, 30), max_size=5), min_size=1, max_size=25))
def test_every_reachable_record_is_opened_once(edges: list[list[int]]) -> None:
    """Oracle: plain graph search; causes may form circles and point nowhere."""
    log = MemoryEventLog()
    log.append(
        [
            Tick(id=str(i), at_utc=AT, causes=tuple(map(str, out)), plan_id="")
            for i, out in enumerate(edges)
        ]
    )
    reachable, todo = set(), ["0"]
    while todo:
        name = todo.pop()
        if name not in reachable and int(name) < len(edges):
            reachable.add(name)
            todo += map(str, edges[int(name)])
    tree = chain(log, "0")
    opened = [node.record_id for node in nodes(tree) if node.record is not None]
    assert sorted(opened) == sorted(reachable)
    assert as_text(tree).count("TICK ") == len(reachable)
    assert as_data(tree)["id"] == "0"


def test_a_huge_tree_is_cut_and_says_so() -> None:
    log = MemoryEventLog()
    causes = tuple(f"c{i}" for i in range(2 * NODES_MAX))
    log.append([Tick(id="top", at_utc=AT, causes=causes, plan_id="")])
    tree = chain(log, "top")
    assert len(nodes(tree)) == NODES_MAX
    assert "too much to show" in as_text(tree)


def test_a_long_chain_ends() -> None:
    log = MemoryEventLog()
    log.append([Tick(id=f"{i}", at_utc=AT, causes=(f"{i + 1}",), plan_id="") for i in range(5000)])
    assert len(nodes(chain(log, "0"))) < 100
