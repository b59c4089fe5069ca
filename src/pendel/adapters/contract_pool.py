"""A pool of contract certificates behind HTTP: cars' requests go there as they came (M01, M02).

    POST {"schema", "action", "exi", "contracts_max"?, "emaids"?} -> {"exi": [base64, ...]}
                                                                  or {"reason": text}

One response per contract, the first first. For ISO 15118-20 a car may take several: the rest is
kept for the same request of the same station, which the car repeats (M01.FR.04-07).
"""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Protocol

import msgspec

from pendel.adapters.bounded_http import Allowed, HttpFault, ask
from pendel.comms.ocpp.backend.certificates import PoolFinding, PoolQuestion

ANSWER_BYTES_MAX = 256 << 10
ASK_S = 4.5
"""A car waits five seconds (ISO 15118-2, CertificateInstallationReq)."""
CONTRACTS_MAX = 32
REST_HOLDS = timedelta(minutes=2)
RESTS_MAX = 100


class ContractPool(Protocol):
    """Who makes contract certificates for cars."""

    async def find(self, question: PoolQuestion) -> PoolFinding:
        """The response for the car, or why there is none. Never raises."""
        ...


class PoolAnswer(msgspec.Struct):
    """What a pool answers."""

    exi: Annotated[list[str], msgspec.Meta(max_length=CONTRACTS_MAX)] = []
    reason: str = ""


class HttpContractPool:
    """Implements ContractPool. token: sent as a bearer token, "" = none. Raises ValueError for an
    address that cannot be asked."""

    def __init__(self, url: str, token: str, now_utc: Callable[[], datetime]) -> None:
        self._url = url
        self._now_utc = now_utc
        self._allowed = Allowed()
        self._allowed.name([url])
        if self._allowed.refusal(url):
            raise ValueError(self._allowed.refusal(url))
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._rests: dict[PoolQuestion, tuple[datetime, list[str]]] = {}

    async def find(self, question: PoolQuestion) -> PoolFinding:
        """The response for the car, or why there is none."""
        rest = self._rests.pop(question, None)
        if rest is not None and self._now_utc() < rest[0]:
            return self._first(question, rest[1])
        try:
            contracts = await self._asked(question)
        except HttpFault as error:
            return PoolFinding("", f"the pool of contract certificates: {error}"[:400])
        return self._first(question, contracts)

    def _first(self, question: PoolQuestion, contracts: list[str]) -> PoolFinding:
        """One contract now, the others when the same question comes again."""
        rest = contracts[1:] if question.chains_max is not None else []
        if rest:
            while len(self._rests) >= RESTS_MAX:
                del self._rests[next(iter(self._rests))]
            self._rests[question] = (self._now_utc() + REST_HOLDS, rest)
        return PoolFinding(contracts[0], remaining=len(rest))

    async def _asked(self, question: PoolQuestion) -> list[str]:
        wish: dict[str, object] = {
            "schema": question.schema,
            "action": question.action,
            "exi": question.exi,
        }
        if question.chains_max is not None:
            wish["contracts_max"] = question.chains_max
        if question.emaids:
            wish["emaids"] = list(question.emaids)
        body = json.dumps(wish).encode()
        data = await ask(self._url, self._allowed, ANSWER_BYTES_MAX, ASK_S, body, self._headers)
        try:
            answer = msgspec.json.decode(data, type=PoolAnswer)
            for each in answer.exi:
                if not base64.b64decode(each, validate=True):
                    raise HttpFault("an empty contract")
        except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise HttpFault(f"an answer that cannot be read: {error}"[:200]) from error
        if not answer.exi:
            raise HttpFault(answer.reason[:200] or "no contract")
        return answer.exi
