"""What a car is told of and tells, when, and which schedule it takes (K15, K18)."""

from dataclasses import replace

import pytest
from ev_line import (
    DYNAMIC,
    ISO_2,
    LIMIT_W,
    SCHEDULED,
    SIDES,
    car_of,
    default,
    install,
    levels,
    needs_of,
    pair_of,
    stamp,
    steps,
    told_schedules,
    tx,
)

from pendel.comms.ocpp.release import Version
from pendel.comms.ocpp.station.ev_side import EvSide

# what is told


@pytest.mark.proves(
    "K15.FR.01", "K15.FR.06", "K17.FR.06", "K18.FR.01", "K18.FR.06", "K19.FR.01", "K19.FR.06",
    "Q01.FR.03",
)  # fmt: skip
@pytest.mark.parametrize("is_dc", [False, True])
@pytest.mark.parametrize("name", list(SIDES))
def test_needs_are_those_of_the_protocol(name: str, is_dc: bool) -> None:
    pair = pair_of(is_dc=is_dc)
    pair.plug(car_of(SIDES[name]))
    (told,) = pair.backend.payloads("NotifyEVChargingNeeds")
    need = told["chargingNeeds"]
    kinds = [kind for kind in ("acChargingParameters", "dcChargingParameters",
                               "v2xChargingParameters") if kind in need]  # fmt: skip
    assert told["evseId"] == 1 and told["maxScheduleTuples"] == 96
    if name == "-2":
        assert kinds == ["dcChargingParameters" if is_dc else "acChargingParameters"]
        assert "controlMode" not in need
        assert need["requestedEnergyTransfer"] == ("DC" if is_dc else "AC_three_phase")
        return
    mode = "DC_BPT" if is_dc else "AC_BPT"
    assert kinds == ["v2xChargingParameters"]
    assert need["requestedEnergyTransfer"] == mode == need["availableEnergyTransfer"][0]
    dynamic = name == "-20 dynamic"
    assert need["controlMode"] == ("DynamicControl" if dynamic else "ScheduledControl")
    assert need["mobilityNeedsMode"] == ("EVCC_SECC" if dynamic else "EVCC")


@pytest.mark.proves("K15.FR.16", "K18.FR.16", "K19.FR.12")
@pytest.mark.parametrize("name", list(SIDES))
def test_the_token_is_told_before_the_needs(name: str) -> None:
    pair = pair_of()
    pair.plug(car_of(SIDES[name]))
    place = pair.backend.actions().index("NotifyEVChargingNeeds")
    before = [p for a, p in pair.backend.told[:place] if a == "TransactionEvent"]
    assert any(event.get("idToken", {}).get("idToken") == "TAG1" for event in before)


@pytest.mark.proves("Q01.FR.02")
def test_the_vehicle_id_goes_with_the_token() -> None:
    """With the event that first carries the token, the Started one where that came before."""
    told = {"additionalIdToken": "WMI0001", "type": "EVCCID"}
    pair = pair_of()
    pair.plug(car_of(DYNAMIC))
    authorize = pair.backend.payloads("Authorize")[0]["idToken"]
    assert authorize["additionalInfo"] == [told]
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.run(5)
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.run(5)
    tokens = [e for e in pair.backend.payloads("TransactionEvent") if "idToken" in e]
    assert tokens[-1]["eventType"] == "Started"
    assert all(event["idToken"]["additionalInfo"] == [told] for event in tokens)
    plain = pair_of()
    plain.plug(car_of(ISO_2))
    assert "additionalInfo" not in plain.backend.payloads("Authorize")[0]["idToken"]


def test_an_energy_offer_says_what_giving_back_costs() -> None:
    pair = pair_of()
    pair.plug(car_of(replace(SCHEDULED, offers_energy=True)))
    offer = needs_of(pair)[0]["evEnergyOffer"]
    (entry,) = offer["evPowerSchedule"]["evPowerScheduleEntries"]
    assert entry["power"] == -11_000
    assert entry["power"] * entry["duration"] / 3600 == pytest.approx(-12_000 * 0.92, rel=1e-3)


