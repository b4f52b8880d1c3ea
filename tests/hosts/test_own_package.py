"""The program itself, installed from the site's repository on a clean host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need
from signing import TOP, signer

from .conftest import NGINX, TOOLS
from .machine import unbooted
from .roots import SUITES


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of what `make packages` builds."""
    need(*TOOLS, "dpkg-buildpackage", "pybuild", "rpmbuild", "gpg", root=True)
    checkout = tmp_path_factory.mktemp("checkout") / "ondemand-pkg"
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, kept):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, checkout / name)
    done = subprocess.run(["make", "packages"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    yield checkout / "dist"


def test_both_packages_are_clean(own: Path) -> None:
    need("lintian", "rpmlint")
    (deb,), (rpm,) = own.glob("*.deb"), own.glob("*.rpm")
    done = subprocess.run(["lintian", "--fail-on=error,warning", deb], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    done = subprocess.run(["rpmlint", "-c", TOP / "rpm/rpmlint.toml", rpm], capture_output=True, text=True)
    assert "0 errors, 0 warnings" in done.stdout, done.stdout


@pytest.mark.parametrize("suite", SUITES)
def test_installed_by_apt_on_a_clean_host_it_builds_packages(own: Path, suite: str) -> None:
    with signer() as one, unbooted(suite) as machine:
        one.publish(machine.path("/srv/packages"), *own.iterdir())
        shutil.copy(machine.path("/srv/packages/ondemand-archive-keyring.gpg"), machine.path("/usr/share/keyrings"))
        machine.path("/etc/apt/sources.list.d/ondemand.sources").write_text(
            "Types: deb\nURIs: file:/srv/packages\nSuites: stable\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/ondemand-archive-keyring.gpg\n")
        machine.path("/root/nginx.toml").write_text(NGINX)
        machine.chroot("apt-get", "-q", "update")
        machine.chroot("apt-get", "-q", "-y", "install", "ondemand-pkg")
        said = machine.chroot("ondemand-pkg", "build", "--output", "/root/dist", "/root/nginx.toml")
        assert said == ("/root/dist/ondemand-nginx_1.27.0-1_all.deb\n/root/dist/ondemand-nginx-1.27.0-1.noarch.rpm\n")
        built = "/root/dist/ondemand-nginx_1.27.0-1_all.deb"
        assert machine.chroot("dpkg-deb", "--field", built, "Package") == "ondemand-nginx\n"
