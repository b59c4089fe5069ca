"""How high a site with a demand charge should go: room for its cars below a chosen level.

The floors of a promise follow the path that is cheapest for a car alone, and cars alone all like
the same cheap hour. Where the highest import costs money, that hour is dear. So the level is chosen
first: at each of a few levels the cars are planned one after the other below it, and what energy,
broken promises (at the price of risk) and the demand charge cost together decides.
"""

from dataclasses import replace

import numpy as np

from pendel.control.lone import room_of
from pendel.control.outlook import Outlook
from pendel.control.policy import Paths, Room
from pendel.control.state import FleetState, Knowledge
from pendel.units import SECONDS_PER_HOUR, FloatArray

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Levels that are tried, as shares of the way from what the site cannot avoid to what all its cars
at once would take, within its limit."""


def calm_room(
    state: FleetState,
    presence: FloatArray,
    knowledge: Knowledge,
    outlook: Outlook,
    risk_price_eur: float,
    paths: Paths,
) -> Room | None:
    """Room [S, K] below the best level of each site, None where no site has a demand charge that
    cars could raise."""
    base = outlook.load_kw - outlook.pv_kw
    sites = np.unique(state.site[state.is_session])
    charge = knowledge.demand_charge_eur_kw
    limit = knowledge.import_limit_kw
    load = base.max(axis=1, initial=0.0)
    lowest = np.minimum(np.maximum(knowledge.peak_so_far_kw, load), limit)
    cars = np.bincount(state.site, state.charge_max_kw, minlength=len(base))
    highest = np.clip(load + cars, lowest, limit)  # what all at once would need, within the limit
    if not (charge[sites] * (highest - lowest)[sites] > 0.0).any():
        return None
    best_eur = np.full(len(base), np.inf)
    best_kw = limit.copy()
    for share in SHARES:
        level = np.where(charge > 0.0, lowest + share * (highest - lowest), limit)
        energy, missed = paths(_room(knowledge, outlook, level))
        eur, peak = _costs(state, presence, knowledge, outlook, energy, missed, risk_price_eur)
        eur += charge * np.maximum(peak, lowest)
        better = eur < best_eur - 1e-9
        best_eur, best_kw = np.where(better, eur, best_eur), np.where(better, level, best_kw)
    return _room(knowledge, outlook, best_kw)


def _room(knowledge: Knowledge, outlook: Outlook, level_kw: FloatArray) -> Room:
    lower = replace(knowledge, import_limit_kw=level_kw)
    return room_of(lower, outlook, np.zeros_like(outlook.load_kw))


def _costs(
    state: FleetState,
    presence: FloatArray,
    knowledge: Knowledge,
    outlook: Outlook,
    energy: FloatArray,
    missed: FloatArray,
    risk_price_eur: float,
) -> tuple[FloatArray, FloatArray]:
    """(expected cost of energy, wear and broken promises [EUR], highest net [kW]), each [S]."""
    step_h, sites = knowledge.step_s / SECONDS_PER_HOUR, len(outlook.load_kw)
    change = np.diff(energy, axis=1, prepend=state.energy_kwh[:, None])
    taken = np.maximum(change, 0.0) / state.charge_efficiency[:, None]
    given = np.maximum(-change, 0.0) * state.discharge_efficiency[:, None]
    row = knowledge.price_row[state.site]
    money = taken * outlook.import_eur_kwh[row] - given * outlook.export_eur_kwh[row]
    money += np.abs(change) * state.wear_eur_kwh[:, None]
    eur = (money * presence).sum(axis=1) + risk_price_eur * missed.sum(axis=1)
    net = outlook.load_kw - outlook.pv_kw
    cars = np.zeros_like(net)
    np.add.at(cars, state.site, (taken - given) / step_h)
    peak = (net + cars).max(axis=1, initial=0.0)
    return np.bincount(state.site, eur, minlength=sites).astype(np.float64), peak
