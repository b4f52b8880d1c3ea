"""A container in the network of another one, a VPN gateway: whatever happens to that, nothing leaves but through its tunnel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, fresh

OUTSIDE = "203.0.113.9"  # where the members send; nobody has that address
# Makes a tunnel, which ends with this process, as the only way out, and counts what comes to its end.
VPN = r"""
import fcntl, os, signal, socket, struct, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if os.path.exists("/shared/broken"):
    sys.exit("no tunnel")
time.sleep(1)  # until then everything leaves by the engine's bridge
tunnel = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tunnel, 0x400454ca, struct.pack("16sH", b"tun0", 0x1001))
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def address(text):
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))
for request, text in ((0x8916, "10.8.0.1"), (0x891c, "255.255.255.0")):
    fcntl.ioctl(control, request, struct.pack("16s16s", b"tun0", address(text)))
fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"tun0", 0x41))
def route(request, gateway, flags):
    fcntl.ioctl(control, request, struct.pack("L16s16s16sHhLPhPLLH", 0, address("0.0.0.0"), address(gateway), address("0.0.0.0"),
                                              flags, 0, 0, 0, 0, 0, 0, 0, 0))
route(0x890C, "0.0.0.0", 1)
route(0x890B, "10.8.0.2", 3)
print("tunnel is up", os.environ["VERSION"], flush=True)
count = 0
while True:
    if socket.inet_aton("203.0.113.9") in os.read(tunnel, 2048):
        count += 1
        with open("/shared/through.new", "w") as told:
            told.write(str(count))
        os.rename("/shared/through.new", "/shared/through")
"""
# Sends without a pause, and answers.
MEMBER = r"""
import os, signal, socket, threading
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def send():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            sender.sendto(b"secret", ("203.0.113.9", 9))
        except OSError:
            pass
        threading.Event().wait(0.001)
threading.Thread(target=send, daemon=True).start()
listener = socket.create_server(("", int(os.environ["PORT"])), backlog=100)
while True:
    with listener.accept()[0] as peer:
        if peer.recv(65536):
            peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nmember")
"""
# Counts what goes to that address over any interface of the host.
LISTENER = r"""
import os, socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
count = 0
open("/srv/listens", "w").close()
while True:
    if wire.recv(2048)[16:20] == socket.inet_aton("203.0.113.9"):
        count += 1
        with open("/srv/outside.new", "w") as told:
            told.write(str(count))
        os.rename("/srv/outside.new", "/srv/outside")
