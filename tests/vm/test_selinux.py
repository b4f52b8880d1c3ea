"""SELinux enforcing, with the policy that Debian has: the relay and the helpers do all that they must."""

from __future__ import annotations

from .conftest import Install, machine_of
from .machine import VirtualMachine

machine = machine_of("selinux")
WEB = '[container.web]\nimage = "servers:1"\nversion = "1"\nports = ["8080:80"]\nidle = "3s"\n'
OLD = '[container.old]\nimage = "servers:1"\nversion = "1"\nports = ["8081:80"]\nproxy = "systemd-socket-proxyd"\n'
HELPERS = ("ondemand", *(f'comm="{name}"' for name in ("python3", "run", "relay", "container", "waitport", "docker")))


def test_it_enforces(machine: VirtualMachine) -> None:
    assert machine.sh("getenforce").strip() == "Enforcing"
    assert "SELinux" in machine.sh("docker info") or "selinux" in machine.sh("docker info --format '{{.SecurityOptions}}'")


def test_a_client_is_answered_and_the_service_sleeps_again(machine: VirtualMachine, install: Install) -> None:
    install(machine, WEB)
    for _ in range(2):
        machine.sh("curl --silent --show-error --fail --output /dev/null --max-time 120 http://127.0.0.1:8080/")
        machine.sh("while systemctl --quiet is-active ondemand-web-container.service; do sleep 0.2; done")
    assert machine.sh("docker inspect --format '{{.State.Status}}' ondemand-web").strip() == "exited"


def test_its_helpers_are_denied_nothing(machine: VirtualMachine) -> None:
    said = machine.sh("ausearch --input-logs --message AVC 2>/dev/null; journalctl --output=cat --grep='avc:.*denied' || :")
    denied = [line for line in said.splitlines() if "denied" in line]
    assert [line for line in denied if any(word in line for word in HELPERS)] == []


def test_the_proxy_of_systemd_loses_its_clients_as_check_and_the_book_say(machine: VirtualMachine, install: Install) -> None:
    install(machine, OLD)
    asked = machine.run("curl --silent --output /dev/null --write-out '%{http_code}' --max-time 120 http://127.0.0.1:8081/")[1]
    assert asked == "000"
    said = machine.sh("ausearch --input-logs --message AVC")
    assert any("systemd_socket_proxyd_t" in line and "tcp_socket" in line for line in said.splitlines())
