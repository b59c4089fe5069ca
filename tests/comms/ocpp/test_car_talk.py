"""The backend's side of a car's talk: needs answered, schedules judged, transfers allowed."""

import itertools
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

sys.path.insert(0, str(Path(__file__).parent))

from test_csms_rules import NOW, OpenPolicy, ask, booted, event, typed

from pendel.comms.ocpp.backend.csms import Csms
from pendel.comms.ocpp.release import Version

V21 = Version.V21
TOKEN = {"idToken": "two-way", "type": "ISO14443"}
AC = {"energyAmount": 9_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 230}
NEEDS: dict[str, dict[str, Any]] = {
    "-2": {"requestedEnergyTransfer": "AC_three_phase", "acChargingParameters": AC},
    "-20 scheduled": {
        "requestedEnergyTransfer": "AC_three_phase",
        "controlMode": "ScheduledControl",
        "v2xChargingParameters": {"maxChargePower": 11_000},
    },
    "-20 dynamic": {
        "requestedEnergyTransfer": "AC_BPT",
        "controlMode": "DynamicControl",
        "v2xChargingParameters": {"maxChargePower": 11_000, "maxDischargePower": 9_000},
    },
}


def needs(kind: str, **more: Any) -> dict[str, Any]:
    return {"evseId": 1, "chargingNeeds": NEEDS[kind] | more}


def running(station: str = "S", version: Version = V21, **started: Any) -> Csms:
    backend = booted(version, station)
    ask(backend, version, "TransactionEvent", event(0, "Started", **started), station)
    return backend


def answer(backend: Csms, action: str, payload: dict[str, Any], station: str = "S") -> Any:
    version = Version(backend.network.station(station).ocpp_version or "2.1")
    return ask(backend, version, action, payload, station).response


@pytest.mark.proves(
    "K15.FR.02", "K15.FR.03", "K15.FR.04", "K15.FR.05", "K17.FR.02", "K17.FR.03", "K17.FR.04",
    "K17.FR.05", "K18.FR.04", "K19.FR.04",
)  # fmt: skip
@pytest.mark.parametrize("again", [False, True], ids=["first", "renegotiated"])
@pytest.mark.parametrize("kind", list(NEEDS))
def test_needs_are_answered_by_what_can_be_done(kind: str, again: bool) -> None:
    early = booted(V21)
    assert answer(early, "NotifyEVChargingNeeds", needs(kind)).status == "Processing"
    backend = running()
    for _ in range(1 + again):
        assert answer(backend, "NotifyEVChargingNeeds", needs(kind)).status == "Accepted"
    free = running("UNSTEERED")
    for _ in range(1 + again):
        found = answer(free, "NotifyEVChargingNeeds", needs(kind), "UNSTEERED").status
        assert found == ("Rejected" if kind == "-2" else "NoChargingProfile")


def authorize(backend: Csms, token: str, evcc: str = "") -> Any:
    told: dict[str, Any] = {"idToken": token, "type": "ISO14443"}
    if evcc:
        told["additionalInfo"] = [{"additionalIdToken": evcc, "type": "EVCCID"}]
    return answer(backend, "Authorize", {"idToken": told}).allowedEnergyTransfer


@pytest.mark.proves("K18.FR.22", "K19.FR.15", "Q01.FR.04", "Q01.FR.07")
@pytest.mark.parametrize(
    ("token", "mode", "status"),
    [
        ("one-way", "AC_BPT", "Rejected"),
        ("one-way", "AC_three_phase", "Accepted"),
        ("two-way", "AC_BPT", "Accepted"),
        ("two-way", "WPT", "Rejected"),
        ("", "AC_BPT", "Accepted"),  # nobody was told any list
    ],
)
def test_a_transfer_outside_the_list_is_refused(token: str, mode: str, status: str) -> None:
    backend = booted(V21)
    started = {}
    if token:
        authorize(backend, token)
        started = {"idToken": {"idToken": token, "type": "ISO14443"}}
    ask(backend, V21, "TransactionEvent", event(0, "Started", **started))
    told = answer(
        backend, "NotifyEVChargingNeeds", needs("-20 dynamic", requestedEnergyTransfer=mode)
    )
    assert told.status == status
    if status == "Rejected":
        assert "AC_three_phase" in told.statusInfo.additionalInfo


class ByVehicle(OpenPolicy):
    """Cars are told apart by their EVCCID; only GIVES may give back."""

    def v2x_allowed(self, station_id: str, token: str, evcc_id: str) -> bool | None:
        return evcc_id == "GIVES" if evcc_id else None


@pytest.mark.proves("Q01.FR.01", "Q01.FR.08", "Q02.FR.03")
def test_the_list_is_left_out_while_the_car_is_not_known() -> None:
    count = itertools.count(1)
    backend = Csms(ByVehicle(), lambda: f"record-{next(count)}")
    station = backend.network.station("S")
    station.booted = True
    assert authorize(backend, "card") is UNSET
    assert "AC_BPT" in authorize(backend, "card", "GIVES")
    assert "AC_BPT" not in authorize(backend, "card", "TAKES")
    station.variables["V2XChargingCtrlr", 1, "Enabled"] = "false"
    assert "AC_BPT" not in authorize(backend, "card", "GIVES")
    info = {"idToken": "card", "type": "ISO14443",
            "additionalInfo": [{"additionalIdToken": "GIVES", "type": "EVCCID"}]}  # fmt: skip
    ask(backend, V21, "TransactionEvent", event(0, "Started", idToken=info))
    assert station.transactions["T"].evcc_id == "GIVES"


