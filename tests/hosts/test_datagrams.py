"""Services that speak UDP, woken by their first datagram."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .conftest import built
from .machine import Machine

# Answers each datagram with what it was and from whom it came; on the port of TCP with a line.  $CHATTY: tells each client more.
ECHO = """
import os, signal, socket, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
time.sleep(float(os.environ.get("DELAY", "0")))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 53))
tcp = socket.create_server(("", 80))
def greet():
    while True:
        tcp.accept()[0].sendall(b"hello\\n")
threading.Thread(target=greet, daemon=True).start()
clients = set()
def chat():
    while True:
        for client in list(clients):
            udp.sendto(b"more", client)
        time.sleep(0.2)
if os.environ.get("CHATTY"):
    threading.Thread(target=chat, daemon=True).start()
while True:
    data, client = udp.recvfrom(65536)
    clients.add(client)
    udp.sendto(data + b" " + str(client[1]).encode(), client)
"""
READY = '{ udp = { send = "3f", expect = "3f20" } }'
SITE = f"""
[package]
version = "1"

[container.echo]
image   = "servers:1"
ports   = ["27015:53/udp"]
command = ["-c", '''{ECHO}''']
ready   = {READY}
env     = {{ DELAY = "1" }}

[container.both]
image   = "servers:1"
ports   = ["27016:80", "27016:53/udp", "/run/both.sock:80"]
command = ["-c", '''{ECHO}''']

[container.chatty]
image   = "servers:1"
ports   = ["27017:53/udp"]
command = ["-c", '''{ECHO}''']
ready   = {READY}
idle    = "2s"
env     = {{ CHATTY = "1" }}

[container.broken]
image   = "servers:1"
ports   = ["27018:53/udp"]
command = ["/servers/exits.py", "3"]
ready   = {READY}

[container.allowed]
image   = "servers:1"
ports   = ["27019:53/udp"]
command = ["-c", '''{ECHO}''']
ready   = {READY}
allow   = ["10.99.0.1"]

[container.counted]
image   = "servers:1"
ports   = ["27020:53/udp"]
command = ["-c", '''{ECHO}''']
ready   = {READY}
idle    = "1s"
wake_on = {{ datagrams = 3, within = "5s" }}
"""

# N clients at once, each sends some datagrams to an address; prints what each got first and from where, as JSON.
CLIENTS = r"""
import json, select, socket, sys, time
count, each, host, port, limit = json.loads(sys.argv[1])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
for one in sockets:
    for number in range(each):
        one.sendto(b"%d" % number, (host, port))
answers = {one.fileno(): [] for one in sockets}
poll = select.poll()
for one in sockets:
    poll.register(one, select.POLLIN)
by_number = {one.fileno(): one for one in sockets}
deadline = time.monotonic() + limit
while time.monotonic() < deadline and any(len(found) < each for found in answers.values()):
    for number, _ in poll.poll(100):
        data, sender = by_number[number].recvfrom(65536)
        answers[number].append((data.decode().split()[0], sender[0], data.decode().split()[1:]))
