"""What control groups of version 2 do for real: limits, a container without memory, a freezer; and AppArmor beside them."""

from __future__ import annotations

import json

from .conftest import Install, machine_of
from .machine import VirtualMachine

machine = machine_of("apparmor")
GROUP = "/sys/fs/cgroup/system.slice/docker-$(docker inspect --format '{{.Id}}' ondemand-%s).scope"
LIMITED = """
[container.limited]
image   = "servers:1"
version = "1"
ports   = ["8081:80"]
memory  = "64m"
cpus    = 0.5
"""
PAUSED = """
[container.paused]
image       = "servers:1"
version     = "1"
ports       = ["8082:80"]
idle        = "2s"
idle_action = "pause"
"""
GREEDY = """
[container.greedy]
image      = "servers:1"
version    = "1"
ports      = ["8083:80"]
memory     = "32m"
entrypoint = ["python3", "-c", "x = bytearray(256 << 20)"]
"""
# Its child is killed; it goes on, and ends later by itself.
SURVIVOR = """
[container.survivor]
image      = "servers:1"
version    = "1"
ports      = ["8084:80"]
memory     = "48m"
entrypoint = ["python3", "-c", '''
import http.server, subprocess, os
child = subprocess.run(["python3", "-c", "x = bytearray(256 << 20)"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"child %d" % child.returncode)
        self.wfile.flush(); self.connection.close(); os._exit(7)
http.server.HTTPServer(("", 80), Answer).serve_forever()
''']
"""


def content(machine: VirtualMachine, name: str, file: str) -> str:
    """Return what the control group of a container says."""
    return machine.sh(f"cat {GROUP % name}/{file}").strip()


def get(machine: VirtualMachine, port: int) -> str:
    return machine.sh(f"curl --silent --show-error --fail --max-time 120 http://127.0.0.1:{port}/")


def test_limits_are_those_of_the_declaration_and_hold(machine: VirtualMachine, install: Install) -> None:
    install(machine, LIMITED)
    assert json.loads(get(machine, 8081))["port"] == 80
    assert content(machine, "limited", "memory.max") == str(64 << 20)
    assert content(machine, "limited", "cpu.max") == "50000 100000"


def test_a_container_is_confined_by_dockers_profile(machine: VirtualMachine) -> None:
    get(machine, 8081)
    assert machine.sh("cat /proc/$(docker inspect --format '{{.State.Pid}}' ondemand-limited)/attr/current"
                      ).strip() == "docker-default (enforce)"


def test_a_frozen_container_does_nothing_until_the_next_client_who_is_answered(
    machine: VirtualMachine, install: Install,
) -> None:
    install(machine, PAUSED)
    get(machine, 8082)
    life = machine.sh("docker inspect --format '{{.State.Pid}} {{.State.StartedAt}}' ondemand-paused")
    machine.sh(f"until grep -q 'frozen 1' {GROUP % 'paused'}/cgroup.events; do sleep 0.2; done")
    used = content(machine, "paused", "cpu.stat")
    assert content(machine, "paused", "cgroup.freeze") == "1"
    assert content(machine, "paused", "cpu.stat") == used
    get(machine, 8082)
    assert content(machine, "paused", "cpu.stat") != used  # it may be frozen again by now
    assert machine.sh("docker inspect --format '{{.State.Pid}} {{.State.StartedAt}}' ondemand-paused") == life


def test_a_frozen_container_is_stopped_in_order(machine: VirtualMachine) -> None:
    machine.sh(f"until grep -q 'frozen 1' {GROUP % 'paused'}/cgroup.events; do sleep 0.2; done")
    machine.sh("systemctl stop ondemand-paused-container.service")
    assert machine.sh("docker inspect --format '{{.State.Status}} {{.State.Paused}}' ondemand-paused").strip() == "exited false"


def test_a_container_without_memory_is_said_to_have_been_killed_for_that(machine: VirtualMachine, install: Install) -> None:
    install(machine, GREEDY)
    machine.run("curl --silent --max-time 60 http://127.0.0.1:8083/")
    said = machine.sh("journalctl --sync; journalctl --output=cat --unit=ondemand-greedy-container")
    assert "ran out of memory and was killed" in said


def test_a_container_whose_child_was_killed_ends_as_what_it_is(machine: VirtualMachine, install: Install) -> None:
    install(machine, SURVIVOR)
    assert get(machine, 8084) == "child -9"
    machine.sh("while systemctl --quiet is-active ondemand-survivor-container; do sleep 0.2; done")
    assert machine.sh("docker inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' ondemand-survivor").strip() == "true 7"
    said = machine.sh("journalctl --sync; journalctl --output=cat --unit=ondemand-survivor-container")
    assert "out of memory" not in said


def test_apparmor_denies_the_helpers_nothing(machine: VirtualMachine) -> None:
    assert machine.sh("cat /sys/module/apparmor/parameters/enabled").strip() == "Y"
    denied = machine.sh("journalctl --dmesg --output=cat").splitlines()
    assert [line for line in denied if 'apparmor="DENIED"' in line and "docker-default" not in line] == []
