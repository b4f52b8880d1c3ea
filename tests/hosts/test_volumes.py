"""Named volumes keep every byte: through prunes while the service sleeps, upgrades from 0.1.0, downgrades and removals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import NGINX, built, manager_on
from .machine import Machine
from .managers import Manager
from .roots import ON_EVERY_HOST

FIRST = Path(__file__).parents[1] / "data/0.1.0"
DIRECTORY = "/var/lib/ondemand/volumes"
# The server starts only with the content that the image has there.
VOLUMES = NGINX + 'volumes = ["conf:/etc/nginx", "log:/var/log/nginx"]\n'
OWNER = "stat --format='%U:%G %a' /var/log/nginx"

shared = manager_on("bullseye-deb", "bullseye-rpm", "bookworm-deb", "trixie-rpm", "forky-deb", "forky-rpm")


@pytest.fixture
def manager(shared: Manager) -> Iterator[Manager]:
    yield shared
    shared.clear("ondemand-shop", "ondemand-naps", "ondemand-nginx")


def package(directory: Path, manager: Manager, text: str, name: str) -> Path:
    return built(directory, text)[f"{manager.kind}/{name}"]


def prune(machine: Machine) -> None:
    """Let the engine delete all that it may, and give the images back."""
    for command in ("system prune --all --force --volumes", "volume prune --force", "volume prune --force --all"):
        machine.sh(f"docker {command}", check=False)  # 20.10 does not know the last one
    assert machine.sh("docker ps --all --quiet") == ""
    for image in ON_EVERY_HOST:
        machine.import_image(image)


def test_new_volumes_outlive_a_prune_and_a_removal(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    new = package(tmp_path, manager, VOLUMES, "nginx")
    assert "prune" not in manager.install(new)
    assert machine.get() == "200"
    assert machine.sh("docker exec ondemand-nginx " + OWNER) == machine.sh(f"docker run --rm nginx:1.27 {OWNER}")
    machine.sh("docker exec ondemand-nginx sh -c 'echo kept > /etc/nginx/kept; rm /etc/nginx/win-utf'")
    before = machine.sh(f"cd {DIRECTORY} && find . -type f -not -path './log/*' -exec sha256sum {{}} + | sort")
    machine.run("systemctl", "stop", "ondemand-nginx-container.service")
    prune(machine)
    assert machine.get() == "200" and machine.sh("docker exec ondemand-nginx cat /etc/nginx/kept") == "kept\n"
    manager.remove("ondemand-nginx")
    machine.sh("docker volume rm conf log")  # their data stay
    assert machine.sh(f"cd {DIRECTORY} && find . -type f -not -path './log/*' -exec sha256sum {{}} + | sort") == before
    assert "prune" not in manager.install(new)
    assert machine.get() == "200" and machine.sh("docker exec ondemand-nginx cat /etc/nginx/kept") == "kept\n"
    manager.purge("ondemand-nginx")
    assert machine.sh(f"cd {DIRECTORY} && find . -type f -not -path './log/*' -exec sha256sum {{}} + | sort") == before
    assert machine.sh(f"stat --format=%a {DIRECTORY}") == "700\n"


def test_volumes_of_the_first_release_stay_until_an_administrator_moves_them(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    older = [next(FIRST.glob(f"ondemand-{name}[-_]*.{manager.kind}")) for name in ("naps", "shop")]
    text = (FIRST / "packages.toml").read_text().replace("[package]\n", "[package]\nrelease = 2\n")
    packages = built(tmp_path, text)
    newer = [packages[f"{manager.kind}/{name}"] for name in ("naps", "shop")]
    machine.sh("mkdir -p /srv/shop")
    manager.install(*older)
    assert machine.get("http://127.0.0.1:8082/") == "200"
    machine.sh("docker exec ondemand-shop sh -c 'echo kept > /data/kept; chown 33:33 /data; chmod 751 /data'")
    volume, container = machine.sh("docker volume inspect shop-data"), machine.inspect("ondemand-shop")["Id"]
    for _ in range(2):
        said = manager.install(*newer)
        assert machine.get("http://127.0.0.1:8082/") == "200"
        machine.run("systemctl", "stop", "ondemand-shop-container.service")
        assert machine.sh("docker volume inspect shop-data") == volume
        assert machine.inspect("ondemand-shop")["Id"] == container
        lines = [line.removeprefix(">>> ") for line in said.splitlines()]
        (at,) = [number for number, line in enumerate(lines) if "made them so that they stay: shop-data; " in line]
        for package in older:
            manager.downgrade(package)
        assert machine.sh("docker volume inspect shop-data") == volume
    manager.install(*newer)
    end = next(number for number, line in enumerate(lines) if number > at and "systemctl start" in line)
    machine.sh("set -e\n" + "\n".join(lines[at + 1:end + 1]))
    assert f'"device": "{DIRECTORY}/shop-data"' in machine.sh("docker volume inspect shop-data")

    def is_kept() -> bool:
        assert machine.get("http://127.0.0.1:8082/") == "200"
        return machine.sh("docker exec ondemand-shop sh -c 'cat /data/kept; stat -c \"%u:%g %a\" /data'") == "kept\n33:33 751\n"

    assert is_kept()
    machine.run("systemctl", "stop", "ondemand-shop-container.service", "ondemand-naps-container.service")
    prune(machine)
    assert is_kept() and "prune" not in manager.reinstall(newer[1]) and is_kept()
    for package in older:
        manager.downgrade(package)
    assert is_kept()
    machine.run("systemctl", "stop", "ondemand-shop-container.service", "ondemand-naps-container.service")
    prune(machine)
    assert is_kept()
    manager.purge("ondemand-shop")
    assert machine.sh(f"cat {DIRECTORY}/shop-data/kept; docker volume ls --quiet --filter name=shop-data") == "kept\nshop-data\n"


def test_a_move_that_fails_leaves_the_volume_as_it_was(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    machine.sh("docker volume create conf; docker volume create log")
    new = package(tmp_path, manager, VOLUMES, "nginx")
    said = manager.install(new)
    lines = [line.removeprefix(">>> ") for line in said.splitlines()]
    at = next(number for number, line in enumerate(lines) if "made them so that they stay: conf, log; " in line)
    end = next(number for number, line in enumerate(lines) if number > at and "systemctl start" in line)
    machine.sh("docker create --name other --volume conf:/conf nginx:1.27")  # it can't be removed
    machine.sh("\n".join(lines[at + 1:end + 1]))
    assert machine.sh("docker volume inspect --format '{{.Options}}' conf").strip() in ("map[]", "<nil>", "<no value>")
    assert machine.sh(f"ls {DIRECTORY}") == "log\n" and machine.get() == "200"


@pytest.mark.parametrize("exists", [False, True])
def test_a_purge_that_is_asked_to_deletes_the_directories_too(manager: Manager, tmp_path: Path, exists: bool) -> None:
    machine = manager.machine
    if exists:
        machine.sh("docker volume create conf")
    manager.install(package(tmp_path, manager, VOLUMES + "purge_volumes = true\n", "nginx"))
    assert machine.get() == "200"
    manager.purge("ondemand-nginx")
    if manager.kind == "deb":
        assert machine.sh("docker volume ls --quiet") == "" and not machine.path("/var/lib/ondemand").exists()
    else:
        assert machine.sh("docker volume ls --quiet") == "conf\nlog\n"
