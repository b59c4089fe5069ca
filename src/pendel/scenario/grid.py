"""Rows of prices, series, market and co2 spread over the steps of the horizon.

Rules (contract, "Time"): a row holds until the next; the spacing is a multiple of the step up to
60 min and may change where the new spacing then continues (60 to 15 min); one longer distance
between rows of the finer spacing is a gap; the last row holds as long as the spacing before it;
rows outside the horizon are ignored. Rows up to 60 min outside are still looked at, as evidence of
the spacing and because the row before the start may hold into the horizon.

Readings where the contract leaves room (docs/decisions/0010-reading-scenarios.md): a single longer
distance at the very begin or end passes only as one full hour that begins on the hour; a lone row
holds one step.
"""

from dataclasses import dataclass

import numpy as np

from pendel.clock import format_utc
from pendel.scenario.columns import Horizon
from pendel.scenario.findings import FileFindings
from pendel.scenario.parse import UNKNOWN_US
from pendel.units import SECONDS_PER_HOUR, BoolArray, FloatArray, IntArray

US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """How rows cover the steps. source [T]: window cell whose row holds in a step, -1 = none;
    hold [W]: steps for which the row in a cell holds (0 = no row); gaps: (cell of the row after
    the gap, cell of the row before it), in window cells."""

    source: IntArray
    hold: IntArray
    gaps: tuple[tuple[int, int], ...]


class Window:
    """Dense cells of one table: groups [G] (sites) by steps from 60 min before the horizon to
    60 min after it [W]. Memory is only touched where rows lie."""

    def __init__(self, horizon: Horizon, groups: int, names: tuple[str, ...]) -> None:
        self.horizon = horizon
        self.margin = SECONDS_PER_HOUR // horizon.step_s
        self.width = horizon.steps + 2 * self.margin
        self.line = np.zeros((groups, self.width), dtype=np.int32)
        self.value = {name: np.zeros((groups, self.width)) for name in names}

    def fill(
        self,
        group: IntArray,
        time_us: IntArray,
        lines: IntArray,
        values: dict[str, FloatArray],
        found: FileFindings,
    ) -> None:
        """Put a batch of rows [n] into its cells; refuses times off the grid and double rows.

        Rows with a bad value take their place too, so that they do not look like gaps."""
        step_us = self.horizon.step_s * US_PER_S
        begin_us = (self.horizon.start_s - SECONDS_PER_HOUR) * US_PER_S
        cell, rest = np.divmod(time_us - begin_us, step_us)
        inside = (time_us != UNKNOWN_US) & (group >= 0) & (cell >= 0) & (cell < self.width)
        off_grid = inside & (rest != 0)
        if off_grid.any():
            minutes = self.horizon.step_s // 60
            found.add_where(
                off_grid,
                lines,
                "time_utc",
                lambda row: f"{time_text(int(time_us[row]))} is off the grid of the steps",
                f"multiples of {minutes} min",
            )
            inside &= ~off_grid
        whole = bool(inside.all())
        flat = (group * self.width + cell) if whole else (group * self.width + cell)[inside]
        row_lines = lines if whole else lines[inside]
        flat_line = self.line.reshape(-1)
        before = flat_line[flat]
        flat_line[flat[::-1]] = row_lines[::-1]  # of rows in one cell the first stays
        double = (before != 0) | (flat_line[flat] != row_lines)
        if double.any():
            times = time_us if whole else time_us[inside]
            found.add_where(
                double,
                row_lines,
                "time_utc",
                lambda row: f"{time_text(int(times[row]))} is there twice",
                "one row per time and site",
            )
        for name, target in self.value.items():
            target.reshape(-1)[flat] = values[name] if whole else values[name][inside]

    def groups_present(self) -> IntArray:
        """Groups with at least one row in the window."""
        return np.flatnonzero(self.line.any(axis=1))

    def by_pattern(self, groups: IntArray) -> list[IntArray]:
        """The groups, put together where their rows lie in the same cells."""
        seen: dict[bytes, list[int]] = {}
        for group in groups:
            seen.setdefault(np.packbits(self.line[group] != 0).tobytes(), []).append(int(group))
        return [np.array(members, dtype=np.int64) for members in seen.values()]

    def spread(
        self, group: int, blocks: bool = False, fallback_hold: IntArray | None = None
    ) -> Spread:
        """How the rows of a group cover the horizon.

        blocks: distances over 60 min are no gaps (another row covers them); a lone row then holds
        as long as the row of fallback_hold [W] in the same cell.
        """
        return spread_rows(
            np.flatnonzero(self.line[group]),
            self.horizon,
            blocks,
            fallback_hold,
        )

    def report(self, members: IntArray, spread: Spread, found: FileFindings, who: str) -> bool:
        """Report gaps and steps not covered for every group; True if all is well."""
        missing = np.flatnonzero(spread.source < 0)
        if not spread.gaps and not len(missing):
            return True
        for group in members:
            rows = self.line[group]
            for after, before in spread.gaps:
                text = (
                    f"gap{who}: no row between {self._cell_time(before)} "
                    f"and {self._cell_time(after)}"
                )
                found.add(int(rows[after]), "time_utc", text, "rows in even spacing up to 60 min")
            if not spread.gaps:
                first = self._cell_time(int(missing[0]) + self.margin)
                end = self.horizon.start_utc
                cells = np.flatnonzero(rows)
                near = cells[max(0, int(np.searchsorted(cells, missing[0] + self.margin)) - 1)]
                found.add(
                    int(rows[near]),
                    "time_utc",
                    f"rows{who} do not cover the horizon: none for {first}",
                    f"{format_utc(end)} to {format_utc(self.horizon.utc_of(self.horizon.steps))}",
                )
        return False

    def _cell_time(self, cell: int) -> str:
        return format_utc(self.horizon.utc_of(cell - self.margin))


