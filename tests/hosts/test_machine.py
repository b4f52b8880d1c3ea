"""What the tests rely on: a host that boots, runs containers, reboots and is thrown away."""

from __future__ import annotations

from .machine import Machine, fresh


def test_a_container_starts_and_answers_on_its_own_address(host: Machine) -> None:
    host.run("docker", "run", "--detach", "--name", "web", "nginx:1.27")
    address = host.inspect("web")["NetworkSettings"]["IPAddress"]
    host.until_answered(f"http://{address}/")


def test_a_reboot_starts_the_host_anew_with_what_was_on_it(host: Machine) -> None:
    before = host.sh("cat /proc/sys/kernel/random/boot_id; date +%s -d \"$(ps -o lstart= 1)\"").split()[1]
    host.write("/root/kept", "kept")
    host.reboot()
    after = host.sh("date +%s -d \"$(ps -o lstart= 1)\"").strip()
    assert host.sh("cat /root/kept") == "kept" and int(after) > int(before)
    assert host.sh("docker ps -q") == ""


def test_nothing_of_one_host_is_on_the_next() -> None:
    for _ in range(2):
        with fresh("trixie") as machine:
            assert machine.sh("ls /root") == "" and machine.sh("docker ps -aq") == ""
            machine.write("/root/left", "left")
            machine.run("docker", "create", "nginx:1.27")
