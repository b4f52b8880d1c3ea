"""The maintainer scripts of a .deb and the scriptlets of an .rpm.

Knows which scripts each format runs (Policy chapter 6; rpm-spec(5), "Scriptlets"); hides their templates.
"""

from __future__ import annotations

from ondemand_pkg.model import Container
from ondemand_pkg.templates import render
from ondemand_pkg.units import DIRECTORY

NAMES = {"deb": ("postinst", "prerm", "postrm"), "rpm": ("post", "preun", "postun")}


def scripts(container: Container, format_name: str) -> dict[str, str]:
    """Return the text of each script of a format, by the format's own name for it."""
    volumes = [volume.source for volume in container.volumes if volume.is_named] if container.purge_volumes else []
    return {name: render(f"scripts/{format_name}-{name}.j2", c=container, volumes=volumes, unit_directory=DIRECTORY)
            for name in NAMES[format_name]}
