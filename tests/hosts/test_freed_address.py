"""A container under another name: once the package that had its address is gone, the new one listens there by itself.

Also where one of the two packages is of release 0.1.0, whose scripts are what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import built, manager_on
from .machine import DNF
from .managers import Manager

FIRST = Path(__file__).parents[1] / "data/0.1.0"
MOVED = '[container.moved]\nimage = "nginx:1.27"\nversion = "1"\nports = ["{}:80"]\nrelease = {}\n'
POLICY = "/usr/sbin/policy-rc.d"

manager = manager_on("trixie-rpm", "bookworm-deb", "forky-rpm", "forky-deb")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return built(tmp_path_factory.mktemp("moved"), MOVED.format(80, 1))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return built(tmp_path_factory.mktemp("elsewhere"), MOVED.format(81, 2))


@pytest.fixture
def site(manager: Manager) -> Iterator[Manager]:
    yield manager
    manager.machine.sh(f"rm -f {POLICY}; systemctl enable ondemand-nginx.socket ondemand-moved.socket 2>/dev/null; true")
    manager.clear("ondemand-nginx", "ondemand-moved")


def first(site: Manager) -> Path:
    return next(FIRST.glob(f"ondemand-nginx[-_]*.{site.kind}"))


def state(site: Manager, name: str) -> str:
    return site.machine.run("systemctl", "is-active", f"ondemand-{name}.socket", check=False).stdout.strip()


def install_both(site: Manager, before: Path, after: Path) -> None:
    site.install(before)
    site.install(after)
    assert state(site, "moved" if "moved" in after.name else "nginx") == "failed"


def test_the_new_name_listens_once_the_package_of_0_1_0_is_removed(site: Manager, moved: dict[str, Path]) -> None:
    install_both(site, first(site), moved[f"{site.kind}/moved"])
    said = site.remove("ondemand-nginx")
    assert "ondemand-moved.socket listens now" in said
    assert site.machine.get() == "200"


def test_a_package_of_0_1_0_listens_once_the_package_that_had_its_address_is_removed(
    site: Manager, moved: dict[str, Path],
) -> None:
    install_both(site, moved[f"{site.kind}/moved"], first(site))
    site.remove("ondemand-moved")
    assert site.machine.get() == "200"


def test_both_names_in_one_transaction(site: Manager, moved: dict[str, Path]) -> None:
    site.install(first(site))
    (package,) = site.machine.copy_in(moved[f"{site.kind}/moved"])
    if site.kind == "rpm":
        site.machine.run(*DNF, "swap", "ondemand-nginx", package)
    else:
        site.machine.run("apt-get", "install", "-y", package, "ondemand-nginx-")
    assert site.machine.get() == "200"


def test_a_port_that_an_upgrade_frees_is_listened_on(
    site: Manager, moved: dict[str, Path], elsewhere: dict[str, Path],
) -> None:
    install_both(site, moved[f"{site.kind}/moved"], first(site))
    site.install(elsewhere[f"{site.kind}/moved"])
    assert site.machine.get() == "200" and site.machine.get("http://127.0.0.1:81/") == "200"


def test_what_the_administrator_wants_closed_stays_closed(site: Manager, moved: dict[str, Path]) -> None:
    install_both(site, first(site), moved[f"{site.kind}/moved"])
    site.machine.run("systemctl", "disable", "ondemand-moved.socket")
    site.remove("ondemand-nginx")
    assert state(site, "moved") == "failed"
    site.machine.run("systemctl", "enable", "ondemand-moved.socket")
    if site.kind == "deb":
        site.machine.write(POLICY, "#!/bin/sh\nexit 101\n")
        site.machine.run("chmod", "755", POLICY)
        site.install(first(site))
        site.remove("ondemand-nginx")
        assert state(site, "moved") == "failed"
