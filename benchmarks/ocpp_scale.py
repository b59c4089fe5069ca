"""The OCPP backend at size: 10,000 stations held, 2,000 talking, a reconnect storm, no order lost.

`python benchmarks/ocpp_scale.py [--full]`. Server and stations are processes of their own on
loopback, the log is on disk. Each of 2,000 stations sends a TransactionEvent each 2 s (20 s; with
--full 5 minutes) while setpoints go to all of them; then every line breaks at once, with orders on
their way, and all come back. The waiting time of a message counts from when it was due, so that a
server that falls behind cannot hide it; a process that only dozes shows beside it what the machine
itself makes others wait. A lost order is one the server holds for accepted that no
station has, or one of which nothing is ever told.
"""

import argparse
import json
import resource
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ocpp_backend import Child

HELD, TALKING = 10_000, 2_000
EVERY_S, SHORT_S, FULL_S = 2.0, 20.0, 300.0


def raise_open_files() -> None:
    """The processes started from here inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pair(count: int, *options: str) -> tuple[Child, Child]:
    """A server and its stations, connected and booted."""
    server = Child("ocpp_servers.py", "pendel", "--fast", *options, "--stations", str(count))
    return server, Child("ocpp_clients.py", str(server.read()), str(count))


def held(count: int) -> dict[str, Any]:
    """So many stations in one process: memory for each, all state included, and all are there."""
    server, stations = pair(count)
    try:
        before = server.ask("report")
        seconds = stations.ask({"do": "connect", "at_once": 200})["seconds"]
        stations.ask({"do": "boot"})
        idle = server.ask("report")
        stations.ask({"do": "talk", "messages": 1})
        events = server.ask("count")["events"]
        return {
            "held": events,
            "idle kB": round((idle["rss_kb"] - before["rss_kb"]) / count, 1),
            "connected in s": round(seconds, 1),
        }
    finally:
        stations.close()
        server.close()


def talking(count: int, seconds: float) -> dict[str, Any]:
    """Steady messages with orders among them, then the storm."""
    server, stations = pair(count, "--durable")
    bystander = Child("ocpp_clients.py", "0", "0")
    try:
        stations.ask({"do": "connect", "at_once": 200})
        stations.ask({"do": "boot"})
        begun_cpu_s = server.ask("report")["cpu_s"]
        server.ask("trickle")
        with ThreadPoolExecutor(1) as beside:
            idle = beside.submit(bystander.ask, {"do": "doze", "seconds": seconds})
            paced = stations.ask({"do": "pace", "seconds": seconds, "every_s": EVERY_S})
        calm = server.ask("hush")
        used_s = server.ask("report")["cpu_s"] - begun_cpu_s
        obeyed = stations.ask({"do": "orders"})
        counted = server.ask("count")
        with ThreadPoolExecutor(1) as beside:
            beside.submit(server.ask, "order")
            stations.ask({"do": "drop"})
        back = stations.ask({"do": "connect", "at_once": count})
        storm = server.ask("outcome")
        stations.ask({"do": "talk", "messages": 1})
        after = stations.ask({"do": "orders"})
        lost = [each["sent"] - each["accepted"] - each["failed"] for each in (calm, storm)]
        lost += [calm["sent"] - obeyed["received"], max(storm["accepted"] - after["received"], 0)]
        return {
            "p50 ms": round(paced["p50_s"] * 1e3, 1),
            "p99 ms": round(paced["p99_s"] * 1e3, 1),
            "max ms": round(paced["max_s"] * 1e3, 1),
            "p99 ms of a process that only dozes": round(idle.result()["p99_s"] * 1e3, 1),
            "messages": paced["sent"],
            "answered": paced["answered"],
            "stored": counted["events"],
            "p99 ms of a commit to this disk": round(counted["commit_s"] * 1e3, 1),
            "server CPU share": round(used_s / seconds, 3),
            "orders": calm["sent"],
            "orders obeyed": obeyed["received"],
            "orders in the storm": storm["sent"],
            "of them known to have failed": storm["failed"],
            "lost": sum(lost),
            "doubled": obeyed["doubled"] + after["doubled"],
            "back after the storm s": round(back["seconds"], 1),
        }
    finally:
        bystander.close()
        stations.close()
        server.close()


def measure(full: bool = False) -> dict[str, Any]:
    """Both, with what was wanted."""
    raise_open_files()
    many = held(HELD)
    busy = talking(TALKING, FULL_S if full else SHORT_S)
    return {
        **{f"{HELD:,} stations: {key}": value for key, value in many.items()},
        **{f"{TALKING:,} stations: {key}": value for key, value in busy.items()},
        "target": "10,000 held at <= 23 kB; p99 <= 100 ms on an idle machine; back within 60 s; "
        "every event stored once; 0 orders lost or doubled",
        "met": many["held"] == HELD
        and many["idle kB"] <= 23.0
        and busy["p99 ms"] <= 100.0
        and busy["back after the storm s"] <= 60.0
        and busy["stored"] == busy["answered"] == busy["messages"]
        and busy["lost"] == busy["doubled"] == 0,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="5 minutes instead of 20 s")
    print(json.dumps(measure(parser.parse_args().full), indent=1))


if __name__ == "__main__":
    main()
