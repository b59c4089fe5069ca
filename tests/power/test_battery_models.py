"""The models "lfp" and "nmc" against the voltage limit of the cells they are taken from.

Largest current a cell takes at its highest voltage: I = (V_max - OCV(soc)) / R(soc), and gives at
its lowest: I = (OCV - V_min) / R; as a rate of the nominal capacity [1/h].
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from pendel.power.battery import MODELS, Batteries, instant_limits_kw, limits_of

CELLS = Path(__file__).parents[1] / "cases" / "power" / "cells"
CASES = {
    "lfp": ("lfp_sony_us26650.csv", 3.6, 2.0, 3.0),
    "nmc": ("nmc_sanyo_ur18650e.csv", 4.2, 3.0, 2.05),
}


def cell(file: str) -> dict[str, np.ndarray]:
    with (CELLS / file).open() as handle:
        rows = list(csv.DictReader(handle))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", sorted(CASES))
def test_model_stays_below_the_voltage_limit_of_its_cell(name: str) -> None:
    file, highest_v, lowest_v, ampere_hours = CASES[name]
    table = cell(file)
    cell_in = (highest_v - table["ocv_v"]) / table["charge_ohm_25c"] / ampere_hours
    cell_out = (table["ocv_v"] - lowest_v) / table["discharge_ohm_25c"] / ampere_hours
    soc = np.clip(table["soc"], 1e-9, 1.0 - 1e-9)
    packs = Batteries(*(np.full(len(soc), x) for x in (1.0, 1e6, 1e6, 1.0, 1.0)))
    charge, discharge = instant_limits_kw(soc, packs, limits_of([name] * len(soc), packs))
    # within 0.1 C of the cell everywhere (LFP at exactly full and empty: OCV meets the limit)
    inside = (table["soc"] >= 0.01) & (table["soc"] <= 0.99)
    assert np.all(charge[inside] <= cell_in[inside] + 0.1)
    assert np.all(discharge[inside] <= cell_out[inside] + 0.1)
    assert np.all(charge <= cell_in + 0.1)


def test_ten_degrees_follow_the_measured_resistance() -> None:
    table = cell(CASES["lfp"][0])
    at_ten = MODELS["lfp"].temperature_c.index(10.0)
    ratio_in = np.median(table["charge_ohm_25c"] / table["charge_ohm_10c"])
    ratio_out = np.median(table["discharge_ohm_25c"] / table["discharge_ohm_10c"])
    assert MODELS["lfp"].charge_factor[at_ten] == pytest.approx(ratio_in, abs=0.03)
    assert MODELS["lfp"].discharge_factor[at_ten] == pytest.approx(ratio_out, abs=0.05)
