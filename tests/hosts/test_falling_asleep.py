"""Who comes in the moment in which a container falls asleep, is stopped, or fails in a way nobody has thought of, is answered or
reset at once, on every suite."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from requirements import need

from . import falling_asleep
from .conftest import TOOLS, built
from .machine import Machine, fresh
from .roots import SUITES

STOPS, NAPS = (8021, 8022), (8023, 8024)
CYCLES = 10  # of each of the four services
LONGEST = 20.0  # seconds: a wake takes one or two, and the machine may be busy; a client that is lost waits much longer

# Answers before it is asked, and lets nobody wait that has reached it when it is told to stop.
GREETER = r"""
import signal, socket, sys, time
ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
time.sleep(0.3)
listener = socket.create_server(("", 80), backlog=128)
listener.settimeout(0.05)
while True:
    try:
        connection, _ = listener.accept()
    except socket.timeout:
        if ends:
            break
        continue
    try:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        connection.recv(100)
    except OSError:
        pass  # who only looks whether it listens
    connection.close()
"""
SITE = "[package]\nversion = '1'\n" + "".join(f"""
[container.{action}{number}]
image       = "servers:1"
ports       = ["{port}:80"]
idle        = "1s"
idle_action = "{action}"
""" for action, ports in (("stop", STOPS), ("pause", NAPS)) for number, port in enumerate(ports)) + f"""
[container.greeter]
image       = "servers:1"
ports       = ["8025:80"]
command     = ["-c", '''{GREETER}''']
stop_timeout = "2s"

[container.plain]
image       = "servers:1"
ports       = ["8026:80"]

