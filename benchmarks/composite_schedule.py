"""The composite schedule beside a second-by-second oracle written apart from it:
`python benchmarks/composite_schedule.py [--stacks N]`.

Random stacks of up to seven profiles (six purposes, four kinds, validity, offline rules, delays,
setpoints) are laid out over 200 s; engine and oracle must say the same at every second looked at.
CPU is that of the engine alone. There is no peer to compare with: no open backend or library
computes a composite schedule with the V2X rules of OCPP 2.1.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "comms" / "ocpp")]

STACKS = 5_000


def measure(stacks: int = STACKS) -> dict[str, Any]:
    """Share of points at which engine and oracle agree, and CPU per composite [s]."""
    from schedule_stacks import compare

    found = compare(stacks, seed=21)
    return {
        "what": "composite schedules of random profile stacks over 200 s, engine and oracle",
        "stacks": found.stacks,
        "points": found.points,
        "stacks_differing": len(found.differing),
        "agrees": not found.differing,
        "cpu_s_per_composite": found.engine_cpu_s / found.stacks,
        "target": "100 % agreement",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=STACKS)
    print(json.dumps(measure(parser.parse_args().stacks), indent=1))


if __name__ == "__main__":
    main()
