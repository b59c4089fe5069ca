"""DER controls of a 2.1 station: set, run, supersede, end, report (block R)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from der_oracle import Timeline
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import START_S, Pair, a_car, profile_2

from pendel.comms.ocpp.der_rules import TYPES, field_of
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.der_in_car import shared
from pendel.comms.ocpp.station.equipment import StationSettings


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START_S + seconds, UTC).isoformat()


def cap(
    number: str, percent: float, priority: int, start_s: float | None = None, lasts_s: float = 100.0
) -> dict[str, Any]:
    body: dict[str, Any] = {"priority": priority, "pctMaxDischargePower": percent}
    if start_s is not None:
        body |= {"startTime": at(start_s), "duration": lasts_s}
    return {
        "isDefault": start_s is None,
        "controlId": number,
        "controlType": "LimitMaxDischarge",
        "limitMaxDischarge": body,
    }


def control_of(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A default control."""
    return {"isDefault": True, "controlId": kind, "controlType": kind, field_of(kind): body}


def discharging(settings: StationSettings | None = None) -> Pair:
    """A car that gives 10 kW as its profile says."""
    pair = Pair(Version.V21, settings).connect()
    pair.plug()
    transaction = pair.station.evses[1].transaction
    assert transaction is not None
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -10_000}
    profile = profile_2(2, "TxProfile", [period], transactionId=transaction.id,
                        schedule={"startSchedule": at(-9)})  # fmt: skip
    order = {"evseId": 1, "chargingProfile": profile}
    assert pair.ask("SetChargingProfile", order).status == "Accepted"
    pair.run(1)
    assert pair.power_kw == -10.0
    return pair


def starts(pair: Pair) -> list[tuple[str, bool, list[str]]]:
    return [
        (p["controlId"], p["started"], p.get("supersededIds", []))
        for p in pair.backend.payloads("NotifyDERStartStop")
    ]


@pytest.mark.proves("R04.FR.02", "R04.FR.05", "R04.FR.11", "R04.FR.20", "R04.FR.22")
def test_a_default_holds_until_a_scheduled_control_begins() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", cap("d", 50.0, 5)).status == "Accepted"
    pair.run(1, 1.0)
    assert pair.power_kw == -5.5
    assert pair.ask("SetDERControl", cap("s", 10.0, 9, 60.0)).status == "Accepted"
    pair.run(40, 1.0)
    assert pair.power_kw == -5.5
    pair.run(30, 1.0)
    assert pair.power_kw == pytest.approx(-1.1)
    pair.run(100, 1.0)
    assert pair.power_kw == -5.5
    assert starts(pair) == [("s", True, []), ("s", False, [])]


@pytest.mark.proves("R04.FR.07", "R04.FR.09", "R04.FR.21")
def test_a_running_control_goes_on_until_the_stronger_one_begins() -> None:
    pair = discharging()
    assert pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 500.0)).status == "Accepted"
    pair.run(15, 1.0)
    assert pair.power_kw == pytest.approx(-4.4)
    answer = pair.ask("SetDERControl", cap("strong", 20.0, 1, 60.0, 50.0))
    assert answer.status == "Accepted" and not answer.supersededIds
    pair.ask("SetDERControl", cap("equal", 90.0, 5, 30.0, 600.0))
    pair.run(25, 1.0)
    assert pair.power_kw == pytest.approx(-4.4)
    pair.run(30, 1.0)
    assert pair.power_kw == pytest.approx(-2.2)
    assert superseded(pair) == {"weak": True, "strong": False, "equal": False}
    pair.run(60, 1.0)  # the strong one is over; what it superseded does not come back
    assert pair.power_kw == pytest.approx(-9.9)
    assert starts(pair) == [
        ("weak", True, []),
        ("strong", True, ["weak"]),
        ("strong", False, []),
        ("equal", True, []),
    ]


def superseded(pair: Pair) -> dict[str, bool]:
    """What ReportDERControl says of each LimitMaxDischarge."""
    pair.ask("GetDERControl", {"requestId": 77})
    told = [p for p in pair.backend.payloads("ReportDERControl") if p["requestId"] == 77]
    entries = told[-1].get("limitMaxDischarge", [])
    return {entry["id"]: entry["isSuperseded"] for entry in entries}


