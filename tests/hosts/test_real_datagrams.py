"""Servers of UDP as Debian ships them, and the checks of a load balancer, with their own clients."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine
from .test_how_to import with_packages
from .test_kernel_path import CLIENT, HOST, OUTSIDE

SITE = """
[package]
version = "1"

[container.names]
image   = "datagrams:1"
ports   = ["5300:53/udp"]
command = ["dnsmasq", "-k", "-u", "root", "--no-resolv", "--no-hosts", "--address=/shop.example/192.0.2.7"]
ready   = { udp = { send = "123401000001000000000000000002" + "0001", expect = "1234" } }
idle    = "1s"

[container.log]
image   = "datagrams:1"
ports   = ["5140:514/udp"]
command = ["sh", "-c", '''
printf 'module(load="imudp")\\ninput(type="imudp" port="514")\\n*.* /messages\\n' >/log.conf
exec rsyslogd -n -f /log.conf''']
ready   = { exec = ["grep", "-q", ":0202 ", "/proc/net/udp"] }
idle    = "5s"

[container.clock]
image   = "datagrams:1"
ports   = ["123:123/udp"]
command = ["sh", "-c", '''
printf 'local stratum 3\\nallow all\\ncmdport 0\\n' >/clock.conf
exec chronyd -d -x -u root -f /clock.conf''']
ready   = { udp = { send = "23" + "00" * 47, expect = "24" } }
idle    = "1s"

[container.speed]
image   = "datagrams:1"
ports   = ["5201:5201", "5201:5201/udp"]
command = ["iperf3", "--server"]
ready   = { exec = ["grep", "-q", ":1451 ", "/proc/net/tcp", "/proc/net/tcp6"] }     # it takes a mere connection for a client
idle    = "1s"

[container.far]
image   = "datagrams:1"
ports   = ["5202:5201", "5202:5201/udp"]
path    = "kernel"
command = ["iperf3", "--server"]
ready   = { exec = ["grep", "-q", ":1451 ", "/proc/net/tcp", "/proc/net/tcp6"] }
idle    = "5s"

[container.web]
image        = "servers:1"
ports        = ["8101:80"]
idle         = "1s"
wake_on      = "data"
data_timeout = "2s"
health       = { path = "/healthz" }
"""
BALANCER = """
global
    stats socket /run/checks.sock
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend all
    bind 127.0.0.1:8180
    default_backend asleep
backend asleep
    option httpchk GET /healthz
    server web 127.0.0.1:8101 check inter 300ms
backend by-connection
    mode tcp
    server web 127.0.0.1:8101 check inter 300ms
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    text = SITE.replace('"123401000001000000000000000002" + "0001"', '"1234010000010000000000000000020001"').replace(
        '"23" + "00" * 47', f'"23{"00" * 47}"')
    with with_packages("bind9-dnsutils", "haproxy", "iperf3", "ntpsec-ntpdig") as machine:
        machine.import_image("datagrams:1")
        packages = built(tmp_path_factory.mktemp("site"), text)
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        yield machine


def is_running(machine: Machine, name: str) -> bool:
    return bool(machine.inspect(f"ondemand-{name}")["State"]["Running"])


def until_asleep(machine: Machine, name: str) -> None:
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}-container) = inactive ]; do sleep 0.1; done", timeout=60)


def test_dig_wakes_a_name_server_with_its_first_question(site: Machine) -> None:
    for _ in range(2):
        asked = ("dig", "@127.0.0.1", "-p", "5300", "+short", "+tries=1", "+time=20", "shop.example")
        assert site.run(*asked).stdout == "192.0.2.7\n"
        until_asleep(site, "names")


def test_logger_wakes_a_log_server_and_no_line_is_lost(site: Machine) -> None:
    site.sh("for i in $(seq 20); do logger --server 127.0.0.1 --port 5140 --udp line $i of twenty; done")
    site.sh("for i in $(seq 200); do [ $(docker exec ondemand-log grep -c 'of twenty' /messages) = 20 ] && exit; sleep 0.1; done",
            check=False)
    lines = site.run("docker", "exec", "ondemand-log", "cat", "/messages").stdout
    # Each call is a client of its own, and between clients there is no order.
    assert sorted(f"line {number} of twenty" for number in range(1, 21)) == sorted(
        line[line.index("line"):] for line in lines.splitlines() if "of twenty" in line)


def test_a_client_of_ntp_wakes_a_time_server(site: Machine) -> None:
    said = site.run("ntpdig", "--json", "--timeout", "20", "127.0.0.1")
    assert json.loads(said.stdout.splitlines()[-1])["stratum"] == 3
    until_asleep(site, "clock")


@pytest.mark.parametrize("options", [["--udp", "--bitrate", "20M"], []], ids=["udp", "tcp"])
def test_a_measurement_of_throughput_runs_through_the_relay(site: Machine, options: list[str]) -> None:
    until_asleep(site, "speed")
    said = site.run("iperf3", "--client", "127.0.0.1", "--time", "1", "--json", *options, check=False, timeout=60).stdout
    end = json.loads(said)["end"]
    assert end.get("sum" if options else "sum_received", {}).get("bytes", 0) > 1_000_000, said


def test_a_measurement_of_throughput_runs_past_the_relay_from_outside(site: Machine) -> None:
    site.sh(OUTSIDE)
    outside = ("ip", "netns", "exec", "outside")
    connections: list[str] = []
    for _ in range(3):  # the first one goes through the relay, and so does what else it opens at once
        said = site.run(*outside, "iperf3", "--client", HOST, "--port", "5202", "--time", "1", "--json", timeout=60).stdout
        assert json.loads(said)["end"]["sum_received"]["bytes"] > 1_000_000, said
        connections += re.findall(r"from ([0-9.]+)", site.run("docker", "logs", "ondemand-far").stdout)
    assert CLIENT in connections, "the server has seen its client"
    said = site.run(*outside, "iperf3", "--client", HOST, "--port", "5202", "--time", "1", "--udp", "--json", timeout=60).stdout
    assert json.loads(said)["end"]["sum"]["bytes"] > 10_000, said
    until_asleep(site, "far")


def test_checks_of_haproxy_wake_nothing_and_its_clients_do(site: Machine) -> None:
    site.write("/root/checks.cfg", BALANCER)
    until_asleep(site, "web")
    balancer = site.start("haproxy", "-db", "-f", "/root/checks.cfg")
    try:
        # Each check of either backend has come twice at least; 2 is "running".
        site.sh("until [ -S /run/checks.sock ]; do sleep 0.05; done; sleep 2")
        states = site.sh("python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"/run/checks.sock\"); "
                         "s.sendall(b\"show servers state\\n\"); print(s.makefile().read())'")
        assert [line.split()[5] for line in states.splitlines() if " web " in line] == ["2", "2"]
        assert not is_running(site, "web")
        assert site.get("http://127.0.0.1:8180/") == "200"
        assert is_running(site, "web")
        until_asleep(site, "web")  # under the checks
    finally:
        balancer.terminate()
        balancer.wait()
