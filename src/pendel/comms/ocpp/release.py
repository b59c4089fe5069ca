"""The three versions, their subprotocols and where their messages are."""

import importlib
from enum import Enum
from functools import cache
from typing import Any, Protocol

import msgspec


class Version(Enum):
    """OCPP versions by the name people use; `subprotocol` is that of the WebSocket."""

    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"

    def __init__(self, label: str) -> None:
        self.label = label
        """The value, without the detour that `Enum.value` takes."""

    __hash__ = object.__hash__  # members are unique; the hash of Enum hashes the name each time

    @property
    def subprotocol(self) -> str:
        """`ocpp1.6`, `ocpp2.0.1` or `ocpp2.1`."""
        return f"ocpp{self.value}"

    @staticmethod
    def of_subprotocol(name: str) -> "Version | None":
        """The version of a WebSocket subprotocol, or None."""
        return {version.subprotocol: version for version in Version}.get(name)


class Messages(Protocol):
    """What a generated message module holds."""

    REQUESTS: dict[str, type[msgspec.Struct]]
    RESPONSES: dict[str, type[msgspec.Struct]]


@cache
def messages_of(version: Version) -> Messages:
    """The generated messages of a version (imported when first needed)."""
    name = {Version.V16: "v16", Version.V201: "v201", Version.V21: "v21"}[version]
    module: Any = importlib.import_module(f"pendel.comms.ocpp.{name}")
    found: Messages = module
    return found
