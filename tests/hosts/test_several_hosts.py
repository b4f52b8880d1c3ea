"""One service on three hosts behind what stands in front of them: the page of the documentation, followed to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from documentation import DOCS, Builder, typed
from requirements import need

from .conftest import TOOLS
from .lan import joined
from .machine import Machine
from .test_how_to import follow, with_packages

PAGE = DOCS / "several-hosts.md"
HAPROXY, FLOATING, DNS = "HAProxy in front of three hosts", "A floating address", "DNS"
AWAKE = "systemctl is-active ondemand-web-container"
# Waits for two connections to the port.
CHECKED = ("iptables -I INPUT -p tcp --dport 8080 --syn; "
           "until [ \"$(iptables -vnxL INPUT | awk '/dpt:8080/ { print $1 }')\" -ge 2 ]; do sleep 0.2; done; "
           "iptables -D INPUT -p tcp --dport 8080 --syn")


class Client(Builder):
    """The machine that builds, and one of the hosts' network for what begins with `curl`."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        super().__init__(directory)
        self._machine = machine

    def run(self, command: str) -> str:
        return self._machine.sh(command) if command.startswith("curl") else super().run(command)


class Site:
    """Three hosts with the package, and the machine in front of them, which is the client too."""

    def __init__(self, hosts: list[Machine], front: Machine, client: Client) -> None:
        self.hosts = hosts
        self.front = front
        self.client = client

    def follow(self, heading: str, *machines: Machine) -> None:
        """Type what stands below a heading: on each of some machines what root types, once what the client types."""
        for step in typed(PAGE, heading):
            for machine in machines if step.on_host else machines[:1]:
                follow([step], self.client, machine)

    def awake(self) -> list[str]:
        return [machine.sh(AWAKE, check=False).strip() for machine in self.hosts]

    def sleep(self) -> None:
        for machine in self.hosts:
            machine.sh("systemctl stop ondemand-web-container")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need(*TOOLS, root=True)
    directory = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        hosts = [stack.enter_context(with_packages("keepalived")) for _ in range(3)]
        front = stack.enter_context(with_packages("haproxy", "dnsmasq"))
        front.sh("systemctl disable --now haproxy dnsmasq")
        stack.enter_context(joined({"10.9.0.11": hosts[0], "10.9.0.12": hosts[1], "10.9.0.13": hosts[2], "10.9.0.20": front}))
        client = Client(directory, front)
        (text, _) = PAGE.read_text(encoding="utf-8").split(f"\n## {HAPROXY}\n", 1)
        (directory / "page.md").write_text(text, encoding="utf-8")
        for step in typed(directory / "page.md"):
            for machine in hosts if step.on_host else hosts[:1]:
                follow([step], client, machine)
        yield Site(hosts, front, client)


def test_haproxy_wakes_one_host_and_its_checks_wake_none(site: Site) -> None:
    site.follow(HAPROXY, site.front)
    assert site.awake() == ["active", "inactive", "inactive"]
    site.sleep()
    for machine in site.hosts:
        machine.sh(CHECKED, timeout=60)
    assert site.awake() == ["inactive"] * 3


def test_haproxy_sends_a_request_on_where_a_host_can_not_start_its_container_or_is_gone(site: Site) -> None:
    first = site.hosts[0]
    first.sh("docker rename ondemand-web hidden && systemctl mask --runtime --now docker.service docker.socket")
    assert "200" in site.front.sh("curl --silent --output /dev/null --write-out '%{http_code}' http://10.9.0.20/")
    assert site.awake()[1] == "active"
    first.sh("systemctl unmask --runtime docker.service docker.socket; systemctl start docker.socket docker; "
             "docker rename hidden ondemand-web")
    site.sleep()
    site.hosts[1].sh("ip link set eth0 down")
    first.sh("ip link set eth0 down")
    assert "200" in site.front.sh("curl --silent --output /dev/null --write-out '%{http_code}' http://10.9.0.20/")
    assert site.awake()[2] == "active"
    for machine in site.hosts[:2]:
        machine.sh("ip link set eth0 up")
    site.sleep()


def test_a_floating_address_is_with_one_host_and_moves_when_that_does_not_listen(site: Site) -> None:
    site.follow(FLOATING, *site.hosts)
    holder = site.awake().index("active")
    assert site.awake().count("active") == 1
    site.hosts[holder].sh("systemctl stop ondemand-web.socket ondemand-web-container")
    moved = "curl --silent --fail --connect-timeout 1 --output /dev/null http://10.9.0.10:8080/"
    site.front.sh(f"for i in $(seq 100); do {moved} && exit 0; sleep 0.2; done; exit 1")
    assert site.awake().count("active") == 1 and site.awake()[holder] == "inactive"
    site.hosts[holder].sh("systemctl start ondemand-web.socket")
    site.sleep()


def test_a_name_leads_to_each_of_the_hosts_and_past_one_that_is_down(site: Site) -> None:
    site.front.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    site.follow(DNS, site.front)
    for machine in site.hosts[:2]:
        machine.sh("ip link set eth0 down")
    assert "title" in site.front.sh("curl --silent --connect-timeout 3 http://web.example:8080/")
