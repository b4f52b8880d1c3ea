"""The kinds of value that describe a package: versions, relations, changelog.

Knows what each format allows; hides the patterns.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from ondemand_pkg.declaration.values import Invalid, Parts, Value, array, expect, line, pattern
from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.model import Depends, Release

_DEB_NAME = r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?"
_DEB_ONE = rf"{_DEB_NAME}(?: \((?:<<|<=|=|>=|>>) [A-Za-z0-9.+~:-]+\))?"
DEB_RELATION = pattern(rf"{_DEB_ONE}(?: \| {_DEB_ONE})*", 'a Debian relation, such as "foo (>= 1) | bar"')
RPM_RELATION = pattern(r"\([!-~ ]+\)|[A-Za-z0-9_/][A-Za-z0-9_.+()/:-]*(?: (?:<|<=|=|>=|>) [A-Za-z0-9._+~^:-]+)?",
                       'an RPM dependency, such as "foo >= 1" or "(foo or bar)"')
_RELATIONS = {DEB.name: array(DEB_RELATION), RPM.name: array(RPM_RELATION)}


def _depends(value: Any) -> Depends:
    allowed = '{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }'
    expect(value, dict, allowed)
    parsed, parts = {}, Parts()
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key not in _RELATIONS:
                raise Invalid(element, f"allowed: {allowed}", why="unknown key")
            parsed[key] = _RELATIONS[key].parse(element)
    parts.check()
    return Depends(**parsed)


DEPENDS = Value('{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }', _depends, {
    "type": "object", "additionalProperties": False,
    "properties": {name: dict(relations.schema) for name, relations in _RELATIONS.items()},
})

VERSION = pattern(r"[0-9][A-Za-z0-9.+~]{0,99}", "a version of digits, letters, '.', '+' and '~' that begins with a digit "
                                                "('-' separates the release in both formats), up to 100 characters")
_RELEASE_VERSION = pattern(r"[0-9][A-Za-z0-9.+~]{0,99}-[0-9]{1,9}", 'VERSION-RELEASE, such as "1.27.0-1"')


def _date(value: Any) -> date:
    if type(value) is not date or value.year < 1990:
        raise Invalid(value, "allowed: a date without quotes, such as 2025-03-01")
    return value


_DATE = Value("a date without quotes, such as 2025-03-01", _date, {"type": "string"})
_CHANGES = array(line("one line that says what changed", 500), 1)
CHANGELOG_FORM = '{ date = 2025-03-01, version = "1.27.0-1", changes = ["..."] }'


def _release(value: Any) -> Release:
    expect(value, dict, CHANGELOG_FORM)
    if set(value) != {"date", "version", "changes"}:
        raise Invalid(value, f"allowed: {CHANGELOG_FORM}")
    parsed, parts = {}, Parts()
    for key, kind in (("date", _DATE), ("version", _RELEASE_VERSION), ("changes", _CHANGES)):
        with parts.part(f".{key}"):
            parsed[key] = kind.parse(value[key])
    parts.check()
    return Release(**parsed)


RELEASE_ENTRY = Value(CHANGELOG_FORM, _release, {
    "type": "object", "additionalProperties": False, "required": ["date", "version", "changes"],
    "properties": {"date": dict(_DATE.schema), "version": dict(_RELEASE_VERSION.schema),
                   "changes": dict(_CHANGES.schema)},
})
