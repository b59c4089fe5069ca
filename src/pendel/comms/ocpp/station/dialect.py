"""What differs between 1.6 and 2.x: how things are said, and what is understood."""

from typing import Any, Protocol

from pendel.comms.ocpp.frames import ErrorCode
from pendel.comms.ocpp.station.equipment import Car, Evse


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Answer a request with this error code instead of a result."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class Dialect(Protocol):
    """One version's way. Times are epoch seconds."""

    def boot(self) -> None:
        """Say BootNotification."""
        ...

    def started(self, now_s: float) -> None:
        """The backend accepted the station after a start."""
        ...

    def status(self, evse: Evse) -> None:
        """Say StatusNotification."""
        ...

    def plugged(self, evse: Evse, now_s: float) -> None:
        """A cable went in (or is still in after a restart)."""
        ...

    def unplugged(self, evse: Evse, car: Car, now_s: float) -> None:
        """A cable goes out."""
        ...

    def card(self, evse: Evse, id_token: str, now_s: float) -> None:
        """A card was shown."""
        ...

    def interrupted(self, evse: Evse, now_s: float, why: str) -> None:
        """The running transaction ends because the station restarts."""
        ...

    def faulted(self, evse: Evse, now_s: float) -> None:
        """A fault came or went."""
        ...

    def meter(self, evse: Evse, now_s: float, aligned: bool = False) -> None:
        """Say the meter values of a running transaction; aligned: of a round time of the clock."""
        ...

    def state_changed(self, evse: Evse, now_s: float) -> None:
        """The charging state of a running transaction changed."""
        ...

    def mode_changed(self, evse: Evse, now_s: float) -> None:
        """The operation mode of a running transaction changed."""
        ...

    def ready(self, evse: Evse, now_s: float) -> None:
        """Connected, and no transaction message waits."""
        ...

    def settled(self, now_s: float) -> None:
        """Every EVSE has its power."""
        ...

    @property
    def csms_setpoint_first(self) -> bool:
        """Whether a setpoint of the backend comes before one of an external system."""
        ...

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        ...

    def take_credentials(self) -> tuple[str, str] | None:
        """A new certificate chain and its key (PEM), told once; None = nothing new."""
        ...

    def handle(self, action: str, payload: Any, now_s: float) -> Any:
        """Answer a request; raises Refusal."""
        ...
