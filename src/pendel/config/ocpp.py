"""The part of the configuration about the OCPP door and certificates."""

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


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
    without TLS is open."""

    host: Name = "127.0.0.1"
    port: Port = 9000
    lab: bool = False
    plain: bool = True
    tls: OcppTlsConfig | None = None
