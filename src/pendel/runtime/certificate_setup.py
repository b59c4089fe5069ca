"""From [plug_and_charge] of the configuration to whoever asks others about certificates."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pendel.adapters.bounded_http import Allowed
from pendel.adapters.certificate_authority import problem
from pendel.adapters.certificate_sources import CertificateSources
from pendel.adapters.contract_pool import HttpContractPool
from pendel.adapters.trust_store import TrustStore
from pendel.comms.ocpp.backend.certificates import CertificateDesk
from pendel.config.certificates import PlugAndChargeConfig
from pendel.errors import InputError, Problem

TOKEN_CHARS_MAX = 4_096


def sources_of(
    config: PlugAndChargeConfig,
    base: Path,
    now_utc: Callable[[], datetime],
    desk: CertificateDesk | None,
) -> CertificateSources:
    """Read everything the table names. Raises InputError."""
    files = {
        kind: [base / name for name in names]
        for kind, names in (
            ("mo", config.mo_roots),
            ("v2g", config.v2g_roots),
            ("oem", config.oem_roots),
        )
    }
    allowed = Allowed()
    try:
        allowed.name(config.responders)
    except ValueError as error:
        raise _bad("responders", str(error), "host or host:port") from error
    store = TrustStore(files, now_utc)
    pool = _pool(config, base, now_utc)
    return CertificateSources(store, allowed, now_utc, desk, pool, config.ocsp)


def _pool(
    config: PlugAndChargeConfig, base: Path, now_utc: Callable[[], datetime]
) -> HttpContractPool | None:
    if config.contract_service is None:
        return None
    token = ""
    if config.contract_token is not None:
        path = base / config.contract_token
        try:
            token = path.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise problem(path, str(error), "one line with a token") from error
        if not token.isprintable() or len(token) > TOKEN_CHARS_MAX:
            raise problem(path, "not a token", "one line of printable characters")
    try:
        return HttpContractPool(config.contract_service, token, now_utc)
    except ValueError as error:
        raise _bad("contract_service", str(error), "http://... or https://...") from error


def _bad(key: str, text: str, allowed: str) -> InputError:
    return InputError([Problem("plug_and_charge", 0, key, text, allowed)])
