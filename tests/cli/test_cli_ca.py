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