# time: accepted, late, never


@pytest.mark.parametrize(
    ("status", "side", "waits"),
    [
        ("Accepted", "-2", True),
        ("Accepted", "-20 scheduled", True),
        ("Accepted", "-20 dynamic", True),
        ("Processing", "-2", False),
        ("Processing", "-20 dynamic", False),
        ("NoChargingProfile", "-20 scheduled", False),
        ("NoChargingProfile", "-20 dynamic", False),
        ("Rejected", "-2", False),
    ],
)
@pytest.mark.proves("K18.FR.15", "K19.FR.11")
def test_a_promised_profile_is_waited_for_and_else_the_default_holds(
    status: str, side: str, waits: bool
) -> None:
    pair = pair_of()
    default(pair)
    pair.backend.needs_status = status
    pair.plug(car_of(SIDES[side]))
    evse = pair.station.evses[1]
    session = pair.station.dialect.session(evse)
    assert session is not None
    if waits:
        for second in range(1, 58):
            pair.run(1, step_s=1.0)
            assert pair.power_kw == 0.0, second
            assert session.ongoing(pair.now_s) == (second - 1) // 2
        assert pair.backend.payloads("TransactionEvent")[-1]["transactionInfo"][
            "chargingState"] == "EVConnected"  # fmt: skip
    pair.run(2, step_s=1.0)
    assert pair.power_kw == LIMIT_W / 1000
    assert told_schedules(pair) == []  # no schedule of a TxProfile was taken
    assert evse.export_wh == 0.0


@pytest.mark.parametrize("name", list(SIDES))
def test_a_profile_in_time_ends_the_wait_at_once(name: str) -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(SIDES[name]))
    pair.run(20)
    assert pair.power_kw == 0.0
    assert install(pair, tx(pair, (0, 5_000.0))).status == "Accepted"
    pair.run(1)
    assert pair.power_kw == 5.0
    assert [told["selectedChargingScheduleId"] for told in told_schedules(pair)] == [7]


@pytest.mark.proves(
    "K15.FR.20",
    "K17.FR.17",
    "K18.FR.21",
    "K19.FR.14",
    "K20.FR.05",
    "K15.FR.15",
    "K17.FR.15",
    "K18.FR.15",
    "K19.FR.11",
)
@pytest.mark.parametrize("name", list(SIDES))
def test_needs_of_an_offline_time_carry_their_own_time(name: str) -> None:
    pair = pair_of()
    default(pair)
    pair.cut()
    pair.run(5)
    plugged_s = pair.now_s
    pair.plug(car_of(SIDES[name]))
    pair.run(600)
    assert pair.power_kw == LIMIT_W / 1000  # K15.FR.15: within the default
    pair.connect()
    pair.run(1)
    (told,) = pair.backend.payloads("NotifyEVChargingNeeds")
    assert told["timestamp"] == stamp(plugged_s)
    pair.cut()
    changed_s = pair.now_s
    pair.station.dialect.renegotiate(1, pair.now_s, target_kwh=55.0)
    pair.run(100)
    assert pair.power_kw == LIMIT_W / 1000
    pair.connect()
    pair.run(1)
    assert pair.backend.payloads("NotifyEVChargingNeeds")[-1]["timestamp"] == stamp(changed_s)


@pytest.mark.proves("K15.FR.17", "K18.FR.17", "K19.FR.13")
@pytest.mark.parametrize("name", list(SIDES))
def test_a_profile_before_the_needs_is_too_early(name: str) -> None:
    pair = pair_of()
    pair.plug(car_of(SIDES[name], id_token=""))
    answer = install(pair, tx(pair, (0, 5_000.0)))
    assert (answer.status, answer.statusInfo.reasonCode) == ("Rejected", "InvalidMessageSeq")
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.pump()
    assert len(needs_of(pair)) == 1
    assert install(pair, tx(pair, (0, 5_000.0))).status == "Accepted"


