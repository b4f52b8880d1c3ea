"""What administrators may rely on of path = "kernel": servers see their clients, firewalls stay in charge, nothing is left."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, fresh

# Answers each connection with a line: from which address it came; goes on with each line that the client sends.
SERVER = """
import os, signal, socket, threading
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = socket.create_server(("", 80), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
def serve(client, address):
    with client:
        client.sendall((address[0].replace("::ffff:", "") + "\\n").encode())
        while True:
            data = client.recv(4096)
            if not data:
                return
            client.sendall(data)
while True:
    threading.Thread(target=serve, args=server.accept(), daemon=True).start()
"""
SITE = """
[package]
version = "{version}"

[container.seen]
image   = "servers:1"
ports   = ["8080:80", "/run/seen.sock:80"]
path    = "kernel"
command = ["-c", '''{server}''']

[container.napping]
image     = "servers:1"
ports     = ["8081:80"]
path      = "kernel"
idle      = "2s"
command   = ["-c", '''{server}''']

[container.counting]
image     = "servers:1"
ports     = ["8082:80"]
path      = "kernel"
idle      = "2s"
idle_mode = "connections"
command   = ["-c", '''{server}''']

[container.pausing]
image       = "servers:1"
ports       = ["8083:80"]
path        = "kernel"
idle        = "2s"
idle_action = "pause"
command     = ["-c", '''{server}''']

[container.six]
image       = "servers:1"
ports       = ["8085:80"]
path        = "kernel"
create_args = ["--network=six"]
command     = ["-c", '''{server}''']

[container.guarded]
image   = "servers:1"
ports   = ["8084:80"]
path    = "kernel"
allow   = ["192.0.2.2", "127.0.0.1"]
command = ["-c", '''{server}''']
"""
HOST6, CLIENT6 = "2001:db8:77::1", "2001:db8:77::2"
HOST, CLIENT, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAMES = ("seen", "napping", "counting", "pausing", "six", "guarded")
OUTSIDE = f"""
ip netns add outside
ip link add outside0 type veth peer name inside0 netns outside
ip address add {HOST}/24 dev outside0
ip link set outside0 up
ip -n outside address add {CLIENT}/24 dev inside0
ip -n outside address add {OTHER}/24 dev inside0
ip -n outside link set inside0 up
ip -n outside link set lo up
ip address add {HOST6}/64 dev outside0 nodad
ip -n outside address add {CLIENT6}/64 dev inside0 nodad
"""
# As an outside client: prints the first line of each of some connections, or the name of the error.
ASK = """
import socket, sys
host, port, count, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
for _ in range(count):
    try:
        with socket.create_connection((host, port), float(sys.argv[5]), (source, 0)) as client:
            print(client.makefile().readline().strip())
    except OSError as error:
        print(type(error).__name__)
"""
# The same, and holds the connection: echoes each line of standard input through it, and prints what comes back.
HOLD = """
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
client.settimeout(60)
lines = client.makefile()
print(lines.readline().strip(), flush=True)
for line in sys.stdin:
    try:
        client.sendall(line.encode())
        print(lines.readline().strip() or "end", flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""
# Clients one after the other until standard input ends, from many addresses' ports; prints what they got, as JSON.
STEADY = """
import asyncio, collections, json, sys
found = collections.Counter()
async def client(port):
    try:
        reader, writer = await asyncio.open_connection("192.0.2.1", port)
        found["answered" if await asyncio.wait_for(reader.readline(), 60) else "nothing"] += 1
        writer.close()
    except Exception as error:
        found[type(error).__name__] += 1
async def main():
    clients, end = [], asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print("begun", flush=True)
    while not end.done():
        clients.append(asyncio.create_task(client(int(sys.argv[1]))))
        await asyncio.sleep(0.01)
    await asyncio.gather(*clients)
asyncio.run(main())
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["trixie", "forky"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, "nft", root=True)
    with fresh(request.param) as machine:
        machine.run("docker", "network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six")
        packages = built(tmp_path_factory.mktemp("kernel"), SITE.format(version="1", server=SERVER))
        machine.apt_install(*(packages[f"deb/{name}"] for name in NAMES))
        machine.sh(OUTSIDE)
        yield machine


def ask(site: Machine, port: int, count: int = 1, source: str = CLIENT, timeout: float = 30) -> list[str]:
    """Connect from outside, one after the other; return what the clients were answered."""
    host = HOST6 if ":" in source else HOST
    return site.run("ip", "netns", "exec", "outside", "python3", "-c", ASK, host, str(port), str(count), source,
                    str(timeout)).stdout.split()


def held(site: Machine, port: int) -> subprocess.Popen[str]:
    return site.start("ip", "netns", "exec", "outside", "python3", "-u", "-c", HOLD, HOST, str(port))


def says(client: subprocess.Popen[str], line: str = "") -> str:
    """Send a line on a connection that is held; return what comes back."""
    assert client.stdin is not None and client.stdout is not None
    if line:
        client.stdin.write(line + "\n")
        client.stdin.flush()
    return client.stdout.readline().strip()


def end(client: subprocess.Popen[str]) -> None:
    client.communicate(timeout=60)


def rules(site: Machine) -> str:
    """Return every rule of the host's kernel, without counters."""
    done = subprocess.run(["nsenter", "-t", str(site.leader), "--net", "--", "nft", "--stateless", "list", "ruleset"],
                          capture_output=True, text=True, check=True)
    saved = site.sh("iptables-save; ip6tables-save")
    return re.sub(r"\[[0-9]+:[0-9]+\]|elements = {[^}]*}", "", "\n".join(
        line for line in (done.stdout + saved).splitlines() if not line.startswith("#")))


def until(site: Machine, condition: str, timeout: float = 60) -> None:
    site.sh(f"until {condition}; do sleep 0.05; done", timeout=timeout)


def kill(site: Machine, unit: str) -> None:
    """Kill the main process of a unit."""
    site.sh(f"kill -9 $(systemctl show --property=MainPID --value {unit})")


def until_over(site: Machine, unit: str) -> None:
    """Wait until nothing of a unit runs any more, ExecStopPost= neither."""
    until(site, f"systemctl show --property=ActiveState --value {unit} | grep -Eqx 'inactive|failed'")


def is_led(site: Machine, name: str) -> bool:
    return f"table inet ondemand-{name} " in rules(site)


def until_led(site: Machine, name: str, port: int, source: str = CLIENT) -> None:
    """Wait until a client's connections go past the relay."""
    deadline = time.monotonic() + 30
    while ask(site, port, source=source) != [source]:
        assert time.monotonic() < deadline, site.journal(f"ondemand-kernel@{name}.service")


def test_the_server_sees_its_clients_and_the_relay_has_the_first_connection(site: Machine) -> None:
    first = ask(site, 8080)
    assert first[0].startswith("172."), "the relay's address"
    until_led(site, "seen", 8080)
    assert set(ask(site, 8080, 20)) == {CLIENT}
    other = ask(site, 8080, source=OTHER)
    assert other[0].startswith("172."), "each address has its own first connection"


def test_clients_of_ipv6_are_seen_too_where_the_container_has_such_an_address(site: Machine) -> None:
    until_led(site, "six", 8085)
    until_led(site, "six", 8085, CLIENT6)
    assert set(ask(site, 8085, 5, CLIENT6)) == {CLIENT6} and set(ask(site, 8085, 5)) == {CLIENT}
    until_led(site, "seen", 8080)
    assert all(seen.startswith("172.") for seen in ask(site, 8080, 3, CLIENT6)), "IPv6 to a container of IPv4 is the relay's"


def test_the_host_itself_its_unix_sockets_and_containers_are_served_as_before(site: Machine) -> None:
    until_led(site, "seen", 8080)
    for client in ("nc -w 5 127.0.0.1 8080", f"nc -w 5 {HOST} 8080", "nc -w 5 -U /run/seen.sock"):
        assert site.sh(f"{client} < /dev/null").startswith("172."), client
    script = f'import socket; print(socket.create_connection(("{HOST}", 8080), 10).makefile().readline())'
    for _ in range(3):
        assert site.run("docker", "run", "--rm", "servers:1", "-c", script).stdout.startswith("172.")


def test_the_helper_has_one_capability_and_its_exposure_is_low(site: Machine) -> None:
    said = site.sh("systemd-analyze security --no-pager ondemand-kernel@seen.service | tail -1")
    assert float(said.split("service:")[1].split()[0]) < 2.0, said
    pid = site.sh("systemctl show --property=MainPID --value ondemand-kernel@seen.service").strip()
    assert site.sh(f"grep CapEff /proc/{pid}/status").split()[1].lstrip("0") == "1000", "CAP_NET_ADMIN"


def test_a_helper_that_is_killed_leaves_no_rule_and_the_next_one_goes_on(site: Machine) -> None:
    until_led(site, "seen", 8080)
    site.run("systemctl", "stop", "ondemand-kernel@seen.service")
    before = rules(site)
    assert "ondemand-seen" not in before
    until_led(site, "seen", 8080)
    assert rules(site) != before
    client = held(site, 8080)
    assert says(client) == CLIENT
    kill(site, "ondemand-kernel@seen.service")
    until_over(site, "ondemand-kernel@seen.service")  # the relay calls the next one in some seconds
    assert rules(site) == before
    assert ask(site, 8080)[0].startswith("172.")
    assert says(client, "still here") == "still here", "a connection outlives the rules"
    until_led(site, "seen", 8080)
    end(client)
    kill(site, "ondemand-seen.service")
    deadline = time.monotonic() + 30
    while rules(site) != before:  # nobody says any more whom the relay has accepted
        assert time.monotonic() < deadline, rules(site)
    assert ask(site, 8080)[0].startswith("172.")
    until_led(site, "seen", 8080)
    kill(site, "ondemand-seen-container.service")
    until_over(site, "ondemand-kernel@seen.service")
    assert "ondemand-seen" not in rules(site)  # the container ends too, and with it rules of Docker's own
    until_led(site, "seen", 8080)


def test_a_service_with_a_connection_that_says_nothing_sleeps_or_not_as_declared(site: Machine) -> None:
    until_led(site, "counting", 8082)
    counted = held(site, 8082)
    assert says(counted) == CLIENT
    until_led(site, "napping", 8081)
    quiet = held(site, 8081)
    assert says(quiet) == CLIENT
    for _ in range(10):  # for longer than idle, something moves
        assert says(quiet, "on") == "on"
        time.sleep(0.4)
    assert site.sh("systemctl is-active ondemand-napping-container").strip() == "active"
    until(site, "! systemctl --quiet is-active ondemand-napping-container")
    assert not is_led(site, "napping")
    assert site.sh("systemctl is-active ondemand-counting-container").strip() == "active"
    end(counted)
    until(site, "! systemctl --quiet is-active ondemand-counting-container")
    end(quiet)


def test_a_connection_to_what_is_paused_ends_and_the_next_one_wakes(site: Machine) -> None:
    until_led(site, "pausing", 8083)
    client = held(site, 8083)
    assert says(client) == CLIENT
    until(site, "docker inspect --format '{{.State.Paused}}' ondemand-pausing | grep -q true")
    assert not is_led(site, "pausing")
    assert says(client, "hello") in ("ConnectionResetError", "BrokenPipeError", "end")
    end(client)
    assert ask(site, 8083)[0].startswith("172.")
    until_led(site, "pausing", 8083)


def test_allow_holds_there_too(site: Machine) -> None:
    until_led(site, "guarded", 8084)
    assert site.sh(f"ip netns exec outside timeout 3 nc -s {OTHER} {HOST} 8084 < /dev/null", check=False) == ""


def test_a_firewall_that_closes_is_obeyed_within_a_minute(site: Machine) -> None:
    until_led(site, "seen", 8080)
    site.run("iptables", "--insert", "INPUT", "--source", CLIENT, "--protocol", "tcp", "--dport", "8080", "--jump", "REJECT")
    try:
        begin = time.monotonic()
        while ask(site, 8080) == [CLIENT]:
            assert time.monotonic() - begin < 65
        assert set(ask(site, 8080, 3)) == {"ConnectionRefusedError"}
    finally:
        site.run("iptables", "--delete", "INPUT", "--source", CLIENT, "--protocol", "tcp", "--dport", "8080", "--jump", "REJECT")
    assert ask(site, 8080)[0].startswith("172.")


def steady(site: Machine, port: int) -> subprocess.Popen[str]:
    clients = site.start("ip", "netns", "exec", "outside", "python3", "-c", STEADY, str(port))
    assert clients.stdout is not None and clients.stdout.readline() == "begun\n"
    return clients


def test_no_client_is_lost_while_it_is_woken_and_stopped(site: Machine) -> None:
    clients = steady(site, 8080)
    for _ in range(10):
        until_led(site, "seen", 8080)
        site.run("systemctl", "stop", "ondemand-seen-container.service", check=False)  # a client cancels it after the stop
    found = json.loads(clients.communicate(timeout=120)[0])
    assert found.keys() == {"answered"} and found["answered"] > 100, found


def test_no_client_is_lost_at_an_upgrade(site: Machine, tmp_path_factory: pytest.TempPathFactory) -> None:
    clients = steady(site, 8080)
    for version in ("2", "3"):
        until_led(site, "seen", 8080)
        text = SITE.format(version=version, server=SERVER).replace("path    =", f'env = {{ V = "{version}" }}\npath    =', 1)
        site.apt_install(built(tmp_path_factory.mktemp("next"), text)["deb/seen"])
    until_led(site, "seen", 8080)
    found = json.loads(clients.communicate(timeout=120)[0])
    assert found.keys() == {"answered"} and found["answered"] > 100, found


def test_without_dockers_door_the_relay_serves_and_the_journal_says_why(site: Machine) -> None:
    site.run("systemctl", "stop", "ondemand-counting.service", "ondemand-counting-container.service")
    site.sh("iptables -D FORWARD -j DOCKER-USER; iptables -F DOCKER-USER; iptables -E DOCKER-USER MISSING")
    try:
        assert ask(site, 8082)[0].startswith("172.")
        until(site, "journalctl --unit ondemand-kernel@counting | grep -q 'the relay forwards all connections'")
        assert all(seen.startswith("172.") for seen in ask(site, 8082, 5))
    finally:
        site.sh("iptables -E MISSING DOCKER-USER; iptables -I FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN")
    said = site.journal("ondemand-kernel@counting.service")
    assert said.count("Docker has no chain DOCKER-USER") == 1


def test_where_packets_are_dropped_all_the_same_the_relay_serves(site: Machine) -> None:
    until_led(site, "guarded", 8084)
    site.run("iptables", "--insert", "FORWARD", "--protocol", "tcp", "--dport", "80", "--jump", "DROP")
    try:
        assert ask(site, 8084)[0].startswith("172."), "it asks again by itself, and the relay has it"
    finally:
        site.run("iptables", "--delete", "FORWARD", "--protocol", "tcp", "--dport", "80", "--jump", "DROP")
    assert "a firewall drops what is forwarded" in site.journal("ondemand-kernel@guarded.service")


def test_a_removal_leaves_nothing(site: Machine) -> None:
    until_led(site, "seen", 8080)
    site.run("apt-get", "purge", "-y", *(f"ondemand-{name}" for name in NAMES))
    assert "ondemand" not in rules(site)
    assert site.sh("systemctl list-units --all --plain --no-legend 'ondemand-*'; ls -d /run/ondemand* || :") == ""
