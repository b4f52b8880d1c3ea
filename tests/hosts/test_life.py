"""The life of a package: upgraded, edited, removed, and nothing lost.  As .deb on the oldest suite, as .rpm on the newest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from .conftest import built, manager_on
from .machine import Machine
from .managers import Manager
from .roots import ENDS

SOCKET, CONTAINER = "ondemand-web.socket", "ondemand-web-container.service"


class Build(Protocol):
    """Builds a declaration; returns the package of the container of that name."""

    def __call__(self, text: str, name: str = "web") -> Path: ...


def web(version: str = "1", image: str = "servers:1", port: int = 8001, more: str = "") -> str:
    return f'[container.web]\nimage = "{image}"\nversion = "{version}"\nports = ["{port}:80"]\n{more}\n'


shared = manager_on(f"{ENDS[0]}-deb", f"{ENDS[1]}-rpm")  # test_upgrade.py has the other two


@pytest.fixture
def manager(shared: Manager) -> Iterator[Manager]:
    """A package manager on a host without any of our packages."""
    yield shared
    machine = shared.machine
    machine.run("systemctl", "start", "docker.socket", "docker.service")
    shared.clear("ondemand-web", "ondemand-other")
    machine.sh("rm -rf /etc/ondemand /etc/systemd/system/ondemand-*; systemctl daemon-reload; systemctl reset-failed")


@pytest.fixture
def build(shared: Manager, tmp_path: Path) -> Build:
    """Build a declaration; return its package for the manager at hand."""
    return lambda text, name="web": built(tmp_path, text)[f"{shared.kind}/{name}"]


def sleep(machine: Machine) -> None:
    machine.run("systemctl", "stop", CONTAINER)


def is_(machine: Machine, what: str, unit: str = SOCKET) -> str:
    return machine.run("systemctl", f"is-{what}", unit, check=False).stdout.strip()


def said_by(output: str) -> list[str]:
    lines = [line.strip().removeprefix(">>> ") for line in output.splitlines()]  # which dnf5 puts before a script's words
    return [line for line in lines if line.startswith("ondemand-web: ")]


def container_id(machine: Machine, name: str = "ondemand-web") -> str:
    return str(machine.inspect(name)["Id"])


# Upgrade


def test_an_upgrade_that_changes_nothing_of_the_container_leaves_it_and_refuses_no_client(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    before = container_id(machine)
    with machine.steady_clients(8001) as answers:
        said = manager.install(build(web("2")))
    assert set(answers) == {"HTTP/1.0 200 OK"} and answers["HTTP/1.0 200 OK"] > 10
    assert manager.version("ondemand-web") == "ii 2-1" and said_by(said) == []
    assert container_id(machine) == before and machine.inspect("ondemand-web")["State"]["Running"]
    assert (is_(machine, "enabled"), is_(machine, "active")) == ("enabled", "active")


def test_an_upgrade_of_a_sleeping_container_does_not_wake_it(manager: Manager, build: Build) -> None:
    manager.install(build(web("1")))
    manager.install(build(web("2")))
    assert not manager.machine.inspect("ondemand-web")["State"]["Running"]
    assert manager.machine.get("http://127.0.0.1:8001/") == "200"


@pytest.mark.parametrize("awake", [True, False], ids=["awake", "asleep"])
def test_a_changed_container_is_replaced_and_the_one_before_is_kept(manager: Manager, build: Build, awake: bool) -> None:
    machine = manager.machine
    manager.install(build(web("1", more='volumes = ["data:/data"]')))
    before = container_id(machine)
    machine.get("http://127.0.0.1:8001/")
    machine.sh("docker exec ondemand-web sh -c 'echo kept >/data/file; echo layer >/layer'")
    if not awake:
        sleep(machine)
    said = manager.install(build(web("2", more='volumes = ["data:/data"]\nenv = { NEW = "1" }')))
    assert said_by(said) == []
    assert '"NEW": "1"' in machine.sh("curl -sS http://127.0.0.1:8001/")
    assert container_id(machine) != before and container_id(machine, "ondemand-web.previous") == before
    assert not machine.inspect("ondemand-web.previous")["State"]["Running"]
    assert machine.sh("docker exec ondemand-web cat /data/file") == "kept\n"
    assert machine.sh("docker cp ondemand-web.previous:/layer - | tar -xO") == "layer\n"


def test_going_back_brings_the_container_from_before_back(manager: Manager, build: Build) -> None:
    machine = manager.machine
    old, new = build(web("1")), build(web("2", more='env = { NEW = "1" }'))
    manager.install(old)
    before = container_id(machine)
    manager.install(new)
    assert manager.machine.get("http://127.0.0.1:8001/") == "200"
    after = container_id(machine)
    manager.downgrade(old)
    assert '"NEW"' not in machine.sh("curl -sS http://127.0.0.1:8001/")
    assert (container_id(machine), container_id(machine, "ondemand-web.previous")) == (before, after)


def test_clients_of_a_changed_container_are_held_while_it_is_replaced(manager: Manager, build: Build) -> None:
    manager.install(build(web("1")))
    with manager.machine.steady_clients(8001) as answers:
        manager.install(build(web("2", more='env = { NEW = "1" }')))
    refused = {outcome: count for outcome, count in answers.items() if outcome == "ConnectionRefusedError"}
    assert not refused and answers["HTTP/1.0 200 OK"] > 10


def test_clients_of_a_container_that_listens_on_another_port_now_are_led_there_each_time(manager: Manager, build: Build) -> None:
    machine = manager.machine
    old = build(web("1", more='env = { PORTS = "80" }'))
    new = build(web("2", more='env = { PORTS = "8080" }').replace(':80"', ':8080"'))
    manager.install(old)
    for change, package, port in ((manager.install, new, 8080), (manager.downgrade, old, 80)) * 3:
        assert machine.get("http://127.0.0.1:8001/") == "200"
        with machine.steady_clients(8001) as answers:
            assert said_by(change(package)) == []
        assert answers["HTTP/1.0 200 OK"] > 10
        # What the old container had accepted ends with it.
        assert not {"ConnectionRefusedError", "TimeoutError"} & set(answers), answers
        assert f'"port": {port}' in machine.sh("curl -sS http://127.0.0.1:8001/")


def test_where_the_new_image_cant_be_had_the_old_container_goes_on(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    before = container_id(machine)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    *_, line = said_by(manager.install(build(web("2", image="localhost:1/none:1"))))
    assert line.startswith("ondemand-web: 'docker create' failed for the image localhost:1/none:1: ")
    assert manager.version("ondemand-web") == "ii 2-1"
    assert machine.get("http://127.0.0.1:8001/") == "200"
    sleep(machine)
    assert machine.get("http://127.0.0.1:8001/") == "200" and container_id(machine) == before
    assert "the image localhost:1/none:1 is not on this host; run 'docker pull localhost:1/none:1'" in machine.journal(CONTAINER)
    machine.run("docker", "tag", "servers:1", "localhost:1/none:1")
    sleep(machine)
    assert machine.get("http://127.0.0.1:8001/") == "200" and container_id(machine) != before


def test_where_the_engine_is_gone_the_next_wake_replaces_the_container(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    before = container_id(machine)
    machine.run("systemctl", "stop", "docker.socket", "docker.service")
    (line,) = said_by(manager.install(build(web("2", more='env = { NEW = "1" }'))))
    assert line.startswith("ondemand-web: no Docker engine answers on /run/docker.sock; ")
    assert '"NEW": "1"' in machine.sh("curl -sS http://127.0.0.1:8001/")
    assert container_id(machine, "ondemand-web.previous") == before


def test_where_the_disk_is_full_the_old_container_goes_on(manager: Manager, build: Build) -> None:
    machine = manager.machine
    machine.sh("systemctl stop docker.socket docker; mount -t tmpfs -o size=2m tmpfs /var/lib/docker/containers; "
               "systemctl start docker")
    try:
        manager.install(build(web("1")))
        before = container_id(machine)
        assert machine.get("http://127.0.0.1:8001/") == "200"
        machine.sh("cat /dev/zero >/var/lib/docker/containers/full", check=False)
        said = manager.install(build(web("2", more='env = { NEW = "1" }')))
        (line,) = said_by(said)
        assert line.startswith("ondemand-web: 'docker create' failed for the image servers:1: ")
        assert "no space left on device" in said and "the next connection tries again" in line
        assert manager.version("ondemand-web") == "ii 2-1"
        assert machine.get("http://127.0.0.1:8001/") == "200" and container_id(machine) == before
        machine.run("rm", "/var/lib/docker/containers/full")
        sleep(machine)
        assert '"NEW": "1"' in machine.sh("curl -sS http://127.0.0.1:8001/")
        assert container_id(machine, "ondemand-web.previous") == before
    finally:
        manager.purge("ondemand-web")
        machine.sh("systemctl stop docker.socket docker; umount /var/lib/docker/containers; systemctl start docker")


@pytest.mark.parametrize("awake", [True, False], ids=["awake", "asleep"])
def test_a_changed_address_is_listened_on_and_the_old_one_is_free(manager: Manager, build: Build, awake: bool) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    if awake:
        machine.get("http://127.0.0.1:8001/")
    assert said_by(manager.install(build(web("2", port=8002)))) == []
    assert machine.get("http://127.0.0.1:8002/") == "200"
    assert machine.run("curl", "-s", "http://127.0.0.1:8001/", check=False).returncode == 7


def test_a_reinstallation_changes_nothing(manager: Manager, build: Build) -> None:
    machine = manager.machine
    package = build(web("1"))
    manager.install(package)
    before = container_id(machine)
    manager.reinstall(package)
    assert container_id(machine) == before and machine.get("http://127.0.0.1:8001/") == "200"


# The administrator's hand


def test_a_disabled_socket_stays_disabled(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.run("systemctl", "disable", "--now", SOCKET)
    assert said_by(manager.install(build(web("2")))) == []
    assert (is_(machine, "enabled"), is_(machine, "active")) == ("disabled", "inactive")


def test_a_masked_socket_stays_masked(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.run("systemctl", "mask", "--now", SOCKET)
    assert said_by(manager.install(build(web("2")))) == []
    assert (is_(machine, "enabled"), is_(machine, "active")) == ("masked", "inactive")


def test_an_edited_environment_survives_and_takes_effect_at_the_next_wake(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.get("http://127.0.0.1:8001/")
    machine.write("/etc/ondemand/web.env", "WHO=admin\n")
    manager.install(build(web("2")))
    sleep(machine)
    assert '"WHO": "admin"' in machine.sh("curl -sS http://127.0.0.1:8001/")
    assert machine.sh("cat /etc/ondemand/web.env") == "WHO=admin\n"


def test_a_drop_in_survives(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.write(f"/etc/systemd/system/{SOCKET}.d/override.conf", "[Socket]\nListenStream=\nListenStream=8003\n")
    manager.install(build(web("2")))
    assert machine.get("http://127.0.0.1:8003/") == "200"


@pytest.mark.parametrize("command", ["docker rm ondemand-web", "docker container prune --force"])
def test_a_container_that_was_removed_comes_back_with_its_volumes(manager: Manager, build: Build, command: str) -> None:
    machine = manager.machine
    manager.install(build(web("1", more='volumes = ["data:/data"]')))
    machine.get("http://127.0.0.1:8001/")
    machine.sh("docker exec ondemand-web sh -c 'echo kept >/data/file'")
    sleep(machine)
    machine.sh(command)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    assert machine.sh("docker exec ondemand-web cat /data/file") == "kept\n"


# Removal


def test_a_purge_leaves_no_trace(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("0", port=8009)))
    manager.purge("ondemand-web")  # what the package managers themselves leave at their first use is there now
    before = machine.traces()
    manager.install(build(web("1")))
    machine.get("http://127.0.0.1:8001/")
    manager.install(build(web("2", more='env = { NEW = "1" }')))
    machine.get("http://127.0.0.1:8001/")
    assert said_by(manager.purge("ondemand-web")) == []
    assert machine.traces() == before
    assert manager.version("ondemand-web") == ""


def test_a_removal_keeps_volumes_images_and_the_administrators_file(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1", more='volumes = ["data:/data"]\npurge_volumes = true')))
    machine.write("/etc/ondemand/web.env", "WHO=admin\n")
    machine.get("http://127.0.0.1:8001/")
    manager.remove("ondemand-web")
    assert machine.sh("docker ps -aq; docker volume ls -q; docker images -q servers:1 | wc -l") == "data\n1\n"
    kept = "/etc/ondemand/web.env" + ("" if manager.kind == "deb" else ".rpmsave")
    assert machine.sh(f"cat {kept}") == "WHO=admin\n"
    manager.install(build(web("1", more='volumes = ["data:/data"]')))
    assert machine.get("http://127.0.0.1:8001/") == "200"


@pytest.mark.parametrize("declared", [True, False])
def test_only_a_purge_of_a_package_that_declares_it_deletes_volumes(manager: Manager, build: Build, declared: bool) -> None:
    machine = manager.machine
    manager.install(build(web("1", more=f'volumes = ["data:/data"]\npurge_volumes = {str(declared).lower()}')))
    machine.get("http://127.0.0.1:8001/")
    manager.purge("ondemand-web")
    assert machine.sh("docker volume ls -q") == ("" if declared and manager.kind == "deb" else "data\n")


def test_nameless_volumes_stay_and_are_named(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1", more='create_args = ["--volume=/data"]')))
    machine.get("http://127.0.0.1:8001/")
    (line,) = said_by(manager.purge("ondemand-web"))
    (volume,) = machine.sh("docker volume ls -q").split()
    assert line == f"ondemand-web: the container's anonymous volumes are kept; delete them with: docker volume rm {volume}"


def test_a_removal_without_an_engine_says_what_stays(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.run("systemctl", "stop", "docker.socket", "docker.service")
    (line,) = said_by(manager.purge("ondemand-web"))
    assert "; remove it with: docker rm --force ondemand-web" in line
    assert manager.version("ondemand-web") == ""


# The address is taken


def test_who_holds_the_address_is_told_and_the_socket_comes_up_once_it_is_free(manager: Manager, build: Build) -> None:
    machine = manager.machine
    machine.run("systemd-run", "--unit=holder", "nc", "-lk", "8001")
    machine.sh("until ss -Hltn | grep -q :8001; do sleep 0.05; done", timeout=30)
    (line,) = said_by(manager.install(build(web("1"))))
    assert line.startswith("ondemand-web: [::]:8001 is in use by nc (process ")
    assert ", holder.service); free it, then run 'systemctl start ondemand-web.socket' or reboot" in line
    assert "ondemand-web: [::]:8001 is in use by nc " in machine.journal(SOCKET)
    machine.run("systemctl", "stop", "holder")
    machine.run("systemctl", "start", SOCKET)
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_an_address_taken_at_boot_is_told_and_opened_once_it_is_free(manager: Manager, build: Build) -> None:
    machine = manager.machine
    manager.install(build(web("1")))
    machine.write("/etc/systemd/system/holder.socket",
                  f"[Unit]\nBefore={SOCKET}\n[Socket]\nListenStream=8001\n[Install]\nWantedBy=sockets.target\n")
    machine.write("/etc/systemd/system/holder.service", "[Service]\nExecStart=sleep infinity\n")
    machine.run("systemctl", "enable", "holder.socket")
    machine.reboot()
    assert is_(machine, "active") == "failed"
    assert "ondemand-web: [::]:8001 is in use by holder.socket; free it, then " in machine.journal(SOCKET)
    machine.run("systemctl", "disable", "--now", "holder.socket")
    machine.run("systemctl", "start", SOCKET)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    machine.sh("rm /etc/systemd/system/holder.*; systemctl daemon-reload")
    machine.reboot()
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_two_packages_with_one_address_are_told_of_each_other(manager: Manager, build: Build) -> None:
    manager.install(build(web("1")))
    said = manager.install(build(web("1").replace("container.web", "container.other"), "other"))
    assert "ondemand-other: [::]:8001 is in use by ondemand-web.socket; free it, then" in said
    assert manager.version("ondemand-other") == "ii 1-1"
    manager.remove("ondemand-web")
    manager.machine.run("systemctl", "start", "ondemand-other.socket")
    assert manager.machine.get("http://127.0.0.1:8001/") == "200"
