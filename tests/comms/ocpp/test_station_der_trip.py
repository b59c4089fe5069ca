"""Trip and cessation curves: a station leaves the grid in time, not before, and comes back."""

from typing import Any

import der_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import Pair
from test_station_der import control_of, discharging

from pendel.comms.ocpp.station.der_power import DerPower
from pendel.comms.ocpp.station.der_trip import Trips
from pendel.comms.ocpp.station.grid import Grid


def curve(points: list[tuple[float, float]], **more: Any) -> dict[str, Any]:
    data = [{"x": x, "y": y} for x, y in points]
    return {"priority": 0, "yUnit": "Not_Applicable", "curveData": data, **more}


def trip_second(kind: str, points: list[tuple[float, float]], grids: list[Grid]) -> int | None:
    """First second at which the station leaves the grid."""
    der = DerPower({kind: curve(points)})
    for second, grid in enumerate(grids):
        if not der.observe(grid, float(second)):
            return second
    return None


HIGH = [(51.0, 20.0), (52.0, 6.0), (53.0, 0.0)]
LEVEL = st.integers(500, 540).map(lambda tenths: tenths / 10)


@given(st.lists(LEVEL, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_over_frequency_trips_when_the_brute_force_oracle_does(values: list[float]) -> None:
    grids = [Grid(hertz, 1.0, True) for hertz in values]
    assert trip_second("HFMustTrip", HIGH, grids) == der_oracle.tripping(HIGH, values, over=True)


LOW = [(50.0, 1.0), (70.0, 5.0), (88.0, 15.0)]


@given(st.lists(st.integers(40, 100), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_under_voltage_trips_when_the_brute_force_oracle_does(values: list[int]) -> None:
    """The lowest phase counts."""
    grids = [Grid(50.0, 1.0, True, (1.0, value / 100, 1.0)) for value in values]
    percents = [100 * (value / 100) for value in values]
    expected = der_oracle.tripping(LOW, percents, over=False)
    assert trip_second("LVMustTrip", LOW, grids) == expected


@pytest.mark.parametrize(
    ("kind", "points", "grid", "fault"),
    [
        ("HFMustTrip", [(51.5, 2.0)], Grid(51.6, 1.0, True), "OverFrequency"),
        ("HFMayTrip", [(51.5, 2.0)], Grid(51.6, 1.0, True), "OverFrequency"),
        ("LFMustTrip", [(47.5, 2.0)], Grid(47.4, 1.0, True), "UnderFrequency"),
        ("HVMustTrip", [(115.0, 2.0)], Grid(50.0, 1.0, True, (1.0, 1.0, 1.16)), "OverVoltage"),
        ("HVMayTrip", [(115.0, 2.0)], Grid(50.0, 1.16, True), "OverVoltage"),
        ("LVMustTrip", [(80.0, 2.0)], Grid(50.0, 0.79, True), "UnderVoltage"),
        ("LVMayTrip", [(80.0, 2.0)], Grid(50.0, 0.79, True), "UnderVoltage"),
    ],
)
def test_every_trip_curve_disconnects_tells_it_and_lets_the_car_back(
    kind: str, points: list[tuple[float, float]], grid: Grid, fault: str
) -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", control_of(kind, curve(points))).status == "Accepted"
    around = pair.station.around
    around.frequency_hz, around.voltage_pu = grid.frequency_hz, grid.voltage_pu
    around.phases_pu = grid.phases_pu
    pair.run(1, 1.0)
    assert pair.power_kw == -10.0  # rides through until its time is over
    pair.run(2, 1.0)
    assert pair.power_kw == 0.0
    (alarm,) = pair.backend.payloads("NotifyDERAlarm")
    assert (alarm["controlType"], alarm["gridEventFault"], alarm["alarmEnded"]) == (
        kind, fault, False,
    )  # fmt: skip
    around.frequency_hz, around.voltage_pu, around.phases_pu = 50.0, 1.0, ()
    pair.run(2, 1.0)
    assert pair.power_kw == -10.0
    ended = pair.backend.payloads("NotifyDERAlarm")[-1]
    assert (ended["controlType"], ended["gridEventFault"], ended["alarmEnded"]) == (
        kind, fault, True,
    )  # fmt: skip


def test_a_trip_time_below_a_second_is_kept_within_one_long_tick() -> None:
    """0.16 s at 62 Hz: what flowed in a tick of ten seconds is 0.16 s of discharging."""
    pair = discharging()
    points = [(61.0, 300.0), (61.8, 300.0), (62.0, 0.16)]
    pair.ask("SetDERControl", control_of("HFMustTrip", curve(points)))
    before = pair.station.evses[1].export_wh
    pair.station.around.frequency_hz = 62.5
    pair.run(10, 10.0)
    flowed = pair.station.evses[1].export_wh - before
    assert flowed == pytest.approx(10_000 * 0.16 / 3600, rel=0.01)


def test_with_both_curves_it_stays_as_long_as_it_may() -> None:
    """May trip after 2 s, must trip after 10 s: it rides through until it must leave."""
    controls = {"HFMayTrip": curve([(51.0, 2.0)]), "HFMustTrip": curve([(51.0, 10.0)])}
    der = DerPower(controls)
    out = [s for s in range(20) if not der.observe(Grid(51.2, 1.0, True), float(s))]
    assert out[0] == 10


def test_a_tripped_station_comes_back_by_enter_service() -> None:
    pair = discharging()
    enter = {"priority": 0, "highVoltage": 109.0, "lowVoltage": 90.0, "highFreq": 50.2,
             "lowFreq": 47.5, "delay": 20.0, "rampRate": 40.0}  # fmt: skip
    pair.ask("SetDERControl", control_of("EnterService", enter))
    pair.ask("SetDERControl", control_of("HFMustTrip", curve([(51.5, 0.5)])))
    around = pair.station.around
    around.frequency_hz = 51.8
    pair.run(3, 1.0)
    around.frequency_hz = 50.3  # no reason to trip any more, but above the band of EnterService
    pair.run(60, 1.0)
    assert pair.power_kw == 0.0
    around.frequency_hz = 50.1
    pair.run(20, 1.0)
    assert pair.power_kw == 0.0
    pair.run(21, 1.0)
    assert pair.power_kw == pytest.approx(-5.5, abs=0.3)  # half way up a ramp of rated power
    pair.run(40, 1.0)
    assert pair.power_kw == -10.0
    kinds = [(a["controlType"], a["alarmEnded"]) for a in pair.backend.payloads("NotifyDERAlarm")]
    assert kinds == [("HFMustTrip", False), ("EnterService", False), ("EnterService", True)]


def test_a_car_that_comes_after_a_trip_waits_as_well() -> None:
    pair = Pair(discharging().version).connect()
    enter = {"priority": 0, "highVoltage": 109.0, "lowVoltage": 90.0, "highFreq": 50.2,
             "lowFreq": 47.5, "delay": 100.0}  # fmt: skip
    pair.ask("SetDERControl", control_of("EnterService", enter))
    pair.ask("SetDERControl", control_of("HFMustTrip", curve([(51.5, 0.5)])))
    pair.station.around.frequency_hz = 51.8
    pair.run(3, 1.0)
    pair.station.around.frequency_hz = 50.0
    pair.plug()
    pair.run(90, 1.0)
    assert pair.power_kw == 0.0
    pair.run(20, 1.0)
    assert pair.power_kw == 11.0


def test_hysteresis_of_a_trip_says_when_it_is_over() -> None:
    hysteresis = {"hysteresisLow": 49.9, "hysteresisHigh": 50.1, "hysteresisDelay": 5.0}
    trips = Trips()
    controls = {"HFMustTrip": curve([(51.0, 0.0)], hysteresis=hysteresis)}
    hertz = [50.0, 51.2, 50.5, 50.0, 50.5, *[50.0] * 8]
    found = []
    for second, value in enumerate(hertz):
        trips.see(controls, Grid(value, 1.0, True), float(second))
        found.append(trips.tripped)
    assert found == [None] + ["HFMustTrip"] * 9 + [None] * 3


@pytest.mark.parametrize(
    ("during", "kw", "kvar"), [(None, 0.0, 0.0), ("Active", -10.0, 0.0), ("Reactive", 0.0, -2.2)]
)
def test_momentary_cessation_stops_at_once_and_goes_on_at_once(
    during: str | None, kw: float, kvar: float
) -> None:
    pair = discharging()
    more = {} if during is None else {"voltageParams": {"powerDuringCessation": during}}
    pair.ask("SetDERControl", control_of("LVMomCess", curve([(50.0, 0.0)], **more)))
    fixed = {"priority": 0, "setpoint": 20.0, "unit": "PctMaxW"}
    pair.ask("SetDERControl", control_of("FixedVar", fixed))
    pair.station.around.voltage_pu = 0.4
    pair.run(1, 1.0)
    assert (pair.power_kw, pair.station.evses[1].kvar) == pytest.approx((kw, kvar))
    pair.station.around.voltage_pu = 0.6
    pair.run(1, 1.0)
    assert (pair.power_kw, pair.station.evses[1].kvar) == pytest.approx((-10.0, -2.2))


def test_the_ten_minute_mean_of_the_voltage_trips() -> None:
    """EN 50549-1, 4.9.3.4: 112 % for two minutes is no matter; five minutes bring the mean of
    ten over 105 % once it has stood."""
    params = {"hv10MinMeanValue": 105.0, "hv10MinMeanTripDelay": 3.0}
    controls = {"HVMustTrip": curve([(120.0, 0.2)], voltageParams=params)}
    volts = [1.0] * 600 + [1.12] * 120 + [1.0] * 600 + [1.12] * 300
    trips, first = Trips(), None
    for second, share in enumerate(volts):
        trips.see(controls, Grid(50.0, share, True), float(second))
        if trips.tripped and first is None:
            first = second
    window = [sum(volts[max(0, n - 600) : n]) / min(n, 600) for n in range(1, len(volts) + 1)]
    expected = next(n + 1 for n, mean in enumerate(window) if mean > 1.05) + 3
    assert first is not None and abs(first - expected) <= 6


def test_power_monitoring_trips_when_feed_in_does_not_come_down() -> None:
    """VDE-AR-N 4105, 5.5.2: above half of the rated power, under the curve within ten seconds."""
    pair = discharging()
    monitoring = {"priority": 0, "yUnit": "PctMaxW", "curveData": [
        {"x": 0.0, "y": 100.0}, {"x": 10.0, "y": 50.0}]}  # fmt: skip
    limit = {"priority": 0, "pctMaxDischargePower": 50.0, "powerMonitoringMustTrip": monitoring}
    assert pair.ask("SetDERControl", control_of("LimitMaxDischarge", limit)).status == "Accepted"
    pair.run(30, 1.0)
    assert pair.power_kw == -5.5  # the limit itself is kept: nothing to trip for
    pair.station.around.upstream_kw = -8.0  # somebody else feeds in behind the same meter
    pair.run(4, 1.0)
    assert pair.power_kw == -5.5
    pair.run(4, 1.0)
    assert pair.power_kw == 0.0
    alarm = pair.backend.payloads("NotifyDERAlarm")[-1]
    assert alarm["controlType"] == "PowerMonitoringMustTrip"
    pair.station.around.upstream_kw = 0.0
    pair.run(50, 1.0)
    assert pair.power_kw == 0.0
    pair.run(15, 1.0)
    assert pair.power_kw == -5.5


def test_a_rule_that_is_cleared_while_it_holds_the_station_off_lets_it_back() -> None:
    pair = discharging()
    monitoring = {"priority": 0, "yUnit": "PctMaxW", "curveData": [{"x": 0.0, "y": 10.0}]}
    assert pair.ask("SetDERControl", control_of("PowerMonitoringMustTrip", monitoring)).status == (
        "Accepted"
    )
    pair.run(3, 1.0)
    assert pair.power_kw == 0.0  # by its own feed-in; it does not swing back and forth
    assert pair.ask("ClearDERControl", {"isDefault": True}).status == "Accepted"
    pair.run(3, 1.0)
    assert pair.power_kw == -10.0
