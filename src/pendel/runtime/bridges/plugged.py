"""A car at an EVSE: the open transaction and what is known of the car behind it."""

from dataclasses import dataclass, replace

from pendel.comms.ocpp.backend.stations import Evse, Station
from pendel.comms.ocpp.backend.transactions import Transaction
from pendel.runtime.bridges.car_needs import EFFICIENCY, Car


@dataclass(frozen=True, slots=True)
class Plugged:
    """One open transaction with the car behind it. limited_by: records of the external limits
    (K11) that bind what the car may do."""

    station: Station
    evse: Evse
    transaction: Transaction
    car: Car
    vehicle_id: str
    limited_by: tuple[str, ...] = ()

    @property
    def session_id(self) -> str:
        """Name of the session: unique per station and transaction."""
        return f"{self.station.station_id}:{self.transaction.transaction_id}"

    @property
    def device_id(self) -> str:
        """Where it is plugged in."""
        return f"{self.station.station_id}/{self.evse.evse_id}"

    @property
    def energy_kwh(self) -> float:
        """Stored energy now: by SoC where the car tells it, else counted from the needs on."""
        if self.transaction.soc is not None:
            return self.transaction.soc * self.car.capacity_kwh
        evse, transaction = self.evse, self.transaction
        taken = transaction.imported.kwh - (evse.needs_import_kwh if evse.needs else 0.0)
        given = transaction.exported.kwh - (evse.needs_export_kwh if evse.needs else 0.0)
        energy = self.car.energy_kwh + taken * EFFICIENCY - given / EFFICIENCY
        return min(max(energy, 0.0), self.car.capacity_kwh)


def with_minimum(car: Car, minimum_soc: float) -> Car:
    """The owner's floor, where it is above the car's own."""
    return replace(car, minimum_kwh=max(car.minimum_kwh or 0.0, minimum_soc * car.capacity_kwh))
