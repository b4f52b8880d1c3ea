"""What may be relied on when services of a Compose project reach each other, share namespaces and have ports not said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ondemand_pkg import layout
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import compose_words, origins

CASES = Path(__file__).parents[1] / "data/compose-cases"
Values = dict[str, dict[str, Any]]


def read(path: Path, **more: Any) -> tuple[Values, str]:
    """Return the values of each container, and everything that is told."""
    drafts, notes = origins.read(str(path), {}, **more)
    everything = [*notes, *(note for draft in drafts for note in draft.notes)]
    return {draft.name: draft.values for draft in drafts}, "\n".join(map(str, everything))


def case(name: str) -> tuple[Values, str]:
    return read(CASES / name / "compose.yaml")


def project(directory: Path, text: str, **more: Any) -> tuple[Values, str]:
    path = directory / "site.yaml"
    path.write_text(text)
    return read(path, **more)


# --- names -----------------------------------------------------------------------------------------------------------


def test_every_name_of_a_service_in_a_shared_network_is_known() -> None:
    found, _ = case("alias")
    assert found["shop"]["links"] == ["pg"] and found["pg"]["expose"] == ["5432"] and "ports" not in found["pg"]
    assert found["pg"]["aliases"] == ["database", "primary.local"]
    found, _ = case("container-name")
    assert found["web"]["links"] == ["cache"] and found["cache"]["aliases"] == ["shop-cache"]
    found, _ = case("links-alias")
    assert found["web"]["links"] == ["db", "db:mysql"] and "aliases" not in found["db"]


def test_a_name_that_no_package_can_have_is_an_alias(tmp_path: Path) -> None:
    found, _ = project(tmp_path, "services:\n  web: {image: 'w:1', ports: ['1:1'], environment: {A: 'x://My_DB:5'}}\n"
                                 "  My_DB: {image: 'd:1'}\n")
    assert found["my-db"]["aliases"] == ["My_DB"] and found["web"]["links"] == ["my-db"] and found["my-db"]["expose"] == ["5"]


def test_services_that_share_no_network_have_no_name_for_each_other(tmp_path: Path) -> None:
    found, told = case("two-isolated")
    assert found["web"]["links"] == ["db"] and "links" not in found["other"]
    assert "services that share no network (web and other, db and other) have one bridge here" in told
    found, _ = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], networks: [a]}
  db: {image: "d:1", expose: [5], networks: {a: {aliases: [seen]}, b: {aliases: [unseen]}}}
networks: {a: {}, b: {}}
""")
    assert found["web"]["links"] == ["db"] and found["db"]["aliases"] == ["seen"]


def test_a_container_knows_itself_where_it_speaks_of_itself(tmp_path: Path) -> None:
    assert "--hostname=api" in case("own-name")[0]["api"]["create_args"]
    assert "--hostname=mongo" in case("mongo-replica-own-name")[0]["mongo"]["create_args"]
    found, _ = project(tmp_path, "services: {k: {image: 'k:1', ports: ['1:1'], hostname: other, environment: {A: 'x://k:1'}}}\n")
    assert found["k"]["create_args"] == ["--hostname=other", "--add-host=k:127.0.0.1"]
    assert "create_args" not in project(tmp_path, "services: {k: {image: 'k:1', ports: ['1:1']}}\n")[0]["k"]


def test_two_with_one_port_are_both_reached_and_no_front_reaches_itself() -> None:
    found, told = case("two-same-port")
    assert found["queue"]["expose"] == found["cache"]["expose"] == ["6379"] and found["web"]["links"] == ["queue", "cache"]
    assert found["web"]["env"] == {"QUEUE_URL": "redis://queue:6379", "CACHE_URL": "redis://cache:6379"} and told == ""
    found, _ = case("front-takes-back-port")
    assert found["front"]["ports"] == ["9000:80"] and found["back"]["expose"] == ["9000"] and "ports" not in found["back"]