# the schedule of a car


def offer(
    backend: Csms, *schedules: list[dict[str, Any]], station: str = "S", unit: str = "W",
    purpose: str = "TxProfile", number: int = 5, level: int = 1, **more: Any,
) -> None:  # fmt: skip
    """The station accepted a profile with these schedules, from now on."""
    version = Version(backend.network.station(station).ocpp_version or "2.1")
    profile = {
        "id": number, "stackLevel": level, "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [
            {"id": 10 * number + i, "chargingRateUnit": unit, "startSchedule": NOW.isoformat(),
             "chargingSchedulePeriod": periods} for i, periods in enumerate(schedules)
        ], **more,
    }  # fmt: skip
    if purpose == "TxProfile":
        profile["transactionId"] = "T"
    request = typed(version, "SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
    backend.ordered(station, version, "SetChargingProfile", request, NOW)


def steps(*limits: tuple[int, float], name: str = "limit") -> list[dict[str, Any]]:
    extra = {"operationMode": "CentralSetpoint"} if name == "setpoint" else {}
    return [{"startPeriod": start, name: watts, **extra} for start, watts in limits]


def plans(
    periods: list[dict[str, Any]], unit: str = "W", selected: int | None = None, after_s: int = 0
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "evseId": 1,
        "timeBase": (NOW + timedelta(seconds=after_s)).isoformat(),
        "chargingSchedule": {
            "id": 1, "chargingRateUnit": unit, "duration": 7200, "chargingSchedulePeriod": periods,
        },
    }  # fmt: skip
    return told if selected is None else told | {"selectedChargingScheduleId": selected}


TWO = steps((0, 6_000.0), (3600, 3_000.0))
JUDGED: list[tuple[str, list[list[dict[str, Any]]], dict[str, Any], str]] = [
    ("inside", [TWO], plans(steps((0, 5_900.0), (3600, 3_000.0))), "Accepted"),
    ("the same", [TWO], plans(TWO), "Accepted"),
    ("too much at first", [TWO], plans(steps((0, 6_100.0), (3600, 0.0))), "Rejected"),
    ("too long", [TWO], plans(steps((0, 6_000.0), (3700, 3_000.0))), "Rejected"),
    ("later base", [TWO], plans(steps((0, 6_000.0), (100, 3_000.0)), after_s=3500), "Accepted"),
    ("later base, too long", [TWO], plans(steps((0, 6_000.0)), after_s=3500), "Rejected"),
    ("amperes", [TWO], plans(steps((0, 8.6), (3600, 4.3)), "A"), "Accepted"),
    ("too many amperes", [TWO], plans(steps((0, 9.0), (3600, 0.0)), "A"), "Rejected"),
    ("gives back unasked", [TWO], plans(steps((0, -1_000.0))), "Rejected"),
    ("second of three", [TWO, steps((0, 9_000.0)), TWO], plans(steps((0, 8_000.0))), "Accepted"),
    ("none of three", [TWO, steps((0, 9_000.0)), TWO], plans(steps((0, 9_100.0))), "Rejected"),
    (
        "the first was meant",
        [TWO, steps((0, 9_000.0))],
        plans(steps((0, 8_000.0)), selected=50),
        "Rejected",
    ),
    (
        "the second was meant",
        [TWO, steps((0, 9_000.0))],
        plans(steps((0, 8_000.0)), selected=51),
        "Accepted",
    ),
    (
        "follows a setpoint",
        [steps((0, -4_000.0), name="setpoint")],
        plans(steps((0, -4_000.0), name="setpoint")),
        "Accepted",
    ),
    (
        "gives more than asked",
        [steps((0, -4_000.0), name="setpoint")],
        plans(steps((0, -4_100.0), name="setpoint")),
        "Rejected",
    ),
    ("nothing was offered", [], plans(steps((0, 22_000.0))), "Accepted"),
]


@pytest.mark.proves(
    "K15.FR.11", "K15.FR.12", "K16.FR.06", "K16.FR.07", "K17.FR.11", "K17.FR.12", "K18.FR.11",
    "K18.FR.12",
)  # fmt: skip
@pytest.mark.parametrize("kind", ["-2", "-20 scheduled"])
@pytest.mark.parametrize(
    ("offered", "told", "status"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_a_cars_schedule_is_judged_by_its_offer(
    offered: list[list[dict[str, Any]]], told: dict[str, Any], status: str, kind: str
) -> None:
    backend = running()
    answer(backend, "NotifyEVChargingNeeds", needs(kind))
    if offered:
        offer(backend, *offered)
    found = answer(backend, "NotifyEVChargingSchedule", told)
    assert found.status == status
    if status == "Rejected":
        assert found.statusInfo.reasonCode == "InvalidSchedule"
        assert backend.network.station("S").evse(1).schedule_problem


def test_a_led_car_is_not_judged_and_what_was_cleared_does_not_count() -> None:
    backend = running()
    answer(backend, "NotifyEVChargingNeeds", needs("-20 dynamic"))
    offer(backend, TWO)
    much = plans(steps((0, 9_000.0)))
    assert answer(backend, "NotifyEVChargingSchedule", much).status == "Accepted"
    answer(backend, "NotifyEVChargingNeeds", needs("-2"))
    assert answer(backend, "NotifyEVChargingSchedule", much).status == "Rejected"
    clear = typed(V21, "ClearChargingProfile", {"chargingProfileId": 5})
    backend.ordered("S", V21, "ClearChargingProfile", clear, NOW)
    assert answer(backend, "NotifyEVChargingSchedule", much).status == "Accepted"
    offer(backend, TWO)
    ask(backend, V21, "TransactionEvent", event(1, "Ended"))
    assert backend.network.station("S").offered.by_id == {}


def test_updates_of_a_dynamic_profile_count() -> None:
    backend = running()
    answer(backend, "NotifyEVChargingNeeds", needs("-2"))
    offer(backend, steps((0, 3_000.0)), chargingProfileKind="Dynamic")
    for watts in (4_000.0, 5_000.0, 6_000.0, 7_000.0, 8_000.0, 9_000.0):
        update = {"chargingProfileId": 5, "scheduleUpdate": {"limit": watts}}
        request = typed(V21, "UpdateDynamicSchedule", update)
        backend.ordered("S", V21, "UpdateDynamicSchedule", request, NOW)
    told = plans(steps((0, 9_000.0)))
    assert answer(backend, "NotifyEVChargingSchedule", told).status == "Accepted"
    told = plans(steps((0, 9_100.0)))
    assert answer(backend, "NotifyEVChargingSchedule", told).status == "Rejected"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 20)), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 20)), min_size=1, max_size=6),
    st.integers(0, 20),
)
def test_the_judgement_is_that_of_looking_at_each_second(
    offered: list[tuple[int, int]], told: list[tuple[int, int]], cap: int
) -> None:
    """Oracle: both schedules and a station maximum written out second by second; a stretch in
    which nothing changes counts from its eleventh second on."""

    def rows(spans: list[tuple[int, int]]) -> tuple[list[dict[str, Any]], list[int]]:
        starts = [sum(s for s, _ in spans[:i]) for i in range(len(spans))]
        seconds = [kw for span, kw in spans for _ in range(span)]
        return steps(*[(s, kw * 1e3) for s, (_, kw) in zip(starts, spans, strict=True)]), seconds

    periods, allowed = rows(offered)
    wanted_periods, wanted = rows(told)
    backend = running()
    offer(backend, periods)
    offer(backend, steps((0, cap * 1e3)), purpose="ChargingStationMaxProfile", number=6)
    total = sum(span for span, _ in told)
    payload = plans(wanted_periods)
    payload["chargingSchedule"]["duration"] = total
    allowed += [allowed[-1]] * max(total - len(allowed), 0)
    edges = {sum(s for s, _ in each[:i]) for each in (offered, told) for i in range(len(each))}
    last = max(sum(s for s, _ in told[:-1]), *(e for e in edges if e < total))
    run, good = 0, True
    for second, (watts, most) in enumerate(zip(wanted, allowed, strict=False)):
        run = 1 if second in edges else run + 1
        breach = watts > min(most, cap)
        good = good and not (breach and (run > 10 or second >= last))
    found = answer(backend, "NotifyEVChargingSchedule", payload).status
    assert found == ("Accepted" if good else "Rejected")


