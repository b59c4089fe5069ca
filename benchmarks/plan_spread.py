"""The price method on two dask workers beside the same in this process: what a pass costs more.

One fleet, the same prices and aims, in turn: a pass from nothing and passes from the pass before,
then fetching the plan. CPU seconds of all processes (workers included) as a ratio to this process
alone, and what of it is not work on sites: calls, copies, sums. Answers must be equal.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from plan_scale import scale_problem

CARS = 20_000
WORKERS = 2
AIMS = (3e-3, 1e-3, 1e-3, 3e-4)
RATIO_MAX = 1.5


def cpu_s(client: Any) -> float:
    """CPU seconds so far of this process and all workers."""
    return time.process_time() + sum(client.run(time.process_time).values())


def passes(fleet: Any, spent: Callable[[], float]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Figures of each pass and of fetching the plan; what was found."""
    rows, found = [], []
    price = np.zeros((fleet.top.count + 2, fleet.problem.steps))
    for number, aim in enumerate(AIMS):
        fleet.aim = aim
        begin, wall = spent(), time.perf_counter()
        one = fleet.one_pass(price, lambda: float("inf"))
        row = {"part": "from nothing" if number == 0 else "from the pass before"}
        rows.append(row | {"cpu_s": spent() - begin, "wall_s": time.perf_counter() - wall})
        found.append(one)
        fleet.mix(np.ones(int(fleet.group_begin[-1])))
    fleet.crew.mark()
    begin, wall = spent(), time.perf_counter()
    made = fleet.schedule(price)
    row = {"part": "fetching the plan", "cpu_s": spent() - begin}
    rows.append(row | {"wall_s": time.perf_counter() - wall})
    return rows, [*found, made.power_kw, made.bound]


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal to the last digit."""
    if isinstance(one, np.ndarray | float):
        return bool(np.array_equal(one, other))
    return bool(
        np.array_equal(one.flow, other.flow)
        and np.array_equal(one.answers, other.answers)
        and one.bound == other.bound
    )


def measure(cars: int = CARS) -> dict[str, Any]:
    """Both ways, interleaved in one run; ratios of CPU seconds."""
    from pendel.adapters.dask_engine import dask_engine
    from pendel.control.fleet import Fleet

    problem = scale_problem(cars, 1)
    with dask_engine(WORKERS) as engine:
        for crew in ({}, {"crew": engine.crew}):  # kernels compiled, buffers there
            passes(Fleet(scale_problem(1_000, 2), **crew), time.process_time)
        here, found = passes(Fleet(problem), time.process_time)
        spread, others = passes(Fleet(problem, crew=engine.crew), lambda: cpu_s(engine.client))
    rows = [
        {"part": one["part"], "here_cpu_s": one["cpu_s"], "dask_cpu_s": two["cpu_s"],
         "ratio": two["cpu_s"] / one["cpu_s"], "here_wall_s": one["wall_s"],
         "dask_wall_s": two["wall_s"]}
        for one, two in zip(here, spread, strict=True)
    ]  # fmt: skip
    equal = all(same(a, b) for a, b in zip(found, others, strict=True))
    total = sum(row["dask_cpu_s"] for row in rows) / sum(row["here_cpu_s"] for row in rows)
    return {
        "what": f"{cars:,d} cars at {problem.sites:,d} sites, {WORKERS} workers",
        "rows": rows,
        "ratio": total,
        "equal": equal,
        "target": f"all passes and the plan at most {RATIO_MAX} times the CPU, equal answers",
        "met": equal and total <= RATIO_MAX,
    }


if __name__ == "__main__":
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else CARS).items():
        print(name, value)
