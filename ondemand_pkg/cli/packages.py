"""The command line of packages that are made from declarations.

Knows the commands `build`, `show` and `source`; hides everything else behind one call a command.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ondemand_pkg.building import packing
from ondemand_pkg.cli.arguments import FILES, FORMAT, OUTPUT, OfDeclarations
from ondemand_pkg.cli.shared import Report, command
from ondemand_pkg.declaration import reader
from ondemand_pkg.formats import Format


@click.command("build", cls=OfDeclarations)
@command
@FILES
@OUTPUT
@FORMAT
@click.option("--key", default="", metavar="KEY", help="Sign each .rpm with this key of gpg's: its fingerprint or user ID.")
def build_command(report: Report, files: tuple[str, ...], output: Path, formats: tuple[Format, ...], key: str) -> None:
    """Build the packages that declarations describe; print their paths."""
    sign = _signing(key, formats)
    todo = packing.tasks(reader.read_site(files).packaged, formats, os.environ)
    if sys.stderr.isatty() and len(todo) >= packing.WORTH_PROCESSES:
        with click.progressbar(length=len(todo), label="packages", file=sys.stderr) as bar:
            written = packing.write(todo, output, lambda: bar.update(1), finish=sign)
    else:
        written = packing.write(todo, output, finish=sign)
    for path in written:
        report.detail(f"{path}: {path.stat().st_size} bytes")
        report.result(path)
    report.next_step("next: copy a package to a host and install it with 'apt-get install ./FILE' or 'dnf install ./FILE', or "
                     "feed the site's repository with 'ondemand-pkg publish'")


def _signing(key: str, formats: tuple[Format, ...]) -> Callable[[Sequence[Path]], None]:
    """Return what signs the packages that can be signed.  Raises OndemandError where the key can't sign."""
    if not key:
        return lambda _: None
    if not any(format.is_signed for format in formats):
        raise click.UsageError("--key signs .rpm packages only; a .deb is signed by the index of its repository: "
                               "'ondemand-pkg publish --key KEY'")
    from ondemand_pkg.repository import gpg
    from ondemand_pkg.repository.signed_files import sign_files

    fingerprint = gpg.find(key).fingerprint
    endings = tuple(f".{format.name}" for format in formats if format.is_signed)
    return lambda paths: sign_files({path.name: path for path in paths if path.name.endswith(endings)}, fingerprint)


@click.command("show", cls=OfDeclarations)
@command
@click.argument("file", type=click.Path())
@FORMAT
def show_command(report: Report, file: str, formats: tuple[Format, ...]) -> None:
    """Print every field, script and file that the packages of a declaration would contain."""
    from ondemand_pkg.building.images import Images
    from ondemand_pkg.cli.package_text import shown

    declared = reader.read_site([file]).packaged
    with tempfile.TemporaryDirectory(prefix="ondemand-pkg-") as temporary:
        images = Images(Path(temporary))
        for task in packing.tasks(declared, formats, os.environ):
            report.text(shown(task.job(images).package(), task.format))


@click.command("source", cls=OfDeclarations)
@command
@FILES
@OUTPUT
def source_command(report: Report, files: tuple[str, ...], output: Path) -> None:
    """Write source trees for dpkg-buildpackage and rpmbuild; print their paths."""
    from ondemand_pkg.building.source_packages import write_source

    for path in write_source(reader.read_site(files).packaged, output, os.environ):
        report.result(path)
