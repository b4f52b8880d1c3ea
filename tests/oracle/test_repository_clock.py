"""The publisher's clock may be wrong, and hosts get each change all the same; an index may end on a day."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from signing import Signer

from ondemand_pkg.repository import site as repository
from ondemand_pkg.repository import state, verify
from ondemand_pkg.repository.directory import now

from .sites import packages

Publish = Callable[..., list[str]]
YEAR = 365 * 86400


@pytest.fixture
def publish(site: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Publish a version while the clock is some seconds off; return what was said."""
    monkeypatch.setenv("GNUPGHOME", site.environ["GNUPGHOME"])

    def run(version: str, off: int, valid_for: int | None = None) -> list[str]:
        said: list[str] = []
        monkeypatch.setattr(repository, "now", lambda: now() + off)
        repository.publish(tmp_path / "repository", packages(tmp_path, version), "stable", site.key, said.append, valid_for)
        return said
    return run


def told(root: Path, field: str = "Date", suite: str = "stable") -> datetime:
    found = re.search(f"^{field}: (.*)$", (root / "dists" / suite / "Release").read_text(), re.MULTILINE)
    assert found
    return parsedate_to_datetime(found[1])


def test_a_clock_that_was_set_back_is_told_and_the_date_goes_on(publish: Publish, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    assert publish("1.0", 0) == []
    first = told(root)
    (said,) = publish("1.1", -YEAR)
    assert said.startswith("the clock of this machine says ") and "set the clock" in said
    assert told(root) == first + timedelta(seconds=1)
    assert f"<revision>{int(first.timestamp()) + 1}<" in (root / "rpm/stable/repodata/repomd.xml").read_text()


def test_a_repository_of_an_older_release_keeps_its_date(publish: Publish, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    publish("1.0", 0)
    first = told(root)
    path = root / ".repository/current/state.json"
    text = path.read_text().replace(f'"date": {int(first.timestamp())}, "valid_for": 0, ', "")
    path.write_text(text.replace('"form": 3', '"form": 2'))
    assert state.read(path).date == 0
    publish("1.1", -YEAR)
    assert told(root) == first + timedelta(seconds=1)


def test_changes_one_after_the_other_are_dated_ahead_by_a_second_at_most(publish: Publish, tmp_path: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr("time.sleep", slept.append)
    for number, off in enumerate((YEAR, YEAR - 3)):
        assert publish(f"1.{number}", off) == []
    assert len(slept) == 1 and 0 <= slept[0] <= 3


def test_an_index_ends_on_a_day_once_it_is_asked_for_and_is_renewed(publish: Publish, site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    publish("1.0", -30 * 86400)
    assert "Valid-Until" not in (root / "dists/stable/Release").read_text()
    publish("1.0", -20 * 86400, 14 * 86400)  # nothing else changes
    assert told(root, "Valid-Until") == told(root) + timedelta(days=14)
    faults, _ = verify.verify(root)
    assert len(faults) == 1 and "expired since" in faults[0] and "'ondemand-pkg repo refresh' renews it" in faults[0]
    site.run("repo", "promote", "--repo", root, "--from", "stable", "--to", "testing")
    old, lists = told(root), (root / "dists/stable/main/binary-amd64/Packages").read_bytes()
    assert site.run("repo", "refresh", "--repo", root).stdout == "".join(
        f"{root}/dists/{suite}/InRelease\n" for suite in ("stable", "testing"))
    for suite in ("stable", "testing"):
        assert told(root, suite=suite) > old and told(root, "Valid-Until", suite) > datetime.now(UTC) + timedelta(days=13)
    assert (root / "dists/stable/main/binary-amd64/Packages").read_bytes() == lists
    assert verify.verify(root) == ([], 2)
    publish("1.1", 0)
    assert told(root, "Valid-Until") == told(root) + timedelta(days=14)  # it stays until it is turned off
    publish("1.2", 0, 0)
    assert "Valid-Until" not in (root / "dists/stable/Release").read_text()


@pytest.mark.parametrize("span", ["", "5min", "-1d", "20y", "9" * 5000 + "d", "4000d"])
def test_a_validity_that_makes_no_sense_is_a_usage_error(site: Signer, tmp_path: Path, span: str) -> None:
    done = site.run("publish", "--repo", tmp_path / "r", "--valid-for", span, tmp_path / "x.deb", status=2)
    assert 'allowed: a time span from "1h" to "3650d", or "never"' in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_published_to(publish: Publish, tmp_path: Path, number: int,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(os, "link", refused)
    publish("1.0", 0)
    publish("1.1", 1)
    assert verify.verify(tmp_path / "repository") == ([], 4)
