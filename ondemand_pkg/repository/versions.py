"""Which of two versions is newer.

Knows dpkg's and rpm's rules; hides them behind one sort key a format.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


# --- dpkg --------------------------------------------------------------------------------------------------------


def _weight(character: str) -> int:
    """Return how a character that is no digit sorts: a tilde before the end, the end before letters (Policy 5.6.12)."""
    if character == "~":
        return -1
    if character.isalpha():
        return ord(character)
    return ord(character) + 256


def _compare_part(left: str, right: str) -> int:
    """Compare two upstream versions, or two revisions: text and numbers in turns."""
    ours, theirs = re.findall(r"([^0-9]*)([0-9]*)", left), re.findall(r"([^0-9]*)([0-9]*)", right)
    for index in range(max(len(ours), len(theirs))):
        (text, number) = ours[index] if index < len(ours) else ("", "")
        (other_text, other_number) = theirs[index] if index < len(theirs) else ("", "")
        # The end weighs 0, as a digit does.
        weights, other_weights = [*map(_weight, text), 0], [*map(_weight, other_text), 0]
        if weights != other_weights:
            return -1 if weights < other_weights else 1
        if int(number or 0) != int(other_number or 0):
            return _sign(int(number or 0) - int(other_number or 0))
    return 0


def compare_deb(left: str, right: str) -> int:
    """Return -1, 0 or 1 as ``left`` is older than, as old as or newer than ``right`` (deb-version(7))."""
    def parts(version: str) -> tuple[int, str, str]:
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "0", version
        upstream, hyphen, revision = rest.rpartition("-")
        return (int(epoch), upstream, revision) if hyphen else (int(epoch), rest, "")

    (epoch, upstream, revision), (other_epoch, other_upstream, other_revision) = parts(left), parts(right)
    return _sign(epoch - other_epoch) or _compare_part(upstream, other_upstream) or _compare_part(revision, other_revision)


# --- rpm ---------------------------------------------------------------------------------------------------------

_IGNORED = re.compile(r"[^a-zA-Z0-9~^]*")
_SEGMENT = re.compile(r"[0-9]+|[a-zA-Z]+")


def compare_rpm_part(left: str, right: str) -> int:
    """Return -1, 0 or 1 for two versions, or two releases, as rpm's rpmvercmp() does (rpm-version(7))."""
    while left or right:
        left, right = _IGNORED.sub("", left, count=1), _IGNORED.sub("", right, count=1)
        for mark, at_end in (("~", 1), ("^", -1)):
            if left.startswith(mark) or right.startswith(mark):
                if not left.startswith(mark):
                    # A tilde is older than anything, the end included; a caret newer than the end alone.
                    return 1 if left else at_end
                if not right.startswith(mark):
                    return -1 if right else -at_end
                break
        else:
            mark = ""
        if mark:
            left, right = left[1:], right[1:]
            continue
        if not left or not right:
            break
        ours = _SEGMENT.match(left)
        assert ours is not None
        is_number = ours[0].isdigit()
        theirs = re.match(r"[0-9]+" if is_number else r"[a-zA-Z]+", right)
        if theirs is None:
            return 1 if is_number else -1
        if is_number and int(ours[0]) != int(theirs[0]):
            return _sign(int(ours[0]) - int(theirs[0]))
        if not is_number and ours[0] != theirs[0]:
            return -1 if ours[0] < theirs[0] else 1
        left, right = left[ours.end():], right[theirs.end():]
    return bool(left) - bool(right)


def compare_rpm(left: str, right: str) -> int:
    """Return -1, 0 or 1 for two versions written as [EPOCH:]VERSION-RELEASE."""
    def parts(text: str) -> tuple[int, str, str]:
        epoch, colon, rest = text.partition(":")
        version, _, release = (rest if colon else text).rpartition("-")
        return int(epoch) if colon else 0, version, release
    (epoch, version, release), (other_epoch, other_version, other_release) = parts(left), parts(right)
    return (_sign(epoch - other_epoch) or compare_rpm_part(version, other_version)
            or compare_rpm_part(release, other_release))


KEYS: dict[str, Callable[[str], Any]] = {"deb": functools.cmp_to_key(compare_deb), "rpm": functools.cmp_to_key(compare_rpm)}
