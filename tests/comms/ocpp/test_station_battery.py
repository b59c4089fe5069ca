"""The battery of a virtual station follows the models of `power`, whatever the steps."""

import numpy as np
import pytest

from pendel.cli.station import BATTERIES
from pendel.comms.ocpp.station.equipment import Car
from pendel.power.battery import MODELS, Batteries, advance, limits_of


def car(model: str, soc: float) -> Car:
    return Car(
        60.0, 60.0 * soc, 60.0, charge_max_kw=50.0, discharge_max_kw=50.0, battery_model=model
    )


def test_all_models_of_power_can_be_chosen() -> None:
    assert set(BATTERIES) == set(MODELS)


@pytest.mark.parametrize("model", BATTERIES)
def test_charging_to_full_takes_as_long_as_the_model_says(model: str) -> None:
    there = car(model, 0.7)
    battery = Batteries(*(np.array([v]) for v in (60.0, 50.0, 50.0, 0.92, 0.92)))
    limits, energy = limits_of([model], battery), np.array([42.0])
    for _ in range(40):
        for _ in range(60):
            power = there.possible_kw(50.0, 1.0 / 3600.0)
            there.move(power, 1.0 / 3600.0)
        _, energy = advance(np.array([50.0]), energy, battery, 1.0 / 60.0, limits)
        assert there.energy_kwh == pytest.approx(float(energy[0]), abs=0.03)


def test_power_falls_near_full_and_near_empty() -> None:
    powers = [car("nmc", soc).possible_kw(50.0, 1e-4) for soc in (0.5, 0.9, 0.97, 1.0)]
    assert powers == sorted(powers, reverse=True) and powers[0] == 50.0 and powers[-1] == 0.0
    given = [-car("nmc", soc).possible_kw(-50.0, 1e-4) for soc in (0.0, 0.01, 0.5)]
    assert given == sorted(given) and given[0] == 0.0 and given[-1] == 50.0
