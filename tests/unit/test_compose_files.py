"""What may be relied on when a project has several files: which are read, and what they make together."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ondemand_pkg.cli.main import cli
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.importing import origins
from ondemand_pkg.importing.draft import Draft

CASES = Path(__file__).parents[1] / "data/compose-cases"


def written(directory: Path, **files: str) -> list[str]:
    """Write files, `_` in a name for a dot; return their paths."""
    paths = []
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        paths.append(str(path))
    return paths


def drafts_of(path: str | list[str], environ: dict[str, str] | None = None, **more: object) -> dict[str, Draft]:
    drafts, _ = origins.read(path, environ or {}, **more)  # type: ignore[arg-type] # options of any type
    return {draft.name: draft for draft in drafts}


def case(name: str, environ: dict[str, str] | None = None) -> dict[str, Draft]:
    return drafts_of(str(CASES / name / "compose.yaml"), environ)


def test_an_override_beside_is_read_as_compose_does() -> None:
    web = case("override")["web"].values
    assert web["ports"] == ["8080:80"] and web["env"] == {"MODE": "prod"}
    notes = CliRunner().invoke(cli, ["import", str(CASES / "override/compose.yaml")]).stderr
    assert "compose.override.yaml: override: read too, as Compose does" in notes


def test_compose_file_is_followed() -> None:
    found = case("composefile-env")
    assert set(found) == {"web", "db"} and found["web"].values["env"] == {"MODE": "prod"}


def test_a_file_that_compose_file_does_not_name_is_read_alone_and_told(tmp_path: Path) -> None:
    written(tmp_path, _env="COMPOSE_FILE=other.yaml\n", compose_yaml="services: {web: {image: 'a:1', ports: ['1:1']}}\n")
    drafts, notes = origins.read(str(tmp_path / "compose.yaml"), {})
    assert [draft.name for draft in drafts] == ["web"] and "it names other.yaml, which was not read" in str(notes[0])


def test_a_directory_is_read_as_compose_reads_it(tmp_path: Path) -> None:
    written(tmp_path, docker_compose_yml="", **{"docker-compose_yml": "services: {web: {image: 'a:1', ports: ['1:1']}}\n"})
    assert set(drafts_of(str(tmp_path))) == {"web"}
    with pytest.raises(OndemandError, match="Is a directory, without a Compose file"):
        origins.read(str(CASES), {})


def test_several_files_are_merged_in_their_order(tmp_path: Path) -> None:
    paths = written(
        tmp_path, a_yaml="services: {web: {image: 'a:1', ports: ['1:1'], command: [a], cap_add: [x]}}\n",
        b_yaml="services: {web: {ports: ['2:2'], command: b, environment: {A: 1}}}\n",
        c_yaml="services: {web: {image: 'a:2', environment: [A=2]}, db: {image: 'd:1', expose: [5]}}\n")
    found = drafts_of(paths)
    assert found["web"].values["image"] == "a:2" and found["web"].values["ports"] == ["1:1", "2:2"]
    assert found["web"].values["command"] == ["b"] and found["web"].values["env"] == {"A": "2"} and "db" in found
    assert drafts_of(paths[::-1])["web"].values["env"] == {"A": "1"}
    done = CliRunner().invoke(cli, ["import", *paths])
    assert done.exit_code == 0 and done.stdout.startswith(f"# From {' and '.join(paths)}.")
    done = CliRunner().invoke(cli, ["import", *paths, "--output", paths[1]])
    assert done.exit_code == 1 and "this is the file to import" in done.stderr


def test_profiles_are_chosen(tmp_path: Path) -> None:
    path = str(CASES / "profiles/compose.yaml")
    assert set(drafts_of(path, profiles=["cpu"])) == {"cpu"}
    assert drafts_of(path, profiles=["cpu"])["cpu"].values["ports"] == ["7860:7860"]
    assert set(drafts_of(path, {"COMPOSE_PROFILES": "gpu"})) == {"gpu"} and set(drafts_of(path, profiles=["*"])) == {"cpu", "gpu"}
    done = CliRunner().invoke(cli, ["import", path, "--profile", "gpu"])
    assert done.exit_code == 0 and "[container.gpu]" in done.stdout and "cpu" not in done.output
    assert CliRunner().invoke(cli, ["import", "--container", "x", "--profile", "gpu"]).exit_code == 2


def test_what_a_file_says_is_merged_as_compose_merges_it() -> None:
    found = case("merged-files", {"FROM_ENV": "yes", "OUTSIDE": "out", "HOME": "/root"})
    assert set(found) == {"web", "db", "reset", "sub", "inc", "cache"}  # 'gone' was reset
    web = found["web"].values
    assert web["ports"] == ["8080:80", "8081:81", "8082:82", "9090:90"] and web["command"] == ["three"]
    assert web["entrypoint"] == ["/x"] and web["memory"] == "128M" and web["cpus"] == 0.5 and web["user"] == "7"
    assert web["env"] == {"A": "1", "B": "2", "C": "3", "D": "a", "E": "b", "F": "2out", "Z": "deeper", "BASE": "2",
                          "FROM_ENV": "yes"}
    assert {volume.rpartition("merged-files")[2] for volume in web["volumes"]} == {
        "/base/base-data:/base", f"{Path.home()}/home:/home", "/other:/data", "/conf:/conf:ro"}
    options = web["create_args"]
    assert "--security-opt=no-new-privileges:true" in options and "--security-opt=seccomp:unconfined" in options
    assert [option for option in options if option.startswith("--device")] == ["--device=/dev/a:/dev/a", "--device=/dev/b"]
    assert "--log-driver=local" in options and not [option for option in options if option.startswith("--log-opt")]
    reset = found["reset"].values
    assert reset["ports"] == ["3:3"] and reset["env"] == {"B": "2"} and "command" not in reset and "volumes" not in reset
    assert found["inc"].values["image"] == "inc:inc" and found["inc"].values["labels"] == {"t": "2"}
    assert found["inc"].values["volumes"] == [f"{CASES}/merged-files/base/here:/here"]
    assert found["sub"].values["env"] == {"SUB": "sub"}
    assert found["sub"].values["volumes"] == [f"{CASES}/merged-files/sub/sub-data:/s"]


def test_paths_of_an_extended_file_lead_from_there() -> None:
    web = case("extends-dir")["web"].values
    assert web["volumes"] == [f"{CASES}/extends-dir/common/data:/data"] and web["env"] == {"FROM_BASE": "yes"}


def test_a_note_names_the_file_that_says_it(tmp_path: Path) -> None:
    paths = written(tmp_path, a_yaml="services: {web: {image: 'a:1', ports: ['1:1']}}\n",
                    b_yaml="services:\n  web:\n    nonsense: 1\n")
    drafts, _ = origins.read(paths, {})
    assert f"{tmp_path}/b.yaml:3: web.nonsense: " in str(next(note for note in drafts[0].notes if note.what == "nonsense"))


def test_one_volume_remains_on_one_path() -> None:
    assert case("extends-volume-target")["web"].values["volumes"] == ["extends-volume-target_new:/data"]
    with pytest.raises(OndemandError, match="web has two mounts on /data; leave one of them out"):
        case("volume-duplicate")


def test_tags_reset_and_override_mean_what_they_mean() -> None:
    web = case("reset")["web"].values
    assert web["ports"] == ["8080:80"] and "env" not in web and "command" not in web
    web = case("reset-list")["web"].values
    assert "ports" not in web and web["expose"] == ["80"] and "env" not in web  # by `expose` alone


def test_documents_of_one_file_are_merged() -> None:
    assert set(case("two-documents")) == {"web", "db"}


def test_included_services_are_there() -> None:
    found = case("include")
    assert found["web"].values["requires"] == ["db"] and "db" in found


def test_a_service_that_an_included_file_has_too_is_merged_and_told(tmp_path: Path) -> None:
    paths = written(tmp_path, compose_yaml="include: [b.yaml]\nservices:\n  web: {ports: ['80:80'], environment: {A: '2'}}\n",
                    b_yaml="services:\n  web: {image: 'w:1', environment: {A: '1', B: '1'}}\n")
    drafts, notes = origins.read(paths[0], {})
    assert drafts[0].values["env"] == {"A": "2", "B": "1"} and drafts[0].values["image"] == "w:1"
    (note,) = [note for note in notes if note.what.startswith("include")]
    assert "Compose 2.40 refuses it" in note.instead and note.place.endswith("compose.yaml:3") and note.service == "web"


@pytest.mark.parametrize(("files", "message"), [
    ({"a_yaml": "include: [a.yaml]\nservices: {web: {image: 'a:1'}}\n"}, "a.yaml:1: include forms a cycle"),
    ({"a_yaml": "include: [b.yaml]\n", "b_yaml": "include: [a.yaml]\n"}, "b.yaml:1: include forms a cycle"),
    ({"a_yaml": "include: [gone.yaml]\n"}, "a.yaml:1: include .*gone.yaml"),
    ({"a_yaml": "include: x\n"}, "include: a list is allowed here"),
    ({"a_yaml": "include: [{project_directory: x}]\n"}, "include without a path"),
    ({"a_yaml": "services: {web: {image: 'a:1', deploy: {resources: 1}, extends: b}, b: {deploy: {resources: {a: 1}}}}\n"},
     "services.web.deploy.resources is a mapping at .*a.yaml:1, and none here"),
    ({"a_yaml": "x: &a {k: !reset 1}\n" + "".join(f"y{n}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
      + "services: {web: {image: 'a:1'}}\n"}, "are together larger than"),
])
def test_what_compose_refuses_is_told_by_its_line(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(OndemandError, match=message):
        origins.read(written(tmp_path, **files)[0], {})


@pytest.mark.parametrize(("value", "text"), [
    ("1_000", "1000"), ("0o17", "15"), ("017", "15"), ("0b11", "3"), ("-0x10", "-16"), ("08", "8"), ("1__0", "10"), ("_1", "_1"),
    ("100000000000000000000", "1e+20"), ("1234567.0", "1.234567e+06"), ("1e-7", "1e-07"), ("0.0001", "0.0001"), (".inf", "+Inf"),
    (".nan", "NaN"), ("1e400", "1e400"), ("0x", "0x"), ("12345678901234567890", "12345678901234567890"), ("2.50", "2.5")])
def test_numbers_are_written_as_compose_writes_them(tmp_path: Path, value: str, text: str) -> None:
    path = written(tmp_path, a_yaml=f"services: {{web: {{image: 'a:1', ports: ['1:1'], environment: {{A: {value}}}}}}}\n")[0]
    assert drafts_of(path)["web"].values["env"]["A"] == text
