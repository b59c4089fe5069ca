"""Security profiles 2 and 3 over real sockets, and everything that must not get in."""

import asyncio
import datetime as dt
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from ocpp_network_bench import HASH, basic, station_at
from tls_world import OPERATOR, authority_at, came, made, now_utc, tls_network, trusting

from pendel.adapters import tls as tls_module
from pendel.adapters.memory_log import MemoryEventLog
from pendel.adapters.tls import SUITES_12, client_context
from pendel.errors import InputError

SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
"""TLS_ECDHE_ECDSA_WITH_AES_..., TLS_RSA_WITH_AES_... of A00.FR.318 as OpenSSL names them."""

BROKEN = ("SSLError", "InvalidMessage", "ConnectionResetError")
"""How a connection ends that does not get as far as an HTTP answer."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority = made(folder / "ca")
    authority.station("CP1")
    authority.station("CP2", "rsa")
    return folder


def bare(*stations: str) -> dict[str, Any]:
    """Stations without a password."""
    return {"station": [{"station_id": name, "site_id": "home"} for name in stations]}


@pytest.mark.proves("TC_A_01_CSMS", "TC_A_02_CSMS", "TC_A_03_CSMS")
def test_profile_2_is_tls_and_a_password(base: Path) -> None:
    async def run(network: Any) -> None:
        safe = trusting(base)
        assert await came(network.tls_port, safe) == 101
        assert await came(network.tls_port, safe, headers=basic("CP1", "wrong")) == 401
        assert await came(network.tls_port, safe, headers={}) == 401
        assert await came(network.tls_port, safe, headers=basic("CP2")) == 401
        assert await came(network.tls_port, safe, "NOBODY") == 404
        assert await came(network.tls_port, safe, version="1.6") == 101

    with tls_network(base) as network:
        asyncio.run(run(network))
        assert network.watch.rejections["CP1"].count == 3


@pytest.mark.proves("TC_A_07_CSMS", "TC_A_08_CSMS")
@pytest.mark.parametrize("fast", [True, False])
def test_profile_3_is_a_certificate_and_no_password(base: Path, fast: bool) -> None:
    async def run(network: Any) -> None:
        port = network.tls_port
        assert await came(port, trusting(base, "CP1"), headers={}) == 101
        assert await came(port, trusting(base, "CP2"), "CP2", headers={}) == 101
        async with station_at_tls(port, base, "CP1") as station:
            assert (await station.boot())[0] == 3
            link = network.door.links["CP1"]
            assert link.security_profile == 3 and link.certificate.organizations == (OPERATOR,)
        # the name in the certificate is not the identity in the address
        assert await came(port, trusting(base, "CP2"), "CP1", headers={}) == 401
        assert await came(port, trusting(base, "CP2"), "CP1", headers=basic("CP1")) == 401
        # the user name, where there is one, must be the identity as well
        assert await came(port, trusting(base, "CP1"), "CP1", headers=basic("CP2")) == 401
        assert await came(port, trusting(base), "CP1", headers={}) == 403

    with tls_network(base, fast=fast, **bare("CP1", "CP2")) as network:
        asyncio.run(run(network))
        assert network.watch.rejections["CP1"].count == 4


def station_at_tls(port: int, base: Path, station: str) -> Any:
    return station_at(port, station, scheme="wss", ssl=trusting(base, station))


@pytest.mark.proves("TC_A_04_CSMS")
@pytest.mark.parametrize("suite", SUITES)
def test_the_four_suites_of_the_specification_with_both_certificates(
    base: Path, suite: str
) -> None:
    async def run(network: Any) -> None:
        client = trusting(base)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(suite)
        async with station_at(network.tls_port, scheme="wss", ssl=client) as station:
            secured = station.socket.transport.get_extra_info("ssl_object")
            assert secured.cipher()[0] == suite and secured.version() == "TLSv1.2"
            assert secured.compression() is None
            shown = x509.load_der_x509_certificate(secured.getpeercert(True))
            is_ec = isinstance(shown.public_key(), ec.EllipticCurvePublicKey)
            assert is_ec is ("ECDSA" in suite)

    with tls_network(base) as network:
        asyncio.run(run(network))


@pytest.mark.proves("TC_A_06_CSMS")
def test_old_tls_and_weak_suites_do_not_get_in(base: Path) -> None:
    old = trusting(base)
    with pytest.deprecated_call():
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    weak = trusting(base)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA:AES128-SHA256")

    async def run(port: int) -> None:
        assert await came(port, old) in BROKEN
        assert await came(port, weak) in BROKEN
        new = trusting(base)
        new.minimum_version = ssl.TLSVersion.TLSv1_3
        assert await came(port, new) == 101

    with tls_network(base) as network:
        asyncio.run(run(network.tls_port))
    assert "CBC" not in SUITES_12 and "3DES" not in SUITES_12


@pytest.mark.proves("TC_A_08_CSMS")
def test_certificates_of_others_do_not_get_in(base: Path, tmp_path: Path) -> None:
    foreign = made(tmp_path / "foreign")
    foreign.station("CP1")
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "CP1"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, OPERATOR),
        ]
    )
    itself = (
        x509.CertificateBuilder(name, name, own.public_key(), 7)
        .not_valid_before(now_utc() - dt.timedelta(days=1))
        .not_valid_after(now_utc() + dt.timedelta(days=1))
        .sign(own, hashes.SHA256())
    )
    key = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    self_signed = tmp_path / "self.pem"
    self_signed.write_bytes(itself.public_bytes(serialization.Encoding.PEM) + key)
    ended, _ = authority_at(base / "ca", days_ago=800).station("LATE")
    trust = base / "ca" / "ca.pem"
    broken = [
        client_context(trust, tmp_path / "foreign" / "stations" / "CP1.pem"),
        client_context(trust, self_signed),
        client_context(trust, ended),
        client_context(trust, base / "ca" / "server-ecdsa.pem"),  # not made for clients
    ]

    async def run(port: int) -> None:
        for client in broken:
            station = "LATE" if client is broken[2] else "CP1"
            found = await came(port, client, station, headers={})
            assert found in BROKEN, found

    with tls_network(base, **bare("CP1", "LATE")) as network:
        asyncio.run(run(network.tls_port))
        assert not network.door.links


def test_a_station_checks_the_server_too(base: Path, tmp_path: Path) -> None:
    made(tmp_path / "ca")
    other = client_context(tmp_path / "ca" / "ca.pem")

    async def run(port: int) -> None:
        assert await came(port, other) == "SSLCertVerificationError"

    with tls_network(base) as network:
        asyncio.run(run(network.tls_port))


def test_another_operator_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "ca").station("CP1")

    async def run(port: int) -> None:
        assert await came(port, trusting(tmp_path, "CP1"), headers={}) == 401

    with tls_network(tmp_path, tls={"organization": "Somebody Else"}) as network:
        asyncio.run(run(network.tls_port))
        assert network.watch.rejections["CP1"].reason.endswith("another organization")


def test_no_downgrade_not_even_after_a_restart(base: Path) -> None:
    store = MemoryEventLog()

    async def up(network: Any) -> None:
        assert await came(network.port, None) == 101
        assert await came(network.tls_port, trusting(base)) == 101
        assert await came(network.port, None) == 403, "profile 1 after 2"
        assert await came(network.port, None, headers=basic("CP1", "wrong")) == 403
        assert await came(network.port, None, "CP2") == 101, "another station is not touched"
        assert await came(network.tls_port, trusting(base, "CP1"), headers={}) == 101
        assert await came(network.tls_port, trusting(base)) == 403, "profile 2 after 3"

    async def again(network: Any, expected: list[int]) -> None:
        found = [
            await came(network.port, None),
            await came(network.tls_port, trusting(base)),
            await came(network.tls_port, trusting(base, "CP1"), headers={}),
        ]
        assert found == expected

    with tls_network(base, store) as network:
        asyncio.run(up(network))
    with tls_network(base, store) as network:
        asyncio.run(again(network, [403, 403, 101]))
    # a charger was replaced: the operator says so in the configuration
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH}
    replaced = [{**station, "security_profile": 1}]
    with tls_network(base, store, station=replaced) as network:
        asyncio.run(again(network, [101, 101, 101]))


def test_a_least_profile_of_the_configuration_holds_from_the_first_moment(base: Path) -> None:
    station = {"station_id": "CP1", "site_id": "home", "password_hash": HASH}

    async def run(network: Any) -> None:
        assert await came(network.port, None) == 403
        assert await came(network.tls_port, trusting(base)) == 101

    with tls_network(base, station=[{**station, "security_profile": 2}]) as network:
        asyncio.run(run(network))


def test_the_plain_port_can_be_shut(base: Path) -> None:
    ocpp = {"plain": False, "tls": {"folder": "ca", "port": 0}}

    async def run(network: Any) -> None:
        assert network.port == 0 and network.accepting
        assert await came(network.tls_port, trusting(base)) == 101

    with tls_network(base, ocpp=ocpp) as network:
        asyncio.run(run(network))


def test_plain_text_and_silence_at_the_tls_port_disturb_nobody(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pendel.adapters.ocpp_server.HANDSHAKE_S", 0.5)

    async def run(port: int) -> None:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        slow[1][1].write(b"\x16\x03\x01")  # the first bytes of a handshake, and then nothing
        assert await came(port, None) in BROKEN
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01" + os.urandom(2_000))
        assert b"HTTP" not in await asyncio.wait_for(reader.read(100), 3.0)
        assert await came(port, trusting(base)) == 101, "while others are silent"
        for quiet, _ in slow:
            assert await asyncio.wait_for(quiet.read(), 5.0) == b"", "cut off in time"
        for _, each in (*slow, (reader, writer)):
            each.close()

    with tls_network(base) as network:
        asyncio.run(run(network.tls_port))


def test_a_wrong_certificate_does_not_disturb_the_right_station(base: Path) -> None:
    async def run(network: Any) -> None:
        port = network.tls_port
        async with station_at_tls(port, base, "CP1") as first:
            await first.boot()
            assert await came(port, trusting(base, "CP2"), "CP1", headers={}) == 401
            assert await came(port, trusting(base), "CP1", headers={}) == 403
            assert (await first.call("Heartbeat", {}))[0] == 3
            async with station_at_tls(port, base, "CP1") as second:
                assert (await second.call("Heartbeat", {}))[0] == 3
                await asyncio.wait_for(first.socket.wait_closed(), 2.0)
                assert network.online("CP1")

    with tls_network(base, **bare("CP1", "CP2")) as network:
        asyncio.run(run(network))


@pytest.mark.parametrize("fast", [True, False])
def test_a_renewed_server_certificate_is_used_without_a_restart(tmp_path: Path, fast: bool) -> None:
    authority = made(tmp_path / "ca")
    authority.station("CP1")

    def serial(station: Any) -> int:
        secured = station.socket.transport.get_extra_info("ssl_object")
        return x509.load_der_x509_certificate(secured.getpeercert(True)).serial_number

    renewed: list[int] = []

    async def run(network: Any) -> None:
        port = network.tls_port
        async with station_at_tls(port, tmp_path, "CP1") as first:
            await first.boot()
            authority.server(["localhost", "127.0.0.1"])
            network.watch.look(now_utc())
            assert (await first.call("Heartbeat", {}))[0] == 3, "open lines stay"
            async with station_at(port, "CP2", scheme="wss", ssl=trusting(tmp_path)) as second:
                assert serial(second) != serial(first)
                renewed.append(serial(second))
            (tmp_path / "ca" / "server-rsa.pem").write_text("broken")
            network.watch.look(now_utc())
            async with station_at(port, "CP2", scheme="wss", ssl=trusting(tmp_path)) as third:
                assert serial(third) == renewed[0], "what was read before holds"

    with tls_network(tmp_path, fast=fast) as network:
        asyncio.run(run(network))


def test_a_revoked_certificate_loses_its_line_and_does_not_come_back(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    authority.station("CP1")
    authority.station("CP2")

    async def run(network: Any) -> None:
        port = network.tls_port
        async with (
            station_at_tls(port, tmp_path, "CP1") as gone,
            station_at_tls(port, tmp_path, "CP2") as stays,
        ):
            await gone.boot()
            await stays.boot()
            assert len(authority.revoke("CP1")) == 1
            network.reload_security()
            await asyncio.wait_for(gone.socket.wait_closed(), 3.0)
            assert gone.socket.close_code == 1008
            assert (await stays.call("Heartbeat", {}))[0] == 3
        assert await came(port, trusting(tmp_path, "CP1"), headers={}) == 401
        authority.station("CP1")
        assert await came(port, trusting(tmp_path, "CP1"), headers={}) == 101, "a new one is good"

    with tls_network(tmp_path, **bare("CP1", "CP2")) as network:
        asyncio.run(run(network))


def test_bad_files_are_named(tmp_path: Path) -> None:
    authority = made(tmp_path / "ca")
    folder = tmp_path / "ca"
    other = made(tmp_path / "other")
    cases = [
        {"certificates": ("missing.pem",)},
        {"certificates": ("ca.pem",), "station_ca": ("ca.pem",)},
        {"station_ca": ("crl.pem",)},
        {"station_ca": ("ca.pem",), "revoked": ("../other/crl.pem",)},
        {"station_ca": ("ca.pem",), "revoked": ("nowhere.pem",)},
    ]
    assert authority.exists and other.exists
    for case in cases:
        paths = {name: tuple(folder / each for each in value) for name, value in case.items()}
        paths.setdefault("certificates", (folder / "server-rsa.pem",))
        with pytest.raises(InputError) as caught:
            tls_module.ServerTls(tls_module.TlsFiles(**paths), now_utc)
        assert str(tmp_path) in str(caught.value.problems[0])