def test_two_names_of_one_address_get_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "shared_address", lambda name: "198.18.0.7")
    found, _ = project(tmp_path, "services: {a: {image: 'a:1', expose: [1]}, b: {image: 'b:1', expose: [1]}}\n")
    assert "address" not in found["a"] and found["b"]["address"] == "198.18.0.8"


# --- ports -----------------------------------------------------------------------------------------------------------


def test_ports_come_from_what_the_file_says() -> None:
    assert case("image-exposes")[0]["back"]["expose"] == ["3000"]  # its health check
    assert case("traefik-port")[0]["blog"]["expose"] == ["2368"]
    assert case("expose-beside-ports")[0]["guard"]["expose"] == ["8080", "7422"]


@pytest.mark.parametrize(("keys", "port"), [
    ("labels: {traefik.tcp.services.x.loadbalancer.server.port: 81}", 81),
    ("labels: {caddy.reverse_proxy: '{{upstreams 82}}'}", 82),
    ("environment: {VIRTUAL_PORT: 83}", 83), ("healthcheck: {test: 'curl -f http://localhost/x || exit 1'}", 80),
    ("healthcheck: {test: [CMD, nc, -z, 127.0.0.1, '84']}", 84), ("healthcheck: {test: 'wget https://localhost'}", 443),
    ("healthcheck: {test: [CMD, pg_isready]}", None), ("environment: {VIRTUAL_PORT: none}", None)])
def test_a_port_is_known_from_one_place_or_not_at_all(tmp_path: Path, keys: str, port: int | None) -> None:
    found, told = project(tmp_path, f"services:\n  x:\n    image: 'x:1'\n    {keys}\n  web: {{image: 'w:1', ports: ['1:1']}}\n")
    if port is None:
        assert "x" not in found and ": x: left out: no port of it is known" in told and "services: 1 of 2" in told
    else:
        assert found["x"]["expose"] == [str(port)] and "ports" not in found["x"]


def test_ports_of_datagrams_are_exposed_to_those_that_use_them(tmp_path: Path) -> None:
    found, notes = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [names, logs]}
  names: {image: "n:1", ports: ["53:53/udp", "53:53/tcp"]}
  logs: {image: "l:1", expose: ["514/udp"]}
""")
    assert (found["names"]["expose"], found["logs"]["expose"]) == (["53/udp", "53"], ["514/udp"])
    assert found["logs"]["ready"] == "started"
    assert found["web"]["links"] == ["names", "logs"] and not [note for note in notes if "UDP ports" in str(note)]


def test_the_engine_is_asked_what_an_image_exposes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Engine:
        def __init__(self, environ: object) -> None:
            pass

        def image(self, reference: str, progress: object, pull: bool) -> dict[str, Any]:
            asked.append((reference, pull))
            return {"Config": {"ExposedPorts": {"8123/tcp": {}, "53/udp": {}}}}

    monkeypatch.setattr(origins, "DockerEngine", Engine)
    text = "services: {x: {image: 'x:1'}, web: {image: 'w:1', ports: ['1:1']}}\n"
    assert project(tmp_path, text, offline=False)[0]["x"]["expose"] == ["8123"]
    assert asked == [("x:1", False)]
    assert "x" not in project(tmp_path, text, offline=True)[0] and len(asked) == 1


def test_a_silent_port_of_several_does_not_stop_a_container(tmp_path: Path) -> None:
    found, told = case("multi-port-ready")
    assert found["dns"]["ready"] == {"tcp": "any"} and "one of 3000, 80, 853, 53 that listens makes it ready" in told
    assert case("healthcheck-own-port-and-tcp")[0]["mail"]["ready"] == {"tcp": "any"}
    found, _ = project(tmp_path, "services:\n  a: {image: 'a:1', ports: ['1:1', '2:2'], healthcheck: {test: x}}\n"
                                 "  b: {image: 'b:1', ports: ['3:1', '4:1']}\n")
    assert "exec" in found["a"]["ready"] and "ready" not in found["b"]


# --- what is left out ------------------------------------------------------------------------------------------------


def test_a_task_runs_before_what_waits_for_it() -> None:
    found, told = case("init-completed")
    assert found["web"]["links"] == found["migrate"]["requires"] == ["db"]
    assert found["migrate"]["task"] is True and found["migrate"]["before"] == ["web"] and "requires" not in found["web"]
    assert "migrate.service: a task that runs to its end: once for each version, before web" in told
    assert found["migrate"].keys().isdisjoint(("ports", "expose", "idle", "ready"))


def test_what_is_left_to_compose_is_told_with_what_it_needs(tmp_path: Path) -> None:
    found, told = project(tmp_path, """name: site
