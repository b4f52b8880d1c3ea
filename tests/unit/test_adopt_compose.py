"""What authors of declarations and administrators may rely on of Compose projects that are there before their package."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import names
import pytest
from engines import EngineError, adopted, compose

from ondemand_pkg.comparing.difference import compare
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration import reader
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Resolved
from ondemand_pkg.package import Package

SHOP = '[adopt.front]\nversion = "1"\ncompose = "shop"\nservice = "web"\nports = ["80:80"]\n'
JSON = "/usr/libexec/ondemand-front/container.json"


def declared(directory: Path, text: str) -> list[Container]:
    (directory / "a.toml").write_text(text)
    return reader.read([str(directory / "a.toml")])


def packed(container: Container) -> Package:
    return package_of.package(Resolved(container), FORMATS["deb"], 0)


def content(package: Package, path: str) -> str:
    (entry,) = (entry for entry in package.entries if entry.path == path)
    return entry.data.decode()


def listed(service: str, depends: str = "", state: str = "running", number: int = 1, **more: str) -> dict[str, Any]:
    return {"Id": more.pop("identity", f"{service}{number}"), "State": state, "Labels": {
        "com.docker.compose.service": service, "com.docker.compose.container-number": str(number),
        "com.docker.compose.depends_on": depends, **{f"com.docker.compose.{key}": value for key, value in more.items()}}}


class Api:
    """The engine's socket: what it lists, and what it was asked to do."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = []
        self.health = "healthy"
        self.status = 0
        self.asked: list[str] = []

    def call(self, method: str, target: str, patience: float | None = None) -> Any:
        if target.startswith("/containers/json?"):
            assert "com%2Edocker%2Ecompose%2Eproject%3Dshop" in target
            return self.listed
        identity = target.split("/")[2]
        if method == "GET":
            is_running = any(one["Id"] == identity and one["State"] != "exited" for one in self.listed)
            return {"Id": identity, "Name": f"/shop-{identity}", "Config": {}, "HostConfig": {}, "State": {
                "Running": is_running, "Paused": False, "Pid": 7, "StartedAt": "",
                "ExitCode": 0, "Health": {"Status": self.health}}}
        self.asked.append(f"{target.split('/')[3]} {identity}")
        return {"StatusCode": self.status}

    def send(self, method: str, target: str) -> str:
        return target

    def tolerate(self, _: int, method: str, target: str) -> None:
        self.call(method, target)


class Started:
    def __init__(self, target: str, api: Api) -> None:
        api.asked.append(f"start {target.split('/')[2]}")

    def done(self) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    (front,) = declared(tmp_path, SHOP)
    (tmp_path / "container.json").write_text(content(packed(front), JSON))
    monkeypatch.setattr(adopted, "DECLARATION", str(tmp_path / "container.json"))
    found = Api()
    monkeypatch.setattr("engines.docker.Docker.api_on", lambda _, path: found)
    monkeypatch.setattr("engines.docker.Request", lambda target: Started(target, found))
    monkeypatch.setattr(compose.Project, "has_clients", lambda _, one: one.service == "watched")
    return found


def test_its_package_says_what_it_is_and_gives_the_same_declaration(tmp_path: Path) -> None:
    (front,) = declared(tmp_path, SHOP)
    package = packed(front)
    assert "starts the service web of the Compose project shop, which is there already," in " ".join(package.description)
    assert "adopted service    shop/web" in content(package, "/usr/share/doc/ondemand-front/README")
    assert json.loads(content(package, JSON))["adopted"] == {"compose": "shop", "service": "web"}
    assert any(entry.path.endswith("/engines/compose.py") for entry in package.entries)
    assert declared(tmp_path, as_toml(front)) == [front]
    (other,) = declared(tmp_path, SHOP.replace('"web"', '"gate"'))
    (found,) = compare([package], [packed(other)])
    assert [str(change) for change in found.next_wake] == ['service: "web" -> "gate"']


@pytest.mark.parametrize("kind", ['unit = "a.service"', 'container = "cloud"', 'compose = "a"\nservice = "a"'])
def test_its_package_has_every_module_that_its_helpers_load(tmp_path: Path, kind: str) -> None:
    (front,) = declared(tmp_path, f'[adopt.front]\nversion = "1"\n{kind}\nports = ["80:80"]\nidle = "1min"\n')
    sources = {entry.path.partition("/ondemand-front/")[2]: entry.data.decode() for entry in packed(front).entries
               if entry.path.startswith("/usr/libexec/") and entry.path.endswith(".py")}
    own = {path[:-3].replace("/", ".") for path in sources}
    wanted: set[str] = set()
    for path, source in sources.items():
        if path.startswith("engines/") and path != "engines/chosen.py":  # which loads the one that is chosen
            wanted |= set(re.findall(r"^ *from (engines\.\w+) import", source, re.MULTILINE))
            wanted |= {f"engines.{name}" for name in re.findall(r"^ *from engines import ([a-z_]+)$", source, re.MULTILINE)}
    assert wanted and wanted - {"engines.docker_volumes"} <= own, "but for what only containers need that the package makes"