@pytest.mark.proves("R04.FR.06")
def test_what_has_not_begun_is_superseded_at_once_by_a_stronger_one() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 500.0))
    answer = pair.ask("SetDERControl", cap("strong", 20.0, 1, 60.0, 50.0))
    assert (answer.status, answer.supersededIds) == ("Accepted", ["weak"])
    assert superseded(pair) == {"weak": True, "strong": False}
    pair.run(30, 1.0)
    assert pair.power_kw == -10.0  # its time has come, and it does not run
    pair.run(40, 1.0)
    assert pair.power_kw == pytest.approx(-2.2)
    assert starts(pair) == [("strong", True, [])]


@pytest.mark.proves("R04.FR.08")
def test_a_weaker_one_is_superseded_by_what_runs_as_it_comes() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("runs", 40.0, 1, 5.0, 30.0))
    pair.run(10, 1.0)
    answer = pair.ask("SetDERControl", cap("late", 90.0, 5, 20.0, 300.0))
    assert (answer.status, answer.supersededIds) == ("Accepted", ["late"])
    assert superseded(pair) == {"runs": False, "late": True}
    pair.run(60, 1.0)
    assert pair.power_kw == -10.0
    assert starts(pair) == [("runs", True, []), ("runs", False, [])]


@pytest.mark.proves("R04.FR.04")
def test_a_new_default_leaves_what_runs_alone() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 5.0, 60.0))
    pair.run(10, 1.0)
    answer = pair.ask("SetDERControl", cap("d", 50.0, 0))
    assert answer.status == "Accepted" and not answer.supersededIds
    pair.run(10, 1.0)
    assert pair.power_kw == pytest.approx(-1.1)
    pair.run(60, 1.0)
    assert pair.power_kw == -5.5


@pytest.mark.proves("R04.FR.10")
def test_what_is_over_is_deleted_superseded_or_not() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("weak", 40.0, 5, 10.0, 30.0))
    pair.ask("SetDERControl", cap("strong", 20.0, 1, 20.0, 50.0))
    pair.run(38, 1.0)
    assert superseded(pair) == {"weak": True, "strong": False}
    pair.run(2, 1.0)
    assert superseded(pair) == {"strong": False}
    pair.run(30, 1.0)
    assert pair.ask("GetDERControl", {"requestId": 8}).status == "NotFound"


WISH = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 60)),
    st.integers(1, 60),
    st.integers(0, 20),
)


@given(st.lists(WISH, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_order_of_controls_runs_as_the_oracle_says(wishes: list[Any]) -> None:
    """Set one after the other, with pauses; each second the cap in force is compared."""
    pair = discharging()
    oracle, at_s, share = Timeline(), 0, {}
    for number, (name, priority, delay, lasts, pause) in enumerate(wishes):
        percent = 5.0 + 10.0 * number
        share[name] = percent
        start = None if delay is None else at_s + delay
        more = {} if start is None else {"start_s": 1.0 + start, "lasts_s": float(lasts)}
        answer = pair.ask("SetDERControl", cap(name, percent, priority, **more))
        assert answer.status == "Accepted"
        told = oracle.put(name, priority, start, lasts)
        assert (answer.supersededIds or []) == told
        for _ in range(pause):
            at_s += 1
            pair.run(1, 1.0)
            running = oracle.second(at_s)
            wanted = -10.0 if running is None else max(-10.0, -0.11 * share[running])
            assert pair.power_kw == pytest.approx(wanted), (at_s, running)


@pytest.mark.proves("R04.FR.03", "R04.FR.42")
def test_a_stronger_default_supersedes_at_once() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("old", 50.0, 5))
    answer = pair.ask("SetDERControl", cap("new", 0.0, 1))
    assert answer.supersededIds == ["old"]
    pair.run(1)
    assert pair.power_kw == 0.0
    weaker = pair.ask("SetDERControl", cap("weaker", 80.0, 7))
    assert weaker.supersededIds == ["weaker"]
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "Accepted"
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlId": "new"}).status == "NotFound"
    pair.run(1)
    assert pair.power_kw == -10.0


@pytest.mark.proves("R04.FR.13", "R04.FR.17")
@pytest.mark.parametrize(
    "change",
    [
        {"controlType": "VoltVar"},
        {"isDefault": False},
        {"fixedVar": {"priority": 1, "setpoint": 0, "unit": "PctMaxVar"}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 50, "startTime": at(50)}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 50, "duration": 50}},
        {"limitMaxDischarge": {"priority": 1, "pctMaxDischargePower": 101}},
    ],
)
def test_what_does_not_fit_together_is_rejected(change: dict[str, Any]) -> None:
    pair = Pair(Version.V21).connect()
    answer = pair.ask("SetDERControl", cap("a", 50.0, 1) | change)
    assert answer.status == "Rejected" and answer.statusInfo.additionalInfo
    assert pair.ask("GetDERControl", {"requestId": 1}).status == "NotFound"


