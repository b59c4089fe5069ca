"""EV2Gym's speed, measured by the Python that has it: `PEER_PYTHON benchmarks/ev2gym_peer.py`.

Prints vehicle-steps per CPU second of its V2G example, charging at once. Every charging port counts
in every step, which favours it: most ports are often empty. In an environment of its own:

    pip install ev2gym pandapower numba psutil tqdm matplotlib seaborn networkx multicopula
"""

import os
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """Measure and print one number; 1 where EV2Gym is not there."""
    spec = find_spec("ev2gym")
    if spec is None or spec.origin is None:
        return 1
    package = Path(spec.origin).parent
    os.chdir(package.parent)  # it reads its data relative to where it lies
    environment = import_module("ev2gym.models.ev2gym_env").EV2Gym(
        config_file=str(package / "example_config_files" / "V2GProfitMax.yaml"),
        save_replay=False,
        save_plots=False,
    )
    agent = import_module("ev2gym.baselines.heuristics").ChargeAsFastAsPossible()
    environment.reset()
    begin, steps, done = time.process_time(), 0, False
    while not done:
        done = environment.step(agent.get_action(environment))[2]
        steps += 1
    sys.stdout.write(f"{steps * environment.number_of_ports / (time.process_time() - begin)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
