"""Companions and tasks on a booted host: workers that run while their services are awake, and what runs before these start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import need

import ondemand_host

from .conftest import TOOLS, built
from .machine import Machine, fresh
from .managers import Manager

SERVE = """
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.create_server(("", 80), backlog=100)
while True:
    with listener.accept()[0] as peer:
        if peer.recv(65536):
            peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + os.environ["NAME"].encode())
"""
# Works until it is told to fail by a file on the host.
WORK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while not os.path.exists("/shared/" + os.environ["NAME"] + ".fails"):
    time.sleep(0.05)
sys.exit("the queue is gone")
"""


# Notes that it has run, and ends as a file on the host says.
MIGRATE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
name = "/shared/" + os.environ["NAME"]
time.sleep(1)
with open(name + ".runs", "a") as runs:
    runs.write("run ")
if os.path.exists(name + ".hangs"):
    time.sleep(60)
if os.path.exists(name + ".fails"):
    sys.exit("no such column")
"""


def container(name: str, program: str, rest: str) -> str:
    return (f'[container.{name}]\nimage = "servers:1"\nenv = {{ NAME = "{name}" }}\nstop_timeout = "5s"\n'
            f'volumes = ["/srv/shared:/shared"]\ncommand = ["-c", \'\'\'{program}\'\'\']\n{rest}\n')


SHOP = '[package]\nversion = "1"\n' + "".join([
    container("web", SERVE, 'ports = ["8080:80"]\nidle = "5s"'),
    container("api", SERVE, 'ports = ["8081:80"]'),
    container("worker", WORK, 'companion_of = ["web", "api"]'),
    container("sidecar", WORK, 'companion_of = ["api"]\nbefore = ["api"]\n'
              'ready = { exec = ["python3", "-c", "import os; os.stat(\'/shared/sidecar.ready\')"], timeout = "5s" }'),
    container("front", SERVE, 'ports = ["8085:80"]'),
    container("ui", SERVE, 'companion_of = ["front"]\nports = ["8084:80"]'),
    container("tasked", SERVE, 'ports = ["8082:80"]'),
    container("other", SERVE, 'ports = ["8083:80"]'),
    container("migrate", MIGRATE, 'task = true\nbefore = ["tasked", "other"]\ntask_timeout = "6s"'),
    container("prepare", MIGRATE, 'task = true\nbefore = ["other"]\nwhen = "wake"'),
    '[stack.shop]\n'])


def packages(directory: Path, text: str = SHOP, kind: str = "deb") -> list[Path]:
    directory.mkdir(exist_ok=True)
    return [path for key, path in built(directory, text).items() if key.startswith(f"{kind}/")]


@pytest.fixture(scope="module", params=["bullseye", "forky", "trixie+podman"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        machine.sh("mkdir -p /srv/shared; touch /srv/shared/sidecar.ready")
        directory = Path(str(ondemand_host.__file__)).parent
        shutil.copytree(directory, machine.path("/opt/ondemand_host"), ignore=shutil.ignore_patterns("__pycache__"))
        machine.apt_install(*packages(tmp_path_factory.mktemp("shop")))
        yield machine


def awake(machine: Machine) -> set[str]:
    return set(machine.sh("docker ps --format '{{.Names}}'").replace("ondemand-", "").split())


def becomes(machine: Machine, *names: str) -> None:
    """Wait until no other containers run than those."""
    wanted = " ".join(sorted(f"ondemand-{name}" for name in names))
    machine.sh("for i in $(seq 150); do found=$(docker ps --format '{{.Names}}' | sort | xargs); "
               f"[ \"$found\" = '{wanted}' ] && exit 0; sleep 0.2; done; echo \"$found\"; exit 1")


def asleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'; rm -f /srv/shared/*.fails")
    becomes(machine)


def ask(machine: Machine, port: int) -> str:
    return machine.run("curl", "-sS", "--max-time", "60", f"http://127.0.0.1:{port}/", check=False).stdout


def state(machine: Machine, name: str) -> dict[str, Any]:
    said = machine.run("env", "PYTHONPATH=/opt", "python3", "-m", "ondemand_host", "status", "--json", name).stdout
    (found,) = json.loads(said)["services"]
    return dict(found)


def until_state(machine: Machine, name: str, wanted: str) -> dict[str, Any]:
    for _ in range(100):
        if (found := state(machine, name))["state"] == wanted:
            return found
    raise AssertionError(found)


def test_a_companion_runs_while_one_of_its_services_is_awake(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, 8080) == "web"
    becomes(shop, "web", "worker")
    assert ask(shop, 8081) == "api" and state(shop, "worker")["companion_of"] == ["web", "api"]
    becomes(shop, "api", "worker", "sidecar")  # web has fallen asleep
    shop.sh("systemctl stop ondemand-api-container")
    becomes(shop)
    assert state(shop, "worker")["state"] == "asleep"


def test_a_companion_with_ports_is_woken_by_its_service_and_by_its_clients(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, 8085) == "front"
    becomes(shop, "front", "ui")
    assert ask(shop, 8084) == "ui" and state(shop, "ui")["state"] == "awake"
    shop.sh("systemctl stop ondemand-front-container")
    becomes(shop)
    assert ask(shop, 8084) == "ui"
    becomes(shop, "ui")
    assert ask(shop, 8085) == "front"
    becomes(shop, "front", "ui")
    client = shop.start("sh", "-c", "exec python3 -c \"import socket; s = socket.create_connection(('127.0.0.1', 8084)); "
                        "print('connected', flush=True); input()\"")
    assert client.stdout is not None and client.stdout.readline() == "connected\n"
    shop.sh("systemctl stop ondemand-front-container")
    becomes(shop, "ui")
    client.communicate("")
    becomes(shop)


def test_a_service_that_is_woken_while_its_companion_stops_gets_it_back(shop: Machine) -> None:
    asleep(shop)
    for _ in range(5):
        assert ask(shop, 8081) == "api"
        becomes(shop, "api", "worker", "sidecar")
        shop.sh("systemctl stop ondemand-api-container")
    assert ask(shop, 8081) == "api"
    becomes(shop, "api", "worker", "sidecar")


def test_a_companion_that_dies_is_started_again_and_shown(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, 8081) == "api"
    becomes(shop, "api", "worker", "sidecar")
    shop.sh("docker kill ondemand-worker; sleep 0.5")
    becomes(shop, "api", "worker", "sidecar")
    shop.sh("touch /srv/shared/worker.fails")
    found = until_state(shop, "worker", "failing")
    assert "the container exited with status 1" in found["last_failure"]["reason"] and found["failures_in_a_row"] > 0
    assert awake(shop) >= {"api", "sidecar"} and ask(shop, 8081) == "api", "its service goes on"
    shop.sh("rm /srv/shared/worker.fails")
    becomes(shop, "api", "worker", "sidecar")


def test_helpers_of_a_companion_that_are_killed_come_back(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, 8081) == "api"
    becomes(shop, "api", "worker", "sidecar")
    shop.sh("systemctl kill --signal=KILL --kill-who=main ondemand-worker-container; sleep 1")
    becomes(shop, "api", "worker", "sidecar")


def test_one_that_must_be_ready_first_and_is_not_fails_the_wake(shop: Machine) -> None:
    asleep(shop)
    shop.sh("rm /srv/shared/sidecar.ready")
    assert ask(shop, 8081) == ""
    assert "the companion 'sidecar' could not be started" in shop.journal("ondemand-api-container.service")
    assert "api" not in awake(shop)
    shop.sh("touch /srv/shared/sidecar.ready; sleep 6")
    assert ask(shop, 8081) == "api"


def runs(machine: Machine, name: str) -> int:
    return machine.sh(f"cat /srv/shared/{name}.runs", check=False).count("run")


def test_a_task_that_fails_fails_the_wake_with_its_last_words_and_runs_again(shop: Machine) -> None:
    asleep(shop)
    shop.sh("touch /srv/shared/migrate.fails")
    assert ask(shop, 8082) == ""
    said = shop.journal("ondemand-tasked-container.service")
    assert ("the task 'migrate' failed: it exited with status 1; last output: \"no such column\"; "
            "see 'journalctl -u ondemand-migrate-container'") in said
    found = state(shop, "migrate")
    assert found["state"] == "failing" and "no such column" in found["last_failure"]["reason"]
    shop.sh("rm /srv/shared/migrate.fails; touch /srv/shared/migrate.hangs; sleep 2")
    assert ask(shop, 8082) == ""
    said = shop.journal("ondemand-tasked-container.service")
    assert "it did not end within 6 s; if it needs longer, declare task_timeout" in said
    shop.sh("rm /srv/shared/migrate.hangs /srv/shared/migrate.runs; sleep 2")
    assert awake(shop) == set()


def test_a_task_runs_once_a_version_however_many_wait_for_it(shop: Machine, tmp_path: Path) -> None:
    asleep(shop)
    before = runs(shop, "prepare")
    assert shop.sh("curl -sS --max-time 60 http://127.0.0.1:8082/ & curl -sS --max-time 60 http://127.0.0.1:8083/; wait").count(
        "tasked") == 1
    assert awake(shop) == {"tasked", "other"} and runs(shop, "migrate") == 1 and runs(shop, "prepare") == before + 1
    asleep(shop)
    assert (ask(shop, 8082), ask(shop, 8083)) == ("tasked", "other")
    assert runs(shop, "migrate") == 1 and runs(shop, "prepare") == before + 2, "at each wake"
    assert state(shop, "migrate")["state"] == "asleep"
    for number, (version, count) in enumerate([("2", 2), ("1", 2), ("2", 2)]):
        text = SHOP.replace('version = "1"', f'version = "{version}"')
        (task,) = (path for path in packages(tmp_path / str(number), text) if "ondemand-migrate_" in path.name)
        shop.apt_install(task, options=["--allow-downgrades"])
        asleep(shop)
        assert ask(shop, 8082) == "tasked"
        assert runs(shop, "migrate") == count, "a version that has run does not run again"
    shop.sh("apt-get -y remove ondemand-migrate")
    (task,) = (path for path in packages(tmp_path / "again") if "ondemand-migrate_" in path.name)
    shop.apt_install(task)
    asleep(shop)
    assert ask(shop, 8082) == "tasked" and runs(shop, "migrate") == 2, "nor after a removal"


def test_what_is_killed_while_a_task_runs_leaves_the_next_wake_whole(shop: Machine) -> None:
    asleep(shop)
    before = runs(shop, "prepare")
    shop.sh("curl -sS --max-time 60 http://127.0.0.1:8083/ & until docker ps | grep -q prepare; do sleep 0.05; done; "
            "systemctl kill --signal=KILL --kill-who=main ondemand-prepare-container; wait", check=False)
    shop.sh("sleep 2")
    assert ask(shop, 8083) == "other" and runs(shop, "prepare") >= before + 1


def test_after_a_reboot_companions_sleep_and_come_with_their_services(shop: Machine) -> None:
    shop.reboot()
    assert awake(shop) == set()
    assert ask(shop, 8080) == "web"
    becomes(shop, "web", "worker")
    before = runs(shop, "migrate")
    assert ask(shop, 8082) == "tasked" and runs(shop, "migrate") == before


def test_a_companion_is_upgraded_and_removed_under_a_service_that_is_awake(shop: Machine, tmp_path: Path) -> None:
    asleep(shop)
    assert ask(shop, 8081) == "api"
    becomes(shop, "api", "worker", "sidecar")
    text = SHOP.replace('version = "1"', 'version = "2"').replace('NAME = "worker"', 'NAME = "worker", NEW = "1"')
    (worker,) = (path for path in packages(tmp_path / "next", text) if "ondemand-worker_" in path.name)
    shop.apt_install(worker)
    becomes(shop, "api", "worker", "sidecar")
    assert "NEW=1" in shop.sh("docker inspect --format '{{.Config.Env}}' ondemand-worker")
    shop.sh("apt-get -y purge ondemand-worker; sleep 4")
    assert awake(shop) == {"api", "sidecar"} and "ondemand-worker" not in shop.sh("docker ps --all --format '{{.Names}}'")
    assert shop.sh("systemctl list-units --all --plain --no-legend 'ondemand-worker*'; "
                   "ls -d /usr/libexec/ondemand/web", check=False) == ""
    shop.sh("apt-get -y purge 'ondemand-*'")
    assert shop.sh("ls -d /usr/libexec/ondemand* /run/ondemand* /var/lib/ondemand/*.done; "
                   "systemctl list-units --all --plain --no-legend 'ondemand*'",
                   check=False) == ""


def test_a_companion_is_installed_and_removed_by_dnf(tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    with fresh("forky") as machine:
        machine.sh("mkdir -p /srv/shared; touch /srv/shared/sidecar.ready")
        manager = Manager(machine, "rpm")
        manager.install(*packages(tmp_path, kind="rpm"))
        assert ask(machine, 8081) == "api"
        becomes(machine, "api", "worker", "sidecar")
        manager.remove("ondemand-worker")
        assert awake(machine) == {"api", "sidecar"}
        assert ask(machine, 8082) == "tasked" and runs(machine, "migrate") == 1
        manager.remove(*(f"ondemand-{name}" for name in ("api", "web", "sidecar", "tasked", "other", "migrate", "prepare",
                                                           "front", "ui")))
        assert machine.sh("ls -d /usr/libexec/ondemand*; systemctl list-units --all --plain --no-legend 'ondemand*'",
                          check=False) == ""
