"""What administrators may rely on where a service of Docker's swarm is woken by its host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import DEB

from .conftest import TOOLS
from .machine import Machine, fresh
from .managers import Manager

URL, SERVICE = "http://127.0.0.1:8001/", "ondemand-web"
UNITS = "ondemand-web-container.service ondemand-web.service"


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    need(*TOOLS, root=True)
    with fresh("trixie") as machine:
        machine.run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
        yield Manager(machine, "deb")


@pytest.fixture
def build(manager: Manager, tmp_path: Path) -> Iterator[Builder]:
    yield Builder(tmp_path)
    if manager.version("ondemand-web"):
        manager.purge("ondemand-web")
    manager.machine.sh(f"rm -rf /etc/ondemand; docker service rm {SERVICE}", check=False)
    manager.machine.sh("until [ -z \"$(docker ps -q)\" ]; do sleep 0.1; done", timeout=60)


class Builder:
    """Builds packages of one service."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, more: str = "", version: str = "1", image: str = "nginx:1.27") -> Path:
        (self.directory / "web.toml").write_text(
            f'[container.web]\nimage = "{image}"\nversion = "{version}"\nports = ["8001:80"]\nstop_timeout = "2s"\n'
            f'engine = "swarm"\nreplicas = 2\n{more}\n')
        path, = packing.write(packing.tasks(read([str(self.directory / "web.toml")]), [DEB], {}), self.directory / "dist")
        return path


def service(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("docker", "service", "inspect", SERVICE).stdout)[0]["Spec"]
    return found


def replicas(machine: Machine) -> int:
    return int(service(machine)["Mode"]["Replicated"].get("Replicas", 0))


def sleep(machine: Machine) -> None:
    machine.sh("systemctl stop ondemand-web-container.service")
    machine.sh("until [ -z \"$(docker ps -q)\" ]; do sleep 0.1; done", timeout=60)


def test_an_installed_service_sleeps_and_the_first_connection_wakes_it_on_all_its_tasks(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build())
    assert replicas(machine) == 0 and machine.sh("docker ps -q") == ""
    for _ in range(2):
        assert machine.get(URL) == "200"
        assert replicas(machine) == 2
        sleep(machine)
        assert replicas(machine) == 0


def test_clients_that_come_at_once_are_all_answered_by_one_scale_up(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('ready = { http = "/" }'))
    assert machine.clients(200, ("127.0.0.1", 8001)) == ["HTTP/1.1 200 OK"] * 200
    assert replicas(machine) == 2
    assert len(machine.sh(f"docker service ps -q {SERVICE}").split()) == 2


def test_clients_are_led_to_all_tasks_in_turn_and_away_from_one_that_dies(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build())
    assert machine.get(URL) == "200"
    with machine.steady_clients(8001) as found:
        machine.sh("until n=0; for c in $(docker ps -q); do "
                   "[ $(docker exec $c sh -c 'wc -l < /var/log/nginx/access.log') -ge 5 ] && n=$((n+1)); done; [ $n = 2 ]; "
                   "do sleep 0.2; done", timeout=60)
    assert set(found) == {"HTTP/1.1 200 OK"}
    victim = machine.sh("docker ps -q").split()[0]
    machine.sh(f"docker kill {victim}")
    assert machine.clients(50, ("127.0.0.1", 8001)) == ["HTTP/1.1 200 OK"] * 50
    machine.sh("until [ $(docker ps -q | wc -l) = 2 ]; do sleep 0.1; done", timeout=60)


def test_an_upgrade_replaces_tasks_one_by_one_and_resets_only_who_is_at_one_that_stops(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build())
    assert machine.get(URL) == "200"
    machine.sh("until [ $(docker ps -q | wc -l) = 2 ]; do sleep 0.1; done", timeout=60)
    before = set(machine.sh("docker ps -q").split())
    with machine.steady_clients(8001) as found:
        manager.install(build('env = { NEW = "1" }', "2"))
        machine.sh(f"until [ \"$(docker service inspect -f '{{{{.UpdateStatus.State}}}}' {SERVICE})\" = completed ] && "
                   "[ $(docker ps -q | wc -l) = 2 ]; do sleep 0.2; done", timeout=100)
    # Who is connected to a server at its end, or waits in its queue, is reset by its kernel: one or two at each task.
    assert set(found) <= {"HTTP/1.1 200 OK", "ConnectionResetError"} and found["ConnectionResetError"] <= 4, found
    assert found["HTTP/1.1 200 OK"] > 100
    assert not before & set(machine.sh("docker ps -q").split())


def test_tasks_that_end_at_once_are_a_failed_start_told_in_the_journal(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('entrypoint = ["/bin/false"]'))
    assert machine.clients(1, ("127.0.0.1", 8001)) != ["HTTP/1.1 200 OK"]
    assert "its tasks end before they are ready: task: non-zero exit (1)" in machine.journal("ondemand-web-container.service")
    machine.sh(f"until [ \"$(docker service inspect -f '{{{{.Spec.Mode.Replicated.Replicas}}}}' {SERVICE})\" = 0 ]; "
               "do sleep 0.1; done", timeout=60)


def test_a_removal_removes_the_service_and_leaves_one_alone_that_others_made(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    package = build()
    manager.install(package)
    assert machine.get(URL) == "200"
    manager.purge("ondemand-web")
    assert machine.sh("docker service ls -q") == ""
    machine.run("docker", "service", "create", "--detach", "--name", SERVICE, "--replicas", "0", "nginx:1.27")
    assert "was not made by this package" in manager.install(package)
    assert machine.clients(1, ("127.0.0.1", 8001)) != ["HTTP/1.1 200 OK"]
    manager.purge("ondemand-web")
    assert machine.sh("docker service ls -q") != ""


def test_a_service_that_is_scaled_to_0_by_hand_is_woken_by_the_next_client(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build())
    assert machine.get(URL) == "200"
    machine.run("docker", "service", "scale", "--detach", f"{SERVICE}=0")
    machine.sh("while systemctl is-active --quiet ondemand-web-container.service; do sleep 0.1; done", timeout=60)
    assert machine.get(URL) == "200"
    assert replicas(machine) == 2


def test_an_idle_service_is_scaled_to_0(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    manager.install(build('idle = "30s"'))
    assert machine.get(URL) == "200"
    machine.sh(f"until [ \"$(docker service inspect -f '{{{{.Spec.Mode.Replicated.Replicas}}}}' {SERVICE})\" = 0 ]; "
               "do sleep 0.2; done", timeout=90)
    assert machine.get(URL) == "200"


def test_a_host_that_is_no_manager_says_so_and_the_package_manager_ends_well(manager: Manager, build: Builder) -> None:
    machine = manager.machine
    machine.run("docker", "swarm", "leave", "--force")
    try:
        assert "this host is no manager of a swarm" in manager.install(build())
        assert machine.clients(1, ("127.0.0.1", 8001)) != ["HTTP/1.1 200 OK"]
        assert "this host is no manager of a swarm" in machine.journal("ondemand-web-container.service")
    finally:
        machine.run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
    machine.until_answered(URL)
