"""A site's tariff decides when a car on a real OCPP 2.1 station gives back; without prices it only
charges, and says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from served_world import SERVER, TARIFF, served, spot_csv

from pendel.comms.ocpp.station.equipment import Car
from pendel.records import Signal, Tick
from pendel.runtime.state import PRICE

START = datetime(2026, 3, 3, 16, 0, tzinfo=UTC)
STATION = {"CP1": ("home", 11.0)}
MIDNIGHT = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)


def write(folder: Path, dear_hours: tuple[int, ...], hours: int = 48) -> None:
    """Prices from local midnight on: 60 EUR/MWh, 400 in the dear hours (UTC) of the first day."""
    prices = [60.0] * hours
    for hour in dear_hours:
        prices[hour + 1] = 400.0
    (folder / "spot.csv").write_text(spot_csv(MIDNIGHT, prices), "utf-8")
    (folder / "mine.toml").write_text(TARIFF, "utf-8")


def a_car(energy_kwh: float, target_kwh: float, hours: float) -> Car:
    depart = START + timedelta(hours=hours)
    return Car(
        60.0,
        energy_kwh,
        target_kwh,
        energy_min_kwh=12.0,
        discharge_max_kw=11.0,
        depart_s=depart.timestamp(),
    )


def test_a_car_gives_back_in_the_dear_hour_and_leaves_with_its_promise(tmp_path: Path) -> None:
    write(tmp_path, dear_hours=(18,))
    world = served(tmp_path, SERVER, START, STATION)
    try:
        world.fleet.plug("CP1", a_car(40.0, 42.0, hours=3.5))
        world.tick()
        ordered = {}
        for _ in range(14):
            ordered[world.now_utc] = world.power_kw("CP1")
            world.step()
        # what is told at the begin of a quarter hour, after the tick, is the power that flows in it
        dear = [kw for when, kw in ordered.items() if when.hour == 18]
        cheap = [kw for when, kw in ordered.items() if when.hour in (16, 17)]
        assert min(dear) < -5.0 and max(dear) < 0.5
        assert min(cheap) > -0.1 and max(cheap) > 3.0
        given = world.fleet.measured("CP1")
        assert given is not None and given.export_wh > 4_000.0
        world.fleet.unplug("CP1")
        world.tick()
        state = world.runtime.state
        assert (state.promises_total, state.promises_kept) == (1, 1)
        (left,) = state.ended
        assert left.ended is not None and left.ended.energy_kwh >= 41.9
        signals = [r for _, r in world.runtime.store.replay() if isinstance(r, Signal)]
        first = next(signal for signal in signals if signal.topic == PRICE)
        spots, imports = first.detail["spot_eur_mwh"], first.detail["import_eur_kwh"]
        assert isinstance(spots, list) and isinstance(imports, list)
        assert imports == pytest.approx([spot / 1000 + 0.01 for spot in spots])
        assert len(spots) == 4 * 31  # 16:00 UTC to the end of tomorrow, published at 12:45
    finally:
        world.close()


def test_without_a_price_of_now_a_car_only_charges_and_the_server_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, dear_hours=(15,), hours=17)  # the file ends at 16:00 UTC
    world = served(tmp_path, SERVER, START, STATION)
    try:
        world.fleet.plug("CP1", a_car(50.0, 54.0, hours=3.0))
        world.tick()
        for _ in range(4):
            world.step()
            assert world.power_kw("CP1") >= 0.0
        assert "no market price of now is known" in world.runtime.health
        warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len([w for w in warned if "only charge while no price is known" in w]) == 1
        ticks = [r for _, r in world.runtime.store.replay() if isinstance(r, Tick)]
        assert any("no new prices" in tick.health for tick in ticks)
        world.fleet.advance(world.fleet.now_s + 2 * 3600.0)
        assert world.car("CP1").energy_kwh > 53.0
        write(tmp_path, dear_hours=(19, 20))
        world.step()
        assert world.runtime.health == "ok"
    finally:
        world.close()
