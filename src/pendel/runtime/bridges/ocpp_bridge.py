"""Ties a charging network to a runtime: each site's real stations become the ports of its area."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pendel.clock import floor_to_step
from pendel.comms.ocpp.release import Version
from pendel.ports import PriceSource
from pendel.runtime.area_tick import Ports
from pendel.runtime.bridges.der_book import DerBook
from pendel.runtime.bridges.ocpp_site import OcppSite
from pendel.runtime.bridges.steering import Steering
from pendel.runtime.engine import Runtime
from pendel.runtime.network import ChargingNetwork

FLAT_IMPORT_EUR_KWH = 0.30
FLAT_DAYS = 2
FLAT_STEP_S = 900


class FlatPrices:
    """A site without tariff: every hour costs the same and nothing is paid for export, so that
    nothing but promises and limits decides and nothing is ever discharged for money."""

    def published(
        self, site_id: str, now_utc: datetime
    ) -> tuple[Sequence[datetime], Sequence[float], Sequence[float]]:
        """The same price for the coming two days."""
        begin = floor_to_step(now_utc, FLAT_STEP_S)
        count = FLAT_DAYS * 86_400 // FLAT_STEP_S
        begins = [begin + timedelta(seconds=FLAT_STEP_S * i) for i in range(count)]
        return begins, [FLAT_IMPORT_EUR_KWH] * count, [0.0] * count


@dataclass(slots=True)
class OcppBridge:
    """Implements `runtime.network.Listener`; site_of: by station id."""

    network: ChargingNetwork
    steering: Steering
    site_of: dict[str, OcppSite]
    der: DerBook

    def heard(self, station_id: str, action: str, payload: Any) -> None:
        """A request was stored and answered."""
        self.der.heard(station_id, action, payload)
        site = self.site_of.get(station_id)
        if site is None:
            return
        now_utc = self.network.now_utc()
        if action == "BootNotification":
            self.steering.booted(station_id)
        elif action == "NotifyEVChargingNeeds":
            self.steering.renew(station_id, payload.evseId)
            site.prepare(station_id, payload.evseId, now_utc)
        elif action == "NotifyEVChargingSchedule":
            told = self.network.csms.network.station(station_id).evse(payload.evseId)
            self.steering.breached(station_id, payload.evseId, told.schedule_problem)
        elif action == "TransactionEvent" and payload.eventType == "Started":
            station = self.network.csms.network.station(station_id)
            transaction = station.transactions.get(payload.transactionInfo.transactionId)
            if transaction is not None and transaction.is_open:
                evse = station.evses.get(transaction.evse_id)
                if evse is not None and evse.needs is not None:
                    site.prepare(station_id, evse.evse_id, now_utc)

    def came(self, station_id: str, version: Version) -> None:
        """A station connected: what it was not told yet follows."""
        self.der.came(station_id)
        for line in list(self.steering.lines.values()):
            if line.station_id == station_id:
                line.not_before_s = 0.0
                line.manner = None
                self.network.soon(self.steering.drive(line))

    def went(self, station_id: str) -> None:
        """A station has no connection any more: its own rules hold (Q11)."""


def bridge(
    runtime: Runtime, network: ChargingNetwork, prices: PriceSource | None = None
) -> OcppBridge:
    """Connect a network with the areas of a runtime; call before either starts.

    prices: of the sites that have a tariff; the others pay the same at every hour."""
    steering = Steering(network)
    site_of: dict[str, OcppSite] = {}
    for area in runtime.areas:
        site = OcppSite(area.spec, network, steering, runtime.state, area=area)
        site.has_tariff = any(network.policy.has_tariff(site_id) for site_id in area.spec.site_id)
        site.recall_modes()
        paid = prices if prices is not None and site.has_tariff else FlatPrices()
        area.ports = Ports(site, site, site, paid)
        for station in area.stations:
            site_of[station.station_id] = site
    der = DerBook(network)
    der.recall(runtime.state)
    found = OcppBridge(network, steering, site_of, der)
    network.listener = found
    return found
