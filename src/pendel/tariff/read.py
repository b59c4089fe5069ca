"""Reads a tariff from TOML: every problem at once, with its line; gaps and overlaps refused.

Shape: `name, currency, timezone`, then `[[component]]` with `name, kind, direction, valid_from`
(inclusive), `valid_until` (exclusive, absent = open), and the numbers of its kind as strings.
"""

import itertools
from datetime import date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pendel.config import TomlDocument
from pendel.config.lines import KeyPath
from pendel.errors import Problem
from pendel.tariff.currency import MINOR_DIGITS
from pendel.tariff.exact import SIGNED_ALLOWED, parse_fraction
from pendel.tariff.kinds import SHAPES, SIGNED, Shape
from pendel.tariff.model import Component, Direction, Kind, Tariff, Window

COMPONENTS_MAX = 500
WINDOWS_MAX = 50
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_COMMON = ("name", "kind", "direction", "valid_from", "valid_until", "source", "legal_ref")
MONTHLY = frozenset(
    {
        Kind.CAP,
        Kind.DEMAND_CHARGE,
        Kind.FLOOR,
        Kind.FREE_ALLOWANCE,
        Kind.LEVY_RELIEF,
        Kind.NET_METERING,
        Kind.PENALTY,
        Kind.SESSION_BONUS,
    }
)
_WINDOW = ("from", "until", "weekdays", "months")


def read_tariff(document: TomlDocument) -> tuple[Tariff | None, list[Problem]]:
    """The tariff of a TOML document, or None and every problem, ordered by line."""
    reader = _Reader(document)
    tariff = reader.tariff()
    problems = sorted(reader.problems, key=lambda problem: problem.line)
    return (None, problems) if problems else (tariff, [])


