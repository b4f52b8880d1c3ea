"""What the package of a declared container holds, for one format.

Knows which files, scripts, relations and texts make up a package; hides where each comes from.
"""

from __future__ import annotations

import calendar
import dataclasses
import posixpath
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ondemand_pkg import __version__, layout
from ondemand_pkg.contents import helper_files
from ondemand_pkg.contents import units as unit_files
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.contents.documents import DEFAULT_LICENSE, DEFAULT_MAINTAINER, deb_documents, plain_file
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.contents.scripts import scripts, watched
from ondemand_pkg.engines.choice import engine_of, is_unpacked
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import Format
from ondemand_pkg.model import EACH_WAKE, Container, Resolved, Stack
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

# The time of everything in a package whose declaration names none: 2020-01-01 00:00:00 UTC.
CONSTANT_TIME = calendar.timegm((2020, 1, 1, 0, 0, 0))
LONGEST_SYNOPSIS = 79  # Policy 3.4.1: under 80 characters


def timestamp(declared: Container | Stack, environ: Mapping[str, str]) -> int:
    """Return the one time of a package, in seconds since the epoch.

    SOURCE_DATE_EPOCH (reproducible-builds.org), else the newest date of the changelog, else a constant.
    Raises OndemandError where SOURCE_DATE_EPOCH is not a number.
    """
    epoch = environ.get("SOURCE_DATE_EPOCH", "")
    if epoch:
        if not re.fullmatch(r"[0-9]{1,10}", epoch) or int(epoch) >= 2**32:
            raise OndemandError(f"SOURCE_DATE_EPOCH is {epoch!r}; allowed: seconds since 1970, below 2^32, or unset it")
        return int(epoch)
    if declared.changelog:
        return calendar.timegm(max(entry.date for entry in declared.changelog).timetuple())
    return CONSTANT_TIME


def package(resolved: Resolved, format: Format, time: int) -> Package:
    """Return the package of a container in one format, with ``time`` as its timestamp."""
    container = resolved.container
    change = container.adopted.sentence if container.adopted else f"Image {container.image}."
    metadata = described(container, "service" if container.adopted else "container", time, change, _purpose(container))
    metadata = dataclasses.replace(
        metadata, scripts=scripts(container, format),
        relations={format.depends: (*engine_of(container).depends[format], format.python, "systemd",
                                    *((format.iproute,) if container.expose or is_unpacked(container) else ()),
                                    *(layout.package_name(name) for name in container.depended_on),
                                    *getattr(container.depends, format.name))},
        watched=watched(format) if container.listens else "")
    entries = [*_common(resolved), *(deb_documents(metadata) if format.has_documents else ()),
               *([_preset(container)] if format.has_presets and container.enabled_unit else ()),
               *([Entry(posixpath.dirname(container.environment_file), Kind.DIRECTORY, 0o755)]
                 if format.owns_directories and not container.adopted else ())]
    return dataclasses.replace(metadata, entries=tuple(sorted(entries, key=lambda entry: entry.path)))


def _purpose(container: Container) -> str:
    what = f"the {engine_of(container).title} container {container.container_name} from the image {container.image}"
    if is_unpacked(container):
        what = f"the image {container.image}, which systemd itself runs,"
    if container.adopted:
        what = f"{container.adopted.title}, which is there already,"
    if container.companion_of:
        return (f"A companion of {', '.join(container.companion_of)}: {what} is started when one of them wakes"
                f"{', or by a connection' if container.listens else ''}, and stopped when the last of them sleeps.")
    if container.schedule:
        return f"A task: {what} runs to its end at {' and '.join(container.schedule)}."
    if container.task:
        often = "at each wake of" if container.when == EACH_WAKE else "once for each version, at a wake of"
        return f"A task: {what} runs to its end {often} {', '.join(container.before)}, which it precedes."
    listening = ", ".join(map(str, [*(port.listen for port in container.ports), *container.exposed]))
    return f"systemd listens on {listening}; the first connection starts {what} and is answered by it."


