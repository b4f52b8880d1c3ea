"""What administrators may rely on where three hosts of one swarm have the package of a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
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

    def __init__(self, hosts: list[Machine]) -> None:
        self.hosts = hosts

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
    directory = tmp_path_factory.mktemp("site")
    (directory / "web.toml").write_text('[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["8001:80"]\n'
                                        'engine = "swarm"\nreplicas = 3\nstop_timeout = "2s"\nready = { http = "/" }\n')
    package, = packing.write(packing.tasks(read([str(directory / "web.toml")]), [DEB], {}), directory / "dist")
    with ExitStack() as stack:
        hosts = [stack.enter_context(fresh("trixie")) for _ in ADDRESSES]
        stack.enter_context(joined(dict(zip(ADDRESSES, hosts, strict=True))))
        for number, host in enumerate(hosts):
            host.sh(f"hostname node{number}; systemctl restart docker")
        hosts[0].run("docker", "swarm", "init", "--advertise-addr", ADDRESSES[0])
        token = hosts[0].run("docker", "swarm", "join-token", "--quiet", "manager").stdout.strip()
        for address, host in list(zip(ADDRESSES, hosts, strict=True))[1:]:
            host.run("docker", "swarm", "join", "--advertise-addr", address, "--token", token, f"{ADDRESSES[0]}:2377")
        for host in hosts:
            host.apt_install(package)
        yield Site(hosts)


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


def test_the_last_node_that_has_the_package_removes_the_service(site: Site) -> None:
    for number, host in enumerate(site.hosts):
        said = host.run("apt-get", "purge", "-y", PACKAGE)
        assert (f"the service {SERVICE} is kept: " in said.stdout + said.stderr) is (number < 2)
        assert (host.sh("docker service ls -q") != "") is (number < 2)
