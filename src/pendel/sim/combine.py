"""Scenarios of one time span put together, and cut to their first steps."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from pendel.errors import require
from pendel.scenario.columns import (
    Feeders,
    History,
    Prices,
    Scenario,
    Series,
    Sessions,
    Sites,
    Storages,
)

Columns = TypeVar("Columns", Sites, Sessions, Storages, Feeders, History)


def combined(scenarios: Sequence[Scenario], name: str) -> Scenario:
    """One scenario with the sites of all; ids must differ, horizons must be equal; the time zone
    is that of the first.

    Limits of portfolios are not taken over (they are of one scenario each). Raises
    InvariantError where horizons differ or an id is there twice.
    """
    first = scenarios[0]
    spans = {(s.horizon.start_utc, s.horizon.steps, s.horizon.step_s) for s in scenarios}
    require(len(spans) == 1, "the horizons are not equal")
    ids = np.concatenate(
        [
            *(s.sites.site_id for s in scenarios),
            *(s.sessions.session_id for s in scenarios),
            *(s.feeders.feeder_id for s in scenarios),
        ]
    )
    require(len(set(ids.tolist())) == len(ids), "an id is there twice")
    site_at = np.cumsum([0, *(len(s.sites) for s in scenarios)])
    feeder_at = np.cumsum([0, *(len(s.feeders) for s in scenarios)])
    row_at = np.cumsum([0, *(len(s.prices.import_eur_kwh) for s in scenarios)])
    sites = [
        replace(s.sites, feeder=_shifted(s.sites.feeder, int(at)))
        for s, at in zip(scenarios, feeder_at, strict=False)
    ]
    feeders = [
        replace(s.feeders, parent=_shifted(s.feeders.parent, int(at)))
        for s, at in zip(scenarios, feeder_at, strict=False)
    ]
    sessions = [
        replace(s.sessions, site=s.sessions.site + at)
        for s, at in zip(scenarios, site_at, strict=False)
    ]
    storages = [
        replace(s.storages, site=s.storages.site + at)
        for s, at in zip(scenarios, site_at, strict=False)
    ]
    prices = [s.prices for s in scenarios]
    return Scenario(
        name=name,
        horizon=first.horizon,
        sites=_joined(sites),
        prices=Prices(
            np.concatenate([p.import_eur_kwh for p in prices]),
            np.concatenate([p.export_eur_kwh for p in prices]),
            np.concatenate([p.row + at for p, at in zip(prices, row_at, strict=False)]),
        ),
        series=Series(
            np.concatenate([s.series.load_kw for s in scenarios]),
            np.concatenate([s.series.pv_kw for s in scenarios]),
        ),
        sessions=_joined(sessions),
        storages=_joined(storages),
        feeders=_joined(feeders),
        co2_g_kwh=first.co2_g_kwh,
        history=_histories(scenarios, site_at),
        ignored_sessions=sum(s.ignored_sessions for s in scenarios),
        notes=tuple(note for s in scenarios for note in s.notes),
    )


def _histories(scenarios: Sequence[Scenario], site_at: np.ndarray) -> History | None:
    """The histories of all, oldest departure first; None where nobody has one."""
    parts = [
        replace(s.history, site=s.history.site + at)
        for s, at in zip(scenarios, site_at, strict=False)
        if s.history is not None
    ]
    if not parts:
        return None
    joined = _joined(parts)
    order = np.argsort(joined.depart_s, kind="stable")
    return History(**{f.name: getattr(joined, f.name)[order] for f in fields(History)})


def first_steps(scenario: Scenario, steps: int) -> Scenario:
    """The first steps of a scenario; sessions beyond are left out and counted, those reaching
    beyond are cut (their target is due at the end)."""
    horizon, sessions = scenario.horizon, scenario.sessions
    steps = min(steps, horizon.steps)
    here = sessions.arrive_step < steps
    kept = Sessions(**{f.name: getattr(sessions, f.name)[here] for f in fields(Sessions)})
    kept = replace(kept, depart_step=np.minimum(kept.depart_step, steps))
    series, prices = scenario.series, scenario.prices
    return replace(
        scenario,
        horizon=replace(horizon, steps=steps),
        sessions=kept,
        series=Series(series.load_kw[:, :steps], series.pv_kw[:, :steps]),
        prices=Prices(
            prices.import_eur_kwh[:, :steps], prices.export_eur_kwh[:, :steps], prices.row
        ),
        co2_g_kwh=None if scenario.co2_g_kwh is None else scenario.co2_g_kwh[:steps],
        ignored_sessions=scenario.ignored_sessions + int((~here).sum()),
    )


def _shifted(index: np.ndarray, by: int) -> np.ndarray:
    """Indexes moved by a number; -1 (none) stays."""
    return np.where(index < 0, index, index + by)


def _joined(parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, one behind the other."""
    kind = type(parts[0])
    return kind(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(kind)}
    )
