"""What administrators may rely on of a Compose project that docker-compose has brought up, once a package has adopted it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import unbooted
from .managers import Manager
from .test_adopt import fetch

COMPOSE = """
services:
  web:
    image: nginx:1.27
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
  migrate:
    image: nginx:1.27
    command: ["true"]
    depends_on: [db]
  db:
    image: nginx:1.27
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  reports:
    image: nginx:1.27
    depends_on: [db]
"""
SITE = """
[adopt.shop]
version = "{version}"
compose = "shop"
service = "web"
ports   = ["8181:80"]
idle    = "1s"
idle_action = "{action}"
"""
URL = "http://127.0.0.1:8181/"
UP = "cd /srv/shop && docker-compose up --detach {} web 2>&1"
EACH = "docker ps --all --no-trunc --format '{{.Label \"com.docker.compose.service\"}} {{.%s}}'"
ENDED = ("until [ $(docker ps --quiet | wc -l) = %d ] && ! systemctl is-active --quiet ondemand-shop-container; "
         "do sleep 0.05; done")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    return {action: built(tmp_path_factory.mktemp("adopt"), SITE.format(version=version, action=action))
            for version, action in (("1", "stop"), ("2", "pause"))}


@pytest.fixture(scope="module")
def site(packages: dict[str, dict[str, Path]]) -> Iterator[Manager]:
    need(*TOOLS, root=True)
    with unbooted("forky") as machine:
        machine.chroot("sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends docker-compose")
        machine.boot()
        machine.write("/srv/shop/compose.yaml", COMPOSE)
        machine.sh(UP.format(""), timeout=120)
        manager = Manager(machine, "deb")
        manager.install(packages["stop"]["deb/shop"])
        yield manager


def told(manager: Manager, what: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in manager.machine.sh(EACH % what).splitlines()}


def until_asleep(manager: Manager, running: int = 0) -> None:
    manager.machine.sh(ENDED % running, timeout=90)


def starts(manager: Manager) -> list[str]:
    """Return the services in the order in which they were started last."""
    told = manager.machine.sh("docker ps --all --quiet | xargs docker inspect --format "
                              "'{{.State.StartedAt}} {{index .Config.Labels \"com.docker.compose.service\"}}' | sort")
    return [line.split()[1] for line in told.splitlines() if not line.startswith("0001")]


def test_found_running_it_sleeps_after_its_first_connection_with_what_it_depends_on(site: Manager) -> None:
    before = told(site, "ID")
    assert told(site, "State") == {"web": "running", "db": "running", "migrate": "exited"}
    assert "nginx" in fetch(site, URL)
    until_asleep(site)
    assert told(site, "ID") == before


def test_a_connection_starts_everything_in_its_order_with_its_conditions(site: Manager) -> None:
    before = told(site, "ID")
    assert "nginx" in fetch(site, URL)
    assert starts(site) == ["db", "migrate", "web"]
    assert told(site, "State") == {"web": "running", "db": "running", "migrate": "exited"}
    until_asleep(site)
    assert told(site, "ID") == before


def test_recreated_by_compose_behind_the_package_it_is_found_asleep_and_awake(site: Manager) -> None:
    before = told(site, "ID")
    site.machine.sh(UP.format("--force-recreate"), timeout=120)
    assert told(site, "ID")["web"] != before["web"]
    assert "nginx" in fetch(site, URL)
    before = told(site, "ID")
    site.machine.sh(UP.format("--force-recreate"), timeout=120)
    assert told(site, "ID")["web"] != before["web"]
    assert "nginx" in fetch(site, URL)
    until_asleep(site)
    assert "nginx" in fetch(site, URL)
    until_asleep(site)


def test_what_another_service_of_the_project_uses_goes_on(site: Manager) -> None:
    site.machine.sh("cd /srv/shop && docker-compose up --detach reports 2>&1", timeout=120)
    assert "nginx" in fetch(site, URL)
    until_asleep(site, running=2)
    assert {name for name, state in told(site, "State").items() if state == "running"} == {"db", "reports"}
    site.machine.sh("cd /srv/shop && docker-compose rm --force --stop reports 2>&1")
    assert "nginx" in fetch(site, URL)
    until_asleep(site)


def test_a_condition_that_fails_fails_the_wake_with_the_reason(site: Manager) -> None:
    site.machine.sh("sed -i 's/\"true\"]$/\"false\"]/' /srv/shop/compose.yaml && cd /srv/shop && "
                    "docker-compose up --no-start --force-recreate migrate 2>&1")
    done = site.machine.run("curl", "--silent", "--max-time", "60", URL, check=False)
    assert done.returncode and "the service migrate, which must succeed first, ended with status 1" in site.machine.journal(
        "ondemand-shop-container")
    until_asleep(site)
    site.machine.sh("sed -i 's/\"false\"]$/\"true\"]/' /srv/shop/compose.yaml && cd /srv/shop && "
                    "docker-compose up --no-start --force-recreate migrate 2>&1")
    assert "nginx" in fetch(site, URL)
    until_asleep(site)


def test_paused_all_of_it_sleeps_and_is_resumed_by_a_client_and_by_the_removal(
    site: Manager, packages: dict[str, dict[str, Path]],
) -> None:
    site.install(packages["pause"]["deb/shop"])
    assert "nginx" in fetch(site, URL)
    paused = "until [ $(docker ps --quiet --filter status=paused | wc -l) = 2 ]; do sleep 0.05; done"
    site.machine.sh(paused, timeout=90)
    assert "nginx" in fetch(site, URL)
    site.machine.sh(paused, timeout=90)
    site.purge("ondemand-shop")
    assert told(site, "State") == {"web": "running", "db": "running", "migrate": "exited"}
