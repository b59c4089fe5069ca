"""The controller of simulations, as the live loop uses it: with an operator's hand, and with its
schedules written down as plans."""

import time
from datetime import datetime

import numpy as np

from pendel.control.controller import Controller
from pendel.control.dispatch import SERVICE, Network, network_of
from pendel.control.planning import Ended
from pendel.control.state import Decision, FleetState, Knowledge
from pendel.records import Mode, SessionEvent
from pendel.runtime.area import AreaSpec
from pendel.runtime.state import SessionView, could_be_kept
from pendel.scenario.columns import UNKNOWN_S, Feeders
from pendel.units import FloatArray, IntArray


class LiveController:
    """Implements `area_tick.Decider` with `control.controller.Controller`."""

    def __init__(self, spec: AreaSpec, network: Network) -> None:
        self.controller = Controller(
            spec.mode,
            spec.confidence,
            spec.step_s,
            spec.timezone,
            network,
            clock_s=time.monotonic,
        )

    def refresh(self, state: FleetState, knowledge: Knowledge) -> None:
        """Bring wishes up to date; plans where that is due."""
        self.controller.refresh(state, knowledge)

    def hold(self, unit: int, power_kw: float, floor_kwh: float | None = None) -> None:
        """An operator's hand: this unit's wish is power_kw until the next refresh; floor_kwh: what
        the promise needs at the end of this step."""
        self.controller.hold(unit, power_kw, SERVICE, floor_kwh)

    def dispatch(self, state: FleetState, knowledge: Knowledge) -> Decision:
        """Setpoints inside every limit."""
        return self.controller.dispatch(state, knowledge)

    def ended(self, site: int, view: SessionView, left: SessionEvent) -> None:
        """A session ended: its departure and its promise are learned from."""
        plugged, promise = view.event, view.promise
        stated = plugged.stated_depart_utc
        target_kwh = 0.0 if promise is None else promise.asked_kwh
        counted = promise is not None and could_be_kept(plugged, promise, left)
        self.controller.ended(
            Ended(
                site=np.array([site], dtype=np.int64),
                vehicle_id=np.array([plugged.vehicle_id], dtype=np.str_),
                unit_id=np.array([plugged.session_id], dtype=np.str_),
                arrive_s=_epoch(plugged.at_utc),
                stated_depart_s=_epoch(stated),
                depart_s=_epoch(left.at_utc),
                lacked_kwh=np.array([target_kwh - left.energy_kwh]),
                counted=np.array([counted], dtype=np.bool_),
            )
        )

    def floors_kwh(self) -> FloatArray:
        """Energy [N] the promises need at the end of this step (NaN = nothing)."""
        return self.controller.floors_kwh

    def schedules(self, state: FleetState, now_s: int) -> FloatArray | None:
        """Planned powers [N, K] from the current step on; None where nothing is planned."""
        if self.controller.mode == Mode.UNCONTROLLED or len(state) == 0:
            return None
        slots = self.controller.planning.slots
        if len(slots.row) != len(state):
            return None
        columns = (now_s // self.controller.step_s + np.arange(slots.ring)) % slots.ring
        planned: FloatArray = slots.schedule_kw[slots.row[:, None], columns]
        return planned


def _epoch(when_utc: datetime | None) -> IntArray:
    """One time as epoch seconds [1]."""
    seconds = UNKNOWN_S if when_utc is None else int(when_utc.timestamp())
    return np.array([seconds], dtype=np.int64)


def no_feeders() -> Feeders:
    """Nothing above the sites."""
    nothing = np.zeros(0)
    return Feeders(np.zeros(0, dtype=np.str_), np.zeros(0, dtype=np.int64), nothing, nothing)


def live_controller(
    spec: AreaSpec,
    feeder: list[int],
    feeders: Feeders,
    portfolio_import_kw: float = float("inf"),
    portfolio_export_kw: float = float("inf"),
) -> LiveController:
    """A controller for an area under a tree of feeders; feeder[s] is the index of site s or -1."""
    index = np.array(feeder, dtype=np.int64)
    return LiveController(
        spec, network_of(index, feeders, portfolio_import_kw, portfolio_export_kw)
    )
