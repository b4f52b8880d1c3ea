"""Declarations made from what a real engine tells: `init` of an image, `import --container` of a container that is there.

What comes out is built as it stands, installed and woken; then `docker inspect` tells of the package's container what it tells
of one that an administrator ran by hand, but for the differences that each test names.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, fresh, has_memory_controller
from .managers import Manager

REGISTRY = "127.0.0.1:5000"
CONFIGURATION = ("version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/docker-registry}}\n"
                 f"http: {{addr: '{REGISTRY}'}}\n")
LOCAL, REMOTE, UNHEALTHY = "site/show:3.1.4", f"{REGISTRY}/site/show:3.1.4", "site/other:1"
# A server that says everything of itself that an image can say.
DOCKERFILE = r"""FROM servers:1
LABEL org.opencontainers.image.description="Shows what it was started with" org.opencontainers.image.licenses=MIT
ENV PORTS="8080 8081" GREETING="hello there"
EXPOSE 8080 8081 5353/udp
VOLUME ["/var/lib/show", "/data"]
WORKDIR /srv
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1h CMD ["python3", "-c", \
"import socket; socket.create_connection(('127.0.0.1', 8080)); open('/tmp/asked', 'w')"]
"""
PORTS = (8080, 8081)
# Of the engine or of that one container; none is a setting.
OF_ITSELF = {"Hostname", "Labels", "AttachStdout", "AttachStderr"}
LIMITED = {"Type": "json-file", "Config": {"max-file": "2", "max-size": str(5 * 1024**2)}}  # what log_limit is by default


@pytest.fixture(scope="module", params=["bookworm-deb", "trixie-rpm"])
def shared(request: pytest.FixtureRequest) -> Iterator[Manager]:
    need(*TOOLS, root=True)
    suite, kind = request.param.split("-")
    # Where the engine can limit nothing, it forgets what it was told; systemd of trixie knows no version 1 of control groups.
    with fresh(suite, limits=suite == "bookworm" and has_memory_controller()) as machine:
        machine.write("/root/registry.yml", CONFIGURATION)
        machine.write("/etc/systemd/system/registry.service",
                      "[Service]\nExecStart=/usr/bin/docker-registry serve /root/registry.yml\n")
        machine.sh("systemctl daemon-reload; systemctl start registry")
        machine.sh(f"until curl --silent --output /dev/null http://{REGISTRY}/v2/; do sleep 0.05; done", timeout=60)
        for tag, text in ((LOCAL, DOCKERFILE), (UNHEALTHY, DOCKERFILE + 'HEALTHCHECK NONE\nENTRYPOINT []\n')):
            machine.write("/root/image/Dockerfile", text)
            machine.sh(f"DOCKER_BUILDKIT=0 docker build --tag {tag} /root/image 2>&1")
        yield Manager(machine, kind)


@pytest.fixture
def manager(shared: Manager, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A package manager on a host without containers, whose engine is the one that the program asks."""
    machine = shared.machine
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{machine.leader}/root/run/docker.sock")
    yield shared
    if shared.version("ondemand-show"):
        shared.purge("ondemand-show")
    machine.sh("docker ps --all --quiet | xargs -r docker rm --force; docker volume ls -q | xargs -r docker volume rm")


def program(directory: Path, *argv: str) -> str:
    """Run the program as somebody does; return what it said on standard error."""
    done = called(directory, *argv)
    assert done.returncode == 0, done.stderr
    return done.stderr


def called(directory: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the program, however it ends."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-m", "ondemand_pkg", *argv], cwd=directory, stdin=subprocess.DEVNULL,
                          env=environ, capture_output=True, text=True)


def install(manager: Manager, directory: Path) -> None:
    program(directory, "check", "show.toml")
    manager.install(built(directory, (directory / "show.toml").read_text())[f"{manager.kind}/show"])
    assert not manager.machine.inspect("ondemand-show")["State"]["Running"]


def shown(machine: Machine, port: int) -> dict[str, Any]:
    """Return what the server says of itself."""
    found: dict[str, Any] = json.loads(machine.run("curl", "-sS", "--max-time", "60", f"http://127.0.0.1:{port}/").stdout)
    del found["environ"]["HOSTNAME"]  # the container's ID
    return found


