"""Large blocks leave the process when they are freed, also after smaller ones were."""

import subprocess
import sys

import pytest

SHAKEN = """
import numpy as np
from pendel.kernel.memory import give_back_memory
done = give_back_memory()

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

before = resident_mib()
blocks = [np.ones(2**18 * (1 + i % 8)) for i in range(64)]  # 2 to 16 MiB each, in all 576 MiB
pins = []
for i in range(0, 64, 2):
    blocks[i] = None
    pins.append(np.ones(1000))  # small things that a heap would have to keep its end for
blocks = None
print(int(done), resident_mib() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_freed_blocks_leave() -> None:
    command = [sys.executable, "-c", SHAKEN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    asked, kept_mib = done.stdout.split()
    if asked == "0":
        pytest.skip("not glibc")
    assert float(kept_mib) < 20.0
