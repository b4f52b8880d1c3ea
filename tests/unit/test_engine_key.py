"""What the key `engine` does: whom a package depends on, which units it asks for, and what goes with which engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondemand_pkg.contents import package_of, units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Resolved

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
    ("engine = 1\n", 'x.toml:5: container.web.engine: found 1; expected "any" or "docker" or "podman", not an integer'),
    ('engine = "lxc"\n', 'x.toml:5: container.web.engine: found "lxc"; allowed: "any" or "docker" or "podman"'),
    ('engine = "systemd"\n', '"systemd" is not supported yet; allowed: "any" or "docker" or "podman"'),
    ('engine = "swarm"\n', '"swarm" is not supported yet'),
    ('engine = "docker"\ncreate_args = ["--sdnotify=ignore"]\n',
     "x.toml:6: container.web.create_args: only Podman takes '--sdnotify'; leave it out, or write engine = \"podman\""),
    ('create_args = ["--sdnotify=ignore", "--isolation=default"]\n', "only Docker takes '--isolation'; leave it out")])
def test_what_no_engine_does_is_an_error_with_its_line(tmp_path: Path, lines: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, lines)
    assert said in "\n".join(map(str, caught.value.faults))
