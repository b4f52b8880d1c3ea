"""What `ondemand-pkg diff` tells an administrator; the effects themselves are shown on hosts (test_life.py)."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from archives import packed
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.comparing.difference import Difference, compare
from ondemand_pkg.contents import package_of
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import SOCKET_PROXYD, Container, Port, Ready, ReadyKind, Resolved, TcpAddress, Volume

OLD = Container("web", "web:1", "1.0", (Port(TcpAddress(None, 80), 8080), Port(TcpAddress(None, 81), 8081)),
                env={"MODE": "a"}, volumes=(Volume("data", "/data"),))


def difference(format_name: str = "deb", old: Container = OLD, **changes: Any) -> Difference:
    new = dataclasses.replace(old, **changes)
    before, after = ([package_of.package(Resolved(each), FORMATS[format_name], 1)] for each in (old, new))
    return compare(before, after)[0]


def told(**changes: Any) -> str:
    return "\n".join(difference(**changes).lines())


def test_nothing_differs_from_itself() -> None:
    for name in FORMATS:
        assert not difference(name) and list(difference(name).lines()) == []


@pytest.mark.parametrize(("changes", "line"), [
    ({"image": "web:2"}, 'image: "web:1" -> "web:2"'),
    ({"env": {"MODE": "b"}}, 'env MODE: "a" -> "b"'),
    ({"env": {}}, 'env MODE: removed: "a"'),
    ({"env": {"MODE": "a", "X": ""}}, "env X: new"),
    ({"memory": 2**28}, '--memory: new: "268435456b"'),
    ({"user": "1"}, '--user: new: "1"'),
    ({"labels": {"a": "b"}}, '--label a: new: "b"'),
    ({"command": ("x", "y")}, 'command: "[]" -> "[\\"x\\", \\"y\\"]"'),
    ({"volumes": (Volume("data", "/data", ("ro",)),)}, 'volume at /data: "data:/data" -> "data:/data:ro"'),
    ({"volumes": ()}, 'volume at /data: removed: "data:/data"'),
])
def test_a_value_that_the_container_is_made_from_recreates_it(changes: dict[str, Any], line: str) -> None:
    found = difference(**changes)
    assert line in [str(change) for change in found.container]
    assert "awake: the service is stopped" in found.downtime() and not found.restarts_socket


def test_another_order_of_volumes_recreates_the_container_too() -> None:
    volumes = (Volume("data", "/data"), Volume("more", "/more"))
    found = difference(old=dataclasses.replace(OLD, volumes=volumes), volumes=volumes[::-1])
    assert [change.what for change in found.container] == ["order of volumes or options"]


def test_a_new_address_restarts_the_socket_and_a_gone_one_alone_does_not() -> None:
    moved = difference(ports=(OLD.ports[0], Port(TcpAddress(None, 82), 8081)))
    assert moved.restarts_socket and {str(change) for change in moved.addresses} == {"81: removed", "82: new"}
    gone = difference(ports=OLD.ports[:1])
    assert not gone.restarts_socket and [str(change) for change in gone.addresses] == ["81: removed"]


@pytest.mark.parametrize("changes", [
    {"idle": 60.0}, {"ports": (Port(TcpAddress(None, 80), 1), OLD.ports[1])}, {"stop_timeout": 99}])
def test_what_only_units_say_waits_for_the_next_wake(changes: dict[str, Any]) -> None:
    found = difference(**changes)
    assert found.next_wake and not found.addresses


def test_what_helpers_read_beside_the_units_is_told_too() -> None:
    with_path = dataclasses.replace(OLD, ready=Ready(ReadyKind.HTTP, path="/a"))
    found = difference(ready=Ready(ReadyKind.HTTP, path="/b"), old=with_path)
    assert [str(change) for change in found.next_wake] == ['ready path: "/a" -> "/b"']
    found = difference(log_limit=2**20)
    assert [str(change) for change in found.next_container] == ['log_limit: "10485760" -> "1048576"']
    assert not found.container and not found.next_wake


def test_another_setting_of_the_socket_is_told_apart() -> None:
    found = difference(allow=(ipaddress.ip_network("::1"),))
    assert 'ondemand-web.socket: IPAddressAllow=: new: "::1/128"' in [str(change) for change in found.socket_settings]


def test_files_scripts_and_relations_that_come_and_go_are_told() -> None:
    found = difference(purge_volumes=True, license="Apache-2.0")
    assert ([change.what for change in found.scripts], found.downtime()) == (["postrm"], "none")
    assert [str(change) for change in found.metadata] == ['license: "MIT" -> "Apache-2.0"']
    helpers = difference(proxy=SOCKET_PROXYD, old=dataclasses.replace(OLD, ports=OLD.ports[:1])).next_wake
    assert {"helper relay: removed", "helper proxyd: new"} <= {str(change) for change in helpers}


def test_the_same_version_with_another_content_is_pointed_out() -> None:
    assert "raise release" in told(image="web:2")
    assert "raise release" not in told(image="web:2", release=2)


def test_a_volume_that_is_declared_no_more_is_said_to_stay() -> None:
    assert "the volume data stays on the host; delete it with: docker (or podman) volume rm data" in told(volumes=())


def run(*argv: str | Path) -> Result:
    return CliRunner().invoke(cli, ["diff", *map(str, argv)])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    text = '[container.web]\nimage = "web:1"\nversion = "1"\nports = ["80:80"]\n'
    (tmp_path / "old.toml").write_text(text)
    (tmp_path / "new.toml").write_text(text.replace("web:1", "web:2").replace('"1"', '"2"') + text.replace("web]", "b]")
                                       .replace("80:", "81:"))
    CliRunner().invoke(cli, ["build", "-o", str(tmp_path), str(tmp_path / "old.toml")], catch_exceptions=False)
    return tmp_path


DEB, RPM = "ondemand-web_1-1_all.deb", "ondemand-web-1-1.noarch.rpm"


@pytest.mark.parametrize(("old", "new"), [("old.toml", "old.toml"), (DEB, "old.toml"), ("old.toml", RPM), (DEB, RPM), (RPM, RPM)])
def test_a_package_and_its_declaration_do_not_differ(work: Path, old: str, new: str) -> None:
    done = run(work / old, work / new)
    assert (done.exit_code, done.stdout) == (0, ""), done.output


@pytest.mark.parametrize("old", ["old.toml", DEB, RPM])
def test_exit_status_1_says_that_something_differs(work: Path, old: str) -> None:
    done = run(work / old, work / "new.toml")
    assert done.exit_code == 1 and done.stdout.startswith("ondemand-web: 1-1 -> 2-1\n")
    assert ("ondemand-b: new, 1-1" in done.stdout) is (old == "old.toml")


def test_json_tells_the_same_to_programs(work: Path) -> None:
    done = run("--json", work / "old.toml", work / "new.toml")
    web, b = json.loads(done.stdout)
    assert (web["container_recreated"], web["socket_restarted"], web["old"], web["new"]) == (True, False, "1-1", "2-1")
    assert {"what": "image", "old": "web:1", "new": "web:2"} in web["changes"]["container"]
    assert (b["old"], b["new"], done.exit_code) == (None, "1-1", 1)
    assert json.loads(run("--json", work / "old.toml", work / "old.toml").stdout) == []


@pytest.mark.parametrize(("content", "message"), [
    (b"x = 1\n", "unknown table"), (b"!<arch>\n", "this .deb can't be read"), (b"\xed\xab\xee\xdbxx", "this .rpm can't be read"),
    (b'[container.other]\nimage = "a"\nversion = "1"\nports = ["1:1"]\n', "it does not contain ondemand-web; compare"),
    (None, "can't be read"),
])
def test_trouble_ends_with_2_so_that_it_is_not_taken_for_a_difference(work: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (work / "broken").write_bytes(content)
    done = run(work / DEB, work / "broken")
    assert done.exit_code == 2 and message in done.stderr and not done.stdout


def test_a_foreign_package_is_told(work: Path) -> None:
    package = dataclasses.replace(package_of.package(Resolved(OLD), FORMATS["deb"], 1), entries=())
    (work / "foreign.deb").write_bytes(packed(FORMATS["deb"], package))
    done = run(work / "foreign.deb", work / "foreign.deb")
    assert done.exit_code == 2 and "only packages built by ondemand-pkg can be compared" in done.stderr


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_releases_that_built_the_two_are_named(format_name: str) -> None:
    new = package_of.package(Resolved(OLD), FORMATS[format_name], 1)
    found = compare([dataclasses.replace(new, built_by="")], [dataclasses.replace(new, built_by="0.3.0")])[0]
    assert [str(change) for change in found.metadata] == ['built by ondemand-pkg: "0.1.0 or older" -> "0.3.0"']
    assert not found.container and found.downtime() == "none"
