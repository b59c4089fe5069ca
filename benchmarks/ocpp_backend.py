"""The OCPP backend beside PyPI `ocpp`: CPU per event, memory per station, setpoint fan-out.

`python benchmarks/ocpp_backend.py [--stations N]`. One server process at a time, its stations in
a process of their own; the same validated 2.1 TransactionEvent (7 sampled values, 1.2 kB) in a
closed loop over loopback. CPU of the server process alone, by `getrusage`, so that neither the
stations nor the load of others count. Ours is the whole path: door, schema, rules, answer; the
store nowhere or on disk (durable). The peer has its validation on, and no store.
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STATIONS = 1_000
ROUNDS, MESSAGES, MESSAGES_OF_PEER, FANS = 4, 8, 2, 3
"""Each server has several rounds; the least CPU counts, for the load of others only adds to it."""
SERVERS: dict[str, list[str]] = {
    "pendel": ["pendel", "--fast"],
    "pendel, Python's loop": ["pendel"],
    "pendel, durable": ["pendel", "--durable", "--fast"],
    "pendel, durable, Python's loop": ["pendel", "--durable"],
    "ocpp 2.1.0": ["ocpp"],
    "pendel, TLS": ["pendel", "--fast", "--tls"],
    "pendel, TLS, Python's loop": ["pendel", "--tls"],
    "ocpp 2.1.0, TLS": ["ocpp", "--tls"],
}
PEER = "ocpp 2.1.0"


class Child:
    """A process under measurement, spoken to line by line."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> Any:
        """One JSON value."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, words: Any) -> Any:
        """Send a word or an object, read the answer."""
        assert self.process.stdin is not None
        text = words if isinstance(words, str) else json.dumps(words)
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(120)


def self_signed(folder: Path) -> Path:
    """A certificate for localhost with its key (ECDSA P-256) in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "localhost.pem"
    path.write_bytes(private + certificate.public_bytes(encoding))
    path.with_suffix(".key").write_bytes(private)
    return path


def load(arguments: list[str], count: int, pem: Path) -> dict[str, float]:
    """One server: connect, boot, measure memory; send events; fan a setpoint out."""
    secured = [str(pem)] if "--tls" in arguments else []
    messages = MESSAGES_OF_PEER if arguments[0] == "ocpp" else MESSAGES
    server = Child("ocpp_servers.py", *arguments, *secured, "--stations", str(count))
    port = server.read()
    tls = ["--tls", *secured] if secured else []
    stations = Child("ocpp_clients.py", str(port), str(count), *tls)
    try:
        before = server.ask("report")
        stations.ask({"do": "connect"})
        stations.ask({"do": "boot"})
        idle = server.ask("report")
        events, fans = [], []
        for _ in range(ROUNDS):
            begun_s = server.ask("report")["cpu_s"]
            stations.ask({"do": "talk", "messages": messages})
            events.append(server.ask("report")["cpu_s"] - begun_s)
            for _ in range(FANS):
                fans.append(server.ask("fan"))
                obeyed = stations.ask({"do": "orders"})
                assert obeyed == {"received": count, "doubled": 0}, obeyed
        return {
            "event_us": min(events) / (count * messages) * 1e6,
            "connect_us": (idle["cpu_s"] - before["cpu_s"]) / count * 1e6,
            "idle_kb": (idle["rss_kb"] - before["rss_kb"]) / count,
            "fan_us": min(fan["cpu_us"] for fan in fans),
            "fan_p99_s": min(fan["p99_s"] for fan in fans),
        }
    finally:
        stations.close()
        server.close()


def measure(stations: int = STATIONS, names: list[str] | None = None) -> dict[str, Any]:
    """All servers in one run, each beside the peer on the same kind of line."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pem = self_signed(Path(folder))
        for name in names or SERVERS:
            found[name] = load(SERVERS[name], stations, pem)
    rows = []
    for name, own in found.items():
        peer = found.get(f"{PEER}, TLS" if "TLS" in name else PEER, own)
        rows.append(
            {
                "server": name,
                "event CPU us": round(own["event_us"], 1),
                "times less": round(peer["event_us"] / own["event_us"], 1),
                "fan-out CPU us": round(own["fan_us"], 1),
                "times less ": round(peer["fan_us"] / own["fan_us"], 1),
                "fan-out p99 s": round(own["fan_p99_s"], 3),
                "idle kB": round(own["idle_kb"], 1),
                "connect CPU us": round(own["connect_us"]),
            }
        )
    told = {row["server"]: row for row in rows}
    usual, plain, secured = told["pendel"], told["pendel, Python's loop"], told["pendel, TLS"]
    return {
        "stations": stations,
        "rows": rows,
        "target": "events 40 times less CPU than `ocpp` (on uvloop, the default; 20 on Python's "
        "loop); fan-out 10 times less and p99 <= 1 s; idle station <= 23 kB, with TLS <= 38 kB",
        "met": usual["times less"] >= 40.0
        and plain["times less"] >= 20.0
        and usual["times less "] >= 10.0
        and usual["fan-out p99 s"] <= 1.0
        and usual["idle kB"] <= 23.0
        and secured["idle kB"] <= 38.0,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=int, default=STATIONS)
    print(json.dumps(measure(parser.parse_args().stations), indent=1))


if __name__ == "__main__":
    main()
