"""Reactive power of DER controls: sign, size, apparent power, who comes first (block R)."""

from typing import Any

import der_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_backend import Pair, profile_2
from test_station_der import at, control_of, discharging

from pendel.comms.ocpp.station.der_power import DerPower
from pendel.comms.ocpp.station.grid import Grid

RATED_KW = 10.0
VAR_UNIT = st.sampled_from(["PctMaxW", "PctMaxVar", "PctVarAvail"])
PERCENT = st.floats(-100.0, 100.0)


def points(ys: Any) -> Any:
    return st.lists(st.tuples(st.floats(80.0, 120.0), ys), min_size=1, max_size=6,
                    unique_by=lambda p: p[0]).map(
        lambda pairs: [{"x": x, "y": y} for x, y in sorted(pairs)])  # fmt: skip


CONTROL = st.one_of(
    st.tuples(st.just("FixedVar"),
              st.fixed_dictionaries({"setpoint": PERCENT, "unit": VAR_UNIT})),
    st.tuples(st.sampled_from(["FixedPFAbsorb", "FixedPFInject"]),
              st.fixed_dictionaries({"displacement": st.floats(0.5, 1.0),
                                     "excitation": st.booleans()})),
    st.tuples(st.sampled_from(["VoltVar", "WattVar"]),
              st.fixed_dictionaries({"yUnit": VAR_UNIT, "curveData": points(PERCENT)})),
    st.tuples(st.just("WattPF"),
              st.fixed_dictionaries({"yUnit": st.just("Not_Applicable"), "curveData": points(
                  st.one_of(st.floats(0.5, 1.0), st.floats(-1.0, -0.5)))})),
)  # fmt: skip


@given(CONTROL, st.floats(-RATED_KW, RATED_KW), st.floats(0.8, 1.2))
@settings(max_examples=120, deadline=None)
def test_any_reactive_control_is_as_the_oracle_says(
    wish: tuple[str, dict[str, Any]], kw: float, volts: float
) -> None:
    kind, body = wish
    der = DerPower({kind: {"priority": 0, **body}})
    grid = Grid(50.0, volts, True)
    power = der.power_kw(1, kw, -RATED_KW, RATED_KW, grid, 0.0)
    kvar = der.kvar(1)
    for second in (1.0, 2.0):  # VoltVar begins at nominal; nothing else takes time here
        power = der.power_kw(1, kw, -RATED_KW, RATED_KW, grid, second)
        kvar = der.kvar(1)
    idle = {"FixedPFAbsorb": kw <= 1e-6, "FixedPFInject": kw >= -1e-6}.get(kind, False)
    wanted = (kw, 0.0) if idle else der_oracle.reactive(kind, body, kw, 100 * volts, RATED_KW)
    assert (power, kvar) == (
        pytest.approx(wanted[0], abs=1e-4 * RATED_KW),
        pytest.approx(wanted[1], abs=2e-4 * RATED_KW),
    )
    assert power**2 + kvar**2 <= RATED_KW**2 * (1 + 1e-9)


def test_a_positive_fixed_var_injects_and_a_negative_one_absorbs() -> None:
    """FixedVar: "negative refers to charging, positive to discharging"; inside, absorbing is
    positive like charging: the wire's sign is opposite."""
    for setpoint, kvar in ((50.0, -5.0), (-50.0, 4.3589), (-20.0, 2.0)):
        der = DerPower({"FixedVar": {"priority": 0, "setpoint": setpoint, "unit": "PctMaxW"}})
        assert der.power_kw(1, 0.0, -10.0, 10.0, Grid(50.0, 1.0, True), 0.0) == 0.0
        assert der.kvar(1) == pytest.approx(max(kvar, -4.3589), rel=1e-4)


def test_the_strongest_priority_leads_and_pushes_active_power_back() -> None:
    controls = {
        "FixedVar": {"priority": 3, "setpoint": 10.0, "unit": "PctMaxVar"},
        "FixedPFInject": {"priority": 1, "displacement": 0.9, "excitation": False},
    }
    der = DerPower(controls)
    power = der.power_kw(1, -10.0, -10.0, 10.0, Grid(50.0, 1.0, True), 0.0)
    assert power == pytest.approx(-9.0) and der.kvar(1) == pytest.approx(-4.3589, rel=1e-4)
    der = DerPower({"FixedVar": {"priority": 0, "setpoint": 100.0, "unit": "PctVarAvail"}})
    assert der.power_kw(1, -10.0, -10.0, 10.0, Grid(50.0, 1.0, True), 0.0) == -10.0
    assert der.kvar(1) == 0.0


VOLT_VAR = {"priority": 0, "yUnit": "PctMaxVar", "curveData": [
    {"x": 92.0, "y": 44.0}, {"x": 98.0, "y": 0.0}, {"x": 102.0, "y": 0.0}, {"x": 108.0, "y": -44.0},
]}  # fmt: skip


def kvars(curve: dict[str, Any], volts: list[float]) -> list[float]:
    """Reactive power second by second."""
    der, found = DerPower({"VoltVar": curve}), []
    for second, share in enumerate(volts):
        der.power_kw(1, 0.0, -10.0, 10.0, Grid(50.0, share, True), float(second))
        found.append(der.kvar(1))
    return found


