"""What administrators may rely on where three hosts of one swarm have the package of a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import DEB

from .conftest import TOOLS
from .lan import joined
from .machine import Machine, fresh

URL, SERVICE, PACKAGE = "http://127.0.0.1:8001/", "ondemand-web", "ondemand-web"
ADDRESSES = ("10.9.0.1", "10.9.0.2", "10.9.0.3")
ANSWERED = "HTTP/1.1 200 OK"


class Site:
    """Three managers of one swarm, with the package installed."""

    def __init__(self, hosts: list[Machine], directory: Path) -> None:
        self.hosts = hosts
        self.directory = directory

    def build(self, version: str, more: str = "") -> Path:
        (self.directory / "web.toml").write_text(
            f'[container.web]\nimage = "nginx:1.27"\nversion = "{version}"\nports = ["8001:80"]\nengine = "swarm"\nreplicas = 3\n'
            f'stop_timeout = "2s"\nready = {{ http = "/" }}\n{more}')
        package, = packing.write(packing.tasks(read([str(self.directory / "web.toml")]), [DEB], {}), self.directory / "dist")
        return package

    def environment(self) -> list[str]:
        return list(self.service()["TaskTemplate"]["ContainerSpec"].get("Env") or [])

    def service(self, host: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.hosts[host].run("docker", "service", "inspect", SERVICE).stdout)[0]["Spec"]
        return found

    def replicas(self, host: int = 0) -> int:
        return int(self.service(host)["Mode"]["Replicated"].get("Replicas", 0))

    def sleep(self) -> None:
        for host in self.hosts:
            host.sh("systemctl stop ondemand-web-container.service")
        assert self.replicas() == 0
        for host in self.hosts:
            host.sh('until [ -z "$(docker ps -q)" ]; do sleep 0.1; done', timeout=60)

    def clients(self, count: int) -> list[str]:
        """Let so many clients connect to each host at once."""
        found: list[list[str]] = [[] for _ in self.hosts]

        def connect(number: int) -> None:
            found[number] = self.hosts[number].clients(count, ("127.0.0.1", 8001))

        threads = [threading.Thread(target=connect, args=(number,)) for number in range(len(self.hosts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answer for answers in found for answer in answers]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(*TOOLS, root=True)
    with ExitStack() as stack:
        hosts = [stack.enter_context(fresh("trixie")) for _ in ADDRESSES]
        stack.enter_context(joined(dict(zip(ADDRESSES, hosts, strict=True))))
        for number, host in enumerate(hosts):
            host.sh(f"hostname node{number}; systemctl restart docker")
        hosts[0].run("docker", "swarm", "init", "--advertise-addr", ADDRESSES[0])
        token = hosts[0].run("docker", "swarm", "join-token", "--quiet", "manager").stdout.strip()
        for address, host in list(zip(ADDRESSES, hosts, strict=True))[1:]:
            host.run("docker", "swarm", "join", "--advertise-addr", address, "--token", token, f"{ADDRESSES[0]}:2377")
        found = Site(hosts, tmp_path_factory.mktemp("site"))
        package = found.build("1")
        for host in hosts:
            host.apt_install(package)
        yield found


def test_clients_at_all_hosts_at_once_are_answered_by_one_scale_up_over_all_nodes(site: Site) -> None:
    assert site.replicas() == 0
    assert site.clients(334) == [ANSWERED] * 1002
    assert site.replicas() == 3
    assert len(site.hosts[0].sh(f"docker service ps --quiet {SERVICE}").split()) == 3
    for host in site.hosts:
        host.sh('until [ -n "$(docker ps -q)" ]; do sleep 0.1; done', timeout=60)
    site.sleep()


def test_a_host_whose_clients_have_gone_leaves_the_service_awake_for_those_of_others(site: Site) -> None:
    first, second = site.hosts[:2]
    assert first.get(URL) == second.get(URL) == "200"
    first.sh("systemctl stop ondemand-web-container.service")
    assert site.replicas() == 3
    with second.steady_clients(8001) as found:
        assert first.get(URL) == "200"
        first.sh("systemctl stop ondemand-web-container.service")
    assert set(found) == {ANSWERED}
    second.sh("systemctl stop ondemand-web-container.service")
    assert site.replicas() == 0
    site.sleep()


def test_hosts_that_let_go_at_the_same_moment_put_it_to_sleep_and_lose_no_client(site: Site) -> None:
    for _ in range(5):
        assert site.clients(1) == [ANSWERED] * 3
        stops = [host.start("systemctl", "stop", "ondemand-web-container.service") for host in site.hosts[:2]]
        assert site.hosts[2].get(URL) == "200"
        assert [stop.wait(timeout=60) for stop in stops] == [0, 0]
        assert site.replicas() == 3
        stops = [host.start("systemctl", "stop", "ondemand-web-container.service") for host in site.hosts]
        assert [stop.wait(timeout=60) for stop in stops] == [0, 0, 0]
        assert site.replicas() == 0


def test_a_leader_that_is_killed_while_it_wakes_the_service_loses_no_client_of_the_others(site: Site) -> None:
    leader = next(host for host in site.hosts
                  if host.sh("docker info --format '{{.Swarm.NodeID}}'") == host.sh("docker node inspect self --format '{{.ID}}'")
                  and host.sh("docker node inspect self --format '{{.ManagerStatus.Leader}}'").strip() == "true")
    other = next(host for host in site.hosts if host is not leader)
    client = other.start("curl", "--silent", "--max-time", "100", "--output", "/dev/null", "--write-out", "%{http_code}", URL)
    other.sh("until systemctl is-active --quiet ondemand-web.service; do sleep 0.01; done", timeout=60)
    leader.sh("systemctl kill --signal=KILL docker.service")
    assert client.communicate(timeout=110)[0] == "200"
    leader.sh("until docker node ls >/dev/null 2>&1; do sleep 0.1; done", timeout=60)
    site.sleep()


def test_without_a_quorum_clients_are_told_at_once_and_with_it_again_they_are_answered(site: Site) -> None:
    first, second, third = site.hosts
    for host in (second, third):
        host.sh("systemctl stop docker.socket docker.service")
    try:
        first.sh("while docker node ls >/dev/null 2>&1; do sleep 0.2; done", timeout=60)
        assert first.clients(1, ("127.0.0.1", 8001)) != [ANSWERED]
        assert "the swarm has no leader" in first.journal("ondemand-web-container.service")
        said = first.run("apt-get", "install", "--reinstall", "-y", f"/root/{site.build('1').name}", check=False)
        assert said.returncode == 0 and "the swarm has no leader" in said.stdout + said.stderr
    finally:
        for host in (second, third):
            host.sh("systemctl start docker.socket docker.service")
    first.sh("until docker node ls >/dev/null 2>&1; do sleep 0.1; done", timeout=60)
    first.until_answered(URL)
    site.sleep()


def test_the_host_with_the_newest_package_changes_the_service_and_others_say_that_they_do_not(site: Site) -> None:
    first, second, third = site.hosts
    first.write("/etc/ondemand/web.env", "SECRET=1\n")
    assert "was made from another version" not in first.apt_install(site.build("2", 'env = { NEW = "2" }\n'))
    assert site.environment() == ["NEW=2", "SECRET=1"]
    assert "was made from another version" in second.apt_install(site.build("2", 'env = { NEW = "2" }\n'))  # it has no secret
    assert site.environment() == ["NEW=2", "SECRET=1"]
    assert third.get(URL) == "200"  # with the old package
    assert "was made from another version" in third.journal("ondemand-web-container.service")
    assert site.environment() == ["NEW=2", "SECRET=1"]
    second.write("/etc/ondemand/web.env", "SECRET=2\n")
    second.sh("/usr/libexec/ondemand-web/container renew")
    assert site.environment() == ["NEW=2", "SECRET=2"]
    site.sleep()


def test_the_last_node_that_has_the_package_removes_the_service(site: Site) -> None:
    first, second, third = site.hosts
    for host in (third, second, first):
        said = host.run("apt-get", "purge", "-y", PACKAGE)
        assert (f"the service {SERVICE} is kept: " in said.stdout + said.stderr) is (host is not first)
        assert (host.sh("docker service ls -q") != "") is (host is not first)


def test_a_node_that_is_powered_off_loses_no_client_of_the_others_and_keeps_nothing_awake(site: Site) -> None:
    first, second, third = site.hosts
    package = site.build("3")
    for host in site.hosts:
        if not host.sh("dpkg -l ondemand-web | grep '^ii' || true"):
            host.apt_install(package)
    assert site.clients(1) == [ANSWERED] * 3
    with first.steady_clients(8001) as found:
        third.power_off()
        first.sh("until docker node ls --format '{{.Status}}' | grep -q Down; do sleep 0.2; done", timeout=100)
    assert set(found) == {ANSWERED}
    for host in (first, second):
        host.sh("systemctl stop ondemand-web-container.service")
    assert site.replicas() == 0
    assert first.get(URL) == "200"
