"""Moments of the calendar, as systemd's timers take them.

Knows the grammar of calendar events and the bounds of each part (systemd.time(7), "Calendar Events"); hides both behind
``parse``.
"""

from __future__ import annotations

import re
from typing import Any

from ondemand_pkg.declaration.values import Invalid, Value, array, check_text, expect

FORM = 'a moment of the calendar as systemd writes it, such as "Mon..Fri 07:45", "daily" or "*-*-01 06:00"'
_WORDS = ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = "(?:" + "|".join(f"{day[:3]}(?:{day[3:]})?" for day in _DAYS) + ")"
WEEKDAYS = re.compile(rf"{_DAY}(?:\.\.{_DAY})?(?:,{_DAY}(?:\.\.{_DAY})?)*,?", re.IGNORECASE)
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,6})?)"
_ITEM = re.compile(rf"(?:\*|{_NUMBER}(?:\.\.{_NUMBER})?)(?:/{_NUMBER})?")  # a value, or a range, and a step
# The least and the greatest of each part of a date and of a time.
_YEAR, _MONTH, _OF_MONTH = (1970, 2199), (1, 12), (1, 31)
_HOUR, _MINUTE, _SECOND = (0, 23), (0, 59), (0, 59.999999)
LONGEST = 200  # characters


def _calendar(value: Any) -> str:
    expect(value, str, FORM)
    check_text(value, FORM)
    if len(value) > LONGEST or not _is_event(value):
        raise Invalid(value, f"allowed: {FORM}")
    return str(value)


def _is_event(text: str) -> bool:
    words = text.split(" ")
    if len(words) > 1 and _ZONE.fullmatch(words[-1]) and not WEEKDAYS.fullmatch(words[-1]):
        words.pop()
    if len(words) == 1 and words[0].lower() in _WORDS:
        return True
    if words and WEEKDAYS.fullmatch(words[0]):
        words.pop(0)
        if not words:
            return True
    if len(words) > 2:
        return False
    if len(words) == 2:
        return _is_date(words[0]) and _is_time(words[1])
    return bool(words) and (_is_time(words[0]) if ":" in words[0] else _is_date(words[0]))


def _is_date(text: str) -> bool:
    """Tell whether a text is [YEAR-]MONTH-DAY; MONTH~DAY counts the day from the month's end."""
    month, tilde, day = text.rpartition("~")
    parts = [*month.split("-"), day] if tilde else text.split("-")
    bounds = [_YEAR, _MONTH, _OF_MONTH][-len(parts):]
    return len(parts) in (2, 3) and all(map(_is_list, parts, bounds))


def _is_time(text: str) -> bool:
    parts = text.split(":")
    return len(parts) in (2, 3) and all(map(_is_list, parts, (_HOUR, _MINUTE, _SECOND)))


def _is_list(text: str, bounds: tuple[float, float]) -> bool:
    """Tell whether a text is a list of values, ranges and steps within bounds."""
    for item in text.split(","):
        found = _ITEM.fullmatch(item)
        if found is None:
            return False
        values = [float(value) for value in found.groups()[:2] if value is not None]
        is_whole = "." not in item.replace("..", "") or bounds is _SECOND
        if not is_whole or any(not bounds[0] <= value <= bounds[1] for value in values) or values != sorted(values):
            return False
        if found[3] is not None and not 0 < float(found[3]) <= bounds[1]:
            return False
    return True


def _events(value: Any) -> tuple[str, ...]:
    return tuple(_MANY.parse(value)) if isinstance(value, list) else (_calendar(value),)


_SCHEMA = {"type": "string", "maxLength": LONGEST}
_MANY = array(Value(FORM, _calendar, _SCHEMA), 1)
EVENTS = Value(f"{FORM}, or an array of such", _events, {"anyOf": [_SCHEMA, dict(_MANY.schema)]})
