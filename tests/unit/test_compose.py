"""What may be relied on when a Compose file is imported: each syntax, and hostile input."""

from __future__ import annotations

import re
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondemand_pkg.declaration.fields import name_fault
from ondemand_pkg.errors import DeclarationError, OndemandError
from ondemand_pkg.importing import env_file, origins, source_file
from ondemand_pkg.importing.draft import Draft, name_of
from ondemand_pkg.importing.interpolation import Unset, interpolate


def project(directory: Path, text: str, environ: dict[str, str] | None = None) -> tuple[dict[str, Draft], list[str]]:
    path = directory / "compose.yaml"
    path.write_text(text, encoding="utf-8")
    drafts, notes = origins.read(str(path), environ or {})
    everything = [*notes, *(note for draft in drafts for note in draft.notes)]
    return {draft.name: draft for draft in drafts}, [str(note).removeprefix(f"{directory}/") for note in everything]


def web(directory: Path, keys: str, environ: dict[str, str] | None = None) -> tuple[dict[str, Any], list[str]]:
    indented = "".join(f"    {line}\n" for line in keys.splitlines())
    drafts, notes = project(directory, f"services:\n  web:\n    image: web:1\n    expose: [80]\n{indented}", environ)
    return drafts["web"].values, notes


@pytest.mark.parametrize(("ports", "expected"), [
    ('["3000"]', ["3000:3000"]),
    ('["8000-8002:9000-9002"]', ["8000:9000", "8001:9001", "8002:9002"]),
    ('["127.0.0.1:8001:8001", "[::1]:80:81", "0.0.0.0:82:82/tcp"]', ["127.0.0.1:8001:8001", "[::1]:80:81", "0.0.0.0:82:82"]),
    ('["53:53", "53:53/udp", "127.0.0.1:5-6:7-8/udp"]', ["53:53", "53:53/udp", "127.0.0.1:5:7/udp", "127.0.0.1:6:8/udp"]),
    ('["127.0.0.1::80"]', ["127.0.0.1:80:80"]),
    ("[8080]", ["8080:8080"]),
    ("[22:22]", ["22:22"]),  # sixty-based in YAML 1.1
    ("[{target: 80, published: 8080, host_ip: 127.0.0.1, name: web, app_protocol: http}]", ["127.0.0.1:8080:80"]),
    ('[{target: 80, published: "8080-8081"}]', ["8080:80"]),
    ("[{target: 80}]", ["80:80"]),
])
def test_ports_are_read_in_both_syntaxes(tmp_path: Path, ports: str, expected: list[str]) -> None:
    assert web(tmp_path, f"ports: {ports}")[0]["ports"] == expected


@pytest.mark.parametrize(("ports", "message"), [
    ('["53:53/sctp"]', "web.ports 53:53/sctp: only TCP and UDP can wake a container"),
    ('["53:53/udp"]', "it counts as ready once it is started"),
    ('["80-90:80"]', ""), ('["80-81:90-95"]', "the two ranges differ in length"),
    ('["x:80"]', "neither a port nor a range"),
    ('["1-65535:1-65535"]', "more than 100 ports"), ('["70000:80"]', "not between 1 and 65535"),
])
def test_ports_that_cant_be_carried_over_are_told(tmp_path: Path, ports: str, message: str) -> None:
    assert message in "\n".join(web(tmp_path, f"ports: {ports}")[1])


@pytest.mark.parametrize("environment", ["[A=1, B=, 'C=x=y', D, E]", "{A: 1, B: '', C: x=y, D: , E: }"])
def test_environment_is_read_in_both_syntaxes(tmp_path: Path, environment: str) -> None:
    values, notes = web(tmp_path, f"environment: {environment}", {"D": "from outside"})
    assert values["env"] == {"A": "1", "B": "", "C": "x=y", "D": "from outside"}
    assert [note for note in notes if "web.environment.E" in note]


@pytest.mark.parametrize(("value", "text"), [("true", "true"), ("1.10", "1.1"), ("yes", "yes"), ("0x10", "16"), ("null", None),
                                             ("'null'", "null"), ("1e3", "1000"), ("12:30", "12:30"),
                                             ("2024-01-01", "2024-01-01")])
def test_values_are_those_that_compose_takes_them_for(tmp_path: Path, value: str, text: str | None) -> None:
    values, _ = web(tmp_path, f"environment: {{A: {value}, Z: z}}")
    assert values["env"].get("A") == text


