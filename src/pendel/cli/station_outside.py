"""Lines on stdin by which an outside system and the button of a virtual station speak (K11-K13,
K22, K27): `limit 4 SO critical`, `limit 4@0 2@600`, `release`, `priority on`."""

from typing import TYPE_CHECKING

from pendel.comms.ocpp.station.external_system import SOURCES, Order

if TYPE_CHECKING:
    from pendel.comms.ocpp.station.core import VirtualStation
    from pendel.comms.ocpp.station.v2_charging import Charging2


def outside(station: "VirtualStation", word: str, arguments: list[str], now_s: float) -> None:
    """Do it. Raises ValueError with words for whoever typed it."""
    charging = _charging(station)
    words = [argument for argument in arguments if not _is_number(argument)]
    numbers = [argument for argument in arguments if _is_number(argument)]
    if word == "priority":
        if arguments not in (["on"], ["off"]):
            raise ValueError("priority on, or priority off")
        charging.press_button(1, arguments == ["on"], now_s)
        return
    unknown = set(words) - {*SOURCES, "critical", "generation"}
    if unknown:
        raise ValueError(f"not understood: {' '.join(sorted(unknown))}")
    source = next((name for name in words if name in SOURCES), "EMS")
    if word == "release":
        charging.external.release(source, now_s, generation="generation" in words)
        return
    if not numbers:
        raise ValueError(f"{word} needs a number of kW, or KW@SECONDS for each step")
    critical = True if "critical" in words else None
    if "@" in numbers[0] or len(numbers) > 1:
        steps = tuple(_step(number) for number in numbers)
        if steps[0][0] != 0.0 or sorted(steps) != list(steps):
            raise ValueError("a schedule begins at 0 s and goes on in order")
        setpoint_kw = steps[0][1] if word == "setpoint" else None
        order = Order(setpoint_kw=setpoint_kw, schedule=steps, critical=critical)
    elif word == "setpoint":
        order = Order(setpoint_kw=float(numbers[0]), critical=critical)
    else:
        order = Order(limit_kw=float(numbers[0]), critical=critical)
    refused = charging.external.set(source, order, now_s, generation=word == "generation")
    if refused:
        raise ValueError(refused)


def _charging(station: "VirtualStation") -> "Charging2":
    from pendel.comms.ocpp.station.v2_charging import Charging2

    if not isinstance(station.dialect, Charging2):
        raise ValueError("only a 2.x station tells of limits from outside")
    return station.dialect


def _step(text: str) -> tuple[float, float]:
    limit, _, start = text.partition("@")
    return float(start or 0.0), float(limit)


def _is_number(text: str) -> bool:
    try:
        _step(text)
    except ValueError:
        return False
    return True
