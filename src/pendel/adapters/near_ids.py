"""Which known id somebody may have meant."""

import difflib
from collections.abc import Sequence


def near(wanted: str, known: Sequence[str], count: int) -> list[str]:
    """At most count ids of known that resemble wanted, best first; ids that begin or end alike
    come before ids that are only spelt alike.

    >>> near("sp-12", ["sp-120-CP1", "plan-1", "sp-9-CP1"], 2)
    ['sp-120-CP1', 'sp-9-CP1']
    """
    starts = [name for name in known if wanted and name.startswith(wanted)]
    rest = [name for name in known if not name.startswith(wanted)]
    alike = difflib.get_close_matches(wanted, rest, n=count, cutoff=0.5)
    return (starts[:count] + alike)[:count]
