"""What administrators may rely on of services that tell their health while they sleep."""

from __future__ import annotations

import json

import pytest

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.plain]
image  = "servers:1"
ports  = ["8101:80"]
idle   = "2s"
health = { path = "/healthz", body = "asleep" }

[container.data]
image        = "servers:1"
ports        = ["8102:80"]
idle         = "2s"
idle_mode    = "connections"
wake_on      = "data"
data_timeout = "2s"
health       = { path = "/healthz", body = "asleep" }
"""
PORTS = {"plain": 8101, "data": 8102}


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    packages = built(tmp_path_factory.mktemp("health"), SITE)
    host.apt_install(*(packages[f"deb/{name}"] for name in PORTS))
    return host


def is_running(machine: Machine, name: str) -> bool:
    return bool(machine.inspect(f"ondemand-{name}")["State"]["Running"])


def until_asleep(machine: Machine, name: str, meanwhile: str = ":") -> None:
    """Wait until the service sleeps, and nothing of it runs; something is done again and again until then."""
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}-container) = inactive ]; do {meanwhile}; sleep 0.2; done",
               timeout=60)


def until_gone(machine: Machine, name: str) -> None:
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}) = inactive ]; do sleep 0.1; done", timeout=30)
    assert machine.run("pgrep", "--full", "--list-full", f"ondemand-{name}/", check=False).stdout == ""


@pytest.mark.parametrize("name", PORTS)
def test_checks_are_answered_while_it_sleeps_and_wake_nothing(site: Machine, name: str) -> None:
    until_asleep(site, name)
    for option in ("--get", "--head", "--haproxy-protocol"):
        done = site.run("curl", "-sS", "--max-time", "20", option, f"http://127.0.0.1:{PORTS[name]}/healthz")
        assert ("asleep" in done.stdout) is (option != "--head")
    assert not is_running(site, name)
    until_gone(site, name)
    shown = json.loads(site.run("journalctl", "--output=json", "--lines=1", f"ONDEMAND_NAME={name}", "--no-pager").stdout or "{}")
    assert shown, "what woke nothing is on record"


@pytest.mark.parametrize("name", PORTS)
def test_every_other_request_wakes_it_and_checks_do_not_keep_it_awake(site: Machine, name: str) -> None:
    url = f"http://127.0.0.1:{PORTS[name]}"
    assert site.get(f"{url}/healthz?deep") == "200"
    assert is_running(site, name)
    until_asleep(site, name, f"curl -sS --max-time 20 {url}/healthz >/dev/null")
    until_gone(site, name)
    assert site.get(f"{url}/") == "200"
    assert is_running(site, name)
    until_asleep(site, name)


def test_scanners_and_connects_wake_nothing_where_only_data_does(site: Machine) -> None:
    until_asleep(site, "data")
    site.sh("for i in $(seq 20); do nc -z 127.0.0.1 8102; done")
    assert not is_running(site, "data")
    until_gone(site, "data")
