"""Lines on stdin of `pendel station` by which an outside system and the button speak."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comms" / "ocpp"))

from smart_charging_world import absolute, default, outside, powers, put, triggers, world

from pendel.cli import station_outside
from pendel.comms.ocpp.release import Version


def test_limits_come_and_go_by_lines() -> None:
    pair = world()
    put(pair, default(3, 9000))

    def line(text: str) -> list[float]:
        word, *arguments = text.split()
        station_outside.outside(pair.station, word, arguments, pair.now_s)
        return powers(pair)

    assert line("limit 4") == [4.0]
    assert line("limit 3 SO critical") == [3.0]
    assert line("generation 1.5") == [4.5]
    assert line("release SO") == [5.5]
    assert line("limit 6@0 2@600") == [7.5]
    pair.run(600)
    assert powers(pair) == [3.5]
    assert line("release generation") == [2.0]
    assert line("release") == [9.0]
    assert line("setpoint 5@0 4@60") == [5.0]
    pair.run(60)
    assert powers(pair) == [4.0]
    assert line("setpoint 5") == [5.0]
    assert line("release") == [9.0]
    put(pair, absolute(7, "PriorityCharging", 11_000))
    assert line("priority on") == [11.0]
    assert line("priority off") == [9.0]
    notices = [n["chargingLimit"] for n in pair.backend.payloads("NotifyChargingLimit")]
    assert {"chargingLimitSource": "SO", "isGridCritical": True} in notices
    assert outside(pair).standing == {}
    assert "ChargingRateChanged" in triggers(pair)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit", "needs a number"),
        ("limit four", "not understood: four"),
        ("limit 4 CSO", "not understood: CSO"),
        ("limit 4@60", "begins at 0 s"),
        ("limit 4@0 3@600 2@300", "goes on in order"),
        ("generation 4 SO", "not a source"),
        ("release", "no limit of EMS stands"),
        ("priority", "priority on, or priority off"),
        ("priority on", "not possible here"),
        ("priority off", "not active"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(text: str, words: str) -> None:
    pair = world()
    word, *arguments = text.split()
    with pytest.raises(ValueError, match=words):
        station_outside.outside(pair.station, word, arguments, pair.now_s)
    assert powers(pair) == [11.0]


def test_a_station_of_16_has_no_such_lines() -> None:
    pair = world(Version.V16)
    with pytest.raises(ValueError, match=r"only a 2\.x station"):
        station_outside.outside(pair.station, "limit", ["4"], pair.now_s)