@pytest.mark.proves("R04.FR.15")
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Gradients", {"priority": 0, "gradient": 10, "softGradient": 0}),
        ("EnterService", {"priority": 0, "highVoltage": 110, "lowVoltage": 90, "highFreq": 51,
                          "lowFreq": 49}),
    ],
)  # fmt: skip
def test_what_exists_as_default_only_is_not_scheduled(kind: str, body: dict[str, Any]) -> None:
    pair = Pair(Version.V21).connect()
    wish = {"isDefault": False, "controlId": "x", "controlType": kind, field_of(kind): body}
    assert pair.ask("SetDERControl", wish).status == "Rejected"
    assert pair.ask("SetDERControl", wish | {"isDefault": True}).status == "Accepted"


def curve(number: str, kind: str, points: list[tuple[float, float]], unit: str) -> dict[str, Any]:
    data = [{"x": x, "y": y} for x, y in points]
    body = {"priority": 2, "yUnit": unit, "curveData": data}
    return {"isDefault": True, "controlId": number, "controlType": kind, "curve": body}


VOLT_VAR = curve("v", "VoltVar", [(95, 0), (105, -44)], "PctMaxVar")


@pytest.mark.proves("R01.FR.03", "R02.FR.02", "R03.FR.02", "R04.FR.31", "R04.FR.33")
def test_controls_are_reported_and_outlive_a_reboot() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("a", 50.0, 1))
    pair.ask("SetDERControl", VOLT_VAR)
    fixed = {"priority": 0, "displacement": 0.95, "excitation": True}
    pair.ask(
        "SetDERControl",
        {"isDefault": True, "controlId": "p", "controlType": "FixedPFAbsorb",
         "fixedPFAbsorb": fixed},
    )  # fmt: skip
    pair.station.reboot(pair.now_s)
    pair.connect()
    assert pair.ask("GetDERControl", {"requestId": 4}).status == "Accepted"
    told = pair.backend.payloads("ReportDERControl")[-1]
    assert told["requestId"] == 4
    assert told["limitMaxDischarge"][0]["id"] == "a"
    assert told["curve"][0]["curveType"] == "VoltVar"
    assert told["curve"][0]["curve"]["curveData"] == VOLT_VAR["curve"]["curveData"]
    assert told["fixedPFAbsorb"][0]["fixedPF"]["displacement"] == 0.95


@pytest.mark.proves("R04.FR.31", "R04.FR.32")
def test_a_long_report_comes_in_parts() -> None:
    pair = Pair(Version.V21).connect()
    for number in range(60):
        wish = cap(f"c{number}", 50.0, 3, 100.0 + number)
        assert pair.ask("SetDERControl", wish).status == "Accepted"
    assert pair.ask("GetDERControl", {"requestId": 9}).status == "Accepted"
    parts = pair.backend.payloads("ReportDERControl")
    assert [p["requestId"] for p in parts] == [9, 9, 9]
    assert [p["tbc"] for p in parts] == [True, True, False]
    ids = [entry["id"] for p in parts for entry in p["limitMaxDischarge"]]
    assert sorted(ids) == sorted(f"c{number}" for number in range(60))


def found(pair: Pair, **criteria: Any) -> tuple[str, set[str]]:
    """Status of a GetDERControl and the ids of its report."""
    before = len(pair.backend.payloads("ReportDERControl"))
    status = str(pair.ask("GetDERControl", {"requestId": 5, **criteria}).status)
    ids = set()
    for part in pair.backend.payloads("ReportDERControl")[before:]:
        for name, entries in part.items():
            ids |= {entry["id"] for entry in entries} if isinstance(entries, list) else set()
            assert name
    return status, ids


