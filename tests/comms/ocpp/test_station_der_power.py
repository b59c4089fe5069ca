"""DER controls move power: frequency, voltage, return of the grid, ramps (block R)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import Pair, profile_2
from test_station_der import at, cap, discharging

from pendel.comms.ocpp.station.der_power import DerPower
from pendel.comms.ocpp.station.grid import Grid, grid_record
from pendel.power.grid_code import frequency_response_kw, grid_code

DROOP = {
    "priority": 0,
    "overFreq": 50.2,
    "underFreq": 49.8,
    "overDroop": 0.05,
    "underDroop": 0.05,
    "responseTime": 0.0,
}


def control(kind: str, field: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"isDefault": True, "controlId": kind, "controlType": kind, field: body}


def curve(kind: str, points: list[tuple[float, float]], unit: str = "PctMaxW") -> dict[str, Any]:
    data = [{"x": x, "y": y} for x, y in points]
    return control(kind, "curve", {"priority": 0, "yUnit": unit, "curveData": data})


def power(controls: dict[str, Any], wanted: float, grid: Grid, low: float = -10.0) -> float:
    return DerPower(dict(controls)).power_kw(1, wanted, low, 10.0, grid, 0.0)


@pytest.mark.parametrize(
    ("hz", "kw"),
    [(50.0, -5.0), (50.2, -5.0), (50.45, -4.0), (52.0, 2.2), (49.55, -6.0), (47.5, -10.0)],
)
def test_droop_moves_power_by_frequency_and_stays_in_its_bounds(hz: float, kw: float) -> None:
    """dP = P_r (f - f_over) / (droop f_n): 0.25 Hz over at 5 % is a tenth of rated power."""
    assert power({"FreqDroop": DROOP}, -5.0, Grid(hz, 1.0, True)) == pytest.approx(kw)


@given(st.floats(47.0, 53.0), st.floats(-10.0, 10.0))
@settings(max_examples=200, deadline=None)
def test_droop_is_that_of_the_grid_code(hz: float, wanted: float) -> None:
    code = grid_code("vde_ar_n_4105_2018")
    response = code.frequency_response
    droop = {
        **DROOP,
        "overFreq": response.over_hz,
        "overDroop": response.over_droop,
        "underFreq": response.under_hz,
        "underDroop": response.under_droop,
    }
    found = power({"FreqDroop": droop}, wanted, Grid(hz, 1.0, True))
    assert found == pytest.approx(float(frequency_response_kw(code, hz, wanted, 10.0, 10.0)))


WATT = [{"x": 50.2, "y": 100.0}, {"x": 51.5, "y": 0.0}, {"x": 52.0, "y": -50.0}]
HIGH = [{"x": 106.0, "y": 100.0}, {"x": 110.0, "y": 0.0}]
LOW = [{"x": 90.0, "y": -40.0}, {"x": 95.0, "y": -100.0}]


@pytest.mark.parametrize(
    ("kind", "points", "grid", "wanted", "kw"),
    [
        ("FreqWatt", WATT, Grid(50.0, 1.0, True), -10.0, -10.0),
        ("FreqWatt", WATT, Grid(50.85, 1.0, True), -10.0, -5.0),
        ("FreqWatt", WATT, Grid(50.85, 1.0, True), -3.0, -3.0),
        ("FreqWatt", WATT, Grid(50.85, 1.0, True), 7.0, 7.0),
        ("FreqWatt", WATT, Grid(53.0, 1.0, True), -10.0, 5.0),  # y below 0: it shall draw
        ("FreqWatt", WATT, Grid(49.0, 1.0, True), 2.0, 2.0),  # never empties a car
        ("VoltWatt", HIGH, Grid(50.0, 1.00, True), -10.0, -10.0),
        ("VoltWatt", HIGH, Grid(50.0, 1.08, True), -10.0, -5.0),
        ("VoltWatt", HIGH, Grid(50.0, 1.15, True), -10.0, 0.0),
        ("VoltWatt", LOW, Grid(50.0, 0.90, True), 10.0, 4.0),  # low voltage: draws less
        ("VoltWatt", HIGH, Grid(50.0, float("nan"), True), -10.0, -10.0),
    ],
)
def test_curves_bound_power(
    kind: str, points: list[Any], grid: Grid, wanted: float, kw: float
) -> None:
    body = {"priority": 0, "yUnit": "PctMaxW", "curveData": points}
    assert power({kind: body}, wanted, grid) == pytest.approx(kw)


def test_percent_of_what_is_available_is_of_what_would_flow() -> None:
    body = {"priority": 0, "yUnit": "PctWAvail", "curveData": [{"x": 50.2, "y": 40.0}]}
    assert power({"FreqWatt": body}, -5.0, Grid(51.0, 1.0, True)) == pytest.approx(-2.0)


def test_over_the_wire_voltage_and_frequency_move_the_car() -> None:
    pair = discharging()
    assert (
        pair.ask("SetDERControl", curve("VoltWatt", [(106.0, 100.0), (110.0, 0.0)])).status
        == "Accepted"
    )
    pair.station.around.voltage_pu = 1.08
    pair.run(1)
    assert pair.power_kw == pytest.approx(-5.5)
    pair.station.around.voltage_pu = 1.0
    assert pair.ask("SetDERControl", control("FreqDroop", "freqDroop", DROOP)).status == "Accepted"
    pair.station.around.frequency_hz = 50.45
    pair.run(1)
    assert pair.power_kw == pytest.approx(-10.0 + 1.1)
    assert pair.ask("ClearDERControl", {"isDefault": True}).status == "Accepted"
    pair.run(1)
    assert pair.power_kw == -10.0


def test_after_an_outage_power_waits_for_its_band_and_ramps() -> None:
    pair = discharging()
    enter = {
        "priority": 0,
        "highVoltage": 109.0,
        "lowVoltage": 95.0,
        "highFreq": 50.1,
        "lowFreq": 49.5,
        "delay": 30.0,
        "rampRate": 20.0,
    }
    assert (
        pair.ask("SetDERControl", control("EnterService", "enterService", enter)).status
        == "Accepted"
    )
    around = pair.station.around
    around.grid_up = False
    pair.run(5, 1.0)
    assert pair.power_kw == 0.0
    around.grid_up, around.frequency_hz = True, 50.3
    pair.run(60, 1.0)
    assert pair.power_kw == 0.0  # the band does not hold
    around.frequency_hz = 50.0
    pair.run(29, 1.0)
    assert pair.power_kw == 0.0
    powers = []
    for _ in range(25):
        pair.run(1, 1.0)
        powers.append(pair.power_kw)
    assert powers[-1] == -10.0 and all(np.diff(powers) <= 1e-9)
    assert 3.0 < -powers[10] < 8.0  # half way: half of rated power


def test_gradients_bound_every_change() -> None:
    pair = discharging()
    body = {"priority": 0, "gradient": 100.0, "softGradient": 0.0}
    assert pair.ask("SetDERControl", control("Gradients", "gradient", body)).status == "Accepted"
    pair.run(1, 1.0)
    pair.station.around.frequency_hz = 51.0
    watt = curve("FreqWatt", [(50.2, 100.0), (50.9, 0.0)])
    assert pair.ask("SetDERControl", watt).status == "Accepted"
    powers = [pair.power_kw]
    for _ in range(120):
        pair.run(1, 1.0)
        powers.append(pair.power_kw)
    assert powers[-1] == 0.0
    assert max(np.diff(powers)) <= 11.0 / 100.0 + 1e-6
    assert powers[50] < -3.0


def test_one_long_step_tells_the_same_as_many_short_ones() -> None:
    energies = []
    for step_s in (1.0, 60.0):
        pair = discharging()
        body = {"priority": 0, "gradient": 50.0, "softGradient": 0.0}
        pair.ask("SetDERControl", control("Gradients", "gradient", body))
        pair.run(1, 1.0)
        pair.station.around.frequency_hz = 51.0
        pair.ask("SetDERControl", curve("FreqWatt", [(50.2, 100.0), (50.9, 0.0)]))
        pair.run(60, step_s)
        energies.append(pair.station.evses[1].export_wh)
    assert energies[0] == pytest.approx(energies[1], rel=1e-3)


@pytest.mark.parametrize("kind", ["FreqDroop", "FreqWatt"])
def test_active_controls_answer_with_their_response_time(kind: str) -> None:
    """90 % of a step after responseTime seconds; the long step tells the same as the short ones."""
    watt = {"priority": 0, "yUnit": "PctMaxW", "curveData": [{"x": 50.2, "y": 100.0},
                                                            {"x": 50.7, "y": 0.0}]}  # fmt: skip
    body = {
        "FreqDroop": {**DROOP, "responseTime": 20.0},
        "FreqWatt": {**watt, "responseTime": 20.0},
    }
    der = DerPower({kind: body[kind]})
    found = []
    for second in range(121):
        hertz = 50.0 if second == 0 else 50.45
        found.append(der.power_kw(1, -10.0, -10.0, 10.0, Grid(hertz, 1.0, True), float(second)))
    goal = {"FreqDroop": 1.0, "FreqWatt": 5.0}[kind]  # how much less is fed in at last
    assert found[0] == -10.0
    assert found[20] == pytest.approx(-10.0 + 0.9 * goal, abs=0.02 * goal)
    assert found[120] == pytest.approx(-10.0 + goal, abs=0.01)


@given(st.floats(47.0, 53.0), st.floats(0.8, 1.2), st.floats(-10.0, 10.0), st.floats(0.0, 100.0))
@settings(max_examples=200, deadline=None)
def test_all_active_controls_together_are_each_on_top_of_the_other(
    hz: float, volts: float, wanted: float, percent: float
) -> None:
    """Written out once more: limit, droop, then the two curves, inside the band."""
    der = DerPower({
        "LimitMaxDischarge": {"pctMaxDischargePower": percent},
        "FreqDroop": DROOP,
        "FreqWatt": {"yUnit": "PctMaxW", "curveData": WATT},
        "VoltWatt": {"yUnit": "PctMaxW", "curveData": HIGH},
    })  # fmt: skip
    grid = Grid(hz, volts, True)
    der.power_kw(1, wanted, -10.0, 10.0, Grid(50.0, 1.0, True), 0.0)
    found = der.power_kw(1, wanted, -10.0, 10.0, grid, 1.0)
    lowest = -percent / 10.0
    p = max(wanted, lowest)
    if hz > 50.2:
        p += 10.0 * (hz - 50.2) / 2.5
    if hz < 49.8:
        p -= 10.0 * (49.8 - hz) / 2.5
    p = min(max(p, lowest), 10.0)
    if hz >= 50.2:
        y = 100 - (hz - 50.2) / 1.3 * 100 if hz <= 51.5 else max(-50.0, -(hz - 51.5) * 100.0)
        p = max(p, -y / 10.0)
    if volts > 1.06:
        p = max(p, -10.0 * max(0.0, (1.10 - volts) / 0.04))
    assert found == pytest.approx(min(max(p, lowest), 10.0), abs=1e-6)


def test_a_limit_of_zero_never_exports_whatever_the_grid_asks_for() -> None:
    """Under-frequency asks a droop for power; a car that may only charge, or not even that, gives
    none."""
    for limit, kw in ((0, 0.0), (5_000, 0.0)):
        pair = Pair(discharging().version).connect()
        pair.plug()
        period = {"startPeriod": 0, "limit": limit, "operationMode": "ChargingOnly"}
        order = profile_2(1, "TxDefaultProfile", [period], schedule={"startSchedule": at(-9)})
        pair.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": order})
        pair.ask("SetDERControl", control("FreqDroop", "freqDroop", DROOP))
        pair.station.around.frequency_hz = 47.6
        pair.run(30, 1.0)
        assert pair.power_kw == kw and pair.station.evses[1].export_wh == 0.0


def test_a_recorded_grid_moves_the_car_row_by_row() -> None:
    lines = ["time_s,frequency_hz,voltage_l1_pu,voltage_l2_pu,voltage_l3_pu",
             "0,50.0,1,1,1", "10,50.45,1,1,1", "20,,1.02,1.02,1.02", "30,50.0,1,1,1"]  # fmt: skip
    pair = discharging()
    pair.ask("SetDERControl", control("FreqDroop", "freqDroop", DROOP))
    record = grid_record(lines, "grid.csv")
    pair.station.around.record = record.begun(pair.now_s)
    powers = []
    for _ in range(40):
        pair.run(1, 1.0)
        powers.append(pair.power_kw)
    assert powers[:9] == [-10.0] * 9 and powers[30:] == [-10.0] * 10
    assert powers[11:29] == pytest.approx([-8.9] * 18)
    before = pair.station.evses[1].export_wh
    other = discharging()
    other.ask("SetDERControl", control("FreqDroop", "freqDroop", DROOP))
    other.station.around.record = record.begun(other.now_s)
    other.run(40, 40.0)
    assert other.station.evses[1].export_wh == pytest.approx(before)


def test_what_is_wrong_with_a_record_is_named_with_its_place() -> None:
    from pendel.errors import InputError

    with pytest.raises(InputError) as caught:
        grid_record(["time_s,frequency_hz,power", "0,50,1"], "g.csv")
    assert str(caught.value.problems[0]).startswith("g.csv:1: power: unknown")
    with pytest.raises(InputError) as caught:
        grid_record(["time_s,frequency_hz", "5,50", "5,x", "6,-1"], "g.csv")
    places = [(p.line, p.field) for p in caught.value.problems]
    assert places == [(3, "frequency_hz"), (3, "time_s"), (4, "frequency_hz")]


def test_a_control_of_the_past_is_named() -> None:
    pair = discharging()
    answer = pair.ask("SetDERControl", cap("old", 50.0, 1, -200.0, 100.0))
    assert (answer.status, answer.statusInfo.additionalInfo) == ("Rejected", "its time is over")
