"""What the comparisons with native tools share: the tools, a realistic package, and its tree on the disk."""

from __future__ import annotations

import dataclasses
import gzip
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from requirements import need
from signing import Signer, signer

from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

TIMESTAMP = 1_700_000_000
NAME = "ondemand-web"
SHELL = "#!/bin/sh\nset -e\n"

SOCKET = """\
[Unit]
Description=web on demand
Documentation=file:///usr/share/doc/ondemand-web/README

[Socket]
ListenStream=8080

[Install]
WantedBy=sockets.target
"""
SERVICE = """\
[Unit]
Description=web, 100%% on demand %n
Documentation=file:///usr/share/doc/ondemand-web/README

[Service]
ExecStart=/usr/libexec/ondemand-web/start --percent=%%
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ondemand-web

Files: *
Copyright: 2026 Jöran Ärlig <joeran@example.org>
License: MIT

License: MIT
 Permission is hereby granted, free of charge, to any person obtaining a copy.
"""
DEBIAN_CHANGELOG = """\
ondemand-web (1.27.0~rc1+git-2) unstable; urgency=medium

  * Second thoughts.

 -- Jöran Ärlig <joeran@example.org>  Mon, 13 Nov 2023 00:00:00 +0000
"""


def _file(path: str, content: str | bytes, mode: int = 0o644, role: Role = Role.PLAIN) -> Entry:
    return Entry(path, Kind.FILE, mode, content.encode() if isinstance(content, str) else content, role=role)


ENTRIES = (
    _file(f"/usr/lib/systemd/system/{NAME}.socket", SOCKET),
    _file(f"/usr/lib/systemd/system/{NAME}.service", SERVICE),
    Entry(f"/usr/libexec/{NAME}", Kind.DIRECTORY, 0o755),
    _file(f"/usr/libexec/{NAME}/start", SHELL + "# 100% %{_libdir} %(id)\n", 0o755),
    # A name that sorts between a directory and its content, and a directory after its parent's files.
    _file(f"/usr/libexec/{NAME}/start.d/one", SHELL, 0o755),
    Entry(f"/usr/libexec/{NAME}/again", Kind.SYMLINK, 0o777, target="start"),
    _file(f"/usr/share/{NAME}/empty", ""),
    _file(f"/usr/share/{NAME}/large", bytes(range(256)) * 300),
    _file(f"/etc/ondemand/{NAME}.env", "A=1\n", 0o600, Role.CONFIG),
    Entry(f"/var/lib/{NAME}", Kind.DIRECTORY, 0o750),
    Entry(f"/usr/share/doc/{NAME}", Kind.DIRECTORY, 0o755),
    _file(f"/usr/share/doc/{NAME}/README", "Grüße, 100%\n", role=Role.DOC),
)
COMMON = Package(
    name=NAME,
    version="1.27.0~rc1+git",
    release=2,
    summary="größtes Netz mit 100% %{name} %(id)",
    description=("The first connection starts the container " + "again and " * 20 + "again.",
                 ".env comes first here, %{version} and `id` stay; 5 % of it is Ωmega.", "The end."),
    maintainer="Jöran Ärlig <joeran@example.org>",
    license="MIT",
    homepage="https://example.org/?a=%20b",
    entries=ENTRIES,
    changelog=(ChangelogEntry(date(2023, 11, 13), "1.27.0~rc1+git-2", ("Second: 100% %{name}.", "A second change.")),
               ChangelogEntry(date(2023, 10, 29), "1.26-1", ("First release, naïve.",))),
    timestamp=TIMESTAMP,
    built_by="0.2.0",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.oracle)


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Run a program in a fixed environment and return its output; fail with its messages if it does."""

    def output(*command: str | Path, **variables: str) -> str:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC",
                       "SOURCE_DATE_EPOCH": str(TIMESTAMP), **variables}
        result = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL)
        if result.returncode:
            pytest.fail(f"{command} gave {result.returncode}:\n{result.stdout}{result.stderr}")
        return result.stdout

    return output


@pytest.fixture(scope="session")
def deb_package() -> Package:
    """A package with everything that a .deb of this project holds."""
    documents = f"/usr/share/doc/{NAME}"
    return dataclasses.replace(
        COMMON,
        entries=(*ENTRIES, _file(f"{documents}/copyright", COPYRIGHT),
                 _file(f"{documents}/changelog.Debian.gz", gzip.compress(DEBIAN_CHANGELOG.encode(), 9, mtime=0))),
        scripts={name: f"{SHELL}echo {name} 100% %n >&2\n" for name in ("postinst", "prerm", "postrm")},
        watched="/usr/libexec",
        relations={
            "provides": ("virtual-web (= 1)",),
            "replaces": ("web-old (<< 3)",),
            "breaks": ("web-old (<< 3)",),
            "conflicts": ("web-on-demand (<< 2)",),
            "enhances": ("apache2",),
            "suggests": ("wget",),
            "recommends": ("curl", "jq"),
            "depends": ("docker.io | docker-ce | moby-engine", "systemd (>= 240)"),
            "pre-depends": ("init-system-helpers (>= 1.54~)",),
        },
    )


@pytest.fixture(scope="session")
def rpm_package() -> Package:
    """A package with everything that an .rpm of this project holds, and every kind of relation."""
    return dataclasses.replace(
        COMMON,
        entries=(*ENTRIES, _file(f"/usr/lib/systemd/system-preset/80-{NAME}.preset", f"enable {NAME}.socket\n"),
                 _file(f"/usr/share/licenses/{NAME}/LICENSE", COPYRIGHT, role=Role.LICENSE)),
        scripts={name: f"# %{name}\necho '{name} 100% %{{name}} %(id)'\n"
                 for name in ("pretrans", "pre", "post", "preun", "postun", "posttrans", "transfiletriggerpostun")},
        watched="/usr/libexec/ondemand-",
        relations={
            "requires": ("systemd", "(docker-ce or moby-engine or docker)", "waitport >= 1:2-3", "waitport < 9",
                         "/bin/sh"),
            "provides": ("virtual(web) = 1.27^4",),
            "conflicts": ("web-on-demand < 2",),
            "obsoletes": ("web-old <= 1.0~beta",),
            "recommends": ("curl", "(curl if systemd)"),
            "suggests": ("wget > 1",),
            "supplements": ("nginx",),
            "enhances": ("apache = 2:1-3",),
        },
    )


@pytest.fixture(scope="session")
def write_tree() -> Callable[[Package, Path], None]:
    """Write the entries of a package below a directory, parents with the mode that the writers give them."""

    def write(package: Package, root: Path) -> None:
        old = os.umask(0o022)
        try:
            for entry in package.entries:
                path = root / entry.path[1:]
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.kind is Kind.DIRECTORY:
                    path.mkdir(exist_ok=True)
                elif entry.kind is Kind.FILE:
                    path.write_bytes(entry.data)
                else:
                    path.symlink_to(entry.target)
                if entry.kind is not Kind.SYMLINK:
                    path.chmod(entry.mode)
        finally:
            os.umask(old)

    return write


@pytest.fixture(scope="module")
def site() -> Iterator[Signer]:
    """A site with a signing key."""
    need("gpg")
    with signer() as one:
        yield one
