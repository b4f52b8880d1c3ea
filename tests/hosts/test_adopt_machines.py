"""Containers of LXC and nspawn, made by Debian's own tools, are woken by their first connection and sleep, stopped or paused."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, unbooted

SITE = """
[package]
version = "1"

[adopt.game]
unit  = "lxc@game.service"
ports = ["8191:80"]
idle  = "1s"

[adopt.nap]
unit        = "lxc@nap.service"
ports       = ["8192:80"]
idle        = "1s"
idle_action = "pause"

[adopt.guest]
unit  = "systemd-nspawn@guest.service"
ports = ["8193:80"]
idle  = "1s"
"""
SERVER = "/usr/bin/python3 -m http.server --directory /usr/share/doc 80"
LXC = f"""
lxc.rootfs.path = dir:/
lxc.rootfs.options = ro
lxc.net.0.type = veth
lxc.net.0.link = bridge9
lxc.net.0.flags = up
lxc.net.0.ipv4.address = ADDRESS/24
lxc.uts.name = NAME
lxc.init.cmd = {SERVER}
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:rw sys:ro
lxc.signal.halt = SIGKILL
"""
# Without udev and networkd on these hosts, a network is made by hand.
NSPAWN = f"""
[Service]
Type=simple
ExecStartPre=-ip netns delete guest
ExecStartPre=ip netns add guest
ExecStartPre=ip link add host8 type veth peer name guest8 netns guest
ExecStartPre=ip address add 10.98.0.1/24 dev host8
ExecStartPre=ip link set host8 up
ExecStartPre=ip -n guest address add 10.98.0.2/24 dev guest8
ExecStartPre=ip -n guest link set guest8 up
ExecStart=
ExecStart=systemd-nspawn --quiet --register=no --keep-unit --network-namespace-path=/run/netns/guest -M guest \\
          -D /var/lib/machines/guest --read-only {SERVER}
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie", "forky"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    packages = built(tmp_path_factory.mktemp("machines"), SITE)
    with unbooted(request.param) as machine:
        machine.chroot("sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends lxc systemd-container")
        machine.boot()
        machine.sh("ip link add bridge9 type bridge && ip address add 10.0.9.1/24 dev bridge9 && ip link set bridge9 up")
        for name, address in (("game", "10.0.9.5"), ("nap", "10.0.9.6")):
            machine.write(f"/var/lib/lxc/{name}/config", LXC.replace("NAME", name).replace("ADDRESS", address))
        machine.sh("mkdir -p /var/lib/machines/guest && mount --bind / /var/lib/machines/guest")
        machine.write("/etc/systemd/system/systemd-nspawn@guest.service.d/test.conf", NSPAWN)
        machine.run("systemctl", "daemon-reload")
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        yield machine


def fetch(machine: Machine, port: int) -> str:
    return machine.run("curl", "--silent", "--show-error", "--fail", "--max-time", "60", f"http://127.0.0.1:{port}/").stdout


def until(machine: Machine, command: str, state: str) -> None:
    machine.sh(f"until {command} | grep -q '{state}'; do sleep 0.1; done", timeout=60)


@pytest.mark.parametrize(("unit", "name", "port"), [
    ("lxc@game", "game", 8191), ("systemd-nspawn@guest", "guest", 8193)])
def test_its_first_connection_starts_it_and_without_traffic_it_is_stopped(site: Machine, unit: str, name: str, port: int) -> None:
    for _ in range(2):
        assert "Directory listing" in fetch(site, port)
        assert site.run("systemctl", "is-active", unit).stdout.strip() == "active"
        for one in (unit, f"ondemand-{name}", f"ondemand-{name}-container"):
            until(site, f"systemctl is-active {one}", "inactive\\|failed")


def test_a_container_of_lxc_sleeps_frozen_and_is_thawed_by_a_client(site: Machine) -> None:
    for _ in range(2):
        assert "Directory listing" in fetch(site, 8192)
        until(site, "lxc-info --name nap --state", "FROZEN")
    before = site.run("lxc-info", "--name", "nap", "--pid").stdout
    assert "Directory listing" in fetch(site, 8192)
    assert site.run("lxc-info", "--name", "nap", "--pid").stdout == before
    until(site, "lxc-info --name nap --state", "FROZEN")


def test_a_removal_leaves_what_runs_running_resumed_where_it_slept_paused(site: Machine) -> None:
    until(site, "lxc-info --name nap --state", "FROZEN")
    site.run("systemctl", "start", "lxc@game")
    site.run("apt-get", "purge", "-y", "ondemand-game", "ondemand-nap")
    for name in ("game", "nap"):
        assert "RUNNING" in site.run("lxc-info", "--name", name, "--state").stdout
    deadline = time.monotonic() + 30
    while site.run("curl", "--silent", "--max-time", "5", "http://10.0.9.6/", check=False).returncode:
        assert time.monotonic() < deadline, "what was resumed answers"