[container.large]
image       = "servers:1"
ports       = ["8027:80"]
volumes     = ["large:/usr/share"]  # all of it is copied into the volume when the container is made
"""
LATE = "/run/systemd/system/containerd.service.d/late.conf"
ENGINE_PATIENCE = 100.0  # seconds: an engine that has lost containerd waits for it, and for the end of each container, twice 10


@pytest.fixture(scope="module", params=SUITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    packages = built(tmp_path_factory.mktemp("asleep"), SITE)
    with fresh(request.param) as machine:
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        yield machine


def seeded(name: str) -> random.Random:
    seed = time.time_ns() % 2**32
    print(f"seed of {name}: {seed}")
    return random.Random(seed)


def test_no_client_is_lost_in_the_moment_in_which_a_container_falls_asleep(site: Machine) -> None:
    chance = seeded("the clients' moments")
    for seen in falling_asleep.cycles(site, [*STOPS, *NAPS], CYCLES, chance.randrange(2**32)):
        print(seen)
        assert seen.answers == {"200 OK": 1 + CYCLES * falling_asleep.CLIENTS} and seen.longest < LONGEST
    assert "ondemand-stop0" in site.sh("docker ps -a --format '{{.Names}} {{.Status}}'")


def test_eight_clients_are_answered_when_both_services_are_stopped_under_them(site: Machine) -> None:
    chance = seeded("the stops")
    with ThreadPoolExecutor() as pool:
        for _ in range(10):
            clients = pool.submit(site.timed_clients, 8, ("127.0.0.1", 8025), "", 60)
            time.sleep(chance.uniform(0.2, 2.0))
            # Clients that wait start both again, which systemctl calls a job that was canceled.
            site.sh("systemctl stop ondemand-greeter.service ondemand-greeter-container.service", check=False)
            found = clients.result()
            assert [answer for answer, _ in found] == ["hello"] * 8, found
            site.sh("systemctl stop ondemand-greeter.service ondemand-greeter-container.service", check=False)


@pytest.mark.parametrize("command", ["docker kill", "docker stop --time 1", "docker restart --time 1", "docker rm --force"])
def test_a_container_that_ends_by_hand_just_after_it_woke_wakes_for_the_next_client_at_once(site: Machine, command: str) -> None:
    for _ in range(3):
        assert site.get("http://127.0.0.1:8026/") == "200"
        site.sh(f"{command} ondemand-plain")
        assert site.clients(8, ("127.0.0.1", 8026)) == ["HTTP/1.0 200 OK"] * 8
    assert "the wake failed" not in site.journal("ondemand-plain-container")


def test_a_container_that_was_renamed_while_it_was_awake_falls_asleep_and_another_one_wakes(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8021/") == "200"
    site.sh("docker rename ondemand-stop0 elsewhere")
    site.sh("until [ $(docker inspect -f '{{.State.Status}}' elsewhere) = exited ]; do sleep 0.1; done", timeout=60)
    assert site.clients(8, ("127.0.0.1", 8021)) == ["HTTP/1.0 200 OK"] * 8
    site.run("docker", "rm", "elsewhere")


@pytest.fixture
def late_containerd(site: Machine) -> Iterator[None]:
    """Let containerd be away for 12 seconds where it is killed."""
    site.write(LATE, "[Service]\nRestartSec=12\n")
    site.sh("systemctl daemon-reload")
    yield
    site.sh(f"rm {LATE}; systemctl daemon-reload; systemctl start containerd docker")


@pytest.mark.usefixtures("late_containerd")
def test_containers_that_fall_asleep_while_containerd_is_away_end_and_wake_for_the_next_client(site: Machine) -> None:
    units = "ondemand-stop0-container ondemand-pause0-container"
    said = site.sh(f"""
        for port in 8021 8023; do curl -sS -o /dev/null -w '%{{http_code}}\n' http://127.0.0.1:$port/ & done; wait
        kill -9 $(systemctl show -P MainPID containerd); systemctl is-active {units}
        sleep 3; systemctl is-active containerd
    """, check=False)
    assert said.split() == ["200", "200", "active", "active", "activating"], "idle for three times as long as that takes"
    with ThreadPoolExecutor() as pool:
        held = [pool.submit(site.clients, 4, ("127.0.0.1", port), limit=ENGINE_PATIENCE) for port in (8021, 8023)]
        assert [clients.result() for clients in held] == [["HTTP/1.0 200 OK"] * 4] * 2
    for name in ("stop0", "pause0"):
        site.sh(f"while docker ps --filter name={name} --filter status=running | grep -q {name}; do sleep 0.1; done", timeout=60)
    for port in (8021, 8023):
        assert site.clients(4, ("127.0.0.1", port), limit=LONGEST) == ["HTTP/1.0 200 OK"] * 4


@pytest.mark.parametrize("how", ["systemctl restart docker.service", "systemctl kill --signal=KILL docker.service"],
                         ids=["restart", "kill"])
def test_clients_are_held_while_the_engine_restarts_over_making_the_container(site: Machine, how: str) -> None:
    site.sh("systemctl stop ondemand-large-container; docker rm -f ondemand-large ondemand-large.next; docker volume rm large; "
            "rm -rf /var/lib/ondemand/volumes/large; systemctl reset-failed docker.service docker.socket", check=False)
    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(site.clients, 50, ("127.0.0.1", 8027), limit=90)
        site.sh(f"until pgrep -f 'create --name=ondemand-large' && [ -n \"$(find /var/lib/docker/volumes/large/_data -mindepth 2 "
                f"-print -quit 2>/dev/null)\" ]; do sleep 0.02; done; {how}", timeout=60)
        assert outcomes.result() == ["HTTP/1.0 200 OK"] * 50
    if "KILL" in how:  # else it may make the container before it ends
        assert "the engine went away while the container was starting" in site.journal("ondemand-large-container")


def is_reset(answers: list[str]) -> bool:
    return set(answers) <= {"", "ConnectionResetError"}


@pytest.mark.parametrize(("cause", "gone", "reason"), [
    ("cd /etc/ondemand; mv plain.env plain.kept; mkdir plain.env", "cd /etc/ondemand; rmdir plain.env; mv plain.kept plain.env",
     "/etc/ondemand/plain.env is not a regular file"),
    ("mkdir -p /run/systemd/system/ondemand-plain-container.service.d; cd /run/systemd/system/*plain-container.service.d; "
     "printf '[Service]\\nLimitNOFILE=7\\n' >few.conf; systemctl daemon-reload",
     "rm -r /run/systemd/system/ondemand-plain-container.service.d; systemctl daemon-reload", "Too many open files"),
    ("mv /usr/libexec/ondemand-plain/run_life.py /root", "mv /root/run_life.py /usr/libexec/ondemand-plain", "run_life"),
], ids=["no file", "few files", "a helper that can't be loaded"])
def test_whatever_goes_wrong_in_a_start_resets_clients_at_once_until_the_cause_is_gone(
    site: Machine, cause: str, gone: str, reason: str,
) -> None:
    site.sh("systemctl stop ondemand-plain-container")
    site.sh(cause)
    try:
        for _ in range(3):
            found = site.timed_clients(20, ("127.0.0.1", 8026), limit=60)
            assert is_reset([answer for answer, _ in found]) and max(seconds for _, seconds in found) < LONGEST, found
        assert reason in site.journal("ondemand-plain-container")
    finally:
        site.sh(gone)
    site.until_answered("http://127.0.0.1:8026/")
