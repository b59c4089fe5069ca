"""Builds the example scenarios from the measured data sets: `python examples/build.py DATA [OUT]`.

DATA is the folder of the data sets (see each example's SOURCE.md for origin and licence). The
result is the same bytes every time, so that `git diff` after a run shows what changed.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from fleets import carshare, depot, workplace
from folder import Folder
from houses import home, island, street

EXAMPLES: tuple[Callable[[Path], Folder], ...] = (
    home,
    street,
    depot,
    workplace,
    island,
    carshare,
)


def main(arguments: list[str]) -> int:
    """Build every example below OUT (by default beside this file)."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: build.py DATA [OUT]\n")
        return 2
    data = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).resolve().parent
    for example in EXAMPLES:
        example(data).write(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
