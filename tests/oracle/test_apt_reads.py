"""apt sees of an index what was published, and nothing else."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from archives import foreign_deb
from hostile import HARMLESS, REFUSED, TAKEN
from hypothesis import given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB
from ondemand_pkg.repository import apt
from ondemand_pkg.repository.inspect import inspect
from ondemand_pkg.repository.state import Item

NAME = Path("harmless_1.0-1_all.deb")
INDEXED = b"Filename: pool/h/harmless.deb\nSize: 1\nSHA256: " + b"0" * 64 + b"\n\n"


class Apt:
    """An apt with a host of its own, and one index."""

    def __init__(self, directory: Path) -> None:
        self._index = directory / "repository/Packages"
        for name in ("repository", "state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (directory / name).mkdir(parents=True)
        (directory / "status").touch()
        (directory / "etc/sources.list").write_text(f"deb [trusted=yes] file:{directory}/repository ./\n")
        places = {"State": "state", "State::status": "status", "Cache": "cache", "Etc": "etc"}
        self._options = [option for key, place in places.items() for option in ("-o", f"Dir::{key}={directory}/{place}")]
        self._options += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]

    def packages(self, index: bytes) -> list[str] | None:
        """Return the packages and versions of an index, or None where apt fails."""
        self._index.write_bytes(index)
        update = subprocess.run(["apt-get", *self._options, "update", "-qq"], capture_output=True)
        seen = subprocess.run(["apt-cache", *self._options, "dumpavail"], capture_output=True)
        if update.returncode or seen.returncode:
            return None
        return [line.decode() for line in seen.stdout.split(b"\n")
                if line.lower().startswith((b"package:", b"version:", b"package :"))]


@pytest.fixture(scope="module")
def a_host(tmp_path_factory: pytest.TempPathFactory) -> Apt:
    need("apt-get", "apt-cache")
    return Apt(tmp_path_factory.mktemp("apt"))


def stanza(control: bytes) -> bytes:
    facts = inspect(NAME, io.BytesIO(foreign_deb(control)))
    return apt.stanza(facts, Item("pool/h/harmless.deb", DEB, facts.name, facts.version, "all", "0", "0" * 64, 1, 0, ""))


@pytest.mark.parametrize("fields", TAKEN, ids=lambda fields: ascii(fields[:40]))
def test_what_is_taken_is_one_package_to_apt(a_host: Apt, fields: bytes) -> None:
    assert a_host.packages(stanza(HARMLESS % fields)) == ["Package: harmless", "Version: 1.0-1"]


def test_what_is_refused_would_be_another_package_or_none(a_host: Apt) -> None:
    """Not each of them: some break other readers.  This shows that apt is such a reader at all."""
    seen = [a_host.packages(HARMLESS % fields + INDEXED) for fields in REFUSED]
    assert None in seen and any(found and "ash" in "".join(found) for found in seen)


LINE = st.text(st.sampled_from("Pakge:-, |()<>=1a.\t\r\n#[]~"), max_size=40)
FIELD = st.tuples(st.sampled_from(["Package", "package", "Depends", "Provides", "Conflicts", "X", "Filename", "Version", ""]),
                  st.sampled_from([":", " :", ": ", ""]), LINE).map("".join)


@settings(max_examples=60, deadline=None)
@given(fields=st.lists(FIELD, max_size=4))
def test_any_control_file_that_is_taken_is_one_package_to_apt(a_host: Apt, fields: list[str]) -> None:
    try:
        index = stanza(HARMLESS % "".join(f"{field}\n" for field in fields).encode())
    except OndemandError:
        return
    assert a_host.packages(index) == ["Package: harmless", "Version: 1.0-1"]
