"""What the configuration says of OCPP: where stations connect, how they meter, who may charge."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Group = Annotated[str, msgspec.Meta(max_length=36)]

BootName = Literal["accepted", "pending", "rejected"]
DialectName = Literal["native", "hybrid", "negative_limit", "limit", "meter"]
TokenType = Literal[
    "ISO14443",
    "ISO15693",
    "eMAID",
    "MacAddress",
    "KeyCode",
    "Local",
    "Central",
    "NoAuthorization",
]


class MeteringConfig(msgspec.Struct, frozen=True):
    """What accepted stations are told to meter, unless set_at_stations is false.

    aligned_s: registers at the full quarter hours, which settlement counts; sampled_s: at most
    this long between two values of a transaction [s], which control needs."""

    set_at_stations: bool = True
    aligned_s: Literal[60, 180, 300, 900] = 900
    sampled_s: Annotated[int, msgspec.Meta(ge=1, le=900)] = 60


class OcppTlsConfig(msgspec.Struct, frozen=True):
    """TLS for stations (security profiles 2 and 3). Paths are relative to the file's folder.

    folder: made by `pendel ca`: gives everything else, and signs what stations ask for. Without
    it: certificates: PEM of the server with chain and key (or the key beside it as .key), one RSA
    and one ECDSA at best; station_ca: who signs station certificates; revoked: their lists;
    organization: O that station certificates must name. renew_days: a station whose certificate
    ends within is asked to renew it. ocsp: the HTTP port answers at /ocsp, to everybody, whether
    certificates of the folder hold.
    """

    port: _Port = 9443
    folder: _Name | None = None
    certificates: Annotated[list[_Name], msgspec.Meta(max_length=16)] = []
    station_ca: Annotated[list[_Name], msgspec.Meta(max_length=1_000)] = []
    revoked: Annotated[list[_Name], msgspec.Meta(max_length=1_000)] = []
    organization: str = ""
    renew_days: Annotated[int, msgspec.Meta(ge=0, le=3_650)] = 30
    ocsp: bool = False


class OcppConfig(msgspec.Struct, frozen=True):
    """Where stations connect; lab = stations without password_hash are let in; plain = the port
    without TLS is open; master_pass_group: group of tokens that may end any transaction."""

    host: _Name = "127.0.0.1"
    port: _Port = 9000
    lab: bool = False
    plain: bool = True
    tls: OcppTlsConfig | None = None
    master_pass_group: Group = ""
    metering: MeteringConfig = MeteringConfig()


class IdTokenConfig(msgspec.Struct, frozen=True):
    """A token of a driver. group: tokens of one group may end each other's transactions;
    valid_until: Expired from then on; concurrent = false: one transaction at a time."""

    token: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[^\x00-\x1f\x7f]{1,255}\Z",
            description="1 to 255 characters that can be seen",
        ),
    ]
    type: TokenType = "ISO14443"
    group: Group = ""
    status: Literal["Accepted", "Blocked", "Invalid"] = "Accepted"
    valid_until: datetime | None = None
    concurrent: bool = True