services:
  web: {image: "w:1", ports: ["80:80"], volumes: ["data:/d"], depends_on: [worker]}
  worker: {image: "w:1", volumes: ["data:/d"], depends_on: [db], restart: on-failure}
  db: {image: "postgres:16"}
volumes: {data: {}}
""")
    assert "ports" not in found["db"]
    assert ("it needs extra_hosts: [db:host-gateway] and ports = [\"172.17.0.1:5432:5432\"] in [container.db] and the volume "
            "site_data as external" in told)
    assert "services: 2 of 3 are in the declaration; web needs worker, which is left out" in told


def test_a_worker_runs_with_what_depends_on_it_or_with_what_clients_reach(tmp_path: Path) -> None:
    found, told = project(tmp_path, """name: site
services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [sidecar, db]}
  worker: {image: "w:1", depends_on: [db], healthcheck: {test: [CMD, alive]}}
  mailer: {image: "w:1", depends_on: [web]}
  sidecar: {image: "s:1"}
  job: {image: "s:1", depends_on: [db], restart: "no"}
  alone: {image: "s:1"}
  db: {image: "postgres:16"}
""")
    assert found["worker"]["companion_of"] == ["web"] and "before" not in found["worker"]
    assert found["worker"]["requires"] == ["db"] and found["worker"]["ready"] == {"exec": ["alive"]}
    assert found["mailer"]["companion_of"] == ["web"] and "requires" not in found["mailer"]
    assert found["sidecar"]["companion_of"] == found["sidecar"]["before"] == ["web"]
    assert found["web"]["requires"] == ["db"] and {"job", "alone"}.isdisjoint(found)
    assert all("idle" not in found[name] and "expose" not in found[name] for name in ("worker", "mailer", "sidecar"))
    assert "worker.service: nothing connects to it: it runs while web is awake" in told or "worker, mailer, sidecar" in told


def test_an_alternative_by_profile_is_no_collision() -> None:
    found, told = case("profiles")
    assert found["gpu"]["ports"] == ["7860:7860"] and set(found) == {"gpu"}
    assert "cpu: left out: its port 7860:7860 is that of gpu, the alternative by profile; import it with --profile cpu" in told


# --- namespaces and networks -----------------------------------------------------------------------------------------


def test_no_service_leaves_its_tunnel() -> None:
    found, told = case("vpn")
    assert found["downloader"]["network_of"] == "vpn" and found["downloader"]["ports"] == ["8090:8090"]
    assert "ports" not in found["vpn"] and found["vpn"]["companion_of"] == ["downloader"]
    assert "its ports 8090:8090 moved here from vpn: they wake both" in told


def test_what_is_behind_a_gateway_with_a_port_of_its_own_stays_there(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  vpn: {image: "v:1", ports: ["8090:8090", "8000:8000"]}
  loader: {image: "l:1", network_mode: "service:vpn", expose: ["8090"]}
  other: {image: "o:1", network_mode: "container:elsewhere", expose: ["1"]}
""")
    assert found["vpn"]["ports"] == ["8000:8000"] and found["loader"]["ports"] == ["8090:8090"]
    assert found["loader"]["network_of"] == "vpn" and not {"create_args", "requires"} & found["loader"].keys()
    assert "its ports 8090:8090 moved here from vpn" in told
    assert "other" not in found and "would not go through elsewhere, which is not in the project" in told