def test_volt_var_answers_with_its_response_time() -> None:
    """90 % of a step after responseTime seconds."""
    full = 10.0 * 0.43589 * 0.44
    found = kvars({**VOLT_VAR, "responseTime": 10.0}, [1.0, *[1.08] * 60])
    assert found[0] == 0.0
    assert found[10] == pytest.approx(0.9 * full, rel=0.01)
    assert found[20] == pytest.approx(0.99 * full, rel=0.01)
    assert found[-1] == pytest.approx(full, rel=1e-3)


def test_volt_var_moves_with_its_reference() -> None:
    """vRef 105 %: what is 108 % of nominal is 102.9 % of it."""
    found = kvars({**VOLT_VAR, "reactivePowerParams": {"vRef": 105.0}}, [1.08] * 3)
    assert found[-1] == pytest.approx(10 * 0.43589 * 0.44 * (108 / 1.05 - 102) / 6, rel=1e-3)


def test_an_autonomous_reference_follows_the_voltage_within_its_bounds() -> None:
    """First order with its time constant, never beyond 105 %: 104 % is forgotten, 110 % is not."""
    params = {"autonomousVRefEnable": True, "autonomousVRefTimeConstant": 300.0}
    curve = {**VOLT_VAR, "reactivePowerParams": params}
    soon, late = kvars(curve, [1.04] * 2000)[1], kvars(curve, [1.04] * 2000)[-1]
    assert soon == pytest.approx(10 * 0.43589 * 0.44 / 3, rel=0.01) and late == 0.0
    kept = kvars(curve, [1.10] * 4000)[-1]
    assert kept == pytest.approx(10 * 0.43589 * 0.44 * (110 / 1.05 - 102) / 6, rel=1e-3)


def test_hysteresis_holds_the_worst_until_the_delay_is_over() -> None:
    hysteresis = {"hysteresisLow": 99.0, "hysteresisHigh": 101.0, "hysteresisDelay": 5.0}
    volts = [1.0, 1.08, 1.05, 1.03, 1.015, *[1.0] * 10]
    found = kvars({**VOLT_VAR, "hysteresis": hysteresis}, volts)
    full = 10.0 * 0.43589 * 0.44
    assert found[1:5] == pytest.approx([full] * 4, rel=1e-3)
    assert found[5:10] == pytest.approx([full] * 5, rel=1e-3)
    assert found[10:] == [0.0] * 5


def test_hysteresis_ends_on_a_ramp() -> None:
    hysteresis = {"hysteresisLow": 99.0, "hysteresisHigh": 101.0, "hysteresisDelay": 0.0,
                  "hysteresisGradient": 4.4}  # fmt: skip
    found = kvars({**VOLT_VAR, "hysteresis": hysteresis}, [1.0, 1.08, *[1.0] * 15])
    full = 10.0 * 0.43589 * 0.44
    assert found[2:13] == pytest.approx([full * (1 - k / 10) for k in range(1, 11)] + [0.0],
                                        abs=1e-3)  # fmt: skip


def test_a_station_tells_its_reactive_power_voltage_and_frequency() -> None:
    pair = discharging()
    fixed = {"priority": 0, "setpoint": 20.0, "unit": "PctMaxW"}
    assert pair.ask("SetDERControl", control_of("FixedVar", fixed)).status == "Accepted"
    around = pair.station.around
    around.frequency_hz, around.voltage_pu, around.phases_pu = 49.9, 1.02, (1.01, 1.02, 1.03)
    pair.run(70)
    told = pair.backend.payloads("TransactionEvent")[-1]["meterValue"][-1]["sampledValue"]
    values = {(s["measurand"], s.get("phase")): s["value"] for s in told}
    assert values["Power.Reactive.Export", None] == pytest.approx(2_200.0)
    assert values["Power.Reactive.Import", None] == 0.0
    assert values["Power.Active.Export", None] == pytest.approx(10_000.0)
    assert values["Power.Factor", None] == pytest.approx(10 / (10**2 + 2.2**2) ** 0.5, abs=1e-6)
    assert values["Frequency", None] == 49.9
    assert [values["Voltage", f"L{n}-N"] for n in (1, 2, 3)] == pytest.approx([232.3, 234.6, 236.9])


def test_a_profile_may_ask_for_reactive_power_and_a_control_overrules_it() -> None:
    pair = Pair(discharging().version).connect()
    pair.plug()
    transaction = pair.station.evses[1].transaction
    assert transaction is not None
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -5_000,
              "setpointReactive": 2_000}  # fmt: skip
    profile = profile_2(2, "TxProfile", [period], transactionId=transaction.id,
                        schedule={"startSchedule": at(-9)})  # fmt: skip
    assert pair.ask("SetChargingProfile", {"evseId": 1, "chargingProfile": profile}
                    ).status == "Accepted"  # fmt: skip
    pair.run(2, 1.0)
    assert pair.station.evses[1].kvar == pytest.approx(2.0)
    fixed = {"priority": 0, "setpoint": 10.0, "unit": "PctMaxW"}
    pair.ask("SetDERControl", control_of("FixedVar", fixed))
    pair.run(2, 1.0)
    assert pair.station.evses[1].kvar == pytest.approx(-1.1)
    alarms = pair.backend.payloads("NotifyDERAlarm")
    assert [(a["controlType"], a["alarmEnded"]) for a in alarms] == [("FixedVar", False)]
