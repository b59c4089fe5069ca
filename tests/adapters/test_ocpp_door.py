"""The OCPP door over real sockets: who is let in, what a frame may be, who replaces whom."""

import asyncio
import importlib.util
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from ocpp_network_bench import HASH, PASSWORD, basic, config, event, network_of, station_at

from pendel.adapters.passwords import PasswordChecker, Verdict, hash_password, matches
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.process import loop_factory


@pytest.fixture(params=["python", "uvloop"], autouse=True)
def loop_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything at the door holds on the loop of Python and on uvloop, where that is there."""
    kind = str(request.param)
    if kind == "uvloop" and importlib.util.find_spec("uvloop") is None:
        kind = "python"
    monkeypatch.setattr(
        "pendel.runtime.network.loop_factory", lambda fast: loop_factory(kind == "uvloop")
    )
    return kind


async def status_of(port: int, path: str, headers: dict[str, str], protocols: Any) -> int:
    try:
        async with connect(
            f"ws://127.0.0.1:{port}{path}", subprotocols=protocols, additional_headers=headers
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_who_is_let_in_before_the_upgrade() -> None:
    good, protocols = basic("CP1"), ["ocpp2.1"]
    cases = [
        ("/ocpp/CP1", good, protocols, 101),
        ("/ocpp/NOBODY", good, protocols, 404),
        ("/ocpp/NOBODY", basic("NOBODY"), protocols, 404),
        ("/ocpp/", good, protocols, 404),
        ("/elsewhere/CP1", good, protocols, 404),
        ("/ocpp/CP1", basic("CP1", "wrong"), protocols, 401),
        ("/ocpp/CP1", basic("CP1", ""), protocols, 401),
        ("/ocpp/CP1", {}, protocols, 401),
        ("/ocpp/CP1", {"Authorization": "Basic !!!"}, protocols, 401),
        ("/ocpp/CP1", {"Authorization": "Bearer abc"}, protocols, 401),
        ("/ocpp/CP1", basic("CP2"), protocols, 401),
        ("/ocpp/CP1", good, None, 400),
        ("/ocpp/CP1", {}, None, 401),
    ]

    async def run(port: int) -> None:
        for path, headers, offered, expected in cases:
            found = await status_of(port, path, headers, offered)
            assert found == expected, (path, headers, offered, found)

    with network_of() as network:
        asyncio.run(run(network.port))


def test_what_is_no_upgrade_is_told_so() -> None:
    authorization = basic("CP1")["Authorization"]
    head = f"Host: x\r\nAuthorization: {authorization}\r\nSec-WebSocket-Protocol: ocpp2.1\r\n\r\n"
    cases = [
        (f"GET /ocpp/CP1 HTTP/1.1\r\n{head}", b"HTTP/1.1 426 "),
        (f"POST /ocpp/CP1 HTTP/1.1\r\n{head}", b"HTTP/1.1 405 "),
        (f"GET /ocpp/CP2 HTTP/1.1\r\n{head}", b"HTTP/1.1 401 "),
        ("GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 "),
        ("nothing of the kind\r\n\r\n", b""),
    ]

    async def run(port: int) -> None:
        for text, expected in cases:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text.encode())
            found = await asyncio.wait_for(reader.read(), 5.0)  # to the end: it closes
            assert found.startswith(expected) and bool(found) is bool(expected), (text, found)
            writer.close()

    with network_of() as network:
        asyncio.run(run(network.port))


def test_unknown_subprotocols_only_complete_the_handshake_then_close() -> None:
    async def run(port: int) -> None:
        url, headers = f"ws://127.0.0.1:{port}/ocpp/CP1", basic("CP1")
        async with connect(url, subprotocols=["mqtt"], additional_headers=headers) as socket:
            assert socket.subprotocol is None
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        for name in ("ocpp1.6", "ocpp2.0.1", "ocpp2.1"):
            offered = ["ocpp9", name, "x"]
            async with connect(url, subprotocols=offered, additional_headers=headers) as socket:
                assert socket.subprotocol == name

    with network_of() as network:
        asyncio.run(run(network.port))
        assert network.presence["CP1"].ocpp_version == "2.1"


def test_lab_waives_only_the_password_that_is_not_there() -> None:
    stations = [
        {"station_id": "OPEN", "site_id": "home"},
        {"station_id": "SHUT", "site_id": "home", "password_hash": HASH},
    ]

    async def run(port: int, lab: bool) -> None:
        protocols = ["ocpp1.6"]
        opened = 101 if lab else 401
        assert await status_of(port, "/ocpp/OPEN", {}, protocols) == opened
        assert await status_of(port, "/ocpp/OPEN", basic("OPEN", "any"), protocols) == opened
        assert await status_of(port, "/ocpp/OPEN", basic("SHUT"), protocols) == 401
        assert await status_of(port, "/ocpp/SHUT", {}, protocols) == 401
        assert await status_of(port, "/ocpp/SHUT", basic("SHUT"), protocols) == 101

    for lab in (True, False):
        with network_of(config(station=stations, lab=lab)) as network:
            asyncio.run(run(network.port, lab))


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_frames(version: str) -> None:
    async def run(port: int) -> None:
        async with station_at(port, version=version) as station:
            await station.boot(version)
            station.close()
            socket = station.socket

            async def answer(frame: str | bytes) -> str:
                await socket.send(frame)
                return str(await asyncio.wait_for(socket.recv(), 5.0))

            assert '"NotImplemented"' in await answer('[2,"a","Nonsense",{}]')
            shape = '"ProtocolError"' if version == "1.6" else '"FormatViolation"'
            assert shape in await answer('[2,"b","Heartbeat"]')
            assert (await answer('[2,77,"Heartbeat",{}]')).startswith("[4,77,")
            padded = '[2,"c","DataTransfer",{"vendorId":"x","data":"' + "y" * 50_000 + '"}]'
            assert (await answer(padded)).startswith('[3,"c",')
            await socket.send('[3,"never-asked",{}]')
            await socket.send(b"\xff\xfe\x00")
            await socket.send("[" * 10_000)
            await socket.send('{"no":"array"}')
            for _ in range(6):  # broken frames may be answered; the socket lives on
                await socket.send('[2,"d","Heartbeat",{}]')
                if '[3,"d"' in str(await asyncio.wait_for(socket.recv(), 5.0)):
                    break
            else:
                pytest.fail("no heartbeat after broken frames")
            await socket.send("z" * 131_073)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await asyncio.wait_for(socket.recv(), 5.0)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009

    with network_of() as network:
        asyncio.run(run(network.port))


def test_a_second_socket_replaces_only_when_it_is_authenticated() -> None:
    async def run(network: ChargingNetwork) -> None:
        port = network.port
        async with station_at(port) as first:
            await first.boot()
            assert await status_of(port, "/ocpp/CP1", basic("CP1", "no"), ["ocpp2.1"]) == 401
            assert await status_of(port, "/ocpp/CP1", basic("CP1"), ["mqtt"]) == 101
            assert (await first.call("Heartbeat", {}))[0] == 3
            begun = time.monotonic()
            async with station_at(port) as second:
                assert (await second.call("Heartbeat", {}))[0] == 3
                await asyncio.wait_for(first.socket.wait_closed(), 2.0)
                assert time.monotonic() - begun < 2.0
                await asyncio.sleep(0.05)
                assert network.online("CP1"), "the end of the old must not remove the new"
                assert (await second.call("Heartbeat", {}))[0] == 3

    with network_of() as network:
        asyncio.run(run(network))


def interleave(rounds: int, seed: int) -> None:
    """Two sockets with one identity, right and wrong passwords, aborts and heartbeats."""
    rng = random.Random(seed)

    async def one(network: ChargingNetwork) -> None:
        port, sockets = network.port, []
        for _ in range(rng.randint(2, 5)):
            choice = rng.random()
            if choice < 0.25:
                code = await status_of(port, "/ocpp/CP1", basic("CP1", "wrong"), ["ocpp2.1"])
                assert code in (401, 503)
            elif choice < 0.5 and sockets:
                victim = rng.choice(sockets)
                if rng.random() < 0.5:
                    victim.transport.abort()
                else:
                    await victim.close()
            else:
                url = f"ws://127.0.0.1:{port}/ocpp/CP1"
                sockets.append(
                    await connect(
                        url,
                        subprotocols=["ocpp1.6"],
                        additional_headers=basic("CP1"),
                        close_timeout=0.2,
                    )
                )
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        last = await connect(
            f"ws://127.0.0.1:{port}/ocpp/CP1",
            subprotocols=["ocpp1.6"],
            additional_headers=basic("CP1"),
        )
        for socket in sockets:
            await socket.close()
        await last.send('[2,"x","Heartbeat",{}]')
        assert '[3,"x"' in str(await asyncio.wait_for(last.recv(), 5.0))
        assert network.online("CP1")
        await last.close()

    async def run(network: ChargingNetwork) -> None:
        for _ in range(rounds):
            await one(network)

    with network_of() as network:
        # the delay of wrong passwords is tested elsewhere
        asyncio.run(run(network))


def test_interleavings_of_two_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendel.adapters.passwords.FREE_FAILURES", 10**6)
    interleave(40, seed=1)


@pytest.mark.proof
@pytest.mark.timeout(1_200)
def test_1000_interleavings_of_two_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendel.adapters.passwords.FREE_FAILURES", 10**6)
    interleave(1_000, seed=2)


def test_passwords_are_argon2id_as_the_contract_says() -> None:
    text = hash_password("sesame, please open")
    assert text.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(text, b"sesame, please open")
    assert not matches(text, b"sesame") and not matches("$argon2id$broken", b"sesame")


def test_a_verified_credential_is_not_hashed_again() -> None:
    async def run() -> None:
        checker = PasswordChecker()
        storm = [checker.check("a", "CP1", PASSWORD.encode(), HASH) for _ in range(50)]
        assert set(await asyncio.gather(*storm)) == {Verdict.RIGHT}
        assert await checker.check("b", "CP1", PASSWORD.encode(), HASH) is Verdict.RIGHT
        assert checker.hashed == 1
        assert await checker.check("a", "CP2", PASSWORD.encode(), HASH) is Verdict.RIGHT
        assert checker.hashed == 2, "what is remembered belongs to one station"
        checker.close()

    asyncio.run(run())


def test_guessing_is_slowed_but_the_right_password_never_waits() -> None:
    async def run() -> None:
        checker = PasswordChecker()
        loop = asyncio.get_running_loop()
        guesses = [
            loop.create_task(checker.check("a", "CP1", f"guess {i}".encode(), HASH))
            for i in range(300)
        ]
        await asyncio.sleep(0.3)
        waiting = sum(not guess.done() for guess in guesses)
        assert waiting > 100, "guesses wait"
        begun = loop.time()
        assert await checker.check("a", "CP1", PASSWORD.encode(), HASH) is Verdict.RIGHT
        assert loop.time() - begun < 2.0
        results = [await guess for guess in guesses]
        assert Verdict.RIGHT not in results and Verdict.BUSY in results
        checker.close()

    asyncio.run(run())


def test_a_flood_of_one_station_does_not_starve_another() -> None:
    async def run(port: int) -> None:
        async with station_at(port, "CP1") as noisy, station_at(port, "CP2") as quiet:
            await noisy.boot()
            await quiet.boot()
            noisy.close()

            async def flood() -> None:
                for n in range(3_000):
                    await noisy.socket.send(f'[2,"f{n}","Heartbeat",{{}}]')

            async def drain() -> None:
                for _ in range(3_000):
                    await noisy.socket.recv()

            flooding = [asyncio.create_task(work) for work in (flood(), drain())]
            for n in range(20):
                assert (await quiet.call("TransactionEvent", event(n)))[0] == 3
            await asyncio.gather(*flooding)

    with network_of() as network:
        asyncio.run(run(network.port))
