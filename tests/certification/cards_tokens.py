"""Cards about tokens (block C): their states, groups, master passes; reservations for a group."""

from card_steps import (
    AS_MASTER,
    GROUP,
    IN_GROUP,
    MASTER,
    OTHER_OF_GROUP,
    TOKEN,
    Card,
    Says,
    Sends,
    begun,
    event,
    status,
)


def authorize(token: str, told: str) -> Says:
    """Authorize and the status it is answered with."""
    asked = {"idToken": {"idToken": token, "type": "ISO14443"}}
    return Says("Authorize", asked, {"idTokenInfo": {"status": told}})


def by_group(*before: Says, asks: bool) -> Card:
    """A transaction that another one of the group stops. asks: with an Authorize before."""
    asked = [Says("Authorize", {"idToken": OTHER_OF_GROUP}, IN_GROUP)] if asks else []
    stop = {"idToken": OTHER_OF_GROUP, "expected": IN_GROUP}
    return [
        *before,
        event(0, "Started", "CablePluggedIn", state="EVConnected"),
        event(1, "Updated", "Authorized", idToken=TOKEN, expected=IN_GROUP),
        event(2, "Updated", "ChargingStateChanged", state="Charging"),
        *asked,
        event(3, "Updated", "StopAuthorized", state="EVConnected", **stop),
        event(4, "Ended", "EVCommunicationLost", why="EVDisconnected", state="Idle"),
    ]


def master_pass(name: str) -> Card:
    """All transactions of a station, stopped by a master pass."""
    ends = {"why": "MasterPass", "idToken": MASTER, "expected": AS_MASTER}
    second = f"{name}-2"
    other = event(0, "Started", "Authorized", second, idToken=TOKEN)
    other.payload["evse"] = {"id": 2, "connectorId": 1}
    return [
        *begun(),
        other,
        Says("Authorize", {"idToken": MASTER}, AS_MASTER),
        event(3, "Ended", "StopAuthorized", **ends),
        event(1, "Ended", "StopAuthorized", second, **ends),
    ]


CARDS: dict[str, Card] = {
    "TC_C_06_CSMS": [authorize("BLOCKED", "Blocked")],
    "TC_C_07_CSMS": [authorize("EXPIRED", "Expired")],
    "TC_C_39_CSMS": by_group(Says("Authorize", {"idToken": OTHER_OF_GROUP}, IN_GROUP), asks=True),
    "TC_C_40_CSMS": by_group(asks=False),
    "TC_C_43_CSMS": by_group(asks=True),
    "TC_C_47_CSMS": master_pass("C47"),
    "TC_C_48_CSMS": [
        Says("Authorize", {"idToken": MASTER}, AS_MASTER),
        *begun(),
        event(3, "Ended", "StopAuthorized", why="MasterPass", idToken=MASTER, expected=AS_MASTER),
    ],
    "TC_C_49_CSMS": master_pass("C49"),
    "TC_H_19_CSMS": [
        Sends(
            "ReserveNow",
            {
                "id": 5,
                "expiryDateTime": "2026-03-01T13:00:00Z",
                "idToken": TOKEN,
                "evseId": 1,
                **GROUP,
            },
        ),
        status("Reserved"),
        Says("Authorize", {"idToken": OTHER_OF_GROUP}, IN_GROUP),
        event(0, "Started", "Authorized", idToken=OTHER_OF_GROUP, expected=IN_GROUP),
    ],
}
