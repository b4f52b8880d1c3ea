"""What administrators may rely on of path = "kernel" beside what else keeps rules: ufw, firewalld, Docker, Podman, nft."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import NGINX, TOOLS, built
from .machine import Machine, fresh
from .test_how_to import RESTART, with_packages
from .test_kernel_path import CLIENT, OUTSIDE, SERVER, ask, rules, steady, until_led, until_over

SITE = f"""
[container.seen]
version = "1"
image   = "servers:1"
ports   = ["8080:80"]
path    = "kernel"
command = ["-c", '''{SERVER}''']
"""
STAY = 3  # seconds for which an address stays let in here, instead of a minute
OLD = Path(__file__).parents[1] / "data/0.1.0"
DENIED = {"ConnectionRefusedError", "OSError", "TimeoutError"}


def install(machine: Machine, tmp: pytest.TempPathFactory) -> None:
    machine.apt_install(built(tmp.mktemp("seen"), SITE)["deb/seen"])
    machine.sh(OUTSIDE)


def change(machine: Machine, name: str, old: str, new: str) -> None:
    """Change the helpers of the service."""
    path = f"/usr/libexec/ondemand-seen/{name}"
    machine.sh(f"grep -q '{old}' {path} && sed -i 's/{old}/{new}/' {path} && systemctl stop 'ondemand-kernel@seen.service'")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, "nft", root=True)
    with with_packages("ufw", "nftables", "firewalld") as machine:
        machine.sh(f"systemctl disable --now firewalld; {RESTART}")
        install(machine, tmp_path_factory)
        change(machine, "kernel_table.py", "^STAY = 60000", f"STAY = {STAY}000")
        yield machine


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, "nft", root=True)
    with fresh("trixie+podman") as machine:
        install(machine, tmp_path_factory)
        yield machine


def until_denied(machine: Machine) -> None:
    """Wait until the client is not let in any more: each entry has had its time, and the firewall is asked."""
    machine.sh(f"sleep {STAY}")
    assert set(ask(machine, 8080, timeout=2)) <= DENIED


@pytest.mark.parametrize(("on", "allow", "deny", "off"), [
    ("ufw --force enable", "ufw allow 8080/tcp", "ufw delete allow 8080/tcp && ufw deny 8080/tcp", "ufw --force reset"),
    ("systemctl start firewalld", "firewall-cmd --add-port=8080/tcp", "firewall-cmd --remove-port=8080/tcp",
     "systemctl stop firewalld")], ids=["ufw", "firewalld"])
def test_what_a_firewall_denies_while_it_is_awake_is_denied_as_soon_as_an_address_has_had_its_time(
    guarded: Machine, on: str, allow: str, deny: str, off: str,
) -> None:
    guarded.sh(f"{on} && {RESTART}")
    try:
        guarded.sh(allow)
        until_led(guarded, "seen", 8080)
        guarded.sh(deny)
        until_denied(guarded)
        guarded.sh(allow)
        until_led(guarded, "seen", 8080)
    finally:
        guarded.sh(off)


def test_nobody_is_lost_where_others_change_their_rules(guarded: Machine) -> None:
    until_led(guarded, "seen", 8080)
    clients = steady(guarded, 8080)
    guarded.sh("ufw --force enable; ufw allow 8080/tcp; ufw reload; nft flush ruleset")
    until_led(guarded, "seen", 8080)
    found = json.loads(clients.communicate(timeout=120)[0])
    assert found.keys() == {"answered"}, found
    guarded.sh(f"ufw --force reset; {RESTART}")
    until_led(guarded, "seen", 8080)


def test_where_the_kernel_has_no_tables_with_an_owner_the_relay_serves_and_the_journal_says_so_once(guarded: Machine) -> None:
    """As the kernel of Debian 11, 5.10, it refuses flags of a table that it does not know."""
    guarded.run("systemctl", "stop", "ondemand-seen-container.service")
    change(guarded, "kernel_table.py", "^OWNED = 2", "OWNED = 0x4000")
    before = rules(guarded)
    for _ in range(2):
        assert all(seen.startswith("172.") for seen in ask(guarded, 8080, 3))
        guarded.sh("until journalctl --unit ondemand-kernel@seen | grep -q 'relay forwards all'; do sleep 0.1; done")
    assert rules(guarded) == before
    said = guarded.journal("ondemand-kernel@seen.service")
    assert said.count('path = "kernel" is not possible') == 1 and "5.12" in said


def test_a_downgrade_to_the_first_release_leaves_no_socket_that_it_does_not_know(
    guarded: Machine, tmp_path: Path,
) -> None:
    text = NGINX.replace('"1.27.0"', '"2"') + 'path = "kernel"\nhealth = { path = "/healthz" }\n'
    guarded.apt_install(built(tmp_path, text)["deb/nginx"])
    assert guarded.get() == "200"
    for unit in ("ondemand-kernel@nginx.socket", "ondemand-nginx-container.socket"):
        assert guarded.sh(f"systemctl is-active {unit}") == "active\n"
    guarded.apt_install(OLD / "ondemand-nginx_1.0-1_all.deb", options=["--allow-downgrades"])
    left = "systemctl list-units --plain --no-legend 'ondemand-kernel@nginx.socket' 'ondemand-nginx-container.socket'"
    assert guarded.sh(left) == ""
    assert guarded.get() == "200"
    guarded.run("systemctl", "stop", "ondemand-nginx-container.service")
    assert guarded.get() == "200"
    guarded.run("apt-get", "purge", "-y", "ondemand-nginx")


def test_podman_hosts_serve_it_as_docker_hosts_do(podman: Machine) -> None:
    assert ask(podman, 8080)[0].startswith("10.")
    until_led(podman, "seen", 8080)
    assert set(ask(podman, 8080, 5)) == {CLIENT}
    podman.sh("nft flush ruleset; podman network reload --all")
    assert set(ask(podman, 8080, 5)) == {CLIENT}
    kernel = "ondemand-kernel@seen.service"
    before = rules(podman).count("ondemand-seen")
    podman.sh(f"kill -9 $(systemctl show --property=MainPID --value {kernel})")
    until_over(podman, kernel)
    assert before and "ondemand-seen" not in rules(podman)
    until_led(podman, "seen", 8080)
    podman.run("systemctl", "stop", "ondemand-seen-container.service")
    assert "ondemand-seen" not in rules(podman)
    until_led(podman, "seen", 8080)
