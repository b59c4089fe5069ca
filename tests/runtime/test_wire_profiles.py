"""Signs and units of the wire: every profile a wish becomes, judged by the rules and schemas."""

import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import generate_ocpp
from pendel.comms.ocpp.profile import Supply, profile_of
from pendel.comms.ocpp.profile_rules import StationAbility, problems_of
from pendel.comms.ocpp.release import Version, messages_of
from pendel.config.server import load_server_config
from pendel.errors import InputError
from pendel.runtime.bridges.car_needs import Known, car_of
from pendel.runtime.bridges.dialects import Dialect, DialectRow, Manner, manner_of, rows
from pendel.runtime.bridges.order_guard import Band, guarded
from pendel.runtime.bridges.wire_profiles import (
    Mode,
    Wish,
    default_profile,
    in_unit,
    set_request,
    tx_profile,
    update,
    watts,
)
from pendel.runtime.network_policy import ConfigPolicy

FOLDERS = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}
JUDGES = {
    version: jsonschema_rs.validator_for(
        generate_ocpp.schemas(folder)[
            "SetChargingProfileRequest"
            if "SetChargingProfileRequest" in generate_ocpp.schemas(folder)
            else "SetChargingProfile"
        ]
    )
    for version, folder in FOLDERS.items()
}
MODES = [
    Mode(),
    Mode("Idle"),
    Mode("ChargingOnly"),
    Mode("ExternalSetpoint"),
    Mode("ExternalLimits"),
    Mode("LocalLoadBalancing"),
    Mode("CentralFrequency", 0.0, ((-1.0, -4.0), (1.0, 30.0))),
    Mode("LocalFrequency", 2.0, ((49.8, -50.0), (50.2, 50.0))),
]
METER = Manner(Dialect.LIMIT, "A")
kilowatts = st.floats(0.0, 50.0)


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    charge, discharge = draw(kilowatts), draw(kilowatts)
    power = draw(st.floats(-discharge, charge))
    return Wish(power, charge, discharge, draw(st.booleans()), draw(st.sampled_from(MODES)))


def numbers(value: Any, names: tuple[str, ...]) -> list[float]:
    if isinstance(value, list):
        return [n for item in value for n in numbers(item, names)]
    if not isinstance(value, dict):
        return []
    own = [v for k, v in value.items() if k in names]
    return own + [n for item in value.values() for n in numbers(item, names)]


@settings(max_examples=150, deadline=None)
@given(wishes(), st.sampled_from(list(Version)), st.booleans(), st.sampled_from("WA"))
def test_every_wish_becomes_a_valid_profile_with_the_right_signs(
    wish: Wish, version: Version, dynamic: bool, unit: str
) -> None:
    native = version is Version.V21
    manner = Manner(Dialect.NATIVE if native else Dialect.LIMIT, "W" if native else unit)
    profile = tx_profile(12, "7", wish, manner, version.value, dynamic)
    request = set_request(1, profile, version.value)
    assert JUDGES[version].is_valid(json.loads(json.dumps(request))), request
    typed = msgspec.convert(request, messages_of(version).REQUESTS["SetChargingProfile"])
    wire = typed.csChargingProfiles if version is Version.V16 else typed.chargingProfile
    inside = profile_of(wire, 1, 0.0, Supply())
    if native:
        ability = StationAbility(transactions=frozenset({"7"}))
        assert problems_of(inside, ability) == []
    assert all(n >= 0.0 for n in numbers(request, ("limit",)))
    assert all(n <= 0.0 for n in numbers(request, ("dischargeLimit",)))
    for setpoint in numbers(request, ("setpoint",)):
        assert math.copysign(1.0, setpoint) > 0.0 or wish.power_kw < 0.0
        assert abs(setpoint - wish.power_kw * 1e3) <= 0.06
    base = sum(numbers(request, ("v2xBaseline",)))
    for power in numbers(request, ("power",)):
        low, high = -wish.discharge_max_kw * 1e3 - 0.2, wish.charge_max_kw * 1e3 + 0.2
        assert low <= power + base <= high
    if not wish.bidirectional:
        assert not numbers(request, ("setpoint", "dischargeLimit", "power"))
    for name, value in update(wish, manner.unit).items():
        assert native is False or numbers(request, (name,)) == [value]


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e-4, 0.0), st.sampled_from(MODES))
def test_zero_watts_never_export(power_kw: float, mode: Mode) -> None:
    wish = Wish(min(power_kw, 0.0) * 0.0, 11.0, 0.0, True, mode)
    for dialect in (Dialect.NATIVE, Dialect.LIMIT, Dialect.NEGATIVE_LIMIT):
        profile = tx_profile(1, "7", wish, Manner(dialect, "W"), "2.1", False)
        for value in numbers(profile, ("limit", "setpoint", "dischargeLimit")):
            assert value >= 0.0 and math.copysign(1.0, value) > 0.0
    assert math.copysign(1.0, watts(-0.0)) > 0.0


