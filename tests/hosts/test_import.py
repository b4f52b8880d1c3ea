"""Compose projects, brought up by docker-compose and, imported, as packages: the containers are alike, and so are the answers.

The differences that are left are those that docs/commands.md tells.  On Debian 12, as .deb and as .rpm, on Debian 13 and testing.
Each host takes the projects one after the other: one here, whose containers are compared, and those of ``projects``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from requirements import need

from ondemand_pkg import layout
from ondemand_pkg.importing import container, draft, origins

from .conftest import TOOLS, built
from .machine import Machine, unbooted
from .managers import Manager

COMPOSE = """
services:
  web:
    image: nginx:1.27
    ports: ["8080:80"]
    depends_on: [app]
    restart: always
    volumes:
      - /srv/nginx.conf:/etc/nginx/nginx.conf:ro
      - logs:/var/log/nginx
    stop_grace_period: 3s
  app:
    image: servers:1
    expose: ["8000"]
    command: ["/servers/show.py", "one two", "$$HOME"]
    environment: {PORTS: 8000, GREETING: "say \\"hi\\" ${NAME:-you}", EMPTY: ""}
    user: "1000:1000"
    working_dir: /srv
    read_only: true
    tmpfs: ["/tmp:size=1m"]
    mem_limit: 64m
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    labels: {team: web}
    hostname: apphost
    init: true
    shm_size: 32m
    ulimits: {nofile: {soft: 1000, hard: 2000}}
    security_opt: [no-new-privileges]
    sysctls: {net.core.somaxconn: "1000"}
    pids_limit: 50
