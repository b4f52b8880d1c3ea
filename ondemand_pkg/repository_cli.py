"""The command line of the site's repository.

Knows the commands `publish` and `repo`; hides everything else behind one call a command.  The modules behind them are
loaded when they are called: most calls of the program build packages.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ondemand_pkg.commands import Report, command

REPO = click.option("--repo", "root", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                    help="The repository's directory.")
KEY = click.option("--key", default="", metavar="KEY", help="Fingerprint or user ID of the signing key; needed at the first call "
                   "alone, then the repository's own unless told.")
SUITE = click.option("--suite", default="stable", show_default=True, metavar="SUITE", help="The suite, or channel.")
SOME_SUITE = click.option("--suite", default="", metavar="SUITE", help="One suite alone; all unless told.")
EXPIRE = click.option("--expire", default="never", show_default=True, metavar="SPAN",
                      help='When a new key expires, as gpg writes it: "2y", "never".')


def _waiting(report: Report) -> None:
    report.note("waiting for another process that changes the repository")


@click.command("publish")
@command
@click.argument("packages", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PACKAGE...")
@REPO
@KEY
@SUITE
def publish_command(report: Report, packages: tuple[Path, ...], root: Path, key: str, suite: str) -> None:
    """Add packages to the site's signed apt and dnf repository; print where they are."""
    from ondemand_pkg.repository import site

    for path in site.publish(root, packages, suite, key, lambda: _waiting(report)):
        click.echo(path)


@click.group("repo")
def repo_group() -> None:
    """Look after the site's repository."""


@repo_group.command("list")
@command
@REPO
@SOME_SUITE
@click.option("--json", "as_json", is_flag=True, help="As JSON, with sizes, digests and times.")
def list_command(report: Report, root: Path, suite: str, as_json: bool) -> None:
    """Print suite, package, version, format and path of every package, newest version first."""
    from ondemand_pkg.repository import site

    del report
    found = site.shown(root, suite)
    if as_json:
        click.echo(json.dumps([{"suite": name, **vars(item)} for name, item in found], indent=2))
        return
    rows = [(name, item.name, item.version, item.format, item.path) for name, item in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@repo_group.command("remove")
@command
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE[=VERSION]...")
@REPO
@SUITE
def remove_command(report: Report, packages: tuple[str, ...], root: Path, suite: str) -> None:
    """Take packages, in all versions unless told, out of a suite; print their paths."""
    from ondemand_pkg.repository import site

    for path in site.remove(root, suite, packages, lambda: _waiting(report)):
        click.echo(path)


@repo_group.command("prune")
@command
@REPO
@SOME_SUITE
@click.option("--keep", required=True, type=click.IntRange(min=1), metavar="N", help="How many versions of each package stay.")
def prune_command(report: Report, root: Path, suite: str, keep: int) -> None:
    """Keep the newest versions of each package; print the paths of the others, which are taken out."""
    from ondemand_pkg.repository import site

    for path in site.prune(root, keep, suite, lambda: _waiting(report)):
        click.echo(path)


@repo_group.command("promote")
@command
@click.argument("packages", nargs=-1, metavar="[PACKAGE[=VERSION]]...")
@REPO
@click.option("--from", "source", required=True, metavar="SUITE", help="Where the packages are.")
@click.option("--to", "target", default="stable", show_default=True, metavar="SUITE", help="Where they are shown too.")
def promote_command(report: Report, packages: tuple[str, ...], root: Path, source: str, target: str) -> None:
    """Show packages of one suite in another, the same files: the newest version of each unless told; print their paths."""
    from ondemand_pkg.repository import site

    for path in site.promote(root, source, target, packages, lambda: _waiting(report)):
        click.echo(path)


@repo_group.command("verify")
@command
@REPO
def verify_command(report: Report, root: Path) -> None:
    """Read everything again: signatures, digests, indexes against the pool; exit status 1 where something is wrong."""
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
@click.option("--url", required=True, metavar="URL", help="Where hosts find the repository.")
def keyring_command(report: Report, root: Path, suite: str, url: str) -> None:
    """Publish the packages by which hosts join: the key, and where apt and dnf find the repository; print their paths."""
    from ondemand_pkg.repository import keys

    for path in keys.keyring_packages(root, url, suite, lambda: _waiting(report)):
        click.echo(path)


@repo_group.group("key")
def key_group() -> None:
    """Make signing keys and go over to new ones."""


@key_group.command("new")
@command
@click.argument("user", metavar="NAME")
@EXPIRE
def key_new_command(report: Report, user: str, expire: str) -> None:
    """Make a key that old and new package managers accept; print its fingerprint.  NAME: "Site packages <mail@site>"."""
    from ondemand_pkg.repository import gpg

    key = gpg.make(user, expire)
    click.echo(key.fingerprint)
    report.note("gpg keeps it; keep a backup of it (gpg --export-secret-keys) and its revocation certificate in a safe place")


@key_group.command("rotate")
@command
@REPO
@click.option("--key", default="", metavar="KEY", help="The new key; one is made unless told.")
@EXPIRE
@click.option("--finish", is_flag=True, help="Let the new key sign alone; serve no more old keys that hosts don't need.")
@click.option("--lost", is_flag=True, help="The old key is lost or revoked: let --key sign alone at once; hosts must join anew.")
def key_rotate_command(report: Report, root: Path, key: str, expire: str, finish: bool, lost: bool) -> None:
    """Sign with the old and a new key from now on, or finish that; print the new key's fingerprint."""
    from ondemand_pkg.repository import keys

    if finish and (key or lost):
        raise click.UsageError("--finish takes neither --key nor --lost: it ends the change that is under way")
    if lost and not key:
        raise click.UsageError("--lost needs --key; 'ondemand-pkg repo key new' makes one")
    if finish:
        click.echo(keys.finish_rotation(root, lambda: _waiting(report)))
        return
    if lost:
        click.echo(keys.replace_lost(root, key, lambda: _waiting(report)).fingerprint)
        report.note("no host trusts it yet: each must install the keyring package anew")
        return
    click.echo(keys.rotate(root, key, expire, lambda: _waiting(report)).fingerprint)
    report.note("hosts get the new key with the keyring package's next version; then 'repo key rotate --finish'")


def register(cli: click.Group) -> None:
    """Add the commands to the command line."""
    cli.add_command(publish_command)
    cli.add_command(repo_group)