def described(declared: Container | Stack, kind: str, time: int, change: str, paragraph: str) -> Package:
    """Return what a package says of itself; ``change`` is its changelog where none is declared, ``paragraph`` what it does."""
    full_version = f"{declared.version}-{declared.release}"
    changelog = tuple(ChangelogEntry(entry.date, entry.version, entry.changes) for entry in declared.changelog) or (
        ChangelogEntry(datetime.fromtimestamp(time, UTC).date(), full_version, (change,)),)
    description = declared.description
    summary = description
    if not 0 < len(description) <= LONGEST_SYNOPSIS:
        summary = f"On-demand {kind} {declared.name}"[:LONGEST_SYNOPSIS]
    # No paragraph begins with the declaration's own words: a spec file takes a line "%prep" for a section.
    paragraphs = (*((f"{declared.name}: {description}",) if description and description != summary else ()), paragraph)
    return Package(
        name=declared.package_name,
        version=declared.version,
        release=declared.release,
        summary=summary,
        description=paragraphs,
        maintainer=declared.maintainer or DEFAULT_MAINTAINER,
        license=declared.license or DEFAULT_LICENSE,
        homepage=declared.homepage,
        entries=(),
        changelog=changelog,
        timestamp=time,
        built_by=__version__,
    )


def _common(resolved: Resolved) -> list[Entry]:
    container = resolved.container
    return [
        *(plain_file(f"{layout.UNITS}/{name}", text) for name, text in unit_files.units(container).items()),
        Entry(container.libexec, Kind.DIRECTORY, 0o755),
        *(Entry(f"{container.libexec}/{name}", Kind.DIRECTORY, 0o755) for name in helper_files.directories(container)),
        *(plain_file(f"{container.libexec}/{name}", text, 0o755) for name, text in helper_files.programs(container).items()),
        *(plain_file(f"{container.libexec}/{name}", source) for name, source in helper_files.modules(container).items()),
        *(plain_file(f"{container.libexec}/{name}", text) for name, text in helper_files.texts(container).items()),
        plain_file(layout.specification(container.package_name), engine_of(container).specification_file(resolved)),
        *_environment(container),
        *_attendances(container),
        *_image(resolved),
        Entry(layout.documents(container.package_name), Kind.DIRECTORY, 0o755),
        plain_file(f"{layout.documents(container.package_name)}/README",
                   render("doc/README.j2", c=container, carried=resolved.carried, engine=engine_of(container),
                          unpacked=layout.unpacked(container.package_name) if is_unpacked(container) else "",
                          title=unit_files.title(container)),
                   role=Role.DOC),
        plain_file(layout.declaration(container.package_name), as_toml(container), role=Role.DOC),
    ]


def _environment(container: Container) -> list[Entry]:
    if container.adopted:
        return []  # nothing is made that would have it
    # The administrator keeps secrets in it.
    return [plain_file(container.environment_file, render("doc/environment.j2", c=container), 0o600, Role.CONFIG)]


def _attendances(container: Container) -> list[Entry]:
    """Return what tells the services for which a container is started of it."""
    told = {layout.attendant(service, container.name): text for service, text in container.told.items()}
    directories = sorted({posixpath.dirname(path) for path in told} | ({layout.ATTENDANTS} if told else set()))
    return [*(Entry(path, Kind.DIRECTORY, 0o755) for path in directories),
            *(plain_file(path, f"{text}\n") for path, text in told.items())]


def _image(resolved: Resolved) -> list[Entry]:
    if resolved.carried is None:
        return []
    path = resolved.container.image_archive
    return [Entry(posixpath.dirname(path), Kind.DIRECTORY, 0o755),
            Entry(path, Kind.FILE, 0o644, stored=resolved.carried.archive)]


def _preset(container: Container) -> Entry:
    name, text = unit_files.preset(container)
    return plain_file(f"{layout.PRESETS}/{name}", text)
