"""A day of 1,000,000 generated vehicles: made, written as parquet, read back. CPU seconds, memory.

Each in a process of its own, so that the memory of one is not that of the other.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

VEHICLES = 1_000_000
SECONDS_MAX = 60.0
MEMORY_MAX_MIB = 3_072.0

MAKE = """
from pendel.scenario.write import write_scenario
from pendel.sim.generator.build import generate
from pendel.sim.generator.settings import FleetSettings
scenario = generate(FleetSettings(vehicles=int(sys.argv[2])))
write_scenario(scenario, Path(sys.argv[1]), "parquet")
"""
READ = """
from pendel.scenario.read import read_scenario
scenario = read_scenario(Path(sys.argv[1]))
"""
AROUND = """
import json, resource, sys, time
from pathlib import Path
begin = time.process_time()
{work}
seconds = time.process_time() - begin
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"cpu_s": seconds, "peak_mib": memory, "sessions": len(scenario.sessions),
                   "sites": len(scenario.sites)}}))
"""


def run(work: str, folder: Path, vehicles: int) -> dict[str, Any]:
    """Run one part in a process of its own."""
    code = AROUND.format(work=work)
    command = [sys.executable, "-c", code, str(folder), str(vehicles)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure() -> dict[str, Any]:
    """CPU seconds and peak memory of both parts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "city"
        made = run(MAKE, folder, VEHICLES)
        size = sum(path.stat().st_size for path in folder.iterdir())
        read = run(READ, folder, VEHICLES)
    rows = [{"part": "generate and write", **made}, {"part": "read and check", **read}]
    return {
        "what": f"{VEHICLES:,d} vehicles, one day of quarter hours",
        "folder_mib": size / 2**20,
        "rows": rows,
        "target": f"each at most {SECONDS_MAX:g} CPU s and {MEMORY_MAX_MIB:g} MiB",
        "met": all(
            row["cpu_s"] <= SECONDS_MAX and row["peak_mib"] <= MEMORY_MAX_MIB for row in rows
        ),
    }
