"""Sessions from before the start teach departures; nothing else of them counts."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from pendel.records import Mode
from pendel.scenario.examples import example_folder
from pendel.scenario.read import read_scenario
from pendel.sim.combine import combined, first_steps
from pendel.sim.engine import simulate


def test_a_depot_saves_in_its_first_night() -> None:
    scenario = first_steps(read_scenario(example_folder("depot")), 96)
    assert scenario.history is not None
    at_once = simulate(scenario, Mode.UNCONTROLLED).summary
    without = simulate(replace(scenario, history=None), Mode.V1G).summary
    knowing = simulate(scenario, Mode.V1G).summary
    assert knowing["promises_total"] == at_once["promises_total"] == 60
    assert knowing["promises_kept"] == 60
    assert knowing["cost_eur"] < 0.9 * at_once["cost_eur"]
    assert knowing["cost_eur"] < without["cost_eur"]
    assert knowing["peak_import_kw"] < 0.8 * at_once["peak_import_kw"]


def test_uncontrolled_charging_learns_nothing() -> None:
    scenario = first_steps(read_scenario(example_folder("street")), 48)
    with_it = simulate(scenario, Mode.UNCONTROLLED)
    without = simulate(replace(scenario, history=None), Mode.UNCONTROLLED)
    assert np.array_equal(with_it.power_kw, without.power_kw)


def test_histories_are_put_together_in_order() -> None:
    street, depot = (read_scenario(example_folder(name)) for name in ("street", "depot"))
    both = combined([street, depot], "both").history
    assert both is not None and street.history is not None and depot.history is not None
    assert len(both) == len(street.history) + len(depot.history)
    assert np.all(np.diff(both.depart_s) >= 0)
    of_depot = both.site == len(street.sites)
    assert both.vehicle_id[of_depot].tolist() == depot.history.vehicle_id.tolist()


def test_a_history_from_the_ends_of_the_calendar_is_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    shutil.copytree(example_folder("home"), folder)
    (folder / "history.csv").write_text(
        "site_id,arrive_utc,depart_utc,stated_depart_utc,vehicle_id\n"
        "home,0001-01-01T00:00:00+14:00,2025-03-26T00:00:00Z,9999-12-31T23:59:59-14:00,car\n"
        "home,2025-03-20T00:00:00Z,2025-03-20T00:00:00Z,0001-01-01T00:00:00+14:00,car\n"
    )
    run = simulate(first_steps(read_scenario(folder), 8), Mode.V1G)
    assert run.power_kw.shape[1] == 8
