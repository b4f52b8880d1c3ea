"""Quadlet files become what Podman makes of them, one by one and as a directory; what can't be imported is reported.

tests/oracle/test_quadlet_oracle.py compares with Podman's own generator.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import draft as drafts
from ondemand_pkg.importing import health_checks, quadlet_project
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.unit_files import with_variables, words

CASES = Path(__file__).parents[1] / "data/quadlet"
HEAD = "[Container]\nImage=docker.io/x/web:1\n"


def run(*argv: str | Path) -> Result:
    done = CliRunner().invoke(cli, ["import", *map(str, argv)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def imported(path: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the values of each draft, and all notes as a text."""
    found, notes = quadlet_project.read(str(path))
    told = "\n".join(map(str, [*notes, *(note for one in found for note in one.notes)]))
    return {one.name: one.values for one in found}, told


def one_file(directory: Path, text: str, name: str = "web.container") -> tuple[dict[str, Any], str]:
    (directory / name).write_text(text)
    found, told = imported(directory / name)
    (values,) = found.values()
    return values, told


RIGHT: dict[str, tuple[dict[str, Any], list[str]]] = {
    "q01": ({"ready": {"exec": ["/bin/sh", "-c", "curl -fs http://127.0.0.1:8080/ || exit 1"]}}, []),
    "q03": ({"create_args": ["--no-healthcheck"], "ready": None}, []),
    "q04": ({"ready": {"exec": ["/bin/sh", "-c", "curl -f http://127.0.0.1:8080/"], "timeout": "900s"}}, []),
    "q06": ({"volumes": ["/root/data/q06-specifiers:/data:Z"], "env": {"UNIT": "q06-specifiers.service"}},
            ["q06-specifiers.container:5: Volume=: %h differs between hosts and users"]),
    "q21": ({"ports": ["51820:51820/udp"], "ready": "started"}, []),
    "q07": ({"env": None, "command": ["serve", "--port", "$PORT", "--literal", "$HOME"]},
            [":4: Environment=: PASSWORD has the value of SITE_PASSWORD",
                "PASSWORD=... into /etc/ondemand/q07-systemd-variables.env",
             ":5: Exec=: the value of $PORT is known on the host only (/etc/site.env)"]),
    "q08": ({"create_args": ["--shm-size=512m", "--privileged"]}, []),
    "q09": ({"env": None}, ["Secret= API_TOKEN (of web-token): write the secret's value, as a line VARIABLE=..., "
                            "into /etc/ondemand/q09-secret-env.env on each host"]),
    "q11": ({"read_only": True, "tmpfs": ["/cache:size=64M", "/run", "/tmp", "/var/tmp"]}, []),
    "q13": ({"ports": ["8080:80"]}, []),
    "q14": ({"image": "docker.io/example/web:4.2", "version": "4.2"}, []),
    "q15": ({"env": {"MODE": "prod"}, "ports": ["8080:80", "9090:90"]}, []),
    "q16": ({"requires": None}, [":2: [Unit] Requires=: q05-no-ports.service is q05-no-ports.container; import the directory"]),
    "q17": ({"volumes": ["my-store:/data", "/srv/x:/x:ro"]}, ["Podman's volume my-store is not Docker's: copy its data"]),
    "q19": ({"network_of": "vpn", "create_args": None}, [":3: Network=: there is no file vpn.container beside this one"]),
    "q22": ({"env": {"A": "b c", "B": 'd "e"', "C": "f g", "D": "quoted"}, "command": ["/bin/sh", "-c", "echo 'x' sleep 1"],
             "user": "1000:1000", "labels": {"a.b": "c d"}}, [":5: Environment=: E is taken from the environment of who starts "
                                                              "it"]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_each_file_means_what_podman_takes_it_to_mean(case: str) -> None:
    path, = CASES.glob(f"{case}-*.container")
    expected, told = RIGHT[case]
    found, notes = imported(path)
    (values,) = found.values()
    assert {key: values.get(key) for key in expected} == expected
    assert [part for part in told if part not in notes] == []


@pytest.mark.parametrize(("case", "told"), [
    ("q05", "it publishes no TCP port, and neither an exposed one nor its health check says where it listens"),
    ("q18", "with the host's network its server listens by itself, and no connection can wake it"),
    ("q23", "it has no section [Container]; found [container], but upper and lower case differ"),
])
def test_a_file_that_no_connection_could_wake_gets_no_invented_port_but_an_error(case: str, told: str) -> None:
    path, = CASES.glob(f"{case}-*.container")
    done = run(path)
    assert done.exit_code == 1 and done.stdout == "" and told in done.stderr


def test_a_directory_is_read_as_one_project_and_the_rest_is_counted(tmp_path: Path) -> None:
    out = tmp_path / "all.toml"
    done = run(CASES, "-o", out)
    assert done.exit_code == 0
    found = {container.name: container for container in read([str(out)])}
    assert found["q05-no-ports"].companion_of == ("q16-requires",), "nothing connects to it, and q16 requires it"
    assert "q23-case-misc.container:0: left out: not a Quadlet file" in done.stderr
    assert "q18-network-host.container: left out:" in done.stderr and "17 of 18 containers: none of these needs" in done.stderr


def test_of_two_containers_with_one_port_the_second_is_moved_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.container").write_text(f"{HEAD}PublishPort=8080:80\nPublishPort=127.0.0.1:53:53/udp\n")
    (tmp_path / "b.container").write_text(f"{HEAD}PublishPort=8080:3000\nPublishPort=53:53/tcp\n")
    found, told = imported(tmp_path)
    assert found["a"]["ports"] == ["8080:80", "127.0.0.1:53:53/udp"] and found["b"]["ports"] == ["8081:3000", "53:53"]
    assert "b.container: ports 8080:3000: 'a' already listens there; changed to 8081:3000, tell its clients" in told


def test_what_check_would_refuse_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "web.container"
    path.write_text(f"{HEAD}PublishPort=9:9\nEnvironment=A=1\nPodmanArgs=--network=none\nVolume=%h/a:/a\nVolume=%h/b:/b\n")
    done = run(path, "-o", tmp_path / "web.toml")
    assert done.exit_code == 1 and not (tmp_path / "web.toml").exists()
    assert "nothing is written, as 'ondemand-pkg check' would refuse the result" in done.stderr
    assert "web.container:6 and 1 other line: Volume=: %h differs between hosts and users" in done.stderr


SHOP = {
    "web.container": "[Unit]\nRequires=db.service "
                     "cache.container\nAfter=db.service\n[Container]\nImage=docker.io/library/nginx:1.27\n"
                     "Network=shop.network\nPublishPort=8080:80\nEnvironment=API=http://api:9000/\n",
    "db.container": "[Container]\nContainerName=db\nImage=docker.io/library/postgres:16\nNetwork=shop.network\n"
                    "Volume=data.volume:/var/lib/postgresql/data\n",
    "cache.container": "[Container]\nImage=docker.io/library/redis:7\nNetwork=shop.network\nNetworkAlias=cache\n",
    "api.container": "[Unit]\nAfter=web.service\n[Container]\nContainerName=api\nImage=docker.io/x/api:1\nNetwork=shop.network\n"
                     "Network=other.network\n",
    "worker.container": "[Unit]\nWants=db.service\n[Container]\nImage=docker.io/x/worker:7\nNetwork=other.network\n",
    "shop.network": "[Network]\nInternal=true\n", "other.network": "[Network]\n",
    "data.volume": "[Volume]\nDevice=/srv/d\nType=none\nOptions=bind\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    for name, text in SHOP.items():
        (directory / name).write_text(text)
    return directory


def test_containers_of_one_network_have_names_ports_and_requirements(shop: Path, tmp_path: Path) -> None:
    found, told = imported(shop)
    assert {name: values["expose"] for name, values in found.items() if "expose" in values} == {
        "api": ["9000"], "cache": ["6379"], "db": ["5432"], "web": ["80"]}
    assert {name: values["ports"] for name, values in found.items() if "ports" in values} == {"web": ["8080:80"]}
    assert found["web"]["requires"] == ["db", "cache"] and found["api"]["requires"] == ["web"]
    assert found["web"]["links"] == ["api", "cache", "db"] and found["cache"]["aliases"] == ["systemd-cache"]
    assert found["cache"]["links"] == ["api", "db", "web"] and "aliases" not in found["db"]
    assert found["worker"]["links"] == ["api"], "the others are of another network"
    assert found["db"]["volumes"] == ["/srv/d:/var/lib/postgresql/data"], "the directory that the volume is bound to"
    assert (found["worker"]["companion_of"], found["worker"]["requires"]) == (["web"], ["db"])
    assert "worker.container: companion: nothing connects to it: it runs while web is awake" in told
    assert told.count("[Network] Internal=: this isolation is lost") == 1
    out = tmp_path / "shop.toml"
    assert run(shop, "-o", out).exit_code == 0
    assert {container.name for container in read([str(out)])} == {"api", "cache", "db", "web", "worker"}
    assert all(container.idle == 600 for container in read([str(out)]) if container.name != "worker")
    assert "[stack.shop]" in out.read_text()


def test_a_dependency_cycle_of_ordered_units_is_none_of_required_containers(shop: Path) -> None:
    (shop / "web.container").write_text(SHOP["web.container"].replace("After=db.service", "After=api.service"))
    found, _ = imported(shop)
    assert (found["web"]["requires"], found["api"].get("requires")) in ((["db", "cache"], ["web"]), (["db", "cache",
        "api"], None))


def test_the_ports_of_a_pod_are_those_of_the_container_whose_check_asks_them(tmp_path: Path) -> None:
    (tmp_path / "app.pod").write_text("[Pod]\nPublishPort=8080:3000\nAddHost=a:1.2.3.4\nVolume=/srv/x:/x\n")
    (tmp_path / "a.container").write_text(f"{HEAD}Pod=app.pod\n")
    (tmp_path / "b.container").write_text(f"{HEAD}Pod=app.pod\nHealthCmd=curl localhost:3000\n")
    found, told = imported(tmp_path)
    assert found["b"]["ports"] == ["8080:3000"] and found["b"]["volumes"] == ["/srv/x:/x"]
    assert found["b"]["create_args"] == ["--add-host=a:1.2.3.4"]
    assert found["a"]["companion_of"] == ["b"] and found["a"]["network_of"] == "b"
    assert "a.container: companion: nothing connects to it: it runs while b is awake" in told


def test_a_network_of_another_container_needs_that_one(tmp_path: Path) -> None:
    (tmp_path / "vpn.container").write_text(f"{HEAD}PublishPort=8090:8090\nContainerName=gateway\n")
    (tmp_path / "load.container").write_text(f"{HEAD}Network=vpn.container\nPublishPort=8091:8091\n")
    found, _ = imported(tmp_path)
    assert found["load"]["network_of"] == "vpn" and not {"create_args", "requires"} & found["load"].keys()


def test_a_file_outside_the_directory_is_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.image"
    outside.write_text("[Image]\nImage=docker.io/x/secret:1\n")
    inside = tmp_path / "units"
    inside.mkdir()
    (inside / "a.image").symlink_to(outside)
    (inside / "web.container").write_text("[Container]\nImage=docker.io/x/y:1\nPublishPort=80:80\n")
    found, told = imported(inside)
    assert "web" in found and "a.image: link: it leads out of the directory, and was not read" in told
    (inside / "web.container.d").mkdir()
    (tmp_path / "x.conf").write_text("[Container]\nEnvironment=A=1\n")
    (inside / "web.container.d/x.conf").symlink_to(tmp_path / "x.conf")
    found, told = imported(inside)
    assert "env" not in found["web"] and "web.container.d/x.conf: link: it leads out of the directory" in told
    (inside / "web.container").write_text("[Container]\nImage=a.image\nPublishPort=80:80\n")
    found, told = imported(inside / "web.container")
    assert found["web"]["image"] == "a" and "there is no file a.image beside this one" in told


@pytest.mark.parametrize(("line", "key", "value"), [
    ("PublishPort=80:80/TCP", "ports", ["80:80"]), ("PublishPort=[::1]:80:80", "ports", ["[::1]:80:80"]),
    ("AddCapability=CAP_Net_Admin sys_nice", "cap_add", ["NET_ADMIN", "SYS_NICE"]), ("DropCapability=all", "cap_drop", ["ALL"]),
    ("Tmpfs=/t:size=50%", "tmpfs", ["/t:size=50%"]), ("Tmpfs=/t:rw,size=64M,notmpcopyup", "tmpfs", ["/t:rw,size=64M"]),
    ("Memory=512M", "memory", "512M"), ("Entrypoint=[\"/a\", \"b\"]", "entrypoint", ["/a", "b"]), ("Entrypoint=/a b",
        "entrypoint", ["/a b"]),
    ("Timezone=Europe/Berlin", "env", {"TZ": "Europe/Berlin"}), ("Network=host\nExposeHostPort=80", "ports", None),
    ("ExposeHostPort=3000", "expose", ["3000"]), ("HealthCmd=wget -q http://localhost:3000/", "expose", ["3000"]),
    ("Notify=healthy\nPublishPort=1:1", "ready", {"healthcheck": True}),
    ("StopTimeout=90", "stop_timeout", "90s"), ("Environment=A=${B}x\n[Service]\nEnvironment=B=1", "env", {"A": "1x"}),
    ("Environment=A=1\nEnvironment=A=2 B=$$x", "env", {"A": "2", "B": "$x"}), ("Exec=a\nExec=b", "command", ["b"]),
    ("Mount=type=tmpfs,dst=/t,tmpfs-mode=1777", "tmpfs", ["/t:mode=1777"]),
    ("Mount=type=bind,src=/a,dst=/b,relabel=shared,ro", "volumes", ["/a:/b:ro,z"]),
    ("PodmanArgs=--memory 64m -e A=b", "memory", "64m"), ("GroupAdd=5 \nUlimit=nofile=5:6", "create_args",
                                                        ["--group-add=5", "--ulimit=nofile=5:6"]),
])
def test_each_key_becomes_a_key(tmp_path: Path, line: str, key: str, value: Any) -> None:
    text = f"{HEAD}{line}\n"
    if "Port=" not in line and "HealthCmd" not in line:
        text = text.replace("Image=", "PublishPort=9:9\nImage=")
    if value is None:
        (tmp_path / "web.container").write_text(text)
        with pytest.raises(OndemandError, match="no connection can wake it"):
            quadlet_project.read(str(tmp_path / "web.container"))
        return
    values, told = one_file(tmp_path, text)
    assert values[key] == value, told


@pytest.mark.parametrize(("line", "remedy"), [
    ("UserNS=keep-id", "UserNS=keep-id: user namespaces are a setting of the engine"), ("CgroupsMode=no-conmon",
        "CgroupsMode=: the engine"),
    ("Ulimit=host", "Ulimit=host: it means the limits of the host's user"), ("DNS=none", "DNS=none: mount a resolv.conf of your "
                                                                                         "own"),
    ("LogDriver=passthrough", "LogDriver=passthrough: the container's output goes to the journal"),
    ("AddDevice=-/dev/x", "/dev/x may be missing there; Docker needs it"), ("AutoUpdate=registry", "an upgrade of the package"),
    ("EnvironmentFile=./x.env", "write the lines of ./x.env into /etc/ondemand/web.env"),
    ("Secret=s", 'volumes = ["/etc/ondemand/web.s:/run/secrets/s:ro"]'), ("PodmanArgs=--userns=auto", "user namespaces are"),
    ("PodmanArgs=--memroy=5m", 'did you mean "--memory=5m"?'), ("PodmanArgs=--sdnotify=ignore", "Docker has no such option"),
    ("Unmask=ALL", "--security-opt=systempaths=unconfined"), ("Notify=yes", "write into ready how else it is known"),
    ("NetworkAlias=db", '"--add-host=db:host-gateway"'), ("Sysctle=x", "unknown key, for which Podman refuses the file"),
    ("AddCapability=NET_ADMN", 'did you mean "NET_ADMIN"?'), ("Pull=always", "the image is pulled when"),
    ("Volume=missing.volume:/x", "there is no file missing.volume beside this one"), ("Environment=A=%H",
        "%H differs between hosts"),
])
def test_what_docker_does_not_have_is_reported_with_its_remedy_by_value(tmp_path: Path, line: str, remedy: str) -> None:
    _, told = one_file(tmp_path, f"{HEAD}PublishPort=9:9\n{line}\n")
    assert f"web.container:4: {line.partition('=')[0]}=" in told and remedy in told


def test_an_image_that_no_declaration_can_have_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "web.container").write_text("[Container]\nImage=docker.io/X/Web:%H\nPublishPort=9:9\n")
    done = run(tmp_path / "web.container")
    assert done.exit_code == 1 and "web.container:2: Image= gives 'docker.io/X/Web:%H'" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(("text", "found"), [
    ("none", None), ("NONE", None), ('["NONE"]', None), ("CMD /x a b", ["/x", "a", "b"]), ('["CMD", "/x", "a b"]', ["/x", "a b"]),
    ('["/x", "a b"]', ["/x", "a b"]), ('["a b"]', ["/bin/sh", "-c", "a b"]), ("cmd-shell a || b", ["/bin/sh", "-c", "a || b"]),
    ('["CMD-SHELL", "a || b"]', ["/bin/sh", "-c", "a || b"]), ("a || b", ["/bin/sh", "-c", "a || b"]), ("[ -f /x ]",
                                                                                                  ["/bin/sh", "-c", "[ -f /x ]"]),
])
def test_health_commands_are_read_by_podmans_rules(text: str, found: list[str] | None) -> None:
    assert health_checks.argv(text, is_docker=False) == found


def test_a_health_command_of_docker_is_a_line_for_the_shell() -> None:
    assert health_checks.argv("CMD /x", is_docker=True) == ["/bin/sh", "-c", "CMD /x"]


@pytest.mark.parametrize(("options", "seconds"), [
    ({}, 0), ({"interval": "10s"}, 30), ({"retries": "5"}, 150), ({"start-period": "5m", "interval": "60s", "retries": "5"}, 600),
    ({"interval": "1m30s", "retries": "x"}, 270), ({"retries": "999999"}, 86400),
    ({"interval": "1s", "startup-cmd": "x", "startup-interval": "2s", "startup-retries": "30"}, 63)])
def test_start_period_interval_and_retries_become_the_time_limit(options: dict[str, str], seconds: float) -> None:
    assert health_checks.limit(options) == seconds


@pytest.mark.parametrize(("text", "found"), [
    (r'a "b c" d\x20e', ["a", "b c", "d e"]), (r"'a'\''b'", ["a'b"]), (r'"\u00e4\101\s\\"', ["\u00e4A \\"]), (r"\q", [r"\q"]),
    ('""', [""]), ("a''b", ["ab"]), (" a\t b ", ["a", "b"])])
def test_words_are_parted_as_systemd_parts_them(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(("text", "found", "unknown"), [
    ("$$HOME", "$HOME", []), ("a${X}b", "a1b", []), ("$X", "1", []), ("a$X", "a$X", []), ("${Y}", "${Y}", ["Y"]), ("$", "$", []),
    ("$$$${X}", "$${X}", [])])
def test_variables_of_a_command_are_systemds(text: str, found: str, unknown: list[str]) -> None:
    assert with_variables(text, {"X": "1"}) == (found, unknown)


def test_a_large_directory_and_a_long_file_take_no_time(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"c{number}.container").write_text(
            f"[Unit]\nAfter=c{number - 1}.service\n{HEAD}PublishPort={1000 + number}:80\n"
            + "".join(f"Environment=A{key}=%n\n" for key in range(20)))
    (tmp_path / "long.container").write_text(HEAD + "PublishPort=9:9\nExec=" + '"a b" ' * 9_000 + "\n")
    start = time.process_time()
    quadlet_project.read(str(tmp_path))
    assert time.process_time() - start < 4


@pytest.mark.parametrize("line", ["Exec=" + "a " * 30_000, "PodmanArgs=" + "--foo " * 30_000, "Environment=A=1\n" * 30_000])
def test_a_file_that_is_larger_than_any_is_an_error_at_once(tmp_path: Path, line: str) -> None:
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=9:9\n{line}\n")
    start = time.process_time()
    done = run(tmp_path / "web.container")
    assert done.exit_code == 1 and "more than 20000 lines and words; import a smaller file" in done.stderr
    assert time.process_time() - start < 2


def test_what_is_imported_is_what_check_takes(tmp_path: Path) -> None:
    for case in RIGHT:
        path, = CASES.glob(f"{case}-*.container")
        found, notes = quadlet_project.read(str(path))
        (tmp_path / "x.toml").write_text(drafts.text(found, str(path), notes))
        assert read([str(tmp_path / "x.toml")])


def test_a_link_to_a_template_is_a_container_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "web@.container").write_text(f"{HEAD}PublishPort=80%i:80\nEnvironment=NAME=%i\nVolume=./data:/data\n"
                                             "Volume=store@.volume:/store\n")
    (tmp_path / "store@.volume").write_text("[Volume]\n")
    for number in ("81", "82"):
        (tmp_path / f"web@{number}.container").symlink_to("web@.container")
    found, told = imported(tmp_path)
    assert {name: values["ports"] for name, values in found.items()} == {"web-81": ["8081:80"], "web-82": ["8082:80"]}
    assert found["web-81"]["env"] == {"NAME": "81"}
    assert found["web-82"]["volumes"] == [f"{tmp_path}/data:/data", "systemd-store-82:/store"]
    assert "left out" not in told
    one, _ = imported(tmp_path / "web@82.container")
    assert one == {"web-82": found["web-82"] | {"volumes": [f"{tmp_path}/data:/data", "systemd-store-82:/store"]}}


def test_a_template_alone_is_left_out_unless_something_says_its_instance(tmp_path: Path) -> None:
    template = tmp_path / "job@.container"
    template.write_text(f"{HEAD}PublishPort=80%i:80\n")
    done = run(template)
    assert done.exit_code == 1 and "link it as " in done.stderr and "job@INSTANCE.container, and import that" in done.stderr
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=1:1\n")
    found, told = imported(tmp_path)
    assert set(found) == {"web"} and "job@.container: left out: a template becomes a container for each link to it" in told
    (tmp_path / "web.container").write_text(f"[Unit]\nRequires=job@83.service\n{HEAD}PublishPort=1:1\n")
    found, told = imported(tmp_path)
    assert found["job-83"]["ports"] == ["8083:80"] and found["web"]["requires"] == ["job-83"] and "left out" not in told
    template.write_text(f"{HEAD}PublishPort=80%i:80\n[Install]\nWantedBy=default.target\nDefaultInstance=84\n")
    found, _ = imported(template)
    assert found["job-84"]["ports"] == ["8084:80"]
    assert set(imported(tmp_path)[0]) == {"job-83", "job-84", "web"}


def test_subdirectories_and_links_to_them_are_read_once_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("sub")
    (tmp_path / "sub/up").symlink_to("..")
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=1:1\n")
    (tmp_path / "sub/web.container").write_text(f"{HEAD}PublishPort=2:2\n")
    (tmp_path / "sub/deep/inner.container").write_text(f"{HEAD}PublishPort=3:3\nVolume=./x:/x\n")
    (tmp_path / "linked.container").symlink_to("sub/deep/inner.container")
    (tmp_path / "linked.container.d").mkdir()
    (tmp_path / "linked.container.d/a.conf").write_text("[Container]\nPublishPort=\nPublishPort=4:3\n")
    (tmp_path / "inner.container.d").mkdir()
    (tmp_path / "inner.container.d/a.conf").write_text("[Container]\nEnvironment=A=1\n")
    found, _ = imported(tmp_path)
    assert {name: values["ports"] for name, values in found.items()} == {"web": ["1:1"], "inner": ["3:3"], "linked": ["4:3"]}
    assert found["inner"]["env"] == {"A": "1"} and "env" not in found["linked"]
    assert found["inner"]["volumes"] == [f"{tmp_path}/sub/deep/x:/x"], "a path leads from where the file is found"
    assert found["linked"]["volumes"] == [f"{tmp_path}/x:/x"], "of a link, that is where the link is"


def test_allow_outside_follows_links_out_of_the_directory(tmp_path: Path) -> None:
    units, shared = tmp_path / "units", tmp_path / "shared"
    units.mkdir()
    (shared / "more").mkdir(parents=True)
    (shared / "web@.container").write_text(f"{HEAD}PublishPort=80%i:80\n")
    (shared / "more/inner.container").write_text(f"{HEAD}PublishPort=3:3\n")
    (units / "web@81.container").symlink_to(shared / "web@.container")
    (units / "more").symlink_to(shared / "more")
    done = run(units)
    assert done.exit_code == 1 and done.stderr.count("out of the directory, and was not read; --allow-outside reads it") == 2
    done = run(units, "--allow-outside")
    assert done.exit_code == 0 and "[container.web-81]" in done.stdout and "[container.inner]" in done.stdout


def test_a_health_check_and_notify_healthy_are_one_check(tmp_path: Path) -> None:
    values, _ = one_file(tmp_path, f"{HEAD}PublishPort=80:80\nNotify=healthy\nHealthCmd=curl localhost\nHealthStartPeriod=5m\n")
    assert values["ready"] == {"exec": ["/bin/sh", "-c", "curl localhost"], "timeout": "390s"}
    values, _ = one_file(tmp_path, f"{HEAD}PublishPort=80:80\nNotify=healthy\n[Service]\nTimeoutStartSec=900\n")
    assert values["ready"] == {"healthcheck": True, "timeout": "900s"}


def test_of_several_ports_without_a_health_check_one_is_enough_and_that_is_told(tmp_path: Path) -> None:
    values, told = one_file(tmp_path, f"{HEAD}PublishPort=80:80\nPublishPort=443:443\nPublishPort=53:53/udp\n")
    assert values["ready"] == {"tcp": "any"} and "one of 80, 443 that listens makes it ready" in told
    values, told = one_file(tmp_path, f"{HEAD}PublishPort=80:80\nPublishPort=443:443\n[Service]\nTimeoutStartSec=900\n")
    assert values["ready"] == {"tcp": "any", "timeout": "900s"}


def test_an_image_that_only_the_host_knows_leaves_its_container_out_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=80:80\n")
    (tmp_path / "app.container").write_text("[Container]\nImage=docker.io/x/app:${VERSION}\nPublishPort=81:80\n")
    found, told = imported(tmp_path)
    assert set(found) == {"web"} and "app.container:2: left out: Image= gives 'docker.io/x/app:${VERSION}'" in told
    assert run(tmp_path / "app.container").exit_code == 1


def test_a_volume_that_only_the_host_knows_is_left_out_as_a_loss(tmp_path: Path) -> None:
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=80:80\nVolume=${{MEDIA}}/x:/x\nVolume=/a:/a\n"
                                            "[Service]\nEnvironmentFile=/etc/site.env\n")
    found, notes = quadlet_project.read(str(tmp_path / "web.container"))
    assert found[0].values["volumes"] == ["/a:/a"]
    (note,) = [note for note in found[0].notes if note.what == "Volume="]
    assert note.weight is Weight.LOSS and note.instead.startswith("the value of $MEDIA is known on the host only (/etc/site.env)")


def test_secrets_of_many_containers_are_one_line(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.container").write_text(f"{HEAD}PublishPort=80:80\nSecret={name}-key,type=env,target=KEY\n")
    done = run(tmp_path)
    assert "a.container:4 and 2 other lines: a, b, c: Secret= KEY (of a-key), KEY (of b-key), KEY (of c-key): " in done.stderr
    assert "into /etc/ondemand/{a,b,c}.env on each host" in done.stderr


def test_a_oneshot_is_a_task_before_what_needs_it(tmp_path: Path) -> None:
    (tmp_path / "db.container").write_text("[Container]\nImage=docker.io/library/postgres:16\nNetwork=n.network\n")
    (tmp_path / "n.network").write_text("[Network]\n")
    (tmp_path / "migrate.container").write_text(f"[Unit]\nRequires=db.service\n{HEAD}Network=n.network\n"
                                                "[Service]\nType=oneshot\n")
    (tmp_path / "web.container").write_text(f"[Unit]\nRequires=migrate.service\n{HEAD}Network=n.network\n"
                                            "PublishPort=80:80\n")
    out = tmp_path / "x.toml"
    assert run(tmp_path, "-o", out).exit_code == 0
    found = {container.name: container for container in read([str(out)])}
    assert found["migrate"].task and found["migrate"].before == ("web",) and found["migrate"].requires == ("db",)
    assert [link.target for link in found["migrate"].links] == ["db"] and found["web"].requires == ()
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=80:80\n")
    _, told = imported(tmp_path)
    assert "migrate.container: left out: a task that runs to its end" in told


def test_what_uses_the_network_of_a_container_that_is_left_out_is_left_out_too(tmp_path: Path) -> None:
    (tmp_path / "vpn.container").write_text(HEAD)
    (tmp_path / "load.container").write_text(f"{HEAD}Network=vpn.container\n")
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "load.container: left out: the network that it uses is that of vpn, which is left out" in done.stderr
    (tmp_path / "vpn.container").write_text(f"{HEAD}PublishPort=8080:8080\n")
    found, _ = imported(tmp_path)
    assert found["load"]["companion_of"] == ["vpn"] and found["load"]["network_of"] == "vpn"


def test_a_large_project_on_one_network_takes_no_time(tmp_path: Path) -> None:
    (tmp_path / "n.network").write_text("[Network]\n")
    for number in range(200):
        (tmp_path / f"c{number}.container").write_text(f"[Unit]\nRequires=c{number - 1}.service\n{HEAD}Network=n.network\n"
                                                       + "".join(f"Environment=A{key}=http://c{key}:80/\n" for key in range(20))
                                                       + (f"PublishPort={8000 + number}:80\n" if number % 2 else ""))
    start = time.process_time()
    quadlet_project.read(str(tmp_path))
    assert time.process_time() - start < 4


@pytest.mark.parametrize("is_chain", [False, True])
def test_hundreds_of_workers_take_no_time(tmp_path: Path, is_chain: bool) -> None:
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=80:80\n")
    for number in range(400):
        needed = f"w{number - 1}" if is_chain and number else "web"
        (tmp_path / f"w{number}.container").write_text(f"[Unit]\nRequires={needed}.service\n{HEAD}")
    start = time.process_time()
    found, _ = quadlet_project.read(str(tmp_path))
    assert len(found) == 401 and time.process_time() - start < 2


def test_a_worker_in_the_host_s_network_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "web.container").write_text(f"{HEAD}PublishPort=80:80\n")
    (tmp_path / "guard.container").write_text(f"[Unit]\nRequires=web.service\n{HEAD}Network=host\n")
    found, _ = imported(tmp_path)
    assert found["guard"]["companion_of"] == ["web"] and found["guard"]["create_args"] == ["--network=host"]
    out = tmp_path / "x.toml"
    assert run(tmp_path, "-o", out).exit_code == 0 and len(read([str(out)])) == 2
