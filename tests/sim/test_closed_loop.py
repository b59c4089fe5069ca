"""Properties of the closed loop: limits, no peeking, determinism, precedence of strategies."""

import numpy as np
import pytest
from scenarios_for_sim import no_storages, random_rows, scenario, sites

from pendel.records import Mode
from pendel.scenario.columns import Feeders, Scenario, Storages
from pendel.sim.engine import simulate

STEPS = 40


def random_scenario(seed: int, count: int = 10, count_s: int = 3) -> Scenario:
    """Random sites with load and PV, tight limits, a feeder now and then, a home battery."""
    draw = np.random.default_rng(seed)
    place = sites(count_s, demand=float(draw.choice([0.0, 5.0])))
    place.import_limit_kw[:] = draw.choice([6.0, 15.0, 60.0], count_s)
    place.export_limit_kw[:] = draw.choice([0.0, 5.0, 60.0], count_s)
    more: dict = {}
    if seed % 2:
        place.feeder[:] = 0
        more["feeders"] = Feeders(
            np.array(["f"]), np.full(1, -1, dtype=np.int64), np.array([25.0]), np.array([8.0])
        )
    one = np.ones(1)
    more["storages"] = (
        Storages(np.array(["b"]), np.zeros(1, dtype=np.int64), 10 * one, 5 * one, 0 * one, 5 * one,
                 5 * one, 0.95 * one, 0.95 * one, 0.01 * one)
        if seed % 3 == 0
        else no_storages()
    )  # fmt: skip
    buy = draw.uniform(-0.05, 0.5, STEPS)
    return scenario(
        random_rows(seed, count, STEPS, count_s),
        steps=STEPS,
        place=place,
        import_eur_kwh=buy,
        export_eur_kwh=buy - 0.05,
        load_kw=np.minimum(draw.uniform(0.0, 6.0, (count_s, STEPS)), 5.9),
        pv_kw=draw.uniform(0.0, 8.0, (count_s, STEPS)) * draw.integers(0, 2),
        **more,
    )


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("seed", range(4))
def test_every_strategy_keeps_every_limit(mode: Mode, seed: int) -> None:
    """Real load and PV differ from every forecast; loads alone stay below each site's fuse."""
    world = random_scenario(seed)
    run = simulate(world, mode)
    place, sessions, storages = world.sites, world.sessions, world.storages
    assert (run.net_kw <= place.import_limit_kw[:, None] + 1e-9).all()
    assert (run.net_kw >= -place.export_limit_kw[:, None] - 1e-9).all()
    if len(world.feeders):
        assert (run.net_kw.sum(axis=0) <= 25.0 + 1e-9).all()
        assert (run.net_kw.sum(axis=0) >= -8.0 - 1e-9).all()
    most = np.concatenate([sessions.charge_max_kw, storages.charge_max_kw])
    least = -np.concatenate([sessions.discharge_max_kw, storages.discharge_max_kw])
    cars = len(sessions)
    if mode in (Mode.UNCONTROLLED, Mode.V1G):
        least[:cars] = 0.0
    assert (run.power_kw <= most[:, None] + 1e-9).all()
    assert (run.power_kw >= least[:, None] - 1e-9).all()
    capacity = np.concatenate([sessions.capacity_kwh, storages.capacity_kwh])
    connected = ~np.isnan(run.energy_kwh)
    energy = np.where(connected, run.energy_kwh, 0.0)
    assert (energy <= capacity[:, None] + 1e-9).all()
    floor = np.minimum(sessions.energy_min_kwh, sessions.energy_arrive_kwh)
    kept = energy[:cars] >= floor[:, None] - 1e-9
    assert kept[connected[:cars]].all()
    assert (run.power_kw[~connected] == 0.0).all()
    if mode in (Mode.V2H, Mode.V2B):
        surplus = np.minimum(0.0, world.series.load_kw - world.series.pv_kw)
        assert (run.net_kw >= surplus - 1e-9).all()
    assert (run.curtailed_kw >= 0.0).all()
    assert (run.curtailed_kw <= world.series.pv_kw + 1e-12).all()


@pytest.mark.parametrize("mode", [Mode.V1G, Mode.V2G])
def test_no_peeking(mode: Mode) -> None:
    """What happens from step 20 on changes nothing before it: load, PV, arrivals, departures."""
    world = random_scenario(6)
    moment = 20
    before = simulate(world, mode)
    draw = np.random.default_rng(1)
    world.series.load_kw[:, moment:] = draw.uniform(
        0.0, 5.9, world.series.load_kw[:, moment:].shape
    )
    world.series.pv_kw[:, moment:] = draw.uniform(0.0, 8.0, world.series.pv_kw[:, moment:].shape)
    sessions = world.sessions
    late = sessions.depart_step > moment
    assert late.any()
    sessions.depart_step[late] = draw.integers(moment, STEPS, late.sum())
    sessions.depart_s[late] = world.horizon.start_s + 900 * sessions.depart_step[late]
    gone = sessions.arrive_step > moment
    sessions.energy_arrive_kwh[gone] *= 0.5
    sessions.depart_step[gone] = np.maximum(sessions.depart_step, sessions.arrive_step)[gone]
    after = simulate(world, mode)
    assert (before.power_kw[:, :moment] == after.power_kw[:, :moment]).all()
    assert (before.power_kw != after.power_kw).any()


def test_prices_of_the_day_after_tomorrow_are_not_known() -> None:
    """The run begins at 12:00 local: until 12:45 only today's prices count."""
    rows = [{"arrive": 0, "depart": 90, "stated": 90, "energy_target_kwh": 50.0}]
    price = np.full(96, 0.3)
    cheap = price.copy()
    cheap[60:] = 0.01  # after midnight local (step 48): published at 12:45, step 3
    known = simulate(scenario(rows, import_eur_kwh=price), Mode.V1G, 0.5)
    lower = simulate(scenario(rows, import_eur_kwh=cheap), Mode.V1G, 0.5)
    assert (known.power_kw[:, :3] == lower.power_kw[:, :3]).all()


@pytest.mark.parametrize("mode", [Mode.V1G, Mode.V2H, Mode.V2G])
def test_same_run_again_bit_for_bit(mode: Mode) -> None:
    first = simulate(random_scenario(3), mode, seed=7)
    second = simulate(random_scenario(3), mode, seed=7)
    assert (first.power_kw == second.power_kw).all()
    assert np.array_equal(first.energy_kwh, second.energy_kwh, equal_nan=True)
    timed = {"seconds", "cpu_seconds", "vehicle_steps_per_second"}
    for key in first.summary.keys() - timed:
        assert first.summary[key] == second.summary[key], key


def test_v2g_earns_from_a_swing_in_price() -> None:
    """Full cars, dear now and cheap later, a departure far off: energy is sold, then bought."""
    rows = [
        {"arrive": 0, "depart": 95, "stated": 95, "energy_arrive_kwh": 55.0, "vehicle_id": f"v{i}",
         "energy_target_kwh": 30.0, "discharge_max_kw": 11.0}
        for i in range(3)
    ]  # fmt: skip
    price = np.where(np.arange(96) % 24 < 12, 0.5, 0.1)
    both = {"import_eur_kwh": price, "export_eur_kwh": price}
    cost = {
        mode: simulate(scenario(rows, **both), mode).summary["cost_eur"]
        for mode in (Mode.UNCONTROLLED, Mode.V1G, Mode.V2G)
    }
    assert cost[Mode.V2G] < -5.0
    assert cost[Mode.V1G] == pytest.approx(cost[Mode.UNCONTROLLED])
