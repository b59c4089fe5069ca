"""Which setpoints are worth sending: small changes wait, but never at the cost of a limit.

A change below CHANGED_KW leaves the standing order as it is. Many small changes can add up to a
broken limit, so the orders that would then stand are checked per site, and below common limits
against what was decided; where they do not fit, the changes that help most are sent until they do.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from pendel.control.state import Decision, Knowledge
from pendel.records import Setpoint
from pendel.units import BoolArray, FloatArray, IntArray

CHANGED_KW = 0.05
FITS_KW = 1e-6


def to_send(
    standing: Sequence[Setpoint | None],
    decision: Decision,
    site: IntArray,
    known: Knowledge,
    now_utc: datetime,
    renew_s: float,
    limits_above: bool = False,
) -> BoolArray:
    """Which units [N] get a new setpoint: changed ones, and those whose order runs out within
    renew_s [s]. standing: the order each unit has now; site [N]; known: loads and limits [S];
    limits_above: there are limits over several sites."""
    decided = decision.power_kw
    old = np.array([0.0 if order is None else order.power_kw for order in standing])
    missing = np.array(
        [
            order is None or (order.until_utc - now_utc).total_seconds() <= renew_s
            for order in standing
        ],
        dtype=np.bool_,
    )
    stops = (decided == 0.0) != (old == 0.0)
    send: BoolArray = missing | stops | (np.abs(decided - old) >= CHANGED_KW)
    base = known.load_kw - known.pv_kw + decision.curtail_kw
    net = base + _sums(np.where(send, decided, old), site, len(base))
    wanted = base + _sums(decided, site, len(base))
    high, low = known.import_limit_kw, -known.export_limit_kw
    if limits_above:
        # Their room is not known here: what is decided is taken as the bound in both directions.
        high = np.minimum(high, np.where(net.sum() > wanted.sum(), wanted, np.inf))
        low = np.maximum(low, np.where(net.sum() < wanted.sum(), wanted, -np.inf))
    for index in np.flatnonzero((net > high + FITS_KW) | (net < low - FITS_KW)):
        _release(
            send, decided - old, np.flatnonzero(site == index), net[index], low[index], high[index]
        )
    return send


def _release(
    send: BoolArray, change: FloatArray, units: IntArray, net_kw: float, low: float, high: float
) -> None:
    """Send the changes of a site that bring its net power back into [low, high], largest first."""
    towards = -1.0 if net_kw > high else 1.0
    waiting = units[~send[units] & (change[units] * towards > 0.0)]
    for unit in waiting[np.argsort(-np.abs(change[waiting]), kind="stable")]:
        if low - FITS_KW <= net_kw <= high + FITS_KW:
            return
        send[unit] = True
        net_kw += change[unit]
    if not low - FITS_KW <= net_kw <= high + FITS_KW:
        send[units] = True


def _sums(power_kw: FloatArray, site: IntArray, sites: int) -> FloatArray:
    return np.bincount(site, power_kw, minlength=sites).astype(np.float64)
