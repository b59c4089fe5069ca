"""Stationary batteries in the live loop: read, steered, shown; islanded nothing is exported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_world import Real
from real_world import real as real_world
from small_world import START, STEPS, small_scenario

from pendel.adapters.event_log import SqliteEventLog
from pendel.errors import NotFoundError
from pendel.records import Deviation, Mode, Reading, Setpoint
from pendel.runtime.causes import as_text, chain
from pendel.runtime.state import fold
from pendel.scenario.columns import Scenario, Storages
from pendel.web.flow import flow_svg
from pendel.web.page_data import first_page

BATTERY, EFFICIENCY = "battery-home", 0.95


def battery_scenario() -> Scenario:
    """The small scenario with a battery at home and sun there in the first hours."""
    plain = small_scenario()

    def one(value: float) -> np.ndarray:
        return np.array([value])

    storages = Storages(
        storage_id=np.array([BATTERY]),
        site=np.array([0]),
        capacity_kwh=one(10.0),
        energy_start_kwh=one(2.0),
        energy_end_min_kwh=one(0.0),
        charge_max_kw=one(5.0),
        discharge_max_kw=one(5.0),
        charge_efficiency=one(EFFICIENCY),
        discharge_efficiency=one(EFFICIENCY),
        wear_eur_kwh=one(0.001),
    )
    pv = plain.series.pv_kw.copy()
    pv[0, :12] = 6.0
    price = np.where(np.arange(STEPS) < 16, 0.10, 0.50)[None, :]
    return replace(
        plain,
        storages=storages,
        series=replace(plain.series, pv_kw=pv),
        prices=replace(plain.prices, import_eur_kwh=price, export_eur_kwh=0.2 * price),
    )


def real(*log: SqliteEventLog, mode: Mode = Mode.V2G) -> Real:
    return real_world(*log, scenario=battery_scenario(), mode=mode)


def of_battery(run: Real, kind: type) -> list[Reading | Setpoint]:
    records = [r for _, r in run.runtime.store.replay() if isinstance(r, kind)]
    return [r for r in records if r.device_id == BATTERY]


def powers(run: Real) -> dict[str, float]:
    """What every device shows now [kW]."""
    return {r.device_id: r.power_kw for r in run.world.readings(run.runtime.now_utc or START)}


def test_a_battery_is_read_and_steered_and_its_energy_balances() -> None:
    run = real()
    run.to(475)
    setpoints, readings = of_battery(run, Setpoint), of_battery(run, Reading)
    assert any(s.power_kw > 1.0 for s in setpoints)
    assert any(s.power_kw < -0.5 for s in setpoints)
    assert all(abs(s.power_kw) <= 5.0 + 1e-9 and s.simulated for s in setpoints)
    last = readings[-1]
    assert isinstance(last, Reading)
    assert last.energy_kwh is not None and last.import_kwh is not None
    assert last.export_kwh is not None and last.export_kwh > 2.0
    stored = 2.0 + EFFICIENCY * last.import_kwh - last.export_kwh / EFFICIENCY
    assert last.energy_kwh == pytest.approx(stored, abs=1e-6)
    assert not of_battery(run, Deviation)
    assert run.runtime.health == "ok"
    assert BATTERY not in run.runtime.state.sessions
    assert run.runtime.state.limits_broken == 0
    assert fold(r for _, r in run.runtime.store.replay()).promises_total == 3


def test_the_grid_meter_counts_the_battery_and_the_charge_points_do_not() -> None:
    run = real()
    run.to(60)
    by_device = powers(run)
    cars = sum(kw for device, kw in by_device.items() if device.startswith("home-cp"))
    assert by_device["home#cars"] == pytest.approx(cars)
    expected = by_device["home#load"] + by_device["home#pv"] + cars + by_device[BATTERY]
    assert by_device["home#grid"] == pytest.approx(expected)


def test_a_battery_is_shown_and_explained() -> None:
    run = real()
    run.to(45)
    (area,) = first_page(run.runtime)["areas"]
    (row,) = area.batteries
    assert (row.name, row.where) == (BATTERY, "home")
    assert row.reason and row.setpoint_id
    assert ">Battery<" in area.flow_svg and "Battery" in dict(area.flow_rows)
    assert BATTERY not in {one.session_id for one in area.rows}
    assert "the plan" in as_text(chain(run.runtime.store, row.setpoint_id))
    assert BATTERY in run.runtime.state.plans["home"].power_kw
    assert "Battery" not in flow_svg(replace_battery(run))


def replace_battery(run: Real):  # type: ignore[no-untyped-def]
    """The flow of an area without a battery."""
    from pendel.runtime.area import Meters
    from pendel.web.page_data import _flow

    area = replace(run.area, spec=replace(run.area.spec, storages=()))
    return _flow(area, run.area.meters_now or Meters(START), [])


@pytest.mark.parametrize("mode", [Mode.V2G, Mode.V2H, Mode.UNCONTROLLED])
def test_islanded_nothing_is_exported_and_cars_and_battery_rest(mode: Mode) -> None:
    run = real(mode=mode)
    run.to(30)
    signal = run.runtime.outage("home", True, "inverter")
    for minutes in (31, 45, 60, 90):
        run.to(minutes)
        assert powers(run)["home#grid"] >= -1e-6, minutes
        for device, order in run.runtime.state.setpoints.items():
            if order.site_id == "home" and "#" not in device:
                assert order.power_kw == 0.0, (minutes, device)
    sun = run.runtime.state.setpoints["home#pv"]
    assert "the outage" in sun.reason and signal.id in sun.causes
    shop = [o for o in run.runtime.state.setpoints.values() if o.site_id == "shop"]
    assert shop and run.runtime.state.outages == {"home": signal.id}
    run.runtime.outage("home", False, "inverter")
    run.to(120)
    assert run.runtime.state.outages == {}
    orders = [o for o in run.runtime.state.setpoints.values() if o.site_id == "home"]
    assert any(abs(o.power_kw) > 0.5 for o in orders if "#" not in o.device_id)
    with pytest.raises(NotFoundError):
        run.runtime.outage("moon", True, "inverter")


def test_a_battery_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, energy = tmp_path / "log.db", 2.0
    for minutes in (70, 140, 200):
        log = SqliteEventLog(path)
        run = real(log)
        battery = run.world.batteries[BATTERY]
        assert battery.energy_kwh == pytest.approx(energy, abs=1e-3)
        run.to(minutes)
        energy = battery.energy_kwh
        log.close()
    assert energy != pytest.approx(2.0, abs=0.1)
