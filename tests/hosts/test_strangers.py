"""Users without rights and containers of somebody else: nothing of root waits for them, and nothing of theirs is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import NGINX, TOOLS, built
from .machine import Machine, fresh
from .roots import SUITES

OF_DOCKER = "docker run --detach --name ondemand-nginx nginx:1.27"
AS_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
LIMIT = 20.0  # seconds for what takes two


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("strangers"), NGINX + "metrics = true\n")["deb/nginx"]


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        yield machine


@pytest.fixture
def installed(machine: Machine, package: Path) -> Iterator[Machine]:
    machine.apt_install(package)
    yield machine
    machine.run("apt-get", "purge", "-y", "ondemand-nginx")


def sleep(machine: Machine) -> None:
    machine.run("systemctl", "stop", "ondemand-nginx-container.service")


def test_a_user_without_rights_holds_up_no_wake_and_no_package_manager(installed: Machine, package: Path) -> None:
    locked = "/usr/libexec/ondemand-nginx /run/ondemand-nginx /run/ondemand-nginx/* /run /etc/ondemand /var/lib/ondemand"
    installed.get()
    sleep(installed)
    # What can't be opened or locked ends at once.
    installed.sh(f"for path in {locked} /run/ondemand /run/ondemand/*; do for how in shared exclusive; do "
                 f"{AS_NOBODY} flock --$how --nonblock $path sleep 1000 >/dev/null 2>&1 & done; done; sleep 1")
    assert installed.sh("pgrep --uid nobody --count flock").strip() != "0"
    try:
        begin = time.monotonic()
        assert installed.get() == "200"
        sleep(installed)
        said = installed.apt_install(package, options=["--reinstall"])
        assert time.monotonic() - begin < LIMIT
        holder = "holds a lock on /usr/libexec/ondemand-nginx, which nothing of this package needs any more; going on without it"
        assert holder in said and holder in installed.journal("ondemand-nginx-container.service")
        installed.run("apt-get", "remove", "-y", "ondemand-nginx", timeout=LIMIT)
    finally:
        installed.sh("pkill --uid nobody; true")


@pytest.mark.parametrize("put", ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /root/kept"])
def test_what_lies_in_the_metrics_directory_holds_up_no_wake(installed: Machine, put: str) -> None:
    directory = "/var/lib/prometheus/node-exporter"
    installed.sh(f"mkdir -p {directory}; chown nobody {directory}; echo kept > /root/kept; {AS_NOBODY} sh -c '"
                 f"for name in prom prom.new; do {put} {directory}/ondemand-nginx.$name; done'")
    begin = time.monotonic()
    assert installed.get() == "200"
    sleep(installed)
    installed.run("apt-get", "remove", "-y", "ondemand-nginx", timeout=LIMIT)
    assert time.monotonic() - begin < LIMIT
    assert installed.sh("cat /root/kept") == "kept\n"
    installed.sh(f"rm -r {directory}")


def test_a_container_of_somebody_else_is_left_alone(machine: Machine, package: Path) -> None:
    theirs = machine.sh(OF_DOCKER).strip()
    remedy = "(it has no label ondemand.spec) and is left alone; rename it with 'docker rename ondemand-nginx NEW-NAME'"

    def is_as_before() -> bool:
        return machine.sh("docker ps --no-trunc --quiet --filter name=^ondemand-nginx$").strip() == theirs

    assert remedy in machine.apt_install(package) and is_as_before()
    machine.run("curl", "--silent", "http://127.0.0.1/", check=False)
    assert remedy in machine.journal("ondemand-nginx-container.service") and is_as_before()
    assert remedy in machine.apt_install(package, options=["--reinstall"]) and is_as_before()
    said = machine.sh("apt-get purge -y ondemand-nginx 2>&1")
    assert "the container ondemand-nginx was not made by this package and is left alone" in said and is_as_before()
    machine.apt_install(package)
    machine.sh("docker rename ondemand-nginx theirs")
    machine.until_answered("http://127.0.0.1/")
    assert machine.inspect("theirs")["Id"] == theirs and machine.inspect("theirs")["State"]["Running"]
    machine.sh("apt-get purge -y ondemand-nginx && docker rm --force theirs")


def test_an_environment_that_is_no_utf_8_is_told_and_what_serves_goes_on(installed: Machine, package: Path) -> None:
    before = installed.inspect("ondemand-nginx")["Id"]
    installed.sh("rm /etc/ondemand/nginx.env; printf 'NAME=caf\\351\\n' >> /etc/ondemand/nginx.env")
    said = installed.apt_install(package, options=["--reinstall"])
    assert "/etc/ondemand/nginx.env: the line of NAME is not UTF-8; save the file as UTF-8" in said
    assert "everybody could read the values in /etc/ondemand/nginx.env; now only root can" in said
    assert installed.sh("stat --format=%a /etc/ondemand/nginx.env") == "600\n"
    assert installed.get() == "200" and installed.inspect("ondemand-nginx")["Id"] == before
    assert "the line of NAME is not UTF-8" in installed.journal("ondemand-nginx-container.service")
