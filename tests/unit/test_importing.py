"""Declarations from images, containers and Quadlet files, with an engine that is played here; tests/hosts asks a real one."""

from __future__ import annotations

import json
import socketserver
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import container, image, quadlet_project
from ondemand_pkg.model import Container

NGINX_CONFIG: dict[str, Any] = {
    "ExposedPorts": {"80/tcp": {}, "443/tcp": {}, "53/udp": {}}, "Volumes": {"/var/cache/nginx": {}}, "User": "",
    "StopSignal": "SIGQUIT",
    "Env": ["PATH=/usr/bin", "NGINX=1"], "Cmd": ["nginx"], "Entrypoint": ["/entry"], "WorkingDir": "/",
    "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 30000000000},
    "Labels": {"org.opencontainers.image.version": "v1.27.3", "org.opencontainers.image.licenses": "BSD-2-Clause",
               "org.opencontainers.image.description": "A web server", "org.opencontainers.image.url": "https://nginx.org/",
               "maintainer": "x"}}
NGINX_IMAGE = {"Id": "sha256:1", "RepoTags": ["nginx:1.27"], "RepoDigests": ["nginx@sha256:" + "a" * 64], "Config": NGINX_CONFIG}
DETAILS: dict[str, Any] = {
    "Id": "abcdef0123456789", "Name": "/old_web", "Image": "sha256:1",
    "Config": {**NGINX_CONFIG, "Image": "nginx:1.27", "Hostname": "abcdef012345", "Env": ["PATH=/usr/bin", "NGINX=1", "MODE=a=b"],
               "Labels": {**NGINX_CONFIG["Labels"], "team": "web", "com.docker.compose.project": "p"}},
    "HostConfig": {
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "81"}],
                         "53/udp": [{"HostIp": "", "HostPort": "53"}]},
        "Memory": 268435456, "MemorySwap": 536870912, "NanoCpus": 1500000000, "ReadonlyRootfs": True, "CapAdd": ["NET_ADMIN"],
        "CapDrop": None, "RestartPolicy": {"Name": "always"}, "NetworkMode": "mine", "Tmpfs": {"/tmp": "size=64m"},
        "ShmSize": 67108864,
        "PidsLimit": 100, "ExtraHosts": ["a:1.2.3.4"], "LogConfig": {"Type": "json-file", "Config": {}}, "IpcMode": "private",
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b",
                                                                        "CgroupPermissions": "rwm"}],
        "DeviceRequests": [{"Driver": "", "Count": 0, "DeviceIDs": ["1"], "Capabilities": [["gpu"]], "Options": {}}]},
    "Mounts": [{"Type": "volume", "Name": "data", "Destination": "/data", "Driver": "local", "RW": True},
               {"Type": "volume", "Name": "f" * 64, "Destination": "/var/cache/nginx", "Driver": "local", "RW": True},
               {"Type": "bind", "Source": "/srv/x", "Destination": "/x", "RW": False, "Propagation": "rprivate"}]}


class FakeEngine(BaseHTTPRequestHandler):
    """Answers what the docker SDK asks for; the image "pulled:1" is there after its pull."""

    protocol_version = "HTTP/1.1"  # the SDK reads a pull's steps only in chunks
    pulled: set[str] = set()
    asked: list[str] = []  # to be pulled

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def stream(self, *bodies: object) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for data in (json.dumps(body).encode() + b"\r\n" for body in bodies):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        path = "/" + self.path.partition("?")[0].lstrip("/").partition("/")[2] if self.path.startswith("/v1") else self.path
        if path in ("/version", "/_ping"):
            self.answer(200, {"ApiVersion": "1.43", "MinAPIVersion": "1.12"})
        elif path == "/containers/old_web/json":
            self.answer(200, DETAILS)
        elif path in ("/images/nginx:1.27/json", "/images/sha256:1/json") or (path == "/images/pulled:1/json" and self.pulled):
            self.answer(200, NGINX_IMAGE)
        else:
            self.answer(404, {"message": f"No such object: {path}"})

    def do_POST(self) -> None:
        self.asked.append(self.path.partition("?")[2])
        if "fromImage=pulled" in self.path and "tag=1" in self.path:
            self.pulled.add("pulled:1")
            self.stream({"status": "Pulling", "id": "1"}, {"status": "Done"})
        else:
            self.stream({"error": "manifest unknown"})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[dict[str, str]]:
    FakeEngine.pulled, FakeEngine.asked = set(), []
    path = tmp_path / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), FakeEngine) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield {"DOCKER_HOST": f"unix://{path}"}
        server.shutdown()


def run(*argv: str | Path, env: dict[str, str]) -> Result:
    return CliRunner(env=env).invoke(cli, [*map(str, argv)])


def container_of(path: Path) -> Container:
    return read([str(path)])[0]


