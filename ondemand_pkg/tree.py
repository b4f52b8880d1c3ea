"""What the package of a declared container holds, for one format.

Knows which files, scripts, relations and texts make up a package; hides where each comes from.
"""

from __future__ import annotations

import calendar
import dataclasses
import posixpath
import re
import struct
import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime

from ondemand_pkg import units as unit_files
from ondemand_pkg.as_toml import as_toml
from ondemand_pkg.docker_create import specification_file
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.model import RELAY, SOCKET_PROXYD, Container, ReadyKind
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role
from ondemand_pkg.scripts import scripts
from ondemand_pkg.templates import plain, render

# Programs are executable, modules are not.
HELPERS = ("addresses", "beside.py", "container", "control.py", "declared.py", "engine.py", "names.py", "record.py", "run",
           "steps.py", "waitport")
PROXIES = {RELAY: ("proxy_protocol.py", "relay", "streams.py"), SOCKET_PROXYD: ("proxyd",)}
READINESS = {ReadyKind.HTTP: ("httpcheck.py",), ReadyKind.HEALTHCHECK: ("execcheck.py",), ReadyKind.EXEC: ("execcheck.py",),
             ReadyKind.LOG: ("logcheck.py",)}
# The time of everything in a package whose declaration names none: 2020-01-01 00:00:00 UTC.
CONSTANT_TIME = calendar.timegm((2020, 1, 1, 0, 0, 0))
DEFAULT_MAINTAINER = "ondemand-pkg <nobody@ondemand-pkg.invalid>"
DEFAULT_LICENSE = "MIT"  # that of the helpers, the only part with an author's right in it
_LARGEST_BLOCK = 0xFFFF  # bytes in a stored block of deflate
LONGEST_SYNOPSIS = 79  # Policy 3.4.1: under 80 characters

# Docker under the names that its packages have: Debian's, Docker's own, Microsoft's, Fedora's.  The client is a
# package of its own in some of them.
DEPENDS = {
    "deb": ("docker.io | docker-ce | moby-engine", "docker-cli | docker-ce-cli | moby-cli | docker.io",
            "python3:any", "systemd"),
    "rpm": ("(docker-ce or moby-engine or docker)", "python3", "systemd"),
}
RELATION = {"deb": "depends", "rpm": "requires"}


def timestamp(container: Container, environ: Mapping[str, str]) -> int:
    """Return the one time of a package, in seconds since the epoch.

    SOURCE_DATE_EPOCH (reproducible-builds.org), else the newest date of the changelog, else a constant.
    Raises OndemandError where SOURCE_DATE_EPOCH is not a number.
    """
    epoch = environ.get("SOURCE_DATE_EPOCH", "")
    if epoch:
        if not re.fullmatch(r"[0-9]{1,10}", epoch) or int(epoch) >= 2**32:
            raise OndemandError(f"SOURCE_DATE_EPOCH is {epoch!r}; allowed: seconds since 1970, below 2^32, or unset it")
        return int(epoch)
    if container.changelog:
        return calendar.timegm(max(entry.date for entry in container.changelog).timetuple())
    return CONSTANT_TIME


def package(container: Container, format_name: str, time: int) -> Package:
    """Return the package of a container in one format ("deb" or "rpm"), with ``time`` as its timestamp."""
    full_version = f"{container.version}-{container.release}"
    changelog = tuple(ChangelogEntry(entry.date, entry.version, entry.changes) for entry in container.changelog) or (
        ChangelogEntry(datetime.fromtimestamp(time, UTC).date(), full_version, (f"Image {container.image}.",)),)
    description = container.description
    summary = description
    if not 0 < len(description) <= LONGEST_SYNOPSIS:
        summary = f"On-demand container {container.name}"[:LONGEST_SYNOPSIS]
    listening = ", ".join(str(port.listen) for port in container.ports)
    # No paragraph begins with the declaration's own words: a spec file takes a line "%prep" for a section.
    paragraphs = (*((f"{container.name}: {description}",) if description and description != summary else ()),
                  f"systemd listens on {listening}; the first connection starts the Docker container "
                  f"{container.container_name} from the image {container.image} and is answered by it.")
    metadata = Package(
        name=container.package_name,
        version=container.version,
        release=container.release,
        summary=summary,
        description=paragraphs,
        maintainer=container.maintainer or DEFAULT_MAINTAINER,
        license=container.license or DEFAULT_LICENSE,
        homepage=container.homepage,
        entries=(),
        changelog=changelog,
        timestamp=time,
        scripts=scripts(container, format_name),
        relations={RELATION[format_name]: (*DEPENDS[format_name], *(f"ondemand-{name}" for name in container.requires),
                                           *getattr(container.depends, format_name))},
    )
    entries = [*_common(container), *(deb_documents(metadata) if format_name == "deb" else _rpm_only(container))]
    return dataclasses.replace(metadata, entries=tuple(sorted(entries, key=lambda entry: entry.path)))


