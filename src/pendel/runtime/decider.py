"""The controller of simulations, as the live loop uses it: with an operator's hand, and with its
schedules written down as plans."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pendel.control.controller import Controller
from pendel.control.dispatch import SERVICE, Network, network_of
from pendel.control.plan_result import PlanCost
from pendel.control.planning import Ended
from pendel.control.state import Decision, FleetState, Knowledge
from pendel.errors import PendelError
from pendel.records import Mode, Needs
from pendel.runtime.area import AreaSpec
from pendel.runtime.state import Lesson
from pendel.scenario.columns import Feeders, History
from pendel.units import FloatArray


class WarmingUpError(PendelError):
    """The controller's kernels are not compiled yet."""


class LiveController:
    """Implements `area_tick.Decider` with `control.controller.Controller`.

    ready: whether it may be asked; until then it refuses, and the safe fallback decides."""

    ready: Callable[[], bool] = staticmethod(lambda: True)

    def __init__(self, spec: AreaSpec, network: Network) -> None:
        self.controller = Controller(
            spec.mode,
            spec.confidence,
            spec.step_s,
            spec.timezone,
            network,
            clock_s=time.monotonic,
        )

    def told(self, wishes: Mapping[str, Sequence[Needs]]) -> None:
        """What is asked of each session; a changed one is planned anew."""
        self.controller.restate(wishes)

    def refresh(self, state: FleetState, knowledge: Knowledge) -> None:
        """Bring wishes up to date; plans where that is due. Raises WarmingUpError."""
        if not self.ready():
            raise WarmingUpError("kernels are being compiled")
        self.controller.refresh(state, knowledge)

    def hold(self, unit: int, power_kw: float, floor_kwh: float | None = None) -> None:
        """An operator's hand: this unit's wish is power_kw until the next refresh; floor_kwh: what
        the promise needs at the end of this step."""
        self.controller.hold(unit, power_kw, SERVICE, floor_kwh)

    def dispatch(self, state: FleetState, knowledge: Knowledge) -> Decision:
        """Setpoints inside every limit."""
        return self.controller.dispatch(state, knowledge)

    def learn(self, sites: Sequence[int], lessons: Sequence[Lesson]) -> None:
        """Sessions ended, oldest first: their departures and promises are learned from."""
        columns = list(zip(*lessons, strict=True))
        if not columns:
            return
        _, vehicle, session, arrive, stated, depart, lacked, counted = columns
        self.controller.ended(
            Ended(
                site=np.array(sites, dtype=np.int64),
                vehicle_id=np.array(vehicle, dtype=np.str_),
                unit_id=np.array(session, dtype=np.str_),
                arrive_s=np.array(arrive, dtype=np.int64),
                stated_depart_s=np.array(stated, dtype=np.int64),
                depart_s=np.array(depart, dtype=np.int64),
                lacked_kwh=np.array(lacked, dtype=np.float64),
                counted=np.array(counted, dtype=np.bool_),
            )
        )

    def remember(self, history: History | None) -> None:
        """Take up sessions from before this log began."""
        self.controller.remember(history)

    def memory(self) -> dict[str, float | list[float]]:
        """What is known of risk beyond the lessons, to be written down."""
        return self.controller.planning.keeper.memory()

    def recall(self, memory: Mapping[str, object], seen: Sequence[str]) -> None:
        """Take up what was written down; seen: sessions that were met before that."""
        self.controller.planning.keeper.recall(memory, seen)

    def floors_kwh(self) -> FloatArray:
        """Energy [N] the promises need at the end of this step (NaN = nothing)."""
        return self.controller.floors_kwh

    def plan_costs(self) -> Mapping[int, PlanCost]:
        """By index of the site what its last plan costs."""
        return self.controller.planning.costs

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