def test_env_files_come_before_environment(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=file\nB='quoted $X' # no\nexport C=\"two\\nlines\"\n# comment\n\nD=x #c\n")
    values, notes = web(tmp_path,
                        "environment: {A: own}\nenv_file:\n  - a.env\n  - {path: none.env, required: false}\n  - gone.env")
    assert values["env"] == {"A": "own", "B": "quoted $X", "C": "two\nlines", "D": "x"}
    assert [note for note in notes if "env_file" in note and "gone.env" in note] and "none.env" not in str(notes)


def test_volumes_are_read_in_both_syntaxes(tmp_path: Path) -> None:
    drafts, notes = project(tmp_path, """
name: site
services:
  web:
    image: web:1
    expose: [80]
    volumes:
      - data:/data
      - shared:/shared:ro,z
      - ./here:/here
      - /nameless
      - /a:/b:cached
      - {type: bind, source: /x, target: /y, read_only: true, bind: {propagation: rshared, create_host_path: true}}
      - {type: volume, source: data, target: /more, volume: {nocopy: true, subpath: x}}
      - {type: tmpfs, target: /tmp, tmpfs: {size: 64m}}
      - {type: npipe, source: a, target: /pipe}
      - 'C:\\x:/y'
volumes:
  data:
  shared: {external: true}
""")
    assert drafts["web"].values["volumes"] == [
        "site_data:/data", "shared:/shared:ro,z", f"{tmp_path}/here:/here", "web-nameless:/nameless", "/a:/b", "/x:/y:ro,rshared",
        "site_data:/more:nocopy"]
    assert drafts["web"].values["tmpfs"] == ["/tmp:size=64m"]
    for part in ("volume.subpath", "npipe", "Windows path", "web-nameless"):
        assert [note for note in notes if part in note]


def test_options_go_to_create_args(tmp_path: Path) -> None:
    values, notes = web(tmp_path, """
hostname: h
shm_size: 64m
init: true
privileged: ${PRIVILEGED:-false}
security_opt: [no-new-privileges]
extra_hosts: {a: 1.2.3.4}
sysctls: [net.core.somaxconn=1]
ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}
dns: 9.9.9.9
logging: {driver: local, options: {max-size: 1m}}
deploy: {replicas: 1, resources: {limits: {cpus: "1.5", memory: 64m, pids: 9}, reservations: {memory: 32m}}}
stop_grace_period: 1m30s
user: "1000"
read_only: true
cap_drop: ALL
cap_add: [NET_ADMIN]
working_dir: /srv
entrypoint: /bin/sh -c "a b"
command: [x, "y z"]
labels: {a.b: c, d: }
""")
    assert values["create_args"] == [
        "--hostname=h", "--shm-size=64m", "--init", "--security-opt=no-new-privileges", "--add-host=a:1.2.3.4",
        "--sysctl=net.core.somaxconn=1", "--ulimit=nproc=5", "--ulimit=nofile=1:2", "--dns=9.9.9.9", "--log-driver=local",
        "--log-opt=max-size=1m", "--pids-limit=9", "--memory-reservation=32m"]
    expected = {"cpus": 1.5, "memory": "64m", "stop_timeout": "1min 30s", "user": "1000", "read_only": True, "cap_drop": ["ALL"],
                "cap_add": ["NET_ADMIN"], "workdir": "/srv", "entrypoint": ["/bin/sh", "-c", "a b"], "command": ["x", "y z"],
                "labels": {"a.b": "c", "d": ""}}
    assert {key: values[key] for key in expected} == expected and notes == []


@pytest.mark.parametrize("key", [
    "build: .", "restart: always", "networks: [a]", "links: [web]", "container_name: x", "scale: 3", "deploy: {replicas: 3}",
    "deploy: {placement: {constraints: [a]}}", "volumes_from: [a]", "network_mode: host", "pull_policy: always", "gpus: some",
    "nonsense: 1", "blkio_config: {weight: 1}", "profiles: [a]", "secrets: [a]", "configs: [a]", "external_links: [a]",
    "memory: x", "mem_limit: 1 pound", "cpus: many", "user: 'a b'", "depends_on: [gone]",
    "healthcheck: {test: [CMD, a], interval: 1s}",
    "credential_spec: {file: a}", "label_file: a", "develop: {watch: []}", "cap_add: ['no-name']"])
def test_nothing_is_dropped_in_silence(tmp_path: Path, key: str) -> None:
    if key.startswith("links"):
        with pytest.raises(DeclarationError, match="dependency cycle between services: web -> web"):
            web(tmp_path, key)
        return
    values, notes = web(tmp_path, key)
    del values
    name = {"mem_limit": "memory"}.get(key.partition(":")[0], key.partition(":")[0])
    assert [note for note in notes if note.startswith("compose.yaml:") and name in note], notes


@pytest.mark.parametrize(("keys", "option"), [
    ("gpus: all", "--gpus=all"),
    ("gpus: [{count: 2}]", "--gpus=count=2"),
    ('gpus: [{driver: nvidia, device_ids: ["0", "2"], capabilities: [utility], options: {a: b}}]',
     '--gpus="device=0,2",driver=nvidia,capabilities=utility,options=a=b'),
    ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}", "--gpus=all"),
    ('deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu, compute, utility]}]}}}',
     '--gpus=count=all,driver=nvidia,"capabilities=compute,utility"'),
    ("extra_hosts: ['six:[2001:db8::1]']", "--add-host=six:2001:db8::1"),
    ("extra_hosts: {six: '[::1]'}", "--add-host=six:::1"),
    ("extra_hosts: [here=host-gateway]", "--add-host=here:host-gateway"),
])
def test_gpus_and_hosts_arrive_as_the_engine_takes_them(tmp_path: Path, keys: str, option: str) -> None:
    values, notes = web(tmp_path, keys)
    assert values["create_args"] == [option] and notes == []


