"""Faults of the OCPP backend, counted: mutated frames, kill -9 under load, two sockets of one name.

`python benchmarks/ocpp_faults.py [--full]`. A sample by default; with --full 1,000,000 mutated
frames, 100 kills and 1,000 interleavings, as the long proofs of the tests have them (the code is
theirs). Any fault raises, so that a printed result is a clean one.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
SAMPLE = {"frames": 50_000, "kills": 3, "interleavings": 50}
FULL = {"frames": 1_000_000, "kills": 100, "interleavings": 1_000}
GROWN_MB_MAX = 32.0


def measure(full: bool = False) -> dict[str, Any]:
    """All three; needs the dev extra."""
    counts = FULL if full else SAMPLE
    for folder in ("comms/ocpp", "runtime", "adapters"):
        sys.path.insert(0, str(TESTS / folder))
    import frame_fuzz
    import test_ocpp_door
    import test_ocpp_network

    from pendel.adapters import passwords

    fuzzed = frame_fuzz.fuzz(counts["frames"], seed=2)
    with tempfile.TemporaryDirectory() as folder:
        killed = test_ocpp_network.kill_under_load(Path(folder), counts["kills"])
    free = passwords.FREE_FAILURES
    passwords.FREE_FAILURES = 10**6  # the slowing of guesses is tested elsewhere
    try:
        test_ocpp_door.interleave(counts["interleavings"], seed=2)
    finally:
        passwords.FREE_FAILURES = free
    return {
        "mutated frames": fuzzed.cases,
        "of them refused": fuzzed.refused,
        "uncaught exceptions": 0,
        "memory grown MB": round(fuzzed.grown_mb, 1),
        "slowest frame CPU ms": round(fuzzed.slowest_ms, 1),
        "CPU us per frame": round(fuzzed.cpu_s / fuzzed.cases * 1e6, 1),
        "kill -9 under load": counts["kills"],
        **killed,
        "interleavings of two sockets": counts["interleavings"],
        "target": "no uncaught exception, bounded memory; every acknowledged event stored exactly "
        "once; the last authenticated socket answers and stays",
        "met": fuzzed.grown_mb <= GROWN_MB_MAX,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the full counts (some minutes)")
    print(json.dumps(measure(parser.parse_args().full), indent=1))


if __name__ == "__main__":
    main()
