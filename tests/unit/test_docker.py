"""What Docker is asked to create, by each key of the declaration."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.engines import docker
from ondemand_pkg.engines.docker import specification, specification_file
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress, Volume

NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


def declared(**keys: Any) -> dict[str, Any]:
    return specification(Resolved(dataclasses.replace(NGINX, **keys)))


@pytest.mark.parametrize(("keys", "options"), [
    ({"user": "1000:1000"}, ["--user=1000:1000"]),
    ({"workdir": "/srv"}, ["--workdir=/srv"]),
    ({"memory": 256 << 20}, ["--memory=268435456b"]),
    ({"cpus": 1.5}, ["--cpus=1.5"]),
    ({"cpus": 2.0}, ["--cpus=2"]),
    ({"read_only": True}, ["--read-only"]),
    ({"tmpfs": ("/tmp", "/run:size=1m")}, ["--tmpfs=/tmp", "--tmpfs=/run:size=1m"]),
    ({"cap_drop": ("ALL",), "cap_add": ("NET_ADMIN",)}, ["--cap-drop=ALL", "--cap-add=NET_ADMIN"]),
    ({"labels": {"b": "2", "a": "-x"}}, ["--label=a=-x", "--label=b=2"]),
    ({"entrypoint": ("/entry", "-a")}, ["--entrypoint=/entry"]),
    ({"entrypoint": ()}, ["--entrypoint="]),
    ({"create_args": ("--shm-size=64m",)}, ["--shm-size=64m"]),
])
def test_a_key_becomes_an_option(keys: dict[str, Any], options: list[str]) -> None:
    usual = declared()["options"]
    assert [option for option in declared(**keys)["options"] if option not in usual] == options


def test_the_stop_timeout_is_the_engines_too() -> None:
    assert "--stop-timeout=42" in declared(stop_timeout=42)["options"]


def test_the_rest_of_the_entry_point_comes_before_the_command() -> None:
    assert declared(entrypoint=("/e", "-a"), command=("b", "-c"))["command"] == ["-a", "b", "-c"]


def test_volumes_and_environment_are_passed_as_declared() -> None:
    found = declared(env={"B": "2", "A": ""}, volumes=(Volume("data", "/data"), Volume("/etc/x", "/x", ("ro", "z"))))
    assert found["env"] == {"A": "", "B": "2"}
    assert found["volumes"] == ["data:/data", "/etc/x:/x:ro,z"]


@pytest.mark.parametrize("keys", [{"image": "nginx:1.28"}, {"env": {"A": "1"}}, {"command": ("x",)}, {"stop_timeout": 11},
                                  {"volumes": (Volume("data", "/data"),)}])
def test_the_spec_changes_with_what_the_container_is_made_from(keys: dict[str, Any]) -> None:
    assert declared(**keys)["spec"] != declared()["spec"]


@pytest.mark.parametrize("keys", [{"version": "9"}, {"release": 2}, {"description": "x"}, {"maintainer": "a <b@c>"},
                                  {"ports": (Port(TcpAddress(None, 81), 80),)}, {"log_limit": None}])
def test_the_spec_stays_when_only_the_package_changes(keys: dict[str, Any]) -> None:
    assert declared(**keys)["spec"] == declared()["spec"]


ARGUMENT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(ARGUMENT), st.dictionaries(ARGUMENT, ARGUMENT))
def test_any_argument_reaches_the_host_as_it_is(command: list[str], env: dict[str, str]) -> None:
    resolved = Resolved(dataclasses.replace(NGINX, command=tuple(command), env=env))
    read_back = json.loads(specification_file(resolved).decode("ascii"))
    assert (read_back["command"], read_back["env"]) == (command, env)


def test_the_release_that_built_the_package_is_no_part_of_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    before = declared()
    monkeypatch.setattr(docker, "__version__", "9.9")
    after = declared()
    assert (after["built_by"], after["spec"]) == ("9.9", before["spec"])
    assert list(after)[-1] == "spec", "the helpers read it without a parser, as the last value of the file"
