"""The maintainer scripts of a .deb and the scriptlets of an .rpm.

Knows what they are rendered with (Policy chapter 6; rpm-spec(5), "Scriptlets"); hides their templates.
"""

from __future__ import annotations

from ondemand_pkg import layout
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.engines.choice import ENGINES, engines_of, is_unpacked
from ondemand_pkg.engines.systemd import SYSTEMD
from ondemand_pkg.formats import Format
from ondemand_pkg.formats.rpm import TRIGGER
from ondemand_pkg.model import Container


def watched(format: Format) -> str:
    """Return where every package of a container has files: those that come and go there may free an address."""
    return layout.LIBEXEC if format.watches_directories else f"{layout.LIBEXEC}/{layout.package_name('')}"


def scripts(container: Container, format: Format) -> dict[str, str]:
    """Return the text of each script of a format, by the format's own name for it."""
    possible = engines_of(container)
    volumes = [volume.source for volume in container.volumes if volume.is_named] if container.purge_volumes else []
    return {name: render(f"scripts/{format.name}-{name}.j2", c=container, engine=possible[0],
                         engines=(*ENGINES, SYSTEMD) if is_unpacked(container) else ENGINES,
                         volumes=volumes, apart_unit=layout.apart_unit(container.name) if is_unpacked(container) else "",
                         unpacked=layout.unpacked(container.package_name), unit_directory=layout.UNITS, watched=watched(format))
            for name in format.scripts if container.listens or name != TRIGGER}