def test_a_label_is_read_as_both_generations_of_compose_write_it() -> None:
    assert compose.parted("") == []
    assert compose.parted("db:service_healthy:false,m:service_completed_successfully:true,a:service_started,b") == [
        ("db", "service_healthy"), ("m", "service_completed_successfully"), ("a", "service_started"), ("b", "service_started")]


def test_what_is_depended_on_is_started_first_and_what_runs_stays(api: Api) -> None:
    api.listed = [listed("web", "db:service_healthy:false,m:service_completed_successfully:false", "exited"),
                  listed("m", "db:service_started:false", "exited"), listed("db", "", "exited"), listed("other", "", "exited"),
                  listed("db", "", "running", 2), listed("web", "", "exited", 2)]
    with pytest.raises(EngineError, match="the service db, which must be healthy first, has ended"):
        compose.ProjectAtDocker().start()  # this engine never says that it runs
    assert api.asked == ["start db1", "start m1"]
    api.listed[2]["State"] = "running"
    api.asked.clear()
    compose.ProjectAtDocker().start()
    assert api.asked == ["start m1", "wait m1", "start web1", "start web2"]


@pytest.mark.parametrize(("health", "status", "told"), [
    ("unhealthy", 0, "the service db, which must be healthy first, is unhealthy"),
    ("", 0, "the service db, which must be healthy first, has no health check"),
    ("healthy", 3, "the service m, which must succeed first, ended with status 3")])
def test_a_condition_that_fails_is_told(api: Api, health: str, status: int, told: str) -> None:
    api.listed = [listed("web", "db:service_healthy:false,m:service_completed_successfully:false", "exited"), listed("db"),
                  listed("m")]
    api.health, api.status = health, status
    with pytest.raises(EngineError, match=told):
        compose.ProjectAtDocker().start()
    assert "start web1" not in api.asked


@pytest.mark.parametrize("depends", ["web:service_started:false", "db:service_started:false"])
def test_labels_that_lead_in_a_circle_end(api: Api, depends: str) -> None:
    api.listed = [listed("web", "db:service_started:false", "exited"), listed("db", depends, "exited")]
    compose.ProjectAtDocker().start()
    assert api.asked == ["start db1", "start web1"]


def test_a_service_without_a_container_is_told_with_the_remedy(api: Api) -> None:
    engine = compose.ProjectAtDocker()
    assert engine.look(names.WORKLOAD) is None
    assert engine.advice().startswith("the Compose project shop has no container of the service web on this host; run")
    api.listed = [listed("web", "db:service_started:false")]
    assert engine.advice().startswith("the Compose project shop has no container of the service db on this host; run")


def test_what_was_run_by_hand_beside_the_service_is_not_the_service(api: Api) -> None:
    api.listed = [listed("web", identity="by-hand", oneoff="True"), listed("web", state="exited")]
    seen = compose.ProjectAtDocker().look(names.WORKLOAD)
    assert seen is not None and seen.identity == "web1"


def test_the_rest_is_stopped_in_the_reverse_order_but_for_what_others_use(api: Api) -> None:
    api.listed = [listed("web", "app:service_started:false,watched:service_started:false", "exited"),
                  listed("app", "db:service_started:false,cache:service_started:false"), listed("db"), listed("cache"),
                  listed("watched"), listed("reports", "db:service_started:false"), listed("idle", "cache::", "exited")]
    compose.ProjectAtDocker().stop_rest("web1")
    assert api.asked == ["stop app1", "stop cache1"]


@pytest.mark.parametrize("name", ["older", "web1"])
def test_while_somebody_makes_it_again_nothing_is_stopped(api: Api, name: str) -> None:
    api.listed = [listed("web", "db:service_started:false", "created"), listed("db")]
    if name == "web1":
        api.listed.append(listed("web", state="exited", identity="old"))
    compose.ProjectAtDocker().stop_rest(name)
    assert api.asked == []


@pytest.mark.parametrize("left", [[], [listed("web", "db:service_started:false", "exited")]])
def test_a_project_that_is_gone_or_lacks_a_part_ends_the_life_all_the_same(api: Api, left: list[dict[str, Any]]) -> None:
    api.listed = left
    compose.ProjectAtDocker().stop_rest(names.WORKLOAD)
    assert api.asked == []


def test_work_beside_the_helper_ends_with_its_outcome() -> None:
    def fails() -> None:
        raise EngineError("no such thing")

    compose.Errand(lambda: time.sleep(0)).done()
    with pytest.raises(EngineError, match="^no such thing$"):
        compose.Errand(fails).done()