def stocked() -> Pair:
    """A default and a scheduled cap, and a VoltVar curve; the station knows no WattPF."""
    modes = tuple(kind for kind in TYPES if kind != "WattPF")
    pair = Pair(Version.V21, StationSettings("CS1", der_modes=modes)).connect()
    for wish in (cap("d", 50.0, 1), cap("s", 50.0, 1, 100.0), VOLT_VAR):
        assert pair.ask("SetDERControl", wish).status == "Accepted"
    return pair


@pytest.mark.proves(
    "R04.FR.01", "R04.FR.30", "R04.FR.33", "R04.FR.34", "R04.FR.35", "R04.FR.36", "R04.FR.37"
)
def test_a_get_finds_by_type_id_and_default() -> None:
    pair = stocked()
    factor = curve("w", "WattPF", [(0, 1.0), (100, 0.9)], "Not_Applicable")
    assert pair.ask("SetDERControl", factor).status == "NotSupported"
    assert found(pair) == ("Accepted", {"d", "s", "v"})
    assert found(pair, controlType="LimitMaxDischarge") == ("Accepted", {"d", "s"})
    assert found(pair, controlType="LimitMaxDischarge", isDefault=False) == ("Accepted", {"s"})
    assert found(pair, controlId="v") == ("Accepted", {"v"})
    assert found(pair, controlId="v", isDefault=False) == ("NotFound", set())
    assert found(pair, isDefault=True) == ("Accepted", {"d", "v"})
    assert found(pair, controlType="FreqDroop") == ("NotFound", set())
    assert found(pair, controlType="WattPF") == ("NotSupported", set())


@pytest.mark.proves("R04.FR.41", "R04.FR.42", "R04.FR.43", "R04.FR.44", "R04.FR.45", "R04.FR.46")
def test_a_clear_takes_what_it_names() -> None:
    def clear(pair: Pair, **criteria: Any) -> str:
        return str(pair.ask("ClearDERControl", criteria).status)

    pair = stocked()
    assert clear(pair, isDefault=False, controlType="VoltVar") == "NotFound"
    assert clear(pair, isDefault=True, controlType="FreqDroop") == "NotFound"
    assert clear(pair, isDefault=False, controlId="d") == "NotFound"
    assert clear(pair, isDefault=True, controlType="WattPF") == "NotSupported"
    assert found(pair)[1] == {"d", "s", "v"}
    assert clear(pair, isDefault=False, controlType="LimitMaxDischarge") == "Accepted"
    assert found(pair)[1] == {"d", "v"}
    assert clear(pair, isDefault=True, controlId="d") == "Accepted"
    assert found(pair)[1] == {"v"}
    pair.ask("SetDERControl", cap("s", 50.0, 1, 100.0))
    assert clear(pair, isDefault=True) == "Accepted"
    assert found(pair)[1] == {"s"}
    assert clear(pair, isDefault=True) == "Accepted"  # all of nothing (R04.FR.44)


def test_starts_that_nobody_heard_are_told_later() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 60.0, 30.0))
    pair.cut()
    pair.run(100, 1.0)
    assert starts(pair) == []
    pair.connect()
    pair.run(2, 1.0)
    assert starts(pair) == [("s", True, []), ("s", False, [])]
    told = [p["timestamp"] for p in pair.backend.payloads("NotifyDERStartStop")]
    assert [datetime.fromisoformat(t).timestamp() - START_S for t in told] == [60.0, 90.0]


def test_one_long_step_begins_a_control_on_its_second() -> None:
    pair = discharging()
    pair.ask("SetDERControl", cap("s", 10.0, 9, 61.0, 30.0))
    pair.run(99, 99.0)
    told = [p["timestamp"] for p in pair.backend.payloads("NotifyDERStartStop")]
    assert [datetime.fromisoformat(t).timestamp() - START_S for t in told] == [61.0, 91.0]


def variables(pair: Pair, component: str) -> dict[str, str]:
    """What a GetReport of a component says of EVSE 1."""
    order = {"requestId": 3, "componentVariable": [{"component": {"name": component}}]}
    answer = pair.ask("GetReport", order)
    if answer.status != "Accepted":
        return {}
    rows = [r for p in pair.backend.payloads("NotifyReport") for r in p["reportData"]]
    rows = [r for r in rows if r["component"]["name"] == component]
    assert all(r["component"]["evse"] == {"id": 1} for r in rows)
    return {r["variable"]["name"]: r["variableAttribute"][0]["value"] for r in rows}


