"""What the configuration decides about stations, tokens and cars."""

from datetime import datetime

import msgspec

from pendel.adapters.doorkeeper import Admission
from pendel.comms.ocpp.backend.tokens import IdToken, TokenBook, TokenInfo, token_key
from pendel.config.server import ServerConfig, StationConfig, VehicleConfig
from pendel.runtime.bridges.dialects import Dialect, Manner, manner_of

V2X_MODES = ("v2h", "v2b", "v2g")


class ConfigPolicy:
    """Implements `comms.ocpp.backend.answers.Policy` from a ServerConfig.

    A token is Accepted when it is that of a [[vehicle]] or an [[id_token]] that says so; where
    nobody names any token, the network is open and every token is (docs/decisions/0091). What an
    operator decided since (`runtime.network_settings`) is in tokens, boots and admissions.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.stations: dict[str, StationConfig] = {s.station_id: s for s in config.station}
        self.admissions = {
            s.station_id: Admission(s.station_id, s.password_hash, s.lenient)
            for s in config.station
        }
        self.sites = {site.site_id: site for site in config.site}
        self.grid_of = {
            meter.site_id: meter.address if meter.profile == "ocpp" else meter.profile
            for meter in config.meter
        }
        self._contracted = {c.site_id for c in config.contract if c.tariff is not None}
        self._by_evcc = {v.evcc_id.casefold(): v for v in config.vehicle if v.evcc_id}
        self._known_by_evcc_only = any(v.evcc_id and not v.id_tokens for v in config.vehicle)
        self._by_token: dict[str, VehicleConfig] = {
            token_key(token): vehicle for vehicle in config.vehicle for token in vehicle.id_tokens
        }
        self.boots: dict[str, str] = {}
        self.tokens = TokenBook.of(
            (IdToken(**msgspec.structs.asdict(entry)) for entry in config.id_token),
            (token for vehicle in config.vehicle for token in vehicle.id_tokens),
            config.ocpp.master_pass_group,
        )

    def token(self, token: str, now_utc: datetime) -> TokenInfo:
        """What is known of a token now."""
        return self.tokens.info(token, now_utc)

    def boot_status(self, station_id: str) -> str:
        """Accepted, Pending or Rejected: what an operator said, else the configuration."""
        told = self.boots.get(station_id)
        station = self.stations.get(station_id)
        return (told or ("accepted" if station is None else station.boot)).capitalize()

    def has_tariff(self, site_id: str) -> bool:
        """Whether a site has a tariff, of its own or by a contract."""
        site = self.sites.get(site_id)
        return site_id in self._contracted or (site is not None and site.tariff is not None)

    def vehicle(self, token: str, evcc_id: str = "") -> VehicleConfig | None:
        """The car of an EVCCID, else of a token, where it is known."""
        found = self._by_evcc.get(evcc_id.casefold())
        return self._by_token.get(token_key(token)) if found is None else found

    def v2x_allowed(self, station_id: str, token: str, evcc_id: str = "") -> bool | None:
        """Whether the car of a token or EVCCID may discharge at a station; None while it may be one
        that only its EVCCID tells from others."""
        station, vehicle = self.stations.get(station_id), self.vehicle(token, evcc_id)
        if station is None or station.mode not in V2X_MODES:
            return False
        if vehicle is None and not evcc_id and self._known_by_evcc_only:
            return None
        return vehicle is None or vehicle.v2x_allowed

    def manner(self, station_id: str, vendor: str, model: str, version: str) -> Manner:
        """How a station wants to be told its power: by the configuration, else by its model."""
        known = manner_of(vendor, model, version)
        station = self.stations.get(station_id)
        if station is None:
            return known
        dialect = known.dialect if station.dialect is None else Dialect(station.dialect)
        return Manner(dialect, station.limit_unit or known.unit)

    def steers(self, station_id: str) -> bool:
        """Whether the station's charging is controlled at all."""
        station = self.stations.get(station_id)
        return station is not None and station.mode != "uncontrolled"
