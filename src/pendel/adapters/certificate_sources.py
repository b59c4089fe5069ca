"""Finds out what only others know about certificates, for a backend's answers.

    question -> own authority | responder or list (checked) | pool of contracts -> finding

At most TOGETHER questions at once and FIND_S for all of a request: a station waits no longer, and
nobody can make this server a tool against others (which servers are asked: `bounded_http`).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from pendel.adapters.bounded_http import Allowed
from pendel.adapters.certificate_paths import CHAIN_ERROR, read_chain
from pendel.adapters.certificate_status import StatusDesk
from pendel.adapters.trust_store import TrustStore, list_urls, responder_urls
from pendel.comms.ocpp.backend.certificates import (
    NO_CONTRACTS,
    NO_PLUG_AND_CHARGE,
    CertificateDesk,
    ContractFinding,
    ContractQuestion,
    Finding,
    PoolFinding,
    PoolQuestion,
    Question,
    StatusFinding,
    StatusQuestion,
)
from pendel.comms.ocpp.certificates import hash_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from pendel.adapters.contract_pool import ContractPool

TOGETHER = 32
FIND_S = 9.0
CONTRACTS = ("mo",)


class CertificateSources:
    """store: whom an operator trusts; desk: the own authority; pool: of contracts (may be set
    later); asks_status False: contracts are taken without asking whether they are revoked."""

    def __init__(
        self,
        store: TrustStore,
        allowed: Allowed,
        now_utc: "Callable[[], datetime]",
        desk: CertificateDesk | None = None,
        pool: "ContractPool | None" = None,
        asks_status: bool = True,
    ) -> None:
        self.pool = pool
        self._store = store
        self._allowed = allowed
        self._now_utc = now_utc
        self._desk = desk
        self._asks_status = asks_status
        self._status = StatusDesk(store, allowed, now_utc)
        self._room: asyncio.Semaphore | None = None
        self._vouch(store.certificates)

    def refresh(self) -> bool:
        """Take over changed files. Raises InputError."""
        if not self._store.refresh():
            return False
        self._status.forget()
        self._vouch(self._store.certificates)
        return True

    async def find(self, questions: Sequence[Question]) -> tuple[Finding, ...]:
        """A finding for each question, in order. Never raises for what others answer."""
        if self._room is None:
            self._room = asyncio.Semaphore(TOGETHER)
        tasks = [asyncio.ensure_future(self._in_turn(each, self._room)) for each in questions]
        try:
            async with asyncio.timeout(FIND_S):
                await asyncio.wait(tasks)
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()
        return tuple(
            task.result()
            if task.done() and not task.cancelled() and task.exception() is None
            else self._late(question)
            for task, question in zip(tasks, questions, strict=True)
        )

    async def _in_turn(self, question: Question, room: asyncio.Semaphore) -> Finding:
        async with room:
            if isinstance(question, StatusQuestion):
                return await self._status.find(question)
            if isinstance(question, PoolQuestion):
                if self.pool is None:
                    return PoolFinding("", NO_CONTRACTS)
                return await self.pool.find(question)
            return await self._contract(question)

    def _late(self, question: Question) -> Finding:
        reason = f"no answer within {FIND_S:g} s"
        if isinstance(question, StatusQuestion):
            return StatusFinding("Failed", self._now_utc(), reason=reason)
        if isinstance(question, PoolQuestion):
            return PoolFinding("", reason)
        return ContractFinding(CHAIN_ERROR, reason)

    async def _contract(self, question: ContractQuestion) -> ContractFinding:
        """C07: chain, dates and revocation of a contract certificate."""
        if not self._store.roots["mo"]:
            return ContractFinding(CHAIN_ERROR, NO_PLUG_AND_CHARGE)
        if not question.chain_pem.strip():
            if not question.parts:
                return ContractFinding("NoCertificateAvailable", "no certificate was shown")
            return await self._revoked(question.parts)
        try:
            leaf, *between = read_chain(question.chain_pem)
            told = [str(n.value) for n in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
            path = self._store.path("mo", leaf, between)
        except (ValueError, UnsupportedAlgorithm, UnicodeError) as error:
            return ContractFinding(CHAIN_ERROR, f"not a certificate chain: {error}"[:300])
        if not path.certificates:
            return ContractFinding(path.status, path.reason)
        if [plain_emaid(each) for each in told] != [plain_emaid(question.emaid)]:
            return ContractFinding(CHAIN_ERROR, "the certificate is that of another contract")
        self._vouch(path.certificates)
        try:
            parts = _parts_of(path.certificates)
        except ValueError as error:
            return ContractFinding(CHAIN_ERROR, str(error)[:300])
        return await self._revoked(parts)

    async def _revoked(self, parts: Sequence[StatusQuestion]) -> ContractFinding:
        """Whether any part of a chain is revoked, or cannot be asked about (C07.FR.16-17)."""
        if not self._asks_status and all(self._is_known(each) for each in parts):
            return ContractFinding("Accepted")
        found = await asyncio.gather(*(self._part(each) for each in parts))
        if any(each.status == "Revoked" for each in found):
            return ContractFinding("CertificateRevoked", "a certificate of the chain is revoked")
        for each in found:
            if each.status != "Good":
                reason = each.reason or f"its responder says {each.status}"
                return ContractFinding(CHAIN_ERROR, reason)
        return ContractFinding("Accepted")

    async def _part(self, part: StatusQuestion) -> StatusFinding:
        """By the own authority where it is of it; it must be one that is trusted for contracts."""
        if self._desk is not None and self._desk.is_own(part.wanted) and self._is_known(part):
            status, again_utc = self._desk.status(part.wanted)
            return StatusFinding(status, again_utc)
        return await self._status.find(part, CONTRACTS)

    def _is_known(self, part: StatusQuestion) -> bool:
        wanted = part.wanted
        names = (wanted.algorithm, wanted.issuer_name_hash, wanted.issuer_key_hash)
        return self._store.issuer(names, CONTRACTS) is not None

    def _vouch(self, certificates: Sequence[x509.Certificate]) -> None:
        for each in certificates:
            self._allowed.vouch([*responder_urls(each), *list_urls(each)])


def plain_emaid(emaid: str) -> str:
    """An eMAID without its optional separators, as it is compared (ISO 15118-1, annex H)."""
    return emaid.replace("-", "").casefold()


def _parts_of(path: Sequence[x509.Certificate]) -> list[StatusQuestion]:
    """The questions about a path: every certificate but the root. Raises ValueError: a key of
    another kind than RSA and ECDSA."""
    found = []
    for certificate, issuer in pairwise(path):
        source, urls = "OCSP", responder_urls(certificate)
        if not urls:
            source, urls = "CRL", list_urls(certificate)
        found.append(StatusQuestion(hash_data(certificate, issuer), source, tuple(urls)))
    return found
