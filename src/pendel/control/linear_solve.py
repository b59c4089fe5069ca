"""HiGHS with one planning model in it: rows compressed, time limit kept, binaries on demand."""

from collections.abc import Callable

import numpy as np

from pendel.control.linear_model import INF, Model
from pendel.units import FloatArray, IntArray

MIP_GAP = 1e-7
FEASIBILITY = 1e-9
MIP_FEASIBILITY = 1e-7
PRICED = 1e-6
"""Reduced costs above this are prices; those of ranks are hours and shares of kWh."""


class Engine:
    """One HiGHS instance with the model in it."""

    def __init__(self, model: Model, remaining_s: Callable[[], float]) -> None:
        import highspy

        self._highs = highspy.Highs()
        self._highspy = highspy
        self._remaining_s = remaining_s
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("mip_rel_gap", MIP_GAP)
        self._highs.setOptionValue("mip_abs_gap", MIP_GAP)
        self._highs.setOptionValue("primal_feasibility_tolerance", FEASIBILITY)
        self.is_mip = False
        self.ranked = False
        self.columns = model.columns
        self.cost = np.concatenate(model.cost)
        self._highs.passModel(self._lp(model))

    def _lp(self, model: Model) -> object:
        """The model as HiGHS wants it: rows compressed."""
        row = np.concatenate(model.entry_row)
        column = np.concatenate(model.entry_column)
        value = np.concatenate(model.entry_value)
        keep = value != 0.0
        row, column, value = row[keep], column[keep], value[keep]
        order = np.lexsort((column, row))
        row, column, value = row[order], column[order], value[order]
        # Coefficients of one cell given in parts are summed.
        if len(row):
            same = (np.diff(row) == 0) & (np.diff(column) == 0)
            begin = np.flatnonzero(np.concatenate([[True], ~same]))
            value = np.add.reduceat(value, begin)
            row, column = row[begin], column[begin]
        lp = self._highspy.HighsLp()
        lp.num_col_, lp.num_row_ = model.columns, model.rows
        lp.col_cost_ = self.cost
        lp.col_lower_ = np.concatenate(model.lower)
        lp.col_upper_ = np.concatenate(model.upper)
        lp.row_lower_ = np.concatenate(model.row_lower)
        lp.row_upper_ = np.concatenate(model.row_upper)
        lp.offset_ = model.offset_eur
        lp.a_matrix_.format_ = self._highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.searchsorted(row, np.arange(model.rows + 1)).astype(np.int32)
        lp.a_matrix_.index_ = column.astype(np.int32)
        lp.a_matrix_.value_ = value
        return lp

    def run(self, solver: str = "choose") -> str:
        """Solve; "optimal", "infeasible" or "stopped".

        A relaxation of a solvable model that HiGHS calls infeasible once binaries are in it
        (tolerances against fixed ranks) is tried again without presolve.
        """
        status = self._run_once(solver)
        if status == "infeasible" and self.is_mip:
            self._highs.setOptionValue("presolve", "off")
            status = self._run_once(solver)
            self._highs.setOptionValue("presolve", "choose")
        return status

    def _run_once(self, solver: str) -> str:
        left = self._remaining_s()
        if left <= 0.0:
            return "stopped"
        if left < INF:
            self._highs.setOptionValue("time_limit", self._highs.getRunTime() + left)
        if not self.is_mip:
            self._highs.setOptionValue("solver", solver)
        self._highs.run()
        status = self._highs.getModelStatus()
        kinds = self._highspy.HighsModelStatus
        if status == kinds.kOptimal:
            return "optimal"
        if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
            return "infeasible"
        return "stopped"

    def values(self) -> FloatArray | None:
        """Column values, or None where there is no feasible point."""
        info = self._highs.getInfo()
        if info.primal_solution_status != 2:
            return None
        return np.asarray(self._highs.getSolution().col_value, dtype=np.float64)

    def objective(self) -> float:
        """Objective of the last run."""
        return float(self._highs.getInfo().objective_function_value)

    def bound(self, optimal: bool) -> float:
        """Proven lower bound of the last run."""
        if self.is_mip:
            return float(self._highs.getInfo().mip_dual_bound)
        return self.objective() if optimal else -INF

    def set_cost(self, columns: IntArray, cost: FloatArray) -> None:
        """Replace the whole objective: cost on the columns, 0 elsewhere."""
        full = np.zeros(self.columns)
        full[columns] = cost
        index = np.arange(self.columns, dtype=np.int32)
        self._highs.changeColsCost(self.columns, index, full)

    def restore_cost(self) -> None:
        """Bring back the objective of the contract."""
        index = np.arange(self.columns, dtype=np.int32)
        self._highs.changeColsCost(self.columns, index, self.cost)

    def open_columns(self, columns: IntArray) -> None:
        """Let slacks be positive."""
        count = len(columns)
        self._highs.changeColsBounds(
            count, columns.astype(np.int32), np.zeros(count), np.full(count, INF)
        )

    def close(self, columns: IntArray) -> None:
        """Hold columns at zero."""
        none = np.zeros(len(columns))
        self._highs.changeColsBounds(len(columns), columns.astype(np.int32), none, none)

    def keep_optimum(self) -> None:
        """From now on only points that are as good as the last one, by its reduced costs.

        The points of least cost of a linear programme are those where every column and row with a
        price stays at its bound. Holding them there is exact; a row "cost <= best + slack" is not:
        with a slack near the tolerances HiGHS cuts off points, and calls what is left optimal.
        """
        lp, found = self._highs.getLp(), self._highs.getSolution()
        for dual, value, lower, upper, change in (
            (found.col_dual, found.col_value, lp.col_lower_, lp.col_upper_, self._hold_columns),
            (found.row_dual, found.row_value, lp.row_lower_, lp.row_upper_, self._hold_rows),
        ):
            priced = np.flatnonzero(np.abs(np.asarray(dual)) > PRICED)
            at, low, high = (np.asarray(x)[priced] for x in (value, lower, upper))
            held = np.where(at - low <= high - at, low, high)
            finite = np.isfinite(held)
            change(priced[finite].astype(np.int32), held[finite])

    def _hold_columns(self, columns: IntArray, at: FloatArray) -> None:
        self._highs.changeColsBounds(len(columns), columns, at, at)

    def _hold_rows(self, rows: IntArray, at: FloatArray) -> None:
        for row, bound in zip(rows.tolist(), at.tolist(), strict=True):
            self._highs.changeRowBounds(row, bound, bound)

    def exclude(
        self, first: IntArray, second: IntArray, most: FloatArray, other: FloatArray
    ) -> None:
        """first <= most z and second <= other (1 - z), one new binary z per entry."""
        for a, b, high_a, high_b in zip(first, second, most, other, strict=True):
            z = self.columns
            self._highs.addCol(0.0, 0.0, 1.0, 0, np.empty(0, np.int32), np.empty(0))
            self._highs.changeColIntegrality(z, self._highspy.HighsVarType.kInteger)
            self.columns += 1
            self.cost = np.append(self.cost, 0.0)
            self._highs.addRow(-INF, 0.0, 2, np.array([a, z], np.int32), np.array([1.0, -high_a]))
            self._highs.addRow(-INF, high_b, 2, np.array([b, z], np.int32), np.array([1.0, high_b]))
        if len(first) > 0 and not self.is_mip:
            # With binaries tighter tolerances make HiGHS cut off optima: back to its own.
            self._highs.setOptionValue("primal_feasibility_tolerance", MIP_FEASIBILITY)
            self.is_mip = True
