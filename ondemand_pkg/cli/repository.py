"""The command line of the site's repository.

Knows the commands `publish` and `repo`; hides everything else behind one call a command.  The modules behind them are
loaded when they are called: most calls of the program build packages.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from ondemand_host.visible import as_json, visible
from ondemand_pkg.cli.listing import Listing
from ondemand_pkg.cli.shared import Report, command

_LEAST, _MOST = 3600, 10 * 365 * 86400  # seconds; an index can't be renewed all the time


def _validity(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return a time span as declarations have it in seconds, 0 for "never"; a usage error where it makes no sense."""
    from ondemand_pkg.declaration.values import Invalid, time_span

    if value is None or value == "never":
        return None if value is None else 0
    try:
        seconds = time_span(value)
    except Invalid:
        seconds = 0
    if not _LEAST <= seconds <= _MOST:
        raise click.BadParameter(f'{value[:80]!r}: allowed: a time span from "1h" to "3650d", or "never"', context, parameter)
    return int(seconds)


REPO = click.option("--repo", "root", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                    help="The repository's directory.")
KEY = click.option("--key", default="", metavar="KEY", help="Fingerprint or user ID of the signing key; required only the first "
                   "time, the repository's current key by default.")
SUITE = click.option("--suite", default="stable", show_default=True, metavar="SUITE", help="Suite (channel).")
SOME_SUITE = click.option("--suite", default="", metavar="SUITE", help="Only this suite; all by default.")
EXPIRE = click.option("--expire", default="never", show_default=True, metavar="SPAN",
                      help='When a new key expires, as for gpg: "2y", "never".')


