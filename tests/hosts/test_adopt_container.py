"""What administrators may rely on of containers that somebody made, at Docker and at Podman, once a package has adopted them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import built, manager_on
from .machine import Failed
from .managers import Manager
from .test_adopt import fetch, held

SITE = """
[package]
version = "{version}"

[adopt.cloud]
container = "cloud"
ports     = ["8181:80"]
idle      = "1s"
idle_action = "{action}"

[adopt.nobody]
container = "not-there"
ports     = ["8183:80"]

[adopt.taken]
container = "taken"
ports     = ["8184:80"]
"""
URL = "http://127.0.0.1:8181/"
CREATE = "docker create --name cloud --publish 127.0.0.1:8090:80 nginx:1.27"
STATE = "docker inspect --format '{{.State.Status}}' cloud"
LIFE = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' cloud"
manager = manager_on("bookworm-rpm", "trixie+podman-deb")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    return {version: built(tmp_path_factory.mktemp("adopt"), SITE.format(version=version, action=action))
            for version, action in (("1", "stop"), ("2", "stop"), ("3", "pause"))}


@pytest.fixture(scope="module")
def site(manager: Manager, packages: dict[str, dict[str, Path]]) -> Iterator[Manager]:
    manager.machine.sh(CREATE)
    manager.install(packages["1"][f"{manager.kind}/cloud"])
    yield manager


def state(manager: Manager) -> str:
    return manager.machine.sh(STATE).strip()


def until(manager: Manager, wanted: str) -> None:
    manager.machine.sh(f"until {STATE} | grep -q '{wanted}'; do sleep 0.05; done", timeout=60)


def until_asleep(manager: Manager) -> None:
    until(manager, "exited\\|created")
    for one in ("ondemand-cloud", "ondemand-cloud-container"):
        manager.machine.sh(f"until systemctl is-active {one} | grep -q 'inactive\\|failed'; do sleep 0.05; done", timeout=60)


def test_the_first_connection_starts_it_and_without_traffic_it_is_stopped(site: Manager) -> None:
    identity = site.machine.sh(LIFE).split()[0]
    assert state(site) == "created"
    for _ in range(2):
        assert "nginx" in fetch(site, URL)
        assert state(site) == "running"
        until_asleep(site)
    assert site.machine.sh(LIFE).split()[0] == identity
    assert site.machine.sh("docker ps --all --format '{{.Names}}'").split() == ["cloud"]


def test_found_running_it_is_used_as_it_is_and_sleeps_after_its_first_connection(
    site: Manager, packages: dict[str, dict[str, Path]],
) -> None:
    site.machine.sh("docker start cloud")
    before = site.machine.sh(LIFE)
    site.install(packages["2"][f"{site.kind}/cloud"])
    site.machine.until_answered("http://127.0.0.1:8090/")
    assert state(site) == "running"
    assert "nginx" in fetch(site, URL)
    assert site.machine.sh(LIFE) == before
    until_asleep(site)


def test_who_comes_by_its_published_port_keeps_it_awake(site: Manager) -> None:
    fetch(site, URL)
    other = held(site, "127.0.0.1", 8090)
    try:
        before = site.machine.sh(LIFE)
        site.machine.sh("sleep 4")  # more than twice its idle time
        assert site.machine.sh(LIFE) == before and state(site) == "running"
    finally:
        other.communicate("\n")
    until_asleep(site)


def test_made_again_behind_the_package_it_is_found_at_the_next_wake(site: Manager) -> None:
    site.machine.sh(f"docker rm cloud && {CREATE}")
    fetch(site, URL)
    site.machine.sh(f"docker rm --force cloud && {CREATE} && docker start cloud")
    for one in ("ondemand-cloud", "ondemand-cloud-container"):
        site.machine.sh(f"until systemctl is-active {one} | grep -q 'inactive\\|failed'; do sleep 0.05; done", timeout=60)
    assert state(site) == "running", "what somebody has started just now is left alone until a client comes"
    before = site.machine.sh(LIFE)
    assert "nginx" in fetch(site, URL)
    assert site.machine.sh(LIFE) == before
    until_asleep(site)


def test_one_that_was_removed_fails_the_wake_and_one_of_that_name_serves_the_next(site: Manager) -> None:
    site.machine.sh("docker rm cloud")
    with pytest.raises(Failed, match="curl"):
        fetch(site, URL)
    assert "the container cloud does not exist on this host; create it, or declare another 'container'" in site.machine.journal(
        "ondemand-cloud-container")
    site.machine.sh(CREATE)
    site.machine.until_answered(URL)  # soon after a failed start, clients are turned away
    assert "nginx" in fetch(site, URL)
    until_asleep(site)


def test_clients_that_come_during_the_start_are_all_answered(site: Manager) -> None:
    said = site.machine.sh("seq 200 | xargs -P 200 -I{} curl --silent --max-time 60 --output /dev/null "
                           f"--write-out '%{{http_code}}\\n' {URL} | sort | uniq -c", timeout=300)
    assert said.split() == ["200", "200"]
    until_asleep(site)


def test_what_works_against_it_is_told_at_the_installation(site: Manager, packages: dict[str, dict[str, Path]]) -> None:
    said = site.install(packages["1"][f"{site.kind}/nobody"])
    assert "the container not-there does not exist on this host" in said
    site.remove("ondemand-nobody")
    site.machine.sh("docker create --name taken --restart always --publish 8184:80 nginx:1.27")
    said = site.install(packages["1"][f"{site.kind}/taken"])
    assert "the container taken publishes port 8184/tcp, where this package listens" in said
    assert "update --restart=unless-stopped taken" in said
    site.remove("ondemand-taken")
    assert site.machine.sh("docker inspect --format '{{.State.Status}}' taken").strip() == "created"
    site.machine.sh("docker rm taken")


def test_paused_it_is_resumed_by_a_client_and_by_the_removal(site: Manager, packages: dict[str, dict[str, Path]]) -> None:
    site.install(packages["3"][f"{site.kind}/cloud"])
    fetch(site, URL)
    before = site.machine.sh(LIFE)
    until(site, "paused")
    assert "nginx" in fetch(site, URL)
    until(site, "paused")
    site.purge("ondemand-cloud")
    assert state(site) == "running" and site.machine.sh(LIFE) == before


def test_a_removal_leaves_it_as_it_is(site: Manager, packages: dict[str, dict[str, Path]]) -> None:
    before = site.machine.sh(LIFE)
    site.install(packages["1"][f"{site.kind}/cloud"])
    other = held(site, "127.0.0.1", 8090)
    fetch(site, URL)
    site.purge("ondemand-cloud")
    other.communicate("\n")
    assert state(site) == "running" and site.machine.sh(LIFE) == before
    left = site.machine.sh("ls -d /run/ondemand-cloud /usr/libexec/ondemand-cloud /etc/ondemand/cloud* /var/lib/ondemand/cloud* "
                           "2>/dev/null; systemctl list-units --all --no-legend 'ondemand-cloud*'", check=False)
    assert left.strip() == ""
