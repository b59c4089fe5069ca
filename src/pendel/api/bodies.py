"""Bodies of commands, typed; unknown fields are refused by name."""

from datetime import datetime
from typing import Annotated

import msgspec

from pendel.units import POWER_MAX_KW

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Amount = Annotated[float, msgspec.Meta(ge=0.0, le=POWER_MAX_KW)]
Power = Annotated[float, msgspec.Meta(ge=-POWER_MAX_KW, le=POWER_MAX_KW)]
When = Annotated[datetime, msgspec.Meta(tz=True)]


class PromiseBody(msgspec.Struct, forbid_unknown_fields=True):
    """PUT /api/v1/sessions/{id}/promise; shares of the battery 0..1; what is absent stays."""

    ready_by_utc: When | None = None
    target_soc: Share | None = None
    minimum_soc: Share | None = None
    charge_now: bool | None = None
    paused: bool | None = None


class LimitBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/sites/{id}/limits; amounts in kW; an absent limit leaves that direction."""

    import_limit_kw: Amount | None = None
    export_limit_kw: Amount | None = None
    from_utc: When | None = None
    until_utc: When | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "operator"


class SetpointBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/v1/evses/{station_id}/{evse_id}/setpoint; negative = discharge."""

    power_kw: Power
    duration_s: Annotated[float, msgspec.Meta(gt=0.0, le=86_400.0)] = 900.0
