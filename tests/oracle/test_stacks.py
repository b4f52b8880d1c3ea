"""What apt and dnf make of a stack: one command for the whole application, and no member that takes the stack away with it."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
from datetime import date
from pathlib import Path

import pytest
from requirements import need
from signing import Signer

from ondemand_pkg.contents import stack_package
from ondemand_pkg.formats import DEB, RPM, Format
from ondemand_pkg.model import Container, Port, Stack, TcpAddress
from ondemand_pkg.package import ChangelogEntry, Package

SHOP = "ondemand-shop"


def member(name: str, version: str) -> Container:
    return Container(name, "nginx:1.27", version, (Port(TcpAddress(None, 80), 80),))


def application(version: str, **members: str) -> Stack:
    return Stack("shop", version, tuple(member(name, version) for name, version in members.items()))


def bare(container: Container) -> Package:
    """Return a package of a member's name and version without what a container needs of a host."""
    return Package(container.package_name, container.version, container.release, "A member", ("A member.",), "x <x@example.com>",
                   "MIT", (), (ChangelogEntry(date(2025, 1, 1), f"{container.version}-1", ("First.",)),), 0)


OLD, NEW = application("1", web="1", api="1"), application("2", web="2", api="1")
NEWER_MEMBER = member("web", "3")


def packages(format: Format, *things: Stack | Container) -> list[Package]:
    stacks = [thing for thing in things if isinstance(thing, Stack)]
    containers = [*(member for stack in stacks for member in stack.members),
                  *(thing for thing in things if isinstance(thing, Container))]
    found = [*(stack_package.package(stack, format, 0) for stack in stacks), *map(bare, containers)]
    return list({format.filename(package): package for package in found}.values())


