"""From the start of the program to the first plan: kernels compiled for the first time, and kept.

`pendel plan` on a small fleet in processes of their own, once with an empty folder for compiled
kernels and then with the one that is left. Wall seconds mean little on a busy machine: CPU beside.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from plan_command import write_fleet

CARS = 400
FIRST_MAX_S = 60.0
LATER_MAX_S = 2.0
LATER = 3


def timed(folder: Path, kept: Path) -> dict[str, Any]:
    """One plan with a folder of kept kernels; what the program says of compiling."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pendel", "plan", str(folder), "--method", "decomposed", "--json"],
        env=os.environ | {"PENDEL_CACHE_DIR": str(kept)},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.perf_counter() - begin,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "said": done.stderr.strip(),
        "kernels": len(list(kept.glob("*.bin"))),
    }


def measure() -> dict[str, Any]:
    """The first start and the best of later ones."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, kept = Path(scratch) / "fleet", Path(scratch) / "kernels"
        kept.mkdir()
        write_fleet(CARS, 1, folder)
        first = timed(folder, kept)
        later = [timed(folder, kept) for _ in range(LATER)]
    best = min(later, key=lambda one: one["cpu_s"])
    return {
        "what": f"pendel plan of {CARS} coupled cars as a command, files in and verified files out",
        "rows": [{"start": "first", **first}, {"start": "kernels kept", **best}],
        "target": f"first within {FIRST_MAX_S:g} s with a line that says what happens, later "
        f"within {LATER_MAX_S:g} s (CPU)",
        "met": first["cpu_s"] <= FIRST_MAX_S
        and best["cpu_s"] <= LATER_MAX_S
        and "compiled" in first["said"]
        and not best["said"],
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(name, value)
