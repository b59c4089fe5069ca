"""What the configuration decides about stations, tokens and cars."""

import re

from pendel.adapters.doorkeeper import Admission
from pendel.config.server import ServerConfig, StationConfig, VehicleConfig

V2X_MODES = ("v2h", "v2b", "v2g")
EMAID = re.compile(r"[a-z]{2}-?[0-9a-z]{3}-?[0-9a-z]{9}(-?[0-9a-z])?\Z")
"""An eMAID in lower case, with or without separators (ISO 15118-1, annex H)."""


class ConfigPolicy:
    """Implements `comms.ocpp.backend.answers.Policy` from a ServerConfig.

    A token is Accepted when it is that of a [[vehicle]]; where no vehicle names any token, the
    network is open and every token is (docs/decisions/0091).
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
        self._by_token: dict[str, VehicleConfig] = {
            _key(token): vehicle for vehicle in config.vehicle for token in vehicle.id_tokens
        }

    def token_status(self, station_id: str, token: str) -> str:
        """Accepted or Invalid. Tokens do not tell upper from lower case (CiString)."""
        known = not self._by_token or _key(token) in self._by_token
        return "Accepted" if known else "Invalid"

    def has_tariff(self, site_id: str) -> bool:
        """Whether a site has a tariff, of its own or by a contract."""
        site = self.sites.get(site_id)
        return site_id in self._contracted or (site is not None and site.tariff is not None)

    def vehicle(self, token: str) -> VehicleConfig | None:
        """The car of a token, where it is known."""
        return self._by_token.get(_key(token))

    def v2x_allowed(self, station_id: str, token: str) -> bool:
        """Whether the car of a token may discharge at a station."""
        station, vehicle = self.stations.get(station_id), self.vehicle(token)
        if station is None or station.mode not in V2X_MODES:
            return False
        return vehicle is None or vehicle.v2x_allowed

    def steers(self, station_id: str) -> bool:
        """Whether the station's charging is controlled at all."""
        station = self.stations.get(station_id)
        return station is not None and station.mode != "uncontrolled"


def _key(token: str) -> str:
    """A token as it is compared: the separators of an eMAID say nothing."""
    plain = token.casefold()
    return plain.replace("-", "") if EMAID.match(plain) else plain
