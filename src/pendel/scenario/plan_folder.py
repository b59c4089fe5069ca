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
from pendel.scenario.parse import NameCodes
from pendel.scenario.results import SUMMARY
from pendel.scenario.sources import Progress
from pendel.scenario.tables import Column, Table
from pendel.scenario.typed import TableReader, TypedBatch, cell_text
from pendel.scenario.unit_rows import UnitRows, Windows, connected_windows, whole_windows
from pendel.units import BoolArray, FloatArray, IntArray

SUMMARY_BYTES_MAX = 16 << 20
ELSEWHERE_MAX = 1_000_000
"""Rows of units while they are not connected that are remembered, to see doubles among them."""


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

    rows: what it says of each unit while that is connected, power 0 where rows were left out;
    net_kw, curtailed_kw [S, T], reserve_kw [K]: NaN where not written. summary: `summary.json` as
    it stands. foreign_rows: rows about ids or times the scenario does not have (only when not
    strict).
    """

    rows: UnitRows
    net_kw: FloatArray
    curtailed_kw: FloatArray
    reserve_kw: FloatArray
    summary: dict[str, object]
    foreign_rows: int

    @property
    def power_kw(self) -> FloatArray:
        """[N + B, T]: 0 where rows were left out and where nothing is connected. Made anew."""
        return self.rows.windows.dense(self.rows.power_kw, self.net_kw.shape[1], 0.0)

    @property
    def energy_kwh(self) -> FloatArray:
        """[N + B, T]: NaN where not written and where nothing is connected. Made anew."""
        return self.rows.windows.dense(self.rows.energy_kwh, self.net_kw.shape[1], np.nan)


def read_plan_folder(
    folder: Path, scenario: Scenario, strict: bool = True, progress: Progress | None = None
) -> PlanFolder:
    """Read a plan back. Raises InputError with every problem.

    strict: ids and times that the scenario does not have are problems (verifier); otherwise they
    are left out and counted (`--warm`: a plan of nearly the same scenario).
    Memory: 17 bytes for each connected unit and step, whatever order the rows are in.
    """
    findings = Findings()
    horizon = scenario.horizon
    readers = [
        TableReader(folder, t, findings, progress) for t in (PLAN, PLAN_SITES, PLAN_RESERVES)
    ]
    summary = _summary(folder, findings.of(SUMMARY))
    for reader in readers[:2]:
        if not reader.present:
            reader.found.add(0, "", "file is missing", "a table that `pendel plan` wrote")
    ids = scenario.sessions.session_id.tolist() + scenario.storages.storage_id.tolist()
    units = _Target(connected_windows(scenario), horizon, strict, (0.0, np.nan))
    units.read(readers[0], "id", ids, ("power_kw", "energy_kwh"))
    del ids
    sites = _Target(
        whole_windows(len(scenario.sites), horizon.steps), horizon, strict, (np.nan, np.nan)
    )
    sites.read(readers[1], "site_id", scenario.sites.site_id.tolist(), ("net_kw", "curtailed_kw"))
    reserve_kw, foreign_blocks = _reserves(readers[2], scenario, strict)
    findings.raise_if_any()
    power_kw, energy_kwh = units.values
    np.nan_to_num(power_kw, copy=False, nan=0.0)
    shape = (len(scenario.sites), horizon.steps)
    return PlanFolder(
        rows=UnitRows(units.windows, power_kw, energy_kwh, units.outside),
        net_kw=sites.values[0].reshape(shape),
        curtailed_kw=sites.values[1].reshape(shape),
        reserve_kw=reserve_kw,
        summary=summary,
        foreign_rows=units.foreign + sites.foreign + foreign_blocks,
    )


class _Target:
    """Two numbers for each step of each thing, filled from a table."""

    def __init__(
        self, windows: Windows, horizon: Horizon, strict: bool, absent: tuple[float, float]
    ) -> None:
        self.windows, self.horizon, self.strict = windows, horizon, strict
        self.values = tuple(np.full(windows.pairs, value) for value in absent)
        self.written = np.zeros(windows.pairs, dtype=np.bool_)
        self.outside, self.foreign = 0.0, 0
        self._elsewhere: set[tuple[int, int]] = set()

    def read(
        self, reader: TableReader, key: str, names: list[str], fields: tuple[str, str]
    ) -> None:
        """Put all rows of a table in their places; what has none is told or counted."""
        codes = NameCodes({name: index for index, name in enumerate(names)})
        for batch in reader.typed():
            found = reader.found if self.strict else None
            row, step, good = _places(batch, key, codes, self.horizon, found)
            self.foreign += int(np.count_nonzero(batch.ok & ~good))
            lines = batch.lines
            if not good.all():
                row, step, lines = row[good], step[good], lines[good]
            numbers = [batch.number[f] if good.all() else batch.number[f][good] for f in fields]
            place = self.windows.places(row, step)
            if (place < 0).any():
                self._look_outside(row, step, place < 0, numbers[0], lines, reader.found)
                inside = place >= 0
                place, lines = place[inside], lines[inside]
                numbers = [values[inside] for values in numbers]
            self._check_double(place, lines, reader.found)
            for values, target in zip(numbers, self.values, strict=True):
                target[place] = values

    def _check_double(self, place: IntArray, lines: IntArray, found: FileFindings) -> None:
        """A time and id that come twice are problems; `written` remembers what was there."""
        again = self.written[place]
        self.written[place] = True
        if (np.diff(place) <= 0).any():
            _unique, first = np.unique(place, return_index=True)
            more = np.ones(len(place), dtype=np.bool_)
            more[first] = False
            again |= more
        found.add_where(again, lines, "time_utc", lambda _: "row is there twice", "once")

    def _look_outside(
        self,
        row: IntArray,
        step: IntArray,
        outside: BoolArray,
        power_kw: FloatArray,
        lines: IntArray,
        found: FileFindings,
    ) -> None:
        """Rows of units while they are not connected: the largest power, and doubles."""
        power = np.abs(np.nan_to_num(power_kw[outside], nan=0.0))
        self.outside = max(self.outside, float(power.max(initial=0.0)))
        pairs = zip(row[outside].tolist(), step[outside].tolist(), strict=True)
        for line, pair in zip(lines[outside].tolist(), pairs, strict=True):
            if pair in self._elsewhere:
                found.add(line, "time_utc", "row is there twice", "once")
            elif len(self._elsewhere) < ELSEWHERE_MAX:
                self._elsewhere.add(pair)


def _places(
    batch: TypedBatch,
    key: str,
    codes: NameCodes,
    horizon: Horizon,
    found: FileFindings | None,
) -> tuple[IntArray, IntArray, BoolArray]:
    """Row and step of each line, and which lines have both."""
    row = codes.of(batch.text[key]) if key in batch.text else _none(batch)
    time_us = batch.time_us["time_utc"]
    step, rest = np.divmod(time_us - horizon.start_s * US_PER_S, horizon.step_s * US_PER_S)
    known = row >= 0
    timely = (rest == 0) & (step >= 0) & (step < horizon.steps)
    if found is not None:
        found.add_where(
            batch.ok & ~known,
            batch.lines,
            key,
            lambda i: f"{parse.shown(cell_text(batch.text[key], i))} is not in the scenario",
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
