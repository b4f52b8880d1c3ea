"""What Podman's own generator makes of Quadlet files, and what `import` makes of them, is the same container.

The generator's command line is imported as one that somebody typed; each difference from the import of the files is in
DIFFERENCES.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondemand_pkg.importing import command_line, quadlet, quadlet_project
from ondemand_pkg.importing.quadlet import QuadletContainer
from ondemand_pkg.importing.unit_files import with_variables, words

from .engine_commands import root_of

DATA = Path(__file__).parents[1] / "data"
SUITES = ("trixie", "forky")  # Podman 5.4 and 5.8; that of Debian 12 has no Quadlet
DIRECTORIES = ("quadlet", "quadlet-oracle")
# Files that a generator refuses, by the suite ("" for each), and why.
REFUSED = {
    ("", "q19-network-container.container"): "it names a file that is not there: the importer says so, and goes on",
    ("", "q23-case-misc.container"): "no section [Container]: the importer refuses it too",
    ("trixie", "keys.container"): "Podman 5.4 does not have Memory=",
}
# What the importer says in another way: by file and key, with the reason.
DIFFERENCES = {
    ("keys.container", "description"): "it is in [Unit], not in the command",
    ("resets.container", "volumes"): "an anonymous volume is named after the declared name, which the command line does not know",
    ("built.container", "network_of"): "a container is called after its file, not after ContainerName=",
    ("q04-health-timing.container", "ready"): "TimeoutStartSec= is the unit's, and counts for the time limit",
    ("q07-systemd-variables.container", "env"): "a variable that only the host knows is left out of env",
}


@pytest.fixture(scope="module", params=SUITES)
def root(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A root file system with the generator of a suite, made once."""
    return request.param, root_of(request.param)


def generated(root: Path, directory: Path) -> dict[str, str]:
    """Return the command that the generator makes of each unit, by the name of its service."""
    inside = 'mkdir -p "$0/mnt" && mount --bind "$1" "$0/mnt" && QUADLET_UNIT_DIRS=/mnt exec chroot "$0" "$2" -dryrun'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", inside, str(root), str(directory), "/usr/libexec/podman/quadlet"],
                          capture_output=True, text=True)
    return dict(re.findall(r"^---(.*?)\.service---\n.*?^ExecStart=(.*?)$", done.stdout, re.DOTALL | re.MULTILINE))


def containers(directory: Path) -> Iterator[QuadletContainer]:
    """Yield each container of a directory, converted by itself, its siblings beside it."""
    for path in sorted(directory.glob("*.container")):
        if path.name != "q23-case-misc.container":
            project = quadlet_project.Project(str(path))
            project.convert()
            yield from project.containers


def argv_of(line: str, one: QuadletContainer, directory: Path) -> list[str]:
    """Return the words of a command as systemd runs them."""
    variables = {name: value for assignment in one.unit.all("Service", "Environment")
                 for name, _, value in (word.partition("=") for word in assignment.words())}
    found = [with_variables(one.unit.expanded(word, one.service)[0], variables)[0] for word in words(line)]
    return [word.replace("/mnt/", f"{directory.resolve()}/") for word in found]


