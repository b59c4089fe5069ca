"""What the configuration says of OCPP: where stations connect, how they meter, who may charge, and
which certificates are good."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
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

    port: Port = 9443
    folder: Name | None = None
    certificates: Annotated[list[Name], msgspec.Meta(max_length=16)] = []
    station_ca: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    revoked: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    organization: str = ""
    renew_days: Annotated[int, msgspec.Meta(ge=0, le=3_650)] = 30
    ocsp: bool = False


class PlugAndChargeConfig(msgspec.Struct, frozen=True):
    """Foreign certificates of ISO 15118. Paths are relative to the file's folder.

    mo_roots: whose contract certificates may charge; v2g_roots, oem_roots: of whose certificates
    stations may ask the status (all: roots and sub-CAs as PEM); responders: servers that may be
    asked beside those that trusted certificates name (host or host:port); ocsp false: contracts
    are taken without asking whether they are revoked. contract_service: address of a pool of
    contract certificates, contract_token: file with its bearer token.
    """

    mo_roots: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    v2g_roots: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    oem_roots: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    responders: Annotated[list[Name], msgspec.Meta(max_length=1_000)] = []
    ocsp: bool = True
    contract_service: Name | None = None
    contract_token: Name | None = None


RootKind = Literal[
    "CSMSRootCertificate",
    "ManufacturerRootCertificate",
    "V2GRootCertificate",
    "MORootCertificate",
    "OEMRootCertificate",
]


class RootConfig(msgspec.Struct, frozen=True):
    """Roots that stations should have, kept in step while the server runs.

    file: PEM, one or more, relative to the file's folder; links: the same roots signed by those
    before them, for stations that take no others (a file may come later); stations:
    which (None = all).
    """

    type: RootKind
    file: Name
    links: Annotated[list[Name], msgspec.Meta(max_length=100)] = []
    stations: Annotated[list[Name], msgspec.Meta(max_length=100_000)] | None = None


class OcppConfig(msgspec.Struct, frozen=True):
    """Where stations connect; lab = stations without password_hash are let in; plain = the port
    without TLS is open; master_pass_group: group of tokens that may end any transaction."""

    host: Name = "127.0.0.1"
    port: Port = 9000
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
