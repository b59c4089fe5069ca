"""MiSpeL, Abgrenzungsoption: which kilowatt hour is green, grey, or from elsewhere.

Formula numbers are those of BNetzA 618-25-02, Annex 1. Energies are integers of 1e-9 kWh per
quarter hour, months are exact fractions of kWh. The minimum is taken per quarter hour first and
summed afterwards (Speichervorrang, EnFG section 21(4) s. 3/4); import and export registers of one
quarter hour may both be positive and are never netted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pendel.settle.rulesets import RuleSet
from pendel.tariff.exact import NANO

Formulas = dict[str, Fraction | None]

CASES = ("A1", "A2", "A3", "A4", "A5", "A10", "A11")
UNSUPPORTED = ("A6", "A7", "A8", "A9")
"""Cases of Annex 1 whose formulas (34)-(40) are not available: refused by name."""

_CONNECTION = ("z1nb", "z1ne")
_STORAGE = (*_CONNECTION, "z2v", "z2e")
COLUMNS: dict[str, tuple[str, ...]] = {
    "A1": (*_STORAGE, "aw_ct_kwh"),
    "A2": (*_STORAGE, "aw_ct_kwh"),
    "A3": (*_STORAGE, "aw_ct_kwh"),
    "A4": (*_STORAGE, "z3v", "z3e", "aw_ct_kwh"),
    "A5": (*_STORAGE, "aw_a_ct_kwh", "aw_b_ct_kwh"),
    "A10": ("z1nb",),
    "A11": _CONNECTION,
}
"""The columns each case reads."""

_LOSS_CASES = ("A1", "A4", "A5")
_OWN_EFFICIENCY = ("A1", "A5")


@dataclass(slots=True)
class Sums:
    """Sums over quarter hours, integers of 1e-9 kWh; adding two gives the sum of both sets.

    n3..n11: the month formulas of that number; n26, n29: per plant (one, or a and b in A5; there
    before the factor ZF, which is the same in every quarter hour).
    """

    n3: int = 0
    n4: int = 0
    n5: int = 0
    n6: int = 0
    n7: int = 0
    n8: int = 0
    n9: int = 0
    n11: int = 0
    n26: tuple[int, int] = (0, 0)
    n29: tuple[int, int] = (0, 0)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.n3 + other.n3,
            self.n4 + other.n4,
            self.n5 + other.n5,
            self.n6 + other.n6,
            self.n7 + other.n7,
            self.n8 + other.n8,
            self.n9 + other.n9,
            self.n11 + other.n11,
            (self.n26[0] + other.n26[0], self.n26[1] + other.n26[1]),
            (self.n29[0] + other.n29[0], self.n29[1] + other.n29[1]),
        )


def sum_quarters(
    case: str, columns: Mapping[str, Sequence[int]], low: int = 0, high: int | None = None
) -> Sums:
    """Sums over rows low <= row < high of the columns of the case (see COLUMNS).

    Formulas (1), (2), (23)-(25), (27) per quarter hour and their sums (3)-(9), (11), (26), (29).
    """
    part = {name: columns[name][low:high] for name in COLUMNS[case]}
    sums = Sums(n3=sum(part["z1nb"]))
    if case == "A10":
        return sums
    sums.n4 = sum(part["z1ne"])
    if case == "A11":
        return sums
    sums.n5 = sum(part["z2v"])
    sums.n6 = sum(part["z2e"])
    sums.n9 = sum(map(min, part["z1nb"], part["z2v"]))
    stored = list(map(min, part["z1ne"], part["z2e"]))
    sums.n11 = sum(stored)
    if case == "A4":
        sums.n7 = sum(part["z3v"])
        sums.n8 = sum(part["z3e"])
    values = [part["aw_a_ct_kwh"], part["aw_b_ct_kwh"]] if case == "A5" else [part["aw_ct_kwh"]]
    direct: list[int] = [0, 0]
    from_storage: list[int] = [0, 0]
    for plant, worth in enumerate(values):
        for export, out, aw in zip(part["z1ne"], stored, worth, strict=True):
            if aw > 0:
                direct[plant] += export - out
                from_storage[plant] += out
    sums.n26 = (direct[0], direct[1])
    sums.n29 = (from_storage[0], from_storage[1])
    return sums


def quarter_formulas(
    case: str, row: Mapping[str, int], shares: tuple[Fraction, Fraction] | None = None
) -> Formulas:
    """The formulas of one quarter hour, exact kWh; A10 and A11 carry none.

    row: the values of COLUMNS[case]; shares: ZFa and ZFb in A5.
    """
    if case in ("A10", "A11"):
        return {}
    charged = min(row["z1nb"], row["z2v"])
    stored = min(row["z1ne"], row["z2e"])
    formulas: Formulas = {
        "(1)": Fraction(charged, NANO),
        "(2)": Fraction(stored, NANO),
        "(23)": Fraction(row["z1ne"] - stored, NANO),
    }
    if case == "A5" and shares is not None:
        for plant, share in zip("ab", shares, strict=True):
            worth = int(row[f"aw_{plant}_ct_kwh"] > 0)
            direct = share * Fraction(row["z1ne"] - stored, NANO)
            formulas[f"(23{plant})"] = direct
            formulas[f"(24{plant})"] = Fraction(worth)
            formulas[f"(25{plant})"] = worth * direct
            formulas[f"(27{plant})"] = Fraction(worth * stored, NANO)
        return formulas
    worth = int(row["aw_ct_kwh"] > 0)
    formulas["(24)"] = Fraction(worth)
    formulas["(25)"] = Fraction(worth * (row["z1ne"] - stored), NANO)
    formulas["(27)"] = Fraction(worth * stored, NANO)
    return formulas


def month_formulas(
    case: str, sums: Sums, rules: RuleSet, shares: tuple[Fraction, Fraction] | None = None
) -> Formulas:
    """The formulas of one month (or part of a month), exact kWh; None = quotient not defined.

    sums: of its quarter hours; shares: ZFa and ZFb in A5. Source: Annex 1, formulas as numbered.
    """
    f: Formulas = {"(3)": Fraction(sums.n3, NANO)}
    drawn = Fraction(sums.n3, NANO)
    if case == "A10":
        return f | {"(20)": drawn, "(21)": Fraction(0)}
    fed = Fraction(sums.n4, NANO)
    f["(4)"] = fed
    if case == "A11":
        f["(16)"] = fed
        f["(20)"] = min(fed, drawn)
        f["(21)"] = drawn - min(fed, drawn)
        return f
    consumed, generated = Fraction(sums.n5, NANO), Fraction(sums.n6, NANO)
    f["(5)"], f["(6)"] = consumed, generated
    if case == "A4":
        f["(7)"], f["(8)"] = Fraction(sums.n7, NANO), Fraction(sums.n8, NANO)
    f["(9)"] = Fraction(sums.n9, NANO)
    green_in = consumed - Fraction(sums.n9, NANO)
    f["(10)"] = green_in
    stored_out = Fraction(sums.n11, NANO)
    f["(11)"] = stored_out
    foreign = max(generated - consumed, Fraction(0))
    f["(12)"] = foreign
    own_out = max(stored_out - foreign, Fraction(0))
    f["(13)"] = own_out
    efficiency: Fraction | None = rules.charge_point_efficiency
    if case in _OWN_EFFICIENCY:
        efficiency = generated / consumed if consumed else None
    f["(14)"] = efficiency
    green_out = green_in * efficiency if efficiency is not None else Fraction(0)
    f["(15)"] = green_out
    grey = max(own_out - green_out, Fraction(0)) if rules.grey_without_green else own_out
    f["(16)"] = grey
    _relief(case, f, grey, sums)
    green_export = min(own_out, green_out)
    f["(28)"] = green_export
    _funding(case, f, green_export, sums, shares)
    return f


def _relief(case: str, f: Formulas, grey: Fraction, sums: Sums) -> None:
    """(17)-(21): losses of grey energy (storage only) and the quantity free of levies."""
    drawn, loss_share = Fraction(sums.n3, NANO), Fraction(0)
    if case in _LOSS_CASES:
        inside, outside = (sums.n7, sums.n8) if case == "A4" else (sums.n5, sums.n6)
        losses = Fraction(max(inside - outside, 0), NANO)
        f["(17)"] = losses
        f["(18)"] = grey / Fraction(sums.n6, NANO) if sums.n6 else None
        loss_share = (f["(18)"] or Fraction(0)) * losses
    f["(19)"] = loss_share
    relieved = min(grey + loss_share, drawn)
    f["(20)"] = relieved
    f["(21)"] = drawn - relieved


def _funding(
    case: str,
    f: Formulas,
    green_export: Fraction,
    sums: Sums,
    shares: tuple[Fraction, Fraction] | None,
) -> None:
    """(26), (29)-(32): what is funded, directly and from storage; per plant in A5."""
    plants = [("", Fraction(1))]
    if case == "A5" and shares is not None:
        plants = [("a", shares[0]), ("b", shares[1])]
        f["(ZFa)"], f["(ZFb)"] = shares
    for index, (plant, share) in enumerate(plants):
        direct = share * Fraction(sums.n26[index], NANO)
        funded_out = Fraction(sums.n29[index], NANO)
        f[f"(26{plant})"] = direct
        if plant:
            f[f"(28{plant})"] = share * green_export
        f[f"(29{plant})"] = funded_out
        ratio = Fraction(sums.n29[index], sums.n11) if sums.n11 else None
        f[f"(30{plant})"] = ratio
        from_storage = (ratio or Fraction(0)) * share * green_export
        f[f"(31{plant})"] = from_storage
        f[f"(32{plant})"] = direct + from_storage


def year_formulas(case: str, months: Sequence[Formulas]) -> Formulas:
    """(22) and (33): the sums of (21) and (32) over the months of a year."""

    def total(key: str) -> Fraction:
        return sum((month[key] or Fraction(0) for month in months), Fraction(0))

    year: Formulas = {"(22)": total("(21)")}
    if case == "A5":
        return year | {"(33a)": total("(32a)"), "(33b)": total("(32b)")}
    return year if case in ("A10", "A11") else year | {"(33)": total("(32)")}


def formula_order(key: str) -> tuple[int, str]:
    """Sort key: (3) before (10) before (26a); ZF first."""
    digits = "".join(letter for letter in key if letter.isdigit())
    return int(digits or 0), key
