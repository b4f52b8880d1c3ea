"""No value of a declaration breaks out of its place: what goes in comes back out of systemd and of Docker."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB
from ondemand_pkg.model import Container, Resolved

from .conftest import built
from .machine import Machine

NASTY = st.sampled_from([*"%$\"'\\;#-={}[]()~`|&<>!*?,: \t", "%n", "%%",
                         "$HOME", "${X}", "$(id)", "\\n", "\\x41", "--rm", "\u00e9", "\u65e5", "\U0001f433"])
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
LINE = st.lists(NASTY | ANY.filter(lambda character: character not in "\n\r"), min_size=1, max_size=12).map("".join)
TEXT = st.lists(NASTY | ANY | st.just("\n"), max_size=12).map("".join)
KEY = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda key: key not in ("PATH", "HOSTNAME", "HOME", "TERM"))
# Each example is a batch, for one conversation with the host costs as much as many values; a failing batch is shown as it is.
REAL = settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example])


def toml(value: Any) -> str:
    """Write a value as TOML."""
    if isinstance(value, str):
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"


def declare(directory: Path, number: int, **keys: Any) -> Container | None:
    """Return the container of a declaration with these keys, or None where it is refused, with the key named."""
    path = directory / "values.toml"
    keys = {"image": "servers:1", "version": "1", "ports": [f"{9000 + number}:80"], **keys}
    path.write_text(f"[container.v{number}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items()),
                    encoding="utf-8")
    try:
        return read([str(path)])[0]
    except DeclarationError as error:
        assert all(fault.key.startswith(f"container.v{number}.") for fault in error.faults), error
        return None


def put_helpers(machine: Machine, container: Container) -> None:
    """Put what a package brings for making its container on a host, without the package."""
    machine.path("/etc/ondemand").mkdir(exist_ok=True)
    for entry in package_of.package(Resolved(container), DEB, 0).entries:
        if entry.path.startswith(container.libexec) and entry.data:
            machine.path(entry.path).parent.mkdir(parents=True, exist_ok=True)
            machine.path(entry.path).write_bytes(entry.data)
            machine.path(entry.path).chmod(entry.mode)


@REAL
@given(st.lists(st.tuples(LINE, LINE), min_size=20, max_size=40))
def test_descriptions_and_paths_come_back_out_of_systemd(trixie: Machine, tmp_path: Path, values: list[tuple[str, str]]) -> None:
    made = []
    for number, (description, path) in enumerate(values):
        container = declare(tmp_path, number, description=description, ports=[f"/run/v{number}/{path}:80"])
        if container is not None:
            made.append((container, description, f"/run/v{number}/{path}"))
            for name, text in units(container).items():
                (tmp_path / name).write_text(text, encoding="utf-8")
    names = [name for container, _, _ in made for name in units(container)]
    subprocess.run(["tar", "--create", "--file", tmp_path / "units.tar", "-C", tmp_path, *names], check=True)
    with (tmp_path / "units.tar").open("rb") as stream:
        trixie.run("tar", "--extract", "--directory=/run/systemd/system", stdin=stream)
    trixie.run("systemctl", "daemon-reload")
    shown = trixie.run("systemctl", "show", "--property=Description", *[
        unit for container, _, _ in made for unit in (container.socket_unit, container.container_unit)]).stdout
    assert shown == "\n\n".join(
        f"Description={description} (socket)\n\nDescription={description}" for _, description, _ in made) + "\n"
    sockets = [container.socket_unit for container, _, _ in made]
    trixie.run("systemctl", "start", *sockets)
    assert sorted(trixie.sh("find /run/v[0-9]* -type s -print0").split("\0")[:-1]) == sorted(path for _, _, path in made)
    trixie.run("systemctl", "stop", *sockets)
    trixie.sh("rm -r /run/v[0-9]*; rm /run/systemd/system/ondemand-v*")


@REAL
@given(st.lists(st.fixed_dictionaries({
    "command": st.lists(TEXT, min_size=1, max_size=3), "entrypoint": st.lists(TEXT.filter(bool), max_size=2),
    "env": st.dictionaries(KEY, TEXT, max_size=3), "labels": st.dictionaries(KEY, TEXT, max_size=2),
    "added": st.dictionaries(KEY, LINE, max_size=3)}), min_size=4, max_size=8))
def test_arguments_and_environment_come_back_out_of_docker(trixie: Machine, tmp_path: Path, values: list[dict[str, Any]]) -> None:
    for number, keys in enumerate(values):
        added = {key: value for key, value in keys.pop("added").items() if value == "".join(value.splitlines())}
        container = declare(tmp_path, number, **keys)
        assert container is not None
        put_helpers(trixie, container)
        lines = "".join(f"{key}={value}\n" for key, value in added.items())
        path = trixie.path(container.environment_file)
        path.write_text(lines, encoding="utf-8")
        path.chmod(0o600)
        said = trixie.run(f"{container.libexec}/container", "create").stderr
        assert said == ""
        config = trixie.inspect(container.container_name)["Config"]
        environment = dict(variable.split("=", 1) for variable in config["Env"] or [])
        environment.pop("PATH", None)
        assert environment == {**keys["env"], **added}
        assert {key: value for key, value in config["Labels"].items() if key != "ondemand.spec"} == keys["labels"]
        if keys["entrypoint"]:
            assert config["Entrypoint"] == keys["entrypoint"][:1]
        assert config["Cmd"] == keys["entrypoint"][1:] + keys["command"]


def test_every_key_that_docker_takes_reaches_the_container(trixie: Machine, tmp_path: Path) -> None:
    # Not `memory` and `cpus`: an engine drops or refuses them where the kernel has no controller for them, as in such a host.
    trixie.run("mkdir", "-p", "/etc/web")
    trixie.apt_install(built(tmp_path, """
        [container.web]
        image = "servers:1"
        version = "1"
        ports = ["8080:80"]
        command = ["/servers/show.py", "--fast", "-x y"]
        entrypoint = ["python3", "-u"]
        env = { MODE = "production" }
        volumes = ["web-data:/var/lib/web", "/etc/web:/etc/web:ro"]
        user = "1000:1001"
        workdir = "/srv"
        read_only = true
        tmpfs = ["/scratch:size=1m"]
        cap_drop = ["ALL"]
        cap_add = ["NET_BIND_SERVICE"]
        labels = { team = "web" }
        stop_timeout = "7s"
        create_args = ["--shm-size=32m", "--sysctl", "net.ipv4.ip_unprivileged_port_start=0"]
        """)["deb/web"])
    shown = json.loads(trixie.run("curl", "-sS", "http://127.0.0.1:8080/").stdout)
    assert shown["argv"] == ["/servers/show.py", "--fast", "-x y"]
    assert (shown["uid"], shown["gid"], shown["cwd"], shown["environ"]["MODE"]) == (1000, 1001, "/srv", "production")
    details = trixie.inspect("ondemand-web")
    host, config = details["HostConfig"], details["Config"]
    assert (host["ReadonlyRootfs"], host["ShmSize"]) == (True, 32 << 20)
    assert sorted(host["Binds"]) == ["/etc/web:/etc/web:ro", "web-data:/var/lib/web"] and host["Tmpfs"] == {"/scratch": "size=1m"}
    assert (host["CapDrop"], host["CapAdd"]) in [(["ALL"], ["NET_BIND_SERVICE"]), (["ALL"], ["CAP_NET_BIND_SERVICE"])]
    assert config["Labels"]["team"] == "web" and config["StopTimeout"] == 7
    assert not host["PortBindings"], "nothing is published: the proxy reaches the container at its own address"


@pytest.mark.parametrize("line", ["=no key", "no equals", "two words=x", "A\0B=x"])
def test_a_line_of_the_administrators_file_that_is_none_is_named(trixie: Machine, tmp_path: Path, line: str) -> None:
    container = declare(tmp_path, 90)
    assert container is not None
    put_helpers(trixie, container)
    trixie.write("/etc/ondemand/v90.env", f"# a comment\n\nGOOD=1\n{line}\n")
    trixie.run("chmod", "600", "/etc/ondemand/v90.env")
    said = trixie.run("/usr/libexec/ondemand-v90/container", "create").stderr
    assert said == "ondemand-v90: /etc/ondemand/v90.env:4: not a KEY=value line; ignored\n"
    assert "GOOD=1" in trixie.inspect("ondemand-v90")["Config"]["Env"]
