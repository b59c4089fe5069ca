"""MiSpeL, Pauschaloption: one meter Z1, one calendar year, at most 30 kWp.

Formula numbers are those of BNetzA 618-25-02, Annex 2. Cases: P1 storage, P2 charge point,
P3 both. A part of a year scales (P1) with its summer days and (P3) with its days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from pendel.settle.rulesets import RuleSet
from pendel.settle.split import Formulas
from pendel.tariff.exact import NANO

CASES = ("P1", "P2", "P3")
STORAGE_CASES = ("P1", "P3")
COLUMNS = ("z1nb", "z1ne", "spot_eur_mwh", "aw_ct_kwh")
_SUMMER_MONTHS = range(4, 10)


@dataclass(frozen=True, slots=True)
class Plant:
    """What stands behind the meter: PV in kWp, storage capacity in kWh (None in case P2)."""

    case: str
    pv_kwp: Fraction
    storage_kwh: Fraction | None = None


@dataclass(frozen=True, slots=True)
class PartYear:
    """Local days from (inclusive) until (exclusive) of one calendar year."""

    begin: date
    end: date

    @property
    def is_whole(self) -> bool:
        """From 1 January to 31 December."""
        year = self.begin.year
        return self.begin == date(year, 1, 1) and self.end == date(year + 1, 1, 1)

    @property
    def days(self) -> int:
        """Days of the part."""
        return (self.end - self.begin).days

    @property
    def summer_days(self) -> int:
        """Days of the part in April to September."""
        days = (self.begin + timedelta(days=number) for number in range(self.days))
        return sum(day.month in _SUMMER_MONTHS for day in days)

    @property
    def year_days(self) -> int:
        """Days of the calendar year: 365 or 366."""
        return (date(self.begin.year + 1, 1, 1) - date(self.begin.year, 1, 1)).days


def limits(plant: Plant, part: PartYear, rules: RuleSet) -> Formulas:
    """(P1)-(P4): funding limit, factor, indifference band and their sum, exact."""
    funded = plant.pv_kwp * rules.pv_kwh_kwp
    factors = []
    if plant.case in STORAGE_CASES and plant.storage_kwh:
        factors.append(rules.storage_share * plant.pv_kwp / plant.storage_kwh)
    if plant.case != "P1":
        factors.append(rules.charge_point_share)
    factor = min(factors)
    band = factor * funded
    if not part.is_whole:
        funded *= Fraction(part.summer_days, rules.summer_days)
        band *= Fraction(part.days, part.year_days)
    return {"(P1)": funded, "(P2)": factor, "(P3)": band, "(P4)": funded + band}


def year_formulas(
    plant: Plant, part: PartYear, rules: RuleSet, columns: Mapping[str, Sequence[int]]
) -> Formulas:
    """All formulas of a year or a part of it; columns as in COLUMNS, integers of 1e-9."""
    f = limits(plant, part, rules)
    zero = Fraction(0)
    exported, spot, worth = columns["z1ne"], columns["spot_eur_mwh"], columns["aw_ct_kwh"]
    at_price = sum(fed for fed, price in zip(exported, spot, strict=True) if price >= 0)
    at_worth = sum(fed for fed, aw in zip(exported, worth, strict=True) if aw > 0)
    p7, p9 = Fraction(at_price, NANO), Fraction(sum(columns["z1nb"]), NANO)
    p8 = max(p7 - (f["(P4)"] or zero), zero)
    p14 = Fraction(at_worth, NANO)
    return f | {
        "(P7)": p7,
        "(P8)": p8,
        "(P9)": p9,
        "(P10)": min(p8, p9),
        "(P11)": p9 - min(p8, p9),
        "(P14)": p14,
        "(P15)": min(p14, f["(P1)"] or zero),
    }
