"""DER controls: what is found, reported and cleared; nameplates; cars with own functions."""

from typing import Any

import pytest
from scripted_backend import Pair, a_car
from test_station_der import cap, discharging

from pendel.comms.ocpp.der_rules import TYPES
from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.der_in_car import shared
from pendel.comms.ocpp.station.equipment import StationSettings


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
