"""Metrics of the simulator on scenarios small enough to work out by hand."""

import numpy as np
import pytest
from scenarios_for_sim import scenario, sites

from pendel.records import Mode
from pendel.sim.engine import simulate


def test_uncontrolled_charges_at_once_until_the_target() -> None:
    """10 kWh at 11 kW: three full quarter hours (8.25 kWh), the rest in the fourth."""
    run = simulate(scenario([{"depart": 8}], steps=10), Mode.UNCONTROLLED)
    expected = [11.0, 11.0, 11.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert run.power_kw[0] == pytest.approx(expected)
    assert run.energy_kwh[0, :8] == pytest.approx([22.75, 25.5, 28.25, 30.0, 30, 30, 30, 30])
    assert np.isnan(run.energy_kwh[0, 8:]).all()
    summary = run.summary
    assert summary["cost_eur"] == pytest.approx(3.0)
    assert summary["import_kwh"] == pytest.approx(10.0)
    assert summary["charged_kwh"] == pytest.approx(10.0)
    assert summary["discharged_kwh"] == 0.0
    assert summary["peak_import_kw"] == pytest.approx(11.0)
    assert (summary["promises_total"], summary["promises_kept"]) == (1, 1)
    assert summary["shortfall_kwh"] == pytest.approx(0.0, abs=1e-9)
    assert summary["self_consumption"] is None


def test_money_of_every_kind() -> None:
    """Load 2, PV 5 kW, one car at 4 kW with 0.8 in: energy, wear and demand by hand."""
    run = simulate(
        scenario(
            [{"energy_target_kwh": 21.6, "charge_max_kw": 4.0, "charge_efficiency": 0.8,
              "wear_eur_kwh": 0.05, "depart": 4}],
            steps=4,
            place=sites(demand=10.0),
            load_kw=np.array([2.0, 2.0, 2.0, 2.0]),
            pv_kw=np.array([5.0, 5.0, 0.0, 5.0]),
        ),
        Mode.UNCONTROLLED,
    )  # fmt: skip
    assert run.power_kw[0] == pytest.approx([4.0, 4.0, 0.0, 0.0])
    assert run.net_kw[0] == pytest.approx([1.0, 1.0, 2.0, -3.0])
    summary = run.summary
    assert summary["energy_cost_eur"] == pytest.approx(0.25 * (0.3 * 4.0 - 0.1 * 3.0))
    assert summary["wear_eur"] == pytest.approx(1.6 * 0.05)
    assert summary["demand_charge_eur"] == pytest.approx(20.0)
    assert summary["cost_eur"] == pytest.approx(0.225 + 0.08 + 20.0)
    assert summary["self_consumption"] == pytest.approx((5.0 + 5.0 + 2.0) / 15.0)


def test_promise_counts_only_where_charging_at_once_would_do() -> None:
    """Target 30 from 20 kWh at 11 kW needs four quarter hours; two are not enough."""
    rows = [{"depart": 4}, {"depart": 3}, {"depart": 4, "energy_arrive_kwh": 31.0}]
    run = simulate(scenario(rows, steps=8), Mode.UNCONTROLLED)
    assert run.promised.tolist() == [True, False, True]
    assert run.kept.tolist() == [True, False, True]
    assert run.summary["shortfall_kwh"] == pytest.approx(30.0 - 28.25)


def test_the_fuse_binds_and_the_promise_is_then_broken() -> None:
    """Charging at once ignores the site's limit when promises are counted, reality does not."""
    run = simulate(scenario([{"depart": 4}], steps=8, place=sites(imports=4.0)), Mode.UNCONTROLLED)
    assert run.power_kw[0, :4] == pytest.approx([4.0] * 4)
    assert (run.summary["promises_total"], run.summary["promises_kept"]) == (1, 0)
    assert run.summary["shortfall_kwh"] == pytest.approx(6.0)


def test_real_load_is_seen_within_the_step() -> None:
    """A load nobody forecast: the fuse of 10 kW holds in the very step it appears."""
    load = np.array([0.0, 0.0, 9.0, 0.0])
    run = simulate(
        scenario([{"depart": 4}], steps=4, place=sites(imports=10.0), load_kw=load),
        Mode.UNCONTROLLED,
    )
    assert run.power_kw[0] == pytest.approx([10.0, 10.0, 1.0, 10.0])
    assert run.net_kw.max() <= 10.0 + 1e-9


def test_a_car_that_never_stays_a_whole_step() -> None:
    rows = [{"arrive": 2, "depart": 2}, {"arrive": 3, "depart": 5}]
    run = simulate(scenario(rows, steps=6), Mode.UNCONTROLLED)
    assert np.isnan(run.energy_kwh[0]).all()
    assert run.energy_leave_kwh[0] == 20.0
    assert not run.promised[0]


def test_a_full_round_trip_costs_exactly_the_efficiencies() -> None:
    """0.9 in and 0.9 out: of 10 kWh charged 8.1 come back. Driven by price, back to the start."""
    price = np.array([0.0, 0.0, 1.0, 1.0])
    row = {
        "depart": 4, "energy_arrive_kwh": 0.0, "energy_target_kwh": 0.0, "capacity_kwh": 60.0,
        "charge_max_kw": 10.0, "discharge_max_kw": 50.0, "charge_efficiency": 0.9,
        "discharge_efficiency": 0.9, "stated": 4,
    }  # fmt: skip
    run = simulate(scenario([row], steps=4, import_eur_kwh=price, export_eur_kwh=price), Mode.V2G)
    charged, given = run.summary["charged_kwh"], run.summary["discharged_kwh"]
    assert charged == pytest.approx(5.0)
    assert given / charged == pytest.approx(0.81, abs=1e-12)
    assert run.energy_leave_kwh[0] == pytest.approx(0.0, abs=1e-9)


def test_taper_slows_charging_only_where_a_model_is_named() -> None:
    rows = [
        {"depart": 8, "energy_arrive_kwh": 45.0, "energy_target_kwh": 60.0, "site": 0},
        {"depart": 8, "energy_arrive_kwh": 45.0, "energy_target_kwh": 60.0, "site": 0,
         "battery_model": "taper"},
    ]  # fmt: skip
    run = simulate(scenario(rows, steps=8), Mode.UNCONTROLLED)
    plain, tapered = run.power_kw
    assert plain[:5] == pytest.approx([11.0] * 5)
    assert tapered[0] == pytest.approx(11.0)
    later = tapered[2:8]
    assert (np.diff(later) < 0.0).all()
    assert run.energy_leave_kwh[1] < 60.0
    assert run.promised.tolist() == [True, False]