def time_text(time_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC."""
    text = str(np.datetime64(time_us, "us"))
    return text.removesuffix(".000000") + "Z"


def spread_rows(
    cells: IntArray, horizon: Horizon, blocks: bool, fallback_hold: IntArray | None
) -> Spread:
    """Spread rows at the given window cells (sorted) over the horizon; see the module text."""
    margin = SECONDS_PER_HOUR // horizon.step_s
    width = horizon.steps + 2 * margin
    source = np.full(width, -1, dtype=np.int64)
    hold_of = np.zeros(width, dtype=np.int64)
    count = len(cells)
    if count == 0:
        return Spread(source[margin : margin + horizon.steps], hold_of, ())
    distance = np.diff(cells)
    broken = distance > margin
    odd = _odd_distances(distance, cells, horizon, margin)
    end = margin + horizon.steps
    crosses_end = (cells[:-1] < end) & (cells[1:] >= end)
    relevant = (cells[1:] > margin) & (cells[:-1] < end) & ~crosses_end
    refused = relevant & (odd if blocks else odd | broken)
    gaps = tuple((int(cells[i + 1]), int(cells[i])) for i in np.flatnonzero(refused))
    ends_block = np.append(broken | (odd & ~relevant), True)
    hold = np.append(distance, 0)
    for i in np.flatnonzero(ends_block):
        if i > 0 and not ends_block[i - 1]:
            hold[i] = distance[i - 1]
        elif fallback_hold is not None and fallback_hold[cells[i]]:
            hold[i] = fallback_hold[cells[i]]
        else:
            hold[i] = 1
    room = np.append(distance, width - cells[-1])
    hold = np.minimum(hold, room)
    offsets = np.arange(int(hold.sum())) - np.repeat(np.cumsum(hold) - hold, hold)
    source[np.repeat(cells, hold) + offsets] = np.repeat(cells, hold)
    hold_of[cells] = hold
    return Spread(source[margin:end], hold_of, gaps)


def _odd_distances(distance: IntArray, cells: IntArray, horizon: Horizon, margin: int) -> BoolArray:
    """Distances (up to 60 min) that stand alone where a new spacing would have to continue."""
    count = len(distance)
    odd = np.zeros(count, dtype=np.bool_)
    if count < 2:
        return odd
    change = distance[1:] != distance[:-1]
    alone = np.append(True, change) & np.append(change, True)
    following = np.append(distance[1:], distance[-2])
    previous = np.append(distance[1], distance[:-1])
    longer = alone & (distance <= margin) & ((distance > previous) | (distance > following))
    # At either end a full hour may be all that is seen of a change between 60 and 15 min.
    begin_s = horizon.start_s + (cells[:-1] - margin) * horizon.step_s
    full_hour = (distance == margin) & (begin_s % SECONDS_PER_HOUR == 0)
    longer[0] &= not full_hour[0]
    longer[-1] &= not full_hour[-1]
    if distance[0] < distance[1]:
        longer[0] = False
    # At the end a single shorter distance continues in the last row.
    if distance[-1] < distance[-2]:
        longer[-1] = False
    # Alone, shorter than both neighbours, which are themselves in order: does not continue.
    neighbour = np.zeros(count, dtype=np.bool_)
    neighbour[1:] |= longer[:-1]
    neighbour[:-1] |= longer[1:]
    inner = np.zeros(count, dtype=np.bool_)
    inner[1:-1] = True
    shorter = alone & inner & (distance < previous) & (distance < following) & ~neighbour
    return np.asarray(longer | shorter, dtype=np.bool_)