@click.command("publish")
@command
@click.argument("packages", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKAGE...")
@REPO
@KEY
@SUITE
@click.option("--valid-for", callback=_validity, metavar="SPAN",
              help='From now on, apt refuses indexes older than this: "14d"; "never" '
              "(default) turns it off. Run 'repo refresh' more often.")
def publish_command(report: Report, packages: tuple[Path, ...], root: Path, key: str, suite: str,
                    valid_for: int | None) -> None:
    """Add packages to the site's signed apt and dnf repository; print their paths in it."""
    from ondemand_pkg.repository import site

    for path in site.publish(root, packages, suite, key, report.note, valid_for):
        report.result(path)


@click.group("repo", cls=Listing)
def repo_group() -> None:
    """Manage the site's repository."""


@repo_group.command("list")
@command
@REPO
@SOME_SUITE
@click.option("--json", "is_json", is_flag=True, help="Print JSON, with sizes, digests and times.")
def list_command(report: Report, root: Path, suite: str, is_json: bool) -> None:
    """Print suite, package, version, format and path of every package, newest version first.

    --verbose adds the release of ondemand-pkg that built it: "-" for 0.1.0 and older, and for packages of other builders.
    """
    from ondemand_pkg.repository import site
    from ondemand_pkg.repository.inspect import built_by

    found = site.shown(root, suite)
    if is_json:
        report.text(as_json([{"suite": name, **item.as_json(), "built_by": built_by(root / item.path) or None}
                             for name, item in found]) + "\n")
        return
    rows = [tuple(map(visible, (name, item.name, item.version, item.format.name, item.path,
                                *((built_by(root / item.path) or "-",) if report.is_verbose else ())))) for name, item in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        report.result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@repo_group.command("remove")
@command
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE[=VERSION]...")
@REPO
@SUITE
def remove_command(report: Report, packages: tuple[str, ...], root: Path, suite: str) -> None:
    """Remove packages from a suite, all versions by default; print their paths."""
    from ondemand_pkg.repository import site

    for path in site.remove(root, suite, packages, report.note):
        report.result(path)


@repo_group.command("prune")
@command
@REPO
@SOME_SUITE
@click.option("--keep", required=True, type=click.IntRange(min=1), metavar="N", help="How many versions of each package to keep.")
def prune_command(report: Report, root: Path, suite: str, keep: int) -> None:
    """Remove all but the newest versions of each package; print the paths of those removed."""
    from ondemand_pkg.repository import site

    for path in site.prune(root, keep, suite, report.note):
        report.result(path)


@repo_group.command("promote")
@command
@click.argument("packages", nargs=-1, metavar="[PACKAGE[=VERSION]]...")
@REPO
@click.option("--from", "source", required=True, metavar="SUITE", help="Suite that has the packages.")
@click.option("--to", "target", default="stable", show_default=True, metavar="SUITE", help="Suite to add them to.")
def promote_command(report: Report, packages: tuple[str, ...], root: Path, source: str, target: str) -> None:
    """Add packages of one suite to another, sharing the files: the newest versions by default; print their paths."""
    from ondemand_pkg.repository import site

    for path in site.promote(root, source, target, packages, report.note):
        report.result(path)


@repo_group.command("refresh")
@command
@REPO
def refresh_command(report: Report, root: Path) -> None:
    """Renew the date and signature of apt's indexes, for 'publish --valid-for'; print their paths."""
    from ondemand_pkg.repository import site

    for path in site.refresh(root, report.note):
        report.result(path)


@repo_group.command("verify")
@command
@REPO
def verify_command(report: Report, root: Path) -> None:
    """Verify signatures, digests, and the indexes against the pool; exit with status 1 if anything is wrong."""
    from ondemand_pkg.repository.verify import verify

    faults, count = verify(root)
    for fault in faults:
        report.fault(fault)
    if faults:
        raise SystemExit(1)
    report.note(f"{count} packages: no error")


@repo_group.command("keyring")
@command
@REPO
@SUITE
@click.option("--url", required=True, metavar="URL", help="URL at which hosts reach the repository.")
def keyring_command(report: Report, root: Path, suite: str, url: str) -> None:
    """Publish the packages with which hosts join: the key and the sources for apt and dnf; print their paths."""
    from ondemand_pkg.repository import keys

    for path in keys.keyring_packages(root, url, suite, report.note):
        report.result(path)


@repo_group.group("key", cls=Listing)
def key_group() -> None:
    """Create and rotate signing keys."""


@key_group.command("new")
@command
@click.argument("user", metavar="NAME")
@EXPIRE
def key_new_command(report: Report, user: str, expire: str) -> None:
    """Create a key that old and new package managers accept; print its fingerprint.  NAME: "Site packages <mail@site>"."""
    from ondemand_pkg.repository import gpg

    key = gpg.make(user, expire)
    report.result(key.fingerprint)
    report.note("the key is in gpg's keyring; back it up (gpg --export-secret-keys) together with its revocation certificate")


@key_group.command("rotate")
@command
@REPO
@click.option("--key", default="", metavar="KEY", help="The new key; one is created by default.")
@EXPIRE
@click.option("--finish", is_flag=True, help="Sign with the new key only; stop serving old keys that hosts no longer need.")
@click.option("--lost", is_flag=True, help="The old key is lost or revoked: sign with --key only; hosts must join again.")
def key_rotate_command(report: Report, root: Path, key: str, expire: str, finish: bool, lost: bool) -> None:
    """Start signing with both the old and a new key, or finish the rotation; print the new key's fingerprint."""
    from ondemand_pkg.repository import keys

    if finish and (key or lost):
        raise click.UsageError("--finish takes neither --key nor --lost: it finishes the rotation in progress")
    if lost and not key:
        raise click.UsageError("--lost needs --key; 'ondemand-pkg repo key new' creates one")
    if finish:
        report.result(keys.finish_rotation(root, report.note))
        return
    if lost:
        report.result(keys.replace_lost(root, key, report.note).fingerprint)
        report.note("no host trusts it yet: each must install the keyring package again")
        return
    report.result(keys.rotate(root, key, expire, report.note).fingerprint)
    report.note("hosts get the new key with the next version of the keyring package; after that, run 'repo key rotate --finish'")


@click.command("rebuild")
@command
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@REPO
@click.option("--older-than", required=True, metavar="RELEASE",
              help="Rebuild what a release of ondemand-pkg before this one built.")
@click.option("-o", "--output", default="dist", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where the packages go.")
def rebuild_command(report: Report, files: tuple[str, ...], root: Path, older_than: str, output: Path) -> None:
    """Build again what an older release of ondemand-pkg built, with its 'release' raised in the declaration; print the paths."""
    from ondemand_pkg.building import packing
    from ondemand_pkg.formats import FORMATS
    from ondemand_pkg.repository import rebuilding

    containers = rebuilding.raised(root, older_than, files)
    if not containers:
        report.note(f"every package of these declarations was built by ondemand-pkg {older_than} or newer")
        return
    for path in packing.write(packing.tasks(containers, FORMATS.values(), os.environ), output):
        report.result(path)
