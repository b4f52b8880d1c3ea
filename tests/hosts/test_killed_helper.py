"""The helper that makes and removes the container, killed: the next one goes on from there, and nothing written is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from .conftest import built
from .machine import Machine

CONTAINER = "/usr/libexec/ondemand-web/container"
# Runs the helper, killed before one of its requests to the engine; without that many requests it is not.
REQUESTS = """
import os, runpy, sys
sys.path.insert(0, "/usr/libexec/ondemand-web")
from engines.docker_api import Api
count, last, send = 0, int(sys.argv.pop(1)), Api.send
def counting(*arguments, **options):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), 9)
    return send(*arguments, **options)
Api.send = counting
sys.argv[0] = "/usr/libexec/ondemand-web/container"
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WEB = ('[container.web]\nimage = "servers:1"\nversion = "1"\nports = ["8001:80"]\n'
       'create_args = ["--volume=/nameless"]\nstop_timeout = "1s"\n')
# Each container, its nameless volume and the NUMBER that it was made for, then what was written into it when it ran.
CONTAINERS = r"""
for name in $(docker ps --all --format '{{.Names}}' | sort); do
    docker inspect --format '{{.Name}} {{.State.Status}} {{range .Mounts}}{{.Name}}{{end}} {{.Config.Env}}' $name |
        sed 's/\[.*\(NUMBER=.\).*/\1/'
    docker cp $name:/written - 2>/dev/null | tar -xO 2>/dev/null
done
docker volume ls --quiet
"""
NO_CONTAINERS = "docker ps -aq | xargs -r docker rm --force; docker volume ls -q | xargs -r docker volume rm"


class Helper:
    """The helper on a host, and the containers that it made."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def declare(self, number: int) -> None:
        self.machine.write("/etc/ondemand/web.env", f"NUMBER={number}\n")

    def call(self, verb: str) -> int:
        return self.machine.run(CONTAINER, verb, check=False).returncode

    def killed(self, verb: str, request: int) -> bool:
        """Call the helper, killed before a request to the engine; return whether it came so far."""
        return self.machine.run("python3", "-c", REQUESTS, str(request), verb, check=False).returncode == -9

    def run_once(self, number: int, then: str = "; docker kill ondemand-web") -> None:
        """Make the container for a number, run it, write into it."""
        self.declare(number)
        self.machine.sh(f"{CONTAINER} create; docker start ondemand-web; "
                        f"docker exec ondemand-web sh -c 'echo written {number} >/written'{then}")

    def containers(self) -> list[str]:
        """Return what is there; the names of nameless volumes, which differ from time to time, become numbers."""
        names: dict[str, str] = {}
        lines = [line.split(" ") for line in self.machine.sh(CONTAINERS).splitlines()]
        return [" ".join(names.setdefault(word, f"volume-{len(names)}") if len(word) == 64 else word for word in line)
                for line in lines]


@pytest.fixture(scope="module")
def installed(trixie: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    trixie.apt_install(built(tmp_path_factory.mktemp("killed"), WEB)["deb/web"])
    yield trixie
    trixie.run("apt-get", "purge", "-y", "ondemand-web")


@pytest.fixture
def helper(installed: Machine) -> Helper:
    installed.sh(NO_CONTAINERS)
    return Helper(installed)


def first(helper: Helper) -> None:
    helper.declare(1)


def replacement(helper: Helper) -> None:
    helper.run_once(1, then="")
    helper.declare(2)


def going_back(helper: Helper) -> None:
    helper.run_once(1)
    helper.run_once(2)
    helper.declare(1)


def removal(helper: Helper) -> None:
    helper.run_once(1)
    helper.declare(2)
    helper.call("create")


WAYS = [(first, "create"), (replacement, "wake"), (going_back, "create"), (removal, "remove")]


@pytest.mark.parametrize(("prepare", "verb"), WAYS, ids=[prepare.__name__ for prepare, _ in WAYS])
def test_killed_at_any_request_to_the_engine_it_is_completed_by_the_next_attempt(
    helper: Helper, prepare: Callable[[Helper], None], verb: str,
) -> None:
    prepare(helper)
    assert helper.call(verb) == 0
    expected = helper.containers()
    for request in itertools.count(1):
        helper.machine.sh(NO_CONTAINERS)
        prepare(helper)
        written = {line for line in helper.containers() if line.startswith("written ")}
        if not helper.killed(verb, request):
            break
        assert verb == "remove" or written <= set(helper.containers()), f"killed before request {request}"
        assert helper.call(verb) == 0
        assert helper.containers() == expected, f"killed before request {request}"
    assert request > 3 and helper.containers() == expected


def test_the_next_attempt_waits_for_the_docker_create_that_a_killed_one_left_behind(helper: Helper) -> None:
    """The client goes on without the helper, for minutes where it pulls an image."""
    machine = helper.machine
    machine.write("/root/first/docker", f"""#!/bin/sh
kill -KILL $PPID
touch /run/left-behind
# The next helper waits for the lock, or would begin, as soon as it has opened the directory.
until ls -l "/proc/$(pgrep -f 'python3 .*{CONTAINER} create')/fd" 2>/dev/null | grep -q '/ondemand-web$'; do sleep 0.05; done
/usr/bin/docker "$@"
touch /run/first-done
""")
    machine.write("/root/second/docker", """#!/bin/sh
until [ -e /run/first-done ]; do sleep 0.05; done
exec /usr/bin/docker "$@"
""")
    machine.sh("chmod +x /root/*/docker")
    helper.declare(1)
    machine.sh(f"PATH=/root/first:$PATH {CONTAINER} create; until [ -e /run/left-behind ]; do sleep 0.05; done", check=False)
    assert machine.run("sh", "-c", f"PATH=/root/second:$PATH {CONTAINER} create", timeout=30).stderr == ""
    name, volume = helper.containers()
    assert name == f"/ondemand-web created {volume} NUMBER=1"


def test_the_container_from_before_outlives_going_back_and_forth_while_the_other_runs(helper: Helper) -> None:
    helper.run_once(1)
    helper.run_once(2, then="")
    expected = helper.containers()
    helper.declare(1)
    assert helper.call("create") == 10, "it waits for the running one to be stopped"
    helper.declare(2)
    assert helper.call("create") == 0
    assert helper.containers() == expected and "written 1" in expected


def test_nameless_volumes_go_on_where_a_replacement_was_killed_and_another_one_was_declared(helper: Helper) -> None:
    helper.run_once(1)
    helper.machine.run("docker", "rename", "ondemand-web", "ondemand-web.previous")  # killed before its second rename
    helper.declare(2)
    assert helper.call("create") == 0
    new, old, _, volume = helper.containers()
    assert volume in new and volume in old
