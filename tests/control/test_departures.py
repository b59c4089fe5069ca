"""The departure model: twin, shape, learning, and calibration on months it never saw."""

import sys
from pathlib import Path

import numpy as np
import pytest
from policy_twin import twin_learned, twin_presence
from states import NOON_S, fleet

from pendel.control.departure_fit import fit_table
from pendel.control.departures import (
    HALF_LIFE_SESSIONS,
    SITE_STRENGTH,
    DepartureModel,
    Prior,
    packaged_prior,
)
from pendel.scenario.columns import UNKNOWN_S

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import session_data as data  # noqa: E402


def one_archetype(seed: int) -> Prior:
    table = np.random.default_rng(seed).uniform(0.1, 0.5, 152)
    return Prior(["only"], [1.0], [table.tolist()], "test")


@pytest.mark.parametrize("seed", range(8))
def test_presence_agrees_with_the_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prior = one_archetype(seed)
    model = DepartureModel.prior("Europe/Berlin", prior)
    arrive_s = NOON_S - int(rng.integers(0, 40_000))
    stated_s = UNKNOWN_S if seed % 3 == 0 else NOON_S + int(rng.integers(-20_000, 60_000))
    state = fleet(arrive_s=arrive_s, stated_depart_s=stated_s)
    found = model.presence(state, NOON_S, 900, 60)[0]
    local_s, weekend = model._local(NOON_S, 900, 60)
    expected = twin_presence(NOON_S, 900, 60, arrive_s, stated_s, local_s, weekend, prior.tables[0])
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_learning_agrees_with_the_twin(seed: int) -> None:
    """Sessions of a Monday (3 March 2025), stated or not, from minutes to half a day long."""
    rng = np.random.default_rng(seed)
    tables = rng.uniform(0.05, 0.5, (2, 152))
    prior = Prior(["one", "two"], [0.6, 0.4], tables.tolist(), "test")
    model = DepartureModel.prior("Europe/Berlin", prior)
    midnight_s, count = 1_740_956_400, 9
    arrive = midnight_s + rng.integers(0, 10 * 3_600, count)
    depart = arrive + rng.integers(0, 12 * 3_600, count)
    stated = np.where(rng.random(count) < 0.3, UNKNOWN_S, depart + rng.integers(-9_000, 9_000, 9))
    model.learn(np.full(count, 1), np.full(count, ""), arrive, stated, depart)
    sessions = list(zip(arrive, stated, depart, arrive - midnight_s, strict=True))
    fade, score = 0.5 ** (1.0 / HALF_LIFE_SESSIONS), []
    for a in range(2):
        factor, likelihood = twin_learned(tables[a], sessions, SITE_STRENGTH, fade)
        assert model._learned.factor[1, a] == pytest.approx(factor, rel=1e-12)
        score.append(prior.shares[a] * np.exp(likelihood))
    expected = np.array(score) / sum(score)
    expected[expected < 1e-3] = 0.0
    assert model.archetype_shares(1) == pytest.approx(expected / expected.sum(), rel=1e-9)
    assert model.shares_at(np.array([0, 1, 7]))[[0, 2]] == pytest.approx(np.array([[0.6, 0.4]] * 2))


def test_presence_is_a_survival_curve_and_storages_stay() -> None:
    model = DepartureModel.prior("Europe/Berlin")
    state = fleet(3, is_session=np.array([True, True, False]),
                  stated_depart_s=np.array([NOON_S + 7_200, UNKNOWN_S, UNKNOWN_S]))  # fmt: skip
    presence = model.presence(state, NOON_S, 900, 96)
    assert presence.shape == (3, 96)
    assert (np.diff(presence, axis=1) <= 0.0).all()
    assert (presence[:, 0] == pytest.approx(1.0)) and (presence[2] == 1.0).all()
    assert presence[0, 24] < presence[1, 24]  # four hours after what the driver stated


def test_a_site_that_leaves_early_is_learned_and_other_sites_are_not_touched() -> None:
    model = DepartureModel.prior("Europe/Berlin")
    state = fleet(2, site=np.array([0, 1]), stated_depart_s=NOON_S + 8 * 3_600)
    before = model.presence(state, NOON_S, 900, 24)
    count = 60
    arrive = NOON_S - 86_400 * np.arange(1, count + 1)
    model.learn(
        np.zeros(count, int), np.full(count, ""), arrive, arrive + 8 * 3_600, arrive + 5_000
    )
    after = model.presence(state, NOON_S, 900, 24)
    assert after[0, 12] < 0.6 * before[0, 12]
    assert after[1] == pytest.approx(before[1])
    assert model.site_sessions(0) == count


