"""The safe fallback of the loop: what is ordered when the controller itself has failed.

Charges modestly toward the promise, never discharges, and shares what is left of each site's
import limit evenly. It knows no plan, no forecast and no kernels, so that it can hardly fail too.
"""

import numpy as np

from pendel.control.fallback import fallback_power
from pendel.control.state import RANKS, Decision, FleetState, Knowledge
from pendel.records import Rank
from pendel.units import BoolArray


def fallback_decision(state: FleetState, known: Knowledge) -> Decision:
    """Setpoints [N] inside the import limits of the sites [S]; curtails nothing."""
    wish = fallback_power(state, known.now_s, known.step_s)
    wish = np.where(state.paused | ~known.grid_up[state.site], 0.0, wish)
    room_kwh = np.maximum(state.capacity_kwh - state.energy_kwh, 0.0)
    step_h = known.step_s / 3_600.0
    wish = np.minimum(wish, room_kwh / (state.charge_efficiency * step_h))
    headroom = np.maximum(known.import_limit_kw - known.load_kw + known.pv_kw, 0.0)
    wanted = np.bincount(state.site, wish, minlength=len(headroom)).astype(np.float64)
    share = np.divide(headroom, wanted, out=np.ones_like(wanted), where=wanted > headroom)
    power = wish * share[state.site]
    limited: BoolArray = share[state.site] < 1.0
    rank = np.where(limited, RANKS.index(Rank.GRID_LIMIT), RANKS.index(Rank.SAFETY))
    return Decision(power, wish, rank.astype(np.int64), np.zeros(len(headroom)))
