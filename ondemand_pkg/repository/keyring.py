"""The package by which a host joins the repository.

Knows the files that make apt and dnf trust and ask it; hides nothing of the archive formats.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from ondemand_pkg.contents.documents import DEFAULT_LICENSE, DEFAULT_MAINTAINER, deb_documents
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import DEB, RPM, Format
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role
from ondemand_pkg.repository.directory import ARMORED_KEYS, BINARY_KEYS, KEYRING

PATH = f"/usr/share/keyrings/{BINARY_KEYS}"
SOURCES, REPO = "/etc/apt/sources.list.d/ondemand.sources", "/etc/yum.repos.d/ondemand.repo"
_URL = re.compile(r"https?://[!-~]+")


def check_url(url: str) -> None:
    """Raise OndemandError for what a host can't ask."""
    if not _URL.fullmatch(url):
        raise OndemandError(f"URL {url!r}: allowed: a URL that begins with http:// or https://")


def sources(url: str, suite: str) -> str:
    """Return what apt asks (sources.list(5), deb822 style); the URL ends in a slash."""
    return f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: main\nSigned-By: {PATH}\n"


def repo(url: str, suite: str, has_mirrors: bool = True) -> str:
    """Return what dnf asks (dnf.conf(5)); the URL ends in a slash.  A list of mirrors is there once the URL is known."""
    where = f"mirrorlist={url}rpm/{suite}/mirrorlist" if has_mirrors else f"baseurl={url}rpm/{suite}/"
    return (f"[ondemand]\nname=ondemand\n{where}\ngpgcheck=1\nrepo_gpgcheck=1\n"
            f"gpgkey={url}{ARMORED_KEYS}\n")


@frozen
class Contents:
    """What stands in the package: the public keys, the repository's URL and the suite."""

    keyring: bytes
    url: str
    suite: str

    def digest(self) -> str:
        """Return what tells whether a new version is due."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def package(contents: Contents, format: Format, number: int, time: int) -> Package:
    """Return the package of a format in its ``number``th version; ``time`` is in seconds since the epoch."""
    place, text = {DEB: (SOURCES, sources), RPM: (REPO, repo)}[format]
    configuration = Entry(place, Kind.FILE, 0o644, text(contents.url, contents.suite).encode(), role=Role.CONFIG)
    metadata = Package(
        name=KEYRING, version=str(number), release=1, summary="Keys and addresses of the site's package repository",
        description=(f"With this package installed, the package manager asks {contents.url} and trusts what is signed there.",),
        maintainer=DEFAULT_MAINTAINER, license=DEFAULT_LICENSE, timestamp=time, section="misc",
        entries=(configuration, Entry(PATH, Kind.FILE, 0o644, contents.keyring)),
        changelog=(ChangelogEntry(datetime.fromtimestamp(time, UTC).date(), f"{number}-1", ("Keys and addresses of today.",)),))
    if not format.has_documents:
        return metadata
    entries = (*metadata.entries, *deb_documents(metadata, "repository/lintian-overrides.j2"))
    return Package(**{**vars(metadata), "entries": tuple(sorted(entries, key=lambda entry: entry.path))})
