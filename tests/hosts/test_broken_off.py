"""What is left of a package whose installation, upgrade or removal is broken off, and what the next attempt makes of it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import packed
from requirements import need

from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Resolved

from .conftest import TOOLS, manager_on
from .machine import DNF, Machine, fresh, stub
from .managers import Manager

KILL_AT, KILLED = "/run/kill-at", "/run/killed"
# Each simple command is a step (bash(1), trap, DEBUG); one shell is killed, before the step whose number stands in KILL_AT.
STEPS = f"""[ -n "${{BASH_VERSION:-}}" ] || exec bash "$0" "$@"
set -T
step=0
trap 'step=$((step + 1)); [ "$step" != "$(cat {KILL_AT} 2>/dev/null)" ] || {{ mv {KILL_AT} {KILLED}; kill -KILL $$; }}' DEBUG
"""


manager = manager_on("trixie-deb", "bookworm-rpm")


def package(directory: Path, kind: str, version: str, env: str, head: dict[str, str], more: str = "") -> Path:
    """Build a package of which some scripts begin with other lines; script "*" stands for all of them."""
    declaration = directory / "web.toml"
    declaration.write_text(f'[container.web]\nimage = "servers:1"\nversion = "{version}"\nports = ["8001:80"]\n'
                           f'env = {{ WHICH = "{env}" }}\nvolumes = ["data:/data"]\n{more}\n')
    (container,) = read([str(declaration)])
    plain = package_of.package(Resolved(container), FORMATS[kind], 0)
    scripts = {name: ("#!/bin/sh\n" if kind == "deb" else "") + head.get(name, head.get("*", "")) + text
               for name, text in {**{name: "" for name in head if name != "*"}, **plain.scripts}.items()}
    path = directory / f"{version}-{FORMATS[kind].filename(plain)}"
    path.write_bytes(packed(FORMATS[kind], dataclasses.replace(plain, scripts=scripts)))
    return path


def state(machine: Machine) -> list[str]:
    """What an administrator sees of the package, and all that it has made."""
    seen = machine.sh("""
        dpkg-query --show --showformat='${db:Status-Abbrev} ${Version}\n' ondemand-web 2>/dev/null || rpm -q ondemand-web
        systemctl is-enabled ondemand-web.socket; systemctl is-active ondemand-web.socket
    """, check=False)
    return seen.splitlines() + machine.traces()


class Attempts:
    """An operation of a package manager, killed at each of its steps in turn; each time the host is as before."""

    def __init__(self, manager: Manager, tmp_path: Path) -> None:
        self.machine = manager.machine
        self.kind = manager.kind
        self.old = self.copied(package(tmp_path, self.kind, "1", "old", {"*": STEPS}))
        self.new = self.copied(package(tmp_path, self.kind, "2", "new", {"*": STEPS}))

    def copied(self, path: Path) -> str:
        return self.machine.copy_in(path)[0]

    def install(self, path: str) -> None:
        self.machine.sh(f"dpkg --install {path}" if self.kind == "deb" else
                        f"rpm --upgrade --force --nodeps --force-debian {path}", check=False)

    def remove(self) -> None:
        self.machine.sh("dpkg --purge ondemand-web" if self.kind == "deb" else
                        "rpm --erase --nodeps --force-debian ondemand-web", check=False)

    def again(self, path: str) -> None:
        """What an administrator does after an installation that was broken off."""
        self.machine.sh(f"dpkg --configure -a && dpkg --install {path}" if self.kind == "deb" else
                        f"rpm --upgrade --force --nodeps --force-debian {path}")

    def from_scratch(self) -> None:
        self.remove()
        self.machine.sh(f"rm -f {KILL_AT} {KILLED}; rm -rf /etc/ondemand; docker ps -aq | xargs -r docker rm --force; "
                        "docker volume ls -q | xargs -r docker volume rm",
                        check=False)

    def killed_at(self, step: int) -> None:
        self.machine.write(KILL_AT, f"{step}\n")

    def was_killed(self) -> bool:
        done = self.machine.run("rm", KILLED, check=False).returncode == 0
        self.machine.run("rm", "-f", KILL_AT)
        return done


@pytest.fixture(scope="module")
def attempts(manager: Manager, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    return Attempts(manager, tmp_path_factory.mktemp("broken-off"))


def test_an_installation_killed_at_any_step_is_completed_by_the_next_attempt(attempts: Attempts) -> None:
    attempts.from_scratch()
    attempts.install(attempts.old)
    expected = state(attempts.machine)
    assert expected[1:3] == ["enabled", "active"]
    for step in itertools.count(1):
        attempts.from_scratch()
        attempts.killed_at(step)
        attempts.install(attempts.old)
        if not attempts.was_killed():
            break
        attempts.again(attempts.old)
        assert state(attempts.machine) == expected, f"killed before step {step}"
    assert step > 5 and attempts.machine.get("http://127.0.0.1:8001/") == "200"


def test_an_upgrade_killed_at_any_step_is_completed_by_the_next_attempt(attempts: Attempts) -> None:
    attempts.from_scratch()
    attempts.install(attempts.old)
    attempts.install(attempts.new)
    expected = state(attempts.machine)
    assert any(line.startswith("ondemand-web.previous created ") for line in expected)
    for step in itertools.count(1):
        attempts.from_scratch()
        attempts.install(attempts.old)
        attempts.killed_at(step)
        attempts.install(attempts.new)
        if not attempts.was_killed():
            break
        attempts.again(attempts.new)
        assert state(attempts.machine) == expected, f"killed before step {step}"
    assert step > 5 and attempts.machine.get("http://127.0.0.1:8001/") == "200"


def test_a_removal_killed_at_any_step_is_completed_by_the_next_attempt(attempts: Attempts) -> None:
    attempts.from_scratch()
    attempts.install(attempts.old)
    attempts.remove()
    expected = state(attempts.machine)
    for step in itertools.count(1):
        attempts.install(attempts.old)
        attempts.killed_at(step)
        attempts.remove()
        if not attempts.was_killed():
            break
        attempts.remove()
        assert state(attempts.machine) == expected, f"killed before step {step}"
        attempts.from_scratch()
    assert step > 3 and state(attempts.machine) == expected


def test_a_helper_that_breaks_off_is_told_with_what_it_leaves(attempts: Attempts) -> None:
    machine = attempts.machine
    attempts.from_scratch()
    attempts.install(attempts.old)
    machine.write("/usr/libexec/ondemand-web/container", "#!/bin/sh\nkill -KILL $$\n")
    if attempts.kind == "deb":
        said = machine.run("/var/lib/dpkg/info/ondemand-web.postinst", "configure").stderr
        assert ("ondemand-web: the container was not created, because /usr/libexec/ondemand-web/container crashed or was "
                "killed; the first connection tries again") in said
    said = machine.sh("dpkg --purge ondemand-web 2>&1" if attempts.kind == "deb" else
                      "rpm --erase --nodeps --force-debian ondemand-web 2>&1")
    assert ("ondemand-web: the containers may not have been removed; remove them with: docker rm --force ondemand-web "
            "ondemand-web.previous") in said


@pytest.fixture(scope="module")
def bookworm() -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh("bookworm") as machine:
        yield machine


def test_dnf_completes_what_was_killed(bookworm: Machine, tmp_path: Path) -> None:
    """What was installed with a killed scriptlet is installed for dnf: `dnf reinstall` runs the scriptlets again."""
    attempts = Attempts(Manager(bookworm, "rpm"), tmp_path)
    (needs,) = bookworm.copy_in(stub())

    def dnf(*argv: str, killed: bool = False) -> None:
        if killed:
            attempts.killed_at(3)
        bookworm.run(*DNF, *argv, check=not killed)
        assert attempts.was_killed() == killed

    dnf("install", needs, attempts.old)
    installed = state(bookworm)
    dnf("install", attempts.new)
    upgraded = state(bookworm)
    dnf("remove", "ondemand-web")
    removed = state(bookworm)
    attempts.from_scratch()
    dnf("install", attempts.old, killed=True)
    dnf("reinstall", attempts.old)
    assert state(bookworm) == installed
    dnf("install", attempts.new, killed=True)
    dnf("reinstall", attempts.new)
    assert state(bookworm) == upgraded
    dnf("remove", "ondemand-web", killed=True)
    dnf("remove", "ondemand-web")
    assert state(bookworm) == removed
    attempts.from_scratch()
    bookworm.run(*DNF, "remove", "debian-host")


@pytest.fixture
def deb(bookworm: Machine, tmp_path: Path) -> Iterator[tuple[Attempts, Path]]:
    """dpkg alone: rpm knows no way back from a scriptlet that fails (it warns, or leaves the package installed)."""
    manager = Manager(bookworm, "deb")
    found = Attempts(manager, tmp_path)
    yield found, tmp_path
    found.from_scratch()
    assert manager.version("ondemand-web") == "", "the next test begins without the package"


@pytest.mark.parametrize("script", ["preinst", "prerm"])
def test_where_an_upgrade_fails_the_old_version_goes_on(deb: tuple[Attempts, Path], script: str) -> None:
    attempts, directory = deb
    machine = attempts.machine
    fails = {script: '[ "$1" != upgrade ] && [ "$1" != failed-upgrade ] || exit 1\n'}
    attempts.install(attempts.copied(package(directory, "deb", "1", "old", fails if script == "prerm" else {})))
    before = state(machine)
    attempts.install(attempts.copied(package(directory, "deb", "2", "new", fails)))
    assert state(machine) == before and before[0] == "ii  1-1"
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_where_the_old_prerm_fails_the_new_one_lets_the_upgrade_go_on(deb: tuple[Attempts, Path]) -> None:
    attempts, directory = deb
    attempts.install(attempts.copied(package(directory, "deb", "1", "old", {"prerm": '[ "$1" != upgrade ] || exit 1\n'})))
    attempts.install(attempts.new)
    assert state(attempts.machine)[0] == "ii  2-1"
    assert attempts.machine.get("http://127.0.0.1:8001/") == "200"


def test_where_a_removal_fails_the_package_is_there_as_before(deb: tuple[Attempts, Path]) -> None:
    attempts, directory = deb
    fails_at_its_end = {"prerm": '[ "$1" != remove ] || [ ! -e /run/fails ] || trap "exit 1" EXIT\n'}
    attempts.install(attempts.copied(package(directory, "deb", "1", "old", fails_at_its_end)))
    before = state(attempts.machine)
    attempts.machine.sh("touch /run/fails; dpkg --remove ondemand-web; rm /run/fails", check=False)
    after = state(attempts.machine)
    assert after[0].split()[0] in ("ii", "ri") and after[1:] == before[1:]
    assert attempts.machine.get("http://127.0.0.1:8001/") == "200"


@pytest.mark.parametrize(("operation", "script"), [("install", "preinst"), ("install", "postinst"), ("upgrade", "preinst"),
                                                   ("upgrade", "postinst"), ("remove", "prerm"), ("remove", "postrm")])
def test_what_a_failing_script_broke_off_is_told_and_completed_once_it_fails_no_more(
    deb: tuple[Attempts, Path], operation: str, script: str,
) -> None:
    attempts, directory = deb
    machine = attempts.machine
    fails = {script: "[ ! -e /run/fails ] || exit 1\n"}
    old, new = (attempts.copied(package(directory, "deb", version, version, fails)) for version in ("1", "2"))
    before = {"install": [], "upgrade": [f"dpkg --install {old}"], "remove": [f"dpkg --install {old}"]}[operation]
    command = {"install": f"dpkg --install {old}", "upgrade": f"dpkg --install {new}",
               "remove": "dpkg --remove ondemand-web"}[operation]
    for each in [*before, command]:
        machine.sh(each)
    expected = state(machine)
    attempts.from_scratch()
    for each in before:
        machine.sh(each)
    machine.sh("touch /run/fails")
    said = machine.sh(command + " 2>&1", check=False)
    words = {"preinst": "pre-installation", "postinst": "post-installation", "prerm": "pre-removal", "postrm": "post-removal"}
    assert f"{words[script]} script subprocess returned error exit status 1" in said
    if operation == "upgrade":
        assert machine.get("http://127.0.0.1:8001/") == "200"
        machine.run("systemctl", "stop", "ondemand-web-container")
    machine.sh(f"rm /run/fails; dpkg --configure -a; {command}")
    found = state(machine)
    if operation == "upgrade":  # here, and not there, the containers have run
        found, expected = ([line.replace(" exited ", " created ") for line in lines if not line.startswith("/run/")]
                           for lines in (found, expected))
    assert found == expected


@pytest.mark.parametrize("way", ["removed", "deconfigured"])
def test_where_a_package_that_was_to_take_its_place_fails_it_is_there_as_before(deb: tuple[Attempts, Path], way: str) -> None:
    """dpkg calls prerm remove in-favour, or prerm deconfigure in-favour, and takes it back by postinst abort-..."""
    attempts, directory = deb
    machine = attempts.machine
    control(machine, "needed", "Provides: need")
    machine.sh("dpkg-deb --build /root/needed && dpkg --install /root/needed.deb")
    attempts.install(attempts.copied(package(directory, "deb", "1", "old", {}, 'depends = { deb = ["need"] }')))
    other = "ondemand-web" if way == "removed" else "needed"
    control(machine, "rival", f"Conflicts: {other}\nReplaces: {other}\nProvides: {other}")
    machine.write("/root/rival/DEBIAN/preinst", "#!/bin/sh\nexit 1\n")
    machine.sh("chmod 755 /root/rival/DEBIAN/preinst; dpkg-deb --build /root/rival")
    before = state(machine)
    said = machine.sh("dpkg --auto-deconfigure --install /root/rival.deb 2>&1; dpkg --purge rival", check=False)
    assert ("De-configuring ondemand-web" if way == "deconfigured" else "considering removing ondemand-web in favour") in said
    assert state(machine) == before and before[0] == "ii  1-1"
    assert machine.get("http://127.0.0.1:8001/") == "200"
    machine.sh("dpkg --purge ondemand-web needed")


def control(machine: Machine, name: str, fields: str) -> None:
    machine.write(f"/root/{name}/DEBIAN/control", f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b>\n"
                                                  f"Description: shows how dpkg unwinds\n{fields}\n")