def test_a_driver_differs_from_his_site() -> None:
    model = DepartureModel.prior("Europe/Berlin")
    count = 40
    arrive = NOON_S - 86_400 * np.arange(1, count + 1)
    late = np.arange(count) % 2 == 0
    names = np.where(late, "late", "early")
    depart = arrive + np.where(late, 9 * 3_600, 2 * 3_600)
    model.learn(np.zeros(count, int), names, arrive, arrive + 6 * 3_600, depart)
    state = fleet(2, vehicle_id=np.array(["late", "early"]), stated_depart_s=NOON_S + 21_600)
    presence = model.presence(state, NOON_S, 900, 40)
    assert presence[0, 12] > presence[1, 12] + 0.1


def test_nights_at_home_change_the_archetype() -> None:
    model = DepartureModel.prior("Europe/Oslo")
    count = 40
    evening_s = 1_741_114_800  # 4 March 2025, 20:00 in Oslo
    arrive = evening_s - 86_400 * np.arange(1, count + 1)
    nobody = np.full(count, UNKNOWN_S)
    model.learn(np.zeros(count, int), np.full(count, ""), arrive, nobody, arrive + 40_000)
    home = packaged_prior().archetypes.index("home")
    shares = model.archetype_shares(0)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[home] > 2.0 * packaged_prior().shares[home]


def fleet_night(early: bool) -> DepartureModel:
    """A model that has seen one night of 40 vans, all near their statement or a third early."""
    model = DepartureModel.prior("Europe/Berlin")
    count = 40
    arrive = NOON_S - 86_400 + 300 * np.arange(count)
    stated = np.full(count, NOON_S - 86_400 + 17 * 3_600)
    depart = stated + 60 * (np.arange(count) % 12)
    if early:
        depart = depart - np.where(np.arange(count) % 3 == 0, 5 * 3_600, 0)
    model.learn(np.zeros(count, int), np.full(count, ""), arrive, stated, depart)
    return model


def test_a_timetable_is_believed_after_one_night_and_only_if_it_is_kept() -> None:
    state = fleet(stated_depart_s=NOON_S + 17 * 3_600)
    kept = fleet_night(early=False).presence(state, NOON_S, 900, 96)[0]
    broken = fleet_night(early=True).presence(state, NOON_S, 900, 96)[0]
    assert 0.98 < kept[60] < 1.0  # two hours before the statement: believed, with a tail
    assert kept[80] < 0.1
    assert broken[60] < 0.75
    timetable = packaged_prior().archetypes.index("timetable")
    assert fleet_night(early=True).archetype_shares(0)[timetable] < 0.01


def test_departures_on_a_month_never_seen_are_calibrated() -> None:
    """The probability transform of real departures is near uniform, out of sample."""
    work = data.acn(BENCHMARKS / "data" / "acn")
    test = np.char.endswith(work.group, "2019-07")
    rest = work.where(~test & (np.arange(len(work)) % 8 == 0))
    table = fit_table(rest.arrive_s, rest.stated_s, rest.depart_s, data.ACN_ZONE)
    model = DepartureModel.prior(data.ACN_ZONE, Prior(["w"], [1.0], [table.tolist()], ""))
    month = work.where(test)
    month = month.where(np.arange(len(month)) % 4 == 0)
    ranks = []
    for n in range(len(month)):
        begin_s = int(month.arrive_s[n])
        state = fleet(arrive_s=begin_s, stated_depart_s=int(month.stated_s[n]))
        presence = model.presence(state, begin_s, 900, 90)[0]
        step = min(max(int(month.depart_s[n] - begin_s) // 900, 0), 89)
        ranks.append(presence[step])
    for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert np.mean(np.array(ranks) <= quantile) == pytest.approx(quantile, abs=0.07)


def test_learning_is_causal() -> None:
    """What is learned later does not change what was said before: equal inputs, equal answers."""
    state = fleet(stated_depart_s=NOON_S + 10_000)
    first = DepartureModel.prior("Europe/Berlin").presence(state, NOON_S, 900, 50)
    again = DepartureModel.prior("Europe/Berlin")
    said = again.presence(state, NOON_S, 900, 50)
    again.learn(np.zeros(1, int), np.array([""]), np.array([NOON_S - 9_000]),
                np.array([UNKNOWN_S]), np.array([NOON_S]))  # fmt: skip
    assert (first == said).all()