class Host:
    """What the two package managers are asked alike: what would be installed (+), removed (-) and left."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        self.repository.mkdir()

    def publish(self, format: Format, *things: Stack | Container) -> None:
        for old in self.repository.iterdir():
            old.unlink() if old.is_file() else None
        for package in packages(format, *things):
            with (self.repository / format.filename(package)).open("w+b") as stream:
                format.write(package, stream)


class Apt(Host):
    """An apt with a dpkg of its own, which is root of nothing else."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "dpkg"):
            (directory / name).mkdir(parents=True)
        (directory / "dpkg/status").touch()
        (directory / "etc/sources.list").write_text(f"deb [trusted=yes] file:{self.repository} ./\n")
        places = {"State": "state", "State::status": "dpkg/status", "Cache": "cache", "Etc": "etc"}
        self._options = [option for key, place in places.items() for option in ("-o", f"Dir::{key}={directory}/{place}")]
        self._options += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]

    def install(self, *things: Stack | Container, by_hand: tuple[str, ...] = (SHOP,), held: tuple[str, ...] = ()) -> None:
        """Have packages installed, of which some were asked for."""
        texts, automatic = [], []
        for package in packages(DEB, *things):
            state = "hold" if package.name in held else "install"
            path = self.directory / DEB.filename(package)
            with path.open("w+b") as stream:
                DEB.write(package, stream)
            control = subprocess.run(["dpkg-deb", "--field", path], capture_output=True, text=True, check=True).stdout
            texts.append(f"Status: {state} ok installed\n{control}")
            if package.name not in by_hand:
                automatic.append(f"Package: {package.name}\nArchitecture: all\nAuto-Installed: 1\n")
        (self.directory / "dpkg/status").write_text("\n".join(texts))
        (self.directory / "state/extended_states").write_text("\n".join(automatic))

    def publish(self, format: Format, *things: Stack | Container) -> None:
        super().publish(format, *things)
        index = subprocess.run(["apt-ftparchive", "packages", "."], cwd=self.repository, capture_output=True, check=True).stdout
        (self.repository / "Packages").write_bytes(index)
        subprocess.run(["apt-get", *self._options, "update", "-qq"], check=True, capture_output=True)

    def would(self, *command: str) -> set[str]:
        done = subprocess.run(["apt-get", *self._options, "--simulate", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        installed = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", done.stdout, re.MULTILINE)
        removed = re.findall(r"^Remv (\S+)", done.stdout, re.MULTILINE)
        return {*(f"+{name}{version}" for name, version in installed), *(f"-{name}" for name in removed)}


@pytest.fixture
def apt(tmp_path: Path) -> Apt:
    need("apt-get", "apt-ftparchive", "dpkg-deb")
    return Apt(tmp_path)


def test_apt_installs_upgrades_and_removes_the_application_with_one_name(apt: Apt) -> None:
    apt.publish(DEB, OLD)
    assert apt.would("install", SHOP) == {"+ondemand-shop1-1", "+ondemand-web1-1", "+ondemand-api1-1"}
    apt.install(OLD)
    apt.publish(DEB, OLD, NEW)
    for command in (("install", SHOP), ("upgrade",), ("dist-upgrade",)):
        assert apt.would(*command) == {"+ondemand-shop2-1", "+ondemand-web2-1"}
    assert apt.would("autoremove", SHOP) == {"-ondemand-shop", "-ondemand-web", "-ondemand-api"}


@pytest.mark.parametrize("command", [("install", "ondemand-web"), ("upgrade",), ("dist-upgrade",)])
def test_apt_upgrades_a_member_alone_and_leaves_the_stack(apt: Apt, command: tuple[str, ...]) -> None:
    apt.install(OLD)
    apt.publish(DEB, OLD, NEWER_MEMBER)
    assert apt.would(*command) == {"+ondemand-web3-1"}


def test_apt_installs_a_member_from_a_file_and_leaves_the_stack(apt: Apt) -> None:
    apt.install(OLD)
    apt.publish(DEB, OLD, NEWER_MEMBER)
    assert apt.would("install", str(apt.repository / "ondemand-web_3-1_all.deb")) == {"+ondemand-web3-1"}


def test_apt_upgrades_the_stack_with_the_member_that_belongs_to_its_next_version(apt: Apt) -> None:
    apt.install(OLD)
    apt.publish(DEB, OLD, NEW)
    assert apt.would("install", "ondemand-web") == {"+ondemand-shop2-1", "+ondemand-web2-1"}


def readme(stack: Stack, start: str) -> list[str]:
    """Return the words of a command that the README of a stack's package names."""
    text = next(entry.data for entry in stack_package.package(stack, DEB, 0).entries if entry.path.endswith("README")).decode()
    (line,) = (line.strip() for line in text.splitlines() if start in line)
    return line[line.index(start):].split()


def test_the_commands_of_the_readme_hold_the_application_and_go_back(apt: Apt) -> None:
    held = tuple(readme(OLD, "apt-mark hold")[2:])
    apt.install(OLD, held=held)
    apt.publish(DEB, OLD, NEW)
    for command in ("upgrade", "dist-upgrade"):
        assert apt.would(command) == set()
    apt.install(NEW)
    assert apt.would(*readme(OLD, "apt install --allow-downgrades")[1:]) == {"+ondemand-shop1-1", "+ondemand-web1-1"}


class Dnf(Host):
    """A dnf with a root directory of its own, into which packages without scripts are installed for real."""

    def run(self, *command: str, status: int = 0) -> set[str]:
        done = subprocess.run(["dnf", f"--installroot={self.directory}/root", "--releasever=1", "--assumeyes", "--nogpgcheck",
                               "--disableplugin=*", "--setopt=reposdir=/nonexistent", "--setopt=keepcache=False",
                               f"--repofrompath=site,{self.repository}", "--refresh", *command],
                              capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return self.installed()

    def installed(self) -> set[str]:
        done = subprocess.run(["rpm", f"--root={self.directory}/root", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n"],
                              capture_output=True, text=True, check=True)
        return set(done.stdout.splitlines())

    def publish(self, format: Format, *things: Stack | Container) -> None:
        super().publish(format, *things)
        subprocess.run(["createrepo_c", "-q", self.repository], check=True, capture_output=True)


@pytest.fixture
def dnf(tmp_path: Path) -> Dnf:
    need("dnf", "createrepo_c", "rpm")
    (tmp_path / "root").mkdir()
    return Dnf(tmp_path)


def test_dnf_installs_upgrades_goes_back_and_removes_the_application_with_one_name(dnf: Dnf) -> None:
    dnf.publish(RPM, OLD)
    assert dnf.run("install", SHOP) == {"ondemand-shop 1-1", "ondemand-web 1-1", "ondemand-api 1-1"}
    dnf.publish(RPM, OLD, NEW)
    assert dnf.run("upgrade", SHOP) == {"ondemand-shop 2-1", "ondemand-web 2-1", "ondemand-api 1-1"}
    assert dnf.run(*readme(OLD, "dnf downgrade")[1:]) == {"ondemand-shop 1-1", "ondemand-web 1-1", "ondemand-api 1-1"}
    assert dnf.run("remove", SHOP) == set()


@pytest.mark.parametrize("command", [("upgrade", "ondemand-web"), ("upgrade",), ("install", "FILE")])
def test_dnf_upgrades_a_member_alone_and_leaves_the_stack(dnf: Dnf, command: tuple[str, ...]) -> None:
    dnf.publish(RPM, OLD)
    dnf.run("install", SHOP)
    dnf.publish(RPM, OLD, NEWER_MEMBER)
    file = str(dnf.repository / "ondemand-web-3-1.noarch.rpm")
    assert dnf.run(*(word.replace("FILE", file) for word in command)) == {
        "ondemand-shop 1-1", "ondemand-web 3-1", "ondemand-api 1-1"}


@pytest.mark.parametrize("format", [DEB, RPM], ids=str)
def test_changed_members_under_an_unchanged_version_are_not_published_and_the_key_is_named(
    site: Signer, tmp_path: Path, format: Format,
) -> None:
    for number, stack in enumerate((OLD, dataclasses.replace(NEW, version="1"))):
        package = stack_package.package(stack, format, 0)
        path = tmp_path / str(number) / format.filename(package)
        path.parent.mkdir()
        stream = io.BytesIO()
        format.write(package, stream)
        path.write_bytes(stream.getvalue())
        said = site.publish(tmp_path / "repository", path, status=number)
    assert "ondemand-shop 1-1 was already published with other content" in said
    assert "raise stack.shop.release or stack.shop.version in the declaration" in said