@pytest.mark.parametrize("version", list(Version))
def test_the_default_only_charges(version: Version) -> None:
    profile = default_profile(11, 11.0, version.value, "W")
    request = set_request(1, profile, version.value)
    assert JUDGES[version].is_valid(request)
    assert numbers(request, ("limit",)) == [11_000.0]
    assert numbers(default_profile(11, -3.0, version.value, "W"), ("limit",)) == [0.0]


def test_a_transaction_of_another_version_has_no_number_to_name() -> None:
    for transaction, named in (("12", {"transactionId": 12}), ("R", {})):
        profile = tx_profile(2, transaction, Wish(0.0, 11.0, 11.0, False), METER, "1.6", False)
        assert {key: profile[key] for key in ("transactionId",) if key in profile} == named
        assert JUDGES[Version.V16].is_valid(set_request(1, profile, "1.6"))


def test_amperes_round_down() -> None:
    assert in_unit(11.0, "A") == 15.9
    assert in_unit(0.69 * 3, "A") == 3.0
    assert in_unit(0.0, "A") == 0.0


def test_a_negative_limit_discharges_only_where_the_dialect_says_so() -> None:
    wish = Wish(-4.0, 11.0, 10.0, True)
    for dialect, expected in ((Dialect.NEGATIVE_LIMIT, -4_000.0), (Dialect.LIMIT, 0.0)):
        profile = tx_profile(1, "7", wish, Manner(dialect, "W"), "2.0.1", False)
        assert numbers(profile, ("limit",)) == [expected]


