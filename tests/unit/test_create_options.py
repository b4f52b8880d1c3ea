"""Options of create_args are read as the engines' own commands read them, and what Docker would refuse is an error of check."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration import capabilities
from ondemand_pkg.declaration.container_values import CREATE_ARGS
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines import create_options

CASES = Path(__file__).parents[1] / "data/declarations"
HEAD = '[container.web]\nimage = "nginx:1.27"\nversion = "1"\nports = ["80:80"]\n'


def check(path: Path) -> Result:
    done = CliRunner().invoke(cli, ["check", str(path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


STRAY = "it is neither an option nor the value of one: it would be taken for the image"
REFUSED = {
    "a value behind a switch": (["--init", "true"], "[1]", STRAY, 'write "--init" alone'),
    "a value that switches off": (["--privileged", "false"], "[1]", STRAY, 'write "--privileged=false"'),
    "a stray word": (["--shm-size", "64m", "x"], "[2]", STRAY, "leave it out, or write the option that it belongs to"),
    "no dashes": (["network=host"], "[0]", STRAY, 'did you mean "--network=host"?'),
    "dashes of a word processor": (["\u2013\u2013init"], "[0]", STRAY, 'did you mean "--init"?'),
    "a misspelt option": (["--memroy=5m"], "[0]", "there is no option '--memroy'", 'did you mean "--memory=5m"?'),
    "an underscore": (["--cap_add=ALL"], "[0]", "there is no option '--cap_add'", 'did you mean "--cap-add=ALL"?'),
    "one dash": (["-network=host"], "[0]", "there is no option '-n'", 'did you mean "--network=host"?'),
    "nothing near": (["--frobnicate"], "[0]", "there is no option", "leave it out, or correct its name"),
    "one word": (["--network host"], "[0]", "option and value in one word", 'write "--network=host"'),
    "one word, short": (["-v /a:/b"], "[0]", "option and value in one word", 'write "--volume=/a:/b"'),
    "no value": (["--memory"], "[0]", "'--memory' needs a value", 'write "--memory=..."'),
    "the next option as a value": (["--memory", "--init"], "[0]", "would take '--init' for its value", 'write "--memory=..."'),
    "a switch with another value": (["--init=maybe"], "[0]", "'--init' is a switch", 'write "--init" or "--init=false"'),
    "the end of options": (["--"], "[0]", "the image would be taken for an argument", "leave it out"),
    "a reserved one among short ones": (["-itd"], "[0]", "", "it is not an option of 'docker create'"),
    "a reserved one and its value": (["--name", "x"], "[0]", "", "the package names its container"),
    "a size that is none": (["--memory=5x"], "[0]", "--memory does not take '5x'", 'allowed: a size such as "64m"'),
    "Compose's own value": (["--pid=service:app"], "[0]", "--pid does not take 'service:app'", '"host" or "container:NAME"'),
    "a duration without a unit": (["--health-interval", "30"], "[0]", "does not take '30'", 'with its unit, such as "30s"'),
    "a misspelt capability": (["--cap-add=NET_ADMN"], "[0]", "--cap-add does not take 'NET_ADMN'", 'did you mean "NET_ADMIN"?'),
    "a mount without a target": (["--mount=type=bind,src=/a"], "[0]", "does not take", "write target=/PATH"),
    "limits the wrong way round": (["--ulimit=nofile=5:3"], "[0]", "does not take", "must not be above the hard limit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_command_would_not_take_as_an_option_is_an_error_at_its_word(name: str) -> None:
    words, where, why, remedy = REFUSED[name]
    with pytest.raises(Invalid) as caught:
        CREATE_ARGS.parse(words)
    mistake, = caught.value.mistakes
    assert mistake.where == where and why in mistake.why and remedy in mistake.remedy


def test_thousands_of_wrong_words_take_no_time() -> None:
    start = time.process_time()
    assert len(create_options.read([f"--x{number}" for number in range(20_000)])[1]) == 20_000
    assert time.process_time() - start < 2


def test_every_wrong_word_is_reported_in_one_run() -> None:
    with pytest.raises(Invalid) as caught:
        CREATE_ARGS.parse(["--shm-size 64m", "--init", "--rm", "x"])
    assert [mistake.where for mistake in caught.value.mistakes] == ["[0]", "[2]", "[3]"]


@pytest.mark.parametrize(("words", "read"), [
    (["--shm-size=64m"], [("--shm-size", "64m")]), (["--shm-size", "64m"], [("--shm-size", "64m")]),
    (["-it"], [("--interactive", "true"), ("--tty", "true")]), (["-p80:81"], [("--publish", "80:81")]),
    (["-p=80:81"], [("--publish", "80:81")]),
    (["-itm", "5m"], [("--interactive", "true"), ("--tty", "true"), ("--memory", "5m")]),
    (["-e", "A=b c"], [("--env", "A=b c")]), (["--env", "--x"], [("--env", "--x")]),
    (["--net=host"], [("--network", "host")]),
    (["--init=0"], [("--init", "false")]), (["--health-cmd", "a b"], [("--health-cmd", "a b")]),
])
def test_options_are_read_in_each_form(words: list[str], read: list[tuple[str, str]]) -> None:
    assert CREATE_ARGS.parse(words) == tuple(words)
    assert [(option.name, option.value) for option in create_options.read(words)[0]] == read


def test_the_table_knows_releases_of_both_engines() -> None:
    commands = create_options.commands()
    assert {"docker 20.10", "docker 26.1", "docker 28.5", "podman 4.3", "podman 5.4", "podman 5.8"} <= set(commands)
    annotation = create_options.option("--annotation")
    assert annotation and set(commands) - annotation.commands == {"docker 20.10"}


CONTRADICTIONS = {
    "d01": "d01-create-args-value-becomes-image.toml:6: container.web.create_args[1]: found \"true\"",
    "d03": 'd03-two-mounts-on-one-path.toml:6: container.web.tmpfs: "/data" and "one:/data" in volumes are mounted on one path',
    "d04": "d04-host-network-same-port.toml:5: container.web.create_args: with the host's network, port 80",
    "d05": 'd05-capability-typo.toml:5: container.web.cap_add[0]: found "NET_ADMN"; there is no such capability; '
           'did you mean "NET_ADMIN"?',
    "d08": "d08-healthcheck-switched-off.toml:6: container.web.create_args: --no-healthcheck switches off the health check",
    "d14": "d14-network-none.toml:5: container.web.create_args: a container with --network=none has no address",
    "m18": 'm18-volume-same-target.toml:5: container.web.volumes: "two:/data" and "one:/data" are mounted on one path',
    "m22": 'm22-cap-typo.toml:5: container.web.cap_add[0]: found "NET_ADMN"',
    "m28": 'm28-create-args-space.toml:5: container.web.create_args[1]: found "--add-host db:1.2.3.4"; option and value in',
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_in_a_container_is_an_error_with_its_place(case: str) -> None:
    path, = CASES.glob(f"{case}-*")
    done = check(path)
    assert done.exit_code == 1 and f"error: {path.parent}/{CONTRADICTIONS[case]}" in done.stderr


@pytest.mark.parametrize("lines", [
    'volumes = ["a1:/data:rw,ro"]', 'volumes = ["/a:/data:z,Z"]', 'volumes = ["/a:/data:shared,slave"]',
    'volumes = ["a1:/x:shared"]', 'volumes = ["/a:/x:nocopy"]', 'volumes = ["a1:/x/"]\ncreate_args = ["-v", "b2:/x"]',
    'volumes = ["a1:/x"]\ncreate_args = ["--mount=type=bind,source=/a,target=/x"]',
    'tmpfs = ["/x"]\ncreate_args = ["--tmpfs=/x:size=1m"]',
    'tmpfs = ["/x", "/x:size=1m"]', 'ready = { healthcheck = true }\ncreate_args = ["--health-cmd=none"]',
    'create_args = ["--net", "none"]', 'cap_drop = ["everything"]'])
def test_contradictions_are_found_in_each_form(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(HEAD + lines + "\n")
    assert check(path).exit_code == 1


@pytest.mark.parametrize("lines", [
    'volumes = ["a1:/x:ro,z,nocopy", "/a:/y:rw,Z,rslave"]', 'tmpfs = ["/x", "/x"]', 'volumes = ["a1:/x", "a1:/xy", "b1:/x/y"]',
    'tmpfs = ["/tmp:size=64M", "/run:mode=1777,size=50%,noexec"]',
    'cap_add = ["net_admin", "CAP_SYS_NICE", "cap_chown"]\ncap_drop = ["all"]',
    'create_args = ["--network=mine", "--no-healthcheck=false"]\nready = { healthcheck = true }',
])
def test_what_engines_take_is_taken(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(HEAD + lines + "\n")
    done = check(path)
    assert done.exit_code == 0, done.stderr


def test_a_host_network_with_two_different_ports_or_addresses_is_no_contradiction(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for ports in ('["80:8080"]', '["192.0.2.1:80:80"]', '["/run/x.sock:80"]'):
        path.write_text(HEAD.replace('["80:80"]', ports) + 'create_args = ["--network=host"]\n')
        assert check(path).exit_code == 0, ports


def test_capabilities_are_the_kernels() -> None:
    assert len(capabilities.NAMES) == 41 and capabilities.fault("cap_Net_Raw") == ""


@pytest.mark.parametrize("case", ["d10", "m20", "m21"])
def test_sizes_and_capabilities_are_taken_in_either_case(case: str) -> None:
    path, = CASES.glob(f"{case}-*")
    assert check(path).exit_code == 0