def test_other_devices_than_gpus_are_told(tmp_path: Path) -> None:
    values, notes = web(tmp_path, "deploy: {resources: {reservations: {devices: [{driver: x, capabilities: [tpu]}]}}}")
    assert "create_args" not in values and "other devices than GPUs" in " ".join(notes)


def test_what_to_do_for_a_secret_that_is_no_file_names_its_path_inside(tmp_path: Path) -> None:
    drafts, notes = project(tmp_path, """
services:
  web:
    image: a:1
    ports: ["80:80"]
    configs: [{source: site, target: /etc/site.conf}]
    secrets: [{source: key, uid: "103"}, token]
configs: {site: {content: "listen=80"}}
secrets: {key: {environment: API_KEY}, token: {external: true}}
""")
    assert "volumes" not in drafts["web"].values
    told = "\n".join(notes)
    assert re.search(r"write its content \(.*compose.yaml:8\) into a file such as /etc/web/site.conf", told)
    assert '"/etc/web/site.conf:/etc/site.conf:ro" to volumes' in told
    assert "the value of $API_KEY into a file that user 103 can read such as /etc/web/key" in told
    assert '"/etc/web/token:/run/secrets/token:ro"' in told


def test_commands_before_the_start_are_a_loss_with_the_task_that_does_the_same(tmp_path: Path) -> None:
    _, notes = web(tmp_path, "pre_start: [{command: [migrate]}]")
    assert any('task = true, when = "wake" and before = ["web"]' in note for note in notes)


@pytest.mark.parametrize("keys", ["deploy: {replicas: 0}", "scale: 0"])
def test_a_service_of_which_nothing_runs_is_left_out_and_told(tmp_path: Path, keys: str) -> None:
    drafts, notes = project(tmp_path, f"""
services:
  web: {{image: "a:1", ports: ["80:80"], depends_on: [old]}}
  old: {{image: "a:1", ports: ["81:80"], {keys}}}
""")
    assert list(drafts) == ["web"] and "requires" not in drafts["web"].values
    assert any("compose.yaml:4: old: left out: the project runs none of it" in note for note in notes)
    assert any("web.depends_on old: the project runs none of it, so nothing waits" in note for note in notes)


def test_extends_anchors_merges_and_x_keys(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "services:\n  base:\n    image: base:1\n    environment: {A: base, B: base}\n    ports: ['81:81']\n")
    drafts, notes = project(tmp_path, """
x-common: &common {stop_grace_period: 5s, labels: {from: x}}
services:
  one: {<<: *common, image: "one:1", expose: [80], x-own: [ignored]}
  two: {extends: {file: base.yaml, service: base}, environment: [A=own], ports: ["82:82"]}
  three: {extends: one, <<: [{user: "1"}, *common]}
""")
    assert (drafts["one"].values["stop_timeout"], drafts["one"].values["labels"]) == ("5s", {"from": "x"})
    assert drafts["two"].values["env"] == {"A": "own", "B": "base"} and drafts["two"].values["ports"] == ["81:81", "82:82"]
    assert (drafts["three"].values["image"], drafts["three"].values["user"]) == ("one:1", "1")


def test_names_that_no_container_may_have_are_changed_and_told(tmp_path: Path) -> None:
    drafts, notes = project(tmp_path, "services: {My_DB: {image: 'a:1', expose: [1]}, my-db: {image: 'a:1', expose: [2]}}")
    assert list(drafts) == ["my-db", "my-db-2"] and any("My_DB.name" in note for note in notes)


