"""Meter values of stations as they came: exact, signed where they are signed, refused with why."""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from metered_log import BEGIN, STATION, a_night, event, minutes, sampled

from pendel.records import StationMessage
from pendel.runtime.flows import device_flow, session_flow
from pendel.runtime.metered import Mark, Metered, metered
from pendel.tariff.exact import NANO

FIRST = int(BEGIN.timestamp()) // 900


def message(
    action: str, payload: object, transaction: str = "", version: str = "1.6"
) -> StationMessage:
    return StationMessage(
        id=f"ocpp-{action}",
        at_utc=BEGIN,
        station_id=STATION,
        ocpp_version=version,
        action=action,
        message_id="m",
        payload=json.dumps(payload),
        transaction_id=transaction,
    )


def test_registers_become_quarter_hours_and_idle_time_is_zero() -> None:
    flow = device_flow("CP1/1", metered(a_night()).marks["CP1/1"])
    assert [flow.pair(FIRST + q) for q in range(8)] == [(2_500_000_000, 0)] * 8
    assert [flow.pair(FIRST + q) for q in range(8, 12)] == [(0, 2_000_125_000)] * 4
    # nothing moved from 03:00 to the last reading at 05:30: the quarter hours between are 0
    assert [flow.pair(FIRST + q) for q in range(12, 22)] == [(0, 0)] * 10
    assert flow.pair(FIRST + 22) is None and flow.refused == []


def test_a_quarter_hour_without_a_reading_at_its_end_is_a_gap() -> None:
    values = [(0, 0.0), (15, 1_000.0), (37, 2_000.0), (45, 2_500.0), (60, 3_000.0)]
    marks = metered(
        event(seq, "Updated", minutes(when), sampled(wh, 0))
        for seq, (when, wh) in enumerate(values)
    ).marks["CP1/1"]
    flow = device_flow("CP1/1", marks)
    got = [flow.values["import"].get(FIRST + q) for q in range(4)]
    assert got == [NANO, None, None, NANO // 2]
    # its energy is not lost: the session has it, and says that its quarter hours are not known
    session = session_flow(marks)
    assert session.total("import") == 3 * NANO and not session.whole


def test_1_6_counts_from_start_to_stop_in_all_forms_of_value() -> None:
    def values(when: float, *samples: dict[str, str]) -> list[object]:
        return [{"timestamp": minutes(when).isoformat(), "sampledValue": list(samples)}]

    kwh = {"value": "12.5", "unit": "kWh"}
    phases = [{"value": str(4_000 + i), "phase": f"L{i + 1}", "unit": "Wh"} for i in range(3)]
    log = [
        message(
            "StartTransaction",
            {
                "connectorId": 1,
                "idTag": "T",
                "meterStart": 10_000,
                "timestamp": minutes(0).isoformat(),
            },
            "7",
        ),
        message(
            "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": values(15, *phases)}
        ),
        message(
            "MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": values(30, kwh)}
        ),
        message(
            "StopTransaction",
            {"transactionId": 7, "meterStop": 13_000, "timestamp": minutes(45).isoformat()},
            "7",
        ),
    ]
    found = metered(log)
    marks = found.marks["CP1/1"]
    assert [mark.nano / NANO for mark in marks] == [10.0, 12.003, 12.5, 13.0]
    assert {mark.transaction_id for mark in marks} == {"7"}
    flow = device_flow("CP1/1", marks)
    assert [flow.pair(FIRST + q) for q in range(3)] == [
        (2_003_000_000, 0), (497_000_000, 0), (500_000_000, 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"value": -5.0}, "negative"),
        ({"unitOfMeasure": {"unit": "varh"}}, "unit"),
        ({"unitOfMeasure": {"unit": "Wh", "multiplier": 99}}, "multiplier"),
        ({"value": 1e25}, "beyond every meter"),
    ],
)
def test_what_cannot_be_used_is_kept_with_its_reason(change: dict[str, object], why: str) -> None:
    value = {**sampled(1_000.0, None)[0], **change}
    found = metered([event(0, "Started", BEGIN, [value, *sampled(None, 7.0)])])
    (refused,) = found.refused
    assert why in refused.reason and refused.record_id == "ocpp-CP1-T1-0"
    assert [mark.direction for mark in found.marks["CP1/1"]] == ["export"]


def test_broken_and_quarantined_messages_are_kept_too() -> None:
    broken = msgspec.structs.replace(
        event(0, "Started", BEGIN, []), payload='{"transactionInfo": 5'
    )
    told = event(1, "Updated", BEGIN, sampled(1.0, 1.0), refused=("the register goes back",))
    old = event(
        2, "Updated", datetime.fromisoformat("1970-01-01T00:00:00+00:00"), sampled(1.0, 1.0)
    )
    found = metered([broken, told, old])
    assert [r.reason for r in found.refused] == [
        "TransactionEvent: JSONDecodeError",
        "the register goes back",
        "the clock of the station is wrong",
    ]


