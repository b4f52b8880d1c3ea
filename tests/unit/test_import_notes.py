"""What an import tells is short, has what matters first, and is complete in JSON; what `check` refuses is not written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ondemand_pkg.cli.main import cli

CASES = Path(__file__).parents[1] / "data/compose-cases"


def run(*argv: str | Path) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, argv)])


def project(directory: Path, text: str) -> Path:
    path = directory / "site.yaml"
    path.write_text(text)
    return path


def test_the_same_note_of_several_services_is_one_line_with_their_names() -> None:
    done = run(CASES / "notes-flood/compose.yaml")
    lines = done.stderr.splitlines()
    told = [line for line in lines if "no value here" in line]
    assert len(told) == 1 and "web, worker1, worker2" in told[0].replace("worker1, worker2, web", "web, worker1, worker2")
    assert "environment A1, A2, A3, A4, A5, A6, A7, A8: no value here; write it into /etc/ondemand/{" in told[0]
    assert [line for line in lines if "worker1, worker2: left out: no port" in line] and len(lines) == 4
    assert done.stdout.count("no value here") == 1  # in the head of the declaration too


def test_names_are_real_ones(tmp_path: Path) -> None:
    done = run(project(tmp_path, "services: {shop: {image: 'a:1', ports: ['1:1'], container_name: x, environment: [A]}}\n"), "-v")
    assert "/etc/ondemand/shop.env" in done.stderr and "ondemand-shop" in done.stderr and "NAME" not in done.stderr


def test_what_is_lost_comes_first_and_routine_only_when_asked_for(tmp_path: Path) -> None:
    path = project(tmp_path, """services:
  web: {image: "a:1", ports: ["1:1"], restart: always, profiles: [x], volumes: ["./data:/data"]}
""")
    done = run(path)
    lines = done.stderr.splitlines()
    assert "volumes ./data" in lines[0] and "profiles" in lines[1] and "restart" not in done.stderr
    assert lines[-1] == "1 container; notes: 1 to look at first, 1 on what changed, 1 routine (--verbose)"
    assert "restart" in run(path, "--verbose").stderr and "# Lost, or at risk:\n" in done.stdout and "restart" not in done.stdout
    assert run(path, "--quiet").stderr == ""


def test_json_has_everything(tmp_path: Path) -> None:
    path = project(tmp_path, "services: {web: {image: 'a:1', ports: ['1:1'], restart: always}}\n")
    found = json.loads(run(path, "--json").stdout)
    assert found["output"] is None and "[container.web]" in found["declaration"]
    assert found["notes"] == [{"place": f"{path}:1", "service": "web", "key": "restart", "container": "web", "weight": "routine",
                               "message": "systemd starts the container at the next connection, no matter how it exited"}]
    found = json.loads(run(path, "--json", "--output", tmp_path / "x.toml").stdout)
    assert found["output"] == str(tmp_path / "x.toml") and (tmp_path / "x.toml").read_text() == found["declaration"]


def test_a_result_that_check_refuses_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project(tmp_path, "services: {web: {image: 'A B', ports: ['1:1']}}\n")
    done = run(path, "--output", tmp_path / "x.toml")
    assert done.exit_code == 1 and not (tmp_path / "x.toml").exists() and done.stdout == ""
    assert "nothing is written, as 'ondemand-pkg check' would refuse the result" in done.stderr and "image" in done.stderr


def test_a_project_becomes_a_stack_that_sleeps(tmp_path: Path) -> None:
    path = project(tmp_path, """name: shop
services:
  shop: {image: "a:1.5", ports: ["1:1"]}
  db: {image: "postgres:16"}
""")
    done = run(path, "--output", tmp_path / "x.toml")
    text = (tmp_path / "x.toml").read_text()
    assert done.exit_code == 0 and '[stack.shop-stack]\nversion = "1.5"\n' in text and text.count('idle = "10min"') == 2
    assert CliRunner().invoke(cli, ["check", str(tmp_path / "x.toml")]).exit_code == 0
    assert "[stack" not in run(project(tmp_path, "services: {web: {image: 'a:1', ports: ['1:1']}}\n")).stdout


def test_the_time_that_compose_gives_a_start_is_the_limit(tmp_path: Path) -> None:
    assert 'timeout = "600s"' in run(CASES / "healthcheck-long/compose.yaml").stdout
    for keys, limit in (("start_period: 2m", '"210s"'), ("retries: 1", ""),
                        ("interval: 1s, retries: 3, start_period: 1m", '"63s"')):
        path = project(tmp_path, f"services: {{w: {{image: 'a:1', ports: ['1:1'], healthcheck: {{test: x, {keys}}}}}}}\n")
        text = run(path).stdout
        assert f"timeout = {limit}" in text if limit else "timeout" not in text
