"""Compiles and loads the controller's kernels before the first car needs them.

A first start compiles for many seconds; an operator's setpoint must be on the wire within one. So
a pretended car is planned and dispatched once, on a controller of its own that is thrown away.
That happens in a thread: stations connect meanwhile, and what they bring is answered by the safe
fallback until the controller is there.
"""

import logging
import threading
import time
from datetime import datetime, timedelta

import numpy as np

from pendel.control.limits import SiteLimit
from pendel.control.state import FleetState
from pendel.kernel import on_compile
from pendel.runtime.area import AreaSpec, Meters, PriceRows, knowledge
from pendel.runtime.decider import live_controller, no_feeders
from pendel.runtime.state import PriceTable, State

LOG = logging.getLogger("pendel.runtime")
STEPS = 96


class WarmUp:
    """Warms up in a thread of its own. done: everything is there (or failed, and is compiled when
    it is needed)."""

    def __init__(self, spec: AreaSpec, now_utc: datetime) -> None:
        self._done = threading.Event()
        self._told = False
        self._work = (spec, now_utc)
        on_compile(self._tell)
        self._thread = threading.Thread(target=self._run, name="warm-up", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the controller may be asked."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait at most seconds; whether it is done."""
        return self._done.wait(seconds)

    def _run(self) -> None:
        begun_s = time.monotonic()
        try:
            warm_up(*self._work)
        except Exception:  # a help, never a condition: the loop will meet and tell what is wrong
            LOG.exception("warming up failed")
        self._done.set()
        if self._told:
            LOG.info("kernels are ready after %.0f s", time.monotonic() - begun_s)

    def _tell(self, name: str) -> None:
        if not self._told and not self.done:
            self._told = True
            LOG.info(
                "first start: kernels are being compiled, which takes about half a minute; "
                "stations may connect already, cars charge modestly until then"
            )


def warm_up(spec: AreaSpec, now_utc: datetime) -> None:
    """Decide once for one pretended car at the sites of spec."""
    decider = live_controller(spec, [-1] * len(spec.site_id), no_feeders())
    begin_s = int(now_utc.timestamp()) // spec.step_s * spec.step_s
    table = PriceTable(
        eur_kwh={begin_s + i * spec.step_s: (0.3 + 0.1 * (i % 2), 0.1) for i in range(STEPS)}
    )
    state = State(prices={spec.name: table})
    limits = [
        SiteLimit(most_in, most_out, "fuse", "fuse")
        for most_in, most_out in zip(spec.import_limit_kw, spec.export_limit_kw, strict=True)
    ]
    rows = PriceRows((0,) * len(spec.site_id), (spec.name,))
    known = knowledge(spec, state, Meters(now_utc), limits, rows, begin_s, {}, None)
    until_s = int((now_utc + timedelta(hours=8)).timestamp())
    car = _pretended_car(begin_s, until_s)
    decider.refresh(car, known)
    decider.hold(0, -1.0, 10.0)
    decider.dispatch(car, known)
    decider.schedules(car, known.now_s)


def _pretended_car(now_s: int, until_s: int) -> FleetState:
    def one(value: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.array([value], dtype=np.float64)

    return FleetState(
        unit_id=np.array(["warm-up"], dtype=np.str_),
        vehicle_id=np.array([""], dtype=np.str_),
        site=np.zeros(1, dtype=np.int64),
        is_session=np.ones(1, dtype=np.bool_),
        arrive_s=np.array([now_s], dtype=np.int64),
        stated_depart_s=np.array([until_s], dtype=np.int64),
        capacity_kwh=one(60.0),
        energy_arrive_kwh=one(30.0),
        energy_kwh=one(30.0),
        target_kwh=one(48.0),
        energy_min_kwh=one(12.0),
        charge_max_kw=one(11.0),
        discharge_max_kw=one(10.0),
        charge_efficiency=one(0.95),
        discharge_efficiency=one(0.95),
        wear_eur_kwh=one(0.0),
        terminal_eur_kwh=one(0.0),
        power_kw=one(0.0),
        reading_age_s=one(0.0),
        charge_now=np.zeros(1, dtype=np.bool_),
        paused=np.zeros(1, dtype=np.bool_),
        charge_least_kw=one(0.0),
        discharge_least_kw=one(0.0),
    )