def signed_record(
    private: ec.EllipticCurvePrivateKey, when: datetime, kwh: str, register: str
) -> str:
    stamp = f"{when:%Y-%m-%dT%H:%M:%S},000+0000 S"
    reading = f'{{"TM":"{stamp}","TX":"C","RV":{kwh},"RI":"{register}","RU":"kWh","ST":"G"}}'
    payload = f'{{"FV":"1.4","GI":"x","GS":"g","MS":"M77","PG":"T1","RD":[{reading}]}}'
    signature = private.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex()
    return f'OCMF|{payload}|{{"SA":"ECDSA-secp256r1-SHA256","SD":"{signature}"}}'


def signed_log(private: ec.EllipticCurvePrivateKey, spoil: int = -1) -> list[StationMessage]:
    """2.x: signed beside plain values (which say something else); spoil: one is altered."""
    log = []
    for quarter in range(4):
        samples = []
        for register, kwh in (("01-00:B0.08.00*FF", 10 + quarter), ("01-00:C0.08.00*FF", 3)):
            text = signed_record(private, minutes(15 * quarter), f"{kwh}.5000", register)
            if quarter == spoil and "B0" in register:
                text = text.replace(f"{kwh}.5000", f"{kwh}.9000")
            way = "Import" if "B0" in register else "Export"
            data = base64.b64encode(text.encode()).decode()
            plain = sampled(1.0, None)[0] if way == "Import" else sampled(None, 1.0)[0]
            meter = {"signedMeterData": data, "encodingMethod": "OCMF"}
            samples.append({**plain, "signedMeterValue": meter})
        log.append(event(quarter, "Updated", minutes(15 * quarter), samples))
    return log


def key_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_signed_value_counts_before_a_plain_one_and_export_is_its_own_register() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    log = signed_log(private)
    for keys, signed in (({STATION: key_of(private).hex().encode()}, True), ({}, False)):
        found = metered(log, keys)
        flow = device_flow("CP1/1", found.marks["CP1/1"])
        assert [flow.pair(FIRST + q) for q in range(3)] == [(NANO, 0)] * 3
        assert flow.signed is signed and found.refused == []
    totals = session_flow(metered(log).marks["CP1/1"])
    assert (totals.total("import"), totals.total("export")) == (3 * NANO, 0)


def test_an_altered_signed_value_is_refused_and_leaves_a_gap() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    found = metered(signed_log(private, spoil=1), {STATION: key_of(private)})
    (refused,) = found.refused
    assert "signature" in refused.reason
    flow = device_flow("CP1/1", found.marks["CP1/1"])
    assert [flow.pair(FIRST + q) for q in range(3)] == [None, None, (NANO, 0)]


def test_1_6_signed_data_is_read_in_text_hex_and_base64() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    text = signed_record(private, BEGIN, "5.25", "1-0:1.8.0")
    for form in (text, text.encode().hex(), base64.b64encode(text.encode()).decode()):
        value = {"value": form, "format": "SignedData"}
        meter = {"timestamp": BEGIN.isoformat(), "sampledValue": [value]}
        payload = {"connectorId": 1, "transactionId": 7, "meterValue": [meter]}
        found = metered([message("MeterValues", payload, "7")], {STATION: key_of(private)})
        (mark,) = found.marks["CP1/1"]
        assert (mark.nano, mark.signed, mark.meter) == (5_250_000_000, True, "M77")


def test_a_counter_that_begins_anew_with_each_session_is_another_counter() -> None:
    def marks(transaction: str, begin: float, first: float) -> list[StationMessage]:
        return [
            event(
                i,
                "Updated",
                minutes(begin + 15 * i),
                sampled(first + 1_000.0 * i, 0.0),
                transaction,
            )
            for i in range(3)
        ]

    found = metered([*marks("T1", 0, 0.0), *marks("T2", 60, 500.0)])
    flow = device_flow("CP1/1", found.marks["CP1/1"])
    values = [flow.values["import"].get(FIRST + q) for q in range(6)]
    assert values == [NANO, NANO, None, None, NANO, NANO] and flow.refused == []


moves = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3_000)), min_size=2, max_size=60)


@given(moves)
@settings(max_examples=60, deadline=None)
def test_no_energy_is_invented_and_sessions_lose_none(steps: list[tuple[int, int]]) -> None:
    """Quarter hours never hold more than the registers moved; the session holds exactly that."""
    when, wh, marks = BEGIN, 0, []
    for wait, moved in steps:
        marks.append(Mark(when, "import", wh * NANO // 1000, "m", "T1", "r"))
        when, wh = when + timedelta(minutes=wait), wh + moved
    total = marks[-1].nano - marks[0].nano
    flow = device_flow("CP1/1", sorted(marks, key=lambda m: m.at_utc))
    assert 0 <= sum(flow.values["import"].values()) <= total
    assert session_flow(marks).total("import") == total
    shuffled = [replace(mark) for mark in reversed(marks)]
    if len({mark.at_utc for mark in marks}) == len(marks):
        assert device_flow("CP1/1", shuffled).values == flow.values


@given(
    st.binary(max_size=200), st.sampled_from(["TransactionEvent", "MeterValues", "StopTransaction"])
)
@settings(max_examples=200, deadline=None)
def test_any_payload_is_read_or_refused(payload: bytes, action: str) -> None:
    record = msgspec.structs.replace(
        message(action, {}), payload=payload.decode("utf-8", "replace")
    )
    reader = Metered()
    reader.take(record)
    assert reader.marks == {}
