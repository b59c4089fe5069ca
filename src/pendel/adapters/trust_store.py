"""Foreign authorities that an operator trusts, by what they are trusted for.

Kinds: mo (contracts of drivers), v2g (stations towards cars), oem (cars). A file may hold roots
and authorities below them; what is no root must lead to one. Authorities that a checked chain
brought along are remembered (bounded), so that later questions by hash find their issuer.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import AuthorityInformationAccessOID

from pendel.adapters.certificate_authority import problem
from pendel.adapters.certificate_paths import Path as CertificatePath
from pendel.adapters.certificate_paths import path_of
from pendel.comms.ocpp.certificates import ALGORITHMS, issuer_hashes

KINDS = ("mo", "v2g", "oem")
LEARNT_MAX = 1_000
URLS_MAX = 5

Names = tuple[str, str, str]
"""Algorithm, hash of the name and hash of the key of an authority."""


class TrustStore:
    """files: PEM, by kind. now_utc: the clock. Raises InputError for a bad file."""

    def __init__(
        self, files: Mapping[str, Sequence[Path]], now_utc: Callable[[], datetime]
    ) -> None:
        self._files = {kind: tuple(files.get(kind, ())) for kind in KINDS}
        self._now_utc = now_utc
        self._stamps = self._stamp()
        self.roots: dict[str, list[x509.Certificate]] = {}
        self._between: dict[str, list[x509.Certificate]] = {}
        self._by_names: dict[str, dict[Names, x509.Certificate]] = {}
        self._learnt: dict[str, int] = {}
        self._read()

    @property
    def certificates(self) -> list[x509.Certificate]:
        """Everything that was read from files."""
        return [each for kind in KINDS for each in [*self.roots[kind], *self._between[kind]]]

    def refresh(self) -> bool:
        """Read changed files again; False where nothing changed. Raises InputError."""
        stamps = self._stamp()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        self._read()
        return True

    def path(
        self, kind: str, certificate: x509.Certificate, between: Sequence[x509.Certificate]
    ) -> CertificatePath:
        """The way from a certificate to a root of a kind; its authorities are remembered."""
        found = path_of(
            certificate, [*between, *self._between[kind]], self.roots[kind], self._now_utc()
        )
        for authority in found.certificates[1:]:
            self._learn(kind, authority)
        return found

    def issuer(self, names: Names, kinds: Sequence[str] = KINDS) -> x509.Certificate | None:
        """The authority of these hashes, where one of the kinds knows it and it holds now."""
        now_utc = self._now_utc()
        for kind in kinds:
            found = self._by_names[kind].get(names)
            if found is not None and _holds(found, now_utc):
                return found
        return None

    def _read(self) -> None:
        roots: dict[str, list[x509.Certificate]] = {kind: [] for kind in KINDS}
        between: dict[str, list[x509.Certificate]] = {kind: [] for kind in KINDS}
        for kind, paths in self._files.items():
            for path in paths:
                for each in _certificates(path):
                    (roots if _is_root(each) else between)[kind].append(each)
        self.roots, self._between = roots, between
        self._by_names = {kind: {} for kind in KINDS}
        self._learnt = dict.fromkeys(KINDS, 0)
        for kind in KINDS:
            for each in roots[kind]:
                self._name(kind, each)
            for each in between[kind]:
                self._take_authority(kind, each)

    def _take_authority(self, kind: str, authority: x509.Certificate) -> None:
        """One from a file that is no root: it counts if it leads to one."""
        above, now_utc = self._between[kind], self._now_utc()
        if path_of(authority, above, self.roots[kind], now_utc, is_authority=True).certificates:
            self._name(kind, authority)

    def _learn(self, kind: str, authority: x509.Certificate) -> None:
        if self._learnt[kind] < LEARNT_MAX and self._name(kind, authority):
            self._learnt[kind] += 1

    def _name(self, kind: str, authority: x509.Certificate) -> bool:
        """Find it by its hashes from now on; False where it was known."""
        known = self._by_names[kind]
        fresh = False
        for algorithm in ALGORITHMS:
            try:
                names = (algorithm, *issuer_hashes(authority, algorithm))
            except ValueError:
                return False
            fresh = fresh or names not in known
            known[names] = authority
        return fresh

    def _stamp(self) -> list[tuple[str, int, int]]:
        found = []
        for path in (each for paths in self._files.values() for each in paths):
            try:
                state = os.stat(path)
            except OSError:
                continue
            found.append((str(path), state.st_mtime_ns, state.st_ino))
        return found


def responder_urls(certificate: x509.Certificate) -> list[str]:
    """The OCSP responders that a certificate names (at most URLS_MAX)."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return []
    urls = [
        str(each.access_location.value)
        for each in access.value
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ]
    return urls[:URLS_MAX]


def list_urls(certificate: x509.Certificate) -> list[str]:
    """Where a certificate says that revocation lists are (at most URLS_MAX)."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return []
    urls = [
        str(name.value)
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return urls[:URLS_MAX]


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise problem(path, str(error), "certificates as PEM") from error
    return found


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _holds(certificate: x509.Certificate, now_utc: datetime) -> bool:
    return certificate.not_valid_before_utc <= now_utc <= certificate.not_valid_after_utc
