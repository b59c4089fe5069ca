"""What makes a transaction event one and the same, whatever its message id."""

from typing import Any

import msgspec

from pendel.comms.ocpp.backend.learning import digest
from pendel.comms.ocpp.release import Version

_V16 = Version.V16  # looked up once: members of an Enum are slow to reach
Key = tuple[str, object]
"""What makes an event one and the same: (transaction id, seqNo), or in 1.6 ("", digest)."""


def event_key(version: Version, action: str, payload: Any) -> Key | None:
    """What makes a transaction event one and the same whatever its message id; else None."""
    if version is not _V16:
        if action != "TransactionEvent":
            return None
        return payload.transactionInfo.transactionId, payload.seqNo
    if action == "StartTransaction":
        return "", digest(action, payload)
    if action == "StopTransaction":
        return str(payload.transactionId), digest(action, payload)
    if action == "MeterValues" and payload.transactionId is not msgspec.UNSET:
        return str(payload.transactionId), digest(action, payload)
    return None
