"""Small changes wait, but never at the cost of a limit."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import START
from test_runtime_parts import columns_of

from pendel.control.state import Decision
from pendel.records import Rank, Setpoint
from pendel.runtime.sending import CHANGED_KW, to_send


def order(power_kw: float, minutes: float = 60.0) -> Setpoint:
    return Setpoint(
        id="x", at_utc=START, device_id="d", site_id="s", power_kw=power_kw, requested_kw=0.0,
        rank=Rank.PLAN, reason="", until_utc=START + timedelta(minutes=minutes),
    )  # fmt: skip


_, KNOWN = columns_of(0)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_stands_afterwards_is_inside_what_was_inside(data: st.DataObject) -> None:
    """Whatever is decided inside the limits, the standing orders after sending are too."""
    count = data.draw(st.integers(1, 40))
    site = np.array([data.draw(st.integers(0, 1)) for _ in range(count)])
    old = np.array([data.draw(st.floats(-9, 9)) for _ in range(count)])
    drift = np.array([data.draw(st.floats(-0.08, 0.08)) for _ in range(count)])
    decided = old + drift
    decision = Decision(decided, decided, np.full(count, 4), np.zeros(2))
    sums = np.bincount(site, decided, minlength=2) + KNOWN.load_kw - KNOWN.pv_kw
    slack = np.array([data.draw(st.sampled_from([0.0, 0.01, 5.0])) for _ in range(2)])
    KNOWN.import_limit_kw = np.maximum(sums, 0.0) + slack
    KNOWN.export_limit_kw = np.maximum(-sums, 0.0) + slack
    send = to_send([order(p) for p in old], decision, site, KNOWN, START, 900.0)
    after = np.where(send, decided, old)
    net = np.bincount(site, after, minlength=2) + KNOWN.load_kw - KNOWN.pv_kw
    assert (net <= KNOWN.import_limit_kw + 2e-6).all()
    assert (net >= -KNOWN.export_limit_kw - 2e-6).all()
    assert send[np.abs(drift) >= CHANGED_KW + 1e-9].all()


def test_quiet_when_there_is_room_and_renewed_before_it_runs_out() -> None:
    KNOWN.import_limit_kw, KNOWN.export_limit_kw = np.full(2, 99.0), np.full(2, 99.0)
    site = np.zeros(4, dtype=np.int64)
    decided = np.array([5.01, 5.0, 0.0, 1.0])
    decision = Decision(decided, decided, np.full(4, 4), np.zeros(2))
    standing = [order(5.0), order(5.0, minutes=15.0), order(0.01), None]
    send = to_send(standing, decision, site, KNOWN, START, 900.0)
    assert send.tolist() == [False, True, True, True]


def test_nobody_is_sent_nothing() -> None:
    nothing = np.zeros(0)
    decision = Decision(nothing, nothing, nothing.astype(np.int64), np.zeros(2))
    assert len(to_send([], decision, nothing.astype(np.int64), KNOWN, START, 900.0)) == 0


def test_below_a_feeder_nothing_gets_worse_than_decided() -> None:
    KNOWN.import_limit_kw, KNOWN.export_limit_kw = np.full(2, 99.0), np.full(2, 99.0)
    site = np.array([0, 0, 1])
    old = np.array([5.04, 5.04, 5.04])
    decided = np.array([5.0, 5.0, 5.0])
    decision = Decision(decided, decided, np.full(3, 4), np.zeros(2))
    send = to_send([order(p) for p in old], decision, site, KNOWN, START, 900.0, limits_above=True)
    assert np.where(send, decided, old).sum() == pytest.approx(15.0)
