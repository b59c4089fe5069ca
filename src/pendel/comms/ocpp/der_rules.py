"""Is a DER control acceptable? The rules of prose that the schema does not enforce (block R).

Plain data in (the fields of SetDERControlRequest), problems in words out; none = acceptable.
Station and backend hold themselves to the same list. Sources: OCPP 2.1 part 2, R04 with the errata
of 2025-09 (R04.FR.12 to FR.17), and the field descriptions of the DER types.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Body = Mapping[str, Any]

FIELD_OF_TYPE = {
    "EnterService": "enterService",
    "FixedPFAbsorb": "fixedPFAbsorb",
    "FixedPFInject": "fixedPFInject",
    "FixedVar": "fixedVar",
    "FreqDroop": "freqDroop",
    "Gradients": "gradient",
    "LimitMaxDischarge": "limitMaxDischarge",
}
"""The field of each control type; all others are told as `curve`."""
FIELDS = (*FIELD_OF_TYPE.values(), "curve")
DEFAULT_ONLY = frozenset({"EnterService", "Gradients"})
FREQUENCY_TRIPS = ("HFMustTrip", "HFMayTrip", "LFMustTrip")
VOLTAGE_TRIPS = ("HVMustTrip", "HVMayTrip", "LVMustTrip", "LVMayTrip")
CESSATIONS = ("HVMomCess", "LVMomCess")
ACTIVE_CURVES = ("FreqWatt", "VoltWatt")
REACTIVE_CURVES = ("VoltVar", "WattVar", "WattPF")
MONITORING = "PowerMonitoringMustTrip"
CURVES = (
    *FREQUENCY_TRIPS,
    *VOLTAGE_TRIPS,
    *CESSATIONS,
    *ACTIVE_CURVES,
    *REACTIVE_CURVES,
    MONITORING,
)
TYPES = (*FIELD_OF_TYPE, *CURVES)
"""All 22 control types; there is no LFMayTrip."""
_PERCENT_MAX = 100.0
_NO_UNIT = ("Not_Applicable",)
_VAR_UNITS = ("PctMaxW", "PctMaxVar", "PctVarAvail")
_UNITS = {
    **dict.fromkeys((*FREQUENCY_TRIPS, *VOLTAGE_TRIPS, *CESSATIONS, "WattPF"), _NO_UNIT),
    **dict.fromkeys(ACTIVE_CURVES, ("PctMaxW", "PctWAvail")),
    **dict.fromkeys(("VoltVar", "WattVar"), _VAR_UNITS),
    MONITORING: ("PctMaxW", "Not_Applicable"),
}


def field_of(control_type: str) -> str:
    """The field of SetDERControlRequest that holds a control of this type (R04.FR.16)."""
    return FIELD_OF_TYPE.get(control_type, "curve")


def problems_of(data: Body) -> list[str]:
    """All reasons to refuse a SetDERControlRequest (plain data); empty = acceptable."""
    kind, is_default = str(data.get("controlType")), bool(data.get("isDefault"))
    if kind not in TYPES:
        return [f"controlType: {kind!r} does not exist"]
    expected = field_of(kind)
    given = [name for name in FIELDS if name in data]
    if given != [expected]:
        told = ", ".join(given) or "nothing"
        return [f"{kind} takes {expected} and nothing else, not {told}"]
    body = data[expected]
    found = list(_timing(kind, is_default, body))
    check = _CHECKS.get(kind)
    found += _curve(kind, body) if check is None else check(body)
    return [f"{expected}.{text}" for text in found]


def _timing(kind: str, is_default: bool, body: Body) -> Iterator[str]:
    timed = [name for name in ("startTime", "duration") if name in body]
    if kind in DEFAULT_ONLY:
        if not is_default:
            yield "isDefault: this control exists as default only (R04.FR.14)"
        return
    if is_default and timed:
        yield f"{timed[0]}: a default control has no time (R04.FR.12)"
    if not is_default and len(timed) < 2:
        yield "startTime, duration: a scheduled control needs both"
    if body.get("duration", 1) <= 0:
        yield "duration: more than 0 s"


def _within(body: Body, name: str, low: float, high: float) -> Iterator[str]:
    value = body.get(name)
    if value is not None and not low <= value <= high:
        yield f"{name}: {value:g} is outside {low:g} to {high:g}"


def _not_negative(body: Body, *names: str) -> Iterator[str]:
    for name in names:
        if body.get(name) is not None and not body[name] >= 0:
            yield f"{name}: {body[name]:g} is below 0"


def _droop(body: Body) -> Iterator[str]:
    for name in ("overDroop", "underDroop"):
        if not body[name] > 0:
            yield f"{name}: {body[name]:g} is not above 0"
    if body["underFreq"] > body["overFreq"]:
        yield "underFreq: above overFreq"
    yield from _not_negative(body, "responseTime", "underFreq")


def _fixed_pf(body: Body) -> Iterator[str]:
    if not 0 < body["displacement"] <= 1:
        yield f"displacement: {body['displacement']:g} is no cos phi above 0, at most 1"


def _fixed_var(body: Body) -> Iterator[str]:
    yield from _within(body, "setpoint", -_PERCENT_MAX, _PERCENT_MAX)
    if body["unit"] not in _VAR_UNITS:
        yield f"unit: {body['unit']} is none of {', '.join(_VAR_UNITS)}"


def _enter(body: Body) -> Iterator[str]:
    for name in ("Voltage", "Freq"):
        if body[f"low{name}"] >= body[f"high{name}"]:
            yield f"low{name}: not below high{name}"
    yield from _not_negative(body, "delay", "randomDelay", "rampRate")


def _gradient(body: Body) -> Iterator[str]:
    yield from _not_negative(body, "gradient", "softGradient")


def _limit(body: Body) -> Iterator[str]:
    yield from _within(body, "pctMaxDischargePower", 0.0, _PERCENT_MAX)
    if "pctMaxDischargePower" not in body:
        yield "pctMaxDischargePower: missing"
    if "powerMonitoringMustTrip" in body:
        for text in _curve(MONITORING, body["powerMonitoringMustTrip"]):
            yield f"powerMonitoringMustTrip.{text}"


def _curve(kind: str, body: Body) -> Iterator[str]:
    if body["yUnit"] not in _UNITS[kind]:
        yield f"yUnit: {kind} takes {' or '.join(_UNITS[kind])}, not {body['yUnit']}"
    xs = [point["x"] for point in body["curveData"]]
    ys = [point["y"] for point in body["curveData"]]
    if xs != sorted(xs):
        yield "curveData: x does not ascend"
    if kind not in ("WattVar", "WattPF") and xs and xs[0] < 0:
        yield "curveData: x below 0"
    low, high = -_PERCENT_MAX, _PERCENT_MAX
    if body["yUnit"] == "Not_Applicable":
        low, high = (-1.0, 1.0) if kind == "WattPF" else (0.0, float("inf"))
    if kind == MONITORING:
        low, high = 0.0, _PERCENT_MAX
    if any(not low <= y <= high for y in ys):
        yield f"curveData: y outside {low:g} to {high:g}"
    if kind == "WattPF" and any(y == 0 for y in ys):
        yield "curveData: a power factor of 0"
    yield from _not_negative(body, "responseTime")
    yield from _hysteresis(body.get("hysteresis", {}))
    yield from _voltage_params(kind, body.get("voltageParams", {}))
    params = body.get("reactivePowerParams", {})
    if params and kind != "VoltVar":
        yield "reactivePowerParams: only for VoltVar"
    if params.get("vRef", 1) <= 0:
        yield "reactivePowerParams.vRef: not above 0"
    if params.get("autonomousVRefEnable") and not params.get("autonomousVRefTimeConstant", 0) > 0:
        yield "reactivePowerParams.autonomousVRefTimeConstant: missing or not above 0"


def _hysteresis(body: Body) -> Iterator[str]:
    if ("hysteresisLow" in body) != ("hysteresisHigh" in body):
        yield "hysteresis: hysteresisLow and hysteresisHigh go together"
    elif "hysteresisLow" in body and body["hysteresisLow"] > body["hysteresisHigh"]:
        yield "hysteresis.hysteresisLow: above hysteresisHigh"
    for text in _not_negative(body, "hysteresisDelay", "hysteresisGradient"):
        yield f"hysteresis.{text}"


def _voltage_params(kind: str, body: Body) -> Iterator[str]:
    mean = [name for name in ("hv10MinMeanValue", "hv10MinMeanTripDelay") if name in body]
    if len(mean) == 1:
        yield "voltageParams: hv10MinMeanValue and hv10MinMeanTripDelay go together"
    if mean and kind != "HVMustTrip":
        yield f"voltageParams.{mean[0]}: only for HVMustTrip"
    if "powerDuringCessation" in body and kind not in CESSATIONS:
        yield "voltageParams.powerDuringCessation: only for HVMomCess and LVMomCess"


_CHECKS = {
    "EnterService": _enter,
    "FixedPFAbsorb": _fixed_pf,
    "FixedPFInject": _fixed_pf,
    "FixedVar": _fixed_var,
    "FreqDroop": _droop,
    "Gradients": _gradient,
    "LimitMaxDischarge": _limit,
}
