"""Real firewalls in front of a service: who is kept out wakes nothing, who is let in is answered."""

from __future__ import annotations

from .conftest import Install, machine_of
from .machine import VirtualMachine

machine = machine_of("apparmor")
WEB = '[container.web]\nimage = "servers:1"\nversion = "1"\nports = ["8080:80"]\n'
# Somebody outside: a network namespace behind a pair of veth interfaces.
OUTSIDE = """
ip netns add outside
ip link add inner type veth peer name outer netns outside
ip address add 10.9.0.1/24 dev inner && ip link set inner up
ip --netns outside address add 10.9.0.2/24 dev outer && ip --netns outside link set outer up
"""
ASK = "ip netns exec outside curl --silent --output /dev/null --write-out '%{http_code}' --max-time "


def answer(machine: VirtualMachine, seconds: int = 120) -> str:
    """Return the status of a request from outside, "000" where none came."""
    return machine.run(f"{ASK}{seconds} http://10.9.0.1:8080/")[1]


def state(machine: VirtualMachine) -> str:
    return machine.sh("docker inspect --format '{{.State.Status}}' ondemand-web").strip()


def test_without_a_firewall_somebody_outside_is_answered(machine: VirtualMachine, install: Install) -> None:
    install(machine, WEB)
    machine.sh(OUTSIDE)
    assert answer(machine) == "200"
    machine.sh("systemctl stop ondemand-web-container.service")


def test_ufw_keeps_out_and_lets_in(machine: VirtualMachine) -> None:
    machine.sh("ufw --force enable")
    assert (answer(machine, 5), state(machine)) == ("000", "exited")
    machine.sh("ufw allow from 10.9.0.0/24 to any port 8080 proto tcp")
    assert (answer(machine), state(machine)) == ("200", "running")
    machine.sh("ufw --force reset && systemctl stop ondemand-web-container.service")


def test_firewalld_keeps_out_and_lets_in(machine: VirtualMachine) -> None:
    machine.sh("systemctl start firewalld && firewall-cmd --state")
    assert (answer(machine, 5), state(machine)) == ("000", "exited")
    machine.sh("firewall-cmd --add-port=8080/tcp")
    assert (answer(machine), state(machine)) == ("200", "running")
