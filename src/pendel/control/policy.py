"""What a car that shares nothing with others should do now, when its departure is uncertain.

On a site without a binding limit or demand charge nothing couples the cars: each solves its own
stochastic dynamic programme over stored energy e, with the probability h_k of leaving after
step k (from the departure model) and a price m on breaking the promise:

    V_k(e) = min over e'  cost_k(e' - e) + h_k m [counts_k and e' < target] + (1 - h_k) V_{k+1}(e')

Energy above the target is worth terminal_eur_kwh when the car leaves (usually nothing), so cheap
energy is stored only as far as it will probably be sold in time. m (EUR per broken promise) is
one number for all cars: it spends the risk that the confidence leaves where it saves most.
`promise.PromiseKeeper` finds it. A promise counts only where charging at once from arrival would
have reached the target by the departure, so leaving before that never costs m.
Concept, proofs and measured frontier: docs/concepts/promise.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pendel.control.state import FleetState
from pendel.units import SECONDS_PER_HOUR, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Room:
    """Power [kW] each site has left for the units [S, K], to take and to give; reduced in place
    as units are planned. infinite where nothing limits."""

    import_kw: FloatArray
    export_kw: FloatArray


Paths = Callable[[Room | None], tuple[FloatArray, FloatArray]]
"""(energies, probabilities of leaving with a broken promise), each [N, K], below a room."""
RoomBelow = Callable[[Paths, float], Room | None]
"""The room to plan in, given how paths come out below a room and the price of risk [EUR]."""
LADDER_EUR = np.geomspace(1.0, 3000.0, 13)
"""Prices of a broken promise at which the risk of new sessions is predicted [EUR]."""


def counts_in_steps(state: FleetState, now_s: int, step_s: int) -> IntArray:
    """Steps from now after which leaving counts as a promise [N]; 0 = it counts already.

    Charging at once starts at the first whole step after arrival (contract: arrival rounds up).
    """
    begin_s = -(-state.arrive_s // step_s) * step_s
    gain = state.charge_max_kw * state.charge_efficiency * (step_s / SECONDS_PER_HOUR)
    need = np.maximum(state.target_kwh - state.energy_arrive_kwh, 0.0)
    steps = np.ceil(need / np.maximum(gain, 1e-12) - 1e-9)
    steps = np.minimum(steps, 1e9).astype(np.int64)
    return np.maximum(begin_s // step_s + steps - now_s // step_s, 0)


def lone_power(
    state: FleetState,
    presence: FloatArray,
    floor_kwh: FloatArray | None,
    risk_price_eur: float | FloatArray,
    import_eur_kwh: FloatArray,
    export_eur_kwh: FloatArray,
    price_row: IntArray,
    now_s: int,
    step_s: int,
) -> FloatArray:
    """AC power [N, kW] for the current step; storages and paused units get 0.

    presence [N, K]; floor_kwh [N, K] (energy due at the end of a step, NaN none) or None;
    risk_price_eur: EUR per broken promise, scalar or [N]; prices [R, K] known or forecast;
    price_row [N].
    """
    energy, _ = lone_paths(
        state, presence, floor_kwh, risk_price_eur, import_eur_kwh, export_eur_kwh, price_row,
        now_s, step_s,
    )  # fmt: skip
    change = energy[:, 0] - state.energy_kwh
    step_h = step_s / SECONDS_PER_HOUR
    power = np.where(
        change >= 0.0,
        change / (state.charge_efficiency * step_h),
        change * state.discharge_efficiency / step_h,
    )
    return np.clip(power, -state.discharge_max_kw, state.charge_max_kw)


def lone_paths(
    state: FleetState,
    presence: FloatArray,
    floor_kwh: FloatArray | None,
    risk_price_eur: float | FloatArray,
    import_eur_kwh: FloatArray,
    export_eur_kwh: FloatArray,
    price_row: IntArray,
    now_s: int,
    step_s: int,
    room: Room | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Energy at the end of each step if the unit stays [N, K] and the probability of leaving
    then with a broken promise [N, K]; arguments as of `lone_power`.

    room: where a site may be short of power, units are planned one after the other, the most
    urgent first, each within what the others leave.
    """
    from pendel.control.policy_kernels import lone_rows

    count, steps = presence.shape
    paths = np.zeros((count, 2, steps))
    paths[:, 0] = state.energy_kwh[:, None]
    floor = np.full((count, steps), np.nan) if floor_kwh is None else floor_kwh
    least = np.minimum(state.energy_min_kwh, state.energy_kwh)
    counts_in = counts_in_steps(state, now_s, step_s)
    rows = np.nonzero(state.is_session & ~state.paused)[0]
    if room is None:
        wide = np.full((int(state.site.max(initial=0)) + 1, steps), np.inf)
        room = Room(wide, wide.copy())
    else:
        ready = state.energy_kwh >= state.target_kwh
        rows = rows[np.lexsort((counts_in[rows], ready[rows]))]
    lone_rows(
        rows, state.energy_kwh, state.target_kwh, np.minimum(least, state.target_kwh),
        np.maximum(state.capacity_kwh, state.target_kwh), state.charge_max_kw,
        state.discharge_max_kw, counts_in, presence,
        np.ascontiguousarray(import_eur_kwh[:, :steps]),
        np.ascontiguousarray(export_eur_kwh[:, :steps]), price_row.astype(np.int64),
        state.charge_efficiency, state.discharge_efficiency, state.wear_eur_kwh,
        state.terminal_eur_kwh, floor, np.broadcast_to(risk_price_eur, (count,)).astype(float),
        step_s / SECONDS_PER_HOUR, state.site, room.import_kw, room.export_kw, paths,
    )  # fmt: skip
    return paths[:, 0], paths[:, 1]


def risk_ladder(
    state: FleetState,
    presence: FloatArray,
    import_eur_kwh: FloatArray,
    export_eur_kwh: FloatArray,
    price_row: IntArray,
    now_s: int,
    step_s: int,
) -> FloatArray:
    """Predicted probability of a broken promise per unit at each price of LADDER_EUR [N, L]."""
    risk = np.zeros((len(state), len(LADDER_EUR)))
    for i, price in enumerate(LADDER_EUR):
        _, missed = lone_paths(
            state, presence, None, float(price), import_eur_kwh, export_eur_kwh, price_row,
            now_s, step_s,
        )  # fmt: skip
        risk[:, i] = missed.sum(axis=1)
    return risk
