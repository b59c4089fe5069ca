"""The level below which a site with a demand charge plans its cars."""

from dataclasses import replace
from functools import partial

import numpy as np
from states import NOON_S, fleet

from pendel.control.outlook import Outlook
from pendel.control.peak import calm_room
from pendel.control.policy import Room, lone_paths
from pendel.control.state import FleetState, Knowledge

STEPS, CARS, STEP_S = 48, 8, 900
CHEAP = slice(30, 36)


def knowledge(demand_eur_kw: float, peak_kw: float = 0.0) -> Knowledge:
    one, empty = np.zeros(1), np.zeros((1, 0))
    return Knowledge(
        now_s=NOON_S,
        step_s=STEP_S,
        timezone="UTC",
        price_row=np.zeros(1, dtype=np.int64),
        import_eur_kwh=empty,
        export_eur_kwh=empty,
        import_past_eur_kwh=empty,
        export_past_eur_kwh=empty,
        load_kw=one,
        pv_kw=one,
        load_past_kw=empty,
        pv_past_kw=empty,
        import_limit_kw=np.array([100.0]),
        export_limit_kw=np.array([0.0]),
        demand_charge_eur_kw=np.array([demand_eur_kw]),
        peak_so_far_kw=np.array([peak_kw]),
        grid_up=np.ones(1, dtype=np.bool_),
        reading_age_s=one,
    )


def outlook() -> Outlook:
    price = np.full((1, STEPS), 0.30)
    price[:, CHEAP] = 0.25
    quiet = np.full((1, STEPS), 5.0)
    return Outlook(price, price - 0.1, quiet, np.zeros((1, STEPS)), STEPS)


def level_kw(
    known: Knowledge, presence: np.ndarray, risk_eur: float = 100.0, **columns: object
) -> float | None:
    """What cars and load may reach together, none where nothing is chosen."""
    state: FleetState = replace(fleet(CARS, **columns), discharge_max_kw=np.zeros(CARS))
    ahead, row = outlook(), np.zeros(CARS, dtype=np.int64)
    paths = partial(
        lone_paths, state, presence, None, risk_eur, ahead.import_eur_kwh, ahead.export_eur_kwh,
        row, NOON_S, STEP_S,
    )  # fmt: skip
    room = calm_room(state, presence, known, ahead, risk_eur, paths)
    return None if room is None else float(room.import_kw[0, 0] + 5.0)


def sure(until: int = STEPS) -> np.ndarray:
    presence = np.ones((CARS, STEPS))
    presence[:, until:] = 0.0
    return presence


def test_nothing_to_choose_without_a_charge_or_below_the_peak_that_is_paid() -> None:
    assert level_kw(knowledge(0.0), sure()) is None
    assert level_kw(knowledge(2.0, peak_kw=100.0), sure()) is None


def test_cars_that_surely_stay_are_spread_below_a_low_level() -> None:
    # 8 cars need 8 * 20 / 0.95 = 168 kWh in 12 h: 14 kW besides the 5 kW of load
    chosen = level_kw(knowledge(2.0), sure())
    assert chosen is not None and 19.0 <= chosen <= 35.0


def test_a_small_charge_is_not_worth_dear_hours() -> None:
    cheap, dear = level_kw(knowledge(0.001), sure()), level_kw(knowledge(2.0), sure())
    assert cheap is not None and dear is not None and cheap > dear


def test_a_promise_outweighs_the_charge() -> None:
    # two hours only: 168 kWh need 84 kW, and a broken promise costs more than the peak
    chosen = level_kw(knowledge(2.0), sure(8), risk_eur=1_000.0)
    assert chosen is not None and chosen >= 84.0


def test_each_site_has_its_own_room() -> None:
    state = fleet(2, site=np.array([0, 1]))
    known, ahead = knowledge(2.0), outlook()
    two = {
        name: np.repeat(getattr(known, name), 2, axis=0)
        for name in (
            "price_row", "load_kw", "pv_kw", "import_limit_kw", "export_limit_kw", "peak_so_far_kw",
        )
    }  # fmt: skip
    known = replace(known, **two, demand_charge_eur_kw=np.array([2.0, 0.0]))
    both = replace(ahead, load_kw=np.repeat(ahead.load_kw, 2, axis=0), pv_kw=np.zeros((2, STEPS)))

    def paths(room: Room | None) -> tuple[np.ndarray, np.ndarray]:
        row = np.zeros(2, dtype=np.int64)
        return lone_paths(
            state, np.ones((2, STEPS)), None, 100.0, both.import_eur_kwh, both.export_eur_kwh,
            row, NOON_S, STEP_S, room,
        )  # fmt: skip

    room = calm_room(state, np.ones((2, STEPS)), known, both, 100.0, paths)
    assert room is not None
    assert room.import_kw[0].max() < 95.0
    assert room.import_kw[1].max() == 95.0
