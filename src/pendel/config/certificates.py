"""The part of the configuration about certificates of others: contracts, roots of stations."""

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


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
