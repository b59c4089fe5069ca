"""The last quarter hour of a run is measured and delivered; budgets come from the configuration."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_world import START, small

from pendel.adapters.memory_log import MemoryEventLog
from pendel.cli.serve import areas_of
from pendel.clock import SimulatedClock
from pendel.config.server import load_server_config
from pendel.control.warranty import WarrantyBudget
from pendel.records import Delivery, Limit, Setpoint
from pendel.runtime.engine import Runtime
from pendel.runtime.loop import Loop, Stop
from pendel.runtime.pricing import PriceBook


@pytest.mark.parametrize("fast", [True, False])
def test_every_quarter_hour_up_to_the_end_is_delivered(fast: bool) -> None:
    run, until = small(), START + timedelta(hours=2)
    loop = Loop(run.runtime, SimulatedClock(START), 60.0, Stop(), next_event=run.world.next_event)
    if fast:
        loop.run_fast(until, 900)
    else:
        loop.run(until)
    records = [record for _, record in run.runtime.store.replay()]
    begins = {r.begin_utc for r in records if isinstance(r, Delivery)}
    assert begins == {START + timedelta(minutes=15 * n) for n in range(8)}
    assert not [r for r in records if isinstance(r, Setpoint) and r.at_utc >= until]
    assert run.runtime.health == "ok"


def test_a_run_that_is_stopped_has_no_last_boundary() -> None:
    run, stop = small(), Stop()
    loop = Loop(run.runtime, SimulatedClock(START), 60.0, stop, lambda now: stop.set())
    loop.run_fast(START + timedelta(hours=2), 900)
    assert run.runtime.now_utc == START


def test_budgets_of_vehicles_come_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "pendel.toml"
    path.write_text(
        'store = "memory://"\n[http]\n[ocpp]\n[[site]]\nsite_id = "home"\n'
        'timezone = "Europe/Berlin"\nimport_limit_kw = 17.0\n'
        '[[vehicle]]\nvehicle_id = "van"\nwarranty_budget = { month_kwh = 100.0, year_h = 0.0 }\n'
        '[[vehicle]]\nvehicle_id = "free"\n',
        "utf-8",
    )
    (area,) = areas_of(load_server_config(path), datetime(2026, 3, 2, tzinfo=UTC))
    assert area.spec.budgets == {"van": WarrantyBudget(month_kwh=100.0, year_h=0.0)}


def test_a_command_before_the_first_tick_is_taken() -> None:
    old = small()
    runtime, area = Runtime(MemoryEventLog()), old.area
    area.book = PriceBook()
    runtime.areas.append(area)
    runtime.start(START)
    limit = Limit(id="", at_utc=START, site_id="home", source="x", import_limit_kw=1.0)
    assert runtime.add_limit(limit).id in runtime.state.limits
