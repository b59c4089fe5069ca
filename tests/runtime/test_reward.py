"""What MiSpeL rewards reaches the plan: export earns relief, the house none, and months end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_world import Real, real
from small_world import START, small_scenario

from pendel.config import parse_toml
from pendel.records import Delivery, Setpoint, Signal
from pendel.runtime.area_tick import Ports
from pendel.runtime.collecting import collect
from pendel.runtime.contracts import Agreed, Contracts
from pendel.runtime.month_book import MonthBook, MonthSums, SiteMonths, month_of
from pendel.runtime.reward import Reward, Worth, expected_sums, worth_in
from pendel.runtime.state import PRICE
from pendel.runtime.tariff_prices import TariffPrices
from pendel.scenario.columns import Scenario
from pendel.settle.rulesets import NEWEST
from pendel.settle.split import Sums, month_formulas, sum_quarters
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff
from pendel.tariff.periods import quarter_of
from pendel.tariff.read import read_tariff

ZERO, ONE = Fraction(0), Fraction(1)
TARIFF = """
name = "flat with relief"
currency = "EUR"
timezone = "Europe/Berlin"
[[component]]
name = "energy"
kind = "flat_energy"
valid_from = 2026-01-01
ct_kwh = "30"
[[component]]
name = "feed-in"
kind = "export_energy"
direction = "export"
valid_from = 2026-01-01
ct_kwh = "FEED_IN"
[[component]]
name = "relief"
kind = "levy_relief"
valid_from = 2026-01-01
ct_kwh = "30"
"""
MARCH_ENDS = datetime(2026, 3, 31, 22, 0, tzinfo=UTC)


def tariff(feed_in: int) -> Tariff:
    text = TARIFF.replace("FEED_IN", str(feed_in))
    found, problems = read_tariff(parse_toml(text, "tariff.toml"))
    assert found is not None, problems
    return found


def months(running: tuple[int, int, int, int], before: tuple[int, int, int, int]) -> SiteMonths:
    """Z1NB, Z1NE, Z2V, Z2E per quarter hour [kWh] of March so far and of February."""

    def sums(flows: tuple[int, int, int, int], quarters: int, day: datetime) -> MonthSums:
        drawn, fed, inward, outward = (value * NANO * quarters for value in flows)
        number = quarter_of(day)
        assert number is not None
        found = Sums(
            n3=drawn, n4=fed, n5=inward, n6=outward, n9=min(drawn, inward), n11=min(fed, outward)
        )
        return MonthSums(month_of(number), found, quarters)

    march = sums(running, 31 * 96 - 8, datetime(2026, 3, 10, tzinfo=UTC))
    return SiteMonths(march, sums(before, 28 * 96, datetime(2026, 2, 10, tzinfo=UTC)))


MORE_CHARGED, MORE_GIVEN = (5, 2, 4, 2), (5, 4, 2, 4)


@pytest.mark.parametrize("case", ["A2", "A3"])
def test_one_more_kwh_is_worth_what_the_rule_says(case: str) -> None:
    march = month_of(quarter_of(MARCH_ENDS) - 1)  # type: ignore[operator]
    usual = worth_in(months(MORE_CHARGED, MORE_CHARGED), march, case)
    assert usual == Worth(charged=ZERO, exported=ONE)
    # (12): what was fed back beyond what was charged earns nothing, until more is charged
    foreign = worth_in(months(MORE_GIVEN, MORE_GIVEN), march, case)
    assert foreign == Worth(charged=ONE, exported=ZERO)


def test_the_simple_cases() -> None:
    march = month_of(quarter_of(MARCH_ENDS) - 1)  # type: ignore[operator]
    usual = months(MORE_CHARGED, MORE_CHARGED)
    assert worth_in(usual, march, "A11") == Worth(charged=ZERO, exported=ONE)
    # A1 relieves the losses too: all that is charged from the grid, whenever it comes back
    assert worth_in(usual, march, "A1") == Worth(charged=ONE, exported=ZERO)
    fed_more = months((1, 2, 4, 2), (1, 2, 4, 2))
    assert worth_in(fed_more, march, "A11") == Worth(charged=ONE, exported=ZERO)
    assert worth_in(usual, march, "A10") == Worth(charged=ONE, exported=ZERO)
    assert worth_in(SiteMonths(), march, "A2") == Worth(charged=ZERO, exported=ONE)


@given(st.lists(st.tuples(*[st.integers(0, 20 * NANO)] * 4), min_size=96, max_size=200))
@settings(max_examples=30, deadline=None)
def test_the_book_sums_what_settlement_sums(flows: list[tuple[int, int, int, int]]) -> None:
    book, begin = MonthBook(), datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    for place, row in enumerate(flows):
        for is_grid in (True, False):
            pair = row[:2] if is_grid else row[2:]
            texts = [f"{value // NANO}.{value % NANO:09d}" for value in pair]
            record = Delivery(
                id="",
                at_utc=begin,
                device_id="",
                site_id="home",
                begin_utc=begin + timedelta(minutes=15 * place),
                import_kwh=texts[0],
                export_kwh=texts[1],
            )
            book.take(record, is_grid)
    site = book.sites["home"]
    assert site.running is not None and site.running.quarters == len(flows)
    names = ("z1nb", "z1ne", "z2v", "z2e")
    columns = {name: [row[i] for row in flows] for i, name in enumerate(names)}
    whole = sum_quarters("A2", {**columns, "aw_ct_kwh": [0] * len(flows)})
    assert site.running.sums == replace(whole, n26=(0, 0), n29=(0, 0))
    expected = expected_sums(site, site.running.period)
    assert expected is not None
    share = Fraction(site.running.period.quarters, len(flows))
    assert expected.n3 == pytest.approx(whole.n3 * share, abs=1.0)
    assert month_formulas("A2", expected, NEWEST)["(20)"] is not None


def at_the_end_of_march(load_kw: float = 0.0, export_kw: float = 11.0) -> Scenario:
    """The small world two hours before the local month ends; the first car may go far down."""
    plain = small_scenario()
    begin = MARCH_ENDS - timedelta(hours=2)
    shift = int((begin - START).total_seconds())
    cars = plain.sessions
    stated = np.where(cars.stated_depart_s > 0, cars.stated_depart_s + shift, cars.stated_depart_s)
    return replace(
        plain,
        horizon=replace(plain.horizon, start_utc=begin),
        series=replace(plain.series, load_kw=plain.series.load_kw * 0 + load_kw),
        sites=replace(plain.sites, export_limit_kw=np.full(2, export_kw)),
        sessions=replace(
            cars,
            arrive_s=cars.arrive_s + shift,
            depart_s=cars.depart_s + shift,
            stated_depart_s=stated,
            energy_target_kwh=np.minimum(cars.energy_target_kwh, cars.energy_arrive_kwh),
        ),
    )


def run(
    scenario: Scenario, site: SiteMonths, case: str | None, hours: float, feed_in: int = 24
) -> Real:
    """The real controller on that scenario, with the tariff's prices and MiSpeL's reward."""
    world = real(scenario=scenario, start_utc=scenario.horizon.start_utc)
    state = world.runtime.state
    state.months.sites = {"home": site, "shop": site}
    cases = {} if case is None else dict.fromkeys(("home", "shop"), case)
    agreed = {s: (Agreed(s, None, tariff(feed_in), {s: ONE}),) for s in ("home", "shop")}
    zones = dict.fromkeys(agreed, "Europe/Berlin")
    prices = TariffPrices(Contracts(agreed, cases, zones), None, Reward(cases, state.months))
    world.area.ports = Ports(world.world, world.world, world.world, prices)
    world.area.book._asked_step_s = -1
    now = scenario.horizon.start_utc
    while now < scenario.horizon.start_utc + timedelta(hours=hours):
        world.runtime.tick(now)
        now += timedelta(minutes=15)
    return world


def ordered_kw(world: Real, before: bool) -> list[float]:
    """Powers ordered of the shop's car before or after the local month ends."""
    return [
        record.power_kw
        for _, record in world.runtime.store.replay()
        if isinstance(record, Setpoint)
        and record.device_id == "shop-cp01/1"
        and (record.at_utc < MARCH_ENDS) is before
    ]