def test_init_writes_what_the_image_says_of_itself(engine: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "nginx.toml"
    done = run("init", "nginx:1.27", "-o", out, env=engine)
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    found = container_of(out)
    assert (found.name, found.image, found.version, found.license) == ("nginx", "nginx:1.27", "1.27", "BSD-2-Clause")
    assert (found.description, found.homepage) == ("A web server", "https://nginx.org/")
    assert [str(port) for port in found.ports] == ["80:80", "443:443"]
    assert [str(volume) for volume in found.volumes] == ["nginx-var-cache-nginx:/var/cache/nginx"]
    text = out.read_text()
    for remark in ("nginx@sha256:aaaa", "runs as root", "SIGQUIT", 'idle = "10min"', "port 53/udp"):
        assert remark in text
    assert 'write "53:53/udp" into ports' in done.stderr


def test_init_pulls_an_image_that_is_not_there(engine: dict[str, str]) -> None:
    done = run("init", "pulled:1", env=engine)
    assert done.exit_code == 0 and 'image = "pulled:1"' in done.stdout, done.output
    done = run("init", "gone:1", env=engine)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the image gone:1 is unavailable: manifest unknown; try 'docker pull gone:1'" in done.stderr


def test_an_image_with_a_tag_and_a_digest_is_pulled_by_its_digest(engine: dict[str, str]) -> None:
    digest = "sha256:" + "a" * 64
    assert run("init", f"registry.example:5000/web:1@{digest}", env=engine).exit_code == 1
    assert [urllib.parse.parse_qs(query) for query in FakeEngine.asked] == [
        {"fromImage": ["registry.example:5000/web"], "tag": [digest]}]


@pytest.mark.parametrize("argv", [["init", "nginx"], ["import", "--container", "x"]])
def test_no_engine_is_told_with_the_remedy(tmp_path: Path, argv: list[str]) -> None:
    done = run(*argv, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no Docker engine answers (No such file or directory); start one" in done.stderr


def test_init_offline_needs_no_engine_and_builds(tmp_path: Path) -> None:
    out = tmp_path / "x.toml"
    done = run("init", "ghcr.io/Some/x_y:v2.3-slim", "--offline", "-o", out, env={"DOCKER_HOST": "unix:///nowhere"})
    assert done.exit_code == 1 and "is not an image; allowed: an image as Docker names it" in done.stderr
    done = run("init", "ghcr.io/some/x_y:v2.3-slim", "--offline", "-o", out, env={"DOCKER_HOST": "unix:///nowhere"})
    assert done.exit_code == 0, done.output
    assert (container_of(out).name, container_of(out).version) == ("x-y", "2.3")


def test_no_file_is_overwritten_without_being_told(tmp_path: Path) -> None:
    out = tmp_path / "x.toml"
    out.write_text("mine")
    done = run("init", "a:1", "--offline", "-o", out, env={})
    assert done.exit_code == 1 and f"{out}: it already exists; give another file with --output, or --force" in done.stderr
    assert out.read_text() == "mine"
    assert run("init", "a:1", "--offline", "-o", out, "--force", env={}).exit_code == 0 and "a:1" in out.read_text()
    done = run("init", "a:1", "--offline", "-o", tmp_path / "no/x.toml", env={})
    assert done.exit_code == 1 and "can't be written: No such file or directory" in done.stderr


def test_a_container_is_imported_less_what_comes_from_its_image(engine: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "x.toml"
    done = run("import", "--container", "old_web", "-o", out, env=engine)
    assert done.exit_code == 0, done.output
    found = container_of(out)
    assert (found.name, found.image, dict(found.env), dict(found.labels)) == (
        "old-web", "nginx:1.27", {"MODE": "a=b"}, {"team": "web"})
    assert [str(port) for port in found.ports] == ["8080:80", "[::1]:81:80", "53:53/udp"]
    assert (found.command, found.entrypoint, found.user, found.workdir) == ((), None, "", "")
    assert (found.memory, found.cpus, found.read_only, found.cap_add, found.tmpfs) == (
        268435456, 1.5, True, ("NET_ADMIN",), ("/tmp:size=64m",))
    assert [str(volume) for volume in found.volumes] == ["data:/data", "f" * 64 + ":/var/cache/nginx", "/srv/x:/x:ro"]
    assert found.create_args == ("--pids-limit=100", "--add-host=a:1.2.3.4", "--device=/dev/a:/dev/b:rwm", "--gpus=device=1",
                                 "--ulimit=nofile=1:2")
    for part in ("restart always", "network mine", "com.docker.compose", "an anonymous volume (ffffffffffff"):
        assert part in done.stderr


def test_a_container_that_is_not_there_is_told(engine: dict[str, str]) -> None:
    done = run("import", "--container", "gone", env=engine)
    assert done.exit_code == 1 and "there is no container 'gone'; 'docker ps --all' lists" in done.stderr


@pytest.mark.parametrize(("own", "expected"), [
    ({"Entrypoint": ["/mine"]}, {"entrypoint": ["/mine"], "command": ["nginx"]}),
    ({"Entrypoint": None}, {"entrypoint": [], "command": ["nginx"]}),
    ({"Cmd": None}, {"entrypoint": ["/entry"]}),
    ({"Cmd": ["sh"]}, {"command": ["sh"]}),
])
def test_an_entry_point_of_its_own_takes_the_images_command_away(own: dict[str, Any], expected: dict[str, Any]) -> None:
    values = container.draft_of({**DETAILS, "Config": {**DETAILS["Config"], **own}}, NGINX_IMAGE).values
    assert {key: values[key] for key in ("entrypoint", "command") if key in values} == expected


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["Config", "RepoDigests"]), st.none() | st.just({}) | st.dictionaries(
    st.sampled_from(["ExposedPorts", "Labels", "Volumes", "User", "Healthcheck"]), st.none())))