@pytest.mark.parametrize("name", list(SIDES))
def test_a_lenient_station_takes_an_early_profile_and_does_not_wait_for_another(name: str) -> None:
    pair = pair_of(takes_early_profiles=True)
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(SIDES[name], id_token=""))
    assert install(pair, tx(pair, (0, 5_000.0))).status == "Accepted"
    pair.run(1)
    assert pair.power_kw == 0.0
    pair.station.show_card(1, "TAG1", pair.now_s)
    pair.pump()
    pair.run(1)
    assert pair.power_kw == 5.0


# what the car takes


@pytest.mark.proves(
    "K15.FR.10", "K15.FR.19", "K15.FR.21", "K16.FR.05", "K16.FR.13", "K16.FR.14", "K17.FR.10",
    "K17.FR.16", "K17.FR.18", "K18.FR.10", "K18.FR.19",
)  # fmt: skip
@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("side", [ISO_2, SCHEDULED], ids=["-2", "-20"])
def test_what_the_car_took_is_told(side: EvSide, tells: bool) -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(replace(side, tells_profile=tells), charge_max_kw=6.0))
    for count, limit in enumerate((8_000.0, 3_000.0), start=1):  # the second: K16, renegotiated
        install(pair, tx(pair, (0, limit), (1800, 2_000.0), schedule={"id": 70 + count}))
        told = told_schedules(pair)[-1]
        assert len(told_schedules(pair)) == count
        assert told["selectedChargingScheduleId"] == 70 + count
        periods = told["chargingSchedule"]["chargingSchedulePeriod"]
        drawn = min(limit, 6_000.0) if tells else limit
        assert [(p["startPeriod"], p["limit"]) for p in periods] == [(0, drawn), (1800, 2_000.0)]
        assert len(needs_of(pair)) == 1
    pair.station.dialect.renegotiate(1, pair.now_s)  # K17: begun by the car
    pair.run(1)
    install(pair, tx(pair, (0, 2_500.0), schedule={"id": 75}))
    assert told_schedules(pair)[-1]["selectedChargingScheduleId"] == 75


@pytest.mark.proves("K15.FR.09", "K16.FR.04", "K17.FR.09", "K18.FR.09")
@pytest.mark.parametrize("side", [ISO_2, SCHEDULED], ids=["-2", "-20"])
def test_a_profile_beyond_the_offer_is_seen_and_never_drawn(side: EvSide) -> None:
    pair = pair_of()
    pair.backend.needs_status, pair.backend.schedule_status = "Accepted", "Rejected"
    pair.plug(car_of(replace(side, overdraw_w=1_500.0)))
    for limit in (5_000.0, 3_000.0):
        install(pair, tx(pair, (0, limit)))
        (period,) = told_schedules(pair)[-1]["chargingSchedule"]["chargingSchedulePeriod"]
        assert period["limit"] == limit + 1_500.0
        assert "leaves its offer" in pair.station.log[-1]
        pair.run(60)
        assert pair.power_kw == limit / 1000
    good = pair_of()
    good.backend.needs_status = "Accepted"
    good.plug(car_of(side))
    install(good, tx(good, (0, 5_000.0)))
    assert not [line for line in good.station.log if "offer" in line]


@pytest.mark.proves("K15.FR.14", "K16.FR.10", "K17.FR.14", "K18.FR.14", "K18.FR.20")
@pytest.mark.parametrize("answer", ["Accepted", "Rejected"])
def test_prices_move_the_car_and_its_schedule_moves_the_composite(answer: str) -> None:
    """Dear now, cheap in an hour: 5 kWh are taken then, and the composite says so once the
    backend accepted it."""
    pair = pair_of()
    pair.backend.needs_status, pair.backend.schedule_status = "Accepted", answer
    pair.plug(car_of(ISO_2, energy_kwh=44.0, target_kwh=48.6))
    tariff = levels((0, 3), (3600, 1), (7200, 2))
    install(pair, tx(pair, (0, 10_000.0), schedule={"salesTariff": tariff}))
    session = pair.station.dialect.session(pair.station.evses[1])
    assert session is not None
    assert [(s.start_s, s.price) for s in session.given[0].steps] == [
        (0.0, 3.0), (3600.0, 1.0), (7200.0, 2.0)]  # fmt: skip
    (told,) = told_schedules(pair)
    periods = told["chargingSchedule"]["chargingSchedulePeriod"]
    assert [p["startPeriod"] for p in periods] == [0, 3600, 7200]
    assert [p["limit"] for p in periods] == [0.0, 10_000.0, 0.0]
    order = {"evseId": 1, "duration": 7200}
    composite = pair.ask("GetCompositeSchedule", order).schedule.chargingSchedulePeriod
    wanted = [(0, 0.0), (3600, 10_000.0)] if answer == "Accepted" else [(0, 10_000.0)]
    assert [(p.startPeriod, p.limit) for p in composite] == wanted
    pair.run(3500)
    assert pair.power_kw == 0.0
    pair.run(200)
    assert pair.power_kw == 10.0
    pair.run(7200)
    assert pair.station.evses[1].import_wh == pytest.approx(5_000.0, rel=0.01)


