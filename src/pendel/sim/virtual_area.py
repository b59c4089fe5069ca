"""A scenario as an area of a runtime: virtual stations behind the ports, the usual controller."""

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from pendel.records import Mode
from pendel.runtime.area import AreaSpec, StorageSpec
from pendel.runtime.area_tick import Area, Ports, Station
from pendel.runtime.decider import live_controller
from pendel.runtime.state import State
from pendel.scenario.columns import Scenario
from pendel.sim.virtual_schedule import storages_of
from pendel.sim.virtual_station import VirtualWorld

if TYPE_CHECKING:
    from pendel.sim.ocpp_fleet import OcppFleet

UNLIMITED_KW = 1e6
"""Stands for a limit that is not there, where a finite number is needed [kW]."""


def spec_of(scenario: Scenario, mode: Mode, confidence: float) -> AreaSpec:
    """The sites of a scenario as an area, marked as simulated."""
    sites = scenario.sites

    def finite(values: np.ndarray) -> tuple[float, ...]:
        return tuple(np.minimum(values, UNLIMITED_KW).tolist())

    return AreaSpec(
        name=scenario.name,
        site_id=tuple(str(site) for site in sites.site_id),
        import_limit_kw=finite(sites.import_limit_kw),
        export_limit_kw=finite(sites.export_limit_kw),
        demand_charge_eur_kw=tuple(sites.demand_charge_eur_kw.tolist()),
        export_permitted=(True,) * len(sites),
        timezone=scenario.horizon.timezone,
        mode=mode,
        confidence=confidence,
        step_s=scenario.horizon.step_s,
        simulated=True,
        shared_import_limit_kw=shared_import_kw(scenario),
        storages=tuple(
            StorageSpec(
                storage_id=stay.session_id,
                site_id=stay.site_id,
                capacity_kwh=stay.capacity_kwh,
                energy_kwh=stay.energy_kwh,
                charge_max_kw=stay.charge_max_kw,
                discharge_max_kw=stay.discharge_max_kw,
                charge_efficiency=stay.charge_efficiency,
                discharge_efficiency=stay.discharge_efficiency,
                wear_eur_kwh=stay.wear_eur_kwh,
            )
            for stay in storages_of(scenario)
        ),
        limits_above=len(scenario.feeders) > 0
        or bool(np.isfinite(scenario.portfolio_import_limit_kw))
        or bool(np.isfinite(scenario.portfolio_export_limit_kw)),
    )


def shared_import_kw(scenario: Scenario) -> float:
    """What the tops of the feeder tree let all sites import together [kW], inf without them."""
    sites, feeders = scenario.sites, scenario.feeders
    tops = feeders.import_limit_kw[feeders.parent < 0].sum()
    free = sites.import_limit_kw[sites.feeder < 0].sum()
    total = tops + free if len(feeders) else np.inf
    return float(min(total, scenario.portfolio_import_limit_kw))


def virtual_area(
    scenario: Scenario,
    now_utc: datetime,
    state: State,
    mode: Mode = Mode.V2G,
    confidence: float = 0.99,
    fleet: "OcppFleet | None" = None,
) -> tuple[Area, VirtualWorld]:
    """An area that lives through a scenario from now_utc on, going on where the state ends.

    fleet: its stations speak OCPP; without it they are part of the process."""
    spec = spec_of(scenario, mode, confidence)
    world = VirtualWorld(scenario, now_utc)
    if fleet is not None:
        from pendel.sim.ocpp_world import OcppWorld

        world = OcppWorld(scenario, now_utc, fleet=fleet)
    world.resume(state, now_utc)
    controller = live_controller(
        spec,
        [int(index) for index in scenario.sites.feeder],
        scenario.feeders,
        scenario.portfolio_import_limit_kw,
        scenario.portfolio_export_limit_kw,
    )
    controller.remember(scenario.history)
    sites = {device: site for site, device in world.devices}
    area = Area(
        spec,
        controller,
        Ports(world, world, world, world),
        begin_s=scenario.horizon.start_s,
        stations=tuple(
            Station(device.partition("/")[0], sites[device], simulated=True)
            for device in sorted(sites)
        ),
    )
    return area, world
