"""What people may rely on when they write a declaration."""

from __future__ import annotations

import ipaddress
import json
from datetime import date
from pathlib import Path

import pytest

from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.model import Container, Depends, Port, Ready, ReadyKind, Release, TcpAddress, UnixAddress, Volume

SMALLEST = """\
[container.nginx]
image   = "nginx:1.27"
version = "1.27.0"
ports   = ["80:80"]
"""


def declared(tmp_path: Path, text: str) -> list[Container]:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    return read([str(path)])


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, text)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def with_key(line: str) -> str:
    return SMALLEST + line + "\n"


def test_the_smallest_declaration_works(tmp_path: Path) -> None:
    (container,) = declared(tmp_path, SMALLEST)
    assert container == Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


def test_every_key_reaches_the_container(tmp_path: Path) -> None:
    (container,) = declared(tmp_path, """
        [package]
        version    = "2.1.0"
        release    = 3
        maintainer = "Platform Team <platform@example.com>"
        homepage   = "https://intranet.example/web"
        license    = "MIT"
        depends    = { deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }
        changelog  = [{ date = 2025-03-01, version = "2.1.0-3", changes = ["New."] }]
        [container.web]
        description = "Company web front"
        image       = "registry.example:5000/web:2.1"
        ports       = ["80:8080", "127.0.0.1:9000:9000", "[::1]:9001:9001", "/run/web.sock:8080"]
        command     = ["serve", "--fast"]
        entrypoint  = ["/entry"]
        env         = { MODE = "production" }
        volumes     = ["web-data:/var/lib/web", "/etc/web:/etc/web:ro"]
        user        = "1000:1000"
        workdir     = "/srv"
        memory      = "256m"
        cpus        = 1.5
        read_only   = true
        tmpfs       = ["/tmp"]
        cap_drop    = ["ALL"]
        cap_add     = ["NET_BIND_SERVICE"]
        labels      = { team = "web" }
        stop_timeout = "10s"
        create_args = ["--shm-size=64m"]
        ready = "tcp"
        idle  = "never"
        idle_action = "stop"
        requires = []
        allow = []
        """)
    local = ipaddress.ip_address
    assert container == Container(
        name="web", image="registry.example:5000/web:2.1", version="2.1.0", release=3,
        maintainer="Platform Team <platform@example.com>", homepage="https://intranet.example/web", license="MIT",
        depends=Depends(("foo (>= 1)",), ("foo >= 1",)), changelog=(Release(date(2025, 3, 1), "2.1.0-3", ("New.",)),),
        description="Company web front",
        ports=(Port(TcpAddress(None, 80), 8080), Port(TcpAddress(local("127.0.0.1"), 9000), 9000),
               Port(TcpAddress(local("::1"), 9001), 9001), Port(UnixAddress("/run/web.sock"), 8080)),
        command=("serve", "--fast"), entrypoint=("/entry",), env={"MODE": "production"},
        volumes=(Volume("web-data", "/var/lib/web"), Volume("/etc/web", "/etc/web", ("ro",))), user="1000:1000",
        workdir="/srv", memory=256 * 1024**2, cpus=1.5, read_only=True, tmpfs=("/tmp",), cap_drop=("ALL",),
        cap_add=("NET_BIND_SERVICE",), labels={"team": "web"}, stop_timeout=10, create_args=("--shm-size=64m",))


def test_a_container_overrides_the_defaults_of_its_file(tmp_path: Path) -> None:
    one, two = declared(tmp_path, '[package]\nversion = "1"\nrelease = 2\n'
                                  '[container.a]\nimage = "a"\nports = ["1:1"]\n'
                                  '[container.b]\nimage = "b"\nports = ["2:1"]\nversion = "9"\n')
    assert (one.version, one.release, two.version, two.release) == ("1", 2, "9", 2)


@pytest.mark.parametrize(("written", "seconds"), [
    ("10s", 10), ("1min 30s", 90), ("2h", 7200), ("90", 90), ("1500ms", 1.5), ("1d", 86400)])
