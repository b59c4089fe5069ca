"""Limits that others set at a station become limits of control.

An external limit (K11) caps what a car at that EVSE may draw or give, so that the plan, the promise
and every profile stay inside it (K02.FR.01); the record of the message that told of it is a cause.
A limit of a whole station is shared equally by its cars, as the station itself would divide it.
Local generation is no limit: it is shown, and what is on top stays the station's own affair.
"""

from dataclasses import replace
from datetime import datetime

from pendel.comms.ocpp.backend.stations import Station
from pendel.runtime.bridges.car_needs import Car


def within_external(
    car: Car, station: Station, evse_id: int, now_utc: datetime
) -> tuple[Car, tuple[str, ...]]:
    """The car as far as external limits let it, and the records of those that bind."""
    if not station.external_limits:
        return car, ()
    cars = sum(1 for each in list(station.evses.values()) if _has_car(station, each.transaction_id))
    charge_kw, discharge_kw, causes = car.charge_max_kw, car.discharge_max_kw, []
    for limit in list(station.external_limits.values()):
        if limit.is_generation or limit.evse_id not in (0, evse_id):
            continue
        share = 1.0 / max(cars, 1) if limit.evse_id == 0 else 1.0
        import_kw, export_kw = limit.most_kw(now_utc)
        binds = False
        if import_kw is not None and import_kw * share < charge_kw:
            charge_kw, binds = import_kw * share, True
        if export_kw is not None and export_kw * share < discharge_kw:
            discharge_kw, binds = export_kw * share, True
        if binds:
            causes.append(limit.record_id)
    return replace(car, charge_max_kw=charge_kw, discharge_max_kw=discharge_kw), tuple(causes)


def _has_car(station: Station, transaction_id: str) -> bool:
    transaction = station.transactions.get(transaction_id)
    return transaction is not None and transaction.is_open
