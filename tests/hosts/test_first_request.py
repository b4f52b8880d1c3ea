"""From an installed package to the first answered request: from the .deb on the oldest host, from the .rpm on the newest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import NGINX, built, manager_on
from .machine import Machine
from .managers import Manager
from .roots import ENDS

shared = manager_on(f"{ENDS[0]}-deb", f"{ENDS[1]}-rpm")


@pytest.fixture(scope="module")
def installed(shared: Manager, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A host on which ondemand-nginx has just been installed, and from which it is removed in the end."""
    shared.install(built(tmp_path_factory.mktemp("nginx"), NGINX)[f"{shared.kind}/nginx"])
    yield shared.machine
    shared.purge("ondemand-nginx")


def sleep(machine: Machine) -> None:
    machine.run("systemctl", "stop", "ondemand-nginx-container.service")


def test_after_the_installation_the_socket_listens_and_the_container_sleeps(installed: Machine) -> None:
    assert installed.sh("docker ps -q") == ""
    assert installed.sh("docker ps -a --format '{{.Names}} {{.Image}}'") == "ondemand-nginx nginx:1.27\n"
    assert "[::]:80 ondemand-nginx.socket ondemand-nginx.service" in " ".join(installed.sh("systemctl list-sockets").split())
    assert installed.sh("systemctl is-enabled ondemand-nginx.socket") == "enabled\n"
    assert installed.run("pgrep", "--full", "--list-full", "ondemand-nginx", check=False).stdout == "", "asleep, no process runs"


def test_the_first_request_is_answered_by_the_container(installed: Machine) -> None:
    sleep(installed)
    assert "<title>Welcome to nginx!</title>" in installed.run("curl", "-sS", "http://127.0.0.1/").stdout
    assert installed.inspect("ondemand-nginx")["State"]["Running"]
    assert installed.sh("systemctl list-units --failed --no-legend 'ondemand-*'") == ""


def test_ipv6_is_answered_as_well(installed: Machine) -> None:
    assert installed.get("http://[::1]/") == "200"


def test_stopping_is_no_failure_and_puts_the_container_to_sleep(installed: Machine) -> None:
    assert installed.get() == "200"
    sleep(installed)
    assert installed.sh("docker ps -q") == ""
    assert installed.sh("systemctl list-units --failed --no-legend 'ondemand-*'") == ""
    assert installed.sh("systemctl is-active ondemand-nginx.socket") == "active\n"


def test_stopping_the_proxy_puts_the_container_to_sleep_too(installed: Machine) -> None:
    assert installed.get() == "200"
    installed.run("systemctl", "stop", "ondemand-nginx.service")
    installed.sh("while ! systemctl show -p ActiveState ondemand-nginx-container | grep -q inactive; do sleep 0.05; done",
                 timeout=30)
    assert installed.sh("docker ps -q") == ""


def test_a_request_right_after_a_stop_is_held_and_answered_by_the_next_start(installed: Machine) -> None:
    for _ in range(10):
        assert installed.get() == "200"
        installed.run("systemctl", "stop", "--no-block", "ondemand-nginx-container.service")
        installed.sh("while systemctl is-active -q ondemand-nginx.service; do sleep 0.01; done", timeout=30)
        assert installed.get() == "200"


def test_a_container_that_is_stopped_behind_systemds_back_is_woken_again(installed: Machine) -> None:
    assert installed.get() == "200"
    installed.run("docker", "stop", "ondemand-nginx")
    installed.sh("while systemctl is-active -q ondemand-nginx.service; do sleep 0.05; done", timeout=30)
    assert installed.get() == "200"


def test_the_containers_output_is_in_the_journal_of_its_unit(installed: Machine) -> None:
    sleep(installed)
    installed.run("docker", "rm", "ondemand-nginx")
    installed.write("/etc/ondemand/nginx.env", "WHO=the administrator\n")
    assert installed.get() == "200"
    installed.run("docker", "exec", "ondemand-nginx", "sh", "-c", "echo \"$WHO was here\" > /proc/1/fd/1")
    sleep(installed)
    assert "the administrator was here" in installed.journal("ondemand-nginx-container")


def test_five_wakes_within_ten_seconds_all_answer(installed: Machine) -> None:
    for _ in range(5):
        sleep(installed)
        assert installed.get() == "200"
    assert installed.sh("systemctl is-active ondemand-nginx.socket") == "active\n"


def test_fifty_cold_starts_in_a_row_all_answer(installed: Machine) -> None:
    statuses = []
    for _ in range(50):
        sleep(installed)
        statuses.append(installed.get())
    assert statuses == ["200"] * 50


def test_two_hundred_clients_at_once_during_a_cold_start_all_answer(installed: Machine) -> None:
    sleep(installed)
    assert installed.clients(200, ("127.0.0.1", 80)) == ["HTTP/1.1 200 OK"] * 200


def test_after_a_reboot_it_sleeps_again_and_wakes_again(installed: Machine) -> None:
    assert installed.get() == "200"
    installed.reboot()
    assert installed.sh("docker ps -q") == ""
    assert installed.get() == "200"
