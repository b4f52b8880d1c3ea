"""Quadlet files, imported and installed: containers of a pod share localhost, those of a network find and wake each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from requirements import need

from ondemand_pkg.importing import draft, quadlet_project

from .conftest import TOOLS, built
from .machine import Machine, fresh

ANSWER = """
import os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
listener = socket.create_server(("", int(os.environ["PORT"])), backlog=100)
while True:
    with listener.accept()[0] as peer:
        if peer.recv(65536):
            peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + os.environ["SAYS"].encode())
"""
# Answers with what others say, whom it asks again until they are there.
ASK = """
import os, signal, socket, time, urllib.request
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def said(url):
    for attempt in range(200):
        try:
            return urllib.request.urlopen(url, timeout=30).read()
        except OSError:
            time.sleep(0.1)
listener = socket.create_server(("", 80), backlog=100)
while True:
    with listener.accept()[0] as peer:
        if peer.recv(65536):
            peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + b" ".join(map(said, os.environ["URLS"].split())))
"""
FILES = {
    "site.pod": "[Pod]\nPublishPort=8080:80\nNetwork=site.network\n", "site.network": "[Network]\n",
    "front.container": "[Container]\nImage=servers:1\nPod=site.pod\n"
                       "Environment=\"URLS=http://localhost:9000/ http://store:7000/\"\nVolume=/srv/ask.py:/p.py\nExec=/p.py\n",
    "side.container": "[Container]\nImage=servers:1\nPod=site.pod\nEnvironment=PORT=9000 SAYS=side\n"
                      "Volume=/srv/answer.py:/p.py\nExec=/p.py\n",
    "kept.container": "[Container]\nImage=servers:1\nNetwork=site.network\nContainerName=store\nExposeHostPort=7000\n"
                      "Environment=PORT=7000 SAYS=store\nVolume=/srv/answer.py:/p.py\nExec=/p.py\n",
}


@pytest.fixture(scope="module", params=["trixie"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    directory = tmp_path_factory.mktemp("quadlet") / "site"
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    drafts, notes = quadlet_project.read(str(directory))
    with fresh(request.param) as host:
        host.write("/srv/answer.py", ANSWER)
        host.write("/srv/ask.py", ASK)
        host.apt_install(*(path for key, path in built(directory, draft.text(drafts, "site", notes)).items()
                           if key.startswith("deb/")))
        yield host


def test_a_request_to_a_pod_wakes_its_containers_and_those_of_its_network(machine: Machine) -> None:
    assert machine.sh("docker ps --quiet") == ""
    for _ in range(2):
        said = machine.run("curl", "-sS", "--max-time", "60", "http://127.0.0.1:8080/").stdout
        assert said == "side store"
        running = machine.sh("docker ps --format '{{.Names}}'").split()
        assert sorted(running) == ["ondemand-front", "ondemand-kept", "ondemand-side"]
        machine.sh("systemctl stop 'ondemand-*-container.service'")
        assert machine.sh("docker ps --quiet") == ""
