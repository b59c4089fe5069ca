"""Simulated runs as settlement sees them: what each site would have paid under each strategy.

The counterfactual of a statement: the same quarter hours, the same tariff, another strategy.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from pendel.runtime.collecting import SiteSeries, exact
from pendel.runtime.settling import split_site, usage_of_site
from pendel.settle.rulesets import RuleSet
from pendel.sim.result import Run
from pendel.tariff.bill import bill
from pendel.tariff.exact import NANO
from pendel.tariff.model import Tariff
from pendel.units import QUARTER_HOUR_S, FloatArray

MICRO = 1_000_000


def costs_of_runs(
    runs: Sequence[Run],
    tariff: Tariff,
    case: str,
    rules: RuleSet,
    settled: Mapping[str, SiteSeries],
) -> dict[str, dict[str, Fraction]]:
    """Cost per site and strategy over the quarter hours that were settled, exact, in the currency
    of the tariff. Only runs in quarter hours that hold all of them can be compared."""
    found: dict[str, dict[str, Fraction]] = {}
    for run in runs:
        if run.scenario.horizon.step_s != QUARTER_HOUR_S:
            continue
        for site, site_id in enumerate(run.scenario.sites.site_id):
            wanted = set(settled[str(site_id)].begins) if str(site_id) in settled else set()
            series = series_of_run(run, site)
            if not wanted or not wanted <= series.prices.keys():
                continue
            series.prices = {q: pair for q, pair in series.prices.items() if q in wanted}
            settlement = split_site(series, case, rules, now=0)
            months = bill(tariff, usage_of_site(series, tariff, settlement))
            total = sum((month.total for month in months), Fraction(0))
            found.setdefault(str(site_id), {})[run.strategy] = total
    return found


def series_of_run(run: Run, site: int) -> SiteSeries:
    """Quarter hours of one site of a run, energies rounded to 1e-6 kWh."""
    scenario = run.scenario
    devices = np.concatenate([scenario.sessions.site, scenario.storages.site]) == site
    powers = run.power_kw[devices]
    charged = np.where(powers > 0.0, powers, 0.0).sum(axis=0)
    discharged = np.where(powers < 0.0, -powers, 0.0).sum(axis=0)
    net = run.net_kw[site]
    first = scenario.horizon.start_s // QUARTER_HOUR_S
    row = int(scenario.prices.row[site])
    columns = zip(
        _nano(np.maximum(net, 0.0)),
        _nano(np.maximum(-net, 0.0)),
        _nano(charged),
        _nano(discharged),
        scenario.prices.import_eur_kwh[row].tolist(),
        scenario.prices.export_eur_kwh[row].tolist(),
        strict=True,
    )
    series = SiteSeries(str(scenario.sites.site_id[site]))
    for step, (taken, given, inward, outward, buy, sell) in enumerate(columns):
        series.grid[first + step] = (taken, given)
        series.cars[first + step] = (inward, outward)
        series.prices[first + step] = (exact(buy), exact(sell))
    return series


def _nano(power_kw: FloatArray) -> list[int]:
    """Energies of quarter hours [1e-9 kWh] of mean powers."""
    micro = np.rint(power_kw * (QUARTER_HOUR_S / 3_600 * MICRO)).astype(np.int64)
    return [int(value) * (NANO // MICRO) for value in micro]
