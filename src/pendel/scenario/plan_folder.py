"""Reads a result folder of `pendel plan` back: for the independent verifier and for `--warm`.

Shares no code with planners; the tables are those of the contract ("Result folder").
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pendel.scenario import parse
from pendel.scenario.columns import Horizon, Scenario
from pendel.scenario.findings import FileFindings, Findings
from pendel.scenario.grid import US_PER_S, time_text
from pendel.scenario.results import SUMMARY
from pendel.scenario.tables import Column, Table
from pendel.scenario.typed import TableReader, TypedBatch
from pendel.units import BoolArray, FloatArray, IntArray

SUMMARY_BYTES_MAX = 16 << 20


def _table(stem: str, texts: tuple[str, ...], time: str, *numbers: str) -> Table:
    columns = [Column(time, "time", True), *(Column(name, "text", True) for name in texts)]
    columns += [Column(name, "number", default=float("nan")) for name in numbers]
    return Table(stem, tuple(columns))


PLAN = _table("plan", ("id",), "time_utc", "power_kw", "energy_kwh")
PLAN_SITES = _table("sites", ("site_id",), "time_utc", "net_kw", "curtailed_kw")
PLAN_RESERVES = _table("reserves", ("product",), "from_utc", "kw")


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """A written plan over a scenario: N sessions, then B storages; S sites, T steps, K blocks.

    power_kw [N + B, T]: 0 where rows were left out; energy_kwh [N + B, T], net_kw, curtailed_kw
    [S, T], reserve_kw [K]: NaN where not written. summary: `summary.json` as it stands.
    foreign_rows: rows about ids or times the scenario does not have (only when not strict).
    """

    power_kw: FloatArray
    energy_kwh: FloatArray
    net_kw: FloatArray
    curtailed_kw: FloatArray
    reserve_kw: FloatArray
    summary: dict[str, object]
    foreign_rows: int


def read_plan_folder(folder: Path, scenario: Scenario, strict: bool = True) -> PlanFolder:
    """Read a plan back. Raises InputError with every problem.

    strict: ids and times that the scenario does not have are problems (verifier); otherwise they
    are left out and counted (`--warm`: a plan of nearly the same scenario).
    """
    findings = Findings()
    horizon, foreign = scenario.horizon, 0
    readers = [TableReader(folder, t, findings, None) for t in (PLAN, PLAN_SITES, PLAN_RESERVES)]
    summary = _summary(folder, findings.of(SUMMARY))
    for reader in readers[:2]:
        if not reader.present:
            reader.found.add(0, "", "file is missing", "a table that `pendel plan` wrote")
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    sites = scenario.sites.site_id.tolist()
    shape, site_shape = (len(ids), horizon.steps), (len(sites), horizon.steps)
    values = [np.full(size, np.nan) for size in (shape, shape, site_shape, site_shape)]
    values[0][:] = 0.0
    for reader, key, names, fields, targets in (
        (readers[0], "id", ids, ("power_kw", "energy_kwh"), values[:2]),
        (readers[1], "site_id", sites, ("net_kw", "curtailed_kw"), values[2:]),
    ):
        index_of = {name: index for index, name in enumerate(names)}
        written = np.zeros((len(names), horizon.steps), dtype=np.bool_)
        for batch in reader.typed():
            found = reader.found
            row, step, good = _places(batch, key, index_of, horizon, found if strict else None)
            foreign += int(np.count_nonzero(batch.ok & ~good))
            _check_double(batch, row, step, good, written, found)
            for field, target in zip(fields, targets, strict=True):
                target[row[good], step[good]] = batch.number[field][good]
    reserve_kw, foreign_blocks = _reserves(readers[2], scenario, strict)
    findings.raise_if_any()
    values[0][np.isnan(values[0])] = 0.0
    return PlanFolder(
        power_kw=values[0],
        energy_kwh=values[1],
        net_kw=values[2],
        curtailed_kw=values[3],
        reserve_kw=reserve_kw,
        summary=summary,
        foreign_rows=foreign + foreign_blocks,
    )


def _places(
    batch: TypedBatch,
    key: str,
    index_of: dict[str, int],
    horizon: Horizon,
    found: FileFindings | None,
) -> tuple[IntArray, IntArray, BoolArray]:
    """Row and step of each line, and which lines have both."""
    row = parse.codes(batch.text[key], index_of) if key in batch.text else _none(batch)
    time_us = batch.time_us["time_utc"]
    step, rest = np.divmod(time_us - horizon.start_s * US_PER_S, horizon.step_s * US_PER_S)
    known = row >= 0
    timely = (rest == 0) & (step >= 0) & (step < horizon.steps)
    if found is not None:
        texts = batch.texts(key)
        found.add_where(
            batch.ok & ~known,
            batch.lines,
            key,
            lambda i: f"{parse.shown(str(texts[i]))} is not in the scenario",
        )
        found.add_where(
            batch.ok & ~timely,
            batch.lines,
            "time_utc",
            lambda i: f"{time_text(int(time_us[i]))} is not a step of the scenario",
        )
    return row, step, np.asarray(batch.ok & known & timely, dtype=np.bool_)


def _none(batch: TypedBatch) -> IntArray:
    return np.full(len(batch), -1, dtype=np.int64)


def _check_double(
    batch: TypedBatch,
    row: IntArray,
    step: IntArray,
    good: BoolArray,
    written: BoolArray,
    found: FileFindings,
) -> None:
    """A time and id that come twice are problems; `written` remembers what was there."""
    rows = np.flatnonzero(good)
    flat = row[rows] * written.shape[1] + step[rows]
    _unique, first = np.unique(flat, return_index=True)
    again = np.ones(len(rows), dtype=np.bool_)
    again[first] = False
    again |= written.reshape(-1)[flat]
    written.reshape(-1)[flat] = True
    found.add_where(again, batch.lines[rows], "time_utc", lambda _: "row is there twice", "once")


def _reserves(reader: TableReader, scenario: Scenario, strict: bool) -> tuple[FloatArray, int]:
    blocks, horizon = scenario.reserves, scenario.horizon
    count = 0 if blocks is None else len(blocks)
    kw, foreign = np.full(count, np.nan), 0
    index_of: dict[tuple[int, str], int] = {}
    if blocks is not None:
        begins = (horizon.start_s + horizon.step_s * blocks.from_step).tolist()
        keys = zip(begins, blocks.product.tolist(), strict=True)
        index_of = {key: index for index, key in enumerate(keys)}
    for batch in reader.typed():
        products = batch.texts("product").tolist()
        for i in np.flatnonzero(batch.ok):
            begin, rest = divmod(int(batch.time_us["from_utc"][i]), US_PER_S)
            block = index_of.get((begin, products[i])) if rest == 0 else None
            if block is not None:
                kw[block] = batch.number["kw"][i]
            elif strict:
                text = f"block {parse.shown(products[i])} is not in the scenario"
                reader.found.add(int(batch.lines[i]), "product", text)
            else:
                foreign += 1
    return kw, foreign


def _summary(folder: Path, found: FileFindings) -> dict[str, object]:
    try:
        with (folder / SUMMARY).open("rb") as file:
            raw = file.read(SUMMARY_BYTES_MAX)
        return msgspec.json.decode(raw, type=dict[str, object])
    except OSError as error:
        found.add(0, "", f"cannot be read: {error.strerror or error}", "a result of `pendel plan`")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found.add(1, "", f"not valid JSON: {error}")
    return {}
