"""Which of two versions is newer.

Knows dpkg's and rpm's rules; hides them behind one function a format.
"""

from __future__ import annotations

import re


def _number(digits: str) -> tuple[int, str]:
    """Return what sorts as a number: Python refuses to make one of thousands of digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


def _compare_numbers(left: str, right: str) -> int:
    ours, theirs = _number(left), _number(right)
    return (ours > theirs) - (ours < theirs)


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
        if order := _compare_numbers(number, other_number):
            return order
    return 0


def compare_deb(left: str, right: str) -> int:
    """Return -1, 0 or 1 as ``left`` is older than, as old as or newer than ``right`` (deb-version(7))."""
    def parts(version: str) -> tuple[str, str, str]:
        epoch, colon, rest = version.partition(":")
        if not colon:
            epoch, rest = "", version
        upstream, hyphen, revision = rest.rpartition("-")
        return (epoch, upstream, revision) if hyphen else (epoch, rest, "")

    (epoch, upstream, revision), (other_epoch, other_upstream, other_revision) = parts(left), parts(right)
    return (_compare_numbers(epoch, other_epoch) or _compare_part(upstream, other_upstream)
            or _compare_part(revision, other_revision))


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
        if is_number and (order := _compare_numbers(ours[0], theirs[0])):
            return order
        if not is_number and ours[0] != theirs[0]:
            return -1 if ours[0] < theirs[0] else 1
        left, right = left[ours.end():], right[theirs.end():]
    return bool(left) - bool(right)


def compare_rpm(left: str, right: str) -> int:
    """Return -1, 0 or 1 for two versions written as [EPOCH:]VERSION-RELEASE."""
    def parts(text: str) -> tuple[str, str, str]:
        epoch, colon, rest = text.partition(":")
        version, _, release = (rest if colon else text).rpartition("-")
        return epoch if colon else "", version, release
    (epoch, version, release), (other_epoch, other_version, other_release) = parts(left), parts(right)
    return (_compare_numbers(epoch, other_epoch) or compare_rpm_part(version, other_version)
            or compare_rpm_part(release, other_release))
