"""Where the image comes from: pulled, pinned to a digest, or carried in the package.  Real engines, a real registry."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg.errors import OndemandError

from .conftest import TOOLS, built
from .machine import Machine, fresh
from .managers import Manager

REGISTRY, GUARDED, NOBODY = "127.0.0.1:5000", "127.0.0.1:5001", "127.0.0.1:1"
CONFIGURATION = ("version: 0.1\nstorage: {{filesystem: {{rootdirectory: /var/lib/docker-registry}}}}\n"
                 "http: {{addr: '{address}'}}\n{auth}")
# Two images of two MB each, of which the registry has the first unless told, and a large one.
ONE, TWO, LARGE = "one:1", "two:1", "large:1"
LARGE_SIZE = 128 * 2**20
CHANGES = ["--change", 'ENTRYPOINT ["/busybox","httpd","-f","-p","80","-h","/www"]']
PASSWORD = "auth: {htpasswd: {realm: x, path: /root/passwords}}\n"
CONTAINER = "ondemand-web-container.service"


def web(version: str = "1", image: str = f"{REGISTRY}/web:1", more: str = "") -> str:
    return f'[container.web]\nimage = "{image}"\nversion = "{version}"\nports = ["8001:80"]\nstop_timeout = "1s"\n{more}\n'


@pytest.fixture(scope="module", params=["bookworm-rpm", "trixie-deb"])
def shared(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """A host with two registries, one of which asks for a password, and whose engine builds too."""
    need(*TOOLS, "busybox", root=True)
    suite, kind = request.param.split("-")
    with fresh(suite) as machine:
        for name, address, auth in (("registry", REGISTRY, ""), ("guarded", GUARDED, PASSWORD)):
            machine.write(f"/root/{name}.yml", CONFIGURATION.format(address=address, auth=auth))
            machine.write(f"/etc/systemd/system/{name}.service",
                          f"[Service]\nExecStart=/usr/bin/docker-registry serve /root/{name}.yml\n")
            machine.run("systemctl", "daemon-reload")
            serve(machine, name, address)
        for image in (ONE, TWO):
            import_image(machine, image)
        yield Manager(machine, kind)


@pytest.fixture
def manager(shared: Manager, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A package manager on a host without any of our packages and without their images, whose registry has ONE as web:1."""
    machine = shared.machine
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{machine.leader}/root/run/docker.sock")
    push(machine, ONE)
    yield shared
    machine.run("systemctl", "start", "docker.socket", "docker.service")
    serve(machine)
    if shared.version("ondemand-web"):
        shared.purge("ondemand-web")
    machine.sh("docker ps -aq | xargs -r docker rm --force; rm -rf /etc/ondemand")
    forget(machine)


def import_image(machine: Machine, image: str) -> None:
    """Give the engine an image of a web server that answers with the name of the image."""
    path = machine.directory / "root/image.tar"
    with tarfile.open(path, "w") as archive, open("/dev/zero", "rb") as zeros:
        archive.add("/bin/busybox", "busybox")
        page, filling = tarfile.TarInfo("www/index.html"), tarfile.TarInfo("filling")
        page.size, filling.size = len(image), LARGE_SIZE if image == LARGE else 0
        archive.addfile(page, io.BytesIO(image.encode()))
        archive.addfile(filling, zeros)
    machine.run("docker", "import", *CHANGES, "/root/image.tar", image)
    path.unlink()


def serve(machine: Machine, name: str = "registry", address: str = REGISTRY) -> None:
    """Start a registry and wait until it answers."""
    machine.run("systemctl", "start", name)
    machine.sh(f"until curl --silent --output /dev/null http://{address}/v2/; do sleep 0.05; done", timeout=60)


def push(machine: Machine, image: str) -> None:
    """Let the registry have an image under the name that the declarations use."""
    machine.sh(f"docker tag {image} {REGISTRY}/web:1 && docker push --quiet {REGISTRY}/web:1 && docker rmi {REGISTRY}/web:1")


def forget(machine: Machine) -> None:
    """Take away every image but those that each host has."""
    machine.sh(r"""docker image inspect --format '{{join .RepoTags "\n"}}{{"\n"}}{{join .RepoDigests "\n"}}' $(docker images -q) |
                   grep -e ^ondemand/ -e ^127.0.0.1 | sort -u | xargs --no-run-if-empty docker rmi --force""", check=False)


def images(machine: Machine) -> set[str]:
    return set(machine.sh("docker images --format '{{.Repository}}:{{.Tag}}'").split())


def image_of(machine: Machine, container: str = "ondemand-web") -> str:
    """Return the ID of the image that a container was made from."""
    return str(machine.inspect(container)["Image"])


def id_of(machine: Machine, image: str) -> str:
    return machine.run("docker", "image", "inspect", "--format={{.Id}}", image).stdout.strip()


def said_by(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.strip().startswith("ondemand-web: ")]


