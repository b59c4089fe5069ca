"""NotifyDERAlarm by itself: once when a control moves power, once when it lets go (R05)."""

from datetime import datetime
from typing import Any

import pytest
from scripted_backend import START_S, Pair
from test_station_der import cap, control_of, discharging

VOLT_WATT = {"priority": 0, "yUnit": "PctMaxW", "curveData": [
    {"x": 106.0, "y": 100.0}, {"x": 110.0, "y": 0.0}]}  # fmt: skip
FREQ_WATT = {"priority": 0, "yUnit": "PctMaxW", "curveData": [
    {"x": 50.2, "y": 100.0}, {"x": 51.2, "y": 0.0}]}  # fmt: skip


def alarms(pair: Pair) -> list[tuple[str, str | None, bool]]:
    """(control type, grid event, ended) in order."""
    return [
        (a["controlType"], a.get("gridEventFault"), a.get("alarmEnded", False))
        for a in pair.backend.payloads("NotifyDERAlarm")
    ]


def seconds(pair: Pair) -> list[float]:
    """Their times after the start."""
    told = [a["timestamp"] for a in pair.backend.payloads("NotifyDERAlarm")]
    return [datetime.fromisoformat(t).timestamp() - START_S for t in told]


@pytest.mark.proves("R05.FR.01", "R05.FR.02")
def test_over_voltage_is_told_once_and_its_end_once() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", control_of("VoltWatt", VOLT_WATT)).status == "Accepted"
    pair.run(20, 1.0)
    assert alarms(pair) == []
    pair.station.around.voltage_pu = 1.08
    pair.run(10, 1.0)
    pair.station.around.voltage_pu = 1.09  # deeper into the same event
    pair.run(10, 1.0)
    assert alarms(pair) == [("VoltWatt", "OverVoltage", False)]
    pair.station.around.voltage_pu = 1.05
    pair.run(20, 1.0)
    assert alarms(pair) == [
        ("VoltWatt", "OverVoltage", False), ("VoltWatt", "OverVoltage", True),
    ]  # fmt: skip
    assert seconds(pair) == pytest.approx([21.0, 42.0], abs=1.0)
    assert pair.power_kw == -10.0


@pytest.mark.proves("R05.FR.01")
def test_no_alarm_where_the_profile_stays_inside_the_control() -> None:
    pair = discharging()
    pair.ask("SetDERControl", control_of("VoltWatt", VOLT_WATT))
    pair.station.around.voltage_pu = 1.062  # the curve allows 10.45 kW: nothing to deviate from
    pair.run(20, 1.0)
    assert alarms(pair) == []


@pytest.mark.proves("R05.FR.03", "R05.FR.04")
def test_a_control_that_takes_over_is_told_and_the_first_does_not_end() -> None:
    pair = discharging()
    pair.ask("SetDERControl", control_of("VoltWatt", VOLT_WATT))
    pair.ask("SetDERControl", control_of("FreqWatt", FREQ_WATT))
    around = pair.station.around
    around.frequency_hz = 50.7
    pair.run(5, 1.0)
    around.voltage_pu = 1.09
    pair.run(5, 1.0)
    around.frequency_hz = 50.0
    pair.run(5, 1.0)
    assert alarms(pair) == [
        ("FreqWatt", "OverFrequency", False), ("VoltWatt", "OverVoltage", False),
    ]  # fmt: skip
    around.voltage_pu = 1.0
    pair.run(5, 1.0)
    assert alarms(pair)[2:] == [("VoltWatt", "OverVoltage", True)]


@pytest.mark.proves("R05.FR.01", "R05.FR.02")
def test_a_setting_without_a_grid_event_is_told_without_one() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("d", 50.0, 1))
    pair.run(5, 1.0)
    pair.ask("ClearDERControl", {"isDefault": True})
    pair.run(5, 1.0)
    assert alarms(pair) == [("LimitMaxDischarge", None, False), ("LimitMaxDischarge", None, True)]


def test_an_alarm_that_nobody_heard_is_told_later_with_its_time() -> None:
    pair = discharging()
    pair.ask("SetDERControl", control_of("VoltWatt", VOLT_WATT))
    pair.cut()
    pair.station.around.voltage_pu = 1.08
    pair.run(30, 1.0)
    pair.station.around.voltage_pu = 1.0
    pair.run(30, 1.0)
    pair.connect()
    pair.run(2, 1.0)
    assert [ended for _, _, ended in alarms(pair)] == [False, True]
    assert seconds(pair) == pytest.approx([2.0, 32.0], abs=1.0)


def test_the_car_that_leaves_ends_the_alarm() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("d", 50.0, 1))
    pair.run(5, 1.0)
    pair.unplug()
    pair.run(5, 1.0)
    told: list[Any] = alarms(pair)
    assert told[-1] == ("LimitMaxDischarge", None, True)
