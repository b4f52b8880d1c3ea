"""What the tests rely on: a host that boots, runs containers, reboots and is thrown away."""

from __future__ import annotations

import subprocess
from pathlib import Path

from requirements import need

from .conftest import TOOLS
from .machine import Machine, fresh

TOP = Path(__file__).parents[2]


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


def test_the_command_for_people_runs_a_shell_on_a_fresh_host_with_their_files(tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    (tmp_path / "mine").write_text("echo mine; systemctl is-active docker; exit 3\n")
    done = subprocess.run(["sh", TOP / "tools/host", "trixie", tmp_path / "mine"], input=". ./mine\n", capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout) == (3, "mine\nactive\n"), done.stderr
