"""What clients and administrators may rely on of the relay, on Debian 12 and 13."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from requirements import need

from ondemand_host.systemd import UNWOKEN, WOKEN

from .conftest import built
from .machine import GET, Machine

SITE = """
[package]
version = "1"

[container.nginx]
image = "nginx:1.27"
ports = ["80:80"]

[container.proxied]
image = "nginx:1.27"
ports = ["8081:80"]
proxy = "systemd-socket-proxyd"

[container.sleepy]
image = "servers:1"
ports = ["8082:80"]
idle  = "1s"

[container.held]
image     = "servers:1"
ports     = ["8083:80"]
idle      = "1s"
idle_mode = "connections"

[container.broken]
image   = "servers:1"
ports   = ["8084:80"]
command = ["/servers/exits.py", "3"]

[container.deaf]
image   = "servers:1"
ports   = ["8085:9"]
ready   = { tcp = true, timeout = "1s" }

[container.nowhere]
image   = "localhost:1/nowhere:1"
ports   = ["8086:80"]

[container.told]
image          = "servers:1"
ports          = ["8087:80"]
command        = ["/servers/first_line.py"]
proxy_protocol = "v1"

[container.guarded]
image = "servers:1"
ports = ["8089:80"]
allow = ["127.0.0.2", "::1"]

[container.data]
image        = "servers:1"
ports        = ["8090:80"]
idle         = "1s"
wake_on      = "data"
data_timeout = "2s"

[container.frozen]
image        = "servers:1"
ports        = ["8091:80"]
idle         = "1s"
idle_action  = "pause"
idle_mode    = "connections"
wake_on      = "data"
data_timeout = "2s"

[container.asked]
image        = "servers:1"
ports        = ["8092:80"]
idle         = "1s"
wake_on      = "data"
data_timeout = "2s"
health       = { path = "/healthz", body = "asleep" }

[container.lulled]
image       = "servers:1"
ports       = ["8093:80"]
idle        = "1s"
idle_mode   = "connections"
idle_action = "pause"
health      = { path = "/healthz", body = "asleep" }