def test_no_text_of_the_file_steers_the_terminal(tmp_path: Path) -> None:
    _, notes = web(tmp_path, 'environment: ["A\\e[31m\\n"]\n"k\\e[2J": 1')
    assert len(notes) == 2 and all(note.isprintable() for note in notes)


@given(st.text() | st.from_regex(r"(?i)(host|net|pkg|.{86,92})?([-.](container|next|previous))*[-.]*", fullmatch=True))
def test_every_text_becomes_a_name(text: str) -> None:
    assert name_fault(name_of(text)) is None


def test_a_service_that_is_called_as_another_package_of_the_project_has_a_name_of_its_own(tmp_path: Path) -> None:
    drafts, notes = project(tmp_path, "services: {host: {image: 'a:1', expose: [1]}}")
    assert list(drafts) == ["host-service"] and any("host.name" in note for note in notes)


@pytest.mark.parametrize(("text", "expected"), [
    ("$A", "a"), ("${A}b", "ab"), ("$$A", "$A"), ("${N}", ""), ("${N:-d}", "d"), ("${E:-d}", "d"), ("${E-d}", ""),
    ("${A:+x}", "x"),
    ("${N+x}", ""), ("${N:-${A}$${x}}", "a${x}"), ("${N:-a:b-c?}", "a:b-c?"), ("${A:?no}", "a"), ("pre-${A}-${E}", "pre-a-"),
])
def test_variables_are_replaced_as_compose_does(text: str, expected: str) -> None:
    assert interpolate(text, {"A": "a", "E": ""}, set()) == expected


@pytest.mark.parametrize("text", ["${N:?}", "${N?it is needed}", "$", "${", "${}", "${A", "${A!x}", "$1", "${N:-${N:-${N"])
def test_a_variable_that_must_be_set_or_no_form_of_compose_is_told(text: str) -> None:
    with pytest.raises(Unset):
        interpolate(text, {"A": "a"}, set())


@given(st.text("${}:-?+A$ "))
def test_no_text_breaks_the_parser_of_variables(text: str) -> None:
    try:
        interpolate(text, {"A": "a"}, set())
    except Unset as error:
        assert str(error)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,10}", fullmatch=True), st.text(st.characters(
    codec="utf-8", exclude_characters="\\\r"), max_size=20)))
def test_quoted_values_of_a_dotenv_file_are_read_as_they_are(values: dict[str, str]) -> None:
    text = "".join(f"{name}='" + value.replace("'", "\\'") + "'\n" for name, value in values.items())
    assert {name: variable.value for name, variable in env_file.read(text, {}, set()).items()} == values


def test_a_variable_that_is_not_set_is_told_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_FILE=yes\n")
    values, notes = web(tmp_path, "labels:\n  a: $FROM_FILE\n  b: $GONE\n  c: $GONE", {})
    assert values["labels"] == {"a": "yes", "b": "", "c": ""}
    assert [note for note in notes if "GONE" in note] == [
        "compose.yaml:7: $GONE: it is not set and has no default; left empty here"]


# --- hostile input -----------------------------------------------------------------------------------------------------

BOMB = "".join(f"x-{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]\n" for n in range(9))
LAUGHS = "x-0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + BOMB
MERGES = "".join(["x-0: &m0 {", ", ".join(f"k{n}: 1" for n in range(2000)), "}\n",
                  *(f"x-{n + 1}: {{<<: *m0}}\n" for n in range(100))])
NESTED = "services: " + "[" * 100_000


