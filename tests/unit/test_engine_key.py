"""What the key `engine` does: whom a package depends on, which units it asks for, and what goes with which engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondemand_pkg.contents import package_of, units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import CarriedImage, Container, Resolved
from ondemand_pkg.package import Stored

SWARM = 'engine = "swarm"\n'
UNPACKED = 'engine = "systemd"\nbundle = true\noutbound = false\n'
PLAIN = '[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\n'


def declared(directory: Path, lines: str) -> Container:
    (directory / "x.toml").write_text(PLAIN + lines)
    container, = read([str(directory / "x.toml")])
    return container


def relations(container: Container, name: str) -> list[str]:
    (found,) = package_of.package(Resolved(container), FORMATS[name], 0).relations.values()
    return [relation for relation in found if "docker" in relation or "podman" in relation]


@pytest.mark.parametrize(("lines", "deb", "rpm"), [
    ("", ["docker.io | docker-ce | moby-engine | podman", "docker-cli | docker-ce-cli | moby-cli | docker.io | podman"],
     ["(docker-ce or moby-engine or docker or podman)"]),
    ('engine = "any"\n', ["docker.io | docker-ce | moby-engine | podman",
                          "docker-cli | docker-ce-cli | moby-cli | docker.io | podman"],
     ["(docker-ce or moby-engine or docker or podman)"]),
    ('engine = "docker"\n', ["docker.io | docker-ce | moby-engine", "docker-cli | docker-ce-cli | moby-cli | docker.io"],
     ["(docker-ce or moby-engine or docker)"]),
    ('engine = "podman"\n', ["podman"], ["podman"]),
    ('create_args = ["--sdnotify=ignore"]\n', ["podman"], ["podman"]),
    ('create_args = ["--userns=keep-id"]\n', ["podman"], ["podman"]),
    ('create_args = ["--isolation=default"]\n',
     ["docker.io | docker-ce | moby-engine", "docker-cli | docker-ce-cli | moby-cli | docker.io"],
     ["(docker-ce or moby-engine or docker)"])])
def test_a_package_depends_on_the_engines_that_can_have_its_container(
    tmp_path: Path, lines: str, deb: list[str], rpm: list[str],
) -> None:
    container = declared(tmp_path, lines)
    assert relations(container, "deb") == deb and relations(container, "rpm") == rpm


def test_the_engine_of_a_package_is_that_of_its_containers(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(f'[package]\nengine = "podman"\n{PLAIN}')
    assert [container.engine for container in read([str(tmp_path / "x.toml")])] == ["podman"]


@pytest.mark.parametrize(("engine", "wants"), [
    ("any", "docker.socket podman.socket"), ("docker", "docker.service"), ("podman", "podman.socket podman.service")])
def test_a_wake_starts_the_engine_that_it_may_need_and_no_service_of_another_one(tmp_path: Path, engine: str, wants: str) -> None:
    container = declared(tmp_path, f'engine = "{engine}"\n')
    assert f"\nWants={wants}\n" in units.units(container)[container.container_unit]


@pytest.mark.parametrize(("lines", "said"), [
    ("engine = 1\n",
     'x.toml:5: container.web.engine: found 1; expected "any" or "docker" or "podman" or "systemd" or "swarm", not an integer'),
    ('engine = "lxc"\n', 'x.toml:5: container.web.engine: found "lxc"; allowed: "any" or "docker" or "podman"'),
    ('engine = "sistemd"\n', 'allowed: "any" or "docker" or "podman" or "systemd"'),
    ('outbound = false\n', 'outbound: it is for engine = "systemd"'),
    (UNPACKED.replace("bundle = true\n", ""), 'bundle: missing; with engine = "systemd", no engine pulls the image'),
    (UNPACKED.replace("outbound = false\n", ""),
     "outbound: connections from the container to other hosts are not supported yet; write outbound = false"),
    (UNPACKED + 'volumes = ["/srv:/a:ro,z"]\n',
     'volumes: "/srv:/a:ro,z": with engine = "systemd", the option \'z\' is not supported yet; leave it out'),
    (UNPACKED + 'path = "kernel"\n', 'path: with engine = "systemd", the server has no address to which the kernel could lead'),
    (UNPACKED + 'network_of = "db"\n', 'network_of: with engine = "systemd", it is not supported yet'),
    (UNPACKED + 'excludes = ["db"]\n', 'excludes: with engine = "systemd", it is not supported yet'),
    (UNPACKED + 'expose = ["80"]\n', 'expose: with engine = "systemd", it is not supported yet'),
    (UNPACKED + 'links = ["db"]\n', 'links: with engine = "systemd", it is not supported yet'),
    (UNPACKED + 'labels = { a = "b" }\n', 'labels: with engine = "systemd", a unit has no labels'),
    (UNPACKED + 'log_limit = "1m"\n', 'log_limit: with engine = "systemd", the output goes into the journal'),
    (UNPACKED + 'create_args = ["--init"]\n', 'create_args: with engine = "systemd", no engine creates anything'),
    (UNPACKED + 'ready = { exec = ["true"] }\n', 'ready: with engine = "systemd", "exec" is not supported yet'),
    (UNPACKED + 'ready = { healthcheck = true }\n', 'ready: with engine = "systemd", "healthcheck" is not supported yet'),
    (UNPACKED + 'cap_add = ["SYS_ADMIN"]\n', 'cap_add: with engine = "systemd", SYS_ADMIN is not supported yet'),
    (UNPACKED + 'proxy = "systemd-socket-proxyd"\n',
     'proxy: with engine = "systemd", the server is reached in a network of its own'),
    ("replicas = 2\n", 'x.toml:5: container.web.replicas: it is for engine = "swarm"; leave it out'),
    ('node = "a"\n', 'x.toml:5: container.web.node: it is for engine = "swarm"'),
    (SWARM + "replicas = 0\n", "x.toml:6: container.web.replicas: found 0; allowed: an integer from 1 to 1000"),
    (SWARM + 'node = "a b"\n', "allowed: the hostname of a node, as the swarm lists it"),
    (SWARM + "bundle = true\n", 'bundle: with engine = "swarm", each node pulls the image for itself, from a registry'),
    (SWARM + 'create_args = ["--init"]\n', 'create_args: with engine = "swarm", nothing is made by'),
    (SWARM + 'requires = ["db"]\n', 'requires: with engine = "swarm", what is required would run on one host alone'),
    (SWARM + 'links = ["db"]\n', 'links: with engine = "swarm", the address of another container is one host'),
    (SWARM + 'expose = ["80"]\n', 'expose: with engine = "swarm", the address for other containers is one host'),
    (SWARM + 'companion_of = ["db"]\n', 'companion_of: with engine = "swarm", what it accompanies runs on one host alone'),
    (SWARM + 'network_of = "db"\n', 'network_of: with engine = "swarm", tasks run on other hosts'),
    (SWARM + 'excludes = ["db"]\n', 'excludes: with engine = "swarm", what it excludes runs on one host alone'),
    (SWARM + 'task = true\n', 'task: with engine = "swarm", it would run on every host'),
    (SWARM + 'log_limit = "1m"\n', 'log_limit: with engine = "swarm", the log driver is chosen by each node'),
    (SWARM + 'idle = "10s"\n', 'idle: with engine = "swarm", hosts agree on idleness, which takes a while; write "30s"'),
    (SWARM + 'idle = "1min"\nidle_action = "pause"\n', 'idle_action: with engine = "swarm", tasks can\'t be paused'),
    (SWARM + 'path = "kernel"\n', 'path: with engine = "swarm", the relay spreads clients over the tasks'),
    (SWARM + "outbound = false\n", 'outbound: it is for engine = "systemd"'),
    (SWARM + 'proxy = "systemd-socket-proxyd"\n', 'proxy: with engine = "swarm", the relay spreads clients over the tasks'),
    (SWARM + 'ready = { log = "x" }\n', 'ready: with engine = "swarm", "log" can\'t be asked of tasks on other hosts'),
    (SWARM + 'ready = { exec = ["true"] }\n', 'ready: with engine = "swarm", "exec" can\'t be asked of tasks on other hosts'),
    (SWARM + 'volumes = ["data:/a"]\n', 'volumes: with engine = "swarm", a task that moves to another node'),
    (SWARM + 'volumes = ["data:/a"]\nnode = "a"\nreplicas = 2\n', 'volumes: with engine = "swarm", a task that moves'),
    ('engine = "docker"\ncreate_args = ["--sdnotify=ignore"]\n',
     "x.toml:6: container.web.create_args: only Podman takes '--sdnotify'; leave it out, or write engine = \"podman\""),
    ('create_args = ["--sdnotify=ignore", "--isolation=default"]\n', "only Docker takes '--isolation'; leave it out")])
def test_what_no_engine_does_is_an_error_with_its_line(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, lines)
    assert said in "\n".join(map(str, caught.value.faults))


def test_a_package_whose_image_systemd_runs_depends_on_no_engine_and_starts_none(tmp_path: Path) -> None:
    container = declared(tmp_path, UNPACKED)
    package = package_of.package(carried(container), FORMATS["deb"], 0)
    (found,) = package.relations.values()
    assert {"systemd (>= 257)", "iproute2"} <= set(found) and not any("docker" in one or "podman" in one for one in found)
    texts = units.units(container)
    assert "Wants=docker" not in texts[container.container_unit] and "ondemand-apart@web.service" in texts
    for unit in (container.container_unit, container.proxy_unit):
        assert "\nNetworkNamespacePath=/run/netns/ondemand-web\n" in texts[unit]
    paths = {entry.path for entry in package.entries}
    assert {f"/usr/libexec/ondemand-web/engines/{name}.py" for name in ("unpacking", "systemd")} <= paths
    assert "/usr/libexec/ondemand-web/engines/docker.py" not in paths


def carried(container: Container) -> Resolved:
    return Resolved(container, CarriedImage("ondemand/nginx:1", Stored(None, 0, "", "")))


def test_a_package_for_a_swarm_needs_docker_and_lets_the_relay_spread_clients(tmp_path: Path) -> None:
    container = declared(tmp_path, SWARM + "replicas = 3\n")
    assert relations(container, "rpm") == ["(docker-ce or moby-engine or docker)"]
    assert "--path tasks 80\n" in units.units(container)[container.proxy_unit]
    paths = {entry.path for entry in package_of.package(Resolved(container), FORMATS["deb"], 0).entries}
    assert {f"/usr/libexec/ondemand-web/{name}.py" for name in ("engines/swarm", "replicas", "carriers/spread")} <= paths
    (declared(tmp_path, SWARM + 'volumes = ["data:/a"]\nnode = "a"\n'))  # that goes: the data stay where the task is
    assert "replicas.py" not in {entry.path.rpartition("/")[2] for entry in package_of.package(
        Resolved(declared(tmp_path, "")), FORMATS["deb"], 0).entries}