"""
SITE = f"""
[container.vpn]
image       = "servers:1"
version     = "{{version}}"
expose      = ["8000"]
env         = {{{{ VERSION = "{{version}}" }}}}
cap_add     = ["NET_ADMIN"]
create_args = ["--device=/dev/net/tun"]
volumes     = ["/srv/shared:/shared"]
command     = ["-c", '''{VPN}''']
ready       = {{{{ log = "tunnel is up" }}}}
stop_timeout = "2s"
[container.member]
image       = "servers:1"
version     = "1"
ports       = ["8080:80"]
env         = {{{{ PORT = "80" }}}}
network_of  = "vpn"
command     = ["-c", '''{MEMBER}''']
stop_timeout = "2s"
[container.other]
image       = "servers:1"
version     = "1"
env         = {{{{ PORT = "81" }}}}
companion_of = ["vpn"]
network_of  = "vpn"
command     = ["-c", '''{MEMBER}''']
stop_timeout = "2s"
[container.naked]
image       = "servers:1"
version     = "1"
ports       = ["8081:80"]
env         = {{{{ PORT = "80" }}}}
command     = ["-c", '''{MEMBER}''']
stop_timeout = "2s"
"""


@pytest.fixture(scope="module", params=["bullseye", "trixie+podman"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        machine.sh("mkdir -p /srv/shared /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200")
        machine.write("/srv/listener.py", LISTENER)
        machine.sh("systemd-run --quiet --unit=listener python3 /srv/listener.py; until [ -e /srv/listens ]; do sleep 0.05; done")
        packages = built(tmp_path_factory.mktemp("site"), SITE.format(version="1"))
        machine.apt_install(*(path for name, path in packages.items() if name.startswith("deb/")))
        yield machine


def engine(machine: Machine) -> str:
    return "podman" if machine.has_podman else "docker"


def ask(machine: Machine, port: int = 8080) -> str:
    return machine.run("curl", "-sS", "--max-time", "60", f"http://127.0.0.1:{port}/", check=False).stdout


def again(machine: Machine) -> None:
    """Be a client that tries again where it is reset: by what was killed, or in the pause after a failure."""
    machine.sh("for i in $(seq 100); do curl -sS --max-time 60 http://127.0.0.1:8080/ && exit 0; sleep 0.3; done; exit 1")


def outside(machine: Machine) -> int:
    """Return how much has left past the tunnel until now."""
    return int(machine.sh("cat /srv/outside 2>/dev/null || echo 0"))


def through(machine: Machine) -> None:
    """Wait until something new has gone through the tunnel."""
    machine.sh("rm -f /srv/shared/through; for i in $(seq 300); do [ -s /srv/shared/through ] && exit 0; sleep 0.1; done; exit 1")


def lives(machine: Machine, name: str) -> str:
    """Return the process of a container that runs, else 0."""
    return machine.sh(f"{engine(machine)} inspect --format '{{{{.State.Pid}}}}' ondemand-{name} 2>/dev/null || echo 0").strip()


def network(machine: Machine, name: str) -> str:
    return machine.sh(f"readlink /proc/{lives(machine, name)}/ns/net").strip()


def awake(machine: Machine) -> None:
    """Let both members run in the network of the gateway that runs."""
    assert ask(machine) == "member"
    machine.sh("until systemctl --quiet is-active ondemand-other-container; do sleep 0.1; done")
    assert network(machine, "vpn") == network(machine, "member") == network(machine, "other")
    through(machine)


def asleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'")
    assert [lives(machine, name) for name in ("vpn", "member", "other")] == ["0", "0", "0"]


def test_everything_goes_through_the_tunnel_while_the_gateway_runs(host: Machine) -> None:
    asleep(host)
    awake(host)
    assert outside(host) == 0


def test_members_are_stopped_before_the_gateway(host: Machine) -> None:
    awake(host)
    host.sh("systemctl stop ondemand-vpn-container.service")
    assert [lives(host, name) for name in ("vpn", "member", "other")] == ["0", "0", "0"]
    assert outside(host) == 0
    assert ask(host) == "member"


def test_members_end_with_a_gateway_that_is_killed_and_come_back_in_its_next_one(host: Machine) -> None:
    for _ in range(3):
        awake(host)
        before = lives(host, "member")
        host.sh(f"kill -9 {lives(host, 'vpn')}; until [ ! -e /proc/{before} ]; do sleep 0.01; done")
        again(host)
        assert lives(host, "member") != before
    awake(host)
    assert outside(host) == 0


def test_members_are_not_in_the_network_of_a_gateway_that_was_restarted_by_hand(host: Machine) -> None:
    for _ in range(3):
        awake(host)
        before = lives(host, "member")
        host.sh(f"{engine(host)} restart ondemand-vpn >/dev/null 2>&1 || true; ! grep -q . /proc/{before}/cmdline")
        again(host)
    awake(host)
    assert outside(host) == 0


def test_members_follow_the_gateway_through_upgrades(host: Machine, tmp_path: Path) -> None:
    identities = set()
    for version in ("2", "3", "4"):
        (tmp_path / version).mkdir()
        host.apt_install(built(tmp_path / version, SITE.format(version=version))["deb/vpn"])
        assert ask(host) == "member"
        awake(host)
        found = json.loads(host.sh(f"{engine(host)} inspect ondemand-vpn ondemand-member"))
        assert f"VERSION={version}" in found[0]["Config"]["Env"]
        assert found[1]["HostConfig"]["NetworkMode"] == f"container:{found[0]['Id']}"
        identities.add(found[0]["Id"])
    assert len(identities) == 3 and outside(host) == 0


def test_a_member_whose_gateway_cannot_start_does_not_run(host: Machine) -> None:
    asleep(host)
    host.sh("touch /srv/shared/broken")
    try:
        assert ask(host) == ""
        assert lives(host, "member") == "0" and "vpn" in host.journal("ondemand-member-container.service")
    finally:
        host.sh("rm /srv/shared/broken")
    again(host)
    awake(host)
    assert outside(host) == 0


def test_a_member_that_was_made_for_another_network_is_not_started(host: Machine) -> None:
    asleep(host)
    command = engine(host)
    label = host.sh(f"{command} inspect --format '{{{{index .Config.Labels \"ondemand.spec\"}}}}' ondemand-member").strip()
    host.sh(f"{command} rm -f ondemand-member ondemand-member.previous >/dev/null; {command} create --name ondemand-member "
            f"--label ondemand.spec={label} --env PORT=80 servers:1 -c 'import time; time.sleep(600)' >/dev/null")
    assert ask(host) == "" and lives(host, "member") == "0"
    assert "is not in the network of 'vpn'" in host.journal("ondemand-member-container.service")
    host.sh(f"{command} rm -f ondemand-member >/dev/null")
    again(host)
    assert outside(host) == 0


def test_what_has_a_network_of_its_own_is_seen_to_leave(host: Machine) -> None:
    assert ask(host, 8081) == "member" and outside(host) > 0, "the listener hears nothing"
    host.sh("systemctl stop ondemand-naked-container")


def test_the_gateway_can_be_removed_once_its_members_are(host: Machine) -> None:
    assert "ondemand-member" in host.run("apt-get", "-y", "--dry-run", "remove", "ondemand-vpn").stdout
    host.run("apt-get", "-y", "remove", "ondemand-vpn")
    assert host.sh(f"{engine(host)} ps -aq --filter name=ondemand-vpn --filter name=ondemand-member") == ""