def _file(path: str, text: str | bytes, mode: int = 0o644, role: Role = Role.PLAIN) -> Entry:
    return Entry(path, Kind.FILE, mode, text.encode() if isinstance(text, str) else text, role=role)


def _common(container: Container) -> list[Entry]:
    return [
        *(_file(f"{unit_files.DIRECTORY}/{name}", text) for name, text in unit_files.units(container).items()),
        Entry(container.libexec, Kind.DIRECTORY, 0o755),
        *(_file(f"{container.libexec}/{name}", plain(f"libexec/{name}"), 0o644 if name.endswith(".py") else 0o755)
          for name in _helpers(container)),
        _file(f"{container.libexec}/container.json", specification_file(container)),
        # The administrator keeps secrets in it.
        _file(container.environment_file, render("doc/environment.j2", c=container), 0o600, Role.CONFIG),
        *_image(container),
        Entry(f"/usr/share/doc/{container.package_name}", Kind.DIRECTORY, 0o755),
        _file(f"/usr/share/doc/{container.package_name}/README",
              render("doc/README.j2", c=container, title=unit_files.title(container)), role=Role.DOC),
        _file(f"/usr/share/doc/{container.package_name}/declaration.toml", as_toml(container), role=Role.DOC),
    ]


def _image(container: Container) -> list[Entry]:
    if container.carried is None:
        return []
    return [Entry(posixpath.dirname(container.image_archive), Kind.DIRECTORY, 0o755),
            Entry(container.image_archive, Kind.FILE, 0o644, stored=container.carried.archive)]


def _helpers(container: Container) -> tuple[str, ...]:
    """Return the names of the helpers that a container's package needs."""
    required = ("required.py",) if container.requires else ()
    metrics = ("metrics.py",) if container.metrics else ()
    return HELPERS + PROXIES[container.proxy] + READINESS.get(container.ready.kind, ()) + required + metrics


def _rpm_only(container: Container) -> list[Entry]:
    name, text = unit_files.preset(container)
    # dpkg removes a directory that no package needs any more; rpm does so only where one owns it.
    return [Entry("/etc/ondemand", Kind.DIRECTORY, 0o755), _file(f"{unit_files.PRESET_DIRECTORY}/{name}", text)]


def deb_documents(package: Package, overrides: str = "doc/lintian-overrides.j2") -> list[Entry]:
    """Return the files that Policy 12.5 and 12.7 ask of every package, and why lintian's doubts are none (a template)."""
    documents = f"/usr/share/doc/{package.name}"
    year = datetime.fromtimestamp(package.timestamp, UTC).year
    return [_file(f"{documents}/copyright", render("doc/copyright.j2", p=package, year=year)),
            _file(f"{documents}/changelog.Debian.gz", _gzip(debian_changelog(package))),
            _file(f"/usr/share/lintian/overrides/{package.name}", render(overrides, p=package))]


def _gzip(text: str) -> bytes:
    """Return a text as gzip of stored blocks (RFC 1951, 3.2.4), for zlib and zlib-ng compress to different bytes.

    The head says that the slowest algorithm was used (RFC 1952, 2.3.1, XFL), as Policy 12.7 asks.
    """
    data = text.encode()
    starts = range(0, len(data), _LARGEST_BLOCK)
    packed = b"\x1f\x8b\x08" + struct.pack("<BIBB", 0, 0, 2, 3)
    for start in starts:
        block = data[start:start + _LARGEST_BLOCK]
        packed += struct.pack("<BHH", start == starts[-1], len(block), len(block) ^ 0xFFFF) + block
    return packed + struct.pack("<II", zlib.crc32(data), len(data))


def debian_changelog(package: Package) -> str:
    """Return a package's changelog as deb-changelog(5) has it."""
    return "\n".join(
        f"{package.name} ({entry.version}) stable; urgency=medium\n\n"
        + "".join(f"  * {change}\n" for change in entry.changes)
        + f"\n -- {package.maintainer}  {_rfc_date(entry.date)}\n" for entry in package.changelog)


def _rfc_date(day: date) -> str:
    """Return a day's midnight as deb-changelog(5) writes dates, whatever the locale."""
    return format_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