print(json.dumps(list(answers.values())))
"""


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    packages = built(tmp_path_factory.mktemp("site"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    host.sh("ip link add multi type veth peer name other; ip link set other up; ip addr add 10.99.0.1/24 dev multi; "
            "ip addr add 10.99.0.2/24 dev multi; ip addr add fd00:99::2/64 dev multi nodad; ip link set multi up")
    yield host


def asleep(machine: Machine, name: str) -> None:
    machine.run("systemctl", "stop", f"ondemand-{name}-container.service")
    machine.sh(f"while systemctl is-active -q ondemand-{name}.service; do sleep 0.05; done", timeout=30)


def ask(machine: Machine, port: int, host: str = "127.0.0.1", count: int = 1, each: int = 1, limit: float = 30,
        ) -> list[list[tuple[str, str, list[str]]]]:
    script = 'ulimit -n "$(ulimit -Hn)"; exec python3 -c "$0" "$1"'
    done = machine.run("sh", "-c", script, CLIENTS, json.dumps([count, each, host, port, limit]), timeout=limit + 60)
    found: list[list[tuple[str, str, list[str]]]] = json.loads(done.stdout)
    return found


def test_the_first_datagram_wakes_and_is_answered(site: Machine) -> None:
    asleep(site, "echo")
    ((answer,),) = ask(site, 27015)
    assert answer[0] == "0"


def test_five_hundred_clients_at_once_during_a_cold_start_are_all_answered(site: Machine) -> None:
    asleep(site, "echo")
    assert [[one[0] for one in answers] for answers in ask(site, 27015, count=500)] == [["0"]] * 500


def test_what_a_client_sends_during_a_cold_start_comes_in_order(site: Machine) -> None:
    asleep(site, "echo")
    for answers in ask(site, 27015, count=4, each=40):
        assert [one[0] for one in answers] == [str(number) for number in range(40)]


@pytest.mark.parametrize("address", ["10.99.0.1", "10.99.0.2", "127.0.0.5", "fd00:99::2", "::1"])
def test_an_answer_leaves_from_the_address_that_was_asked(site: Machine, address: str) -> None:
    ((answer,),) = ask(site, 27015, address)
    assert answer[1] == address


def test_datagrams_connections_and_a_unix_socket_lead_to_one_container(site: Machine) -> None:
    for _ in range(2):
        asleep(site, "both")
        assert ask(site, 27016)[0][0][0] == "0"
        assert site.clients(1, ("127.0.0.1", 27016), "") == ["hello\n"]
        assert site.clients(1, "/run/both.sock", "") == ["hello\n"]
    asleep(site, "both")
    assert site.clients(1, ("127.0.0.1", 27016), "") == ["hello\n"]


def test_a_server_that_talks_by_itself_does_not_keep_itself_awake(site: Machine) -> None:
    assert ask(site, 27017)[0][0][0] == "0"
    site.sh("while systemctl is-active -q ondemand-chatty-container.service; do sleep 0.1; done", timeout=20)


def test_a_start_that_fails_leaves_no_datagrams_that_start_it_again(site: Machine) -> None:
    ask(site, 27018, count=50, limit=1)
    site.sh("while systemctl is-active -q ondemand-broken.service; do sleep 0.1; done", timeout=60)
    starts = site.journal("ondemand-broken-container").count("the container exited")
    site.sh("sleep 2")
    assert starts in (1, 2)
    assert site.journal("ondemand-broken-container").count("the container exited") == starts
    assert site.sh("systemctl is-active ondemand-broken.socket") == "active\n"


def test_only_who_is_allowed_wakes_and_is_answered(site: Machine) -> None:
    assert ask(site, 27019, limit=1) == [[]]
    assert site.run("systemctl", "is-active", "ondemand-allowed-container.service", check=False).stdout == "inactive\n"
    assert ask(site, 27019, "10.99.0.1")[0][0][0] == "0"


def test_so_many_datagrams_of_one_client_wake_and_fewer_do_not(site: Machine) -> None:
    gone = "until [ $(systemctl is-active ondemand-counted) = inactive ]; do sleep 0.05; done"
    asleep(site, "counted")
    site.sh(gone, timeout=60)
    assert ask(site, 27020, count=5, each=2, limit=1) == [[]] * 5
    assert site.sh("systemctl is-active ondemand-counted || true") == "active\n", "it waits for more"
    site.sh(gone, timeout=60)
    assert not site.inspect("ondemand-counted")["State"]["Running"]
    text = site.run("journalctl", "-u", "ondemand-counted.service", "-o", "cat").stdout
    assert "5 clients sent too few datagrams, the last from 127.0.0.1; nothing was woken" in text
    (found,) = ask(site, 27020, each=3)
    assert [one[0] for one in found] == ["0", "1", "2"], "none of them is lost"
    site.sh("until [ $(systemctl is-active ondemand-counted-container) = inactive ]; do sleep 0.05; done", timeout=60)