def test_what_has_no_port_runs_while_its_gateway_is_awake(tmp_path: Path) -> None:
    found, _ = project(tmp_path, """services:
  vpn: {image: "v:1", ports: ["8000:8000"]}
  worker: {image: "l:1", network_mode: "service:vpn"}
""")
    assert found["worker"]["network_of"] == "vpn" and found["worker"]["companion_of"] == ["vpn"]
    assert not {"requires", "before", "create_args"} & found["worker"].keys()
    with pytest.raises(OndemandError, match="neither it nor those behind it"):
        project(tmp_path, 'services: {vpn: {image: "v:1"}, worker: {image: "l:1", network_mode: "service:vpn"}}\n')


def test_shared_processes_and_memory_name_the_package_s_container(tmp_path: Path) -> None:
    found, _ = case("pid-ipc-service")
    assert found["sidecar"]["create_args"] == ["--pid=container:ondemand-app", "--ipc=container:ondemand-app"]
    assert found["sidecar"]["requires"] == ["app"] and "--ipc=shareable" in found["app"]["create_args"]
    found, told = project(tmp_path, "services: {a: {image: 'a:1', ports: ['1:1'], pid: 'service:gone', ipc: host}}\n")
    assert found["a"]["create_args"] == ["--ipc=host"] and "left out: the project has no service 'gone'" in told


def test_the_host_s_network_is_told_with_what_is_lost() -> None:
    found, told = case("hostnet")
    assert found["hub"]["ports"] == ["80:80"] and found["tv"]["ports"] == ["8096:8096"]
    assert told.count("it neither sees the host's interfaces nor broadcasts") == 2


def test_internal_networks_and_fixed_addresses_are_told(tmp_path: Path) -> None:
    found, told = case("internal-net")
    assert "ports" not in found["db"]
    assert "db.networks internal: its networks are internal, and a package has none" in told
    assert "web.networks internal" not in told
    found, told = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], dns: [10.9.0.53, 1.1.1.1], environment: {DB: 10.9.0.5, NO: 10.9.0.53.1}, networks: [n]}
  resolver: {image: "r:1", expose: ["53"], networks: {n: {ipv4_address: 10.9.0.53}}}
  db: {image: "d:1", expose: ["5"], networks: {n: {ipv4_address: 10.9.0.5}}}
networks: {n: {}}
""")
    assert [option for option in found["web"]["create_args"] if option.startswith("--dns")] == ["--dns=1.1.1.1"]
    assert "dns 10.9.0.53: left out: it is the address of resolver" in told
    assert "address 10.9.0.5: DB has the address of db" in told and "NO has" not in told


def test_other_projects_are_told_how_to_reach_a_service() -> None:
    assert "reach blog no more: packages do by links = [\"blog\"]; others where ports has" in case("external-network")[1]


# --- what the files that a project mounts say ------------------------------------------------------------------------


def test_ports_come_from_configuration_files_that_the_project_mounts(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "proxy.conf").write_text("location /api { proxy_pass http://back:8000/api; }\n"
                                         "location / { proxy_pass http://front/; }\n"
                                         "# proxy_pass http://gone:7000/;\n")
    (tmp_path / "conf/upstream.yaml").write_text("url: //events:8888\n")
    (tmp_path / "conf/data.bin").write_text("http://gone:7001/")
    found, told = project(tmp_path, """services:
  gateway: {image: "nginx:1", ports: ["9000:80"], volumes: ["./proxy.conf:/etc/nginx/conf.d/x.conf:ro", "./conf:/conf"]}
  back: {image: "b:1"}
  front: {image: "f:1"}
  events: {image: "e:1"}
  gone: {image: "g:1"}