def test_a_car_that_follows_an_update_at_once_breaks_nothing() -> None:
    """The station is milliseconds ahead of its answer, and its watchdog ends as much earlier."""
    backend = running()
    answer(backend, "NotifyEVChargingNeeds", needs("-20 scheduled"))
    offer(backend, steps((0, 11_000.0)), purpose="TxDefaultProfile", number=6, level=0)
    offer(backend, steps((0, 2_000.0), name="setpoint"), chargingProfileKind="Dynamic")
    backend.network.station("S").offered.by_id[5] = tuple(
        replace(p, duration_s=3600.0) for p in backend.network.station("S").offered.by_id[5]
    )
    update = {"chargingProfileId": 5, "scheduleUpdate": {"setpoint": -3_000.0}}
    request = typed(V21, "UpdateDynamicSchedule", update)
    later = NOW + timedelta(seconds=60)
    backend.ordered("S", V21, "UpdateDynamicSchedule", request, later)
    periods = [*steps((0, -3_000.0), name="setpoint"), *steps((3_598, 11_000.0))]
    told = plans(periods, after_s=58)
    assert answer(backend, "NotifyEVChargingSchedule", told).status == "Accepted"
    periods = [*steps((0, -3_000.0), name="setpoint"), *steps((3_500, 11_000.0))]
    told = plans(periods, after_s=58)
    assert answer(backend, "NotifyEVChargingSchedule", told).status == "Rejected"
