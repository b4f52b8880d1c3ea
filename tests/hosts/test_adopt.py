"""What administrators may rely on of services that were there before their package, by apt and dnf."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import built, manager_on
from .machine import Failed
from .managers import Manager

SITE = """
[package]
version = "{version}"

[adopt.plain]
unit  = "plain.service"
ports = ["8181:8180"]
idle  = "1s"

[adopt.guest]
unit  = "guest@one.service"
ports = ["8182:80", "/run/guest.sock:80"]
idle  = "1s"

[adopt.nobody]
unit  = "not-there.service"
ports = ["8183:80"]
"""
# Python's own server lets five clients wait; others would be silent for longer than the idle time.
SERVER = ("import functools as f, http.server as h; h.ThreadingHTTPServer.request_queue_size = 1024; "
          "h.test(f.partial(h.SimpleHTTPRequestHandler, directory='/usr/share/doc'), h.ThreadingHTTPServer, port=80)")
UNITS = {
    "plain.service": """
[Service]
ExecStart=python3 -m http.server --bind 127.0.0.1 --directory /usr/share/doc 8180
[Install]
WantedBy=multi-user.target
""",
    # In a network of its own, as a container of LXC or nspawn.
    "guest@.service": f"""
[Service]
ExecStartPre=-ip netns delete guest
ExecStartPre=ip netns add guest
ExecStartPre=ip link add host0 type veth peer name guest0 netns guest
ExecStartPre=ip address add 10.99.0.1/24 dev host0
ExecStartPre=ip link set host0 up
ExecStartPre=ip -n guest address add 10.99.0.2/24 dev guest0
ExecStartPre=ip -n guest link set guest0 up
ExecStartPre=ip -n guest link set lo up
ExecStart=ip netns exec guest python3 -c "{SERVER}"
ExecStopPost=ip netns delete guest
""",
}
UNTIL_FROZEN = "until systemctl show --property=FreezerState plain.service | grep -q =frozen; do sleep 0.05; done"
manager = manager_on("bullseye-deb", "trixie-rpm")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    return {version: built(tmp_path_factory.mktemp("adopt"), SITE.format(version=version)) for version in ("1", "2")}


@pytest.fixture(scope="module")
def site(manager: Manager, packages: dict[str, dict[str, Path]]) -> Iterator[Manager]:
    for name, text in UNITS.items():
        manager.machine.write(f"/etc/systemd/system/{name}", text)
    manager.machine.run("systemctl", "daemon-reload")
    manager.install(*(packages["1"][f"{manager.kind}/{name}"] for name in ("plain", "guest")))
    yield manager


def is_active(manager: Manager, unit: str) -> bool:
    return manager.machine.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"


def fetch(manager: Manager, *where: str) -> str:
    return manager.machine.run("curl", "--silent", "--show-error", "--fail", "--max-time", "60", *where).stdout


def until_asleep(manager: Manager, unit: str, name: str) -> None:
    for one in (unit, f"ondemand-{name}", f"ondemand-{name}-container"):
        manager.machine.sh(f"until systemctl is-active {one} | grep -q 'inactive\\|failed'; do sleep 0.05; done", timeout=60)


def life(manager: Manager, unit: str) -> str:
    return manager.machine.run("systemctl", "show", "--property=InvocationID,MainPID", unit).stdout


def held(manager: Manager, host: str, port: int) -> subprocess.Popen[str]:
    """Open a connection and keep it open, silent, until the process that is returned reads a line."""
    client = manager.machine.start("python3", "-c", f"import socket; c = socket.create_connection(('{host}', {port}), 10); "
                                   "print('connected', flush=True); input()")
    assert client.stdout is not None and client.stdout.readline() == "connected\n"
    return client


@pytest.mark.parametrize(("unit", "name", "where"), [
    ("plain.service", "plain", ["http://127.0.0.1:8181/"]), ("guest@one.service", "guest", ["http://127.0.0.1:8182/"]),
    ("guest@one.service", "guest", ["--unix-socket", "/run/guest.sock", "http://localhost/"])])
def test_the_first_connection_starts_the_unit_and_without_traffic_it_is_stopped(
    site: Manager, unit: str, name: str, where: list[str],
) -> None:
    assert not is_active(site, unit)
    assert "Directory listing" in fetch(site, *where)
    assert is_active(site, unit)
    until_asleep(site, unit, name)
    assert "Directory listing" in fetch(site, *where)
    until_asleep(site, unit, name)


def test_found_running_it_is_used_as_it_is_and_sleeps_after_its_first_connection(site: Manager) -> None:
    site.machine.run("systemctl", "start", "plain.service")
    site.machine.sh("until curl --silent 127.0.0.1:8180 >/dev/null; do sleep 0.05; done", timeout=60)
    before = life(site, "plain.service")
    assert "Directory listing" in fetch(site, "http://127.0.0.1:8181/")
    assert life(site, "plain.service") == before
    until_asleep(site, "plain.service", "plain")


@pytest.mark.parametrize(("unit", "name", "port", "place"), [
    ("plain.service", "plain", 8181, ("127.0.0.1", 8180)), ("guest@one.service", "guest", 8182, ("10.99.0.2", 80))])
def test_who_does_not_come_through_the_package_keeps_it_awake_too(
    site: Manager, unit: str, name: str, port: int, place: tuple[str, int],
) -> None:
    fetch(site, f"http://127.0.0.1:{port}/")
    other = held(site, *place)
    try:
        before = life(site, unit)
        site.machine.sh("sleep 4")  # more than twice its idle time
        assert is_active(site, unit) and life(site, unit) == before
    finally:
        other.communicate("\n")
    until_asleep(site, unit, name)


def test_a_connection_through_the_package_that_is_open_and_silent_does_not(site: Manager) -> None:
    client = site.machine.start("python3", "-c", "import socket; c = socket.create_connection(('127.0.0.1', 8181)); "
                                "c.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); c.recv(1); print(flush=True); input()")
    assert client.stdout is not None and client.stdout.readline()
    until_asleep(site, "plain.service", "plain")
    client.communicate("\n")


def test_killed_by_hand_it_is_started_again_by_the_next_client(site: Manager) -> None:
    fetch(site, "http://127.0.0.1:8181/")
    # A server that is about to die may still take a connection, which ends with it.
    site.machine.sh("server=$(systemctl show --property=MainPID --value plain.service); kill -KILL $server; "
                    "while kill -0 $server 2>/dev/null; do sleep 0.01; done")
    assert "Directory listing" in fetch(site, "http://127.0.0.1:8181/")
    until_asleep(site, "plain.service", "plain")


def test_clients_that_come_during_the_start_are_all_answered(site: Manager) -> None:
    said = site.machine.sh("seq 200 | xargs -P 200 -I{} curl --silent --max-time 60 --output /dev/null "
                           "--write-out '%{http_code}\\n' 127.0.0.1:8182 | sort | uniq -c", timeout=300)
    assert said.split() == ["200", "200"]
    until_asleep(site, "guest@one.service", "guest")


def test_an_upgrade_leaves_it_running_and_a_removal_leaves_it_as_it_is(
    site: Manager, packages: dict[str, dict[str, Path]],
) -> None:
    fetch(site, "http://127.0.0.1:8181/")
    client = held(site, "127.0.0.1", 8180)
    before = life(site, "plain.service")
    site.install(packages["2"][f"{site.kind}/plain"])
    assert is_active(site, "plain.service") and life(site, "plain.service") == before
    assert "Directory listing" in fetch(site, "http://127.0.0.1:8181/")
    site.purge("ondemand-plain")
    client.communicate("\n")
    assert is_active(site, "plain.service") and life(site, "plain.service") == before
    left = site.machine.sh("ls -d /run/ondemand-plain /usr/libexec/ondemand-plain /etc/ondemand/plain* /var/lib/ondemand/plain* "
                           "2>/dev/null; systemctl list-units --all --no-legend 'ondemand-plain*'", check=False)
    assert left.strip() == ""
    site.machine.run("systemctl", "stop", "plain.service")


def test_removed_while_it_sleeps_it_stays_stopped(site: Manager) -> None:
    until_asleep(site, "guest@one.service", "guest")
    site.remove("ondemand-guest")
    assert not is_active(site, "guest@one.service")
    assert site.machine.run("systemctl", "cat", "guest@one.service").returncode == 0


def test_a_unit_that_is_not_there_is_told_at_the_installation_and_at_the_wake(
    site: Manager, packages: dict[str, dict[str, Path]],
) -> None:
    said = site.install(packages["1"][f"{site.kind}/nobody"])
    reason = "the unit not-there.service does not exist on this host; install what brings it, or declare another 'unit'"
    assert reason in said
    with pytest.raises(Failed, match="curl"):
        fetch(site, "http://127.0.0.1:8183/")
    assert reason in site.machine.journal("ondemand-nobody-container")
    site.remove("ondemand-nobody")


def test_one_that_is_enabled_is_told_with_the_remedy(site: Manager, packages: dict[str, dict[str, Path]]) -> None:
    site.machine.run("systemctl", "enable", "plain.service")
    assert "run 'systemctl disable plain.service'" in site.install(packages["1"][f"{site.kind}/plain"])
    assert site.machine.run("systemctl", "is-enabled", "plain.service").stdout.strip() == "enabled"
    site.remove("ondemand-plain")


def pauses(manager: Manager) -> bool:
    """Return whether systemd can freeze units here: it can't without cgroups v2."""
    try:
        manager.machine.run("systemctl", "start", "plain.service")
        manager.machine.run("systemctl", "freeze", "plain.service")
        manager.machine.run("systemctl", "thaw", "plain.service")
    except Failed as error:
        assert "systemctl freeze" in str(error)
        return False
    finally:
        manager.machine.run("systemctl", "stop", "plain.service")
    return True


def test_paused_it_sleeps_with_its_memory_and_is_resumed_by_a_client(site: Manager, tmp_path: Path) -> None:
    paused = SITE.format(version="3").replace('idle  = "1s"', 'idle  = "1s"\nidle_action = "pause"', 1)
    site.install(built(tmp_path, paused)[f"{site.kind}/plain"])
    fetch(site, "http://127.0.0.1:8181/")
    if not pauses(site):
        until_asleep(site, "plain.service", "plain")
        assert "can't be paused" in site.machine.journal("ondemand-plain-container")
    else:
        fetch(site, "http://127.0.0.1:8181/")
        before = life(site, "plain.service")
        site.machine.sh(UNTIL_FROZEN, timeout=60)
        assert "Directory listing" in fetch(site, "http://127.0.0.1:8181/")
        assert life(site, "plain.service") == before
        site.machine.sh(UNTIL_FROZEN, timeout=60)
        site.remove("ondemand-plain")
        assert is_active(site, "plain.service") and "=running" in site.machine.run(
            "systemctl", "show", "--property=FreezerState", "plain.service").stdout
