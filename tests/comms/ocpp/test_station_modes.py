"""Operation modes of block Q at the virtual station: local frequency, load balancing, Idle."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import Pair, profile_2
from test_station_v2x import BEFORE, install, transaction_id

from pendel.comms.ocpp.profile_support import FEATURES
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.equipment import StationSettings
from pendel.comms.ocpp.station.smart_charging import SmartCharging

CURVE = [{"frequency": 49.8, "power": -5_000}, {"frequency": 50.2, "power": 5_000}]
SIGNALS = [{"signal": -100, "power": -4_000}, {"signal": 100, "power": 4_000}]
LOCAL = {"startPeriod": 0, "operationMode": "LocalFrequency", "v2xFreqWattCurve": CURVE,
         "v2xBaseline": 1_000}  # fmt: skip


def plugged(settings: StationSettings | None = None) -> Pair:
    pair = Pair(Version.V21, settings).connect()
    pair.plug()
    return pair


def tx(pair: Pair, *periods: dict[str, Any], number: int = 3, **more: Any) -> dict[str, Any]:
    return profile_2(number, "TxProfile", list(periods), transactionId=transaction_id(pair),
                     schedule={"startSchedule": BEFORE}, **more)  # fmt: skip


def set_variable(pair: Pair, name: str, value: str, instance: str = "") -> str:
    variable = {"name": name, "instance": instance} if instance else {"name": name}
    place = {"name": "V2XChargingCtrlr", "evse": {"id": 1}}
    entry = {"component": place, "variable": variable, "attributeValue": value}
    answer = pair.ask("SetVariables", {"setVariableData": [entry]})
    return str(answer.setVariableResult[0].attributeStatus)


def last(pair: Pair) -> dict[str, Any]:
    return pair.backend.payloads("TransactionEvent")[-1]


# Q08: local frequency


@pytest.mark.proves("Q08.FR.06", "Q08.FR.07")
def test_the_setpoint_follows_when_frequency_moved_far_enough() -> None:
    pair = plugged()
    assert set_variable(pair, "LocalFrequencyUpdateThreshold", "20") == "Accepted"
    pair.station.around.frequency_hz = 50.05
    assert install(pair, tx(pair, LOCAL)).status == "Accepted"
    pair.run(1, 1.0)
    assert pair.power_kw == pytest.approx(1.0 + 1.25)  # as the period starts
    for hertz, kilowatts in (
        (50.06, 2.25),  # 10 mHz: stays
        (50.069, 2.25),  # 19 mHz from the frequency acted upon: stays
        (50.07, 2.75),  # 20 mHz: equal or more
        (50.06, 2.75),
        (50.049, 1.0 + 25 * 0.049),
    ):
        pair.station.around.frequency_hz = hertz
        pair.run(1, 1.0)
        assert pair.power_kw == pytest.approx(kilowatts), hertz


@given(st.lists(st.integers(49_700, 50_300), min_size=1, max_size=30), st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_any_course_of_the_frequency_is_followed_in_steps(mhz: list[int], step: int) -> None:
    pair = plugged()
    set_variable(pair, "LocalFrequencyUpdateThreshold", str(step))
    pair.station.around.frequency_hz = 50.0
    install(pair, tx(pair, LOCAL))
    acted = 50_000
    for value in mhz:
        pair.station.around.frequency_hz = value / 1000
        pair.run(1, 1.0)
        if abs(value - acted) >= step:
            acted = value
        inside = min(max(acted, 49_800), 50_200)
        assert pair.power_kw == pytest.approx(1.0 + (inside - 50_000) / 40)


@pytest.mark.proves("Q08.FR.03")
@pytest.mark.parametrize("change", [{"v2xFreqWattCurve": CURVE[:1]}, {"v2xFreqWattCurve": None},
                                    {"v2xBaseline": None}])  # fmt: skip
def test_local_frequency_without_curve_or_baseline_is_refused(change: dict[str, Any]) -> None:
    pair = plugged()
    period = {name: value for name, value in {**LOCAL, **change}.items() if value is not None}
    answer = install(pair, tx(pair, period))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "NoFreqWattCurve")


@pytest.mark.proves("Q08.FR.04")
@pytest.mark.parametrize("name", ["limit", "dischargeLimit", "setpoint", "setpointReactive"])
def test_local_frequency_takes_no_limit_and_no_setpoint(name: str) -> None:
    pair = plugged()
    answer = install(pair, tx(pair, {**LOCAL, name: 0}))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "InvalidSchedule")


@pytest.mark.proves("Q08.FR.10")
def test_an_afrr_signal_comes_on_top_of_the_frequency_at_its_time() -> None:
    pair = plugged()
    period = {**LOCAL, "v2xSignalWattCurve": SIGNALS}
    assert install(pair, tx(pair, period)).status == "Accepted"
    pair.station.around.frequency_hz = 50.04
    pair.run(1, 1.0)
    assert pair.power_kw == pytest.approx(2.0)
    assert pair.ask("AFRRSignal", {"timestamp": BEFORE, "signal": 50}).status == "Accepted"
    pair.run(1, 1.0)
    assert pair.power_kw == pytest.approx(4.0)
    later = "2023-11-14T22:14:20Z"  # 60 s after the start
    assert pair.ask("AFRRSignal", {"timestamp": later, "signal": -100}).status == "Accepted"
    pair.run(57, 1.0)
    assert pair.power_kw == pytest.approx(4.0)
    pair.run(2, 1.0)
    assert pair.power_kw == pytest.approx(-2.0)


@pytest.mark.proves("Q08.FR.11")
def test_a_signal_that_no_curve_waits_for_is_rejected() -> None:
    pair = plugged()
    signal = {"timestamp": BEFORE, "signal": 50}
    answer = pair.ask("AFRRSignal", signal)
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "NoSignalWattCurve")
    install(pair, tx(pair, LOCAL))
    pair.run(1, 1.0)
    assert pair.ask("AFRRSignal", signal).statusInfo.reasonCode == "NoSignalWattCurve"


@pytest.mark.proves("Q07.FR.01", "Q08.FR.20")
def test_supported_modes_are_told() -> None:
    pair = Pair(Version.V21).connect()
    place = {"name": "V2XChargingCtrlr", "evse": {"id": 1}}
    asked = [{"component": place, "variable": {"name": "SupportedOperationModes"}}]
    answer = pair.ask("GetVariables", {"getVariableData": asked})
    told = answer.getVariableResult[0].attributeValue.split(",")
    assert {"LocalFrequency", "CentralFrequency", "LocalLoadBalancing", "Idle"} <= set(told)


# Q09: local load balancing

BALANCE = {"startPeriod": 0, "operationMode": "LocalLoadBalancing"}
NAMES = ("UpperThreshold", "LowerThreshold", "UpperOffset", "LowerOffset")


def balancing(values: tuple[float, float, float, float], **more: Any) -> Pair:
    pair = plugged()
    for name, value in zip(NAMES, values, strict=True):
        assert set_variable(pair, "LocalLoadBalancing", str(value), name) == "Accepted"
    assert install(pair, tx(pair, {**BALANCE, **more})).status == "Accepted"
    return pair


@pytest.mark.proves("Q09.FR.03", "Q09.FR.04")
@given(
    st.lists(st.integers(-1_500, 1_500).map(lambda n: 10 * n), min_size=1, max_size=15),
    st.integers(-500, 500).map(lambda n: 10 * n + 5),
    st.integers(1, 500).map(lambda n: 10 * n),
    st.integers(-50, 50).map(lambda n: 10 * n + 3),
    st.integers(-50, 50).map(lambda n: 10 * n + 3),
)
@settings(max_examples=40, deadline=None)
def test_load_balancing_is_its_pseudo_code(
    loads: list[int], lower: int, gap: int, over: int, under: int
) -> None:
    """The building changes once a second; the meter sees building and car together."""
    pair = plugged()
    install(pair, tx(pair, {"startPeriod": 0, "operationMode": "Idle"}))
    pair.run(1, 1.0)
    for name, value in zip(NAMES, (lower + gap, lower, over, under), strict=True):
        set_variable(pair, "LocalLoadBalancing", str(value), name)
    pair.station.around.building_kw = loads[0] / 1000
    install(pair, tx(pair, BALANCE))
    setpoint = 0.0
    for number, load in enumerate(loads):
        pair.station.around.building_kw = load / 1000
        measured = load + setpoint
        if measured > lower + gap:
            setpoint += lower + gap + over - measured
        elif measured < lower:
            setpoint += lower + under - measured
        setpoint = min(max(setpoint, -11_000.0), 11_000.0)
        if number > 0:  # the first reading is taken as the profile comes
            pair.run(1, 1.0)
        assert 1000 * (pair.station.evses[1].setpoint_kw or 0.0) == pytest.approx(setpoint, abs=1.5)


@pytest.mark.proves("Q09.FR.05")
def test_load_balancing_is_capped_by_both_limits() -> None:
    pair = balancing((0, -100, 0, 0), limit=2_000, dischargeLimit=-3_000)
    pair.station.around.building_kw = 9.0
    pair.run(10, 1.0)
    assert (pair.power_kw, pair.station.evses[1].setpoint_kw) == (-3.0, -3.0)
    pair.station.around.building_kw = -9.0
    pair.run(10, 1.0)
    assert (pair.power_kw, pair.station.evses[1].setpoint_kw) == (2.0, 2.0)


def test_two_evses_hold_one_meter_together() -> None:
    pair = Pair(Version.V21, StationSettings("CS1", evses=2)).connect()
    for evse_id in (1, 2):
        pair.plug(evse_id=evse_id)
    default = profile_2(1, "TxDefaultProfile", [BALANCE], schedule={"startSchedule": BEFORE})
    assert install(pair, default, 0).status == "Accepted"
    pair.station.around.building_kw = 8.0
    pair.run(120, 1.0)
    powers = [pair.station.evses[n].power_kw for n in (1, 2)]
    assert sum(powers) + 8.0 == pytest.approx(0.1, abs=0.11)


@pytest.mark.proves("Q09.FR.01")
def test_load_balancing_that_is_not_supported_is_refused() -> None:
    pair = plugged()
    dialect: Any = pair.station.dialect
    key = ("V2XChargingCtrlr", 1, "SupportedOperationModes")
    dialect.variables.by_key[key].value = "ChargingOnly,CentralSetpoint"  # built without it
    answer = install(pair, tx(pair, BALANCE))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "UnsupportedParam")


@pytest.mark.proves("Q09.FR.02")
@pytest.mark.parametrize(
    "values",
    [
        ("", "-100", "0", "0"),
        ("100", "", "0", "0"),
        ("100", "-100", "", "0"),
        ("100", "-100", "0", ""),
        ("-100", "-100", "0", "0"),
        ("-200", "-100", "0", "0"),
    ],
)
def test_load_balancing_without_its_thresholds_is_refused(values: tuple[str, ...]) -> None:
    pair = plugged()
    for name, value in zip(NAMES, values, strict=True):
        assert set_variable(pair, "LocalLoadBalancing", value, name) == "Accepted"
    answer = install(pair, tx(pair, BALANCE))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "MissingDevModelInfo")


# Q10: idle


@pytest.mark.proves("Q10.FR.02")
@pytest.mark.parametrize("name", ["limit", "dischargeLimit", "setpoint", "setpointReactive"])
def test_idle_takes_no_limit_and_no_setpoint(name: str) -> None:
    pair = plugged()
    answer = install(pair, tx(pair, {"startPeriod": 0, "operationMode": "Idle", name: 0}))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "InvalidSchedule")


IDLE = {"startPeriod": 0, "operationMode": "Idle", "evseSleep": True}


@pytest.mark.proves("Q10.FR.03", "Q10.FR.04")
def test_an_evse_sleeps_until_another_order_even_of_zero_watts_wakes_it() -> None:
    pair = plugged()
    assert install(pair, tx(pair, IDLE)).status == "Accepted"
    pair.run(130, 1.0)
    assert pair.power_kw == 0.0 and pair.station.evses[1].asleep
    told = [e for e in pair.backend.payloads("TransactionEvent") if e["triggerReason"] ==
            "MeterValuePeriodic"]  # fmt: skip
    assert told and all(e["evseSleep"] for e in told[-2:])
    assert last(pair)["transactionInfo"]["operationMode"] == "Idle"
    zero = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": 0}
    assert install(pair, tx(pair, zero)).status == "Accepted"
    pair.run(70, 1.0)
    assert pair.power_kw == 0.0 and not pair.station.evses[1].asleep
    assert "evseSleep" not in last(pair)


@pytest.mark.proves("Q10.FR.03")
def test_the_next_period_wakes_the_evse() -> None:
    pair = plugged()
    follows = {"startPeriod": 60, "operationMode": "CentralSetpoint", "setpoint": -3_000}
    relative = tx(pair, IDLE, follows, chargingProfileKind="Relative")
    del relative["chargingSchedule"][0]["startSchedule"]
    assert install(pair, relative).status == "Accepted"
    pair.run(50, 1.0)
    assert pair.power_kw == 0.0 and pair.station.evses[1].asleep
    pair.run(15, 1.0)
    assert pair.power_kw == -3.0 and not pair.station.evses[1].asleep


@pytest.mark.proves("Q10.FR.05")
def test_an_evse_that_cannot_sleep_says_so_by_not_sleeping() -> None:
    pair = plugged(StationSettings("CS1", smart=SmartCharging(features=FEATURES)))
    assert install(pair, tx(pair, IDLE)).status == "Accepted"
    pair.run(70, 1.0)
    assert pair.power_kw == 0.0
    assert not last(pair).get("evseSleep", False)
    charging = {"startPeriod": 0, "limit": 0, "evseSleep": True}
    assert install(pair, tx(pair, charging)).statusInfo.reasonCode == "InvalidSchedule"


def test_preconditioning_is_asked_of_the_car_and_told() -> None:
    pair = plugged()
    warm = {"startPeriod": 0, "operationMode": "Idle", "preconditioningRequest": True}
    assert install(pair, tx(pair, warm)).status == "Accepted"
    pair.run(70, 1.0)
    assert last(pair)["preconditioningStatus"] == "Preconditioning"
    install(pair, tx(pair, {"startPeriod": 0, "operationMode": "Idle"}))
    pair.run(70, 1.0)
    assert "preconditioningStatus" not in last(pair)
