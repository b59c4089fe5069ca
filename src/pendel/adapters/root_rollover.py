"""Gives an authority new roots without shutting anybody out: `pendel ca roll`, twice.

    roll            next-X.pem/.key are made, and next-X-link.pem: the new root signed by the old
                    one, for stations that take no other (M05.FR.10). ca.pem (whom the door trusts)
                    and ca-current.pem (what stations should have) hold old and new.
    roll --finish   the new roots sign from now on, new server certificates are theirs; the old ones
                    are in retired/ and stay in ca.pem while they hold; ca-current.pem: only new.

Between the two every station must have got the new roots ([[root]] of the configuration does it).
"""

from pathlib import Path

from cryptography import x509

from pendel.adapters.certificate_authority import (
    ALGORITHMS,
    CertificateAuthority,
    key_pem_of,
    new_key,
    pem_of,
    problem,
    root_certificate,
)
from pendel.adapters.whole_file import write_whole

CURRENT = "ca-current.pem"


class RootRollover:
    """One change of the roots of an authority."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self.folder = authority.folder
        self._authority = authority

    @property
    def has_begun(self) -> bool:
        """Whether new roots are there and do not sign yet."""
        return all((self.folder / f"next-{each}.pem").is_file() for each in ALGORITHMS)

    def begin(self) -> list[Path]:
        """Make the new roots; their files. Raises InputError: they are there already."""
        if self.has_begun:
            raise problem(self.folder, "new roots are there already", "`pendel ca roll --finish`")
        made = []
        number = 2 + len(list((self.folder / "retired").glob("*-ecdsa.pem")))
        for algorithm in ALGORITHMS:
            old, old_key = self._authority.root(algorithm)
            key = new_key(algorithm)
            now, words = self._authority.now_utc(), f"{algorithm.upper()} root {number}"
            root = root_certificate(key, self._authority.name(words), now)
            link = root_certificate(key, self._authority.name(words), now, old, old_key)
            self._write(f"next-{algorithm}.key", key_pem_of(key), secret=True)
            made.append(self._write(f"next-{algorithm}.pem", pem_of(root)))
            made.append(self._write(f"next-{algorithm}-link.pem", pem_of(link)))
        self._write_bundles()
        return made

    def finish(self) -> list[Path]:
        """Let the new roots sign; the new server certificates. Raises InputError: none are new."""
        if not self.has_begun:
            raise problem(self.folder, "no new roots are there", "`pendel ca roll` first")
        hosts = self._hosts()
        for algorithm in ALGORITHMS:
            old, key = self._authority.root(algorithm)
            kept = f"retired/{old.serial_number:040x}-{algorithm}"
            self._write(f"{kept}.key", key_pem_of(key), secret=True)
            self._write(f"{kept}.pem", pem_of(old))
        for algorithm in ALGORITHMS:
            for end in ("key", "pem"):
                path = self.folder / f"next-{algorithm}.{end}"
                self._write(f"ca-{algorithm}.{end}", path.read_bytes(), secret=end == "key")
                path.unlink()
            link = self.folder / f"next-{algorithm}-link.pem"
            link.replace(self.folder / f"ca-{algorithm}-link.pem")
        self._write_bundles()
        self._authority.write_crl()
        return self._authority.server(hosts)

    def _write_bundles(self) -> None:
        """ca.pem: whom the door trusts; ca-current.pem: what stations should have."""
        now = self._authority.now_utc()
        signing = [each for each, _ in self._authority.roots()]
        fresh = [
            x509.load_pem_x509_certificate((self.folder / f"next-{each}.pem").read_bytes())
            for each in ALGORITHMS
            if self.has_begun
        ]
        old = [each for each, _ in self._authority.retired() if each.not_valid_after_utc > now]
        self._write("ca.pem", b"".join(pem_of(each) for each in [*signing, *fresh, *old]))
        self._write(CURRENT, b"".join(pem_of(each) for each in [*signing, *fresh]))

    def _hosts(self) -> list[str]:
        """The names of the server as its certificate has them."""
        path = self.folder / "server-ecdsa.pem"
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (OSError, ValueError, x509.ExtensionNotFound) as error:
            raise problem(path, str(error), "the server's certificate") from error
        return [str(each.value) for each in found.value]

    def _write(self, name: str, data: bytes, secret: bool = False) -> Path:
        return write_whole(self.folder / name, data, secret)