@pytest.mark.parametrize(("text", "message"), [
    (LAUGHS, "no services"),
    (LAUGHS + "services: *l9", "has no services"),
    (LAUGHS + "services: {web: {image: 'a:1', expose: *l9}}", "expected a single value, not a list"),
    (LAUGHS + "services: {web: {image: 'a:1', environment: *l9}}", "expected a single value, not a list"),
    (MERGES + "services: {}", "merge keys bring in more than"),
    (NESTED, "more than 50 levels deep|nesting depth"),  # libyaml has a bound of its own
    ("services: " + "{a: " * 100_000, "more than 50 levels deep|nesting depth"),
    ("services:\n\tweb: {image: a}\n", "compose.yaml:2: invalid YAML: .*spaces, this line has a tab"),
    ("services:\n  web:\n    image: 'a\0b'\n", "compose.yaml:3: U\\+0000 is not allowed in a YAML file"),
    ("a: &x [*x]\nservices: *x\n", "compose.yaml:1: the anchor \\*x is not defined above"),
    ("services: *gone", "the anchor \\*gone"),
    ("services: !!python/object/apply:os.system [id]", "no services"),
    ("services: {w: {image: !secret x}}", "the tag !secret is unknown"),
    ("", "no services"), ("[]", "no services"), ("services: []", "no services"), ("services: {web: }", "neither image nor build"),
    ("services: {web: {}}", "neither image nor build"), ("services: {web: 5}", "services.web: a mapping is allowed here"),
    ("services: {web: {image: 'a:1', ports: 5}}", "ports: a list is allowed here"),
    ("services: {a: {image: [x]}}", "expected a single value, not a list"),
    ("services: {web: {image: 'a:1'}, web: {image: 'b:1'}}", "the key 'web' occurs twice"), ("? [a]\n: b\n", "can't be a key"),
    ("services: {web: {image: 'a:1', read_only: maybe}}", "'maybe' is not true or false"),
    ("services: {web: {image: 'a:1', command: 'a \"b'}}", "can't split this command line into words"),
    ("services: {web: {image: '${IMAGE:?name one}'}}", "the variable IMAGE must be set: name one; set it in the environment or"),
    ("services: {a: {image: 'x:1', depends_on: [b]}, b: {image: 'x:1', depends_on: [c]}, c: {image: 'x:1', depends_on: [a]}}",
     "dependency cycle between services: a -> b -> c -> a; remove one"),
    ("services: {a: {extends: b}, b: {extends: a}}", "extends forms a cycle"),
    ("services: {a: {extends: gone}}", "extends the service 'gone', which is not in"),
    ("services: {a: {extends: {file: gone.yaml, service: x}}}", "gone.yaml: can't be read"),
    ("services:\n" + "".join(f"  s{number}: {{image: 'x:1', ports: ['1:1']}}\n" for number in range(501)),
     "compose.yaml:2: more than 500 services; split the file"),
    ("services:\n" + "".join(f"  s{n}: {{image: 'x:1', ports: ['{n}01-{n}99:1-99']}}\n" for n in range(1, 13)),
     "compose.yaml: more than 1000 ports; split the file"),
    ("a: 1\n---\n" * 21, "compose.yaml:40: more than 20 documents"),
    ("services: {a: {image: 'x:1'}}", "none of its services can be woken"),
    ("services:\n  a: 'open\n", "invalid YAML"), ("\ufeffservices: 1", "no services"),
])
def test_hostile_and_broken_files_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OndemandError, match=message):
        project(tmp_path, text)


def test_the_largest_project_is_read_though_all_of_it_wants_one_port(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(500)]
    (tmp_path / "compose.yaml").write_text("services:\n" + "".join(
        f"  {name}: {{image: 'x:1', ports: ['80:80'], depends_on: [{', '.join(names[max(0, number - 20):number])}]}}\n"
        for number, name in enumerate(names)))
    drafts, _ = origins.read(str(tmp_path / "compose.yaml"), {})
    assert [draft.values["ports"] for draft in drafts] == [[f"{80 + number}:80"] for number in range(500)]


def test_a_file_of_10_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_bytes(b"services:\n" + b"# filler\n" * 1_200_000)
    tracemalloc.start()
    with pytest.raises(DeclarationError, match="larger than 1 MiB"):
        origins.read(str(path), {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * source_file.LARGEST_FILE


def test_bytes_that_are_no_utf_8_are_told(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"services:\n  a: \xff\n")
    with pytest.raises(DeclarationError, match=r"compose.yaml:2: not UTF-8"):
        origins.read(str(tmp_path / "compose.yaml"), {})


def test_windows_line_ends_are_read_as_others(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"services:\r\n  web:\r\n    image: a:1\r\n    ports: ['80:80']\r\n")
    drafts, _ = origins.read(str(tmp_path / "compose.yaml"), {})
    assert drafts[0].values == {"image": "a:1", "version": "1", "ports": ["80:80"], "idle": "10min"}


SNIPPETS = st.sampled_from([
    "services:", "web:", "image: a", "ports:", "- 80:80", "{", "}", "[", "]", "&a", "*a", "<<: *a", "\t", "\n", "\r\n", "  ",
    "    ",
    "'", '"', ": ", "- ", "# c", "$A", "${A:-", "!!str ", "|", ">", "---", "depends_on: [web]", "env_file: x", "environment:",
    "volumes:", "healthcheck:", "deploy:", "extends:"])


@settings(max_examples=300, deadline=None)
@given(st.lists(SNIPPETS, max_size=30))
def test_no_text_ends_in_a_traceback(pieces: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        try:
            project(Path(directory), "".join(pieces))
        except OndemandError as error:
            assert str(error)