""")
    assert {name: found[name]["expose"] for name in ("back", "front", "events")} == {
        "back": ["8000"], "front": ["80"], "events": ["8888"]}
    assert {"back", "front", "events"} <= set(found["gateway"]["links"])
    assert "gone: left out: no port of it is known" in told


@pytest.mark.parametrize("place", ["outside", "link", "large", "fifo"])
def test_no_file_outside_the_project_nor_a_large_one_is_read_for_ports(tmp_path: Path, place: str) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    other = tmp_path / "proxy.conf"
    other.write_text("http://back:8000/")
    if place == "link":
        (directory / "proxy.conf").symlink_to(other)
    elif place == "large":
        (directory / "proxy.conf").write_text("http://back:8000/\n" * 10_000)
    elif place == "fifo":
        os.mkfifo(directory / "proxy.conf")
    source = "../proxy.conf" if place == "outside" else "./proxy.conf"
    found, told = project(directory, f"""services:
  gateway: {{image: "nginx:1", ports: ["9000:80"], volumes: ["{source}:/x.conf"]}}
  back: {{image: "b:1"}}
""")
    assert "back" not in found and "back: left out" in told


def test_a_large_configuration_that_many_services_mount_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    for number in range(8):
        (tmp_path / f"conf/{number}.conf").write_text("".join(f"http://s{one}:80{one % 10}0/ a.b\n" for one in range(2500)))
    services = "".join(f"  s{number}: {{image: 'a:1', volumes: ['./conf:/c']}}\n" for number in range(100))
    start = time.process_time()
    project(tmp_path, f"services:\n  web: {{image: 'w:1', ports: ['80:80']}}\n{services}")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(("text", "ports"), [
    ("http://db/", [80]), (" https://db", [443]), ("postgres://u:p@db:5432/x", [5432]), ("a=http://db:8080,http://db", [8080]),
    ("server db:1;", [1]), ("db", []), ("xdb:1", []), ("db.example:1", []), ("db:99999", []),
    ("db:5432 db:5433", [5432, 5433]), ("//db", [])])
def test_a_name_and_its_port_are_found_in_any_text(text: str, ports: list[int]) -> None:
    assert compose_words.Spoken({}, [text], [], []).mentioned(["db"])[1] == ports


def test_a_port_in_a_variable_beside_the_host_is_that_of_the_host(tmp_path: Path) -> None:
    found, _ = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], environment: {STORE_HOST: store, STORE_PORT: "7000", OTHER_PORT: "7001", URL: "http://plain/x"}}
  store: {image: "s:1"}
  plain: {image: "s:1"}
""")
    assert found["store"]["expose"] == ["7000"] and found["plain"]["expose"] == ["80"]


# --- what nothing connects to ----------------------------------------------------------------------------------------


def test_workers_of_a_project_that_publishes_nothing_run_with_what_others_do_not_need(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  app: {image: "a:1", depends_on: [db], expose: ["8080"]}
  worker: {image: "a:1", depends_on: [app, db]}
  db: {image: "postgres:16"}
""")
    assert found["worker"]["companion_of"] == ["app"] and found["worker"]["requires"] == ["db"]
    assert "worker.service: nothing connects to it: it runs while app is awake" in told


def test_a_worker_keeps_nothing_awake_that_it_runs_with(tmp_path: Path) -> None:
    found, _ = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [db]}
  mail: {image: "m:1", ports: ["25:25"], depends_on: [web]}
  watch: {image: "x:1", depends_on: [web, mail, db]}
  helper: {image: "x:1", depends_on: [mail]}
  db: {image: "postgres:16", depends_on: [guard]}
  guard: {image: "g:1"}
""")
    assert found["watch"]["companion_of"] == ["web", "mail"] and found["watch"]["requires"] == ["db"]
    assert found["helper"]["companion_of"] == ["mail"] and found["guard"]["companion_of"] == ["db"]


def test_a_companion_that_would_wake_its_own_service_is_left_out(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [guard]}
  guard: {image: "g:1", depends_on: [db]}
  db: {image: "postgres:16", depends_on: [second]}
  second: {image: "g:1", depends_on: [cache]}
  cache: {image: "redis:7"}
