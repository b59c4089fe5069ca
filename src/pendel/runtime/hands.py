"""Who may let a car discharge: the prices of now, or an operator's hand."""

from collections.abc import Sequence
from datetime import datetime

from pendel.control.state import FleetState
from pendel.records import Signal
from pendel.runtime.area import AreaSpec, PriceRows
from pendel.runtime.state import PriceTable, SessionView, State


def standing_hand(state: State, device_id: str, now_utc: datetime) -> Signal | None:
    """The operator's order for a device that still stands, or None."""
    hand = state.hands.get(device_id)
    if hand is None:
        return None
    until_s = hand.detail.get("until_s")
    stands = isinstance(until_s, float) and now_utc.timestamp() < until_s
    return hand if stands else None


def charge_only(
    columns: FleetState,
    views: Sequence[SessionView],
    spec: AreaSpec,
    rows: PriceRows,
    state: State,
    now_utc: datetime,
) -> None:
    """Where the price of now is not known nothing is discharged but by an operator's hand."""
    step_s = int(now_utc.timestamp()) // spec.step_s * spec.step_s
    known = [step_s in state.prices.get(rows.names[row], PriceTable()).eur_kwh for row in rows.row]
    for unit, view in enumerate(views):
        blind = not known[int(columns.site[unit])]
        if blind and standing_hand(state, view.device_id, now_utc) is None:
            columns.discharge_max_kw[unit] = 0.0