class _Reader:
    def __init__(self, document: TomlDocument) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.currency = ""

    def fault(self, path: KeyPath, problem: str, allowed: str = "") -> None:
        self.problems.append(self.document.problem(path, problem, allowed))

    def tariff(self) -> Tariff:
        data = self.document.data
        self._unknown((), data, ("name", "currency", "timezone", "component", "source"))
        name = self._text((), data, "name")
        self.currency = self._text((), data, "currency")
        if self.currency and self.currency not in MINOR_DIGITS:
            allowed = ", ".join(MINOR_DIGITS)
            self.fault(("currency",), f"{self.currency} is not a known currency", allowed)
        timezone = self._text((), data, "timezone")
        if timezone and not _is_zone(timezone):
            self.fault(("timezone",), f"{timezone} is not a time zone", "like Europe/Berlin")
        listed = data.get("component")
        if not isinstance(listed, list) or not 0 < len(listed) <= COMPONENTS_MAX:
            self.fault(("component",), "no list of components", f"1 to {COMPONENTS_MAX}")
            listed = []
        components: list[tuple[int, Component]] = []
        for index, table in enumerate(listed):
            component = self._component(("component", index), table)
            if component is not None:
                components.append((index, component))
        self._check_validity(components)
        self._check_groups(components)
        return Tariff(name, self.currency, timezone, tuple(c for _, c in components))

    def _unknown(self, path: KeyPath, table: dict[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.fault((*path, key), "unknown key", ", ".join(known))

    def _text(self, path: KeyPath, table: dict[str, Any], key: str, needed: bool = True) -> str:
        value = table.get(key)
        if isinstance(value, str) and value.strip():
            return value
        if value is not None:
            self.fault((*path, key), "is not a text", "a text that is not empty")
        elif needed:
            self.problems.append(
                Problem(self.document.file, self.document.line_of(path), key, "missing", "a text")
            )
        return ""

    def _component(self, path: KeyPath, table: Any) -> Component | None:
        if not isinstance(table, dict):
            self.fault(path, "is not a table", "[[component]]")
            return None
        found = len(self.problems)
        name = self._text(path, table, "name")
        kind_text = self._text(path, table, "kind")
        if kind_text not in list(Kind):
            if kind_text:
                self.fault((*path, "kind"), f"{kind_text} is unknown", ", ".join(Kind))
            return None
        kind = Kind(kind_text)
        shape = SHAPES[kind]
        names = {key: key.replace("{cur}", self.currency.lower()) for key in _all_numbers(shape)}
        extra = [*names.values()]
        extra += ["window", "holidays"] if shape.windows != "none" else []
        extra += ["of"] if shape.group else []
        extra += ["negative_price_rule"] if shape.negative_price_rule else []
        self._unknown(path, table, (*_COMMON, *extra))
        numbers = self._numbers(path, table, shape, names)
        component = Component(
            name=name,
            kind=kind,
            direction=self._direction(path, table, shape),
            valid_from=self._day(path, table, "valid_from") or date.min,
            valid_until=self._day(path, table, "valid_until", needed=False),
            numbers=numbers,
            of=self._names(path, table),
            negative_price_rule=table.get("negative_price_rule") is True,
            windows=self._windows(path, table, shape),
            holidays=frozenset(self._days(path, table)),
            source=self._text(path, table, "source", needed=False),
            legal_ref=self._text(path, table, "legal_ref", needed=False),
        )
        until = component.valid_until
        if until is not None and until <= component.valid_from:
            self.fault((*path, "valid_until"), f"{until} is not after valid_from")
        if "ct_kwh" in numbers and kind is Kind.TAX and component.direction is Direction.NONE:
            self.fault((*path, "direction"), "none has no kWh to tax", "import, export")
        self._check_months(path, component)
        return component if len(self.problems) == found else None

    def _check_months(self, path: KeyPath, component: Component) -> None:
        """Kinds that are counted by the month change only with the month."""
        if component.kind not in MONTHLY and "percent" not in component.numbers:
            return
        for key in ("valid_from", "valid_until"):
            day = getattr(component, key)
            if day is not None and day.day != 1:
                self.fault((*path, key), f"{day}: this kind changes with the month", "a first")

    def _direction(self, path: KeyPath, table: dict[str, Any], shape: Shape) -> Direction:
        if "direction" not in table:
            return shape.directions[0]
        text = self._text(path, table, "direction")
        if text in [direction.value for direction in shape.directions]:
            return Direction(text)
        allowed = ", ".join(direction.value for direction in shape.directions)
        if text:
            self.fault((*path, "direction"), f"{text} does not fit this kind", allowed)
        return shape.directions[0]

    def _numbers(
        self, path: KeyPath, table: dict[str, Any], shape: Shape, names: dict[str, str]
    ) -> dict[str, Fraction]:
        """Parameters under their name with `{cur}` replaced by `cur`."""
        numbers: dict[str, Fraction] = {}
        for pattern, name in names.items():
            if name in table:
                key = pattern.replace("{cur}", "cur")
                numbers[key] = self._number(
                    (*path, name), table[name], _may_be_negative(shape, key)
                )
            elif pattern in shape.required:
                line = self.document.line_of(path)
                self.problems.append(
                    Problem(self.document.file, line, name, "missing", "a number as text")
                )
        given = [names[pattern] for pattern in shape.one_of if names[pattern] in table]
        if shape.one_of and len(given) != 1:
            allowed = "exactly one of " + ", ".join(names[pattern] for pattern in shape.one_of)
            self.fault(path, "two prices" if given else "no price", allowed)
        return numbers

    def _number(self, path: KeyPath, value: Any, signed: bool) -> Fraction:
        number = parse_fraction(value) if isinstance(value, str) else None
        if number is None:
            problem = "is not a text" if not isinstance(value, str) else f"{value!r} is no number"
            self.fault(path, problem, f'in quotes, {SIGNED_ALLOWED}, like "0.24"')
            return Fraction(0)
        if number < 0 and not signed:
            self.fault(path, f"{value} is below 0", "0 or more")
        if path[-1] == "resolution_min" and number not in (15, 30, 60):
            self.fault(path, f"{value} minutes", "15, 30, 60")
        return number

    def _day(
        self, path: KeyPath, table: dict[str, Any], key: str, needed: bool = True
    ) -> date | None:
        value = table.get(key)
        if value is None:
            if needed:
                line = self.document.line_of(path)
                self.problems.append(
                    Problem(self.document.file, line, key, "missing", "a day like 2026-01-01")
                )
            return None
        return self._as_day((*path, key), value)

    def _as_day(self, path: KeyPath, value: Any) -> date | None:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            self.fault(path, f"{value} is not a day", "like 2026-01-01")
            return None

    def _days(self, path: KeyPath, table: dict[str, Any]) -> list[date]:
        listed = table.get("holidays", [])
        if not isinstance(listed, list):
            self.fault((*path, "holidays"), "is not a list of days")
            return []
        days = [
            self._as_day((*path, "holidays", index), value) for index, value in enumerate(listed)
        ]
        return [day for day in days if day is not None]

    def _names(self, path: KeyPath, table: dict[str, Any]) -> tuple[str, ...]:
        listed = table.get("of", [])
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            self.fault((*path, "of"), "is not a list of component names")
            return ()
        return tuple(listed)

    def _windows(self, path: KeyPath, table: dict[str, Any], shape: Shape) -> tuple[Window, ...]:
        listed = table.get("window", [])
        if not isinstance(listed, list) or len(listed) > WINDOWS_MAX:
            self.fault((*path, "window"), "is not a list of windows", f"at most {WINDOWS_MAX}")
            return ()
        if shape.windows == "priced" and not listed:
            self.fault(path, "no window", "[[component.window]] with from, until, ct_kwh")
        priced = shape.windows == "priced"
        return tuple(
            self._window((*path, "window", index), value, priced)
            for index, value in enumerate(listed)
        )

    def _window(self, path: KeyPath, table: Any, priced: bool) -> Window:
        if not isinstance(table, dict):
            self.fault(path, "is not a table")
            return Window()
        self._unknown(path, table, (*_WINDOW, "ct_kwh") if priced else _WINDOW)
        ct_kwh = Fraction(0)
        if priced:
            ct_kwh = self._number((*path, "ct_kwh"), table.get("ct_kwh"), signed=True)
        weekdays, months = table.get("weekdays", list(WEEKDAYS)), table.get("months")
        if not isinstance(weekdays, list) or not set(map(str, weekdays)) <= set(WEEKDAYS):
            self.fault((*path, "weekdays"), "unknown weekday", ", ".join(WEEKDAYS))
            weekdays = []
        months = list(range(1, 13)) if months is None else months
        if not isinstance(months, list) or not all(month in range(1, 13) for month in months):
            self.fault((*path, "months"), "unknown month", "1 to 12")
            months = []
        return Window(
            self._minute((*path, "from"), table.get("from", "00:00")),
            self._minute((*path, "until"), table.get("until", "24:00")),
            frozenset(WEEKDAYS.index(day) for day in weekdays),
            frozenset(months),
            ct_kwh,
        )

    def _minute(self, path: KeyPath, value: Any) -> int:
        hour, _, minute = str(value).partition(":")
        if hour.isdecimal() and minute.isdecimal() and len(hour) == len(minute) == 2:
            total = int(hour) * 60 + int(minute)
            if int(minute) in (0, 15, 30, 45) and total <= 1440:
                return total
        self.fault(path, f"{value} is not a quarter hour of the day", "00:00 to 24:00")
        return 0

    def _check_validity(self, components: list[tuple[int, Component]]) -> None:
        """Versions of one component follow each other without a gap or an overlap."""
        versions: dict[str, list[tuple[int, Component]]] = {}
        for index, component in components:
            versions.setdefault(component.name, []).append((index, component))
        for listed in versions.values():
            listed.sort(key=lambda item: item[1].valid_from)
            for (_, before), (index, after) in itertools.pairwise(listed):
                path: KeyPath = ("component", index, "valid_from")
                text = f"{after.name} from {after.valid_from}"
                end = before.valid_until
                if end is None or end > after.valid_from:
                    known = f"valid until {end}" if end else "valid without end"
                    self.fault(path, f"{text} overlaps the version {known}")
                elif end < after.valid_from:
                    self.fault(path, f"{text} leaves a gap, the version before ends {end}")
                if before.kind != after.kind:
                    self.fault(path, f"{text} is {after.kind}, before it was {before.kind}")

    def _check_groups(self, components: list[tuple[int, Component]]) -> None:
        names = {component.name for _, component in components}
        for index, component in components:
            for place, name in enumerate(component.of):
                if name not in names or name == component.name:
                    self.fault(("component", index, "of", place), f"no other component {name}")


def _all_numbers(shape: Shape) -> tuple[str, ...]:
    return (*shape.required, *shape.optional, *shape.one_of)


def _may_be_negative(shape: Shape, key: str) -> bool:
    is_fee = shape is SHAPES[Kind.FIXED_FEE]
    return is_fee or key in SIGNED or shape in (SHAPES[Kind.CAP], SHAPES[Kind.FLOOR])


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
