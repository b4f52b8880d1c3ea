"""Where something that a wake needs is missing at the installation, it succeeds, says in one line what is left, and the
first wake does it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need
from signing import signer

from .conftest import NGINX, TOOLS, built
from .machine import DNF, Failed, Machine, boot_once, stub, unbooted
from .roots import ENDS, cache

NO_SYSTEMD = "ondemand-nginx: systemd is not running; the first connection creates the container"
REMOVED_WITHOUT_SYSTEMD = ("ondemand-nginx: systemd is not running; if the container exists, remove it with: docker rm --force "
                           "ondemand-nginx.next ondemand-nginx ondemand-nginx.previous")
NO_ENGINE = "ondemand-nginx: no Docker engine answers on /run/docker.sock; the first connection creates the container"


@pytest.fixture(params=ENDS)
def unbooted_host(request: pytest.FixtureRequest) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with unbooted(request.param) as machine:
        yield machine


@pytest.fixture
def host(unbooted_host: Machine) -> Machine:
    """A fresh host for each test: one that fails leaves nothing to the next."""
    unbooted_host.boot()
    return unbooted_host


@pytest.fixture(params=["deb", "rpm"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return built(tmp_path, NGINX)[f"{request.param}/nginx"]


def install(machine: Machine, package: Path) -> str:
    return machine.apt_install(package) if package.suffix == ".deb" else machine.dnf_install(package)


def own_lines(said: str) -> list[str]:
    return [line.strip().removeprefix(">>> ") for line in said.splitlines() if "ondemand-nginx: " in line]  # as dnf5 puts it


def test_in_a_chroot(unbooted_host: Machine, package: Path) -> None:
    if package.suffix == ".deb":
        said = unbooted_host.chroot("apt-get", "install", "-y", *unbooted_host.copy_in(package))
        assert unbooted_host.chroot("dpkg-query", "-W", "-f=${db:Status-Abbrev}", "ondemand-nginx") == "ii "
    else:
        said = unbooted_host.chroot(*DNF, "install", *unbooted_host.copy_in(stub(), package))
    assert own_lines(said) == [NO_SYSTEMD]
    unbooted_host.boot()
    assert unbooted_host.sh("systemctl is-active ondemand-nginx.socket; docker ps -aq") == "active\n"
    assert unbooted_host.get() == "200"


def test_in_an_image_that_mmdebstrap_builds(tmp_path: Path) -> None:
    """Its engine comes with the package, which depends on one."""
    need(*TOOLS, "dpkg-scanpackages", root=True)
    (site := tmp_path / "site").mkdir()
    package = built(tmp_path, NGINX)["deb/nginx"]
    package.rename(site / package.name)
    with (site / "Packages").open("wb") as index:
        subprocess.run(["dpkg-scanpackages", "."], cwd=site, stdout=index, check=True, stderr=subprocess.DEVNULL)
    source = f"deb [trusted=yes] copy://{site} ./"
    with tempfile.TemporaryDirectory(prefix="image-", dir=cache()) as root:
        done = subprocess.run(
            ["mmdebstrap", "--verbose", "--variant=apt", "--include=systemd-sysv,dbus,iproute2,curl,ondemand-nginx",
             f"--setup-hook=echo '{source}' > \"$1/etc/apt/sources.list.d/site.list\"", "bookworm", root],
            capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert own_lines(done.stdout + done.stderr) == [NO_SYSTEMD]
        with boot_once(Path(root)) as machine:
            machine.import_image("nginx:1.27")
            assert machine.get() == "200"


def test_an_upgrade_and_a_removal_in_a_chroot(unbooted_host: Machine, package: Path, tmp_path: Path) -> None:
    kind = "deb" if package.suffix == ".deb" else "rpm"
    newer = built(tmp_path, NGINX.replace("1.27.0", "1.27.1") + 'env = { NEW = "1" }\n')[f"{kind}/nginx"]
    if kind == "deb":
        install, remove = ["apt-get", "install", "-y"], ["apt-get", "purge", "-y", "ondemand-nginx"]
    else:
        install, remove = [*DNF, "install"], [*DNF, "remove", "ondemand-nginx"]
        unbooted_host.chroot(*install, *unbooted_host.copy_in(stub()))
    traces = "find /etc /usr /var/lib/ondemand -name '*ondemand*' | sort"
    before = unbooted_host.chroot("sh", "-c", traces + " || true")
    unbooted_host.chroot(*install, *unbooted_host.copy_in(package))
    assert own_lines(unbooted_host.chroot(*install, *unbooted_host.copy_in(newer))) == [NO_SYSTEMD]
    (line,) = own_lines(unbooted_host.chroot(*remove))
    assert line == REMOVED_WITHOUT_SYSTEMD
    assert unbooted_host.chroot("sh", "-c", traces + " || true") == before
    unbooted_host.chroot(*install, *unbooted_host.copy_in(newer))
    unbooted_host.boot()
    assert unbooted_host.get() == "200"
    assert "NEW=1" in unbooted_host.inspect("ondemand-nginx")["Config"]["Env"]


def test_into_another_root_file_system(unbooted_host: Machine, tmp_path: Path) -> None:
    packages = built(tmp_path, NGINX)
    done = subprocess.run([*DNF, f"--installroot={unbooted_host.directory}", "--setopt=keepcache=0", "install", stub(),
                           packages["rpm/nginx"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_lines(done.stdout + done.stderr) == [NO_SYSTEMD]
    unbooted_host.boot()
    assert unbooted_host.get() == "200"


def test_an_upgrade_and_a_removal_in_another_root_file_system(unbooted_host: Machine, tmp_path: Path) -> None:
    old, new = (built(tmp_path, NGINX.replace("1.27.0", version))["rpm/nginx"] for version in ("1", "2"))
    for *command, expected in [("install", stub(), old, NO_SYSTEMD), ("upgrade", new, NO_SYSTEMD),
                               ("remove", "ondemand-nginx", REMOVED_WITHOUT_SYSTEMD)]:
        done = subprocess.run([*DNF, f"--installroot={unbooted_host.directory}", "--setopt=keepcache=0", *command],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert own_lines(done.stdout + done.stderr) == [expected]
    unbooted_host.boot()
    assert unbooted_host.sh("systemctl list-unit-files 'ondemand*' --no-legend; ss -Hltn | grep ':80 '; docker ps -aq; "
                            "find / -xdev -name '*ondemand-nginx*' -not -path '/var/log/*'", check=False) == ""


def test_a_host_that_ran_is_upgraded_in_a_chroot(unbooted_host: Machine, package: Path, tmp_path: Path) -> None:
    kind = "deb" if package.suffix == ".deb" else "rpm"
    newer = built(tmp_path, NGINX.replace("1.27.0", "1.27.1") + 'env = { NEW = "1" }\n')[f"{kind}/nginx"]
    unbooted_host.boot()
    install(unbooted_host, package)
    assert unbooted_host.get() == "200"
    unbooted_host.power_off()
    command = ["apt-get", "install", "-y"] if kind == "deb" else [*DNF, "install"]
    assert own_lines(unbooted_host.chroot(*command, *unbooted_host.copy_in(newer))) == [NO_SYSTEMD]
    unbooted_host.boot()
    assert unbooted_host.get() == "200"
    assert "NEW=1" in unbooted_host.inspect("ondemand-nginx")["Config"]["Env"]
    assert not unbooted_host.inspect("ondemand-nginx.previous")["Config"]["Env"]


def test_while_the_engine_is_stopped(host: Machine, package: Path) -> None:
    host.run("systemctl", "stop", "docker.socket", "docker.service")
    assert own_lines(install(host, package)) == [NO_ENGINE]
    assert host.get() == "200"


def test_before_an_engine_is_there(host: Machine, package: Path) -> None:
    programs = "/usr/bin/docker /usr/sbin/dockerd"
    host.run("systemctl", "mask", "--now", "docker.socket", "docker.service")
    host.sh(f"for program in {programs}; do mv $program $program.away; done")
    assert own_lines(install(host, package)) == [NO_ENGINE]
    assert host.clients(20, ("127.0.0.1", 80), limit=30).count("HTTP/1.1 200 OK") == 0
    assert "ondemand-nginx: no Docker engine answers on /run/docker.sock (Connection refused); " in host.journal(
        "ondemand-nginx-container")
    host.sh(f"for program in {programs}; do mv $program.away $program; done")
    host.run("systemctl", "unmask", "docker.socket", "docker.service")
    host.run("systemctl", "start", "docker.service")
    host.until_answered("http://127.0.0.1/")


def test_where_policy_rc_d_forbids_every_start(host: Machine, tmp_path: Path) -> None:
    package = built(tmp_path, NGINX)["deb/nginx"]
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    host.run("chmod", "+x", "/usr/sbin/policy-rc.d")
    (line,) = own_lines(install(host, package))
    assert line.startswith("ondemand-nginx: ondemand-nginx.socket is not listening yet; ")
    assert host.sh("systemctl is-enabled ondemand-nginx.socket; systemctl is-active ondemand-nginx.socket", check=False) == (
        "enabled\ninactive\n")
    host.run("systemctl", "start", "ondemand-nginx.socket")
    assert host.get() == "200"
    assert own_lines(install(host, built(tmp_path, NGINX.replace("1.27.0", "1.27.1"))["deb/nginx"])) == []
    assert host.get() == "200"
    assert own_lines(host.run("apt-get", "purge", "-y", "ondemand-nginx").stderr) == []
    assert host.sh("docker ps -aq; ss -Hltn | grep ':80 '", check=False) == ""


def test_where_the_image_cant_be_had(host: Machine, tmp_path: Path) -> None:
    package = built(tmp_path, NGINX.replace("nginx:1.27", "localhost:1/nginx:1.27"))["deb/nginx"]
    (line,) = own_lines(install(host, package))
    assert line.startswith("ondemand-nginx: 'docker create' failed for the image localhost:1/nginx:1.27: ")
    assert line.endswith("; the next connection tries again; see 'journalctl -u ondemand-nginx-container'")
    host.run("docker", "tag", "nginx:1.27", "localhost:1/nginx:1.27")
    assert host.get() == "200"


def test_where_the_address_is_taken(host: Machine, package: Path) -> None:
    host.run("systemd-run", "--unit=holder", "nc", "-lk", "80")
    host.sh("until ss -Hltn | grep -q :80; do sleep 0.05; done", timeout=30)
    (line,) = own_lines(install(host, package))
    assert line.startswith("ondemand-nginx: [::]:80 is in use by nc (process ")
    host.run("systemctl", "stop", "holder")
    host.run("systemctl", "start", "ondemand-nginx.socket")
    assert host.get() == "200"
    host.run("systemctl", "stop", "ondemand-nginx.socket", "ondemand-nginx.service")
    host.run("docker", "run", "--detach", "--name", "nextcloud", "--publish=80:80", "nginx:1.27")
    host.run("systemctl", "start", "ondemand-nginx.socket", check=False)
    assert ("ondemand-nginx: [::]:80 is in use by the container nextcloud, which publishes it (docker-proxy); free it, then run "
            "'systemctl start ondemand-nginx.socket' or reboot\n") in host.journal("ondemand-nginx.socket")


def test_where_only_signed_packages_are_installed_one_that_was_signed_as_it_was_built_is(tmp_path: Path) -> None:
    need(*TOOLS, "gpg", root=True)
    (tmp_path / "nginx.toml").write_text(NGINX)
    with signer() as one, unbooted(ENDS[-1]) as machine:
        one.run("build", tmp_path / "nginx.toml", "--format", "rpm", "--output", tmp_path / "plain")
        one.run("build", tmp_path / "nginx.toml", "--format", "rpm", "--output", tmp_path / "signed", "--key", one.key)
        (plain, signed) = (next((tmp_path / name).iterdir()) for name in ("plain", "signed"))
        key = tmp_path / "key.asc"
        exported = subprocess.run(["gpg", "--armor", "--export", one.key], env=one.environ, capture_output=True, check=True)
        key.write_bytes(exported.stdout)
        machine.chroot("rpmkeys", "--import", *machine.copy_in(key))
        strictly = ("rpm", "--define=_pkgverify_level signature", "--install", "--nodeps", "--noscripts", "--notriggers")
        with pytest.raises(Failed, match="does not verify"):
            machine.chroot(*strictly, *machine.copy_in(plain, to="/opt"))
        machine.chroot(*strictly, *machine.copy_in(signed))
        assert machine.chroot("rpm", "-q", "ondemand-nginx").startswith("ondemand-nginx-1.27.0-1")
        assert plain.stat().st_size == signed.stat().st_size
