"""The packaged list of cars is sane, and says "unknown" where nothing is known."""

import msgspec
import pytest

from pendel.errors import NotFoundError
from pendel.power.vehicles import Bidirectional, vehicle_named, vehicle_problems, vehicles


@pytest.mark.parametrize("name", list(vehicles()))
def test_entry_is_sane(name: str) -> None:
    car = vehicles()[name]
    assert vehicle_problems(car) == []
    assert 10.0 < car.capacity_kwh < 130.0
    assert 2.0 < car.ac_kw <= 22.0
    assert max(car.curve_kw) <= 1.05 * car.dc_kw
    assert car.bidirectional is Bidirectional.UNKNOWN


def test_list_is_the_size_promised() -> None:
    assert 55 <= len(vehicles()) <= 70


def test_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(NotFoundError, match="Nissan Leaf 40 kWh"):
        vehicle_named("Nissan Leaf")
    assert vehicle_named("Nissan Leaf 40 kWh").capacity_kwh == 38.0


def test_a_claim_needs_a_source_and_numbers_need_sense() -> None:
    car = vehicle_named("Nissan Leaf 40 kWh")
    claim = msgspec.structs.replace(car, bidirectional=Bidirectional.DC)
    assert "without a source" in str(vehicle_problems(claim)[0])
    broken = msgspec.structs.replace(
        car, capacity_kwh=-1.0, ac_phases=4, curve_soc=(0.0, 0.0), curve_kw=(1.0, 2.0)
    )
    assert [p.field.split(".")[-1] for p in vehicle_problems(broken)] == [
        "capacity_kwh",
        "ac_phases",
        "curve_soc",
    ]
