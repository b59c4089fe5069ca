"""Tells a station when a car may do more or less than it was told at its authorisation (Q02).

A car that only its EVCCID tells from others is let in without a list; once it is known, its list
follows by NotifyAllowedEnergyTransfer, and the car chooses its energy transfer anew.
"""

from datetime import datetime, timedelta

from pendel.comms.ocpp.backend.answers import V2X_TRANSFER, transfers
from pendel.comms.ocpp.backend.stations import Station
from pendel.comms.ocpp.backend.transactions import Transaction
from pendel.comms.ocpp.release import Version
from pendel.runtime.network import ChargingNetwork
from pendel.runtime.network_orders import OfflineError, accepted, typed_order

ACTION = "NotifyAllowedEnergyTransfer"
AGAIN = timedelta(seconds=60)


class AllowedTransfers:
    """network: of the stations."""

    def __init__(self, network: ChargingNetwork) -> None:
        self._network = network
        self._not_before: dict[str, datetime] = {}

    def look(self, station: Station, transaction: Transaction, now_utc: datetime) -> None:
        """Send the list of a running transaction where it is another than was told. A transaction
        that no Authorize began (a remote start, a local list) was told nothing: it stays so."""
        if station.ocpp_version != Version.V21.value:
            return
        token, told = transaction.id_token, transaction.transfers
        if told is None:
            if token not in station.transfers:
                return
            told = station.transfers[token] or ()
        policy = self._network.policy
        may = policy.v2x_allowed(station.station_id, token, transaction.evcc_id)
        if may is None or may is not set(told).isdisjoint(V2X_TRANSFER):
            return
        allowed = transfers(policy, station, token, transaction.evcc_id)
        waits = now_utc < self._not_before.get(transaction.transaction_id, now_utc)
        if allowed is None or set(allowed) == set(told) or waits:
            return
        self._not_before[transaction.transaction_id] = now_utc + AGAIN
        self._network.soon(self._send(station.station_id, transaction, allowed))

    async def _send(
        self, station_id: str, transaction: Transaction, allowed: tuple[str, ...]
    ) -> None:
        payload = {
            "transactionId": transaction.transaction_id,
            "allowedEnergyTransfer": list(allowed),
        }
        typed = typed_order(Version.V21, ACTION, payload)
        before, transaction.transfers = transaction.transfers, allowed
        try:
            causes = (transaction.record_id,)
            event = await self._network.order(station_id, ACTION, typed, causes=causes)
        except (OfflineError, OverflowError):
            transaction.transfers = before
            return
        if accepted(event):
            self._not_before.pop(transaction.transaction_id, None)
        else:
            transaction.transfers = before