[container.greets]
image   = "servers:1"
ports   = ["8088:80"]
command = ["/servers/speaks_first.py"]
"""
CLOSED, PROBED, REFUSED, FEW = UNWOKEN  # kinds of records
FAILING = {"broken": 8084, "deaf": 8085, "nowhere": 8086}


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    packages = built(tmp_path_factory.mktemp("relay"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    yield host
    host.run("apt-get", "purge", "-y", *(f"ondemand-{key.partition('/')[2]}" for key in packages if key.startswith("deb/")))


def asleep(machine: Machine, name: str) -> None:
    machine.run("systemctl", "stop", f"ondemand-{name}-container.service")


def running(machine: Machine, name: str) -> bool:
    return bool(machine.inspect(f"ondemand-{name}")["State"]["Running"])


def until_asleep(machine: Machine, name: str) -> None:
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}-container) = inactive ]; do sleep 0.05; done", timeout=60)


@pytest.mark.parametrize("count", [1000, 3000])
def test_a_thousand_clients_and_more_of_a_cold_start_are_all_answered(site: Machine, count: int) -> None:
    asleep(site, "greets")
    assert site.clients(count, ("127.0.0.1", 8088), "") == ["220 hello"] * count


def test_a_client_that_half_closes_gets_its_answer(site: Machine) -> None:
    assert "200 OK" in site.sh(r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -N 127.0.0.1 80")


def test_systemds_own_proxy_can_be_chosen(site: Machine) -> None:
    asleep(site, "proxied")
    assert site.clients(200, ("127.0.0.1", 8081)) == ["HTTP/1.1 200 OK"] * 200
    assert "systemd-socket-proxyd" in site.sh("cat /proc/$(systemctl show -P MainPID ondemand-proxied)/cmdline")


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_service_turns_clients_away_and_heals_by_itself(site: Machine, name: str) -> None:
    outcomes = site.clients(500, ("127.0.0.1", FAILING[name]), limit=30)
    assert set(outcomes) <= {"", "ConnectionResetError"}, "neither an answer nor a client that waits in vain"
    assert site.sh(f"systemctl is-active ondemand-{name}.socket") == "active\n"
    heal = {"broken": "docker create --name ondemand-broken --label ondemand.spec=$SPEC servers:1",
            "deaf": "docker create --name ondemand-deaf --label ondemand.spec=$SPEC --env PORTS=9 servers:1",
            "nowhere": "docker tag servers:1 localhost:1/nowhere:1"}[name]
    spec = "" if name == "nowhere" else site.inspect(f"ondemand-{name}")["Config"]["Labels"]["ondemand.spec"]
    site.sh(f"SPEC={spec}; " + ("" if name == "nowhere" else f"docker rm -f ondemand-{name}; ") + heal)
    site.until_answered(f"http://127.0.0.1:{FAILING[name]}/")


def test_a_start_that_fails_before_the_relay_is_there_turns_its_clients_away_too(site: Machine) -> None:
    site.run("systemctl", "stop", "ondemand-deaf.socket", "ondemand-deaf.service", "ondemand-deaf-container.service")
    relay = site.sh("systemctl cat ondemand-deaf.service | sed -n 's/^ExecStart=//p'").strip()
    site.write("/etc/systemd/system/ondemand-deaf.service.d/slow.conf",
               f"[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 3; exec {relay}'\n")
    site.run("systemctl", "daemon-reload")
    site.run("systemctl", "start", "ondemand-deaf.socket")
    site.sh("docker rm -f ondemand-deaf")
    outcomes = site.clients(5, ("127.0.0.1", 8085), limit=30)
    site.sh("rm -r /etc/systemd/system/ondemand-deaf.service.d; systemctl daemon-reload")
    assert set(outcomes) <= {"", "ConnectionResetError"}


def test_a_container_that_dies_while_awake_is_started_by_the_next_connection(site: Machine) -> None:
    assert site.get("http://127.0.0.1/") == "200"
    site.run("docker", "kill", "ondemand-nginx")
    site.until_answered("http://127.0.0.1/")
    assert running(site, "nginx")


def test_without_traffic_the_container_is_put_to_sleep_and_nothing_has_failed(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8082/") == "200"
    until_asleep(site, "sleepy")
    assert not running(site, "sleepy")
    assert site.sh("systemctl list-units --failed --no-legend 'ondemand-sleepy*'") == ""
    assert site.run("pgrep", "--full", "--list-full", "ondemand-sleepy/", check=False).stdout == "", "no process is left"
    assert site.get("http://127.0.0.1:8082/") == "200"


@pytest.mark.parametrize(("name", "port", "sleeps"), [("sleepy", 8082, True), ("held", 8083, False)])
def test_a_silent_connection_keeps_a_container_awake_only_where_that_is_declared(
    site: Machine, name: str, port: int, sleeps: bool,
) -> None:
    silent = site.start("nc", "-N", "127.0.0.1", str(port))
    assert site.get(f"http://127.0.0.1:{port}/") == "200"
    if sleeps:
        until_asleep(site, name)
    else:
        site.run("sleep", "4")  # that nothing happens in four times the idle time can only be waited for
        assert running(site, name)
    silent.communicate()  # ends its side, and the server then its own
    until_asleep(site, name)


SILENT = ("import socket, time; s = socket.create_connection(('127.0.0.1', {})); b = time.monotonic(); "
          "print(s.recv(1), round(time.monotonic() - b))")


def records(machine: Machine, kind: str, *matches: str) -> list[dict[str, str]]:
    machine.run("journalctl", "--sync")
    lines = machine.run("journalctl", "--output=json", f"MESSAGE_ID={kind}", *matches).stdout.splitlines()
    return [json.loads(line) for line in lines]


def until_gone(machine: Machine, name: str) -> None:
    """Wait until no process of a service that sleeps is left."""
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}) = inactive ]; do sleep 0.05; done", timeout=30)
    assert machine.run("pgrep", "--full", "--list-full", f"ondemand-{name}/", check=False).stdout == ""


def test_port_scans_and_connections_without_data_wake_nothing_and_leave_no_process(site: Machine) -> None:
    need("nmap")
    for how in ("-sT", "-sS"):
        scan = subprocess.run(["nsenter", "-t", str(site.leader), "-n", "nmap", "-n", "-Pn", how, "-p", "8090", "127.0.0.1"],
                              stdout=subprocess.PIPE, text=True, check=True)
        assert "8090/tcp open" in scan.stdout
    site.run("nc", "-z", "127.0.0.1", "8090")
    assert site.run("python3", "-c", SILENT.format(8090)).stdout == "b'' 2\n", "closed after data_timeout"
    until_gone(site, "data")
    assert not running(site, "data") and not records(site, WOKEN, "ONDEMAND_NAME=data")
    closed = records(site, CLOSED, "_SYSTEMD_UNIT=ondemand-data.service")
    assert sum(int(one["ONDEMAND_CLOSED"]) for one in closed) >= 3 and {one["ONDEMAND_CLIENT"] for one in closed} == {"127.0.0.1"}


def test_a_browser_wakes_what_only_data_wake_and_probes_do_not_keep_it_awake(site: Machine) -> None:
    probes = site.start("timeout", "20", "sh", "-c", "while nc -z 127.0.0.1 8090; do sleep 0.3; done")
    silent = site.start("timeout", "20", "sh", "-c", f'while python3 -c "{SILENT.format(8090)}"; do :; done')
    assert site.get("http://127.0.0.1:8090/") == "200"
    (woken,) = records(site, WOKEN, "ONDEMAND_NAME=data")
    assert woken["ONDEMAND_CLIENT"] == "127.0.0.1" and int(woken["ONDEMAND_TOTAL_MS"]) < 20000
    until_asleep(site, "data")
    assert site.get("http://127.0.0.1:8090/") == "200"
    until_asleep(site, "data")
    assert probes.poll() is None and silent.poll() is None, "they went on until now"
    for process in (probes, silent):
        process.communicate()
    until_gone(site, "data")


def test_a_wake_without_a_client_falls_asleep_again_though_silent_clients_are_there(site: Machine) -> None:
    for attempt in range(3):
        silent = site.start("python3", "-c", SILENT.format(8090)) if attempt < 2 else None
        if attempt == 1:
            silent.communicate() if silent else None  # the relay is about to end
        site.run("systemctl", "start", "ondemand-data-container.service")
        assert running(site, "data")
        until_asleep(site, "data")
        if silent:
            silent.communicate()
    until_gone(site, "data")


def test_a_thousand_clients_with_data_are_all_answered_by_a_cold_start(site: Machine) -> None:
    asleep(site, "data")
    assert set(site.clients(1000, ("127.0.0.1", 8090))) == {"HTTP/1.0 200 OK"}
    for _ in range(5):
        stop = site.start("systemctl", "stop", "ondemand-data-container")
        assert set(site.clients(30, ("127.0.0.1", 8090))) <= {"HTTP/1.0 200 OK", "", "ConnectionResetError"}
        stop.wait(timeout=60)
        assert site.get("http://127.0.0.1:8090/") == "200"


def test_upgrades_lose_no_client_of_what_only_data_wake(site: Machine) -> None:
    probes = site.start("timeout", "60", "sh", "-c", "while nc -z 127.0.0.1 8090; do sleep 0.2; done")
    clients = site.start("sh", "-c", "for i in $(seq 16); do curl -s -o /dev/null -m 20 -w '%{http_code} ' "
                                     "http://127.0.0.1:8090/; sleep 1.$((i % 7)); done")
    count = 0
    while clients.poll() is None:
        site.run("apt-get", "install", "-y", "--reinstall", "/root/ondemand-data_1-1_all.deb")
        count += 1
    assert clients.communicate()[0].split() == ["200"] * 16 and count > 2
    probes.communicate()
    until_gone(site, "data")


def test_what_sleeps_paused_is_resumed_by_data_alone_and_open_connections_without_data_keep_nothing_awake(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8091/") == "200"
    paused = "until docker inspect --format '{{.State.Paused}}' ondemand-frozen | grep -q true; do sleep 0.05; done"
    site.sh(paused, timeout=30)
    assert site.run("python3", "-c", SILENT.format(8091)).stdout == "b'' 2\n"
    site.run("nc", "-z", "127.0.0.1", "8091")
    assert site.inspect("ondemand-frozen")["State"]["Paused"] and len(records(site, WOKEN, "ONDEMAND_NAME=frozen")) == 1
    assert site.get("http://127.0.0.1:8091/") == "200"
    silent = site.start("python3", "-c", SILENT.format(8091))  # is forwarded: it is awake
    site.sh(paused, timeout=30)
    silent.communicate()  # it ended with the time awake, as every open connection
    asleep(site, "frozen")


def ask(site: Machine, port: int, path: str = "/healthz") -> str:
    return site.run("curl", "-s", "--max-time", "20", f"http://127.0.0.1:{port}{path}").stdout


@pytest.mark.parametrize(("name", "port"), [("asked", 8092), ("lulled", 8093)])
def test_a_probe_in_a_loop_is_answered_asleep_wakes_nothing_and_keeps_nothing_awake(site: Machine, name: str, port: int) -> None:
    asleep(site, name)
    url = f"http://127.0.0.1:{port}/healthz"
    loop = site.start("timeout", "120", "sh", "-c", f"while curl -s --max-time 20 -o /dev/null {url}; do sleep 0.2; done")
    for _ in range(3):
        assert ask(site, port) == "asleep"
    assert site.run("curl", "-sI", url).stdout.startswith("HTTP/1.1 200 OK")
    assert not running(site, name) and not records(site, WOKEN, f"ONDEMAND_NAME={name}")
    assert ask(site, port, "/") not in ("", "asleep") and len(records(site, WOKEN, f"ONDEMAND_NAME={name}")) == 1
    if name == "lulled":
        site.sh("until docker inspect -f '{{.State.Paused}}' ondemand-lulled | grep -q true; do sleep .05; done", timeout=50)
    else:
        until_asleep(site, name)
    assert ask(site, port) == "asleep" and loop.poll() is None, "it went on until now"
    loop.terminate()
    loop.communicate()
    asleep(site, name)
    until_gone(site, name)
    probed = records(site, PROBED, f"_SYSTEMD_UNIT=ondemand-{name}.service")
    assert sum(int(one["ONDEMAND_PROBES"]) for one in probed) >= 5 and {one["ONDEMAND_CLIENT"] for one in probed} == {"127.0.0.1"}


def test_scanners_that_only_connect_wake_nothing_and_one_that_asks_what_is_served_does(site: Machine) -> None:
    need("nmap")
    asleep(site, "asked")

    def scan(*how: str) -> str:
        return subprocess.run(["nsenter", "-t", str(site.leader), "-n", "nmap", "-n", "-Pn", *how, "-p", "8092", "127.0.0.1"],
                              stdout=subprocess.PIPE, text=True, check=True).stdout

    before = len(records(site, WOKEN, "ONDEMAND_NAME=asked"))
    for how in ("-sS", "-sT"):
        assert "8092/tcp open" in scan(how)
    until_gone(site, "asked")
    assert len(records(site, WOKEN, "ONDEMAND_NAME=asked")) == before and not running(site, "asked")
    assert "8092/tcp open" in scan("-sV")  # it sends requests, which are data
    assert len(records(site, WOKEN, "ONDEMAND_NAME=asked")) > before
    until_asleep(site, "asked")


def test_clients_that_come_while_the_container_is_stopped_are_answered_by_its_next_start(site: Machine) -> None:
    for _ in range(5):
        assert site.get("http://127.0.0.1:8082/") == "200"
        stop = site.start("systemctl", "stop", "ondemand-sleepy-container")
        answers = site.clients(30, ("127.0.0.1", 8082))
        stop.wait(timeout=60)
        assert set(answers) <= {"HTTP/1.0 200 OK", "", "ConnectionResetError"}
        assert site.get("http://127.0.0.1:8082/") == "200"


def test_other_users_of_the_host_learn_nothing_and_stop_nothing(site: Machine) -> None:
    assert site.get("http://127.0.0.1/") == "200"
    script = ("import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
              "s.connect('/run/ondemand-nginx/control'); print(s.recv(100))")
    assert site.run("python3", "-c", script).stdout.startswith("b'version ")
    assert site.run("setpriv", "--reuid=65534", "--clear-groups", "python3", "-c", script).stdout == "b''\n"


def test_who_is_not_allowed_is_not_answered_and_wakes_nothing(site: Machine) -> None:
    asked = ["curl", "-s", "-o", "/dev/null", "--max-time", "2", "-w", "%{http_code}", "http://127.0.0.1:8089/"]
    assert site.run(*asked, check=False).stdout == "000" and not running(site, "guarded")
    assert site.run(*asked, "--interface", "127.0.0.2").stdout == "200"
    assert site.get("http://[::1]:8089/") == "200"
    assert site.run(*asked, check=False).stdout == "000"


def test_the_container_is_told_who_its_client_is(site: Machine) -> None:
    (line,) = site.clients(1, ("127.0.0.1", 8087), GET)
    words = line.split()
    assert words[:4] == ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1"] and words[5] == "8087"
