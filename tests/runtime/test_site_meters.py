"""The meters of a site that is served over OCPP: charge points together, grid connection, load."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from metered_log import BEGIN, a_night, minutes, sampled
from served_world import SERVER, TARIFF, served, spot_csv

from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.station.equipment import Car
from pendel.records import Reading, StationMessage
from pendel.runtime.bridges.site_meters import SiteMeter
from pendel.runtime.collecting import SiteMeters, collect


def reading(device: str, power_kw: float, taken: float, given: float) -> Reading:
    return Reading(
        id="",
        at_utc=BEGIN,
        device_id=device,
        site_id="home",
        power_kw=power_kw,
        import_kwh=taken,
        export_kwh=given,
    )


def test_registers_count_from_the_first_time_they_are_heard() -> None:
    meter = SiteMeter("home", "stations")
    for rows, expected in (
        ([("a/1", 900.0, 10.0)], (0.0, 0.0)),
        ([("a/1", 902.0, 10.5)], (2.0, 0.5)),
        ([("a/1", 903.0, 10.5), ("b/1", 5_000.0, 70.0)], (3.0, 0.5)),
        ([("a/1", 0.0, 0.0), ("b/1", 5_001.0, 70.0)], (4.0, 0.5)),  # a was exchanged
        ([("a/1", 1.5, 0.0), ("b/1", 5_001.0, 71.0)], (5.5, 1.5)),
    ):
        told = meter.readings([reading(d, 1.0, i, e) for d, i, e in rows], None, BEGIN)
        assert [(r.device_id, r.import_kwh, r.export_kwh) for r in told] == [
            ("home#cars", *expected),
            ("home#grid", *expected),
        ]


def test_a_main_meter_tells_what_the_house_draws() -> None:
    main = Station("CP1")
    main.evse(0).power_w, main.evse(0).heard_utc = 5_000.0, BEGIN
    meter = SiteMeter("home", "CP1")
    told = {
        r.device_id: r.power_kw
        for r in meter.readings([reading("CP1/1", 2.0, 0.0, 0.0)], main, BEGIN)
    }
    assert told == {"home#cars": 2.0, "home#grid": 5.0, "home#load": 3.0, "home#pv": 0.0}
    main.evse(0).power_w = -4_000.0
    told = {
        r.device_id: r.power_kw
        for r in meter.readings([reading("CP1/1", 2.0, 0.0, 0.0)], main, BEGIN)
    }
    assert (told["home#load"], told["home#pv"]) == (0.0, -6.0)


def main_values(when_min: float, taken: float, given: float) -> StationMessage:
    samples = [{**value, "location": "Inlet"} for value in sampled(taken, given)]
    value = {"timestamp": minutes(when_min).isoformat(), "sampledValue": samples}
    return StationMessage(
        id=f"main-{when_min}",
        at_utc=minutes(when_min),
        station_id="CP1",
        ocpp_version="2.1",
        action="MeterValues",
        message_id="m",
        payload=json.dumps({"evseId": 0, "meterValue": [value]}),
    )


def test_the_main_meter_of_a_station_is_the_grid_connection() -> None:
    """Each quarter hour the house draws 0.5 kWh beside what the car does."""
    taken, given, log = 0.0, 0.0, [main_values(0, 0.0, 0.0)]
    for quarter in range(16):
        car = 2_500.0 if quarter < 8 else -2_000.125 if quarter < 12 else 0.0
        net = 500.0 + car
        taken, given = taken + max(net, 0.0), given + max(-net, 0.0)
        log.append(main_values(15 * (quarter + 1), taken, given))
    records = list(enumerate([*a_night(), *log]))
    found = collect(records, meters=SiteMeters({"CP1": "home"}, {"home": "CP1"})).sites["home"]
    first = int(BEGIN.timestamp()) // 900
    assert found.grid[first] == (3_000_000_000, 0) and found.cars[first] == (2_500_000_000, 0)
    assert found.grid[first + 9] == (0, 1_500_125_000)
    assert found.grid[first + 14] == (500_000_000, 0)
    assert len(found.begins) == 16
    assert collect(records, meters=SiteMeters({"CP1": "home"})).sites["home"].begins == []


def test_a_car_serves_the_house_without_a_permit_to_export(tmp_path: Path) -> None:
    """V2H over OCPP: the main meter shows the load, and the car gives what the house needs."""
    start = BEGIN + timedelta(hours=1)
    prices = [60.0] * 48
    prices[1] = prices[2] = 500.0
    (tmp_path / "spot.csv").write_text(spot_csv(BEGIN, prices), "utf-8")
    (tmp_path / "mine.toml").write_text(TARIFF, "utf-8")
    lines = [line for line in SERVER.splitlines() if not line.startswith("export_permit")]
    meter = '\n[[meter]]\nsite_id = "home"\nprofile = "ocpp"\naddress = "CP1"\n'
    world = served(tmp_path, "\n".join(lines) + meter, start, {"CP1": ("home", 11.0)})

    def house(load_w: float) -> None:
        net_w = load_w + 1e3 * world.power_kw("CP1")
        values = [
            {
                "value": max(sign * net_w, 0.0),
                "measurand": f"Power.Active.{way}",
                "location": "Inlet",
            }
            for way, sign in (("Import", 1.0), ("Export", -1.0))
        ]
        told = {"timestamp": world.now_utc.isoformat(), "sampledValue": values}
        station = world.fleet.clients["CP1"].station
        world.fleet._do(lambda: station.call("MeterValues", {"evseId": 0, "meterValue": [told]}))

    try:
        depart = (start + timedelta(hours=8)).timestamp()
        world.fleet.plug("CP1", Car(60.0, 55.0, 30.0, 12.0, 11.0, 11.0, depart_s=depart))
        powers = []
        for _ in range(4):
            house(3_000.0)
            world.tick()
            powers.append(world.power_kw("CP1"))
            world.step()
        assert min(powers) == pytest.approx(-3.0, abs=0.2)
        assert min(powers) > -3.3
    finally:
        world.close()