MANDATORY = {
    "MaxW", "OverExcitedW", "OverExcitedPF", "UnderExcitedW", "UnderExcitedPF", "MaxVA", "MaxVar",
    "MaxVarNeg", "MaxChargeRateW", "MaxChargeRateVA", "ModesSupported", "InverterManufacturer",
    "InverterModel", "InverterSwVersion", "InverterHwVersion", "ReactiveSusceptance",
}  # fmt: skip


@pytest.mark.proves("R01.FR.01", "R01.FR.02")
def test_a_dc_station_shows_its_nameplate() -> None:
    pair = Pair(Version.V21, StationSettings("CS1", is_dc=True, power_max_kw=50.0)).connect()
    told = variables(pair, "DCDERCtrlr")
    assert set(told) >= MANDATORY
    assert (told["MaxW"], told["MaxVA"], told["OverExcitedPF"]) == ("50000", "50000", "0.9")
    assert float(told["MaxVar"]) ** 2 + 45_000**2 == pytest.approx(50_000**2, rel=1e-4)
    assert set(told["ModesSupported"].split(",")) == set(TYPES) and len(TYPES) == 22
    assert variables(pair, "ACDERCtrlr") == {}


@pytest.mark.proves("R03.FR.03")
def test_an_ac_station_shows_what_it_emulates() -> None:
    settings = StationSettings("CS1", der_modes=("FreqDroop", "LimitMaxDischarge"))
    pair = Pair(Version.V21, settings).connect()
    assert variables(pair, "ACDERCtrlr") == {"ModesSupported": "FreqDroop,LimitMaxDischarge"}
    assert variables(pair, "DCDERCtrlr") == {}


@pytest.mark.proves("R02.FR.01", "R03.FR.01", "R04.FR.01")
def test_a_car_with_der_tells_its_inverter_and_widens_what_is_supported() -> None:
    settings = StationSettings("CS1", der_modes=("LimitMaxDischarge",))
    pair = Pair(Version.V21, settings).connect()
    assert pair.ask("SetDERControl", VOLT_VAR).status == "NotSupported"
    pair.plug(a_car(der_controls=("VoltVar", "HFMustTrip"), discharge_max_kw=7.0))
    needs = pair.backend.payloads("NotifyEVChargingNeeds")[-1]["chargingNeeds"]
    assert needs["requestedEnergyTransfer"] == "AC_BPT_DER"
    told = needs["derChargingParameters"]
    assert told["evSupportedDERControl"] == ["VoltVar", "HFMustTrip"]
    assert told["maxDischargeApparentPower"] == 7_000.0 and told["evInverterManufacturer"]
    assert pair.ask("SetDERControl", VOLT_VAR).status == "Accepted"
    pair.unplug()
    pair.plug(a_car())
    needs = pair.backend.payloads("NotifyEVChargingNeeds")[-1]["chargingNeeds"]
    assert needs["requestedEnergyTransfer"] == "AC_BPT"
    assert "derChargingParameters" not in needs
    assert pair.ask("ClearDERControl", {"isDefault": True, "controlType": "VoltVar"}
                    ).status == "NotSupported"  # fmt: skip


def test_who_carries_out_a_control_of_a_hybrid_session() -> None:
    """What the car can is the car's; of the rest the station does what it can emulate (R03)."""
    settings = StationSettings("CS1", der_modes=("FreqDroop", "VoltVar"))
    wanted = ["VoltVar", "FreqDroop", "HFMustTrip", "WattPF"]
    found = shared(settings, a_car(der_controls=("VoltVar", "HFMustTrip")), wanted)
    assert found.in_car == ("VoltVar", "HFMustTrip")
    assert found.emulated == ("FreqDroop",) and found.unsupported == ("WattPF",)
    alone = shared(settings, a_car(), wanted)
    assert (alone.in_car, alone.emulated) == ((), ("VoltVar", "FreqDroop"))
    dc = shared(StationSettings("CS1", is_dc=True), a_car(der_controls=("VoltVar",)), wanted)
    assert (dc.in_car, dc.emulated) == ((), tuple(wanted)), "the inverter is the station's"


def test_alarms_on_command() -> None:
    pair = Pair(Version.V21).connect()
    dialect: Any = pair.station.dialect
    dialect.alarm("VoltWatt", "OverVoltage", False, pair.now_s)
    pair.pump()
    assert pair.backend.payloads("NotifyDERAlarm")[0]["gridEventFault"] == "OverVoltage"