def test_time_spans_are_written_as_systemd_users_write_them(tmp_path: Path, written: str, seconds: float) -> None:
    (container,) = declared(tmp_path, with_key(f'ready = {{ tcp = true, timeout = "{written}" }}'))
    assert container.ready.kind is ReadyKind.TCP and container.ready.timeout == seconds


@pytest.mark.parametrize(("written", "directory"), [
    ("true", "/var/lib/prometheus/node-exporter"), ("false", ""), ('"/srv/textfile"', "/srv/textfile")])
def test_metrics_are_written_where_debians_exporter_reads_them_by_default(tmp_path: Path, written: str, directory: str) -> None:
    (container,) = declared(tmp_path, with_key(f"metrics = {written}"))
    assert container.metrics == directory


@pytest.mark.parametrize(("written", "size"), [
    ("256m", 256 << 20), ("1g", 1 << 30), ("1.5g", 3 << 29), ("512MiB", 512 << 20), ("8388608", 8 << 20), ("64M", 64 << 20)])
def test_sizes_are_written_as_docker_users_write_them(tmp_path: Path, written: str, size: int) -> None:
    (container,) = declared(tmp_path, with_key(f'memory = "{written}"'))
    assert container.memory == size


# The seven faults that people make first: the whole text they get.
@pytest.mark.parametrize(("text", "told"), [
    pytest.param('[container.a]\nimage = nginx\n', "x.toml:2: invalid TOML: invalid value, at column 9", id="wrong TOML"),
    pytest.param(with_key("colour = 1"), "x.toml:5: container.nginx.colour: unknown key; allowed: version, ", id="unknown key"),
    pytest.param(with_key('imgae = "x"'), 'x.toml:5: container.nginx.imgae: unknown key; did you mean "image"?',
                 id="misspelt key"),
    pytest.param(SMALLEST.replace("80:80", "80:99999"),
                 'x.toml:4: container.nginx.ports[0]: found "80:99999"; \'99999\' is not a port from 1 to 65535; allowed: '
                 '"[ADDRESS:]LISTEN:CONTAINER"', id="bad port"),
    pytest.param(SMALLEST + SMALLEST.replace("nginx]", "other]").replace("80:80", "127.0.0.1:80:8080"),
                 'x.toml:8: container.other.ports[0]: found "127.0.0.1:80:8080"; the container \'nginx\' (', id="clash"),
    pytest.param(SMALLEST.replace('version = "1.27.0"', ""),
                 "x.toml:1: container.nginx.version: missing; write version = \"1.27\" here or in [package]",
                 id="missing version"),
    pytest.param(SMALLEST.replace("nginx]", "nginx-container]"),
                 "x.toml:1: container.nginx-container: found the name 'nginx-container'; a name can't end in '-container': its "
                 "units would collide with those of the container 'nginx'", id="colliding name"),
])
def test_a_fault_is_told_with_its_place_and_its_remedy(tmp_path: Path, text: str, told: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert fault.startswith(told)


def test_every_fault_of_all_files_is_told_in_one_run(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[container.a]\nimage = "A"\nports = ["x"]\nverison = "1"\n')
    (tmp_path / "b.toml").write_text('[container.b]\nimage = 5\n[pakcage]\n')
    with pytest.raises(DeclarationError) as caught:
        read([str(tmp_path / "a.toml"), str(tmp_path / "b.toml"), str(tmp_path / "gone.toml")])
    places = [str(fault).removeprefix(f"{tmp_path}/").split(": ")[:2] for fault in caught.value.faults]
    assert places == [
        ["a.toml:1", "container.a.version"], ["a.toml:2", "container.a.image"], ["a.toml:3", "container.a.ports[0]"],
        ["a.toml:4", "container.a.verison"], ["b.toml:1", "container.b.ports"], ["b.toml:1", "container.b.version"],
        ["b.toml:2", "container.b.image"], ["b.toml:3", "pakcage"], ["gone.toml", "can't be read"]]


def test_every_fault_of_one_value_is_told_in_one_run(tmp_path: Path) -> None:
    told = faults(tmp_path, """[container.a]
image = "a"
version = "1"
ports = [
  80,
  "81:80",
  "82:0",
]
env = { A = 1, B = "b", C = true }
depends = { deb = ["Foo", "bar"], arch = [] }
""")
    assert [fault.split(": ")[:2] for fault in told] == [
        ["x.toml:5", "container.a.ports[0]"], ["x.toml:7", "container.a.ports[2]"], ["x.toml:9", "container.a.env.A"],
        ["x.toml:9", "container.a.env.C"], ["x.toml:10", "container.a.depends.arch"], ["x.toml:10", "container.a.depends.deb[0]"]]


def test_a_clash_is_found_across_files_and_beside_other_faults(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(SMALLEST)
    (tmp_path / "b.toml").write_text(SMALLEST.replace("nginx]", "b]") + "colour = 1\n")
    with pytest.raises(DeclarationError) as caught:
        read([str(tmp_path / "a.toml"), str(tmp_path / "b.toml")])
    assert [fault.key for fault in caught.value.faults] == ["container.b.ports[0]", "container.b.colour"]
    assert f"{tmp_path}/a.toml:4" in caught.value.faults[0].message


def test_a_value_in_an_array_over_many_lines_is_told_with_its_own_line(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, '[container.a]\nimage = "a"\nversion = "1"\nports = [\n  "80:80",\n  "81:0",\n]\n')
    assert fault.startswith("x.toml:6: container.a.ports[1]: ")


@pytest.mark.parametrize(("one", "other"), [
    ("80:1", "80:2"), ("80:1", "127.0.0.1:80:1"), ("80:1", "[::1]:80:1"), ("0.0.0.0:80:1", "127.0.0.1:80:1"),
    ("[::]:80:1", "127.0.0.1:80:1"), ("127.0.0.1:80:1", "127.0.0.1:80:2"), ("/run/a:1", "/run/a:2")])
def test_addresses_that_the_kernel_would_refuse_together_clash(tmp_path: Path, one: str, other: str) -> None:
    (fault,) = faults(tmp_path, SMALLEST.replace('"80:80"', f'"{one}", "{other}"'))
    assert "listens on" in fault


@pytest.mark.parametrize(("one", "other"), [
    ("80:1", "81:1"), ("0.0.0.0:80:1", "[::1]:80:1"), ("127.0.0.1:80:1", "127.0.0.2:80:1"), ("/run/a:1", "/run/b:1")])
def test_addresses_that_the_kernel_takes_together_do_not_clash(tmp_path: Path, one: str, other: str) -> None:
    assert declared(tmp_path, SMALLEST.replace('"80:80"', f'"{one}", "{other}"'))


@pytest.mark.parametrize(("lines", "why"), [
    ('idle = "10min"', "does not support 'idle'"), ('allow = ["::1"]', "does not support 'allow'"),
    ('proxy_protocol = "v1"', "does not support 'proxy_protocol'")])
def test_keys_that_contradict_each_other_are_told(tmp_path: Path, lines: str, why: str) -> None:
    (fault,) = faults(tmp_path, with_key(f'proxy = "systemd-socket-proxyd"\n{lines}'))
    assert fault.startswith('x.toml:5: container.nginx.proxy: "systemd-socket-proxyd" ') and why in fault


def test_a_limit_of_the_log_contradicts_a_driver_of_its_own(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, with_key('create_args = ["--log-driver=journald"]\nlog_limit = "1m"'))
    assert "container.nginx.log_limit: create_args says already" in fault and "leave one of the two out" in fault


@pytest.mark.parametrize("ports", ['"80:80", "81:80"', '"/run/x.sock:80"'])
def test_systemds_proxy_leads_one_tcp_address(tmp_path: Path, ports: str) -> None:
    (fault,) = faults(tmp_path, with_key('proxy = "systemd-socket-proxyd"').replace('"80:80"', ports))
    assert "supports one TCP address and one port only; leave the key out" in fault


@pytest.mark.parametrize(("written", "ready"), [
    ('{ http = "/healthz", status = 204, timeout = "5s" }', Ready(ReadyKind.HTTP, 5.0, path="/healthz", status=204)),
    ("{ healthcheck = true }", Ready(ReadyKind.HEALTHCHECK)),
    ('{ tcp = "any" }', Ready(is_any=True)), ('{ tcp = ["80", 80] }', Ready(ports=(80,))), ("{ tcp = true }", Ready()),
    ('{ exec = ["pg_isready"] }', Ready(ReadyKind.EXEC, argv=("pg_isready",))),
    ('{ log = "ready to accept" }', Ready(ReadyKind.LOG, text="ready to accept"))])
def test_readiness_is_told_by_one_of_five_kinds(tmp_path: Path, written: str, ready: Ready) -> None:
    (container,) = declared(tmp_path, with_key(f"ready = {written}"))
    assert container.ready == ready


def test_a_pause_without_a_time_to_wait_for_is_refused(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, with_key('idle_action = "pause"'))
    assert fault.startswith("x.toml:5: container.nginx.idle_action: ") and 'write idle = "10min" too' in fault
    assert declared(tmp_path, with_key('idle_action = "pause"\nidle = "10min"'))


def site(tmp_path: Path, requires: dict[str, list[str]]) -> str:
    return "".join(f'[container.{name}]\nimage = "x"\nversion = "1"\nports = ["{port}:80"]\nrequires = {json.dumps(required)}\n'
                   for port, (name, required) in enumerate(requires.items(), 8001))


def test_containers_may_require_each_other_as_long_as_one_can_be_first(tmp_path: Path) -> None:
    containers = declared(tmp_path, site(tmp_path, {"web": ["db", "cache"], "cache": ["db"], "db": ["elsewhere"]}))
    assert [container.requires for container in containers] == [("db", "cache"), ("db",), ("elsewhere",)]


@pytest.mark.parametrize(("requires", "shown"), [
    ({"a": ["a"]}, "x.toml:5: container.a.requires: dependency cycle a -> a: "),
    ({"a": ["b"], "b": ["a"]}, "x.toml:5: container.a.requires: dependency cycle a -> b -> a: "),
    ({"x": ["a"], "a": ["b", "y"], "b": ["c"], "c": ["a"], "y": []},
     "x.toml:10: container.a.requires: dependency cycle a -> b -> c -> a: ")])
def test_a_dependency_cycle_is_refused_and_shown(tmp_path: Path, requires: dict[str, list[str]], shown: str) -> None:
    (fault,) = faults(tmp_path, site(tmp_path, requires))
    assert fault.startswith(shown)


def test_a_dependency_cycle_across_files_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(SMALLEST + 'requires = ["other"]\n')
    (tmp_path / "b.toml").write_text(SMALLEST.replace("nginx]", "other]").replace("80:80", "81:80") + 'requires = ["nginx"]\n')
    with pytest.raises(DeclarationError, match="nginx -> other -> nginx"):
        read([str(tmp_path / "a.toml"), str(tmp_path / "b.toml")])


@pytest.mark.parametrize(("line", "remedy"), [
    ('description = "two\\nlines"', "U+000A"), ('description = " x"', "without leading or trailing white space"),
    ('description = "\\uFFFE"', "U+FFFE"), ('description = "\\u2028"', "U+2028"), ('description = "a\\u202Eb"', "U+202E"),
    ('maintainer = "nobody"', '"NAME <MAIL@ADDRESS>"'), ('homepage = "ftp://x"', "http://"), ('license = "M%IT"', "SPDX"),
    ("release = 0", "an integer from 1"), ('release = "1"', "expected an integer from 1 to 999999, not a string"),
    ('memory = "1m"', 'at least "6m"'), ("memory = 5", "expected a size as Docker writes it"), ("cpus = 0", "above 0"),
    ("cpus = nan", "above 0"),
    ('log_limit = "1k"', 'at least "64k"'), ("log_limit = 10", '"none", or a size'), ('log_limit = "much"', '"none"'),
    ('read_only = "yes"', "true or false"), ('volumes = ["/data"]', 'write "NAME:/data"'),
    ('volumes = ["a b:/x"]', "name of a volume"), ('volumes = ["data:x"]', "absolute path"),
    ('volumes = ["data:/x:rx"]', "unknown option 'rx'"), ('command = "serve"', 'write ["serve"]'),
    ("env = { A = 1 }", 'write "1"'), ('env = { "A=B" = "1" }', "without '='"),
    ('labels = { "ondemand.spec" = "1" }', "begin with"),
    ('create_args = ["x"]', "it would be taken for the image"), ('create_args = ["--name=x"]', "names its container"),
    ('create_args = ["--rm"]', "removes its container"), ('create_args = ["--stop-timeout", "3"]', "use the key stop_timeout"),
    ('stop_timeout = "soon"', "time span"), ('ready = "udp"', "tcp = true"), ("ready = {}", "tcp = true"),
    ('ready = { tcp = true, timeout = "0s" }', "above 0"), ('ready = { tcp = true, status = 200 }', "unknown key"),
    ('depends = { deb = ["a; b"] }', "Debian relation"), ('depends = { rpm = ["a ~ 1"] }', "RPM dependency"),
    ('depends = { apk = [] }', "unknown key"), ('user = "a b"', "USER:GROUP"), ('workdir = "srv"', "absolute path"),
    ('cap_add = ["net_admn"]', "capability"), ('allow = ["10.0.0.1/8"]', "beyond its prefix length"),
    ('metrics = "textfile"', "absolute directory"), ('metrics = "/a b"', "plain characters"), ("metrics = 1", "true, false"),
    ('metrics = "/a/../b"', "plain characters"),
    ('changelog = [{ date = "2025", version = "1-1", changes = ["x"] }]', "a date without quotes"),
])
def test_a_value_out_of_its_range_is_refused_with_what_is_allowed(tmp_path: Path, line: str, remedy: str) -> None:
    (fault,) = faults(tmp_path, with_key(line))
    assert fault.startswith(f"x.toml:5: container.nginx.{line.split()[0]}") and remedy in fault


UDP = SMALLEST.replace("80:80", "53:53/udp")
ANSWERS = 'ready = { udp = { send = "ff", expect = "" } }\n'


@pytest.mark.parametrize(("text", "told"), [
    (UDP, 'ready: missing; its default "tcp" connects to a TCP port, and all of its ports are of UDP; write ready = { udp = '),
    (UDP + 'ready = "tcp"\n', 'ready: "tcp" connects to a TCP port, and all of its ports are of UDP; write ready = { udp = '),
    (UDP + 'ready = { http = "/" }\n', 'ready: "http" connects to a TCP port'),
    (UDP + ANSWERS + 'proxy_protocol = "v2"\n', "proxy_protocol: it is for connections"),
    (UDP + ANSWERS + 'proxy = "systemd-socket-proxyd"\n', 'proxy: "systemd-socket-proxyd" supports one TCP address'),
    (UDP + ANSWERS + 'create_args = ["--publish=53:53/udp"]\n', "create_args: the engine would listen on 53 too"),
    (UDP + 'ready = { udp = { send = "f", expect = "" } }\n', 'ready.udp.send: found "f"; allowed: bytes in hexadecimal digits'),
    (UDP + 'ready = { udp = { expect = "ff" } }\n', "send is missing"),
    (UDP + 'ready = { udp = { send = "ff", wait = 1 } }\n', "ready.udp.wait: found 1; unknown key; allowed: send, expect"),
    (UDP + 'ready = { udp = "ff" }\n', "a table { send ="),
    (UDP + ANSWERS + "udp_timeout = 5\n", "time span"),
    (SMALLEST + ANSWERS, "ready: none of its ports is of UDP"),
    (SMALLEST + 'udp_timeout = "5min"\n', "udp_timeout: none of its ports is of UDP"),
    (UDP + ANSWERS + SMALLEST.replace("nginx]", "b]").replace("80:80", "127.0.0.1:53:5/udp") + ANSWERS,
     'already listens on "53/udp"')])
def test_what_datagrams_need_and_what_excludes_them_is_told(tmp_path: Path, text: str, told: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert told in fault


def test_udp_stands_beside_tcp_on_one_port_and_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(SMALLEST.replace('"80:80"', '"53:53", "53:53/udp", "[::1]:54:53/udp", "/run/x.sock:53"'))
    (container,) = read([str(path)])
    assert [str(port) for port in container.ports] == ["53:53", "53:53/udp", "[::1]:54:53/udp", "/run/x.sock:53"]
    assert (container.targets, container.udp_targets) == ((53,), (53,))
    again = tmp_path / "again.toml"
    again.write_text(as_toml(container))
    assert read([str(again)]) == [container]


def test_a_question_over_udp_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path, again = tmp_path / "x.toml", tmp_path / "again.toml"
    path.write_text(UDP + 'ready = { udp = { send = "FF00", expect = "ff" }, timeout = "9s" }\nudp_timeout = "90s"\n')
    (container,) = read([str(path)])
    assert (container.ready.send, container.ready.expect, container.udp_timeout) == (b"\xff\0", b"\xff", 90.0)
    again.write_text(as_toml(container))
    assert read([str(again)]) == [container]


@pytest.mark.parametrize(("port", "remedy"), [
    ("/run/x.sock:80/udp", "a Unix socket takes connections"), ("80:80/sctp", "not a port"),
    ("80", '"[ADDRESS:]LISTEN:CONTAINER"'), ("::1:80:80", "brackets"),
    ("localhost:80:80", "not an IP address"), ("[fe80::1%eth0]:80:80", "zone"), ("run/x.sock:80", "not a port"),
    ("/run/" + "x" * 200 + ":80", "107 bytes"), ("/run/../x:80", "normalised"), ("/run/x :80", "end in white space"),
    ("80:８0", "not a port"), ("0:80", "not a port")])
def test_a_port_that_nobody_can_listen_on_is_refused(tmp_path: Path, port: str, remedy: str) -> None:
    (fault,) = faults(tmp_path, SMALLEST.replace("80:80", port))
    assert remedy in fault


@pytest.mark.parametrize("version", ["v1", "1-2", "1:2", "1_2", "", "1 2", "1%2", "1^2"])
def test_a_version_that_either_format_refuses_is_refused(tmp_path: Path, version: str) -> None:
    (fault,) = faults(tmp_path, SMALLEST.replace("1.27.0", version))
    assert "a version of digits" in fault


@pytest.mark.parametrize("name", ["Web", "-web", "we b", "web_1", "web-container", "web.previous", "web.next", "w" * 101])
def test_a_name_that_no_package_or_unit_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (fault,) = faults(tmp_path, SMALLEST.replace("[container.nginx]", f'[container."{name}"]'))
    assert f"found the name '{name}'" in fault


@pytest.mark.parametrize("image", ["nginx", "nginx:1.27", "library/nginx", "registry.example:5000/a/b:tag", "localhost:5000/x",
                                   "ghcr.io/x/y@sha256:" + "a" * 64])
def test_images_are_named_as_docker_names_them(tmp_path: Path, image: str) -> None:
    (container,) = declared(tmp_path, SMALLEST.replace("nginx:1.27", image))
    assert container.image == image


@pytest.mark.parametrize("image", ["-v", "Nginx", "nginx:", "a b", "nginx@sha256:12", "http://x/y", ""])
def test_what_is_no_image_is_refused(tmp_path: Path, image: str) -> None:
    (fault,) = faults(tmp_path, SMALLEST.replace("nginx:1.27", image))
    assert "an image as Docker names it" in fault


@pytest.mark.parametrize(("content", "told"), [
    (b"\xff", "x.toml:1: not UTF-8"), (b"", "x.toml: no container is declared"), (b"container = 1", "allowed: tables"),
    (b"[container]\na = 1", "expected a table [container.a], not an integer"), (b"x = 1\n", "unknown table"),
    (b"[package]\nimage = 'x'\n[container]", "move it to [container.NAME]"), (b"a = [" * 5000, "invalid TOML")])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(DeclarationError) as caught:
        read([str(tmp_path / "x.toml")])
    assert any(told in str(fault) for fault in caught.value.faults)


def test_a_plus_which_only_package_names_may_hold_becomes_an_underscore_elsewhere(tmp_path: Path) -> None:
    (container,) = declared(tmp_path, SMALLEST.replace("[container.nginx]", '[container."c++"]'))
    assert (container.package_name, container.container_name, container.socket_unit) == (
        "ondemand-c++", "ondemand-c__", "ondemand-c__.socket")
