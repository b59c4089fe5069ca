"""The warranty budget is a limit and is shown: never overdrawn, per local month and year."""

from datetime import UTC, datetime

import numpy as np
import pytest

from pendel.control.warranty import WarrantyBook, WarrantyBudget

STEP_S = 900
CAR = np.array(["car"])


def seconds(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())


def test_energy_budget_is_used_up_exactly() -> None:
    book = WarrantyBook({"car": WarrantyBudget(month_kwh=6.0)})
    now_s, given = seconds(2025, 3, 3), 0.0
    for step in range(6):
        limit = book.discharge_limit_kw(CAR, np.array([11.0]), now_s + step * STEP_S, STEP_S)
        book.record(CAR, -limit, now_s + step * STEP_S, STEP_S)
        given += float(limit[0]) * 0.25
    assert given == pytest.approx(6.0)
    left = book.left("car", now_s)
    assert left.month_kwh == pytest.approx(0.0)
    assert not left.open
    assert left.year_kwh == float("inf")


def test_hours_count_only_while_discharging_and_close_the_year() -> None:
    book = WarrantyBook({"car": WarrantyBudget(year_h=0.5)})
    now_s = seconds(2025, 3, 3)
    book.record(CAR, np.array([7.0]), now_s, STEP_S)
    assert book.left("car", now_s).year_h == 0.5
    book.record(CAR, np.array([-1.0]), now_s, STEP_S)
    book.record(CAR, np.array([-1.0]), now_s, STEP_S)
    assert book.discharge_limit_kw(CAR, np.array([11.0]), now_s, STEP_S)[0] == 0.0
    next_year_s = seconds(2026, 1, 1)
    assert book.discharge_limit_kw(CAR, np.array([11.0]), next_year_s, STEP_S)[0] == 11.0


def test_a_new_local_month_opens_the_month_budget_only() -> None:
    book = WarrantyBook({"car": WarrantyBudget(month_kwh=1.0, year_kwh=1.5)}, "Europe/Berlin")
    book.record(CAR, np.array([-4.0]), seconds(2025, 3, 31, 21, 30), STEP_S)
    assert not book.left("car", seconds(2025, 3, 31, 21, 45)).open
    in_april_s = seconds(2025, 3, 31, 22, 0)  # 00:00 local
    assert book.left("car", in_april_s).month_kwh == 1.0
    limit = book.discharge_limit_kw(CAR, np.array([11.0]), in_april_s, STEP_S)
    assert limit[0] == pytest.approx(0.5 / 0.25)


def test_cars_without_budget_are_free() -> None:
    book = WarrantyBook({"car": WarrantyBudget(month_kwh=0.0)})
    both = np.array(["car", "other"])
    limit = book.discharge_limit_kw(both, np.array([11.0, 11.0]), seconds(2025, 1, 1), STEP_S)
    assert limit.tolist() == [0.0, 11.0]
