"""Signed firmware at the virtual station: who signed, what was signed, checked against openssl."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_backend import START_S, Pair, a_car

from pendel.adapters import certificate_authority
from pendel.adapters.certificate_authority import CertificateAuthority
from pendel.adapters.firmware_signing import FirmwareSigner
from pendel.cli.main import main
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.firmware import is_signed

NOW = datetime.fromtimestamp(START_S, UTC)
ALL = list(Version)
IMAGE = b"firmware " * 1_000
certificate_authority.RSA_BITS = 2048


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    found = CertificateAuthority(tmp_path_factory.mktemp("ca") / "ca", lambda: NOW)
    found.create("Example Grid")
    return found


@pytest.fixture(scope="module")
def firmware(authority: CertificateAuthority) -> dict[str, Any]:
    path = authority.folder / "image.bin"
    path.write_bytes(IMAGE)
    signed = FirmwareSigner(authority).sign(path)
    return {
        "location": "https://files.example/image.bin",
        "retrieveDateTime": NOW.isoformat(),
        "signingCertificate": signed.signer,
        "signature": signed.signature,
    }


def station(version: Version, authority: CertificateAuthority, data: bytes | None) -> Pair:
    pair = Pair(version).connect()
    root = (authority.folder / "firmware" / "root.pem").read_text()
    order = {"certificateType": "ManufacturerRootCertificate", "certificate": root}
    assert pair.ask("InstallCertificate", order).status == "Accepted"

    def download(location: str, done: Callable[[bytes | None], None]) -> None:
        pair.station.log.append(f"fetched {location}")
        done(data)

    pair.station.download = download
    return pair


def update(pair: Pair, firmware: dict[str, Any], number: int = 5) -> str:
    action = "SignedUpdateFirmware" if pair.version is Version.V16 else "UpdateFirmware"
    return str(pair.ask(action, {"requestId": number, "firmware": firmware}).status)


def stages(pair: Pair, number: int = 5) -> list[str]:
    notice = "FirmwareStatusNotification"
    notice = f"Signed{notice}" if pair.version is Version.V16 else notice
    told = pair.backend.payloads(notice)
    return [each["status"] for each in told if each.get("requestId") == number]


def events(pair: Pair) -> list[str]:
    return [each["type"] for each in pair.backend.payloads("SecurityEventNotification")]


@pytest.mark.parametrize("version", ALL)
def test_signed_firmware_is_fetched_checked_and_installed(
    version: Version, authority: CertificateAuthority, firmware: dict[str, Any]
) -> None:
    pair = station(version, authority, IMAGE)
    assert update(pair, firmware) == "Accepted"
    pair.run(60)
    assert stages(pair) == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    assert "FirmwareUpdated" in events(pair)
    assert f"fetched {firmware['location']}" in pair.station.log


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("case", ["file", "signature", "missing", "other key"])
def test_a_signature_that_does_not_fit_stops_the_update(
    version: Version,
    case: str,
    authority: CertificateAuthority,
    firmware: dict[str, Any],
    tmp_path: Path,
) -> None:
    data, changed = IMAGE, dict(firmware)
    if case == "file":
        data = IMAGE[:-1] + b"!"
    elif case == "signature":
        raw = bytearray(base64.b64decode(firmware["signature"]))
        raw[7] ^= 1
        changed["signature"] = base64.b64encode(raw).decode()
    elif case == "missing" and version is not Version.V16:
        del changed["signature"]
    else:
        other = CertificateAuthority(tmp_path / "other", lambda: NOW)
        other.create("Somebody")
        path = tmp_path / "image.bin"
        path.write_bytes(IMAGE)
        changed["signature"] = FirmwareSigner(other).sign(path).signature
    pair = station(version, authority, data)
    assert update(pair, changed) == "Accepted"
    pair.run(60)
    assert stages(pair) == ["Downloading", "Downloaded", "InvalidSignature"]
    assert "InvalidFirmwareSignature" in events(pair)
    assert "FirmwareUpdated" not in events(pair)


@pytest.mark.parametrize("version", ALL)
def test_a_signer_of_another_tree_or_time_is_refused(
    version: Version, authority: CertificateAuthority, firmware: dict[str, Any], tmp_path: Path
) -> None:
    other = CertificateAuthority(tmp_path / "other", lambda: NOW)
    other.create("Somebody")
    late = CertificateAuthority(authority.folder, lambda: NOW - timedelta(days=800))
    (tmp_path / "x").write_bytes(IMAGE)
    foreign = FirmwareSigner(other).sign(tmp_path / "x").signer
    root, root_key = FirmwareSigner(late)._root()
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    ended = FirmwareSigner(late)._certificate(key, root, root_key)
    pair = station(version, authority, IMAGE)
    for signer in (foreign, certificate_authority.pem_of(ended).decode(), "nonsense"):
        assert update(pair, {**firmware, "signingCertificate": signer}) == "InvalidCertificate"
    pair.run(60)
    assert events(pair).count("InvalidFirmwareSigningCertificate") == 3 and stages(pair) == []


@pytest.mark.parametrize("version", ALL)
def test_a_file_that_cannot_be_had_is_told(
    version: Version, authority: CertificateAuthority, firmware: dict[str, Any]
) -> None:
    pair = station(version, authority, None)
    assert update(pair, firmware) == "Accepted"
    pair.run(60)
    assert stages(pair) == ["Downloading", "DownloadFailed"]
    pair.station.download = None
    assert update(pair, firmware, 6) == "Accepted"
    pair.run(60)
    assert stages(pair, 6) == ["Downloading", "DownloadFailed"]


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
def test_times_transactions_and_a_second_update(
    version: Version, authority: CertificateAuthority, firmware: dict[str, Any]
) -> None:
    pair = station(version, authority, IMAGE)
    later = (NOW + timedelta(seconds=120)).isoformat()
    pair.plug(a_car())
    pair.run(60)
    timed = {**firmware, "retrieveDateTime": later, "installDateTime": later}
    assert update(pair, timed, 6) == "Accepted"
    assert stages(pair, 6) == ["DownloadScheduled"]
    trigger = {"requestedMessage": "FirmwareStatusNotification"}
    assert pair.ask("TriggerMessage", trigger).status == "Accepted"
    assert stages(pair, 6) == ["DownloadScheduled"] * 2, "L01.FR.26"
    assert update(pair, firmware, 7) == "AcceptedCanceled", "L01.FR.24"
    pair.run(300)
    assert stages(pair, 6) == ["DownloadScheduled"] * 2
    assert stages(pair, 7)[-1] == "SignatureVerified", "a car is charging (L01.FR.06)"
    pair.unplug()
    pair.run(60)
    assert stages(pair, 7)[-2:] == ["Installing", "Installed"]


def test_what_the_command_signs_openssl_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, image = tmp_path / "tls", tmp_path / "image.bin"
    image.write_bytes(IMAGE)
    assert main(["ca", "init", str(folder), "--host", "localhost"]) == 0
    capsys.readouterr()
    words = ["ca", "firmware", str(folder), str(image), "--location", "https://x/y", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    firmware = told["firmware"]
    assert set(firmware) == {"location", "retrieveDateTime", "signingCertificate", "signature"}
    assert len(firmware["signature"]) <= 800 and len(firmware["signingCertificate"]) <= 5_500
    assert is_signed(IMAGE, firmware["signature"], firmware["signingCertificate"])
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    signer, signature, key = (tmp_path / name for name in ("s.pem", "s.sig", "key.pem"))
    signer.write_text(firmware["signingCertificate"])
    signature.write_bytes(base64.b64decode(firmware["signature"]))
    shown = [openssl, "x509", "-in", str(signer), "-pubkey", "-noout"]
    key.write_bytes(subprocess.run(shown, capture_output=True, check=True).stdout)
    verify = [openssl, "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss"]
    verify += ["-verify", str(key), "-signature", str(signature), str(image)]
    assert subprocess.run(verify, capture_output=True, check=True).stdout == b"Verified OK\n"
    leads = [openssl, "verify", "-CAfile", str(folder / "firmware" / "root.pem"), str(signer)]
    subprocess.run(leads, check=True, capture_output=True)
    assert main(["ca", "firmware", str(folder), str(tmp_path / "none.bin")]) == 2
