"""Bills: published vectors, an oracle that walks every quarter hour, plan and bill in agreement."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendel.config import parse_toml
from pendel.tariff.arrays import price_arrays
from pendel.tariff.bill import MonthBill, bill
from pendel.tariff.check import columns_needed, usage_problems
from pendel.tariff.exact import NANO, rounded_text
from pendel.tariff.grid_fee_14a import module_1_gross_eur, module_1_net_eur, module_2_ct_kwh
from pendel.tariff.model import Kind, Tariff, Usage
from pendel.tariff.periods import first_quarter, quarter_of, utc_of_quarter
from pendel.tariff.read import read_tariff

HEAD = 'name = "t"\ncurrency = "EUR"\ntimezone = "Europe/Berlin"\n'
BERLIN = ZoneInfo("Europe/Berlin")


def tariff_of(*components: str, head: str = HEAD) -> Tariff:
    text = head + "".join(f"[[component]]\n{part}\n" for part in components)
    tariff, problems = read_tariff(parse_toml(text, "t.toml"))
    assert tariff is not None, [str(problem) for problem in problems]
    return tariff


def component(name: str, kind: str, more: str = "", valid_from: str = "2025-01-01") -> str:
    return f'name = "{name}"\nkind = "{kind}"\nvalid_from = {valid_from}\n{more}'


def quarters(day: date, count: int) -> list[int]:
    begin = first_quarter(day)
    return list(range(begin, begin + count))


def hours_plugged(month: date, hours: int) -> Usage:
    begins = quarters(month, hours * 4)
    return Usage(begins, plugged_nano=[15 * NANO] * len(begins))


def amounts(bills: list[MonthBill]) -> dict[str, dict[str, Fraction]]:
    return {b.period.key: {line.component.name: line.amount for line in b.lines} for b in bills}


BONUS = component("b", "plug_in_bonus", 'eur_h = "0.24"\ncap_eur_month = "60"')


@pytest.mark.parametrize("hours, eur", [(250, 60), (300, 60), (100, 24), (0, 0)])
def test_bmw_bonus_and_its_monthly_cap(hours: int, eur: int) -> None:
    """Vector T4 (BMW/E.ON terms): 0.24 EUR/h, cap 60 EUR a month."""
    usage = hours_plugged(date(2026, 3, 1), max(hours, 1))
    if not hours:
        usage = Usage(usage.begins, plugged_nano=[0] * len(usage.begins))
    line = bill(tariff_of(BONUS), usage)[0].lines[0]
    assert (line.amount, line.quantity, line.unit) == (-eur, hours, "h")


def test_bmw_bonus_of_a_year() -> None:
    """Vector T4: 12 months of 250 h give 720 EUR, which is also the cap of the year."""
    begins: list[int] = []
    for month in range(1, 13):
        begins += quarters(date(2026, month, 1), 251 * 4)
    usage = Usage(begins, plugged_nano=[15 * NANO] * len(begins))
    assert sum(b.total for b in bill(tariff_of(BONUS), usage)) == -720
    capped = tariff_of(BONUS + '\ncap_eur_year = "100"')
    assert [b.total for b in bill(capped, usage)] == [-60, -40, *[0] * 10]


def test_bonus_counts_minutes() -> None:
    usage = Usage(quarters(date(2026, 3, 1), 2), plugged_nano=[7 * NANO, 15 * NANO])
    assert bill(tariff_of(BONUS), usage)[0].total == -Fraction(22, 60) * Fraction("0.24")


def test_modules_of_14a() -> None:
    """Vector T6: price sheets EWW Wanfried (AP 8.62) and Braunschweig (AP 9.36), 2025."""
    assert module_1_net_eur(Fraction("8.62")) == Fraction("131.88")
    assert module_1_gross_eur(Fraction("8.62")) == Fraction("156.94")
    assert module_2_ct_kwh(Fraction("8.62")) == Fraction("3.45")
    assert module_1_net_eur(Fraction("9.36")) == Fraction("137.43")
    assert module_2_ct_kwh(Fraction("9.36")) == Fraction("3.74")


def test_fees_by_day_month_and_year() -> None:
    fees = [
        component("d", "fixed_fee", 'eur_day = "0.5"'),
        component("m", "fixed_fee", 'eur_month = "10"'),
        component("y", "fixed_fee", 'eur_year = "-131.88"'),
        component("late", "fixed_fee", 'eur_month = "30"', valid_from="2026-06-16"),
    ]
    begins = [first_quarter(date(2026, month, 5)) for month in range(1, 13)]
    found = amounts(bill(tariff_of(*fees), Usage(begins)))
    assert found["2026-02"] == {"d": 14, "m": 10, "y": Fraction("-131.88") * 28 / 365}
    assert sum(month["y"] for month in found.values()) == Fraction("-131.88")
    assert found["2026-06"]["late"] == 15
    assert "late" not in found["2026-05"]


def test_demand_charge_with_ratchet() -> None:
    demand = 'eur_kw_month = "10"\nratchet = "0.8"\nratchet_months = "2"\nminimum_kw = "4"'
    begins = [first_quarter(date(2026, month, 5)) for month in range(1, 6)]
    kwh = [25, 5, 5, 5, Fraction(1, 2)]
    usage = Usage(begins, import_nano=[int(value * NANO) for value in kwh])
    bills = bill(tariff_of(component("d", "demand_charge", demand)), usage)
    assert [b.lines[0].quantity for b in bills] == [100, 80, 80, 20, 16]


def test_yearly_demand_charge_bills_the_maximum_once() -> None:
    begins = [first_quarter(date(2026, month, 5)) for month in range(1, 5)]
    usage = Usage(begins, import_nano=[n * NANO for n in (5, 10, 7, 12)])
    demand = component("d", "demand_charge", 'direction = "import"\neur_kw_year = "100"')
    assert [b.total for b in bill(tariff_of(demand), usage)] == [2000, 2000, 0, 800]


def test_net_metering_rolls_over_and_trues_up() -> None:
    net = component("n", "net_metering", 'ct_kwh = "20"\ntrue_up_ct_kwh = "5"\nperiod_months = "3"')
    begins = [first_quarter(date(2026, month, 5)) for month in range(1, 5)]
    usage = Usage(begins, [10 * NANO, 10 * NANO, 10 * NANO, 0], [30 * NANO, 0, 0, NANO])
    lines = [
        [(line.quantity, line.unit, line.amount) for line in b.lines]
        for b in bill(tariff_of(net), usage)
    ]
    assert lines == [
        [(10, "kWh", -2)],
        [(10, "kWh", -2)],
        [(10, "kWh", -2)],
        [(0, "kWh", 0)],
    ]
    more = Usage(begins, [10 * NANO] * 4, [50 * NANO, 0, 0, NANO])
    third = bill(tariff_of(net), more)[2].lines
    assert [(line.quantity, line.unit) for line in third] == [(10, "kWh"), (20, "kWh true-up")]
    assert third[1].amount == -1


def test_session_bonus_needs_enough_long_sessions() -> None:
    """E.ON Home & Drive pattern: 20 EUR for at least 6 sessions of 4 h between 00 and 06 h."""
    more = 'eur_month = "20"\nsessions_min = "6"\nsession_h_min = "4"\n[[component.window]]\n'
    tariff = tariff_of(component("s", "session_bonus", more + 'from = "00:00"\nuntil = "06:00"'))
    for long_nights, expected in ((6, -20), (5, 0)):
        begins = [q for day in range(1, 9) for q in quarters(date(2026, 3, day), 28)]
        plugged = [
            15 * NANO if place // 28 < long_nights or place % 28 < 15 else 0
            for place in range(len(begins))
        ]
        line = bill(tariff, Usage(begins, plugged_nano=plugged))[0].lines[0]
        assert (line.quantity, line.amount) == (long_nights, expected)


def test_free_allowance_needs_plug_hours() -> None:
    free = component(
        "f", "free_allowance", 'kwh_month = "10"\nct_kwh = "20"\nplugged_h_month = "2"'
    )
    begins = quarters(date(2026, 3, 1), 12)
    for quarters_plugged, expected in ((8, -2), (7, 0)):
        plugged = [15 * NANO] * quarters_plugged + [0] * (12 - quarters_plugged)
        usage = Usage(begins, [NANO] * 12, plugged_nano=plugged)
        assert bill(tariff_of(free), usage)[0].total == expected


def test_relief_penalty_cap_and_floor() -> None:
    tariff = tariff_of(
        component("relief", "levy_relief", 'ct_kwh = "2.946"'),
        component("missed", "penalty", 'eur_event = "25"'),
        component("cap", "cap", 'eur_month = "60"\nof = ["missed"]'),
        component("floor", "floor", 'eur_month = "1"\nof = ["relief"]'),
        component("vat", "tax", 'percent = "19"\nof = ["relief"]'),
    )
    begins = quarters(date(2026, 3, 1), 4)
    assert [f.field for f in usage_problems(tariff, Usage(begins))] == ["quantity", "quantity"]
    quantities = {("2026-03", "relief"): Fraction(100), ("2026-03", "missed"): Fraction(3)}
    usage = Usage(begins, quantities=quantities)
    assert usage_problems(tariff, usage) == []
    found = amounts(bill(tariff, usage))["2026-03"]
    assert found["relief"] == Fraction("-2.946")
    assert (found["missed"], found["cap"]) == (75, -15)
    assert found["floor"] == Fraction("3.946")
    assert found["vat"] == Fraction("-2.946") * Fraction("0.19")


def test_capacity_payment_and_export() -> None:
    tariff = tariff_of(
        component("c", "capacity_payment", 'eur_mw_h = "9"\nkw = "11"\nscore = "0.5"'),
        component("e", "export_energy", 'aw_ct_kwh = "8"\nnegative_price_rule = true'),
        component("l", "levy", 'direction = "export"\nct_kwh = "1"'),
    )
    begins = quarters(date(2026, 3, 1), 4)
    usage = Usage(begins, (), [NANO] * 4, [0, -1, 5, -NANO], [15 * NANO] * 4)
    found = amounts(bill(tariff, usage))["2026-03"]
    assert found["c"] == -Fraction(9 * 11, 2000)
    assert found["e"] == -Fraction(16, 100)
    assert found["l"] == Fraction(4, 100)


DYNAMIC = 'direction = "import"\nfactor = "1.05"\nadder_ct_kwh = "1.5"'


def test_hourly_mean_and_missing_quarters() -> None:
    """Vector T14: the hourly index is the mean of its four quarter prices."""
    tariff = tariff_of(component("d", "dynamic_energy", DYNAMIC + '\nresolution_min = "60"'))
    begins = quarters(date(2026, 3, 1), 4)
    usage = Usage(begins, [0, NANO, 0, 0], (), [n * NANO for n in (100, 50, 20, 30)])
    assert bill(tariff, usage)[0].total == Fraction("1.05") / 20 + Fraction("0.015")
    part = Usage(begins[:3], [0, NANO, 0], (), [NANO] * 3)
    assert [fault.field for fault in usage_problems(tariff, part)] == ["spot_eur_mwh"]


def test_energy_without_a_valid_price_is_found() -> None:
    tariff = tariff_of(
        component("a", "flat_energy", 'ct_kwh = "30"\nvalid_until = 2026-03-01'),
        component("b", "flat_energy", 'ct_kwh = "31"', valid_from="2026-04-01"),
    )
    begins = [first_quarter(date(2026, month, 5)) for month in (2, 3, 4)]
    faults = usage_problems(tariff, Usage(begins, [NANO, NANO, NANO]))
    assert [(fault.row, fault.field) for fault in faults] == [(1, "import_kwh")]
    assert usage_problems(tariff, Usage(begins, [NANO, 0, NANO])) == []


def test_validity_is_local_from_inclusive_until_exclusive() -> None:
    tariff = tariff_of(
        component("e", "flat_energy", 'ct_kwh = "1"\nvalid_until = 2026-03-10'),
        component("e", "flat_energy", 'ct_kwh = "100"', valid_from="2026-03-10"),
    )
    change = quarter_of(datetime(2026, 3, 9, 23, tzinfo=UTC))
    assert change is not None
    for begin, expected in ((change - 1, "0.01"), (change, "1.00")):
        bills = bill(tariff, Usage([begin], [NANO]))
        assert [rounded_text(line.amount, 2) for line in bills[0].lines if line.amount] == [
            expected
        ]


def test_columns_follow_from_the_components() -> None:
    assert columns_needed(tariff_of(BONUS)) == ["plugged_min"]
    assert columns_needed(tariff_of(component("d", "dynamic_energy", DYNAMIC))) == [
        "import_kwh",
        "spot_eur_mwh",
    ]
    assert columns_needed(tariff_of(component("f", "fixed_fee", 'eur_day = "1"'))) == []


TOU = """ct_kwh = "8.62"
holidays = [2026-03-31]
[[component.window]]
from = "22:00"
until = "04:00"
ct_kwh = "3.45"
[[component.window]]
from = "17:00"
until = "19:00"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
months = [1, 2, 3]
ct_kwh = "10.84\""""
LONG = tariff_of(
    component("d", "dynamic_energy", DYNAMIC + '\nfloor_ct_kwh = "-1"\nceiling_ct_kwh = "20"'),
    component("g", "tou_energy", TOU),
    component("l", "levy", 'ct_kwh = "2.651"\nvalid_until = 2026-04-01'),
    component("l", "levy", 'ct_kwh = "2.946"', valid_from="2026-04-01"),
    component("x", "export_energy", 'factor = "0.9"\nnegative_price_rule = true'),
    component("vat", "tax", 'percent = "19"\nof = ["d", "g", "l"]'),
)
ENERGY = st.integers(0, 3 * NANO)
SPOT = st.integers(-50 * NANO, 300 * NANO)
ROWS = st.lists(st.tuples(ENERGY, ENERGY, SPOT), min_size=1, max_size=700)


