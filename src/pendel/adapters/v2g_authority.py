"""The certificate trees of ISO 15118 beside an own authority, for tests: `pendel ca v2g`.

    V2G root -> CPO sub-CA 1 -> CPO sub-CA 2 -> SECC (a station towards cars)
             -> provisioning service sub-CA 1 -> 2
    MO root  -> MO sub-CA 1  -> MO sub-CA 2  -> contract of a driver
    OEM root -> OEM sub-CA 1 -> OEM sub-CA 2 -> provisioning certificate of a car

Two levels of strength, each in a folder with all trees: `v2g` (ISO 15118-2: P-256 and SHA-256) and
`v2g20` (ISO 15118-20: P-521 and SHA-512). `X-trust.pem` holds root and sub-CAs of one tree: what
somebody configures who checks certificates of it. Sources: OCPP 2.1 part 2, block M, chapter 2
(the trees; a SECC certificate holds two to three months), A00.FR.512 and A00.FR.514 (key usage,
no extended key usage).
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pendel.adapters.certificate_authority import (
    CLOCK_SLACK,
    CRL_DAYS,
    CertificateAuthority,
    key_pem_of,
    pem_of,
    problem,
)
from pendel.adapters.signing_request import RefusedError
from pendel.adapters.whole_file import write_whole

LEVELS: dict[str, tuple[ec.EllipticCurve, hashes.SHA256 | hashes.SHA512]] = {
    "v2g": (ec.SECP256R1(), hashes.SHA256()),
    "v2g20": (ec.SECP521R1(), hashes.SHA512()),
}
SECC_DAYS = 90
CONTRACT_DAYS = 730
PROVISIONING_DAYS = 3_650
TREES = ("v2g", "mo", "oem")

Issuer: TypeAlias = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


@dataclass(frozen=True, slots=True)
class Tier:
    """One authority of a tree. parent "" = a root; path_length: authorities allowed below."""

    parent: str
    words: str
    path_length: int
    days: int


TIERS = {
    "v2g-root": Tier("", "V2G root", 2, 14_600),
    "cpo-sub1": Tier("v2g-root", "CPO sub-CA 1", 1, 2_920),
    "cpo-sub2": Tier("cpo-sub1", "CPO sub-CA 2", 0, 1_460),
    "cps-sub1": Tier("v2g-root", "provisioning service sub-CA 1", 1, 2_920),
    "cps-sub2": Tier("cps-sub1", "provisioning service sub-CA 2", 0, 1_460),
    "mo-root": Tier("", "MO root", 2, 14_600),
    "mo-sub1": Tier("mo-root", "MO sub-CA 1", 1, 2_920),
    "mo-sub2": Tier("mo-sub1", "MO sub-CA 2", 0, 1_460),
    "oem-root": Tier("", "OEM root", 2, 14_600),
    "oem-sub1": Tier("oem-root", "OEM sub-CA 1", 1, 2_920),
    "oem-sub2": Tier("oem-sub1", "OEM sub-CA 2", 0, 1_460),
}


class V2gAuthority:
    """One level of the trees in the folder of an authority, which keeps what is given out."""

    def __init__(self, authority: CertificateAuthority, level: str = "v2g") -> None:
        self.level = level
        self.folder = authority.folder / level
        self._authority = authority
        self._curve, self._hash = LEVELS[level]
        self._issuers: dict[str, Issuer] = {}

    @property
    def exists(self) -> bool:
        """Whether the trees are there."""
        return all((self.folder / f"{name}.key").is_file() for name in TIERS)

    def create(self, ocsp_url: str = "") -> None:
        """Make all trees; certificates below them name ocsp_url as their responder.

        Raises InputError when there are some already."""
        if self.folder.exists():
            raise problem(self.folder, "certificate trees are there already", "a new folder")
        self._write("ocsp_url.txt", ocsp_url.encode())
        for name in TIERS:
            self._make(name)
        for tree in TREES:
            below = [name for name in TIERS if _root_of(name) == f"{tree}-root"]
            bundle = b"".join(pem_of(self.issuer(name)[0]) for name in below)
            self._write(f"{tree}-trust.pem", bundle)
        self.write_lists()

    def issuer(self, name: str) -> Issuer:
        """An authority of the trees and its key. Raises InputError."""
        found = self._issuers.get(name)
        if found is None:
            place = self.folder / f"{name}.pem"
            try:
                certificate = x509.load_pem_x509_certificate(place.read_bytes())
                data = place.with_suffix(".key").read_bytes()
                key = serialization.load_pem_private_key(data, None)
            except (OSError, ValueError, TypeError) as error:
                raise problem(place, str(error), "made by `pendel ca v2g`") from error
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise problem(place, "another kind of key", "ECDSA")
            found = self._issuers[name] = certificate, key
        return found

    def issuers(self) -> list[Issuer]:
        """Every authority of the trees."""
        return [self.issuer(name) for name in TIERS]

    def check_secc_key(self, key: object) -> None:
        """Whether a key may be that of a SECC certificate of this level. Raises RefusedError."""
        fits = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == self._curve.name
        if not fits:
            raise RefusedError(
                f"the key of a {self.level} certificate is one of {self._curve.name}"
            )
        end = self.issuer("cpo-sub2")[0].not_valid_after_utc
        if end <= self._authority.now_utc():
            raise RefusedError(f"the sub-CA here ended {end:%Y-%m-%d}")

    def secc(self, key: ec.EllipticCurvePublicKey, name: str) -> str:
        """The chain (PEM, without root) of a station's certificate towards cars."""
        return self._chain_pem("cpo-sub2", key, name, "CPO", SECC_DAYS)

    def contract(self, emaid: str) -> tuple[Path, Path]:
        """A key and contract certificate with its chain, for tests; their files."""
        return self._leaf_files("mo-sub2", emaid, "MO", CONTRACT_DAYS)

    def provisioning(self, pcid: str) -> tuple[Path, Path]:
        """A key and provisioning certificate of a car with its chain, for tests; their files."""
        return self._leaf_files("oem-sub2", pcid, "OEM", PROVISIONING_DAYS)

    def write_lists(self) -> None:
        """The revocation lists of the authorities of each tree (X-crl.pem)."""
        lists = dict.fromkeys(TREES, b"")
        for name in TIERS:
            lists[_root_of(name).removesuffix("-root")] += self._list(name)
        for tree, data in lists.items():
            self._write(f"{tree}-crl.pem", data)

    def _list(self, name: str) -> bytes:
        now, revoked = self._authority.now_utc(), self._authority.revoked()
        certificate, key = self.issuer(name)
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=certificate.subject,
            last_update=now - CLOCK_SLACK,
            next_update=now + timedelta(days=CRL_DAYS),
        )
        for serial, at_utc in revoked.items():
            found = self._authority.find(serial)
            if found is not None and found.issuer == certificate.subject:
                entry = x509.RevokedCertificateBuilder().serial_number(serial)
                builder = builder.add_revoked_certificate(entry.revocation_date(at_utc).build())
        crl = builder.sign(key, self._hash)
        return crl.public_bytes(serialization.Encoding.PEM)

    def _make(self, name: str) -> None:
        tier = TIERS[name]
        key = ec.generate_private_key(self._curve)
        words = tier.words if self.level == "v2g" else f"{tier.words} (-20)"
        owner = self._authority.operator
        subject = _name(f"{owner[: 63 - len(words)]} {words}", owner)
        parent = self.issuer(tier.parent) if tier.parent else None
        certificate = self._signed(
            key.public_key(), subject, parent or (None, key), tier.days, tier
        )
        if parent is not None:
            self._authority.keep(certificate)
        self._write(f"{name}.key", key_pem_of(key), secret=True)
        self._write(f"{name}.pem", pem_of(certificate))

    def _chain_pem(
        self, issuer: str, key: ec.EllipticCurvePublicKey, name: str, domain: str, days: int
    ) -> str:
        subject = _name(name, self._authority.operator, domain)
        leaf = self._signed(key, subject, self.issuer(issuer), days, None)
        self._authority.keep(leaf)
        above = [self.issuer(each)[0] for each in _path_of(issuer)]
        return b"".join(pem_of(each) for each in [leaf, *above]).decode()

    def _leaf_files(self, issuer: str, name: str, domain: str, days: int) -> tuple[Path, Path]:
        if not (0 < len(name) <= 64 and name.isascii() and name.replace("-", "").isalnum()):
            raise problem(self.folder, f'"{name}" is no identity', "1 to 64 letters, digits, -")
        key = ec.generate_private_key(self._curve)
        chain = self._chain_pem(issuer, key.public_key(), name, domain, days)
        secret = self._write(f"{domain.lower()}/{name}.key", key_pem_of(key), secret=True)
        return self._write(f"{domain.lower()}/{name}.pem", chain.encode()), secret

    def _signed(
        self,
        key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        parent: tuple[x509.Certificate | None, ec.EllipticCurvePrivateKey],
        days: int,
        tier: Tier | None,
    ) -> x509.Certificate:
        """Signed by parent (None = by itself), not valid beyond it."""
        above, secret = parent
        now = self._authority.now_utc()
        end = now + timedelta(days=days)
        builder = (
            x509.CertificateBuilder(
                subject if above is None else above.subject,
                subject,
                key,
                x509.random_serial_number(),
            )
            .not_valid_before(now - CLOCK_SLACK)
            .not_valid_after(end if above is None else min(end, above.not_valid_after_utc))
            .add_extension(
                x509.BasicConstraints(tier is not None, None if tier is None else tier.path_length),
                critical=True,
            )
            .add_extension(_usage(tier is not None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        if above is not None:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key())
            builder = builder.add_extension(identifier, critical=False)
            url = self._ocsp_url()
            if url:
                access = x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
                )
                builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
        return builder.sign(secret, self._hash)

    def _ocsp_url(self) -> str:
        path = self.folder / "ocsp_url.txt"
        return path.read_text("utf-8").strip() if path.is_file() else ""

    def _write(self, name: str, data: bytes, secret: bool = False) -> Path:
        return write_whole(self.folder / name, data, secret)


def _path_of(name: str) -> list[str]:
    """An authority and those above it, without the root."""
    found = []
    while TIERS[name].parent:
        found.append(name)
        name = TIERS[name].parent
    return found


def _root_of(name: str) -> str:
    while TIERS[name].parent:
        name = TIERS[name].parent
    return name


def _name(common: str, operator: str, domain: str = "") -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COMMON_NAME, common),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, operator),
    ]
    if domain:
        parts.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, domain))
    return x509.Name(parts)


def _usage(is_authority: bool) -> x509.KeyUsage:
    """Authorities sign certificates and lists; the others sign and agree on keys."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def v2g_authorities(authority: CertificateAuthority) -> dict[str, V2gAuthority]:
    """The levels that a folder holds."""
    found = {level: V2gAuthority(authority, level) for level in LEVELS}
    return {level: each for level, each in found.items() if each.exists}
