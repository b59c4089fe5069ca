"""Rule sets of MiSpeL by version: results of the past stay reproducible under their own rules.

Sources: BNetzA decision 618-25-02 of 2026-10-01, Annex 1 (Abgrenzungsoption) and Annex 2
(Pauschaloption); the draft consulted in autumn 2025, kept for comparison only.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What may differ between versions.

    name: as given to --ruleset; grey_without_green: (16) subtracts the green storage output (15);
    charge_point_efficiency: (14) of cases with a charge point; pv_kwh_kwp: (P1) per kWp;
    storage_share, charge_point_share: the factors of (P2); pv_max_kwp: bound of the option;
    summer_days: days from April to September; source: where the rules are written.
    """

    name: str
    grey_without_green: bool
    charge_point_efficiency: Fraction
    pv_kwh_kwp: Fraction
    storage_share: Fraction
    charge_point_share: Fraction
    pv_max_kwp: Fraction
    summer_days: int
    source: str


DECISION_2026 = RuleSet(
    name="2026-10-01",
    grey_without_green=True,
    charge_point_efficiency=Fraction(85, 100),
    pv_kwh_kwp=Fraction(500),
    storage_share=Fraction(1, 10),
    charge_point_share=Fraction(1, 5),
    pv_max_kwp=Fraction(30),
    summer_days=183,
    source="BNetzA 618-25-02, decision of 2026-10-01, Annexes 1 and 2",
)
DRAFT_2025 = RuleSet(
    name="2025-draft",
    grey_without_green=False,
    charge_point_efficiency=Fraction(85, 100),
    pv_kwh_kwp=Fraction(500),
    storage_share=Fraction(1, 10),
    charge_point_share=Fraction(1, 2),
    pv_max_kwp=Fraction(30),
    summer_days=183,
    source="BNetzA 618-25-02, draft consulted in autumn 2025 (for comparison only)",
)
NEWEST = DECISION_2026
RULESETS = {rules.name: rules for rules in (DECISION_2026, DRAFT_2025)}
