"""Meters: what registers say, what they may not say, and what is kept of it."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest

from pendel.settle.meter import (
    IntervalReading,
    MeterType,
    Quality,
    Readings,
    RegisterReading,
    intervals_of,
    snap,
    sum_of,
)
from pendel.settle.mscons import read_mscons
from pendel.settle.obis import parse_obis
from pendel.settle.reading_file import read_csv
from pendel.settle.series import (
    Light,
    agrees,
    build,
    edited,
    fill_from_day,
    fill_short_gap,
    traffic_light,
)
from pendel.tariff.exact import NANO
from pendel.tariff.periods import Period, first_quarter, utc_of_quarter

IMPORT, EXPORT = parse_obis("1-0:1.8.0"), parse_obis("1-0:2.8.0")
PROFILE = parse_obis("1-1:1.29.0")
HOME = MeterType(digits=6, fuse_w=17_000)
BEGIN = first_quarter(date(2026, 10, 1))


def at(quarter: int, kwh: str, meter: str = "m1", line: int = 0, shift_s: int = 0):
    when = utc_of_quarter(BEGIN + quarter) + timedelta(seconds=shift_s)
    return RegisterReading(meter, IMPORT, when, int(Fraction(kwh) * NANO), line=line)


def energies(found: Readings) -> dict[int, Fraction]:
    return {i.begin - BEGIN: Fraction(i.value_nano, NANO) for i in found.intervals}


def test_direction_is_the_register() -> None:
    for code, direction in (
        ("1-0:1.8.0", "import"),
        ("1-0:2.8.0*255", "export"),
        ("1-1:2.29.0", "export"),
        ("01-00:B2.08.00*FF", "import"),
        ("01-00:C0.08.00*FF", "export"),
        ("01-00:C3.08.00*FF", "export"),
    ):
        obis = parse_obis(code)
        assert obis is not None
        assert obis.direction == direction
    for code in ("1-0:16.7.0", "1-0:1.7.0", "1-0:3.8.0", "1.8.0", "", "1-0:A1.8.0"):
        assert parse_obis(code) is None


def test_readings_become_quarter_hours_in_any_order() -> None:
    readings = [at(0, "10"), at(1, "10.5"), at(2, "12"), at(3, "12")]
    Random(1).shuffle(readings)
    found = intervals_of(readings, HOME, "p")
    assert energies(found) == {0: Fraction(1, 2), 1: Fraction(3, 2), 2: 0}
    assert found.refused == []


def test_rollover_is_taken_when_the_fuse_can_carry_it() -> None:
    found = intervals_of([at(0, "999998"), at(1, "0.5")], HOME, "p")
    assert energies(found) == {0: Fraction("2.5")}
    found = intervals_of([at(0, "999990"), at(1, "0.5", line=7)], HOME, "p")
    assert energies(found) == {}
    assert [refused.line for refused in found.refused] == [7]


def test_falling_and_jumping_registers_are_refused_and_the_series_goes_on() -> None:
    readings = [at(0, "10"), at(1, "9", line=2), at(2, "900", line=3), at(3, "11"), at(4, "12")]
    found = intervals_of(readings, HOME, "p")
    assert [refused.line for refused in found.refused] == [2, 3]
    assert energies(found) == {3: 1}


def test_exchange_closes_one_meter_and_opens_the_next() -> None:
    readings = [at(0, "5000"), at(1, "5001"), at(1, "0.2", "m2"), at(2, "0.7", "m2")]
    assert energies(intervals_of(readings, HOME, "p")) == {0: 1, 1: Fraction(1, 2)}


def test_duplicates_count_once_and_contradictions_are_refused() -> None:
    readings = [at(0, "1"), at(1, "2", line=2), at(1, "2", line=3), at(1, "3", line=4)]
    found = intervals_of(readings, HOME, "p")
    assert energies(found) == {0: 1}
    assert [refused.line for refused in found.refused] == [4]


def test_a_gap_is_not_filled() -> None:
    found = intervals_of([at(0, "1"), at(1, "2"), at(4, "8"), at(5, "9")], HOME, "p")
    assert energies(found) == {0: 1, 4: 1}


def test_clock_shift_within_tolerance_only() -> None:
    found = intervals_of([at(0, "1", shift_s=20), at(1, "2", shift_s=-27)], HOME, "p")
    assert energies(found) == {0: 1}
    found = intervals_of([at(0, "1"), at(1, "2", line=9, shift_s=28)], HOME, "p")
    assert [refused.line for refused in found.refused] == [9]
    assert snap(datetime(2026, 10, 1, 0, 7, tzinfo=UTC)) is None


def test_csv_keeps_every_line_as_reading_or_refusal() -> None:
    lines = [
        "time_utc,meter,obis,value,unit,quality",
        "2026-10-01T00:00:00Z,m1,1-0:1.8.0,10.5,kWh,",
        "2026-10-01T00:00:00Z,m1,1-1:2.29.0,1500,Wh,substitute",
        "2026-10-01T00:00:00Z,m1,1-0:16.7.0,10,kWh,",
        "2026-10-01T00:00:00Z,m1,1-0:1.8.0,10,MWh,",
        "2026-10-01T00:00:00Z,m1,1-0:1.8.0,-1,kWh,",
        "2026-10-01T00:00:00,m1,1-0:1.8.0,1,kWh,",
        "2026-10-01T00:01:00Z,m1,1-1:1.29.0,1,kWh,",
        "2026-10-01T00:00:00Z,m1,1-0:1.8.0,1,kWh,good",
        "short",
    ]
    found = read_csv(lines)
    assert [(r.value_nano, r.quality) for r in found.registers] == [(10_500_000_000, "true")]
    assert [(i.value_nano, i.quality, i.obis.direction) for i in found.intervals] == [
        (1_500_000_000, "substitute", "export")
    ]
    assert [(refused.line, refused.field) for refused in found.refused] == [
        (4, "obis"),
        (5, "unit"),
        (6, "value"),
        (7, "time_utc"),
        (8, "time_utc"),
        (9, "quality"),
        (10, ""),
    ]
    assert read_csv(["time_utc,meter"]).refused[0].line == 1


def mscons(*body: str, count: int | None = None, end: str = "UNZ+1+R'") -> str:
    message = [
        "UNH+1+MSCONS:D:04B:UN:2.5'",
        "BGM+7+B+9'",
        "LOC+172+DE00012345678900000000000000012345'",
        *body,
    ]
    count = len(message) + 1 if count is None else count
    head = "UNB+UNOC:3+SENDER:500+RECEIVER:500+261002:0400+R'"
    return "\n".join([head, *message, f"UNT+{count}+1'", end])


def value(hour: int, kwh: str, kind: str = "220", minute: int = 0) -> tuple[str, ...]:
    begin = datetime(2026, 10, 1, hour, minute, tzinfo=UTC)
    stamps = [(begin + timedelta(minutes=m)).strftime("%Y%m%d%H%M") for m in (0, 15)]
    return (
        f"QTY+{kind}:{kwh}:KWH'",
        f"DTM+163:{stamps[0]}?+00:303'",
        f"DTM+164:{stamps[1]}?+00:303'",
    )


REGISTER = "PIA+5+1-1?:1.29.0:SRW'"


def test_mscons_gives_true_values_and_flagged_substitutes() -> None:
    found = read_mscons("UNA:+.? '" + mscons(REGISTER, *value(0, "1.5"), *value(1, "2", "67")))
    assert found.refused == []
    assert [(i.value_nano, i.quality, i.obis.direction) for i in found.intervals] == [
        (1_500_000_000, Quality.TRUE, "import"),
        (2_000_000_000, Quality.SUBSTITUTE, "import"),
    ]
    assert found.intervals[0].begin == BEGIN + 8
    assert found.intervals[0].point == "DE00012345678900000000000000012345"


def test_the_same_month_from_csv_and_mscons_is_the_same_series() -> None:
    rows = [(hour, f"{hour}.25") for hour in range(24)]
    message = mscons(REGISTER, *(part for hour, kwh in rows for part in value(hour, kwh)))
    point = "DE00012345678900000000000000012345"
    lines = ["time_utc,meter,obis,value,unit"] + [
        f"2026-10-01T{hour:02d}:00:00Z,{point},1-1:1.29.0,{kwh},kWh" for hour, kwh in rows
    ]
    first, _ = build(read_mscons(message).intervals)
    second, _ = build(read_csv(lines).intervals)
    assert first[point, "import"].version == second[point, "import"].version


def test_mscons_refuses_values_with_their_reason() -> None:
    bad_unit = ("QTY+220:1:KWT'", *value(1, "1")[1:])
    hour = ("QTY+220:1:KWH'", "DTM+163:202610010000?+00:303'", "DTM+164:202610010100?+00:303'")
    body = [
        *value(0, "1"),
        "PIA+5+1-1?:9.29.0:SRW'",
        *value(1, "1"),
        REGISTER,
        *value(2, "1", "99"),
        *value(3, "-1"),
        *bad_unit,
        *hour,
        "QTY+220:1:KWH'",
        *value(4, "1"),
    ]
    found = read_mscons(mscons(*body))
    assert [refused.field for refused in found.refused] == [
        "QTY",
        "PIA",
        "QTY",
        "QTY",
        "QTY",
        "QTY",
        "DTM",
        "QTY",
    ]
    assert [interval.begin for interval in found.intervals] == [BEGIN + 8 + 16]


def test_truncated_mscons_gives_nothing() -> None:
    whole = mscons(REGISTER, *value(0, "1"), *value(1, "2"))
    assert len(read_mscons(whole).intervals) == 2
    for text in (
        whole[: whole.index("UNZ")],
        whole[: whole.index("UNT")],
        whole[:-1],
        mscons(REGISTER, *value(0, "1"), count=99),
        mscons(REGISTER, *value(0, "1"), end="UNZ+2+R'"),
        whole.replace("MSCONS", "UTILMD"),
    ):
        found = read_mscons(text)
        assert found.intervals == []
        assert found.refused


def interval(quarter: int, kwh: int, quality: Quality = Quality.TRUE, line: int = 0):
    return IntervalReading("p", PROFILE, BEGIN + quarter, kwh * NANO, quality, line)


def test_true_values_replace_substitutes_and_contradictions_are_refused() -> None:
    readings = [
        interval(0, 1, Quality.SUBSTITUTE),
        interval(0, 2),
        interval(1, 3),
        interval(1, 4, line=9),
        interval(1, 5, Quality.SUBSTITUTE),
        interval(2, 99, line=10),
    ]
    built, refused = build(readings, fuse_w=100_000)
    series = built["p", "import"]
    assert [value.nano // NANO for value in series.values.values()] == [2, 3]
    assert [entry.line for entry in refused] == [9, 10]


def test_filling_keeps_the_sum_and_leaves_a_flag() -> None:
    built, _ = build([interval(0, 1), interval(4, 1)])
    series = built["p", "import"]
    total = 10 * NANO + 1
    filled = fill_short_gap(series, BEGIN + 1, BEGIN + 4, total)
    within = filled.within(Period("x", BEGIN + 1, BEGIN + 4))
    assert sum(value.nano for value in within.values()) == total
    assert agrees(total, list(within.values()))
    assert {value.quality for value in within.values()} == {Quality.SUBSTITUTE}
    assert sorted(filled.usable()) == [BEGIN, BEGIN + 4]
    assert filled.version != series.version
    assert len(series.values) == 2
    with pytest.raises(ValueError, match="not short"):
        fill_short_gap(series, BEGIN + 5, BEGIN + 14, 1)
    with pytest.raises(ValueError, match="not a gap"):
        fill_short_gap(series, BEGIN, BEGIN + 3, 1)


def test_long_gaps_copy_a_day_and_edits_are_flagged() -> None:
    built, _ = build([interval(0, 1), interval(1, 2)])
    series = built["p", "import"]
    copied = fill_from_day(series, BEGIN + 96, BEGIN + 99, 96)
    assert copied.values[BEGIN + 97].quality is Quality.ESTIMATED
    assert BEGIN + 98 not in copied.values
    changed = edited(series, {BEGIN: 5 * NANO})
    assert changed.values[BEGIN].quality is Quality.SUBSTITUTE
    assert series.values[BEGIN].nano == NANO
    with pytest.raises(ValueError, match="never negative"):
        edited(series, {BEGIN: -1})


def test_traffic_light() -> None:
    colours = [traffic_light(1000, device) for device in (1000, 980, 1021, 1050, 949, 0)]
    green, yellow, red = Light.GREEN, Light.YELLOW, Light.RED
    assert colours == [green, green, yellow, yellow, red, red]
    assert traffic_light(0, 0) is green
    assert traffic_light(0, 1) is red


def test_register_difference_equals_the_sum_of_its_quarters() -> None:
    random = Random(7)
    total, readings = Fraction(999_990), []
    for quarter in range(200):
        readings.append(at(quarter, str(total % 1_000_000)))
        total += Fraction(random.randrange(4 * NANO), NANO)
    found = intervals_of(readings, HOME, "p")
    assert len(found.intervals) == 199
    last = Fraction(readings[-1].value_nano, NANO)
    assert Fraction(sum_of(found.intervals), NANO) == (last - 999_990) % 1_000_000
