"""Least powers: a charger below 6 A per phase does nothing, so small powers become pulses.

Dispatch gives any power between zero and the most. Many cars cannot follow it: AC charging begins
at 6 A per phase (IEC 61851-1), DC at what the car states. A unit that was given less than its
least either rests or runs at its least, so that over time it gets the energy it was given:

    owed[t] = owed[t-1] + (given - done) h        runs from owed >= q/2 on, until owed <= -q/2
    q       = least * RUN_S / 3600                so a pulse lasts RUN_S and more

A pulse takes more than was given. It runs only where every limit above the unit has room for it
(with the other small powers at zero, all of them together have the room that dispatch gave them);
those whose promise presses come first, then those that run already, then those owed most. Who
may not take its least at all (a limit at its station) rests. A discharge below its least rests
too, unless the import limit needs it.
"""

from dataclasses import dataclass

import numpy as np

from pendel.control.dispatch import Dispatched, Network
from pendel.control.state import FleetState, Knowledge
from pendel.units import SECONDS_PER_HOUR, BoolArray, FloatArray

RUN_S = 300.0
"""How long a pulse lasts at the least: contactors and cars are not to be switched more often."""
GAP_MAX_S = 900.0
"""Longest time between two ticks that is counted as owed; after a longer one nobody knows."""
WITHIN_KW = 1e-6


@dataclass(slots=True)
class _Pulse:
    """What one unit is owed [kWh], whether it runs, and what it was given and did last [kW]."""

    owed_kwh: float = 0.0
    running: bool = False
    given_kw: float = 0.0
    done_kw: float = 0.0
    at_s: int = 0


class LeastPowers:
    """Turns powers below the least of their unit into pulses, tick after tick."""

    def __init__(self) -> None:
        self._pulses: dict[str, _Pulse] = {}

    def apply(
        self,
        result: Dispatched,
        state: FleetState,
        knowledge: Knowledge,
        network: Network,
        held: BoolArray,
    ) -> BoolArray:
        """Change result.power_kw [N] where it lies below a least power; returns which units [N]
        run or rest for that reason. held [N]: somebody's hand, obeyed as it is."""
        power, charge, discharge = result.power_kw, state.charge_least_kw, state.discharge_least_kw
        small = ~held & (power > WITHIN_KW) & (power < charge - WITHIN_KW)
        faint = ~held & (power < -WITHIN_KW) & (power > -discharge + WITHIN_KW)
        if not small.any() and not faint.any():
            self._pulses.clear()
            return small
        given = power.copy()
        power[small | faint] = 0.0
        room = _Room(result, state, knowledge, network)
        for unit in np.flatnonzero(faint)[np.argsort(given[faint], kind="stable")].tolist():
            least = float(discharge[unit])
            if room.lacks(unit) and result.lowest_kw[unit] <= -least and room.add(unit, -least):
                power[unit] = -least
        self._charge(np.flatnonzero(small).tolist(), given, state, knowledge.now_s, room, result)
        return small | faint

    def _charge(
        self,
        units: list[int],
        given: FloatArray,
        state: FleetState,
        now_s: int,
        room: "_Room",
        result: Dispatched,
    ) -> None:
        """Admit pulses in their order as far as there is room."""
        pulses: dict[str, _Pulse] = {}
        order: list[tuple[bool, bool, float, int]] = []
        for unit in units:
            name = str(state.unit_id[unit])
            pulse = pulses[name] = self._pulses.get(name) or _Pulse(at_s=now_s)
            passed_s = min(float(now_s - pulse.at_s), GAP_MAX_S)
            pulse.owed_kwh += (pulse.given_kw - pulse.done_kw) * passed_s / SECONDS_PER_HOUR
            pulse.at_s, pulse.given_kw = now_s, float(given[unit])
            quantum = float(state.charge_least_kw[unit]) * RUN_S / SECONDS_PER_HOUR
            pulse.owed_kwh = min(max(pulse.owed_kwh, -quantum), quantum)
            edge = -0.5 * quantum if pulse.running else 0.5 * quantum
            due = pulse.owed_kwh > edge if pulse.running else pulse.owed_kwh >= edge
            presses = bool(result.promise_kw[unit] > WITHIN_KW)
            able = state.charge_max_kw[unit] >= state.charge_least_kw[unit] - WITHIN_KW
            if able and (due or presses):
                order.append((not presses, not (pulse.running and due), -pulse.owed_kwh, unit))
            else:
                pulse.running, pulse.done_kw = False, 0.0
        for *_, unit in sorted(order):
            pulse, least = pulses[str(state.unit_id[unit])], float(state.charge_least_kw[unit])
            pulse.running = room.add(unit, least)
            pulse.done_kw = least if pulse.running else 0.0
            result.power_kw[unit] = pulse.done_kw
        self._pulses = pulses  # who is not below its least any more is owed nothing


class _Room:
    """What the limits above each unit leave, as powers are added: site, feeders, portfolio."""

    def __init__(
        self, result: Dispatched, state: FleetState, knowledge: Knowledge, network: Network
    ) -> None:
        base = knowledge.load_kw - knowledge.pv_kw + result.curtail_kw
        site_kw = base + np.bincount(state.site, result.power_kw, minlength=len(base))
        sites, feeders = len(base), len(network.parent)
        self._sites, self._site = sites, state.site
        net = np.concatenate([site_kw, np.zeros(feeders), [float(site_kw.sum())]])
        for site in range(sites):
            for above in _feeders_of(network, site):
                net[sites + above] += site_kw[site]
        self._net = net
        self._high = np.concatenate(
            [knowledge.import_limit_kw, network.import_limit_kw, [network.portfolio_import_kw]]
        )
        # What saves an import limit need not feed anything in that was not fed in before.
        self._low = -np.concatenate(
            [
                np.minimum(knowledge.export_limit_kw, np.maximum(-base, 0.0)),
                network.export_limit_kw,
                [network.portfolio_export_kw],
            ]
        )
        self._above = [
            np.array([site, *(sites + f for f in _feeders_of(network, site)), sites + feeders])
            for site in range(sites)
        ]

    def lacks(self, unit: int) -> bool:
        """Whether an import limit above the unit is passed as things stand."""
        chain = self._above[self._site[unit]]
        return bool((self._net[chain] > self._high[chain] + WITHIN_KW).any())

    def add(self, unit: int, power_kw: float) -> bool:
        """Count a power [kW, signed] where every limit in its direction has room for it."""
        chain = self._above[self._site[unit]]
        after = self._net[chain] + power_kw
        fits = after <= self._high[chain] if power_kw > 0.0 else after >= self._low[chain]
        if not fits.all():
            return False
        self._net[chain] = after
        return True


def _feeders_of(network: Network, site: int) -> list[int]:
    """The feeders above a site, nearest first."""
    found, feeder = [], int(network.feeder[site])
    while feeder >= 0:
        found.append(feeder)
        feeder = int(network.parent[feeder])
    return found
