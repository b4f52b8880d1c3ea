"""What authors of declarations and administrators may rely on of containers that are there before their package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import names
import pytest
from engines import adopted, docker
from process import Failure

from ondemand_host import checks, systemd
from ondemand_host.places import Installed
from ondemand_pkg.comparing.difference import compare
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration import reader
from ondemand_pkg.exporting import kubernetes
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Resolved
from ondemand_pkg.package import Package

CLOUD = """[adopt.cloud]
version = "1"
container = "nextcloud"
ports = ["80:80", "[::1]:81:81", "/run/cloud.sock:80", "5000:5000/udp"]
"""
ID = "ab" * 32


def declared(directory: Path, text: str) -> list[Container]:
    (directory / "a.toml").write_text(text)
    return reader.read([str(directory / "a.toml")])


def packed(container: Container, format: str = "deb") -> Package:
    return package_of.package(Resolved(container), FORMATS[format], 0)


def content(package: Package, path: str) -> str:
    (entry,) = (entry for entry in package.entries if entry.path == path)
    return entry.data.decode()


def known(**settings: Any) -> dict[str, Any]:
    return {"Id": ID, "Name": "/nextcloud", "State": {
        "Running": True, "Paused": False, "Pid": 7, "StartedAt": "", "ExitCode": 0}, "Config": {"Tty": False},
        "HostConfig": {"NetworkMode": "bridge", **settings},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.9"}}},
        "Mounts": [{"Type": "volume", "Name": "f" * 64, "Destination": "/data"}]}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any] | None]:
    """Return what the engine knows by the names and IDs that it is asked for."""
    (cloud,) = declared(tmp_path, CLOUD)
    (tmp_path / "container.json").write_text(content(packed(cloud), "/usr/libexec/ondemand-cloud/container.json"))
    monkeypatch.setattr(adopted, "DECLARATION", str(tmp_path / "container.json"))
    found: dict[str, dict[str, Any] | None] = {"nextcloud": known(), ID: known()}
    monkeypatch.setattr(docker.Docker, "inspect", lambda _, name, patience=None: found.get(name))
    return found


@pytest.mark.parametrize("format", ["deb", "rpm"])
def test_its_package_installs_no_engine_and_brings_nothing_to_make(tmp_path: Path, format: str) -> None:
    (cloud,) = declared(tmp_path, CLOUD)
    package = packed(cloud, format)
    relations = " ".join(package.relations[FORMATS[format].depends])
    assert "docker" not in relations and "podman" not in relations
    paths = {entry.path for entry in package.entries}
    assert "/etc/ondemand/cloud.env" not in paths and "/usr/libexec/ondemand-cloud/engines/unit.py" not in paths
    assert "/usr/libexec/ondemand-cloud/engines/adopted.py" in paths
    told = json.loads(content(package, "/usr/libexec/ondemand-cloud/container.json"))
    assert told["adopted"] == {"container": "nextcloud"} and "unit" not in told
    assert told["listens"] == [["80/tcp", ""], ["81/tcp", "::1"], ["5000/udp", ""]]
    assert "starts the container nextcloud, which is there already, and is answered by it" in " ".join(package.description)
    readme = content(package, "/usr/share/doc/ondemand-cloud/README")
    assert "adopted container  nextcloud" in readme and "docker (or podman) logs nextcloud" in readme
    assert "unit nextcloud" not in readme


def test_what_a_package_says_of_it_is_a_declaration_that_gives_the_same_package(tmp_path: Path) -> None:
    (cloud,) = declared(tmp_path, CLOUD + 'ready = { exec = ["true"] }\nidle = "5min"\n')
    assert declared(tmp_path, as_toml(cloud)) == [cloud]


def test_another_container_counts_from_the_next_wake_on(tmp_path: Path) -> None:
    (old,), (new,) = declared(tmp_path, CLOUD), declared(tmp_path, CLOUD.replace('"nextcloud"', '"cloud"'))
    (found,) = compare([packed(old)], [packed(new)])
    assert not found.container and [str(change) for change in found.next_wake] == ['container: "nextcloud" -> "cloud"']


def test_it_can_not_be_exported_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(CLOUD)
    objects, losses = kubernetes.objects(reader.read_declared([str(tmp_path / "a.toml")]), False)
    assert objects == [] and "a container that is there already stays on its host" in str(losses[0])


def test_it_is_found_by_its_name_and_followed_by_its_id(asked: dict[str, dict[str, Any] | None]) -> None:
    engine = adopted.AtDocker()
    seen = engine.look(names.WORKLOAD)
    assert seen is not None and (seen.identity, seen.is_running, seen.life, seen.specification) == (
        ID, True, "7", engine.specification)
    assert seen.volumes == (), "nothing of it is the package's, not even to be told"
    asked["nextcloud"] = None
    assert engine.look(names.WORKLOAD) is None and engine.look(ID) is not None


def test_the_beginning_of_an_id_is_no_name(asked: dict[str, dict[str, Any] | None]) -> None:
    engine = adopted.AtDocker()
    engine.declared = {"container": "abab"}
    asked["abab"] = known()
    assert engine.look(names.WORKLOAD) is None and engine.peek(names.WORKLOAD) is None


@pytest.mark.usefixtures("asked")
def test_nothing_else_is_taken_for_a_container_of_the_package() -> None:
    engine = adopted.AtDocker()
    assert engine.look(names.WORKLOAD + ".previous") is None and engine.look(names.WORKLOAD + ".next") is None


@pytest.mark.parametrize(("settings", "told"), [
    ({"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}}, "publishes port 80/tcp, where this package listens"),
    ({"PortBindings": {"1/tcp": [{"HostIp": "::1", "HostPort": "81"}]}}, "publishes port 81/tcp, where this package listens"),
    ({"PortBindings": {"1/udp": [{"HostIp": "127.0.0.1", "HostPort": "5000"}]}}, "publishes port 5000/udp"),
    ({"PortBindings": {"1/tcp": [{"HostIp": "127.0.0.1", "HostPort": "81"}]}}, ""),
    ({"PortBindings": {"1/udp": [{"HostIp": "", "HostPort": "80"}]}}, ""),
    ({"PortBindings": {"80/tcp": None}}, ""), ({"PortBindings": None}, ""),
    ({"RestartPolicy": {"Name": "always"}}, "run 'docker update --restart=unless-stopped nextcloud'"),
    ({"RestartPolicy": {"Name": "unless-stopped"}}, "")])
def test_what_works_against_it_is_told(asked: dict[str, dict[str, Any] | None], settings: dict[str, Any], told: str) -> None:
    asked["nextcloud"] = known(**settings)
    advice = adopted.AtDocker().advice()
    assert told in advice and bool(told) == bool(advice)


def test_one_that_is_not_there_is_told_with_the_remedy(asked: dict[str, dict[str, Any] | None]) -> None:
    asked["nextcloud"] = None
    engine = adopted.AtDocker()
    reason = "the container nextcloud does not exist on this host; create it, or declare another 'container'"
    assert engine.advice().startswith(reason)
    with pytest.raises(Failure, match=f"^{reason}"):
        engine.make(names.WORKLOAD, None)  # type: ignore[arg-type]


def test_the_declared_address_comes_first_and_one_without_any_is_told(asked: dict[str, dict[str, Any] | None]) -> None:
    engine = adopted.AtDocker()
    seen = engine.look(names.WORKLOAD)
    assert seen is not None and engine.addresses(seen) == ["172.17.0.9"]
    seen.known["HostConfig"]["NetworkMode"] = "none"
    seen.known["NetworkSettings"]["Networks"] = {"none": {"IPAddress": ""}}
    with pytest.raises(Failure, match="connect it to a network, or declare its 'address'"):
        engine.addresses(seen)
    engine.address = "10.0.3.5"
    assert engine.addresses(seen) == ["10.0.3.5"]


def test_of_two_engines_the_one_that_has_it_is_asked(asked: dict[str, dict[str, Any] | None]) -> None:
    kinds = [("docker", adopted.AtDocker), ("podman", adopted.AtPodman)]
    assert adopted.of_this_host(kinds, lambda _: True).title == "Docker"
    asked["nextcloud"] = None
    assert adopted.of_this_host(kinds, lambda _: True).title == "Podman"
    assert adopted.of_this_host(kinds, lambda word: word == "docker").title == "Docker"
    assert adopted.of_this_host(kinds, lambda _: False).title == "Docker"


def test_doctor_says_what_works_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    advice = ["it publishes port 80; create it again"]
    found = {"answers": True, "failure": None, "workload": None, "image": None, "advice": advice}
    monkeypatch.setattr(checks, "look", lambda _: (found, ""))
    monkeypatch.setattr(systemd, "units", lambda _: {})
    (trouble,) = checks.engine(Installed("cloud", "ondemand-cloud", adopted="nextcloud"), {})
    assert (trouble.finding, trouble.remedy) == ("it publishes port 80", "create it again")
    assert list(checks.adopted(Installed("cloud", "ondemand-cloud", adopted="nextcloud"), {})) == []