def settings(details: dict[str, Any]) -> dict[str, Any]:
    """Return what a container is made from, less what is its own."""
    config = {key: value for key, value in details["Config"].items() if key not in OF_ITSELF}
    config.update(Env=sorted(config["Env"]), StopTimeout=config.get("StopTimeout") or 10)  # seconds, the engine's default
    labels = {key: value for key, value in details["Config"]["Labels"].items() if not key.startswith("ondemand.")}
    return {**config, "Labels": labels, "HostConfig": details["HostConfig"]}


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs, by name, but for the limit that a package sets; null and nothing are the same to the engine."""
    one, other = ({**settings(details), **details["HostConfig"]} for details in (ours, theirs))
    if one["LogConfig"] == LIMITED and not other["LogConfig"]["Config"]:
        one["LogConfig"] = other["LogConfig"]
    assert one.pop("HostConfig").keys() == other.pop("HostConfig").keys()
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if (one.get(key) or None) != (other.get(key) or None)}


def mounts(details: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {mount["Destination"]: (mount["Type"], mount.get("Name"), mount["Source"], mount["RW"]) for mount in details["Mounts"]}


# init


@pytest.mark.parametrize("image", [LOCAL, REMOTE])
def test_what_init_writes_is_the_container_that_docker_run_makes(manager: Manager, tmp_path: Path, image: str) -> None:
    machine = manager.machine
    if image == REMOTE:
        machine.sh(f"docker tag {LOCAL} {REMOTE} && docker push --quiet {REMOTE} && docker rmi {REMOTE}")
    said = program(tmp_path, "init", image, "-o", "show.toml")
    assert 'write "5353:5353/udp" into ports' in said
    install(manager, tmp_path)
    answers = [shown(machine, port) for port in PORTS]
    ours = machine.inspect("ondemand-show")
    machine.sh(f"systemctl stop ondemand-show.socket ondemand-show-container; docker run --detach --name by-hand {image}")
    theirs = machine.inspect("by-hand")
    # The host's volumes have names here; docker run makes nameless ones.
    assert differing(ours, theirs).keys() <= {"Binds"}
    assert {target: name for target, (_, name, _, _) in mounts(ours).items()} == {
        "/data": "show-data", "/var/lib/show": "show-var-lib-show"}
    assert mounts(theirs).keys() == mounts(ours).keys()
    address = theirs["NetworkSettings"]["IPAddress"]
    machine.sh(f"until curl --silent --output /dev/null http://{address}:8080/; do sleep 0.05; done", timeout=60)
    found = json.loads(machine.run("curl", "-sS", f"http://{address}:8080/").stdout)
    del found["environ"]["HOSTNAME"]
    assert answers[0] == found and [answer["port"] for answer in answers] == list(PORTS)


def test_what_init_knows_of_the_image_is_the_package_s_and_its_health_check_holds_clients(
    manager: Manager, tmp_path: Path,
) -> None:
    machine = manager.machine
    program(tmp_path, "init", LOCAL, "-o", "show.toml")
    install(manager, tmp_path)
    assert manager.version("ondemand-show").startswith("ii ") and "3.1.4-1" in manager.version("ondemand-show")
    query = {"deb": "dpkg-query -W -f '${Description}' ondemand-show", "rpm": "rpm -q --qf '%{SUMMARY} %{LICENSE}' ondemand-show"}
    assert "Shows what it was started with" in machine.sh(query[manager.kind])
    assert machine.get("http://127.0.0.1:8080/") == "200"
    machine.run("docker", "exec", "ondemand-show", "test", "-e", "/tmp/asked")


def test_a_pull_shows_its_progress_on_a_terminal_and_leaves_none_of_it_in_the_declaration(
    manager: Manager, tmp_path: Path,
) -> None:
    manager.machine.sh(f"docker tag {UNHEALTHY} {REMOTE} && docker push --quiet {REMOTE} && docker rmi {REMOTE} {UNHEALTHY}")
    ours, theirs = pty.openpty()
    with (tmp_path / "show.toml").open("w") as result:
        process = subprocess.Popen([sys.executable, "-m", "ondemand_pkg", "init", REMOTE], stdout=result, stderr=theirs,
                                   cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the program has ended
        while True:
            seen += os.read(ours, 65536)
    os.close(ours)
    assert process.wait(60) == 0 and b"Pulling from site/show" in seen, seen
    manager.machine.run("docker", "tag", REMOTE, UNHEALTHY)
    program(tmp_path, "check", "show.toml")


def test_why_an_image_is_not_to_be_had_is_told_with_the_engine_s_reason(manager: Manager, tmp_path: Path) -> None:
    for image in (f"{REGISTRY}/none:1", "127.0.0.1:1/none:1"):
        done = called(tmp_path, "init", image, "-o", "show.toml")
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and f"the image {image} is unavailable: " in line and "--offline" in line
        assert not (tmp_path / "show.toml").exists()


# import --container

# As an administrator runs a service for years: most of it differs from what the image says.
RUN = f"""docker %s --name show --publish 8080:8080 --publish 127.0.0.1:9001:8081 --restart unless-stopped \
--env GREETING='say "hi" $HOME' --env EMPTY= --env-file /root/show.env --volume /srv/show:/etc/show:ro --volume show-data:/data \
--tmpfs /run/show:size=1m --tmpfs /tmp --read-only --cap-drop ALL --cap-add NET_BIND_SERVICE \
--label team=web --hostname showhost --init --shm-size 32m --ulimit nofile=1000:2000 --security-opt no-new-privileges \
--sysctl net.core.somaxconn=1000 --dns 127.0.0.1 --add-host db:127.0.0.1 --stop-timeout 3 --user 1001:1002 --workdir /var \
--stop-signal SIGINT --log-driver json-file --log-opt max-size=1m --group-add 1003 --oom-score-adj 100 \
--health-cmd 'python3 -c "import socket; socket.create_connection((None, 8080))"' \
{LOCAL} /servers/show.py 'one two' '$HOME' ''"""
LIMITS = "--memory 64m --memory-swap 96m --cpus 1.5 --pids-limit 50"  # which an engine without the controllers refuses or forgets
# The socket listens in the container's place, and systemd starts it; its readiness is `ready`, which run asks.
OWN_WAY = {"PortBindings", "RestartPolicy", "Healthcheck"}


@pytest.mark.parametrize("state", ["running", "stopped", "never started"])
def test_an_imported_container_goes_on_as_it_was(manager: Manager, tmp_path: Path, state: str) -> None:
    machine = manager.machine
    machine.sh("printf 'FROM_FILE=a b\\nPATH=/usr/local/bin:/usr/bin:/bin\\n' > /root/show.env; mkdir -p /srv/show")
    limits = LIMITS if machine.sh("docker info --format '{{.CPUCfsQuota}}'").strip() == "true" else ""
    machine.sh(RUN % (("create " if state == "never started" else "run --detach ") + limits))
    machine.sh("docker run --rm --volume show-data:/data --user 0 servers:1 -c 'open(\"/data/kept\", \"w\").write(\"kept\")'")
    if state != "never started":
        machine.until_answered("http://127.0.0.1:8080/")
        expected = shown(machine, 8080)
    theirs = machine.inspect("show")
    if state == "stopped":
        machine.run("docker", "stop", "show")
    said = program(tmp_path, "import", "--container", "show", "-o", "show.toml")
    assert "restart unless-stopped" in said and "/srv/show is a path of this host" in said
    machine.sh("docker stop show")
    install(manager, tmp_path)
    answer = shown(machine, 8080)
    if state != "never started":
        assert answer == expected
    assert shown(machine, 9001)["port"] == 8081 and answer["argv"] == ["/servers/show.py", "one two", "$HOME", ""]
    ours = machine.inspect("ondemand-show")
    unexplained = {key: values for key, values in differing(ours, theirs).items() if key not in OWN_WAY}
    assert set(unexplained) <= {"Binds"}, unexplained
    assert mounts(ours) == mounts(theirs)
    assert not limits or [ours["HostConfig"][key] for key in ("NanoCpus", "Memory")] == [1.5e9, 64 * 2**20]
    assert machine.run("docker", "exec", "ondemand-show", "cat", "/data/kept").stdout == "kept"


def test_what_comes_from_the_image_stays_the_image_s(manager: Manager, tmp_path: Path) -> None:
    manager.machine.sh(f"docker create --name show --publish 8080:8080 {LOCAL}")
    program(tmp_path, "import", "--container", "show", "-o", "show.toml")
    lines = [line.partition(" = ")[0] for line in (tmp_path / "show.toml").read_text().splitlines() if line[:1].isalpha()]
    assert sorted(lines) == ["image", "ports", "ready", "version", "volumes"]


def test_an_emptied_entry_point_and_a_health_check_switched_off_are_carried_over(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    command = f"--no-healthcheck --entrypoint '' {LOCAL} python3 /servers/show.py x"
    machine.sh(f"docker create --name show --publish 8080:8080 {command}")
    theirs = machine.inspect("show")
    program(tmp_path, "import", "--container", "show", "-o", "show.toml")
    install(manager, tmp_path)
    assert shown(machine, 8080)["argv"] == ["/servers/show.py", "x"]
    assert differing(machine.inspect("ondemand-show"), theirs).keys() <= {"Binds", "PortBindings"}


def test_a_container_whose_tag_has_moved_on_is_told_to_be_of_another_image(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    machine.sh(f"docker create --name show --publish 8080:8080 {LOCAL}; docker tag {LOCAL} site/aside; "
               f"docker tag {UNHEALTHY} {LOCAL}")
    try:
        said = program(tmp_path, "import", "--container", "show", "-o", "show.toml")
    finally:
        machine.sh(f"docker tag site/aside {LOCAL}; docker rmi site/aside")
    assert f"{LOCAL} now refers to another image" in said


def test_a_container_that_is_not_there_is_told_with_the_command_that_lists_them(manager: Manager, tmp_path: Path) -> None:
    done = called(tmp_path, "import", "--container", "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: there is no container 'none'; 'docker ps --all' lists all containers\n"
