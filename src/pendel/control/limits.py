"""All limits in force for a site now, what binds, and because of whom.

Fuse, operator limits (paragraph 14a, LPC/LPP, a person), export permit and a dead grid are orders;
of overlapping ones the strictest wins, in each direction on its own. Feeders and the portfolio
are limits over several sites and are kept by the tree of `pendel.control.dispatch`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pendel.records import Limit
from pendel.units import FloatArray

FUSE = "fuse"
PERMIT = "no export permit"
GRID_DOWN = "grid down"


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """The limits of one site now [kW, amounts] and the source that binds in each direction.

    causes: ids of the Limit records that bind (empty for the fuse, the permit and a dead grid).
    """

    import_limit_kw: float
    export_limit_kw: float
    import_source: str
    export_source: str
    causes: tuple[str, ...] = ()


def in_force(limit: Limit, now_utc: datetime) -> bool:
    """Whether an order holds at now_utc: from its begin (inclusive) to its end (exclusive)."""
    begun = limit.from_utc is None or limit.from_utc <= now_utc
    return begun and (limit.until_utc is None or now_utc < limit.until_utc)


def limit_of_site(
    site_id: str,
    fuse_import_kw: float,
    fuse_export_kw: float,
    orders: Sequence[Limit],
    now_utc: datetime,
    export_permitted: bool = True,
    grid_up: bool = True,
) -> SiteLimit:
    """The strictest of everything in force for a site.

    fuse_*_kw: what the connection bears [kW, amounts]; orders: of any site and time, others are
    passed over. A dead grid is neither drawn from nor fed (IEC 62116 asks for the latter).
    """
    imports = [(fuse_import_kw, FUSE, "")]
    exports = [(fuse_export_kw, FUSE, "")]
    if not export_permitted:
        exports.append((0.0, PERMIT, ""))
    if not grid_up:
        imports.append((0.0, GRID_DOWN, ""))
        exports.append((0.0, GRID_DOWN, ""))
    for order in orders:
        if order.site_id != site_id or not in_force(order, now_utc):
            continue
        if order.import_limit_kw is not None:
            imports.append((max(order.import_limit_kw, 0.0), order.source, order.id))
        if order.export_limit_kw is not None:
            exports.append((max(order.export_limit_kw, 0.0), order.source, order.id))
    # min keeps the first of equals: the fuse before an order that says the same.
    strictest_in = min(imports, key=lambda entry: entry[0])
    strictest_out = min(exports, key=lambda entry: entry[0])
    causes = tuple(dict.fromkeys(e[2] for e in (strictest_in, strictest_out) if e[2]))
    return SiteLimit(strictest_in[0], strictest_out[0], strictest_in[1], strictest_out[1], causes)


def expected_import_limits(
    fuse_import_kw: float,
    site_id: str,
    orders: Sequence[Limit],
    begins_utc: Sequence[datetime],
) -> FloatArray:
    """Import limit [T] of a site for coming steps: the strictest order already known for each."""
    import numpy as np

    limits = [
        limit_of_site(site_id, fuse_import_kw, 0.0, orders, begin).import_limit_kw
        for begin in begins_utc
    ]
    return np.asarray(limits, dtype=np.float64)
