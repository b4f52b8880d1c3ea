"""`import -- docker run ...` reads a command line as the command itself does, and runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.importing import command_line


def run(*argv: str) -> Result:
    done = CliRunner().invoke(cli, ["import", *argv])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def values(*argv: str) -> dict[str, Any]:
    return command_line.options_of([*argv]).draft.values


def test_a_whole_command_line_becomes_a_declaration(tmp_path: Path) -> None:
    done = run("--verbose", "-o", str(tmp_path / "x.toml"), "--", "docker", "run", "-d", "--name", "shop_web", "-p8080:80",
               "--restart=always",
               "-e", "A=b c", "-e", "TOKEN", "-v", "data:/data:ro", "--mount", "type=bind,src=/a,dst=/b,readonly",
                   "--cap-add=sys_nice",
               "--memory", "512m", "--cpus", "1.5", "--init", "-it", "--user", "1000", "--health-cmd", "curl -f localhost",
               "--health-interval", "10s", "--health-retries", "20", "nginx:1.27", "nginx", "-g", "daemon off;")
    assert done.exit_code == 0, done.stderr
    (found,) = read([str(tmp_path / "x.toml")])
    assert (found.name, found.image, found.version, found.command) == ("shop-web", "nginx:1.27", "1.27", ("nginx", "-g",
        "daemon off;"))
    assert [*map(str, found.ports)] == ["8080:80"] and dict(found.env) == {"A": "b c"} and found.user == "1000"
    assert [*map(str, found.volumes)] == ["data:/data:ro", "/a:/b:ro"] and found.cap_add == ("SYS_NICE",)
    assert found.create_args == ("--init", "--interactive", "--tty") and (found.memory, found.cpus) == (512 << 20, 1.5)
    assert found.ready.argv == ("/bin/sh", "-c", "curl -f localhost") and found.ready.timeout == 200
    told = "write a line TOKEN=... into /etc/ondemand/shop-web.env"
    assert told in done.stderr and told in (tmp_path / "x.toml").read_text()
    assert "--restart: systemd starts the container" in done.stderr and found.idle == 600


@pytest.mark.parametrize(("words", "message"), [
    (["run", "--nmae", "x", "nginx"], "there is no option '--nmae'; did you mean \"--name\"?"),
    (["run", "-p", "80:80"], "it names no image"), (["run", "nginx"], "it publishes no TCP port"),
    (["ps", "-a"], "'run' or 'create' is allowed there"), (["run", "--init", "-p", "80:80", "Not An Image"],
        "would be the image"),
    (["run", "--network=host", "nginx"], "it publishes no TCP port"), (["run", "-p", "53:53/sctp", "x"],
        "it publishes no TCP port"),
])
def test_what_makes_no_container_that_can_be_woken_is_an_error(words: list[str], message: str) -> None:
    done = run("--", "docker", *words)
    assert done.exit_code == 1 and done.stdout == "" and message in " ".join(done.stderr.split())


@pytest.mark.parametrize("prefix", [["docker", "run"], ["sudo", "docker", "container", "run"], ["podman", "create"],
                                    ["/usr/bin/podman", "run"]])
def test_each_form_of_the_command_is_known(prefix: list[str]) -> None:
    assert values(*prefix, "-p", "1:1", "x/y:2")["ports"] == ["1:1"]


@pytest.mark.parametrize(("options", "key", "value"), [
    (["--read-only"], "tmpfs", None), (["--entrypoint="], "entrypoint", []), (["--entrypoint", "a b"], "entrypoint", ["a b"]),
    (["--net", "host"], "create_args", ["--network=host"]), (["--network=bridge"], "create_args", None),
    (["--network=container:db"], "network_of", "db"),
    (["--health-cmd=none"], "create_args", ["--no-healthcheck"]), (["--no-healthcheck"], "create_args", ["--no-healthcheck"]),
    (["--tmpfs", "/x:size=64M"], "tmpfs", ["/x:size=64M"]), (["--stop-timeout=5"], "stop_timeout", "5s"),
    (["--expose=3000"], "expose", ["3000"]), (["--privileged=false"], "create_args", None),
    (["--mount", "type=bind,src=/a,dst=/b,bind-propagation=rslave"], "volumes", ["/a:/b:rslave"]),
    (["--mount", "type=volume,src=a1,dst=/b,volume-driver=nfs"], "create_args", [
        "--mount=type=volume,src=a1,dst=/b,volume-driver=nfs"]),
    (["-l", "a=b", "--label", "c"], "labels", {"a": "b", "c": ""}), (["--gpus", "all"], "create_args", ["--gpus=all"]),
])
def test_an_option_becomes_a_key_or_an_argument(options: list[str], key: str, value: Any) -> None:
    assert values("docker", "run", *options, "x:1").get(key) == value


def test_what_only_one_engine_takes_is_reported() -> None:
    run_options = command_line.options_of(["podman", "run", "--sdnotify=container", "--userns=keep-id", "--read-only", "-p",
        "1:1", "x:1"])
    told = [str(note) for note in run_options.draft.notes]
    assert any("--sdnotify: Docker has no such option" in note for note in told)
    assert any("--userns=keep-id" in note for note in told)
    assert run_options.draft.values["tmpfs"] == ["/run", "/tmp", "/var/tmp"], "as Podman gives each read-only container"
    told = [str(note) for note in command_line.options_of(["docker", "run", "--tz=UTC", "x:1"]).draft.notes]
    assert told == ["the command line: --tz: Docker has no such option; it was left out"]


def test_several_files_are_a_usage_error_still() -> None:
    assert run("a.yaml", "b.container", "c.container").exit_code != 0
