"""What a command hands back: its status, its data for machines, its words for people."""

from dataclasses import dataclass, field
from typing import Any

DONE = 0
UNMET = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """status 0 (done) or 3 (done, but something asked for could not be met); data is what
    `--json` prints; text is what people read otherwise."""

    status: int = DONE
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