def walked(rows: list[tuple[int, int, int]], begins: list[int]) -> tuple[Fraction, Fraction]:
    """Import cost gross and export pay, one quarter hour after the other, by hand."""
    cost = pay = Fraction(0)
    for begin, (taken, given_back, spot) in zip(begins, rows, strict=True):
        local = utc_of_quarter(begin).astimezone(BERLIN)
        ct = min(max(Fraction(spot, NANO) / 10 * Fraction("1.05") + Fraction("1.5"), -1), 20)
        workday = local.weekday() < 5 and local.date() != date(2026, 3, 31)
        if local.hour >= 22 or local.hour < 4:
            ct += Fraction("3.45")
        elif 17 <= local.hour < 19 and workday and local.month <= 3:
            ct += Fraction("10.84")
        else:
            ct += Fraction("8.62")
        ct += Fraction("2.651") if local.month < 4 else Fraction("2.946")
        cost += ct / 100 * Fraction("1.19") * Fraction(taken, NANO)
        if spot >= 0:
            pay += Fraction(spot, 1000 * NANO) * Fraction("0.9") * Fraction(given_back, NANO)
    return cost, pay


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_bill_equals_a_walk_and_the_plan_to_the_cent(rows: list[tuple[int, int, int]]) -> None:
    """Across the change to summer time and a month's end; floats of control against the bill."""
    begins = quarters(date(2026, 3, 27), len(rows))
    taken, given_back, spot = (list(column) for column in zip(*rows, strict=True))
    bills = bill(LONG, Usage(begins, taken, given_back, spot))
    cost, pay = walked(rows, begins)
    assert sum(b.total for b in bills) == cost - pay
    begins_utc = [utc_of_quarter(begin) for begin in begins]
    imported, exported = price_arrays(LONG, begins_utc, [Fraction(s, NANO) for s in spot])
    planned = sum(
        float(price) * a / NANO - float(back) * b / NANO
        for price, back, a, b in zip(imported, exported, taken, given_back, strict=True)
    )
    assert rounded_text(Fraction(planned).limit_denominator(10**9), 2) == rounded_text(
        cost - pay, 2
    )


def test_array_times_must_begin_a_quarter_hour() -> None:
    with pytest.raises(ValueError, match="quarter hour"):
        price_arrays(LONG, [datetime(2026, 3, 1, 0, 5, tzinfo=UTC)], [Fraction(1)])


def test_there_are_17_kinds() -> None:
    assert len(Kind) == 17


def test_a_day_of_100_quarter_hours_is_billed_in_its_month() -> None:
    begin = first_quarter(date(2026, 10, 25))
    count = first_quarter(date(2026, 10, 26)) - begin
    usage = Usage(list(range(begin, begin + count)), [NANO] * count)
    tariff = tariff_of(component("e", "flat_energy", 'ct_kwh = "1"'))
    assert bill(tariff, usage)[0].total == 1
    assert utc_of_quarter(begin) + timedelta(hours=25) == utc_of_quarter(begin + count)