def test_dialects_are_data() -> None:
    assert manner_of("Any", "Thing", "2.1").dialect is Dialect.NATIVE
    assert manner_of("Any", "Thing", "1.6").dialect is Dialect.LIMIT
    assert manner_of("Any", "Thing", "3.0").dialect is Dialect.METER
    special = (DialectRow("acme*", "v2*", "2.0.1", Dialect.NEGATIVE_LIMIT, "A"), *rows())
    assert manner_of("ACME Corp", "V2X-1", "2.0.1", special) == Manner(Dialect.NEGATIVE_LIMIT, "A")
    assert manner_of("ACME Corp", "V2X-1", "2.1", special).dialect is Dialect.NATIVE


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 20), st.floats(0, 20), st.lists(st.floats(-1e5, 1e5), min_size=4, max_size=4))
def test_commands_are_cut_to_the_band(give: float, draw: float, values: list[float]) -> None:
    limit, setpoint, baseline, power = values
    period = {
        "startPeriod": 0, "limit": limit, "setpoint": setpoint, "v2xBaseline": baseline,
        "v2xFreqWattCurve": [{"frequency": 50.0, "power": power}],
        "v2xSignalWattCurve": [{"signal": 1, "power": power}],
    }  # fmt: skip
    schedule = {"chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    payload = {"evseId": 1, "chargingProfile": {"chargingSchedule": [schedule]}}
    before = json.dumps(payload)
    found = guarded("SetChargingProfile", payload, Band(give, draw))
    assert json.dumps(payload) == before
    low, high = -give * 1e3 - 1e-6, draw * 1e3 + 1e-6
    out = found.payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
    assert all(low <= out[name] <= high for name in ("limit", "setpoint", "v2xBaseline"))
    assert low <= out["v2xBaseline"] + out["v2xFreqWattCurve"][0]["power"] <= high
    assert low <= out["v2xSignalWattCurve"][0]["power"] <= high
    assert bool(found.reasons) is (json.dumps(found.payload) != before)


def test_amperes_and_updates_are_cut_and_der_that_feeds_is_refused() -> None:
    update_ = {"chargingProfileId": 1, "scheduleUpdate": {"setpoint": -9_000, "dischargeLimit": -1}}
    cut = guarded("UpdateDynamicSchedule", update_, Band(5.0, 11.0))
    assert cut.payload["scheduleUpdate"] == {"setpoint": -5_000.0, "dischargeLimit": -1}
    period = {"startPeriod": 0, "limit": 63.0}
    old = {"chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}}
    cut = guarded("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": old}, Band(0, 11))
    assert numbers(cut.payload, ("limit",)) == [pytest.approx(15.94, abs=0.01)]
    assert guarded("SetDERControl", {"controlType": "FreqDroop"}, Band(0.0, 11.0)).refusal
    assert not guarded("SetDERControl", {"controlType": "FreqDroop"}, Band(1.0, 11.0)).refusal
    assert guarded("Reset", {"type": "Immediate"}, Band(0.0, 0.0)).payload == {"type": "Immediate"}


def needs(**fields: Any) -> Any:

    kind = messages_of(Version.V21).REQUESTS["NotifyEVChargingNeeds"]
    told = msgspec.convert({"evseId": 1, "chargingNeeds": fields}, kind).chargingNeeds
    return lambda **known: car_of(told, Known(**known), datetime(2026, 1, 1, tzinfo=UTC))


def test_needs_of_cars() -> None:
    two_way = needs(
        requestedEnergyTransfer="AC_BPT",
        v2xChargingParameters={
            "maxChargePower": 3_700, "maxChargePower_L2": 3_700, "maxChargePower_L3": 3_700,
            "maxDischargePower": 3_000, "evMaxEnergyRequest": 30_000,
            "evTargetEnergyRequest": 12_000, "evMinV2XEnergyRequest": -10_000,
        },
        departureTime="2026-01-01T08:00:00Z",
    )  # fmt: skip
    car = two_way(capacity_kwh=80.0, v2x_allowed=True)
    assert (car.charge_max_kw, car.discharge_max_kw) == (pytest.approx(11.1), 3.0)
    assert (car.energy_kwh, car.target_kwh, car.floor_kwh) == (50.0, 62.0, 40.0)
    assert car.bidirectional and car.ready_by_utc is not None
    assert two_way(v2x_allowed=False).discharge_max_kw == 0.0
    assert two_way(v2x_allowed=True, station_max_kw=2.0).discharge_max_kw == 2.0
    one_way = needs(
        requestedEnergyTransfer="DC",
        dcChargingParameters={
            "evMaxCurrent": 125, "evMaxVoltage": 400, "evEnergyCapacity": 60_000,
            "energyAmount": 12_000, "stateOfCharge": 40,
        },
        departureTime="1970-01-01T00:00:00Z",
    )(v2x_allowed=True)  # fmt: skip
    assert (one_way.charge_least_kw, one_way.discharge_least_kw) == (0.0, 0.0)
    assert (one_way.capacity_kwh, one_way.energy_kwh, one_way.charge_max_kw) == (60.0, 24.0, 50.0)
    assert (one_way.target_kwh, one_way.discharge_max_kw, one_way.ready_by_utc) == (36.0, 0.0, None)


def test_the_least_a_car_can_do() -> None:
    """6 A per phase of the mode on AC, what a bidirectional car states, nothing on DC; of a car
    that says nothing, what its station's power makes likely."""
    ac = {"energyAmount": 9_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}
    three = needs(requestedEnergyTransfer="AC_three_phase", acChargingParameters=ac)()
    one = needs(requestedEnergyTransfer="AC_single_phase", acChargingParameters=ac)()
    assert (three.charge_least_kw, one.charge_least_kw) == (pytest.approx(4.14), 1.38)
    both = needs(
        requestedEnergyTransfer="AC_BPT",
        v2xChargingParameters={
            "minChargePower": 1_400, "maxChargePower": 11_000, "minDischargePower": 900,
            "maxDischargePower": 11_000,
        },
    )(v2x_allowed=True)  # fmt: skip
    assert (both.charge_least_kw, both.discharge_least_kw) == (1.4, 0.9)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    silent = lambda **known: car_of(None, Known(**known), at)  # noqa: E731
    assert silent().charge_least_kw == pytest.approx(4.14)
    assert silent(station_max_kw=3.7).charge_least_kw == pytest.approx(1.38)
    assert silent(station_max_kw=50.0).charge_least_kw == 0.0
    assert silent(v2x_allowed=True, discharges_unasked=True, soc=0.5).charge_least_kw == 0.0


def test_the_configuration_says_how_one_station_is_told(tmp_path: Path) -> None:
    """A [[station]]'s own dialect and unit come before what is known of its model."""
    path = tmp_path / "pendel.toml"
    path.write_text(
        '[[site]]\nsite_id = "s"\ntimezone = "UTC"\nimport_limit_kw = 11.0\n'
        '[[station]]\nstation_id = "A"\nsite_id = "s"\ndialect = "negative_limit"\n'
        'limit_unit = "A"\n[[station]]\nstation_id = "B"\nsite_id = "s"\n'
    )
    policy = ConfigPolicy(load_server_config(path))
    assert policy.manner("A", "V", "M", "1.6") == Manner(Dialect.NEGATIVE_LIMIT, "A")
    assert policy.manner("B", "V", "M", "1.6") == Manner(Dialect.LIMIT, "W")
    path.write_text(path.read_text().replace("negative_limit", "shouting"))
    with pytest.raises(InputError) as refused:
        load_server_config(path)
    assert [problem.field for problem in refused.value.problems] == ["station[0].dialect"]