def comparable(values: dict[str, Any]) -> dict[str, Any]:
    """Order means something in a command only."""
    return {key: Counter(value) if isinstance(value, list) and key not in ("command", "entrypoint") else value
            for key, value in values.items()}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_each_file_becomes_what_podman_makes_of_it_less_the_listed_differences(root: tuple[str, Path], name: str) -> None:
    suite, system = root
    lines = generated(system, DATA / name)
    assert len(lines) > 5
    differing, refused = set[tuple[str, str]](), set[str]()
    for one in containers(DATA / name):
        if one.service not in lines:
            refused.add(one.unit.file_name)
            continue
        theirs = comparable(command_line.options_of(argv_of(lines[one.service], one, DATA / name)).draft.values)
        ours = comparable(one.draft.values)
        differing |= {(one.unit.file_name, key) for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
    files = {path.name for path in (DATA / name).glob("*.container")}
    listed = {file for at, file in REFUSED if at in ("", suite) and file in files}
    assert refused | ({"q23-case-misc.container"} & files) == listed
    assert differing == {pair for pair in DIFFERENCES if pair[0] in files - listed}


LINKED = {  # files; those with "->" are links
    "web@.container": "[Container]\nImage=docker.io/x/web:1\nEnvironment=NAME=%i IN=%p\nVolume=store@.volume:/data\n"
                      "Volume=./w:/w\nPublishPort=808%i:80\n",
    "web@1.container": "-> web@.container", "web@2.container": "-> sub/templates/web@.container",
    "web@.container.d/10.conf": "[Container]\nEnvironment=ALL=1 WHICH=all\n",
    "web@1.container.d/10.conf": "[Container]\nEnvironment=WHICH=one\n",
    "sub/templates/web@.container": "[Container]\nImage=docker.io/x/other:2\nPublishPort=809%i:80\n",
    "store@.volume": "[Volume]\n", "front-store@.volume": "[Volume]\nVolumeName=front-%p\n",
    "front.container": "[Unit]\nRequires=web@3.service\n[Container]\nImage=docker.io/x/front:1\nPublishPort=1:1\n"
                       "Volume=front-store@.volume:/data\nNetwork=called.container\n",
    "more": "-> sub", "sub/again": "-> ..",
    "sub/front.container": "[Container]\nImage=docker.io/x/never:1\n",
    "sub/inner-part.container": "[Container]\nImage=docker.io/x/inner:1\nVolume=./x:/x\nPublishPort=2:2\n",
    "inner-.container.d/20.conf": "[Container]\nEnvironment=TOP=1\n",
    "sub/inner-.container.d/20.conf": "[Container]\nEnvironment=TOP=2 NEVER=1\n",
    "sub/inner-part.container.d": "-> ../shared.d", "shared.d/30.conf": "[Container]\nEnvironment=SHARED=1\n",
    "shared.d/never.container": "[Container]\nImage=docker.io/x/never:1\n",
    "called.container": "-> sub/inner-part.container", "sub/called.container.d/1.conf": "[Container]\nContainerName=called\n",
}


def linked(directory: Path) -> Path:
    """Write the files and links of LINKED."""
    for name, text in LINKED.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
    return directory


def test_links_templates_and_subdirectories_are_read_as_podman_reads_them(root: tuple[str, Path], tmp_path: Path) -> None:
    directory = linked(tmp_path / "units")
    lines = generated(root[1], directory)
    project = quadlet_project.Project(str(directory))
    project.convert()
    by_name = {one.service: one for one in project.containers}
    made = {name for name in lines if not name.endswith("-volume") and "-volume@" not in name}
    assert {*by_name, "web@"} == {*made, "web@3"}, "what only another unit names is made of its template"
    # Podman 5.4 makes the volume of a template "systemd-store@", a name that it refuses itself.
    differences = {("web@1", "volumes"), ("web@3", "volumes")} if root[0] == "trixie" else set()
    differing = set()
    for name, one in by_name.items():
        words_of = argv_of(lines["web@" if name == "web@3" else name], one, directory)
        theirs, ours = comparable(command_line.options_of(words_of).draft.values), comparable(one.draft.values)
        differing |= {(name, key) for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
    assert differing == differences


def test_every_key_that_is_imported_is_one_that_podman_knows(root: tuple[str, Path], tmp_path: Path) -> None:
    """A key that the newest generator refuses would be one that nobody can write."""
    suite, system = root
    if suite != SUITES[-1]:
        return
    keys = [*quadlet.OPTIONS, *quadlet.ELSEWHERE, *quadlet.INSTEAD]
    for key in keys:
        value = {"Image": "docker.io/x/y:1", "ServiceName": "ServiceName"}.get(key, "")
        (tmp_path / f"{key}.container").write_text(f"[Container]\nImage=docker.io/x/y:1\n{key}={value}\n")
    known = generated(system, tmp_path)
    assert {key for key in keys if key not in known} == set()