def test_relief_makes_export_pay_and_nothing_else() -> None:
    usual = months(MORE_CHARGED, MORE_CHARGED)
    without = run(at_the_end_of_march(), usual, None, 4.0)
    rewarded = run(at_the_end_of_march(), usual, "A2", 4.0)
    # buying at 30 ct to sell at 24 ct never pays; with 30 ct of relief it does
    (least, most), (least_rewarded, most_rewarded) = (
        (min(powers), max(powers))
        for powers in (ordered_kw(w, True) + ordered_kw(w, False) for w in (without, rewarded))
    )
    assert least > -0.1 and most < 0.1
    assert least_rewarded < -3.0 and most_rewarded > 3.0


def test_the_plan_charges_before_the_month_ends_where_that_is_what_earns() -> None:
    """March gave back more than it charged, April will be usual: what is charged before midnight
    lifts March's quantity, what is given back after it April's."""
    site = months(MORE_GIVEN, MORE_CHARGED)
    usual = run(at_the_end_of_march(), months(MORE_CHARGED, MORE_CHARGED), "A2", 4.5, feed_in=0)
    assert max(map(abs, ordered_kw(usual, True) + ordered_kw(usual, False))) < 0.1
    world = run(at_the_end_of_march(), site, "A2", 4.5, feed_in=0)
    before, after = ordered_kw(world, True), ordered_kw(world, False)
    assert max(before) > 3.0 and min(before) > -0.1
    assert min(after) < -3.0 and max(after) < 0.1
    told = [
        r for _, r in world.runtime.store.replay() if isinstance(r, Signal) and r.topic == PRICE
    ]
    first = next(r for r in told if "reward_import_eur_kwh" in r.detail)
    adders_in, adders_out = (
        first.detail["reward_import_eur_kwh"],
        first.detail["reward_export_eur_kwh"],
    )
    assert isinstance(adders_in, list) and isinstance(adders_out, list)
    assert (adders_in[0], adders_out[0]) == pytest.approx((-0.3, 0.0))
    assert (adders_in[9], adders_out[9]) == pytest.approx((0.0, 0.3))


def test_discharge_into_the_house_earns_no_relief() -> None:
    usual = months(MORE_CHARGED, MORE_CHARGED)
    house = at_the_end_of_march(load_kw=4.0, export_kw=0.0)
    runs = [run(house, usual, case, 2.0) for case in (None, "A2")]
    plans = [ordered_kw(world, True) for world in runs]
    assert len(plans[0]) > 2 and plans[0] == pytest.approx(plans[1])


def test_a_bill_leaves_the_reward_out() -> None:
    world = run(at_the_end_of_march(), months(MORE_CHARGED, MORE_CHARGED), "A2", 1.5)
    series = collect(world.runtime.store.replay()).sites["home"]
    later = [pair for quarter, pair in series.prices.items()]
    assert (Fraction(30, 100), Fraction(24, 100)) in later
    assert all(pair[1] < Fraction(40, 100) for pair in later)
    table = world.runtime.state.prices["small"]
    assert max(pair[1] for pair in table.eur_kwh.values()) == pytest.approx(0.54)
