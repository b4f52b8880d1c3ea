"""Which of two versions is newer, as dpkg and rpm say it."""

from __future__ import annotations

import pytest

from ondemand_pkg.formats import DEB
from ondemand_pkg.formats.versions import compare_deb, compare_rpm, compare_rpm_part


@pytest.mark.parametrize(("older", "newer"), [
    ("1.0-1", "1.0-2"), ("1.9-1", "1.10-1"), ("1.0~rc1-1", "1.0-1"), ("1.0-1", "1.0+b1-1"), ("9-1", "1:1-1"), ("1.0", "1.0-0.1"),
    ("1.0a-1", "1.0b-1"), ("1.0~~-1", "1.0~-1"), ("1-1", "1a-1"), ("1.0a", "1.0+")])
def test_a_debian_version_is_newer(older: str, newer: str) -> None:
    assert (compare_deb(older, newer), compare_deb(newer, older), compare_deb(newer, newer)) == (-1, 1, 0)


@pytest.mark.parametrize(("older", "newer"), [
    ("1.0", "1.1"), ("1.9", "1.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0^git1"), ("1.0^git1", "1.0.1"), ("1.0a", "1.0.1"),
    ("1.0", "1.0a"), ("a", "1"), ("1.0~rc1^git1", "1.0"), ("1.0~rc1", "1.0~rc1^git1")])
def test_an_rpm_version_is_newer(older: str, newer: str) -> None:
    assert (compare_rpm_part(older, newer), compare_rpm_part(newer, older), compare_rpm_part(newer, newer)) == (-1, 1, 0)


def test_an_epoch_has_the_first_word() -> None:
    assert compare_rpm("1:1.0-1", "2.0-1") == 1


def test_numbers_of_any_length_are_compared() -> None:
    huge = "9" * 5000
    assert compare_deb(f"{huge}:1-1", "1:1-1") == compare_rpm(f"{huge}:1-1", f"1:{huge}-1") == 1
    assert compare_rpm_part(huge, "8" * 5000) == 1


def test_versions_sort() -> None:
    assert sorted(["1.10-1", "1.9-1", "1.9~b-2"], key=DEB.version_key) == ["1.9~b-2", "1.9-1", "1.10-1"]
