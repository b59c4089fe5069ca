"""The configuration of `pendel serve` (contract, "Server"; contract-server, "Configuration")."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pendel.config.certificates import PlugAndChargeConfig, RootConfig
from pendel.config.lines import KeyPath
from pendel.config.ocpp import BootName, DialectName, IdTokenConfig, OcppConfig, OcppTlsConfig
from pendel.config.toml import SECRET, TomlDocument, decode, load_toml
from pendel.config.zones import zone_exists
from pendel.errors import InputError, Problem
from pendel.units import CAPACITY_MAX_KWH, POWER_MAX_KW

LIST_MAX = 100_000
HASH_PATTERN = (
    r"^\$argon2id\$(v=[0-9]+\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+(,keyid=[A-Za-z0-9+/]*)?"
    r"(,data=[A-Za-z0-9+/]*)?\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\Z"
)
STORE_FORMS = (
    "sqlite:///relative.db, sqlite:////absolute.db, postgresql://user@host/db or memory://"
)

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Station = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9*_=:+|@.-]{1,48}\Z",
        description="1 to 48 letters, digits or * - _ = : + | @ .",
    ),
]
_Power = Annotated[float, msgspec.Meta(ge=0.0, le=POWER_MAX_KW)]
_Capacity = Annotated[float, msgspec.Meta(gt=0.0, le=CAPACITY_MAX_KWH)]
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
_Amount = Annotated[float, msgspec.Meta(ge=0.0)]

ModeName = Literal["uncontrolled", "v1g", "v2h", "v2b", "v2g"]
MispelCase = Literal["A1", "A2", "A3", "A10", "A11"]
Role = Literal["driver", "owner", "operator", "aggregator", "grid_operator", "auditor", "admin"]


class HttpConfig(msgspec.Struct, frozen=True):
    """Where pages and the API listen; port 0 = any free one."""

    host: _Name = "127.0.0.1"
    port: _Port = 8080


class ExportPermit(msgspec.Struct, frozen=True):
    """Leave to export to the grid, from valid_from until before valid_until (local dates)."""

    reference: _Name
    valid_from: date
    valid_until: date | None = None


class SiteConfig(msgspec.Struct, frozen=True):
    """One grid connection. No export_permit: no export to the grid (V2H is allowed).

    tariff: a file or a shipped name; mispel_case: how its energy is split (relief of levies)."""

    site_id: _Name
    timezone: str
    import_limit_kw: _Power
    export_limit_kw: _Power = 0.0
    export_permit: ExportPermit | None = None
    tariff: _Name | None = None
    mispel_case: MispelCase | None = None


class StationConfig(msgspec.Struct, frozen=True):
    """One charging station; without password_hash it can only connect with a certificate, or in
    the lab. security_profile: the lowest one it may use (None: the highest it ever used); lenient:
    messages that break the schema are mended where that can be done, and what was done is kept;
    meter_key: public key of its meters (hex or base64), by which signed values are verified;
    boot: what it is told when it boots (an operator may tell it otherwise later); local_list: it
    is given the list of tokens for when it is offline; dialect, limit_unit: how it wants to be told
    its power, instead of what is known of its model.
    """

    station_id: _Station
    site_id: _Name
    password_hash: (
        Annotated[
            str,
            msgspec.Meta(
                pattern=HASH_PATTERN,
                max_length=1024,
                description="an argon2id PHC string, made by `pendel station-password`",
                extra=SECRET,
            ),
        ]
        | None
    ) = None
    mode: ModeName = "v2g"
    security_profile: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    lenient: bool = False
    meter_key: _Name | None = None
    boot: BootName = "accepted"
    local_list: bool = False
    dialect: DialectName | None = None
    limit_unit: Literal["W", "A"] | None = None


class WarrantyConfig(msgspec.Struct, frozen=True):
    """What the maker allows to be discharged: AC energy [kWh] and hours of V2X."""

    month_kwh: _Amount | None = None
    year_kwh: _Amount | None = None
    month_h: _Amount | None = None
    year_h: _Amount | None = None


class VehicleConfig(msgspec.Struct, frozen=True):
    """A known car. minimum_soc 0..1: never below; id_tokens: RFID and app tokens of its driver."""

    vehicle_id: _Name
    capacity_kwh: _Capacity | None = None
    id_tokens: Annotated[list[_Name], msgspec.Meta(max_length=1_000)] = []
    evcc_id: _Name | None = None
    v2x_allowed: bool = True
    minimum_soc: _Share | None = None
    warranty_budget: WarrantyConfig | None = None


class MeterConfig(msgspec.Struct, frozen=True):
    """A meter at a site: device profile and address.

    The grid connection may be metered by a station (profile "ocpp", address = station_id: its
    EVSE 0), or not at all, where nothing but charge points is behind it (profile "stations")."""

    site_id: _Name
    profile: _Name
    address: _Name
    meter_id: str = ""


class DeviceConfig(msgspec.Struct, frozen=True):
    """A device at a site that can be steered: device profile and address."""

    site_id: _Name
    profile: _Name
    address: _Name
    device_id: str = ""


class PricesConfig(msgspec.Struct, frozen=True):
    """Where day-ahead prices come from, and for which bidding zone.

    source: energy-charts, awattar, or a file (CSV or JSON) that somebody keeps up to date;
    timezone: of the auction, whose prices of tomorrow are out at 12:45."""

    source: _Name
    zone: str = ""
    timezone: str = "Europe/Berlin"


class ContractConfig(msgspec.Struct, frozen=True):
    """Who gets what of a site from valid_from on; shares by party, each 0..1."""

    party: _Name
    site_id: _Name
    tariff: _Name | None = None
    valid_from: date | None = None
    shares: Annotated[
        dict[str, _Share], msgspec.Meta(description="a table of parties and shares from 0 to 1")
    ] = {}


class TokenConfig(msgspec.Struct, frozen=True):
    """Access to the API; sites None = all."""

    name: _Name
    role: Role
    sha256: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9a-fA-F]{64}\Z",
            description="64 hex digits, made by `pendel token`",
            extra=SECRET,
        ),
    ]
    sites: Annotated[list[_Name], msgspec.Meta(max_length=LIST_MAX)] | None = None


class ServerConfig(msgspec.Struct, frozen=True):
    """Everything `pendel serve` is told. Lists are in file order."""

    site: Annotated[list[SiteConfig], msgspec.Meta(max_length=LIST_MAX)]
    store: str = "sqlite:///var/pendel.db"
    http: HttpConfig = HttpConfig()
    ocpp: OcppConfig = OcppConfig()
    plug_and_charge: PlugAndChargeConfig | None = None
    root: Annotated[list[RootConfig], msgspec.Meta(max_length=1_000)] = []
    station: Annotated[list[StationConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    id_token: Annotated[list[IdTokenConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    vehicle: Annotated[list[VehicleConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    meter: Annotated[list[MeterConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    device: Annotated[list[DeviceConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    prices: PricesConfig | None = None
    contract: Annotated[list[ContractConfig], msgspec.Meta(max_length=LIST_MAX)] = []
    token: Annotated[list[TokenConfig], msgspec.Meta(max_length=LIST_MAX)] = []


def load_server_config(path: Path) -> ServerConfig:
    """Read and check the configuration of a server. Raises InputError with every problem."""
    document = load_toml(path)
    config, problems = check_server(document)
    if config is None or problems:
        raise InputError(problems)
    return config


def check_server(document: TomlDocument) -> tuple[ServerConfig | None, list[Problem]]:
    """The typed configuration (None if it cannot be had) and every problem, ordered by line.

    Cross checks run on the plain data, so that one wrong key does not hide the others.
    """
    config, problems = decode(document, ServerConfig)
    if isinstance(document.data.get("site"), list) and not document.data["site"]:
        problems.append(document.problem(("site",), "no site", "at least one [[site]]"))
    problems += _unique(document)
    problems += _references(document)
    problems += _values(document)
    problems += _doors(document)
    problems.sort(key=lambda problem: problem.line)
    return (None if problems else config), problems


def _entries(document: TomlDocument, table: str) -> Iterable[tuple[int, dict[str, object]]]:
    """The tables of an array of tables, with their index; whatever is no table is left out."""
    found = document.data.get(table)
    if isinstance(found, list):
        for index, entry in enumerate(found):
            if isinstance(entry, dict):
                yield index, entry


def _unique(document: TomlDocument) -> list[Problem]:
    """Ids and names that come twice."""
    problems = []
    keys = {"site": "site_id", "station": "station_id", "vehicle": "vehicle_id", "token": "name"}
    keys |= {"meter": "meter_id", "device": "device_id", "id_token": "token"}
    for table, key in keys.items():
        seen: set[str] = set()
        for index, entry in _entries(document, table):
            name = entry.get(key)
            if not isinstance(name, str) or not name:
                continue
            if table == "id_token":
                name = name.casefold()
            if name in seen:
                path = (table, index, key)
                problems.append(document.problem(path, f'"{name}" is there twice', "once"))
            seen.add(name)
    owner: dict[str, str] = {}
    for index, entry in _entries(document, "vehicle"):
        tokens = entry.get("id_tokens")
        for place, token in enumerate(tokens if isinstance(tokens, list) else []):
            vehicle = str(entry.get("vehicle_id"))
            if isinstance(token, str) and owner.setdefault(token, vehicle) != vehicle:
                text = f'"{token}" belongs to vehicle "{owner[token]}" already'
                at: KeyPath = ("vehicle", index, "id_tokens", place)
                problems.append(document.problem(at, text, "one vehicle per token"))
    return problems


def _references(document: TomlDocument) -> list[Problem]:
    """Sites that are named but not there."""
    sites = {entry.get("site_id") for _, entry in _entries(document, "site")}
    problems = []

    def check(path: KeyPath, name: object) -> None:
        if isinstance(name, str) and name and name not in sites:
            problems.append(
                document.problem(path, f'site "{name}" is not known', "a site_id of a [[site]]")
            )

    for table in ("station", "meter", "device", "contract"):
        for index, entry in _entries(document, table):
            check((table, index, "site_id"), entry.get("site_id"))
    stations = {entry.get("station_id") for _, entry in _entries(document, "station")}
    for index, entry in _entries(document, "root"):
        chosen = entry.get("stations")
        for place, name in enumerate(chosen if isinstance(chosen, list) else []):
            if isinstance(name, str) and name not in stations:
                text, allowed = f'station "{name}" is not known', "a station_id of a [[station]]"
                at: KeyPath = ("root", index, "stations", place)
                problems.append(document.problem(at, text, allowed))
    for index, entry in _entries(document, "token"):
        named = entry.get("sites")
        for place, name in enumerate(named if isinstance(named, list) else []):
            check(("token", index, "sites", place), name)
    return problems


def _values(document: TomlDocument) -> list[Problem]:
    """Time zones, permits and store."""
    problems = []
    path: KeyPath
    for index, entry in _entries(document, "site"):
        zone = entry.get("timezone")
        if isinstance(zone, str) and not zone_exists(zone):
            allowed = "an IANA name such as Europe/Berlin"
            path = ("site", index, "timezone")
            problems.append(document.problem(path, f'"{zone}" is not known', allowed))
        permit = entry.get("export_permit")
        if isinstance(permit, dict):
            begin, end = str(permit.get("valid_from")), permit.get("valid_until")
            if end is not None and str(end) <= begin:
                path = ("site", index, "export_permit", "valid_until")
                text = f"permit ends on {end}, not after its begin"
                problems.append(document.problem(path, text, "later than valid_from"))
    prices = document.data.get("prices")
    zone = prices.get("timezone") if isinstance(prices, dict) else None
    if isinstance(zone, str) and not zone_exists(zone):
        allowed = "an IANA name such as Europe/Berlin"
        problems.append(document.problem(("prices", "timezone"), f'"{zone}" is not known', allowed))
    store = document.data.get("store")
    if isinstance(store, str) and not store_is_known(store):
        problems.append(document.problem(("store",), f'"{store}" is not known', STORE_FORMS))
    return problems


def _doors(document: TomlDocument) -> list[Problem]:
    """Ports that are the same; TLS without certificates; no port for stations at all."""
    problems = []
    http, ocpp = (_table(document.data, name) for name in ("http", "ocpp"))
    tls = _table(ocpp, "tls")
    ports: dict[object, str] = {}
    doors = [("http", "HTTP", http, HttpConfig().port), ("ocpp", "OCPP", ocpp, OcppConfig().port)]
    for name, words, table, default in doors:
        port = table.get("port", default)
        if port and port in ports:
            path: KeyPath = (name, "port") if "port" in table else ("http", "port")
            text = f"{port} is the port of HTTP and of {words}"
            problems.append(document.problem(path, text, "two different ports"))
        ports[port] = words
    if "tls" not in ocpp:
        if ocpp.get("plain") is False:
            text = "no port for stations is left without [ocpp.tls]"
            problems.append(document.problem(("ocpp", "plain"), text, "true, or [ocpp.tls]"))
        return problems
    port = tls.get("port", OcppTlsConfig().port)
    if port and port in ports:
        text = f"{port} is the port of {ports[port]} already"
        problems.append(document.problem(("ocpp", "tls", "port"), text, "another port"))
    if not tls.get("folder") and not tls.get("certificates"):
        text = "no certificate of the server"
        allowed = "folder (made by `pendel ca init`) or certificates"
        problems.append(document.problem(("ocpp", "tls"), text, allowed))
    if tls.get("revoked") and not tls.get("station_ca"):
        text = "revocation lists of nobody"
        problems.append(document.problem(("ocpp", "tls", "revoked"), text, "with station_ca"))
    return problems


def _table(data: dict[str, object], name: str) -> dict[str, object]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def store_is_known(url: str) -> bool:
    """Whether a store address has one of the known forms."""
    if url == "memory://":
        return True
    for prefix in ("sqlite:///", "postgresql://"):
        if url.startswith(prefix):
            return len(url) > len(prefix) and "\0" not in url
    return False
