"""A Compose project means what `docker-compose config` of Debian testing says after merging and interpolation.

Its projects are those of tests/data. Each value that differs stands in DIFFERENCES with its reason, and none stands there that
does not differ.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import need

from ondemand_pkg.declaration import container_values
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import origins
from ondemand_pkg.importing.compose_service import span
from ondemand_pkg.importing.draft import Draft, name_of

from . import roots

DATA = Path(__file__).parents[1] / "data"
PROJECTS = sorted(path.parent if path.name in ("compose.yaml", "docker-compose.yml") else path for pattern in
                  ("compose-cases/*/compose.yaml", "compose/*.yaml") for path in DATA.glob(pattern))
ENVIRON = {"HOME": "/root", "PORT": "8000", "D": "dd", "FROM_ENV": "yes", "OUTSIDE": "out", "LC_ALL": "C.UTF-8"}

# What docker-compose itself refuses, so that there is nothing to compare with.
REFUSED = {
    "volume-duplicate": "two mounts on one path: refused by both",
    "volume-external-name": "a volume that is not in the table of volumes; taken for one of the project",
    "yaml-traps": "a date as a value; taken as it is written",
    "compose-spec-new": "a file of labels that is not there; told",
    "ports-forms": "an IPv6 address without brackets; taken for what it means",
    "pre-start": "a key that this release does not know; told",
    "immich": "a variable that is not set, so that a mount has no source; told",
    **dict.fromkeys(("matomo", "nextcloud", "plausible"), "a file of variables that is not there; told"),
}
# By project, service and key.
HOSTNAME = "the container's own name, that it knows itself by it"
DIFFERENCES = {
    ("home-assistant", "homeassistant", "ports"): "the host's network, of which a package has none: the known port is published",
    ("vpn", "vpn", "ports"): "the port belongs to what listens on it in this network", ("vpn", "downloader", "ports"): "the same",
    ("hostnet", "hub", "ports"): "the same", ("hostnet", "tv", "ports"): "the same",
    **dict.fromkeys([("umami", "umami", "hostname"), ("mongo-replica-own-name", "mongo", "hostname"),
                     ("own-name", "api", "hostname")], HOSTNAME),
    ("env-multiline", "web", "env"): "no environment file takes a name with a space; told",
    ("env-multiline", "web", "labels"): "the label by which a package knows its container; told",
    ("env-multiline", "web", "user"): "':' is no user, for the engine neither; told",
    ("extends-volume-target", "web", "ports"): "two services with one port, of which Compose starts but one; told",
    ("profiles", "cpu", "ports"): "of two services with one port, the second is moved where both profiles are wanted; told",
}


@pytest.fixture(scope="module")
def compose() -> Iterator[list[str]]:
    """The command docker-compose of Debian testing, run by the loader and with the libraries of that release."""
    need("mmdebstrap", root=True)
    root = roots.tool("forky", "docker-compose")
    libraries = [str(path.parent) for path in root.glob("usr/lib/*/libc.so.6")]
    loader = next(iter(root.glob("usr/lib/*/ld-linux-*.so.*")))
    yield [str(loader), "--library-path", ":".join(libraries), str(root / "usr/libexec/docker/cli-plugins/docker-compose")]


def config(compose: list[str], project: Path) -> dict[str, Any] | None:
    """Return what docker-compose makes of a project, None where it refuses it."""
    directory = project if project.is_dir() else project.parent
    files = [] if project.is_dir() else ["--file", project.name]
    done = subprocess.run([*compose, *files, "--profile", "*", "config", "--format", "json"], cwd=directory, env=ENVIRON,
                          capture_output=True, text=True)
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))
    return found


def expected(config: dict[str, Any], service: dict[str, Any]) -> dict[str, Any]:
    """Return what a service is to become, by key of the declaration."""
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    memory = service.get("mem_limit") or limits.get("memory")
    cpus = service.get("cpus") or limits.get("cpus")
    return {
        "image": service.get("image"), "command": service.get("command"), "entrypoint": service.get("entrypoint"),
        "env": {name: value for name, value in (service.get("environment") or {}).items() if value is not None},
        "labels": service.get("labels") or {}, "user": service.get("user"), "workdir": service.get("working_dir"),
        "memory": int(memory) if memory else None, "cpus": float(cpus) if cpus else None,
        "read_only": bool(service.get("read_only")),
        "cap_add": [one.upper() for one in service.get("cap_add") or []],
        "cap_drop": [one.upper() for one in service.get("cap_drop") or []],
        "ports": sorted(f"{port.get('host_ip', '')} {port['published'].partition('-')[0]} {port['target']}"
                        + ("/udp" if port["protocol"] == "udp" else "")
                        for port in service.get("ports") or [] if port["protocol"] in ("tcp", "udp") and "published" in port),
        "volumes": sorted(f"{source(config, volume)} {volume['target']} {volume.get('read_only', False)}"
                          for volume in service.get("volumes") or []
                          if volume["type"] in ("bind", "volume") and "source" in volume),
        "tmpfs": sorted([*(service.get("tmpfs") or []),
                         *(volume["target"] for volume in service.get("volumes") or [] if volume["type"] == "tmpfs")]),
        "stop_timeout": service.get("stop_grace_period"), "hostname": service.get("hostname"),
        "options": sorted([*(f"--dns={one}" for one in service.get("dns") or []),
                           *(f"--security-opt={one}" for one in service.get("security_opt") or []),
                           *(f"--group-add={one}" for one in service.get("group_add") or []),
                           *(f"--device={one['source']}:{one['target']}" + f":{one['permissions']}".removesuffix(":rwm")
                             for one in service.get("devices") or []),
                           *(f"--sysctl={name}={value}" for name, value in (service.get("sysctls") or {}).items()),
                           *(f"--log-opt={name}={value}"
                             for name, value in (service.get("logging", {}).get("options") or {}).items())]),
    }


def source(config: dict[str, Any], volume: dict[str, Any]) -> str:
    return str(config["volumes"][volume["source"]]["name"] if volume["type"] == "volume" else volume["source"])


def became(draft: Draft) -> dict[str, Any]:
    """Return the same of a draft."""
    values = draft.values
    options = values.get("create_args", [])
    compared = ("--dns=", "--security-opt=", "--group-add=", "--device=", "--sysctl=", "--log-opt=")
    volumes = [volume.split(":") for volume in values.get("volumes", [])]
    return {
        **{key: values.get(key) for key in ("image", "command", "entrypoint", "user", "workdir")},
        "env": values.get("env", {}), "labels": values.get("labels", {}),
        "memory": container_values.MEMORY.parse(values["memory"]) if "memory" in values else None, "cpus": values.get("cpus"),
        "read_only": values.get("read_only", False), "cap_add": values.get("cap_add", []), "cap_drop": values.get("cap_drop", []),
        "ports": sorted(" ".join(parts(port)) for port in values.get("ports", []) if not port.startswith("172.17.0.1:")),
        "volumes": sorted(f"{one[0]} {one[1]} {'ro' in ','.join(one[2:]).split(',')}" for one in volumes
                          if not one[0].startswith(f"{draft.name}-") and not one[1].startswith("/run/secrets/")),
        "tmpfs": sorted(values.get("tmpfs", [])), "stop_timeout": values.get("stop_timeout"),
        "hostname": next((option.partition("=")[2] for option in options if option.startswith("--hostname=")), None),
        "options": sorted(option if not option.startswith("--device=") or ":" in option else f"{option}:{option[9:]}"
                          for option in options if option.startswith(compared)),
    }


def parts(port: str) -> list[str]:
    head, _, inside = port.rpartition(":")
    host, _, listen = head.rpartition(":")
    return [host.strip("[]"), listen, inside]


def file_of(name: str) -> Path:
    directory = DATA / "compose-cases" / name
    return directory / "compose.yaml" if directory.is_dir() else DATA / "compose" / f"{name}.yaml"


def name_in_data(project: Path) -> str:
    return project.name if project.is_dir() else project.stem


@pytest.mark.parametrize("project", PROJECTS, ids=name_in_data)
def test_a_project_means_what_compose_says(project: Path, compose: list[str]) -> None:
    name = name_in_data(project)
    by_compose = config(compose, project)
    if by_compose is None:
        assert name in REFUSED
        return
    assert name not in REFUSED
    drafts, notes = origins.read(str(file_of(name)), ENVIRON, profiles=["*"])
    everything = [*notes, *(note for draft in drafts for note in draft.notes)]
    told = "\n".join(map(str, everything))
    by_name = {draft.name: draft for draft in drafts}
    found = []
    for service, keys in by_compose["services"].items():
        draft = by_name.get(name_of(service))
        if draft is None:
            assert f": {service}: " in told, service
            continue
        here, there = became(draft), expected(by_compose, keys)
        for key, value in there.items():
            if key == "image" and "build" in keys or key == "stop_timeout" and value and here[key] == span(value):
                continue
            if key == "env":  # a value that seems to be a secret is left out, and told
                value = {one: text for one, text in value.items()
                         if one in here[key] or f".{one}: it seems to be a secret" not in told}
            if here[key] != value and (name, service, key) not in DIFFERENCES:
                found.append(f"{service}.{key}: compose {value!r}, import {here[key]!r}")
            assert here[key] != value or (name, service, key) not in DIFFERENCES, "it differs no more"
    assert not found, "\n".join(found)


def test_a_project_that_compose_refuses_is_refused_or_told() -> None:
    for name in REFUSED:
        try:
            drafts, notes = origins.read(str(file_of(name)), ENVIRON)
        except OndemandError:
            continue
        assert notes or any(draft.notes for draft in drafts), name


def test_every_difference_has_its_project() -> None:
    names = {name_in_data(project) for project in PROJECTS}
    assert {name for name, _, _ in DIFFERENCES} | set(REFUSED) <= names
    assert os.path.isdir(DATA)
