"""The program itself, installed from the site's repository on a clean host."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from requirements import need
from signing import TOP, signer

from ondemand_pkg.formats import FORMATS
from ondemand_pkg.package import ChangelogEntry, Package

from .conftest import NGINX, TOOLS
from .machine import DNF, Machine, unbooted
from .roots import SUITES

# What the .rpm asks for, and the Debian packages that have it.
PYTHON = {"python3 = 3.13": "python3", "python3-click = 8.1": "python3-click", "python3-jinja2 = 3.1": "python3-jinja2",
          "python3-pyyaml = 6.0": "python3-yaml", "/usr/bin/python3": "python3", "/bin/sh": "dash"}
COMPLETIONS = {"bash": "/usr/share/bash-completion/completions/ondemand-pkg",
               "zsh": "/usr/share/zsh/site-functions/_ondemand-pkg",
               "fish": "/usr/share/fish/vendor_completions.d/ondemand-pkg.fish"}
BUILT = "{0}/ondemand-nginx_1.27.0-1_all.deb\n{0}/ondemand-nginx-1.27.0-1.noarch.rpm\n"


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
        assert "file:/srv/packages stable/main" in machine.chroot("apt-cache", "policy", "ondemand-pkg")
        said = machine.chroot("ondemand-pkg", "build", "--output", "/root/dist", "/root/nginx.toml")
        assert said == BUILT.format("/root/dist")
        built = "/root/dist/ondemand-nginx_1.27.0-1_all.deb"
        assert machine.chroot("dpkg-deb", "--field", built, "Package") == "ondemand-nginx\n"
        machine.path("/usr/share/doc/ondemand-pkg/autopkgtest").write_text((TOP / "debian/tests/build-a-package").read_text())
        machine.chroot("env", "AUTOPKGTEST_TMP=/tmp", "sh", "/usr/share/doc/ondemand-pkg/autopkgtest")
        linked = re.findall(r"\]\(((?:docs|examples)[^)#]*)", (TOP / "README.md").read_text())
        there = {path.removesuffix(".gz") for path in machine.chroot("dpkg", "-L", "ondemand-pkg").split()}
        assert linked and {f"/usr/share/doc/ondemand-pkg/{name}" for name in linked} <= there


def debian_python(directory: Path) -> Path:
    """Write an .rpm whose provides name what the host has from Debian."""
    package = Package("debian-python", "1", 1, "What the host has from Debian", ("Nothing.",), "x <x@example.com>", "MIT", (),
                      (ChangelogEntry(date(2025, 1, 1), "1-1", ("x",)),), 0, relations={"provides": tuple(PYTHON)})
    path = directory / FORMATS["rpm"].filename(package)
    with path.open("w+b") as stream:
        FORMATS["rpm"].write(package, stream)
    return path


def left(machine: Machine) -> str:
    """Return what there is of the program on a host."""
    return machine.sh("find /usr /etc /var/lib -xdev -name '*ondemand?pkg*' -not -path '*/dnf/*' | sort")


def test_the_rpm_is_installed_by_dnf_works_with_another_python_and_leaves_nothing(own: Path, tmp_path: Path) -> None:
    # Debian 13's Python is another release than the one that built the package where tests run on Debian 12.
    with signer() as one, unbooted("trixie") as machine:
        one.publish(machine.path("/srv/packages"), *own.iterdir())
        machine.chroot("apt-get", "-q", "update")
        machine.chroot("apt-get", "-q", "-y", "--no-install-recommends", "install", "man-db", *sorted(set(PYTHON.values())))
        machine.boot()
        before = left(machine)
        machine.run(*DNF, "install", *machine.copy_in(debian_python(tmp_path)))
        machine.sh("rm -f /etc/yum.repos.d/*")
        machine.write("/etc/yum.repos.d/ondemand.repo", "[ondemand]\nname=x\nbaseurl=file:///srv/packages/rpm/stable\ngpgcheck=1\n"
                      "repo_gpgcheck=1\ngpgkey=file:///srv/packages/ondemand-archive-keyring.asc\n")
        machine.run("dnf", "-y", "install", "ondemand-pkg")
        machine.write("/root/nginx.toml", NGINX)
        assert machine.sh("ondemand-pkg build --output /root/dist /root/nginx.toml") == BUILT.format("/root/dist")
        machine.write("/tmp/nginx.toml", NGINX)
        said = machine.run("setpriv", "--reuid=65534", "--clear-groups", "ondemand-pkg", "build", "--output", "/tmp/dist",
                           "/tmp/nginx.toml").stdout
        assert said == BUILT.format("/tmp/dist")
        assert machine.sh("cmp /tmp/dist/*.deb /root/dist/*.deb && cmp /tmp/dist/*.rpm /root/dist/*.rpm") == ""
        for page in ("ondemand-pkg", "ondemand-pkg.toml"):
            assert page.upper() in machine.sh(f"man {page} | head -1")
        assert machine.sh(f"bash -c '. {COMPLETIONS['bash']}; complete -p ondemand-pkg'").strip().endswith(" ondemand-pkg")
        machine.sh(f"test -s {COMPLETIONS['zsh']} && test -s {COMPLETIONS['fish']}")
        machine.run("dnf", "-y", "remove", "ondemand-pkg")
        assert left(machine) == before
