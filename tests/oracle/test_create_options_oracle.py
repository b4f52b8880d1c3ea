"""The options and values that declarations may have are those that the engines' own commands take.

No engine is asked: the commands part their words and check most values before they look for one.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ondemand_pkg.engines import create_options, option_values

from .engine_commands import root_of, tool

SUITES = ("bookworm", "trixie", "forky")
# Some of each kind: all of them are asked by tools/engine-options.
SAMPLE = ("--add-host", "--annotation", "--init", "-e", "-P", "--net", "--health-start-interval", "--tz", "--read-only-tmpfs",
          "--sdnotify", "--gpus", "--use-api-socket", "--frobnicate")
# Values that docker's command refuses by itself, and others like them that it takes.
REFUSED = ["--pid=service:app", "--uts=x", "--userns=foo", "--cgroupns=x", "--memory=5x", "--shm-size=abc", "--cpus=abc",
           "--cpu-shares=x", "--pids-limit=x", "--health-interval=30", "--health-retries=x", "--ulimit=nofile",
               "--ulimit=nofile=5:3",
           "--ulimit=foo=1", "--add-host=a", "--add-host=a:b", "--dns=1.2.3", "--sysctl=foo=1", "--sysctl=net.x",
               "--env==x", "--label=",
           "--security-opt=foo", "--mount=type=bind,src=/a", "--publish=abc", "--publish=80:80:80:80", "--expose=abc",
           "--mac-address=x", "--attach=foo", "--kernel-memory=x",
           "--device-cgroup-rule=c", "--device-read-bps=/dev/sda", "--device-write-iops=/dev/sda:x", "--blkio-weight-device=x",
           "--stop-timeout=x", "--link=a:b:c", "--storage-opt=size"]
OF_PODMAN = ["--userns=keep-id", "--pid=private", "--cgroupns=ns:/x", "--ulimit=host", "--dns=none", "--health-interval=disable"]
TAKEN = ["--pid=host", "--pid=container:x", "--uts=host", "--userns=host", "--cgroupns=private", "--memory=512MB",
    "--memory=1.5g",
         "--shm-size=64M", "--memory-swap=-1", "--cpus=1.5", "--cpus=.5", "--pids-limit=-1", "--health-interval=1m30s",
         "--health-interval=0", "--ulimit=nofile=5:6", "--ulimit=core=-1", "--add-host=a:1.2.3.4", "--add-host=a:::1",
         "--add-host=a:host-gateway", "--dns=::1", "--sysctl=net.core.somaxconn=5", "--env=A", "--env=A=b=c", "--label=a",
         "--security-opt=no-new-privileges", "--security-opt=no-new-privileges:true", "--security-opt=label:disable",
         "--mount=type=tmpfs,dst=/x", "--mount=target=/x", "--publish=80", "--publish=127.0.0.1::80", "--publish=[::1]:80:80/udp",
         "--publish=80-82:90-92", "--expose=80-90/tcp", "--mac-address=02:42:AC:11:00:02", "--attach=STDOUT", "--volume=/x",
         "--volume=a:/x:ro", "--tmpfs=/x:size=64m",
         "--device-cgroup-rule=c 226:* rwm", "--device-cgroup-rule=a *:* r", "--device-read-bps=/dev/sda:1mb",
         "--device-write-iops=/dev/sda:10", "--blkio-weight-device=/dev/sda:20", "--stop-timeout=5", "--link=a:b"]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", ["docker", "podman"])
def test_the_table_says_of_each_option_what_the_command_says(suite: str, name: str) -> None:
    command = tool().Command(root_of(suite), name)
    assert command.title in create_options.commands(), "a newer engine: run tools/engine-options"
    for word in SAMPLE:
        option = create_options.option(word)
        assert command.kind("create", word) == (option.kind if option and command.title in option.commands else "")


def refuses(root: Path, argument: str) -> bool:
    done = subprocess.run(["chroot", str(root), "docker", "--host=unix:///nonexistent", "create", argument, "image"],
                          capture_output=True, text=True)
    return not any(text in done.stderr.lower() for text in ("cannot connect", "failed to connect", "error during connect"))


@pytest.mark.parametrize("suite", SUITES)
def test_a_value_is_refused_where_dockers_command_refuses_it(suite: str) -> None:
    root = root_of(suite)
    assert [argument for argument in TAKEN if refuses(root, argument)] == []
    assert [argument for argument in [*REFUSED, *OF_PODMAN] if not refuses(root, argument)] == []


def test_the_same_values_are_refused_and_taken_here() -> None:
    read = {argument: option_values.fault(*argument.split("=", 1)) for argument in [*REFUSED, *OF_PODMAN, *TAKEN]}
    assert [argument for argument in REFUSED if not read[argument][0]] == []
    assert [argument for argument in TAKEN if read[argument] != ("", None)] == []
    assert [argument for argument in OF_PODMAN if read[argument] != ("", frozenset({"podman"}))] == []
