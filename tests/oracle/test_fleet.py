"""What users may rely on of `fleet`: hosts are asked over a real ssh, and none that is odd spoils the others' answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requirements import need

SERVICE = {"name": "web", "version": "1.27-2", "built_by": "0.2.0", "state": "asleep", "connections": 0, "failures_in_a_row": 0,
           "last_wake": {"time": "2020-01-01T00:00:00Z"}}
OLD = {"name": "db", "state": "failing", "connections": 3, "failures_in_a_row": 2, "last_wake": None}


class Site:
    """Hosts by name, which are one sshd; each has commands of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def host(self, name: str, **commands: str) -> None:
        """Let a host have commands, each a text of the shell."""
        (self.directory / "hosts" / name).mkdir(parents=True)
        for command, text in commands.items():
            path = self.directory / "hosts" / name / command.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    def fleet(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        argv = [sys.executable, "-m", "ondemand_pkg", "fleet", *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=100,
                              env={**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need("ssh", "ssh-keygen", "/usr/sbin/sshd", root=True)
    directory = tmp_path_factory.mktemp("site")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Which host is meant is known by the variable that ssh's configuration sends.
    (directory / "sshd").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {directory}/user.pub\nPermitRootLogin yes\nAcceptEnv HOST_OF_TEST\n"
        f"ForceCommand PATH={directory}/hosts/$HOST_OF_TEST:/usr/bin:/bin; eval \"$SSH_ORIGINAL_COMMAND\"\n")
    (directory / "config").write_text(
        "Host closed\n  Port 1\n"
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {directory}/user\n  StrictHostKeyChecking no\n"
        f"  UserKnownHostsFile {directory}/known\n  SetEnv HOST_OF_TEST=%n\n  LogLevel ERROR\n")
    (directory / "bin").mkdir()
    program = directory / "bin/ssh"  # the user's own configuration, which a test must not write
    program.write_text('#!/bin/sh\nfor last; do host=$before; before=$last; done\n'
                       f'exec /usr/bin/ssh -F {directory}/config -o "SetEnv=HOST_OF_TEST=$host" "$@"\n')
    program.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", directory / "sshd"], stderr=(directory / "log").open("w"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield Site(directory)
    server.terminate()
    server.wait(20)


def says(*services: dict[str, Any]) -> str:
    return f"echo '{json.dumps({'services': services})}'"


def test_hosts_are_one_table_in_the_order_in_which_they_are_named(site: Site) -> None:
    site.host("beta", ondemand=says(SERVICE), ondemand_pkg="exit 9")
    site.host("alpha", ondemand_pkg=says(OLD))
    done = site.fleet("beta", "alpha", "beta")
    assert (done.returncode, done.stderr) == (0, "2 hosts, 2 services: 1 asleep, 1 failing\n")
    head, first, second = (line.split() for line in done.stdout.splitlines())
    assert head == ["HOST", "NAME", "STATE", "CONN", "LAST", "WAKE", "FAILED", "VERSION", "HELPERS"]
    assert first[:4] == ["beta", "web", "asleep", "0"] and first[4].endswith("d") and first[-2:] == ["1.27-2", "0.2.0"]
    assert second == ["alpha", "db", "failing", "3", "-", "2", "-", "0.1.0", "or", "older"]


def test_a_host_that_does_not_answer_is_an_error_and_the_others_are_shown(site: Site) -> None:
    site.host("good", ondemand=says(SERVICE))
    site.host("bare")
    site.host("noisy", ondemand=f"echo Welcome; {says(SERVICE)}")
    site.host("broken", ondemand="echo 'error: systemd is not running' >&2; exit 1", ondemand_pkg="exit 1")
    done = site.fleet("closed", "bare", "noisy", "good", "broken")
    assert done.returncode == 1 and "good" in done.stdout
    told = {line.split(": ")[1]: line for line in done.stderr.splitlines() if line.startswith("error: ")}
    assert set(told) == {"closed", "bare", "noisy", "broken"}
    assert "Connection refused" in told["closed"] and "install the package ondemand-host" in told["bare"]
    assert "does its login shell print something itself?" in told["noisy"]
    assert told["broken"] == "error: broken: systemd is not running"
    assert done.stderr.splitlines()[-1] == "5 hosts, 1 service: 1 asleep; 4 hosts did not answer"


def test_json_has_each_host_with_its_services_or_its_error(site: Site) -> None:
    site.host("one", ondemand=says(SERVICE, OLD))
    done = site.fleet("--json", "one", "closed")
    one, closed = json.loads(done.stdout)["hosts"]
    assert one == {"host": "one", "error": None, "services": [SERVICE, OLD]}
    assert closed["services"] == [] and closed["error"]


def test_what_a_host_says_does_not_steer_the_terminal(site: Site) -> None:
    site.host("evil", ondemand=says({**SERVICE, "name": "\x1b]0;owned\x07", "version": "\u202e1", "connections": "\x1b[2J"}))
    site.host("liar", ondemand="printf '\\033]0;owned\\007' >&2; exit 1", ondemand_pkg="exit 1")
    done = site.fleet("evil", "liar")
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)


def test_an_answer_without_end_is_cut_off(site: Site) -> None:
    site.host("endless", ondemand="exec yes '{'")
    done = site.fleet("endless")
    assert done.returncode == 1 and "endless: its answer is longer than 16 MiB" in done.stderr


@pytest.mark.parametrize("answer", ["[]", "{}", "null", '{"services": 3}', '{"services": [{}]}', '{"services": [{"name": 1}]}',
                                    "["])
def test_an_answer_of_another_kind_is_an_error(site: Site, answer: str) -> None:
    host = f"odd{abs(hash(answer))}"
    site.host(host, ondemand=f"echo '{answer}'")
    done = site.fleet(host)
    assert done.returncode == 1 and "its answer is not what 'status --json' prints" in done.stderr


def test_a_host_whose_name_begins_like_an_option_is_a_host(site: Site) -> None:
    done = site.fleet("--", "-oProxyCommand=touch /tmp/owned")
    assert done.returncode == 1 and not Path("/tmp/owned").exists()
