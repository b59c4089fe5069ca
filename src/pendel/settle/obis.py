"""OBIS codes: which register a value comes from. Import or export is the register, never a sign.

Form `A-B:C.D.E*F` (IEC 62056-61); OCMF 1.4.1 reserves C = B0..B3 (import) and C0..C3 (export) of
charging: mains or device, total or transaction.
"""

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"([0-9]{1,2}|[a-z])-([0-9]{1,2}|[a-z]):([0-9A-F]{1,2})\.([0-9]{1,2})(?:\.([0-9A-F]{1,2}))?"
    r"(?:\*([0-9A-F]{1,3}))?"
)
ALLOWED = "energy registers like 1-0:1.8.0, 1-0:2.8.0, 1-1:1.29.0, 1-1:2.29.0, 01-00:C2.08.00*FF"
_IMPORT = {"1", "B0", "B1", "B2", "B3"}
_EXPORT = {"2", "C0", "C1", "C2", "C3"}
_REGISTER, _INTERVAL = 8, 29


@dataclass(frozen=True, slots=True)
class Obis:
    """An energy register: direction import | export; interval: energy per interval (D = 29)
    instead of a register that counts up (D = 8); code: as written."""

    code: str
    direction: str
    interval: bool
    transaction: bool = False


def parse_obis(text: str) -> Obis | None:
    """The register of a code; None where it is no active energy register known here.

    >>> parse_obis("1-0:2.8.0").direction, parse_obis("01-00:C2.08.00*FF").direction
    ('export', 'export')
    >>> parse_obis("1-0:16.7.0") is None
    True
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        return None
    quantity, kind = match[3], int(match[4])
    stripped = quantity.lstrip("0") if not quantity.startswith(("B", "C")) else quantity
    if kind not in (_REGISTER, _INTERVAL):
        return None
    if stripped in _IMPORT:
        direction = "import"
    elif stripped in _EXPORT:
        direction = "export"
    else:
        return None
    return Obis(text.strip(), direction, kind == _INTERVAL, stripped in ("B2", "B3", "C2", "C3"))