def test_an_image_that_says_little_is_no_fault(attributes: dict[str, Any]) -> None:
    attributes.pop("RepoDigests", None)
    assert image.draft_of("a", attributes).values["ports"] == ["8080:80"]


QUADLET = r"""
# a comment
[Unit]
Description=A web "server"
After=network.target

[Container]
Image=docker.io/library/nginx:1.27
PublishPort=8080:80
PublishPort=127.0.0.1:53:53/udp
PublishPort=9000-9001:9000-9001
Environment=A=1 "B=two words" 'C=x'\
  D=4
Environment=E=%n F=100%%
Exec=nginx -g "daemon off;" \
  # a comment between
  --flag
Volume=data.volume:/data
Volume=/srv:/srv:ro
Volume=/nameless
Label=x=1
Label=
Label=y=2
User=1000
Group=1001
DropCapability=CAP_NET_RAW ALL
ReadOnly=true
RunInit=yes
StopTimeout=30
HealthCmd=curl localhost
HealthInterval=5s
Network=my.network
AutoUpdate=registry
PodmanArgs=--foo
AddHost=a:1.2.3.4
EnvironmentFile=/etc/x.env

[Service]
Restart=always
[Install]
WantedBy=default.target
"""


def test_a_quadlet_file_is_imported(tmp_path: Path) -> None:
    path, out = tmp_path / "my_web.container", tmp_path / "x.toml"
    path.write_text(QUADLET)
    done = run("import", "--verbose", path, "-o", out, env={})
    assert done.exit_code == 0, done.output
    found = container_of(out)
    assert (found.name, found.image, found.version) == ("my-web", "docker.io/library/nginx:1.27", "1.27")
    assert [str(port) for port in found.ports] == ["8080:80", "127.0.0.1:53:53/udp", "9000:9000", "9001:9001"]
    assert dict(found.env) == {"A": "1", "B": "two words", "C": "x", "D": "4", "E": "my_web.service", "F": "100%"}
    assert found.command == ("nginx", "-g", "daemon off;", "--flag") and found.description == 'A web "server"'
    assert [str(volume) for volume in found.volumes] == ["systemd-data:/data", "/srv:/srv:ro", "my-web-nameless:/nameless"]
    assert (dict(found.labels), found.user, found.cap_drop, found.read_only, found.stop_timeout) == (
        {"y": "2"}, "1000:1001", ("NET_RAW", "ALL"), True, 30)
    assert found.tmpfs == ("/run", "/tmp", "/var/tmp"), "as Podman gives each read-only container"
    assert found.create_args == ("--init", "--add-host=a:1.2.3.4")
    for part in ("Network=: ", "[Service] Restart=", "[Install] WantedBy=",
                 "AutoUpdate=", "PodmanArgs=", "HealthInterval=", "EnvironmentFile=", "[Unit] After="):
        assert part in done.stderr, part
        is_routine = part.startswith(("[", "Health"))
        assert is_routine or part in out.read_text(), part


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.container", b"[Unit]\nDescription=x\n", "it has no section [Container]"),
    ("a.container", b"[Container]\nExec=a\n", "has no Image="),
    ("a.container", b"[Container]\nImage=a\nExec='x\n", "a.container:3: unbalanced quote"),
    ("a.container", b"[Container]\nnonsense\n", "a.container:2: 'nonsense' is neither"), ("a.container", b"\xff", "not UTF-8"),
    ("a.container", b"[Container]\nImage=a\0b\n", "a.container:2: a NUL"), ("a.container", None, "can't be read"),
    ("a.pod", b"", "only .container files"), ("Dockerfile", b"FROM x\n", "neither a Compose file"),
    ("x.toml", b"", "neither a Compose"),
])
def test_what_is_no_quadlet_file_is_told(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run("import", tmp_path / name, env={})
    assert done.exit_code == 1 and message in done.stderr and not done.stdout


@settings(deadline=None)
@given(lines=st.lists(st.tuples(st.sampled_from([
    "Image", "Exec", "Environment", "PublishPort", "Volume", "Label", "User", "Group", "X", "HealthCmd", "StopTimeout", "Tmpfs",
    "Memory"]),
    st.text(st.sampled_from("ab:/1-,'\"\\ =%.u"), max_size=12)), max_size=10))
def test_no_quadlet_file_ends_in_a_traceback(lines: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.container"
    path.write_text("[Container]\n" + "".join(f"{key}={value}\n" for key, value in lines))
    try:
        quadlet_project.read(str(path))
    except OndemandError as error:
        assert str(error)


def test_import_wants_one_source() -> None:
    assert run("import", env={}).exit_code == 2 and run("import", "x", "--container", "y", env={}).exit_code == 2
