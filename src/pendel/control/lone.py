"""Units that share nothing but their site's limits, and their plans.

Cars are coupled by a demand charge, by limits above the site, or where energy behind the meter is
worth something else than at the meter: those are planned together. Where none of that holds, cars
share at most the power of their site, and each can be planned alone within what the others leave:
alone, the uncertain departure is treated exactly (`policy`).
"""

import numpy as np

from pendel.control.dispatch import Network
from pendel.control.outlook import Outlook
from pendel.control.policy import Room
from pendel.control.promise import PromiseKeeper
from pendel.control.state import FleetState, Knowledge
from pendel.records import Mode
from pendel.units import SECONDS_PER_HOUR, BoolArray, FloatArray

SPREAD_LEAST_EUR_KWH = 1e-9


def lone_sites(
    state: FleetState, knowledge: Knowledge, outlook: Outlook, network: Network, mode: Mode
) -> BoolArray:
    """Sites [S] on which nothing couples the units now connected."""
    count = len(knowledge.load_kw)
    if network.is_limited or mode not in (Mode.V1G, Mode.V2G):
        return np.zeros(count, dtype=np.bool_)
    load = np.maximum(outlook.load_kw.max(axis=1, initial=0.0), knowledge.load_kw)
    pv = np.maximum(outlook.pv_kw.max(axis=1, initial=0.0), knowledge.pv_kw)
    spread = np.abs(outlook.import_eur_kwh - outlook.export_eur_kwh).max(axis=1, initial=0.0)
    even = (spread <= SPREAD_LEAST_EUR_KWH)[knowledge.price_row]
    bare = (load <= 0.0) & (pv <= 0.0)
    bare[state.site[~state.is_session]] = False
    return np.asarray((knowledge.demand_charge_eur_kw <= 0.0) & (even | bare))


def room_of(knowledge: Knowledge, outlook: Outlook, others_kw: FloatArray) -> Room:
    """What the limits of each site leave for the units to be planned, given the planned powers
    of the others [S, K]."""
    net_kw = outlook.load_kw - outlook.pv_kw + others_kw
    return Room(
        knowledge.import_limit_kw[:, None] - net_kw, knowledge.export_limit_kw[:, None] + net_kw
    )


def plan_lone(
    state: FleetState,
    presence: FloatArray,
    knowledge: Knowledge,
    outlook: Outlook,
    keeper: PromiseKeeper,
    mode: Mode,
    room: Room,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(AC powers, floors, energies) [N, K] of units that nothing couples.

    The first step is what to do now, the rest what would be done if the unit stays and nothing
    new is learned. Floors: the planned energy, at most what charging at once would reach.
    """
    if mode == Mode.V1G:
        state.discharge_max_kw = np.where(state.is_session, 0.0, state.discharge_max_kw)
    energy = keeper.paths(
        state,
        presence,
        outlook.import_eur_kwh,
        outlook.export_eur_kwh,
        knowledge.price_row[state.site],
        knowledge.now_s,
        knowledge.step_s,
        room,
    )
    step_h = knowledge.step_s / SECONDS_PER_HOUR
    change = np.diff(energy, axis=1, prepend=state.energy_kwh[:, None])
    power = np.where(
        change >= 0.0,
        change / (state.charge_efficiency[:, None] * step_h),
        change * state.discharge_efficiency[:, None] / step_h,
    )
    power = np.clip(power, -state.discharge_max_kw[:, None], state.charge_max_kw[:, None])
    gain = state.charge_max_kw * state.charge_efficiency * step_h
    reach = state.energy_kwh[:, None] + gain[:, None] * np.arange(1, energy.shape[1] + 1)
    return power, np.minimum(energy, np.minimum(reach, state.target_kwh[:, None])), energy