volumes: {logs: }
"""
NGINX_CONF = """error_log stderr; events {}
http { server { listen 80; location / { proxy_pass http://app:8000; } } }
"""
# What a package does in its own way: ports and names are the host's, systemd restarts, output has a limit.
OWN_WAY = {"PortBindings", "NetworkMode", "RestartPolicy", "ExtraHosts", "LogConfig"}
# The same, written otherwise: Compose sends `null` where the docker command sends `[]`, and Mounts tells the volumes.
WRITTEN_OTHERWISE = {"Binds", "Mounts", "VolumesFrom", "Links"}

PROJECTS = Path(__file__).parent / "projects"


@dataclass(frozen=True)
class Project:
    """A project of ``PROJECTS``: what its clients ask, one after the other and then at once, and what must be in the answers."""

    images: tuple[str, ...]
    asked: tuple[tuple[str, ...], ...]
    at_once: tuple[tuple[str, ...], ...]
    answers: tuple[str, ...]
    awake: set[str]


# Both end as they begin: asked again, they answer the same.
SERVED = {
    # A front, a Redis that it reaches by name, a worker without a port, and a migration before the front.
    "shop": Project(
        ("redis:7",),
        (("http://127.0.0.1:8081/",), ("http://127.0.0.1:8081/order?tea",), ("http://127.0.0.1:8081/nothing",)),
        tuple((f"http://127.0.0.1:8081/order?cup-{number}",) for number in range(10)),
        ('{"schema": "7", "migrations": "1", "uid": 1000}', '"sent with $care: TEA"', "404 no such shelf"),
        {"front", "cache", "worker"}),
    # nginx before two services with one inside port, by a name and by an alias; a health check, env_file and a named volume.
    "colours": Project(
        (),
        (("http://127.0.0.1:8082/green/a?b=c",), ("http://127.0.0.1:8082/blue",),
         ("--data", "other", "http://127.0.0.1:8082/blue/kept"), ("http://127.0.0.1:8082/blue",),
         ("--data", "first", "http://127.0.0.1:8082/blue/kept"), ("http://127.0.0.1:8082/red",)),
        tuple((f"http://127.0.0.1:8082/{('blue', 'green')[number % 2]}/{number}",) for number in range(10)),
        ('{"path": "/green/a?b=c", "kept": null, "COLOUR": "green", "MOTTO": null, "BOTH": null, "EMPTY": null}',
         '{"path": "/blue", "kept": "first", "COLOUR": "blue", "MOTTO": "as the sky", "BOTH": "of the service", "EMPTY": ""}',
         '"kept": "other"'),
        {"gate", "blue", "green"}),
}
ASLEEP = ("systemctl stop 'ondemand-*-container.service'; "
          "for i in $(seq 100); do docker ps --quiet | grep -q . || exit 0; sleep 0.1; done; docker ps; exit 1")


@dataclass
class Both:
    """What `docker inspect` tells, by service, and what a client was answered, each way."""

    machine: Machine
    by_compose: dict[str, dict[str, Any]]
    by_package: dict[str, dict[str, Any]]
    answers: list[dict[str, Any]]


@pytest.fixture(scope="module", params=["bookworm-rpm", "bookworm-deb", "trixie-rpm", "forky-deb"])
def host(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """A host with Debian's docker-compose."""
    need(*TOOLS, root=True)
    suite, kind = request.param.split("-")
    with unbooted(suite) as machine:
        machine.chroot("sh", "-c", "apt-get update -q && apt-get install -q -y --no-install-recommends docker-compose")
        machine.boot()
        yield Manager(machine, kind)


@pytest.fixture(scope="module")
def both(host: Manager, tmp_path_factory: pytest.TempPathFactory) -> Both:
    directory = tmp_path_factory.mktemp("import") / "site"
    directory.mkdir()
    file = directory / "compose.yaml"
    file.write_text(COMPOSE)
    drafts, notes = origins.read(str(file), {})
    packages = built(directory, draft.text(drafts, "compose.yaml", notes))
    machine = host.machine
    machine.write("/srv/site/compose.yaml", COMPOSE)
    machine.write("/srv/nginx.conf", NGINX_CONF)
    compose = "cd /srv/site && docker-compose --file compose.yaml "
    machine.sh(compose + "up --detach 2>&1")
    machine.until_answered("http://127.0.0.1:8080/")
    answers = [ask(machine)]
    by_compose = {name: machine.inspect(machine.sh(f"{compose} ps --quiet {name}").strip()) for name in ("web", "app")}
    machine.sh(compose + "down 2>&1")
    host.install(packages[f"{host.kind}/app"], packages[f"{host.kind}/web"])
    answers.append(ask(machine))
    by_package = {name: machine.inspect(f"ondemand-{name}") for name in ("web", "app")}
    return Both(machine, by_compose, by_package, answers)


def ask(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("curl", "-sS", "--max-time", "60", "http://127.0.0.1:8080/").stdout)
    return found


def test_the_first_request_wakes_both_and_is_answered_as_by_compose(both: Both) -> None:
    compose, package = both.answers
    assert package["environ"]["GREETING"] == 'say "hi" you' and package["argv"] == ["/servers/show.py", "one two", "$HOME"]
    assert package == compose


@pytest.mark.parametrize("name", ["web", "app"])
def test_the_process_is_the_same(both: Both, name: str) -> None:
    def process(details: dict[str, Any]) -> dict[str, Any]:
        config = details["Config"]
        own = ("com.docker.compose.", "ondemand.")
        return {**{key: config[key] for key in ("Cmd", "Entrypoint", "User", "WorkingDir", "Image")},
                "Env": sorted(config["Env"] or ()), "StopTimeout": config.get("StopTimeout") or 10,
                "Labels": {key: value for key, value in (config["Labels"] or {}).items() if not key.startswith(own)}}

    assert process(both.by_package[name]) == process(both.by_compose[name])
    if name == "app":
        assert both.by_package[name]["Config"]["Hostname"] == both.by_compose[name]["Config"]["Hostname"] == "apphost"


@pytest.mark.parametrize("name", ["web", "app"])
def test_the_volumes_are_the_same(both: Both, name: str) -> None:
    def mounts(details: dict[str, Any]) -> set[tuple[Any, ...]]:
        keys = ("Type", "Name", "Source", "Destination", "RW")
        return {tuple(mount.get(key) for key in keys) for mount in details["Mounts"]}

    assert mounts(both.by_package[name]) == mounts(both.by_compose[name])


@pytest.mark.parametrize("name", ["web", "app"])
def test_limits_and_rights_are_the_same_and_what_differs_is_known(both: Both, name: str) -> None:
    package, compose = (which[name]["HostConfig"] for which in (both.by_package, both.by_compose))
    assert set(package) ^ set(compose) <= WRITTEN_OTHERWISE
    differing = {key for key in package if (package[key] or None) != (compose.get(key) or None)} - WRITTEN_OTHERWISE
    assert differing <= OWN_WAY, {key: (package[key], compose.get(key)) for key in differing - OWN_WAY}


def test_names_lead_to_a_socket_that_wakes_the_other_container(both: Both) -> None:
    address = layout.shared_address("app")
    assert both.by_package["web"]["HostConfig"]["ExtraHosts"] == [f"app:{address}"]
    listening = both.machine.sh("systemctl list-sockets --no-legend 'ondemand-*'")
    assert f"{address}:8000" in listening and "[::]:8080" in listening


def test_a_container_that_compose_made_is_imported_as_the_same(both: Both) -> None:
    image = json.loads(both.machine.sh("docker image inspect servers:1"))[0]
    values = container.draft_of(both.by_compose["app"], image).values
    assert (values["image"], values["command"], values["user"], values["read_only"]) == (
        "servers:1", ["/servers/show.py", "one two", "$HOME"], "1000:1000", True)
    assert values["env"] == {"PORTS": "8000", "GREETING": 'say "hi" you', "EMPTY": ""} and values["labels"] == {"team": "web"}
    # The limit of processes is not among them: without its cgroup controller the engine of a test host forgets it.
    assert {"--init", "--hostname=apphost", "--shm-size=33554432"} <= set(values["create_args"])


def answers_of(machine: Machine, project: Project) -> list[str]:
    """Return what each client is answered, headers included, without the time."""
    def client(asked: tuple[str, ...]) -> str:
        said = machine.run("curl", "-sS", "--include", "--max-time", "60", *asked).stdout
        return "\n".join(line for line in said.splitlines() if not line.startswith("Date: "))

    with ThreadPoolExecutor(len(project.at_once)) as clients:
        return [*map(client, project.asked), *clients.map(client, project.at_once)]


@pytest.mark.parametrize("name", SERVED)
def test_the_same_clients_get_the_same_answers_from_compose_and_from_packages(host: Manager, name: str, tmp_path: Path) -> None:
    machine, project, directory = host.machine, SERVED[name], tmp_path / name
    machine.sh(ASLEEP)  # what the projects before have left awake
    for image in project.images:
        machine.import_image(image)
    shutil.copytree(PROJECTS / name, directory, ignore=shutil.ignore_patterns("__pycache__"))
    for path in directory.iterdir():
        machine.write(str(path), path.read_text())  # on the host where they are here, for their paths are in the packages
    drafts, notes = origins.read(str(directory / "compose.yaml"), {})
    made = built(tmp_path, draft.text(drafts, "compose.yaml", notes))
    packages = {key.partition("/")[2]: path for key, path in made.items() if key.startswith(f"{host.kind}/")}

    compose = f"cd {directory} && docker-compose "
    machine.sh(compose + "up --detach 2>&1")
    machine.until_answered(project.asked[0][-1])
    answers_of(machine, project)
    by_compose = answers_of(machine, project)
    assert all(any(wanted in answer for answer in by_compose) for wanted in project.answers), by_compose
    machine.sh(compose + "down 2>&1")

    host.install(*packages.values())
    assert answers_of(machine, project) == by_compose, "what wakes them, and what they keep"
    running = set(machine.sh("docker ps --format '{{.Names}}'").replace("ondemand-", "").split())
    assert running == project.awake
    machine.sh(ASLEEP)
    assert answers_of(machine, project) == by_compose, "after a sleep"
