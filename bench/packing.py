"""How long packages take, here and by the native tools.

Knows how each tool is told the same package; hides their files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from ondemand_pkg.building import packing
from ondemand_pkg.building.source_packages import write_source
from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import DEB, FORMATS
from ondemand_pkg.model import Resolved
from ondemand_pkg.package import Kind, Package, Role

from .measure import Alternative, Table, added, comparison, in_turns, ratio, timed, verdict

DECLARATION = Path(__file__).parents[1] / "examples/nginx.toml"
TOOLS = ("dpkg-deb", "rpmbuild", "nfpm")
SHARE = 0.1  # of the native tools' time that both packages may take
CROWD, CROWD_SECONDS, CROWD_RUNS = 1000, 15.0, 3
SITE, SITE_SECONDS = 500, 2.0
# Of the time that an interpreter takes to load the two libraries; release 0.1.0 took 1.7 and 2.6 times as long.
VERSION_SHARE, BUILD_SHARE = 1.0, 1.5
LIBRARY, COMMAND = "here, library call", "here, whole command"
_APP = """[container.app{number}]
description = "Application {number} of the site"
image = "registry.example:5000/app{number}:2.1.{number}"
version = "2.1.{number}"
maintainer = "Platform Team <platform@example.com>"
license = "MIT"
ports = ["{port}:8080", "/run/app{number}.sock:8080"]
env = {{ MODE = "production", DATABASE = "db{number}.example", WORKERS = "4" }}
volumes = ["app{number}-data:/var/lib/app", "/etc/app{number}:/etc/app:ro"]
user = "1000:1000"
memory = "256m"
cpus = 1.5
read_only = true
tmpfs = ["/tmp"]
cap_drop = ["ALL"]
labels = {{ team = "web" }}
ready = {{ http = "/healthz" }}
idle = "10min"
allow = ["10.0.0.0/8"]
"""
# What nfpm calls the scripts of each format.
_NFPM_SCRIPTS = {"postinst": "postinstall", "prerm": "preremove", "postrm": "postremove",
                 "post": "postinstall", "preun": "preremove", "postun": "postremove"}


def missing() -> str:
    """Return why this part can't run, or nothing."""
    lacking = [tool for tool in TOOLS if _program(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench, as root, installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return which tools are compared."""
    return [("dpkg-deb", _said("dpkg-deb", "--version").split("\n")[0].split("version ")[-1].rstrip(".")),
            ("rpmbuild", _said("rpmbuild", "--version").split()[-1]),
            ("nfpm", _said("nfpm", "--version").partition("GitVersion:")[2].split()[0])]


def tables(runs: int) -> Iterator[Table]:
    """Measure, and yield what came out."""
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary:
        yield from _one(Path(temporary), runs)
        yield _commands(Path(temporary), runs)
        yield _crowd(Path(temporary), min(runs, CROWD_RUNS))
        yield _site(Path(temporary), min(runs, CROWD_RUNS))


def _one(directory: Path, runs: int) -> Iterator[Table]:
    ways = {
        ("deb", LIBRARY): _library(directory, "deb"), ("rpm", LIBRARY): _library(directory, "rpm"),
        ("both", LIBRARY): _library(directory, "deb", "rpm"),
        ("deb", COMMAND): _build(directory, DECLARATION, "--format=deb"),
        ("rpm", COMMAND): _build(directory, DECLARATION, "--format=rpm"),
        ("both", COMMAND): _build(directory, DECLARATION),
        ("deb", "dpkg-deb"): _dpkg_deb(directory), ("rpm", "rpmbuild"): _rpmbuild(directory),
        ("deb", "nfpm"): _nfpm("deb", directory), ("rpm", "nfpm"): _nfpm("rpm", directory),
    }
    click.echo(f"packing: {runs} rounds of {len(ways)} ways", err=True)
    found = in_turns([Alternative(" ".join(key), timed(way)) for key, way in ways.items()], runs)
    times = {key: found[" ".join(key)] for key in ways}
    for format_name, native in (("deb", "dpkg-deb"), ("rpm", "rpmbuild")):
        yield comparison(f"One .{format_name} of examples/nginx.toml",
                         {name: times[format_name, name] for name in (native, "nfpm", COMMAND, LIBRARY)}, native)
    native = "dpkg-deb, then rpmbuild"
    both = {native: added(times["deb", "dpkg-deb"], times["rpm", "rpmbuild"]),
            "nfpm, twice": added(times["deb", "nfpm"], times["rpm", "nfpm"]),
            COMMAND: times["both", COMMAND], LIBRARY: times["both", LIBRARY]}
    yield comparison("Both packages of examples/nginx.toml", both, native, [
        verdict("both packages here, library call, to dpkg-deb and rpmbuild", ratio(both[LIBRARY], both[native]), SHARE),
        "Here the declaration is read, files and scripts are rendered and written; the tools find them ready on the disk.",
        "Each tool compresses with its default settings."])


def _commands(directory: Path, runs: int) -> Table:
    """What a short command takes, beside the interpreter's start and the libraries that every command needs."""
    libraries, version, build = "python3 -c 'import click, jinja2'", "ondemand-pkg --version", "ondemand-pkg build nginx.toml"
    ways = {libraries: _python(directory, "python3", "-c", "import click, jinja2"),
            version: _command(directory, "--version"), build: _build(directory, DECLARATION)}
    click.echo(f"packing: {runs} rounds of {len(ways)} commands", err=True)
    times = in_turns([Alternative(name, timed(way)) for name, way in ways.items()], runs)
    return comparison("Whole commands", times, libraries, [
        verdict("--version to the libraries", ratio(times[version], times[libraries]), VERSION_SHARE),
        verdict("build to the libraries", ratio(times[build], times[libraries]), BUILD_SHARE)])


def _crowd(directory: Path, runs: int) -> Table:
    """A thousand containers in one file, both formats, the whole command."""
    declaration = directory / "crowd.toml"
    declaration.write_text("[package]\nversion = \"1.27.0\"\n" + "".join(
        f"[container.web{number}]\nimage = \"nginx:1.27\"\nports = [\"{10000 + number}:80\"]\n" for number in range(CROWD)))
    table = _at_once(f"{CROWD} containers in one file, both formats, whole command", f"{CROWD} containers, {2 * CROWD} packages",
                     _build(directory, declaration), runs, CROWD_SECONDS)
    written = len(list((directory / "dist").glob("ondemand-web*")))
    assert written == 2 * CROWD, f"{written} packages are there"
    return table


def _site(directory: Path, runs: int) -> Table:
    """A site's declarations, one container in each file, all that a declaration may say in them; the whole command."""
    site = directory / "site"
    site.mkdir()
    for number in range(SITE):
        (site / f"app{number}.toml").write_text(_APP.format(number=number, port=10000 + number))
    return _at_once(f"{SITE} declarations checked, whole command", f"{SITE} files",
                    _command(directory, "check", "--quiet", "--strict", *sorted(site.iterdir())), runs, SITE_SECONDS)


def _at_once(title: str, name: str, way: Callable[[], object], runs: int, seconds: float) -> Table:
    """Measure one way, which has to take no more than some seconds."""
    click.echo(f"packing: {runs} rounds of {name}", err=True)
    times = in_turns([Alternative(name, timed(way))], runs)
    return comparison(title, times, name, [verdict(f"{os.cpu_count()} processors", ratio(times[name], [1.0]), seconds, " s")])


def _program(name: str) -> str | None:
    """Return a program's path; those that pip installs lie beside the interpreter."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def _tool(*command: str | Path, directory: Path | None = None, **environ: str) -> Callable[[], str]:
    """Return what runs a tool and returns what it printed."""
    argv = [_program(str(command[0])) or str(command[0]), *map(str, command[1:])]
    variables = {**os.environ, "LC_ALL": "C.UTF-8", **environ}

    def run() -> str:
        done = subprocess.run(argv, cwd=directory, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise click.ClickException(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    return run


def _said(*command: str | Path) -> str:
    return _tool(*command)()


def _package(format_name: str) -> Package:
    (container,) = read([str(DECLARATION)])
    return package_of.package(Resolved(container), FORMATS[format_name], package_of.timestamp(container, {}))


def _library(directory: Path, *formats: str) -> Callable[[], object]:
    chosen = [FORMATS[name] for name in formats]
    return lambda: packing.write(packing.tasks(read([str(DECLARATION)]), chosen, {}), directory / "dist")


def _build(directory: Path, declaration: Path, *options: str) -> Callable[[], object]:
    return _command(directory, "build", "--quiet", "--output", directory / "dist", *options, declaration)


def _command(directory: Path, *argv: str | Path) -> Callable[[], object]:
    return _python(directory, "ondemand-pkg", *argv)


def _python(directory: Path, *argv: str | Path) -> Callable[[], object]:
    # As where the tool is installed: no path but the interpreter's own (an empty value is none), and compiled modules are
    # kept, though not in the checkout.
    return _tool(*argv, PYTHONPYCACHEPREFIX=str(directory / "compiled"), PYTHONDONTWRITEBYTECODE="",
                 PYTHONPATH="")


def _dpkg_deb(directory: Path) -> Callable[[], object]:
    root = directory / "deb"
    (path,) = packing.write(packing.tasks(read([str(DECLARATION)]), [DEB], {}), directory / "dist")
    _said("dpkg-deb", "--raw-extract", path, root)
    return _tool("dpkg-deb", "--root-owner-group", "--build", root, directory / "native.deb")


def _rpmbuild(directory: Path) -> Callable[[], object]:
    source, _ = write_source(read([str(DECLARATION)]), directory / "source", {})
    (spec,) = source.glob("*.spec")
    # In place: the tree is there already, as it is for dpkg-deb; no tarball is unpacked.
    return _tool("rpmbuild", "-bb", "--quiet", "--build-in-place", f"--define=_topdir {directory / 'top'}", spec,
                 directory=source)


def _nfpm(format_name: str, directory: Path) -> Callable[[], object]:
    package = _package(format_name)
    root = directory / f"nfpm-{format_name}"
    contents = []
    for entry in package.entries:
        path = root / entry.path.lstrip("/")
        info = {"mode": entry.mode, "owner": entry.owner, "group": entry.group}
        if entry.kind is Kind.DIRECTORY:
            contents.append({"dst": entry.path, "type": "dir", "file_info": info})
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.data)
        kind = {"type": "config|noreplace"} if entry.role is Role.CONFIG else {}
        contents.append({"src": str(path), "dst": entry.path, "file_info": info, **kind})
    scripts = {}
    for name, text in package.scripts.items():
        path = root / name
        path.write_text(text)
        scripts[_NFPM_SCRIPTS[name]] = str(path)
    configuration = root / "nfpm.yaml"  # JSON is YAML
    configuration.write_text(json.dumps({
        "name": package.name, "arch": "all", "version": package.version, "release": str(package.release),
        "maintainer": package.maintainer, "license": package.license, "section": package.section,
        "description": "\n".join((package.summary, *package.description)),
        "depends": list(package.relations.get("depends", package.relations.get("requires", ()))),
        "contents": contents, "scripts": scripts}))
    return _tool("nfpm", "package", "-f", configuration, "-p", format_name, "-t", root / f"out.{format_name}")