@pytest.mark.parametrize(
    ("takes", "prices", "chosen"),
    [
        ("cheapest", (3, 1, 2), 72),
        ("cheapest", (1, 2, 3), 71),
        ("cheapest", (None, None, None), 71),
        ("first", (3, 1, 2), 71),
    ],
)
@pytest.mark.parametrize("side", [ISO_2, SCHEDULED], ids=["-2", "-20"])
def test_one_of_three_schedules_is_taken_and_obeyed(
    side: EvSide, takes: str, prices: tuple[int | None, ...], chosen: int
) -> None:
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(replace(side, takes=takes)))
    profile = tx(pair, (0, 7_000.0))
    (one,) = profile["chargingSchedule"]
    profile["chargingSchedule"] = []
    for number, level in enumerate(prices):
        limit = 7_000.0 - 1_000.0 * number
        more = {} if level is None else {"salesTariff": levels((0, level))}
        profile["chargingSchedule"].append(
            one | {"id": 71 + number, "chargingSchedulePeriod": steps((0, limit))} | more
        )
    assert install(pair, profile).status == "Accepted"
    pair.run(1)
    assert told_schedules(pair)[-1]["selectedChargingScheduleId"] == chosen
    assert pair.power_kw == 7.0 - (chosen - 71)


def test_schedules_of_two_stack_levels_go_together_by_their_place() -> None:
    """Errata 2025-09, K15.FR.22 and K18.FR.24: first with first, second with second."""
    pair = pair_of()
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(replace(ISO_2, takes="first")))
    for number, level, seconds, watts in ((5, 1, 86_400, (3_000, 2_000)), (6, 2, 600, (9_000,))):
        profile = tx(pair, (0, 0.0), number=number)
        (one,) = profile["chargingSchedule"]
        profile["stackLevel"] = level
        profile["chargingSchedule"] = [
            one | {"id": 10 * number + i, "duration": seconds,
                   "chargingSchedulePeriod": steps((0, float(w)))}
            for i, w in enumerate(watts)
        ]  # fmt: skip
        assert install(pair, profile).status == "Accepted"
    evse = pair.station.evses[1]
    assert evse.car is not None
    offers = pair.station.dialect.offers(evse, evse.car, pair.now_s)
    found = [[(s.start_s, s.high_w) for s in offer.steps[:2]] for offer in offers]
    assert found == [[(0.0, 9_000.0), (600.0, 3_000.0)], [(0.0, 9_000.0), (600.0, 2_000.0)]]


def test_a_station_of_201_tells_the_schedule_without_what_it_does_not_know() -> None:
    pair = pair_of(Version.V201)
    pair.backend.needs_status = "Accepted"
    pair.plug(car_of(ISO_2))
    (told,) = pair.backend.payloads("NotifyEVChargingNeeds")
    assert set(told) == {"evseId", "maxScheduleTuples", "chargingNeeds"}
    install(pair, tx(pair, (0, 5_000.0)))
    (told,) = told_schedules(pair)
    assert set(told) == {"evseId", "timeBase", "chargingSchedule"}
    assert told["chargingSchedule"]["id"] == 7
