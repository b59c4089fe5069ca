"""A pool of contract certificates behind HTTP: what goes there, what comes back, what does not."""

import asyncio
import base64
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from foreign_pki import http_server

from pendel.adapters import contract_pool
from pendel.adapters.contract_pool import HttpContractPool
from pendel.comms.ocpp.backend.certificates import PoolFinding, PoolQuestion
from pendel.config.certificates import PlugAndChargeConfig
from pendel.errors import InputError
from pendel.runtime.certificate_setup import sources_of

QUESTION = PoolQuestion("CS1", "urn:iso:15118:2", "Install", "QUJD")
SEVERAL = replace(QUESTION, chains_max=3, emaids=("E1", "E2"))


class Pool:
    """answer: what the server says next; asked: what it was asked (path, body, headers)."""

    def __init__(self) -> None:
        self.answer: Any = {"exi": ["QUJD"]}
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.clock = timedelta(0)

    def reply(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        self.asked.append((path, json.loads(body), headers))
        raw = self.answer
        return raw if isinstance(raw, bytes) else json.dumps(raw).encode()

    def find(self, pool: HttpContractPool, question: PoolQuestion = QUESTION) -> PoolFinding:
        return asyncio.run(pool.find(question))

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + self.clock


def test_a_request_goes_there_as_it_came_and_the_answer_comes_back() -> None:
    told = Pool()
    with http_server(told.reply) as port:
        pool = HttpContractPool(f"http://127.0.0.1:{port}/contracts", "secret", told.now)
        assert told.find(pool) == PoolFinding("QUJD")
        path, body, headers = told.asked[0]
        assert path == "/contracts" and headers["Authorization"] == "Bearer secret"
        assert body == {"schema": "urn:iso:15118:2", "action": "Install", "exi": "QUJD"}
        told.find(pool, SEVERAL)
        assert told.asked[1][1]["contracts_max"] == 3 and told.asked[1][1]["emaids"] == ["E1", "E2"]


def test_several_contracts_come_one_after_the_other() -> None:
    """M01.FR.04-07: the same request again brings the next one, counted down."""
    told = Pool()
    told.answer = {"exi": [base64.b64encode(text).decode() for text in (b"a", b"b", b"c")]}
    with http_server(told.reply) as port:
        pool = HttpContractPool(f"http://127.0.0.1:{port}/", "", told.now)
        found = [told.find(pool, SEVERAL) for _ in range(3)]
        assert [base64.b64decode(each.exi) for each in found] == [b"a", b"b", b"c"]
        assert [each.remaining for each in found] == [2, 1, 0] and len(told.asked) == 1
        told.find(pool, SEVERAL)
        other = replace(SEVERAL, station_id="CS2")
        assert told.find(pool, other).remaining == 2 and len(told.asked) == 3, "nobody else's"
        told.clock = timedelta(minutes=5)
        assert told.find(pool, SEVERAL).remaining == 2 and len(told.asked) == 4, "forgotten"
        assert told.find(pool).remaining == 0, "ISO 15118-2 knows one"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense",
        b"",
        b"[]",
        {"exi": "QUJD"},
        {"exi": []},
        {"exi": ["not base64!"]},
        {"exi": [""]},
        {"exi": [7]},
        {"exi": ["QUJD"] * 40},
        {"exi": [], "reason": "no such car"},
        b"x" * (300 << 10),
    ],
)
def test_answers_that_are_none(answer: Any) -> None:
    told = Pool()
    told.answer = answer
    with http_server(told.reply) as port:
        pool = HttpContractPool(f"http://127.0.0.1:{port}/", "", told.now)
        finding = told.find(pool)
        assert finding.exi == "" and finding.reason.startswith("the pool of contract certificates")
        if isinstance(answer, dict) and "reason" in answer:
            assert "no such car" in finding.reason


def test_a_pool_that_is_down_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Pool()
    down = HttpContractPool("http://127.0.0.1:9/", "", told.now)
    assert "127.0.0.1" in told.find(down).reason
    monkeypatch.setattr(contract_pool, "RESTS_MAX", 2)
    told.answer = {"exi": ["QUJD", "QUJD"]}
    with http_server(told.reply) as port:
        pool = HttpContractPool(f"http://127.0.0.1:{port}/", "", told.now)
        for number in range(5):
            told.find(pool, replace(SEVERAL, exi=f"AAA{number}"))
        assert len(pool._rests) == 2


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"contract_service": "file:///etc/passwd"}, "contract_service"),
        ({"contract_service": "http://"}, "contract_service"),
        ({"contract_service": "http://x/", "contract_token": "none"}, "none"),
        ({"responders": ["http://"]}, "responders"),
        ({"mo_roots": ["none.pem"]}, "none.pem"),
        ({"mo_roots": ["bad.pem"]}, "bad.pem"),
    ],
)
def test_a_configuration_that_cannot_work_names_its_fault(
    fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    with pytest.raises(InputError) as raised:
        sources_of(PlugAndChargeConfig(**fields), tmp_path, lambda: datetime.now(UTC), None)
    assert told in str(raised.value.problems[0])
