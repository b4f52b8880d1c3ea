"""Packages to publish, and what a reader sees of a repository."""

from __future__ import annotations

import os
from pathlib import Path

from signing import Signer

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS


def packages(directory: Path, *versions: str, name: str = "nginx", image: str = "nginx:1.27",
             formats: tuple[str, ...] = ("deb", "rpm")) -> list[Path]:
    """Build packages of one container."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for version in versions:
        declaration = directory / "declaration.toml"
        declaration.write_text(f'[container.{name}]\nimage = "{image}"\nversion = "{version}"\nports = ["80:80"]\n')
        paths += packing.write(packing.tasks(read([str(declaration)]), [FORMATS[each] for each in formats], {}),
                               directory / "dist")
    return paths


def everything(root: Path) -> dict[str, bytes]:
    """Return what a reader sees, by path."""
    return {str(path.relative_to(root)): path.read_bytes() for name in sorted(os.listdir(root)) if not name.startswith(".")
            for path in ([root / name] if (root / name).is_file() else sorted((root / name).glob("**/*"))) if path.is_file()}


def listed(site: Signer, root: Path, *options: str) -> list[str]:
    return [" ".join(line.split()[:4]) for line in site.run("repo", "list", "--repo", root, *options).stdout.splitlines()]
