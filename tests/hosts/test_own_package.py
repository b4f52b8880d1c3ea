"""The program itself, installed from the site's repository on a clean host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from requirements import need
from signing import TOP, signer

from ondemand_pkg import __version__
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.package import ChangelogEntry, Package

from .conftest import NGINX, TOOLS
from .machine import DNF, Machine, unbooted
from .roots import SUITES_OF_BUILDERS

# What the .rpm asks for, and the Debian packages that have it.
PYTHON = {"python3 = 3.13": "python3", "python3-click = 8.1": "python3-click", "python3-jinja2 = 3.1": "python3-jinja2",
          "python3-pyyaml = 6.0": "python3-yaml", "/usr/bin/python3": "python3", "/bin/sh": "dash", "systemd": "systemd"}
COMPLETIONS = {"bash": "/usr/share/bash-completion/completions/{}",
               "zsh": "/usr/share/zsh/site-functions/_{}",
               "fish": "/usr/share/fish/vendor_completions.d/{}.fish"}
COMMANDS = ("ondemand-pkg", "ondemand")
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


def test_all_packages_are_clean(own: Path) -> None:
    need("lintian", "rpmlint")
    debs, rpms = sorted(own.glob("*.deb")), sorted(own.glob("*.rpm"))
    done = subprocess.run(["lintian", "--fail-on=error,warning", *debs], capture_output=True, text=True)
    assert (len(debs), done.returncode, done.stdout) == (2, 0, "")
    done = subprocess.run(["rpmlint", "-c", TOP / "rpm/rpmlint.toml", *rpms], capture_output=True, text=True)
    assert len(rpms) == 2
    assert "0 errors, 0 warnings" in done.stdout, done.stdout


@pytest.mark.parametrize("suite", SUITES_OF_BUILDERS)
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


def test_no_file_is_in_both_packages(own: Path) -> None:
    for ending, command in ((".deb", ["dpkg-deb", "--contents"]), (".rpm", ["rpm", "--query", "--list", "--package"])):
        lists = [subprocess.run([*command, path], capture_output=True, text=True, check=True).stdout.splitlines()
                 for path in sorted(own.glob(f"*{ending}"))]
        files = [{line.split()[-1] for line in lines if not line.endswith("/")} for lines in lists]
        assert len(files) == 2 and not files[0] & files[1]


@pytest.fixture(scope="module")
def by_stdeb(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that stdeb makes of the sdist."""
    need("dh", "fakeroot")
    directory = tmp_path_factory.mktemp("stdeb")
    subprocess.run([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--skip-dependency-check", "--outdir", directory],
                   cwd=own.parent, check=True, capture_output=True)
    (sdist,) = directory.glob("*.tar.gz")
    done = subprocess.run([Path(sys.executable).parent / "py2dsc-deb", "--dist-dir", directory / "deb_dist", "--extra-cfg-file",
                           TOP / "stdeb.cfg", sdist], cwd=directory, capture_output=True, text=True,
                          env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (deb,) = (directory / "deb_dist").glob("*.deb")
    return deb


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_package_by_stdeb_takes_the_place_of_both_and_runs(own: Path, by_stdeb: Path, suite: str) -> None:
    with unbooted(suite) as machine:
        machine.chroot("apt-get", "-q", "update")
        machine.chroot("apt-get", "-q", "-y", "--no-install-recommends", "install", *machine.copy_in(*own.glob("*.deb")))
        machine.chroot("apt-get", "-q", "-y", "--no-install-recommends", "install", *machine.copy_in(by_stdeb))
        there = machine.chroot("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Package}\n", "*ondemand*")
        assert {line.split()[1] for line in there.splitlines() if line.startswith("ii")} == {"python3-ondemand-pkg"}
        machine.path("/root/nginx.toml").write_text(NGINX)
        assert machine.chroot("ondemand-pkg", "build", "--output", "/root/dist", "/root/nginx.toml") == BUILT.format("/root/dist")
        assert machine.chroot("ondemand", "complete", "st") == "status\n"


def test_the_commands_of_hosts_run_where_python_is_too_old_for_the_builder(own: Path) -> None:
    with unbooted("bullseye") as machine:
        (deb,) = own.glob("ondemand-host_*.deb")
        machine.chroot("apt-get", "-q", "-y", "install", *machine.copy_in(deb))
        assert f"version {__version__}" in machine.chroot("ondemand", "--version")
        assert machine.chroot("ondemand", "complete", "st") == "status\n"
        machine.boot()
        assert machine.run("ondemand", "status").stderr == "no on-demand service is installed on this host\n"
        machine.run("apt-get", "-y", "purge", "ondemand-host")
        assert machine.sh("find / -xdev -name '*ondemand?host*' -not -path '/root/*' -not -path '/var/log/*'") == ""


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
    return machine.sh("find /usr /etc /var/lib -xdev -name '*ondemand*' -not -path '/etc/yum.repos.d/*' -not -path '*/dnf/*' "
                      "| sort")


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
        for page in (*COMMANDS, "ondemand-pkg.toml"):
            assert page.upper() in machine.sh(f"man {page} | head -1")
        for command in COMMANDS:
            path = COMPLETIONS["bash"].format(command)
            assert machine.sh(f"bash -c '. {path}; complete -p {command}'").strip().endswith(f" {command}")
            machine.sh("test -s {} && test -s {}".format(*(COMPLETIONS[shell].format(command) for shell in ("zsh", "fish"))))
            assert machine.run(command, "status").stderr == "no on-demand service is installed on this host\n"
        machine.run("dnf", "-y", "remove", *("ondemand-pkg", "ondemand-host"))
        assert left(machine) == before