def on_terminal(machine: Machine, *argv: str) -> str:
    """Run a command on the host as somebody does who sits at a terminal; return what it showed."""
    ours, theirs = pty.openpty()
    environ = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]
    process = subprocess.Popen(["nsenter", "-t", str(machine.leader), "-a", "--", *environ, *argv],
                               stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while True:
            shown += os.read(ours, 65536)
    except OSError:  # the last program at the other end has gone
        os.close(ours)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode()


# Pulled


def test_the_image_is_pulled_at_the_installation(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    assert said_by(manager.install(built(tmp_path, web())[f"{manager.kind}/web"])) == []
    assert f"{REGISTRY}/web:1" in images(machine)
    machine.run("systemctl", "stop", "registry")
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_on_a_terminal_the_engine_shows_the_progress_of_the_pull(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    (path,) = machine.copy_in(built(tmp_path, web())[f"{manager.kind}/web"])
    command = ("dpkg", "--install", path) if manager.kind == "deb" else ("rpm", "--install", "--nodeps", "--force-debian", path)
    machine.run("docker", "rmi", ONE)  # else the engine has its layers
    shown = on_terminal(machine, *command)
    machine.run("docker", "tag", f"{REGISTRY}/web:1", ONE)
    assert re.search(r"[0-9a-f]{12}: (Pull complete|Download complete|Downloading)", shown), shown
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_while_the_registry_is_gone_the_installation_succeeds_and_the_next_wake_pulls(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    machine.run("systemctl", "stop", "registry")
    (line,) = said_by(manager.install(built(tmp_path, web())[f"{manager.kind}/web"]))
    assert line.startswith(f"ondemand-web: 'docker create' failed for the image {REGISTRY}/web:1: ")
    assert machine.clients(1, ("127.0.0.1", 8001)) != ["HTTP/1.1 200 OK"]
    serve(machine)
    machine.until_answered("http://127.0.0.1:8001/")


# Pinned


def test_a_pinned_tag_is_the_same_image_on_every_host_and_at_every_time(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    package = built(tmp_path, web(more="pin = true"))[f"{manager.kind}/web"]
    digest = machine.sh(f"curl --silent --head --header 'Accept: application/vnd.docker.distribution.manifest.v2+json' "
                        f"http://{REGISTRY}/v2/web/manifests/1 | tr -d '\\r' | sed -n 's/^Docker-Content-Digest: //p'").strip()
    push(machine, TWO)  # the tag moves on
    assert said_by(manager.install(package)) == []
    assert machine.inspect("ondemand-web")["Config"]["Image"] == f"{REGISTRY}/web:1@{digest}"
    assert image_of(machine) == id_of(machine, ONE)
    assert machine.get("http://127.0.0.1:8001/") == "200"


def test_the_container_follows_where_a_pinned_tag_has_moved(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    old = built(tmp_path, web("1", more="pin = true"))[f"{manager.kind}/web"]
    again = built(tmp_path, web("2", more="pin = true"))[f"{manager.kind}/web"]
    push(machine, TWO)
    moved = built(tmp_path, web("3", more="pin = true"))[f"{manager.kind}/web"]
    manager.install(old)
    first = machine.inspect("ondemand-web")["Id"]
    manager.install(again)
    assert machine.inspect("ondemand-web")["Id"] == first
    manager.install(moved)
    assert image_of(machine) == id_of(machine, TWO)
    assert machine.inspect("ondemand-web.previous")["Id"] == first


@pytest.mark.parametrize(("image", "told"), [
    (f"{REGISTRY}/none:1", "; the registry does not have this image; correct its name or tag"),
    (f"{REGISTRY}/web:none", "; the registry does not have this image; correct its name or tag"),
    (f"{NOBODY}/web:1", "connection refused; the engine must be able to reach the registry while the package is built"),
    (f"{GUARDED}/web:1", "no basic auth credentials; run 'docker login' as the user who builds"),
])
@pytest.mark.parametrize("key", ["pin", "bundle"])
def test_why_an_image_is_not_to_be_had_is_told_with_the_remedy(
    manager: Manager, tmp_path: Path, key: str, image: str, told: str,
) -> None:
    with pytest.raises(OndemandError) as caught:
        built(tmp_path, web(image=image, more=f"{key} = true"))
    assert str(caught.value).startswith(f"container.web.{key}: the image {image} is unavailable: ")
    assert str(caught.value).endswith(told)
    assert not list(tmp_path.glob("dist/*"))


# Carried


def bundle(directory: Path, version: str, image: str) -> dict[str, Path]:
    directory.mkdir(exist_ok=True)
    return built(directory, web(version, image, "bundle = true"))


def test_a_package_that_carries_its_image_needs_no_registry(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    package = bundle(tmp_path, "1", f"{REGISTRY}/web:1")[f"{manager.kind}/web"]
    forget(machine)
    machine.run("systemctl", "stop", "registry")
    assert said_by(manager.install(package)) == []
    (name,) = (name for name in images(machine) if name.startswith("ondemand/web:"))
    assert name == "ondemand/web:" + id_of(machine, ONE).removeprefix("sha256:")
    assert image_of(machine) == id_of(machine, ONE)
    assert machine.get("http://127.0.0.1:8001/") == "200"
    assert said_by(manager.purge("ondemand-web")) == []
    assert name in images(machine) and not machine.path("/usr/share/ondemand-web").exists()


def test_an_image_that_was_pruned_is_loaded_again_at_the_next_wake(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    manager.install(bundle(tmp_path, "1", ONE)[f"{manager.kind}/web"])
    (name,) = (name for name in images(machine) if name.startswith("ondemand/one:"))
    machine.sh(f"docker rm ondemand-web; docker rmi {name}")
    assert machine.get("http://127.0.0.1:8001/") == "200"
    assert name in images(machine)


def test_while_the_engine_is_stopped_the_image_waits_for_the_next_wake(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    old, new = (bundle(tmp_path, version, image)[f"{manager.kind}/web"] for version, image in (
        ("1", ONE), ("2", TWO)))
    for package in (old, new):
        machine.run("systemctl", "stop", "docker.socket", "docker.service")
        (line,) = said_by(manager.install(package))
        assert line.startswith("ondemand-web: no Docker engine answers on /run/docker.sock; ")
        machine.run("systemctl", "start", "docker.socket", "docker.service")
        assert machine.get("http://127.0.0.1:8001/") == "200"
        machine.run("systemctl", "stop", CONTAINER)
    assert image_of(machine) == id_of(machine, TWO)
    assert image_of(machine, "ondemand-web.previous") == id_of(machine, ONE)


def test_another_image_under_the_same_tag_takes_the_place_and_the_hosts_own_tag_stays(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    packages = []
    for version, image in (("1", ONE), ("2", TWO), ("3", TWO)):
        machine.run("docker", "tag", image, "127.0.0.1/site:1")
        packages.append(bundle(tmp_path, version, "127.0.0.1/site:1")[f"{manager.kind}/web"])
    machine.run("docker", "tag", ONE, "127.0.0.1/site:1")
    old, new, same = packages
    manager.install(old)
    first = machine.inspect("ondemand-web")["Id"]
    assert said_by(manager.install(new)) == []
    second = machine.inspect("ondemand-web")["Id"]
    assert image_of(machine) == id_of(machine, TWO) and machine.inspect("ondemand-web.previous")["Id"] == first
    manager.install(same)
    assert machine.inspect("ondemand-web")["Id"] == second
    assert id_of(machine, "127.0.0.1/site:1") == id_of(machine, ONE)
    manager.downgrade(old)
    assert machine.inspect("ondemand-web")["Id"] == first


def test_an_image_that_cant_be_loaded_is_told_and_the_old_container_goes_on(manager: Manager, tmp_path: Path) -> None:
    machine = manager.machine
    manager.install(built(tmp_path, web("1", ONE))[f"{manager.kind}/web"])
    package = bundle(tmp_path, "2", TWO)[f"{manager.kind}/web"]
    machine.sh("mount -t tmpfs -o size=1m tmpfs /var/lib/docker/tmp")
    try:
        said = manager.install(package)
        (line,) = said_by(said)
        assert line.startswith("ondemand-web: 'docker load' failed for /usr/share/ondemand-web/image.tar: ")
        assert "no space left on device" in said and "the next connection tries again" in line
        assert machine.get("http://127.0.0.1:8001/") == "200" and image_of(machine) == id_of(machine, ONE)
    finally:
        machine.run("umount", "/var/lib/docker/tmp")
    machine.run("systemctl", "stop", CONTAINER)
    assert machine.get("http://127.0.0.1:8001/") == "200" and image_of(machine) == id_of(machine, TWO)


MEASURED = """
import resource, sys
from ondemand_pkg.cli.main import cli
try:
    cli(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_the_same_image_gives_the_same_packages_each_time(manager: Manager, tmp_path: Path) -> None:
    first, second = (bundle(tmp_path / name, "1", ONE) for name in ("first", "second"))
    assert [first[key].read_bytes() for key in first] == [second[key].read_bytes() for key in first]


def test_a_build_needs_no_memory_of_the_images_size(manager: Manager, tmp_path: Path) -> None:
    import_image(manager.machine, LARGE)
    peaks = []
    for more in ("", "bundle = true"):
        (tmp_path / "web.toml").write_text(web("1", LARGE, more))
        done = subprocess.run([sys.executable, "-c", MEASURED, "build", "--format", manager.kind, "web.toml"], cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, check=True, capture_output=True,
                              text=True)
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < LARGE_SIZE / 3, f"{peaks} for an image of {LARGE_SIZE} bytes"
