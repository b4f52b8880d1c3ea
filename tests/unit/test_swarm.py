"""How hosts share a service of a swarm: what each changes, and what it does where others come before it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engines import EngineError, swarm_service
from engines.docker_api import Refused
from engines.swarm import Swarm, replicas_of
from requirements import need

NAME = "ondemand-web"


class Site:
    """The engines of a swarm: one service, and a version of it that every change makes another."""

    def __init__(self, **labels: str) -> None:
        self.spec: dict[str, Any] = {"Name": NAME, "Labels": {"ondemand.spec": "a", **labels},
                                     "Mode": {"Replicated": {"Replicas": 2 if labels else 0}}}
        self.version = 7
        self.states = {"one": "ready", "two": "ready", "three": "ready"}
        self.before_update: list[Callable[[], None]] = []
        self.removed = False

    @property
    def labels(self) -> set[str]:
        return set(self.spec["Labels"]) - {"ondemand.spec"}


class Host(Swarm):
    """One host of the site."""

    def __init__(self, site: Site, node: str) -> None:
        super().__init__()
        self.site, self.node = site, node

    def call(self, method: str, target: str, body: Any = None, patience: float | None = None) -> Any:
        site = self.site
        if target == "/nodes":
            return [{"ID": node, "Status": {"Addr": "10.0.0.1", "State": state}} for node, state in site.states.items()]
        if method == "GET":
            return {"ID": "s", "Version": {"Index": site.version}, "Spec": copy.deepcopy(site.spec)}
        if method == "DELETE":
            site.removed = True
            return None
        if site.before_update:
            site.before_update.pop()()
        if target != f"/services/s/update?version={site.version}":
            raise Refused(500, "rpc error: code = Unknown desc = update out of sequence")
        site.spec, site.version = body, site.version + 1
        return None


def awake(*nodes: str) -> dict[str, str]:
    return {f"ondemand.awake.{node}": "life" for node in nodes}


def test_the_last_host_that_lets_go_scales_the_service_to_0() -> None:
    site = Site(**awake("one", "two"))
    Host(site, "one").stop(NAME)
    assert replicas_of(site.spec) == 2 and site.labels == {"ondemand.awake.two"}
    Host(site, "two").stop(NAME)
    assert replicas_of(site.spec) == 0 and not site.labels


def test_a_client_at_another_host_in_the_moment_of_falling_asleep_keeps_it_awake() -> None:
    site = Site(**awake("one"))

    def comes() -> None:
        site.spec["Labels"].update(awake("two"))
        site.version += 1

    site.before_update = [comes]
    Host(site, "one").stop(NAME)
    assert replicas_of(site.spec) == 2 and site.labels == {"ondemand.awake.two"}


def test_hosts_that_let_go_at_the_same_moment_put_it_to_sleep() -> None:
    site = Site(**awake("one", "two"))
    site.before_update = [lambda: Host(site, "two").stop(NAME)]
    Host(site, "one").stop(NAME)
    assert replicas_of(site.spec) == 0 and not site.labels


def test_hosts_that_are_down_or_have_left_the_swarm_keep_nothing_awake() -> None:
    site = Site(**awake("one", "two", "gone"))
    site.states["two"] = "down"
    Host(site, "one").stop(NAME)
    assert replicas_of(site.spec) == 0


def test_a_service_that_is_changed_all_the_time_is_an_error_and_no_endless_loop() -> None:
    site = Site(**awake("one"))

    def changes() -> None:
        site.version += 1

    site.before_update = [changes] * 1000
    with pytest.raises(EngineError, match="is changed all the time"):
        Host(site, "one").stop(NAME)


def test_the_service_is_removed_with_the_last_node_that_has_the_package_and_is_still_a_member() -> None:
    site = Site(**{f"ondemand.host.{node}": "1-1" for node in ("one", "two", "gone")})
    Host(site, "one").remove(NAME)
    assert not site.removed and site.labels == {"ondemand.host.two", "ondemand.host.gone"}
    Host(site, "two").remove(NAME)
    assert site.removed


@pytest.mark.parametrize(("status", "said", "remedy"), [
    (503, "This node is not a swarm manager.", "this host is no manager of a swarm; run 'docker swarm init'"),
    (500, "rpc error: The swarm does not have a leader.", "the swarm has no leader: more than half of its managers")])
def test_what_keeps_a_host_from_ruling_the_swarm_is_said_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str, remedy: str,
) -> None:
    def refuse(*_: Any) -> None:
        raise Refused(status, said)

    swarm = Swarm()
    monkeypatch.setattr(swarm.api, "call", refuse)
    with pytest.raises(EngineError, match=remedy):
        swarm.look(NAME)


@pytest.mark.parametrize("manager", ["dpkg", "rpm"])
def test_versions_are_compared_as_the_package_manager_does_and_a_label_that_is_none_is_older(
        manager: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need(manager)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: which(name) if name == manager else None)
    newer = [swarm_service.is_newer("1.10-1", other) for other in ("1.9-1", "1.10-1", "1.11-1", "", "1\n2")]
    assert newer == [True, False, False, True, True]
    assert swarm_service.is_newer("1-1", f'1")}} %{{lua: os.execute("touch {tmp_path}/run") --')
    assert not (tmp_path / "run").exists()
