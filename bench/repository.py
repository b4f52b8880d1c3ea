"""How long a large repository takes to be made, and to get one package more, here and by the usual tools.

Knows how each tool is told the same work: signed indexes, compressed as apt and dnf want them; hides their files.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS

from .measure import Alternative, Table, comparison, in_turns, ratio, timed, verdict
from .packing import _program, _said, _tool

COUNT, RUNS = 10_000, 3
TOOLS = ("gpg", "reprepro", "aptly", "apt-ftparchive", "createrepo_c", "rpmsign", "xz")
ONE_SECONDS, ONE_SHARE = 2.0, 0.5  # what one package more may take, and of the fastest other tool's time
HERE = "here"
Way = Callable[[list[Path]], Callable[[], object]]


def missing() -> str:
    """Return why this part can't run, or nothing."""
    lacking = [tool for tool in TOOLS if _program(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench, as root, installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return which tools are compared."""
    return [("reprepro", _said("dpkg-query", "-W", "-f=${Version}", "reprepro")),
            ("aptly", _said("aptly", "version").split()[-1]),
            ("apt-ftparchive", _said("apt-ftparchive", "--version").split()[1]),
            ("createrepo_c", _said("createrepo_c", "--version").split()[1])]


def tables(runs: int) -> Iterator[Table]:
    """Measure, and yield what came out."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
        directory = Path(temporary)
        os.environ["GNUPGHOME"] = str(directory / "gpg")
        (directory / "gpg").mkdir(mode=0o700)
        key = _said("ondemand-pkg", "repo", "key", "new", "Benchmark <bench@example.com>").strip()
        try:
            for format_name in ("deb", "rpm"):
                yield from _format(directory, format_name, key, min(runs, RUNS))
        finally:
            _said("gpgconf", "--kill", "all")


def _format(directory: Path, format_name: str, key: str, runs: int) -> Iterator[Table]:
    click.echo(f"repository: building {COUNT + runs} .{format_name}", err=True)
    declaration = directory / "crowd.toml"
    declaration.write_text("[package]\nversion = \"1.27.0\"\n" + "".join(
        f"[container.web{number}]\nimage = \"nginx:1.27\"\nports = [\"{10000 + number}:80\"]\n"
        for number in range(COUNT + runs)))
    packages = packing.write(packing.tasks(read([str(declaration)]), [FORMATS[format_name]], {}),
                             directory / f"dist-{format_name}")
    crowd, more = packages[:COUNT], packages[COUNT:]
    ways = {name: way(directory / f"{format_name}-{name}", key) for name, way in _WAYS[format_name].items()}
    click.echo(f"repository: first publish of {COUNT} .{format_name}", err=True)
    first = in_turns([Alternative(name, timed(way(crowd))) for name, way in ways.items()], 1, warm_up=0)
    yield comparison(f"{COUNT} packages (.{format_name}), first publish", first, HERE)
    rest = {name: iter(more) for name in ways}
    click.echo(f"repository: one .{format_name} more, {runs} rounds", err=True)
    one = in_turns([Alternative(name, timed(_next(way, rest[name])))
                    for name, way in ways.items()], runs, warm_up=0)
    fastest = min((name for name in one if name != HERE), key=lambda name: ratio(one[name], one[HERE]) or float("inf"))
    yield comparison(f"One package more than {COUNT} (.{format_name}), whole command", one, HERE, [
        verdict("one package more", ratio(one[HERE], [1.0]), ONE_SECONDS, " s"),
        verdict(f"to {fastest}", ratio(one[HERE], one[fastest]), ONE_SHARE),
        "Every way ends with signed indexes; here also with the page.  Without rpmsign no .rpm is signed."])


def _next(way: Way, packages: Iterator[Path]) -> Callable[[], object]:
    return lambda: way([next(packages)])()


def _here(root: Path, key: str) -> Way:
    return lambda packages: _tool("ondemand-pkg", "publish", "--repo", root, "--key", key, *packages)


def _reprepro(root: Path, key: str) -> Way:
    (root / "conf").mkdir(parents=True)
    (root / "conf/distributions").write_text(f"Codename: stable\nArchitectures: amd64\nComponents: main\nSignWith: {key}\n"
                                             "DebIndices: Packages Release . .gz .xz\n")
    return lambda packages: _tool("reprepro", "--silent", "-b", root, "includedeb", "stable", *packages)


def _aptly(root: Path, key: str) -> Way:
    root.mkdir()
    configuration = root / "aptly.conf"
    configuration.write_text(json.dumps({"rootDir": str(root / "aptly"), "architectures": ["amd64"], "gpgProvider": "gpg"}))
    call = ("aptly", f"-config={configuration}")
    _said(*call, "repo", "create", "-distribution=stable", "site")

    def way(packages: list[Path]) -> Callable[[], object]:
        publish = (("publish", "update") if (root / "aptly/public/dists").exists() else ("publish", "repo"))
        add = _tool(*call, "repo", "add", "site", *packages)
        show = _tool(*call, *publish, "-batch", f"-gpg-key={key}", "site" if publish[1] == "repo" else "stable")
        return lambda: (add(), show())
    return way


def _copied(root: Path, packages: list[Path], *then: Callable[[], object]) -> Callable[[], object]:
    def work() -> None:
        (root / "pool").mkdir(parents=True, exist_ok=True)
        for package in packages:
            shutil.copy(package, root / "pool")
        for step in then:
            step()
    return work


def _ftparchive(root: Path, key: str) -> Way:
    script = ("cd \"$0\" && mkdir -p dists/stable/main/binary-amd64 && p=dists/stable/main/binary-amd64/Packages && "
              "apt-ftparchive --db cache.db packages pool > $p && gzip -kf $p && xz -kf $p && "
              "apt-ftparchive release dists/stable > Release && mv Release dists/stable/Release && cd dists/stable && "
              "gpg --batch --yes -u $1 --clearsign -o InRelease Release && gpg --batch --yes -u $1 -abo Release.gpg Release")
    run = _tool("sh", "-c", script, root, key)
    return lambda packages: _copied(root, packages, run)


def _createrepo(root: Path, key: str) -> Way:
    run = _tool("sh", "-c", "createrepo_c --quiet --update --no-database \"$0\" && "
                "gpg --batch --yes -u $1 -abo \"$0/repodata/repomd.xml.asc\" \"$0/repodata/repomd.xml\"", root, key)
    return lambda packages: _copied(root, packages, run)


def _rpmsign(root: Path, key: str) -> Way:
    add = _createrepo(root, key)
    gpg = f"__gpg {_program('gpg')}"  # Debian's macro names another place
    call = ("rpmsign", "--define", gpg, "--define", f"_gpg_name {key}", "--addsign")

    def way(packages: list[Path]) -> Callable[[], object]:
        sign = _tool(*call, *(root / "pool" / package.name for package in packages))
        return _copied(root, packages, sign, add([]))
    return way


_WAYS: dict[str, dict[str, Callable[[Path, str], Way]]] = {
    "deb": {HERE: _here, "reprepro": _reprepro, "aptly": _aptly, "apt-ftparchive, gpg": _ftparchive},
    "rpm": {HERE: _here, "createrepo_c, rpmsign, gpg": _rpmsign, "createrepo_c, gpg": _createrepo},
}
