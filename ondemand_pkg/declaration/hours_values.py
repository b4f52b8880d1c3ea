"""Hours of the week.

Knows how they are written, days as systemd names them and times of the clock; hides the grammar behind ``parse``.
"""

from __future__ import annotations

import re
from typing import Any

from ondemand_pkg.declaration.calendar_values import WEEKDAYS as WRITTEN_DAYS
from ondemand_pkg.declaration.values import Invalid, Value, array, check_text, expect
from ondemand_pkg.week import WEEKDAYS, Hours

FORM = '"[DAYS] HH:MM..HH:MM", such as "Mon..Fri 08:00..18:00", "Sat,Sun 20:00..02:00" or "00:00..24:00"'
_TIMES = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\.\.(?:([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00)")
MIDNIGHT = 24 * 60


def _hours(value: Any) -> Hours:
    expect(value, str, FORM)
    check_text(value, FORM)
    days, _, times = value.rpartition(" ")
    found = _TIMES.fullmatch(times)
    if found is None or (days and not WRITTEN_DAYS.fullmatch(days)):
        raise Invalid(value, f"allowed: {FORM}")
    begin = int(found[1]) * 60 + int(found[2])
    end = MIDNIGHT if found[3] is None else int(found[3]) * 60 + int(found[4])
    if begin == end:
        raise Invalid(value, 'write "00:00..24:00" for a whole day', why="it ends when it begins")
    return Hours(begin, end, _days(value, days))


def _days(value: str, written: str) -> tuple[int, ...]:
    """Return the days of a list of days and ranges, in the order of the week."""
    found = set()
    for item in filter(None, written.split(",")):
        first, *last = (_names().index(day[:3].lower()) for day in item.split(".."))
        if last and last[0] < first:
            raise Invalid(value, f"allowed: {FORM}", why=f'"{item}" goes beyond the week, which begins with Monday')
        found |= set(range(first, last[0] + 1 if last else first + 1))
    return tuple(sorted(found))


def _names() -> list[str]:
    return [day.lower() for day in WEEKDAYS]


def _several(value: Any) -> tuple[Hours, ...]:
    return tuple(_MANY.parse(value)) if isinstance(value, list) else (_hours(value),)


_SCHEMA = {"type": "string", "pattern": r"^(?:[A-Za-z.,]+ )?[0-9]{1,2}:[0-9]{2}\.\.[0-9]{1,2}:[0-9]{2}$"}
_MANY = array(Value(FORM, _hours, _SCHEMA), 1)
HOURS = Value(f"{FORM}, or an array of such", _several, {"anyOf": [_SCHEMA, dict(_MANY.schema)]})
