"""The planning problem once more, row by row from the contract's text, for HiGHS.

Own model on a PlanProblem: names of the contract, no import from pendel.control but the data
types. Ranks are solved one after another; pairs that run at once get a binary.
"""

import math
from collections import defaultdict
from typing import Any

import highspy
import numpy as np

from pendel.control.problem import PlanProblem

TINY = 1e-8
Terms = dict[int, float]


class Oracle:
    """HiGHS with named objectives, one per rank."""

    def __init__(self, problem: PlanProblem) -> None:
        self.p = problem
        self.h = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("mip_rel_gap", 1e-9),
            ("mip_abs_gap", 1e-9),
            ("primal_feasibility_tolerance", 1e-9),
        ):
            self.h.setOptionValue(option, value)
        self.count = 0
        self.rank: dict[str, Terms] = {
            n: defaultdict(float) for n in ("over", "below", "short", "cost")
        }
        self.pairs: list[tuple[int, int, float, float]] = []
        self.constant = 0.0
        self.flow: dict[tuple[int, int], Terms] = {}
        self.money: dict[tuple[int, int], Terms] = {}
        self.box: list[tuple[int, int, int, int, int]] = []
        self.keep: dict[tuple[int, int], tuple[float, Terms]] = {}
        self.build()

    def column(self, low: float, high: float) -> int:
        self.h.addVar(low, high)
        self.count += 1
        return self.count - 1

    def row(self, low: float, high: float, terms: Terms) -> None:
        keys, values = np.array(list(terms), np.int32), np.array(list(terms.values()), float)
        self.h.addRow(low, high, len(keys), keys, values)

    def add(self, rank: str, column: int, value: float) -> None:
        self.rank[rank][column] += value

    def build(self) -> None:
        for s in range(self.p.sites):
            for t in range(self.p.steps):
                self.flow[s, t], self.money[s, t] = {}, {}
        for i in range(len(self.p.units)):
            self.unit(i)
        for s in range(self.p.sites):
            self.site(s)
        self.upper()
        if self.p.reserves is not None:
            for k in range(len(self.p.reserves)):
                self.amount(k)
            for t in range(self.p.steps):
                self.headroom(t, 1)
                self.headroom(t, -1)

    def unit(self, i: int) -> None:
        p, u, h = self.p, self.p.units, self.p.step_h
        first, last = int(u.first[i]), int(u.last[i])
        start, top = float(u.energy_start_kwh[i]), float(u.capacity_kwh[i])
        eta_c, eta_d = float(u.charge_efficiency[i]), float(u.discharge_efficiency[i])
        most, least = float(u.charge_max_kw[i]), float(u.discharge_max_kw[i])
        minimum, target = float(u.energy_min_kwh[i]), float(u.target_kwh[i])
        rate = h * eta_c * most
        reach = min(top, start + rate * (last - first))
        terminal = float(u.terminal_eur_kwh[i]) if target <= reach else 0.0
        self.constant -= terminal * (start - target)
        aim, floor_lack = min(target, reach), None
        before: int | None = None
        site, rows, needs = int(u.site[i]), [], []
        for t in range(first, last):
            w = 1.0 if p.presence is None else float(p.presence[i, t])
            at_once = min(top, start + rate * (t - first + 1))
            c, d = self.column(0, most), self.column(0, least)
            e = self.column(min(minimum, start), top)
            terms = {e: 1.0, c: -h * eta_c, d: h / eta_d}
            if before is not None:
                terms[before] = -1.0
            self.row(
                0.0 if before is not None else start, 0.0 if before is not None else start, terms
            )
            need = min(minimum, at_once) if start < minimum else minimum
            if start < minimum:
                lack = self.column(0, math.inf)
                self.row(need, math.inf, {e: 1.0, lack: 1.0})
                self.add("below", lack, 1.0)
            if p.floor_kwh is not None and not np.isnan(p.floor_kwh[i, t]):
                if floor_lack is None:
                    floor_lack = self.column(0, math.inf)
                    self.add("short", floor_lack, 1.0)
                floor = min(float(p.floor_kwh[i, t]), at_once)
                self.row(floor, math.inf, {e: 1.0, floor_lack: 1.0})
                need = max(need, floor)
            self.add("cost", c, h * eta_c * w * (float(u.wear_eur_kwh[i]) - terminal))
            self.add("cost", d, h / eta_d * w * (float(u.wear_eur_kwh[i]) + terminal))
            if eta_c * eta_d < 1.0:
                self.pairs.append((c, d, most, least))
            self.flow[site, t] |= {c: 1.0, d: -1.0}
            self.money[site, t] |= {c: w, d: -w}
            rows.append((t, c, d, e))
            needs.append(need)
            before = e
        if before is None:
            return
        short = self.column(0, math.inf)
        self.add("short", short, 1.0)
        self.add("cost", short, -terminal)
        self.row(aim, math.inf, {before: 1.0, short: 1.0})
        ahead = aim
        slack = {short: -1.0} if floor_lack is None else {short: -1.0, floor_lack: -1.0}
        for (t, c, d, e), need in zip(reversed(rows), reversed(needs), strict=True):
            ahead = max(need, ahead, min(minimum, start))
            self.keep[i, t] = (ahead, slack)
            self.box.append((i, t, c, d, e))
            ahead -= rate

    def site(self, s: int) -> None:
        p, h = self.p, self.p.step_h
        price = int(p.price_row[s])
        peak = self.column(float(p.peak_so_far_kw[s]), math.inf)
        self.add("cost", peak, float(p.demand_charge_eur_kw[s]))
        for t in range(p.steps):
            base = float(p.load_kw[s, t] - p.pv_kw[s, t])
            limit_out = float(p.export_limit_kw[s, t])
            if p.home_only is not None and p.home_only[s]:
                limit_out = min(limit_out, max(-base, 0.0))
            cut = self.column(0, float(p.pv_kw[s, t]))
            net, high, low = (
                self.column(-math.inf, math.inf),
                self.column(0, math.inf),
                self.column(0, math.inf),
            )
            self.add("over", high, h)
            self.add("over", low, h)
            terms = {k: -v for k, v in self.flow[s, t].items()} | {net: 1.0, cut: -1.0}
            self.row(base, base, terms)
            self.row(-math.inf, float(p.import_limit_kw[s, t]), {net: 1.0, high: -1.0})
            self.row(-limit_out, math.inf, {net: 1.0, low: 1.0})
            far = 1000.0
            bought, sold = self.column(0, far), self.column(0, far)
            terms = {k: -v for k, v in self.money[s, t].items()}
            self.row(base, base, terms | {bought: 1.0, sold: -1.0, cut: -1.0})
            self.row(-math.inf, 0.0, {bought: 1.0, peak: -1.0})
            buy, sell = float(p.import_eur_kwh[price, t]), float(p.export_eur_kwh[price, t])
            self.add("cost", bought, h * buy)
            self.add("cost", sold, -h * sell)
            if sell > buy:
                self.pairs.append((bought, sold, far, far))
            self.flow[s, t] = {net: 1.0}
            self.money[s, t] = {bought: 1.0, sold: -1.0}

    def groups(self) -> list[tuple[list[int], Any, Any]]:
        p, found = self.p, []
        for f in range(len(p.feeders)):
            members = []
            for s in range(p.sites):
                at = int(p.feeder[s])
                while at >= 0:
                    if at == f:
                        members.append(s)
                    at = int(p.feeders.parent[at])
            ones = np.ones(p.steps)
            found.append(
                (members, ones * p.feeders.import_limit_kw[f], ones * p.feeders.export_limit_kw[f])
            )
        found.append(
            (list(range(p.sites)), p.portfolio_import_limit_kw, p.portfolio_export_limit_kw)
        )
        return found

    def upper(self) -> None:
        p, h = self.p, self.p.step_h
        for members, limit_in, limit_out in self.groups():
            for t in range(p.steps):
                terms: Terms = {}
                for s in members:
                    terms |= self.flow[s, t]
                high, low = self.column(0, math.inf), self.column(0, math.inf)
                self.add("over", high, h)
                self.add("over", low, h)
                self.row(-limit_out[t], limit_in[t], terms | {high: -1.0, low: 1.0})
        if p.market is None:
            return
        for t in range(p.steps):
            more, less = self.column(0, math.inf), self.column(0, math.inf)
            terms = {more: -1.0, less: 1.0}
            for s in range(p.sites):
                terms |= self.money[s, t]
            position = float(p.market.position_kw[t])
            self.row(position, position, terms)
            self.add("cost", more, h * float(p.market.short_eur_kwh[t]))
            self.add("cost", less, h * float(p.market.long_eur_kwh[t]))

    def amount(self, k: int) -> None:
        r = self.p.reserves
        assert r is not None
        column = self.column(0, float(r.max_kw[k]))
        hours = float(r.until_step[k] - r.from_step[k]) * self.p.step_h
        self.add("cost", column, -float(r.price_eur_mw_h[k]) * hours / 1000.0)
        self.amounts = {**getattr(self, "amounts", {}), k: column}

    def headroom(self, t: int, sign: int) -> None:
        p, r, u = self.p, self.p.reserves, self.p.units
        assert r is not None
        blocks = [
            k for k in range(len(r))
            if r.from_step[k] <= t < r.until_step[k] and r.direction[k] in (0, sign)
        ]  # fmt: skip
        if not blocks:
            return
        sums: dict[int, Terms] = {k: {self.amounts[k]: -1.0} for k in blocks}
        at_site: dict[int, Terms] = defaultdict(dict)
        energy = {(i, step): e for i, step, _, _, e in self.box}
        for i, step, c, d, _end in self.box:
            below = u.energy_start_kwh[i] < u.energy_min_kwh[i]
            if step != t or (sign > 0 and below):
                continue
            share = {k: self.column(0, math.inf) for k in blocks}
            for k, column in share.items():
                sums[k][column] = 1.0
                at_site[int(u.site[i])][column] = 1.0
            power = dict.fromkeys(share.values(), 1.0)
            bound = u.discharge_max_kw[i] if sign > 0 else u.charge_max_kw[i]
            self.row(-math.inf, float(bound), power | {c: -sign, d: sign})
            factor = 1.0 / u.discharge_efficiency[i] if sign > 0 else u.charge_efficiency[i]
            use = {column: float(r.hold_h[k] * factor) for k, column in share.items()}
            for moment in (t - 1, t):
                if moment < u.first[i]:
                    start = float(u.energy_start_kwh[i])
                    room = float(u.capacity_kwh[i]) - start
                    if sign > 0:
                        rate = p.step_h * u.charge_efficiency[i] * u.charge_max_kw[i]
                        least = max(self.keep[i, t][0] - rate, min(u.energy_min_kwh[i], start))
                        room = max(start - least, 0.0)
                    self.row(-math.inf, room, use)
                elif sign > 0:
                    least, slack = self.keep[i, moment]
                    self.row(-math.inf, -least, use | {energy[i, moment]: -1.0} | slack)
                else:
                    self.row(-math.inf, float(u.capacity_kwh[i]), use | {energy[i, moment]: 1.0})
        for terms in sums.values():
            self.row(0.0, math.inf, terms)
        for members, limit_in, limit_out in self.limits(t):
            bound = limit_out if sign > 0 else limit_in
            terms = {}
            for s in members:
                terms |= {k: -sign * v for k, v in self.flow[s, t].items()} | at_site[s]
            if math.isfinite(bound) and any(at_site[s] for s in members):
                self.row(-math.inf, bound, terms)

    def limits(self, t: int) -> list[tuple[list[int], float, float]]:
        p = self.p
        found = [
            ([s], float(p.import_limit_kw[s, t]), float(p.export_limit_kw[s, t]))
            for s in range(p.sites)
        ]
        return found + [(m, float(a[t]), float(b[t])) for m, a, b in self.groups()]

    def minimise(self, terms: Terms) -> float:
        open_pairs = list(self.pairs)
        while True:
            cost = np.zeros(self.count)
            for column, value in terms.items():
                cost[column] = value
            self.h.changeColsCost(self.count, np.arange(self.count, dtype=np.int32), cost)
            self.h.run()
            status = self.h.getModelStatus()
            if status != highspy.HighsModelStatus.kOptimal:
                raise RuntimeError(f"oracle: {status}")
            x = self.h.getSolution().col_value
            both = [pair for pair in open_pairs if min(x[pair[0]], x[pair[1]]) > 1e-7]
            if not both:
                return float(self.h.getInfo().objective_function_value)
            for pair in both:
                open_pairs.remove(pair)
                self.pairs.remove(pair)
                a, b, top_a, top_b = pair
                switch = self.column(0, 1)
                self.h.changeColIntegrality(switch, highspy.HighsVarType.kInteger)
                self.row(-math.inf, 0.0, {a: 1.0, switch: -top_a})
                self.row(-math.inf, top_b, {b: 1.0, switch: top_b})

    def solve(self) -> dict[str, float]:
        """Best value of each rank in turn: over_kwh, below_kwh, short_kwh, cost_eur."""
        result = {}
        for name in ("over", "below", "short"):
            terms = self.rank[name]
            result[name] = self.minimise(terms) if terms else 0.0
            if terms:
                self.row(-math.inf, result[name] + TINY, dict(terms))
        result["cost"] = self.minimise(self.rank["cost"]) + self.constant
        return result