""")
    assert found["guard"]["companion_of"] == ["web"] and found["second"]["companion_of"] == ["db"]
    assert found["guard"]["requires"] == ["db"] and found["second"]["requires"] == ["cache"]
    assert "services:" not in told


def test_a_service_that_others_need_and_whose_port_is_unknown_is_told_as_a_risk(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [pool]}
  pool: {image: "p:1"}
""")
    assert found["pool"]["companion_of"] == found["pool"]["before"] == ["web"]
    assert "pool.service: no port of it is known, so nothing can connect to it, and it runs while web is awake; if it" in told


def test_what_says_by_name_and_restart_that_it_ends_is_a_task(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], depends_on: [seeder]}
  seeder: {image: "w:1", restart: on-failure, depends_on: [db]}
  shop-init: {image: "w:1", restart: on-failure, depends_on: [db]}
  seed: {image: "w:1", restart: "no", depends_on: [web]}
  job: {image: "w:1", restart: on-failure, depends_on: [db]}
  db: {image: "postgres:16"}
""")
    assert found["seeder"]["task"] and found["seeder"]["before"] == ["web"] and found["seeder"]["requires"] == ["db"]
    assert found["shop-init"]["task"] and found["shop-init"]["before"] == ["web"]
    assert "seed" not in found, "it needs web, and can't run before it"
    assert "job: left out: no port of it is known, and 'restart: on-failure' says that it may end" in told


@pytest.mark.parametrize("mode", ["host", "none"])
def test_a_worker_in_the_host_s_network_or_without_one_keeps_it(tmp_path: Path, mode: str) -> None:
    found, told = project(tmp_path, f"""services:
  web: {{image: "w:1", ports: ["80:80"], depends_on: [guard]}}
  guard: {{image: "g:1", network_mode: {mode}, privileged: true}}
""")
    assert found["guard"]["companion_of"] == ["web"] and "links" not in found["guard"]
    assert found["guard"]["create_args"] == ["--privileged", f"--network={mode}"]
    assert "it gets a network of its own" not in told


def test_a_worker_without_depends_on_runs_with_those_that_clients_reach_if_it_speaks_of_others(tmp_path: Path) -> None:
    found, _ = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], environment: {DB_HOST: db}}
  worker: {image: "w:1", command: worker, environment: {DB_HOST: db}}
  alone: {image: "w:1", command: alone}
  db: {image: "postgres:16"}
""")
    assert found["worker"]["companion_of"] == ["web"] and found["worker"]["links"] == ["db"] and "alone" not in found


def test_a_file_of_secrets_is_not_read_for_ports(tmp_path: Path) -> None:
    (tmp_path / "secret.conf").write_text("http://back:8000/")
    found, _ = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"], secrets: [it]}
  back: {image: "b:1"}
secrets: {it: {file: ./secret.conf}}
""")
    assert "back" not in found


def test_of_workers_that_wait_for_each_other_none_is_told_as_a_risk(tmp_path: Path) -> None:
    found, told = project(tmp_path, """services:
  web: {image: "w:1", ports: ["80:80"]}
  worker: {image: "w:1", depends_on: [web]}
  beat: {image: "w:1", depends_on: [worker, web]}
""")
    assert found["worker"]["companion_of"] == found["beat"]["companion_of"] == ["web"], "one of beat's would keep web awake"
    assert "nothing connects to it: it runs while web is awake" in told and "no port of it is known" not in told


@pytest.mark.parametrize("depends", [lambda number: "web", lambda number: f"w{number - 1}" if number else "web",
                                     lambda number: f"w{number + 1}" if number < 498 else "web"])
@pytest.mark.parametrize("ports", ["ports: ['80:80']", "restart: always"])
def test_hundreds_of_workers_take_no_time(tmp_path: Path, depends: Callable[[int], str], ports: str) -> None:
    services = "".join(f"  w{number}: {{image: 'w:1', depends_on: [{depends(number)}]}}\n" for number in range(499))
    start = time.process_time()
    try:
        found, _ = project(tmp_path, f"services:\n  web: {{image: 'w:1', {ports}}}\n{services}")
        assert len(found) == 500
    except OndemandError:
        assert "ports" not in ports
    assert time.process_time() - start < 2
