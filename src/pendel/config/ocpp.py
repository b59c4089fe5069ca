"""The part of the configuration about the OCPP door."""

from typing import Annotated

import msgspec

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


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
    without TLS is open."""

    host: _Name = "127.0.0.1"
    port: _Port = 9000
    lab: bool = False
    plain: bool = True
    tls: OcppTlsConfig | None = None
