"""`pendel ca` makes, signs, lists and revokes; keys are for their owner only."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pendel.adapters import certificate_authority
from pendel.cli.main import main
from pendel.config.server import check_server
from pendel.config.toml import parse_toml
from pendel.runtime.network_security import security_of

certificate_authority.RSA_BITS = 2048


def ca(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["ca", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_life_of_an_authority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "tls")
    ca(capsys, "init", folder, "--host", "csms.example", "--host", "10.0.0.1", "--operator", "Grid")
    made = ca(capsys, "station", folder, "CP1", "--rsa")
    keys = list((tmp_path / "tls").rglob("*.key"))
    assert len(keys) == 5 and all(stat.S_IMODE(k.stat().st_mode) == 0o600 for k in keys)
    server = x509.load_pem_x509_certificate((tmp_path / "tls" / "server-rsa.pem").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["csms.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CP2")])
    request = x509.CertificateSigningRequestBuilder(subject).sign(own, hashes.SHA256())
    path = tmp_path / "cp2.csr"
    path.write_bytes(request.public_bytes(serialization.Encoding.PEM))
    signed = ca(capsys, "sign", folder, "CP2", str(path))
    leaf = x509.load_pem_x509_certificate(signed["certificate"].encode())
    assert leaf.public_key() == own.public_key()
    assert main(["ca", "sign", folder, "CP3", str(path)]) == 2, "another identity"
    assert len(ca(capsys, "revoke", folder, "CP1")["revoked"]) == 1
    ca(capsys, "server", folder, "--host", "csms.example")
    rows = ca(capsys, "list", folder)["certificates"]
    assert sum(row["kind"] == "server" for row in rows) == 4
    assert [row["name"] for row in rows if row["revoked_utc"]] == ["CP1"]
    assert Path(made["certificate"]).is_file()


def test_bad_words_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "tls")
    assert main(["ca", "list", folder]) == 2
    assert main(["ca", "init", folder, "--host", "ü.example"]) == 2
    assert main(["ca", "init", folder, "--host", "x" * 65]) == 2
    assert not (tmp_path / "tls").exists()
    assert main(["ca", "init", folder, "--host", "localhost"]) == 0
    before = (tmp_path / "tls" / "ca.pem").read_bytes()
    assert main(["ca", "init", folder, "--host", "localhost"]) == 2, "never over another one"
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == before
    assert main(["ca", "station", folder, "../CP1"]) == 2
    assert main(["ca", "revoke", folder, "NOBODY"]) == 2
    assert "a folder made by `pendel ca init`" in capsys.readouterr().err


SITE = '[[site]]\nsite_id = "a"\ntimezone = "UTC"\nimport_limit_kw = 1.0\n'


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[ocpp]\nplain = false\n", 2, "no port for stations is left"),
        ("[ocpp.tls]\nport = 9443\n", 1, "no certificate of the server"),
        ('[ocpp.tls]\nfolder = "x"\nport = 9000\n', 3, "9000 is the port of OCPP already"),
        ('[ocpp.tls]\nfolder = "x"\nport = 8080\n', 3, "8080 is the port of HTTP already"),
        ('[ocpp.tls]\ncertificates = ["x"]\nrevoked = ["y"]\n', 3, "lists of nobody"),
        ('[ocpp.tls]\nfolder = "x"\ncolour = 1\n', 3, "colour"),
        (
            '[[station]]\nstation_id = "A"\nsite_id = "a"\nsecurity_profile = 4\n',
            4,
            "security_profile",
        ),
        ('[[root]]\ntype = "OtherRoot"\nfile = "x"\n', 2, "OtherRoot"),
        ('[[root]]\ntype = "MORootCertificate"\n', 1, "file"),
        (
            '[[root]]\ntype = "MORootCertificate"\nfile = "x"\nstations = ["NO"]\n',
            4,
            'station "NO" is not known',
        ),
        ("[plug_and_charge]\nmo_roots = 5\n", 2, "mo_roots"),
        ("[plug_and_charge]\ncolour = 5\n", 2, "colour"),
    ],
)
def test_the_configuration_of_tls_is_checked(text: str, line: int, told: str) -> None:
    _, problems = check_server(parse_toml(text + SITE, "c.toml"))
    assert [problem.line for problem in problems] == [line]
    assert told in str(problems[0])


def test_files_beside_a_folder_win(tmp_path: Path) -> None:
    assert main(["ca", "init", str(tmp_path / "tls"), "--host", "localhost"]) == 0
    text = '[ocpp.tls]\nfolder = "tls"\ncertificates = ["tls/server-rsa.pem"]\n'
    config, problems = check_server(parse_toml(text + SITE, "c.toml"))
    assert config is not None and not problems
    found = security_of(config.ocpp, tmp_path, lambda: datetime.now(UTC))
    assert found.tls is not None and found.desk is not None
    assert [path.name for path in found.tls.files.certificates] == ["server-rsa.pem"]
    assert found.tls.files.organization == "pendel"


def test_trees_contracts_and_new_roots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "tls")
    ca(capsys, "init", folder, "--host", "csms.example", "--operator", "Grid")
    assert main(["ca", "contract", folder, "DEABCC123456789"]) == 2, "no trees yet"
    assert main(["ca", "v2g", folder, "--ocsp", "ftp://x"]) == 2
    capsys.readouterr()
    trees = ca(capsys, "v2g", folder, "--ocsp", "http://csms.example/ocsp")
    assert set(trees) == {"v2g", "v2g20"}
    assert main(["ca", "v2g", folder]) == 2, "never over others"
    for words in (("contract", "DE-ABC-C12345678-9"), ("provisioning", "WP0ZZZ", "--iso20")):
        capsys.readouterr()
        made = ca(capsys, words[0], folder, *words[1:])
        assert stat.S_IMODE(Path(made["key"]).stat().st_mode) == 0o600
        chain = x509.load_pem_x509_certificates(Path(made["certificate"]).read_bytes())
        level = tmp_path / "tls" / ("v2g20" if "--iso20" in words else "v2g")
        tree = "oem" if words[0] == "provisioning" else "mo"
        root = x509.load_pem_x509_certificate((level / f"{tree}-root.pem").read_bytes())
        for below, above in zip(chain, [*chain[1:], root], strict=True):
            below.verify_directly_issued_by(above)
        names = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert names[0].value == words[1]
    assert main(["ca", "contract", folder, "../x"]) == 2
    capsys.readouterr()
    assert ca(capsys, "revoke", folder, "DE-ABC-C12345678-9")["revoked"]
    lists = (tmp_path / "tls" / "v2g" / "mo-crl.pem").read_bytes().split(b"-----END X509 CRL-----")
    crls = [x509.load_pem_x509_crl(p + b"-----END X509 CRL-----") for p in lists if p.strip()]
    assert [len(list(each)) for each in crls] == [0, 0, 1]
    assert main(["ca", "roll", folder, "--finish"]) == 2, "not begun"
    capsys.readouterr()
    before = (tmp_path / "tls" / "ca-ecdsa.pem").read_bytes()
    station = ca(capsys, "station", folder, "CP1")["certificate"]
    ca(capsys, "roll", folder)
    assert main(["ca", "roll", folder]) == 2, "begun already"
    capsys.readouterr()
    old = x509.load_pem_x509_certificate(before)
    link = x509.load_pem_x509_certificate((tmp_path / "tls" / "next-ecdsa-link.pem").read_bytes())
    link.verify_directly_issued_by(old)
    made = ca(capsys, "roll", folder, "--finish")
    assert len(made["certificates"]) == 2
    fresh = x509.load_pem_x509_certificate((tmp_path / "tls" / "ca-ecdsa.pem").read_bytes())
    server = x509.load_pem_x509_certificate((tmp_path / "tls" / "server-ecdsa.pem").read_bytes())
    server.verify_directly_issued_by(fresh)
    trusted = x509.load_pem_x509_certificates((tmp_path / "tls" / "ca.pem").read_bytes())
    current = x509.load_pem_x509_certificates((tmp_path / "tls" / "ca-current.pem").read_bytes())
    assert old in trusted and fresh in trusted and len(trusted) == 4
    assert old not in current and fresh in current and len(current) == 2
    leaf = x509.load_pem_x509_certificate(Path(station).read_bytes())
    leaf.verify_directly_issued_by(old)
    ca(capsys, "revoke", folder, "CP1")
    lists = (tmp_path / "tls" / "crl.pem").read_bytes().split(b"-----END X509 CRL-----")
    crls = [x509.load_pem_x509_crl(p + b"-----END X509 CRL-----") for p in lists if p.strip()]
    (of_old,) = [each for each in crls if each.issuer == old.subject]
    assert of_old.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
    assert len(crls) == 4
    kinds = {row["kind"] for row in ca(capsys, "list", folder)["certificates"]}
    assert kinds == {"server", "station", "authority", "mo", "oem"}
