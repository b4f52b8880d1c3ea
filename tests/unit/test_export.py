"""What users may rely on of `export --to kubernetes`: each value arrives exactly, or is reported with its line and what to do."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.fields import FIELDS
from ondemand_pkg.exporting.object_names import object_name

Made = dict[tuple[str, str], dict[str, Any]]
# What stands beside a key that does not go alone.
NEEDS = {"replicas": 'engine = "swarm"\n', "node": 'engine = "swarm"\n',
         "idle_action": 'idle = "1h"\n', "address": 'expose = ["80"]\n', "aliases": 'expose = ["80"]\n',
         "keep_awake": 'idle = "1h"\n', "data_timeout": 'wake_on = "data"\n', "excludes_timeout": 'excludes = ["b"]\n'}
SMALLEST = '[container.web]\nimage = "nginx:1.27"\nversion = "1.27.0"\nports = ["80:8080"]\n'


def run(directory: Path, declaration: str, *options: str) -> Result:
    path = directory / "web.toml"
    path.write_text(declaration)
    return CliRunner().invoke(cli, ["export", "--to", "kubernetes", *options, str(path)])


def made(directory: Path, declaration: str, *options: str) -> Made:
    result = run(directory, declaration, *options)
    assert result.exit_code == 0, result.output
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(result.stdout)}


def container(objects: Made, name: str = "web") -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
    return found


def losses(directory: Path, declaration: str, *options: str) -> list[str]:
    result = run(directory, declaration, *options)
    assert result.exit_code == 0, result.output
    return [line.removeprefix(f"{directory}/web.toml:") for line in result.stderr.splitlines()]


def test_the_smallest_declaration_becomes_a_deployment_that_sleeps_and_a_service(tmp_path: Path) -> None:
    objects = made(tmp_path, SMALLEST)
    assert set(objects) == {("Secret", "web-secret"), ("Deployment", "web"), ("Service", "web")}
    deployment, service = objects["Deployment", "web"]["spec"], objects["Service", "web"]["spec"]
    assert deployment["replicas"] == 0
    assert deployment["template"]["metadata"]["labels"].items() >= service["selector"].items()
    assert service["ports"] == [{"name": "tcp-80", "port": 80, "targetPort": 8080}]
    assert container(objects)["image"] == "docker.io/library/nginx:1.27", "other engines know no default registry"


@pytest.mark.parametrize("value", ["1e3", "0o14", "yes", "null", "~", "1_000", "0x1f", "12:30", "", " a ", "a: b", "#x",
                                   "two\nlines", "caf\u00e9", "$(HOME) $$(X)", "\u202e", "2001-01-01", "=", "<<", "!x", "&a",
                                   "*a", "%", "`", "@"])
def test_values_of_variables_arrive_as_they_are(tmp_path: Path, value: str) -> None:
    declaration = SMALLEST + "env = { A = " + yaml.safe_dump(value, default_style='"', allow_unicode=True).strip() + " }\n"
    assert tomllib.loads(declaration)["container"]["web"]["env"] == {"A": value}
    assert made(tmp_path, declaration)["ConfigMap", "web-env"]["data"] == {"A": value}


def test_strings_are_quoted_that_other_readers_of_yaml_take_for_numbers(tmp_path: Path) -> None:
    assert 'A: "1e3"' in run(tmp_path, SMALLEST + 'env = { A = "1e3" }\n').stdout


def test_secrets_stand_in_a_secret_that_has_the_last_word(tmp_path: Path) -> None:
    declaration = SMALLEST + 'env = { DB_PASSWORD = "hunter2", MODE = "fast" }\n'
    objects = made(tmp_path, declaration)
    assert objects["Secret", "web-secret"]["stringData"] == {"DB_PASSWORD": "hunter2"}
    assert objects["ConfigMap", "web-env"]["data"] == {"MODE": "fast"}
    assert list(container(objects)["envFrom"][-1]) == ["secretRef"]
    assert any(line.startswith("5: web: env: DB_PASSWORD went into the Secret") for line in losses(tmp_path, declaration))


def test_commands_are_not_expanded(tmp_path: Path) -> None:
    found = container(made(tmp_path, SMALLEST + 'entrypoint = ["/entry"]\ncommand = ["$(HOME)", "$$", "a b"]\n'))
    assert (found["command"], found["args"]) == (["/entry"], ["$$(HOME)", "$$", "a b"])


def test_limits_user_and_capabilities_arrive(tmp_path: Path) -> None:
    found = container(made(tmp_path, SMALLEST + 'memory = "256m"\ncpus = 1.5\nuser = "1000:33"\nread_only = true\n'
                           'workdir = "/srv"\ncap_drop = ["ALL"]\ncap_add = ["CAP_NET_BIND_SERVICE"]\n'))
    assert found["resources"]["limits"] == {"memory": str(256 * 1024**2), "cpu": "1500m"}
    assert found["securityContext"] == {"runAsUser": 1000, "runAsGroup": 33, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    assert found["workingDir"] == "/srv"


def test_a_user_by_name_is_reported(tmp_path: Path) -> None:
    declaration = SMALLEST + 'user = "www-data:33"\n'
    assert "securityContext" not in container(made(tmp_path, declaration)), "a group without a user is refused by the runtime"
    assert any(line.startswith("5: web: user: Kubernetes takes numbers") for line in losses(tmp_path, declaration))


def test_volumes_become_claims_that_two_containers_share(tmp_path: Path) -> None:
    objects = made(tmp_path, SMALLEST + 'volumes = ["data:/data", "/etc/web:/etc/web:ro"]\ntmpfs = ["/tmp:size=64m"]\n'
                   + SMALLEST.replace("web", "api").replace('"80', '"81') + 'volumes = ["data:/srv"]\n')
    pod = objects["Deployment", "web"]["spec"]["template"]["spec"]
    assert {volume["name"]: volume for volume in pod["volumes"]} == {
        "data": {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        "host-etc-web": {"name": "host-etc-web", "hostPath": {"path": "/etc/web"}},
        "tmpfs-0": {"name": "tmpfs-0", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}}
    assert [(mount["mountPath"], mount.get("readOnly", False)) for mount in container(objects)["volumeMounts"]] == [
        ("/data", False), ("/etc/web", True), ("/tmp", False)]
    assert container(objects, "api")["volumeMounts"] == [{"name": "data", "mountPath": "/srv"}]
    assert [kind for kind, _ in objects].count("PersistentVolumeClaim") == 1
    assert objects["Deployment", "web"]["spec"]["strategy"] == {"type": "Recreate"}, "the old pod has the claim"


@pytest.mark.parametrize(("ready", "check"), [
    ('"tcp"', {"tcpSocket": {"port": 8080}}),
    ('{ http = "/healthz", timeout = "90s" }', {"httpGet": {"path": "/healthz", "port": 8080}}),
    ('{ exec = ["pg_isready", "-q"] }', {"exec": {"command": ["pg_isready", "-q"]}}),
])
def test_ready_becomes_probes(tmp_path: Path, ready: str, check: dict[str, Any]) -> None:
    found = container(made(tmp_path, SMALLEST + f"ready = {ready}\n"))
    for probe in ("startupProbe", "readinessProbe"):
        assert found[probe].items() >= check.items()
    assert found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"] == (90 if "90s" in ready else 60)


@pytest.mark.parametrize(("ready", "told"), [
    ("{ healthcheck = true }", "Kubernetes does not know the image's health check"),
    ('{ log = "ready" }', "no probe reads the log"),
    ('{ http = "/", status = 503 }', "a probe takes the statuses 200 to 399, not 503"),
    ('{ http = "/", status = 301 }', "a probe takes every status from 200 to 399"),
])
def test_a_readiness_that_no_probe_knows_is_reported(tmp_path: Path, ready: str, told: str) -> None:
    assert any(line.startswith(f"5: web: ready: {told}") for line in losses(tmp_path, SMALLEST + f"ready = {ready}\n"))


def test_options_with_a_field_are_carried_over_and_the_others_reported(tmp_path: Path) -> None:
    declaration = SMALLEST + ('create_args = ["--shm-size=64m", "--add-host", "db:10.0.0.7", "--add-host=db6=::1", '
                              '"--privileged", "--device=/dev/kvm", "--init"]\n')
    objects = made(tmp_path, declaration)
    pod = objects["Deployment", "web"]["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": "10.0.0.7", "hostnames": ["db"]}, {"ip": "::1", "hostnames": ["db6"]}]
    assert container(objects)["securityContext"] == {"privileged": True}
    assert container(objects)["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    assert [line.split(" is not")[0] for line in losses(tmp_path, declaration) if "create_args" in line] == [
        '5: web: create_args: "--device=/dev/kvm"', '5: web: create_args: "--init=true"']


def test_who_may_connect_becomes_a_network_policy(tmp_path: Path) -> None:
    policy = made(tmp_path, SMALLEST + 'allow = ["10.0.0.0/8", "::1"]\n')["NetworkPolicy", "web"]["spec"]
    assert policy["ingress"] == [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "::1/128"}}],
                                  "ports": [{"protocol": "TCP", "port": 8080}]}]


def test_ports_of_udp_are_exported_as_such_and_probed_by_nothing(tmp_path: Path) -> None:
    declaration = SMALLEST.replace('"80:8080"', '"53:5353/udp"') + (
        'allow = ["10.0.0.0/8"]\nready = { udp = { send = "ff", expect = "" } }\n')
    objects = made(tmp_path, declaration, "--scale-with", "keda")
    assert objects["Service", "web"]["spec"]["ports"] == [
        {"name": "udp-53", "port": 53, "targetPort": 5353, "protocol": "UDP"}]
    assert objects["NetworkPolicy", "web"]["spec"]["ingress"][0]["ports"] == [{"protocol": "UDP", "port": 5353}]
    (inner,) = objects["Deployment", "web"]["spec"]["template"]["spec"]["containers"]
    assert inner["ports"] == [{"containerPort": 5353, "protocol": "UDP"}] and "startupProbe" not in inner
    told = " ".join(losses(tmp_path, declaration, "--scale-with", "keda"))
    assert "no probe asks a port of UDP" in told and "datagrams don't wake it" in told


def test_addresses_that_a_service_has_not_are_reported(tmp_path: Path) -> None:
    declaration = SMALLEST.replace('["80:8080"]', '["127.0.0.1:80:8080", "/run/web.sock:9000", "[::1]:80:9000"]')
    assert made(tmp_path, declaration)["Service", "web"]["spec"]["ports"] == [
        {"name": "tcp-80", "port": 80, "targetPort": 8080}, {"name": "tcp-9000", "port": 9000, "targetPort": 9000}]
    told = [line for line in losses(tmp_path, declaration) if "ports:" in line]
    assert len(told) == 4 and "a Service has one port 80" in told[-1]


def test_keda_wakes_what_speaks_http_and_no_replicas_stand_against_it(tmp_path: Path) -> None:
    objects = made(tmp_path, SMALLEST + 'idle = "10min"\nready = { http = "/", timeout = "45s" }\n', "--scale-with", "keda")
    assert "replicas" not in objects["Deployment", "web"]["spec"]
    scaled, route = objects["ScaledObject", "web"]["spec"], objects["InterceptorRoute", "web"]["spec"]
    assert (scaled["minReplicaCount"], scaled["cooldownPeriod"]) == (0, 600)
    assert route["target"] == {"service": "web", "port": 80} and route["timeouts"] == {"readiness": "45s"}
    assert list(objects).index(("InterceptorRoute", "web")) < list(objects).index(("ScaledObject", "web"))


def test_keda_leaves_what_speaks_no_http_running_and_says_so(tmp_path: Path) -> None:
    declaration = SMALLEST.replace("80:8080", "5432:5432")
    objects = made(tmp_path, declaration, "--scale-with", "keda")
    assert objects["Deployment", "web"]["spec"]["replicas"] == 1 and ("ScaledObject", "web") not in objects
    assert any("the add-on wakes HTTP alone" in line for line in losses(tmp_path, declaration, "--scale-with", "keda"))


def test_what_is_not_exported_stands_in_the_manifest_too(tmp_path: Path) -> None:
    result = run(tmp_path, SMALLEST + 'requires = ["db"]\n')
    line = next(line for line in result.stderr.splitlines() if ": web: requires: " in line)
    assert f"# - {line}\n" in result.stdout


@pytest.mark.parametrize("key", [field.key for field in FIELDS
                                 if f"\n{field.key} = " not in SMALLEST and field.example != field.default
                                 and field.key not in ("companion_of", "before", "task", "when", "task_timeout", "schedule",
                                                       "outbound")])
def test_no_key_is_dropped_in_silence(tmp_path: Path, key: str) -> None:
    """Each key changes the objects, or is reported, or is about packages alone."""
    field = next(field for field in FIELDS if field.key == key)
    base = (SMALLEST.replace('80"]', '80", "53:53/udp"]') if key == "udp_timeout" else SMALLEST) + NEEDS.get(key, "")
    declaration = base + f"{key} = {field.example}\n"
    of_packages = ("release", "maintainer", "homepage", "license", "depends", "changelog", "silence")
    is_carried = made(tmp_path, declaration) != made(tmp_path, base)
    is_told = any(f": web: {key}: " in line for line in run(tmp_path, declaration).stderr.splitlines())
    assert (is_carried or is_told) is not (key in of_packages)


def test_a_network_without_a_way_out_is_reported(tmp_path: Path) -> None:
    declaration = SMALLEST + 'engine = "systemd"\nbundle = true\noutbound = false\n'
    assert any(": web: outbound: write a NetworkPolicy" in line for line in losses(tmp_path, declaration))


def test_a_companion_becomes_a_deployment_and_it_is_said_that_nothing_starts_it(tmp_path: Path) -> None:
    declaration = SMALLEST + '[container.worker]\nimage = "a:1"\nversion = "1"\ncompanion_of = ["web"]\nbefore = ["web"]\n'
    objects = made(tmp_path, declaration)
    assert ("Deployment", "worker") in objects and ("Service", "worker") not in objects
    told = losses(tmp_path, declaration)
    assert all(any(f": worker: {key}: nothing in Kubernetes does this by itself" in line for line in told)
               for key in ("companion_of", "before"))


def test_a_task_is_reported_as_one_that_nothing_runs(tmp_path: Path) -> None:
    declaration = SMALLEST + ('[container.migrate]\nimage = "a:1"\nversion = "1"\ntask = true\nbefore = ["web"]\nwhen = "wake"\n'
                              'task_timeout = "1h"\n')
    told = losses(tmp_path, declaration)
    assert all(any(f": migrate: {key}: nothing in Kubernetes does this by itself" in line for line in told)
               for key in ("task", "before", "when", "task_timeout"))


def test_a_task_by_the_clock_is_reported_with_what_runs_it_there(tmp_path: Path) -> None:
    declaration = SMALLEST + '[container.backup]\nimage = "a:1"\nversion = "1"\ntask = true\nschedule = "03:30"\n'
    assert any(": backup: schedule: a CronJob with the same pod runs at these moments" in line
               for line in losses(tmp_path, declaration))


def test_two_containers_of_one_name_in_kubernetes_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, SMALLEST.replace("web", '"a.b"') + SMALLEST.replace("web", "a-b").replace('"80', '"81'))
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'its objects would be called "a-b", like those of the container \'a.b\'' in result.stderr


@pytest.mark.parametrize("name", ["a.b", "9to5", "a" * 100, "x+y", "c++"])
def test_names_are_ones_that_kubernetes_takes(name: str) -> None:
    made_name = object_name(name)
    assert len(made_name) <= 63 and made_name[0].isalpha() and made_name[-1].isalnum()
    assert made_name.replace("-", "").isalnum()


def test_a_long_name_keeps_apart_what_differs_at_its_end() -> None:
    assert object_name("a" * 99 + "b") != object_name("a" * 99 + "c")
