"""What people may rely on of stacks: how they are declared, what their packages hold, and how they are shown and compared."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ondemand_host import places, stacks, table
from ondemand_host.services import Service, Survey
from ondemand_pkg.building import packing
from ondemand_pkg.building.source_packages import write_source
from ondemand_pkg.comparing.difference import Difference, compare
from ondemand_pkg.contents import stack_package
from ondemand_pkg.declaration.reader import Site, read_site
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB, FORMATS, RPM
from ondemand_pkg.model import Resolved, Stack
from ondemand_pkg.package import Package

CONTAINERS = """
[container.web]
image = "nginx:1.27"
version = "1.0"
ports = ["80:80"]
[container.db]
image = "postgres:16"
version = "16.3"
release = 2
ports = ["5432:5432"]
"""
SHOP = '[stack.shop]\nversion = "1.0"\n'


def site(directory: Path, *texts: str) -> Site:
    paths = []
    for number, text in enumerate(texts):
        paths.append(directory / f"{number}.toml")
        paths[-1].write_text(text)
    return read_site(map(str, paths))


def faults(directory: Path, *texts: str) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        site(directory, *texts)
    return [str(fault).replace(f"{directory}/", "") for fault in error.value.faults]


def test_a_stack_has_the_containers_of_its_file_unless_it_names_some_of_any_file(tmp_path: Path) -> None:
    found = site(tmp_path, CONTAINERS + SHOP, '[stack.part]\nversion = "2.0"\nmembers = ["db"]\n').stacks
    assert [(stack.name, [member.name for member in stack.members]) for stack in found] == [
        ("shop", ["web", "db"]), ("part", ["db"])]


def test_a_stack_has_the_version_of_the_package_table_or_its_own(tmp_path: Path) -> None:
    package = '[package]\nversion = "3.0"\nrelease = 4\nmaintainer = "Site <site@example.com>"\n'
    first, second = site(tmp_path, package + CONTAINERS + '[stack.shop]\n[stack.other]\nversion = "5.0"\n').stacks
    assert (first.version, first.release, first.maintainer) == ("3.0", 4, "Site <site@example.com>")
    assert (second.version, second.release) == ("5.0", 4)


@pytest.mark.parametrize(("stack", "told"), [
    ("[stack.shop]\n", '0.toml:11: stack.shop.version: missing; write version = "1.27.0" here or in [package]'),
    (SHOP + 'members = ["wbe"]\n', '0.toml:13: stack.shop.members[0]: found "wbe"; none of the given files declares it; '
     'did you mean "web"?'),
    (SHOP + 'members = [\n"web",\n"web"]\n',
     '0.toml:14: stack.shop.members[1]: found "web"; it is a member twice; name containers '
     'of the files of this call, each once'),
    (SHOP + 'members = ["shop"]\n', '0.toml:13: stack.shop.members[0]: found "shop"; a stack can\'t be a member of a stack; '
     "name containers of the files of this call, each once"),
    (SHOP + 'image = "x"\n', '0.toml:13: stack.shop.image: this key belongs to a container; move it to [container.NAME]'),
    (SHOP + "members = []\n",
     "0.toml:13: stack.shop.members: found []; allowed: an array of: lower-case letters, digits, '.', '+' "
     "and '-', a letter or digit first, at least 1"),
    ('[stack.web]\nversion = "1"\n', "0.toml:11: stack.web: the name is already declared at 0.toml:2; "
     "names must be unique within a site, those of containers and stacks together"),
    ('[stack.host]\nversion = "1"\n',
     "0.toml:11: stack.host: found the name 'host'; the name is reserved: ondemand-host is another "
     "package; choose another one"),
])
def test_what_is_wrong_with_a_stack_is_told_with_its_place_and_what_to_do(tmp_path: Path, stack: str, told: str) -> None:
    assert faults(tmp_path, CONTAINERS + stack) == [told]


@pytest.mark.parametrize("name", ["pkg", "host", "net", "archive-keyring"])
def test_no_container_takes_the_name_of_another_package_of_the_project(tmp_path: Path, name: str) -> None:
    (told,) = faults(tmp_path, CONTAINERS.replace("[container.web]", f"[container.{name}]"))
    assert f"ondemand-{name} is another package" in told


def test_a_stack_without_any_container_and_one_that_is_required_are_errors(tmp_path: Path) -> None:
    assert "0.toml:1: stack.shop: the file declares no container; write members" in faults(tmp_path, SHOP, CONTAINERS)[0]
    (told,) = faults(tmp_path, CONTAINERS + 'requires = ["shop"]\n' + SHOP)
    assert told == '0.toml:11: container.db.requires: "shop" is a stack; name the members that are to be woken'


def test_a_stack_of_a_faulty_member_adds_no_fault_of_its_own(tmp_path: Path) -> None:
    assert len(faults(tmp_path, CONTAINERS.replace("80:80", "80") + SHOP)) == 1


def packed(directory: Path, text: str, format_name: str = "deb") -> list[Package]:
    return [packing.Job(one if isinstance(one, Stack) else Resolved(one), FORMATS[format_name], 0).package()
            for one in site(directory, text).packaged]


@pytest.mark.parametrize(("format_name", "relations"), [
    ("deb", {"depends": ("ondemand-web (>= 1.0-1)", "ondemand-db (>= 16.3-2)", "tea"),
             "recommends": ("ondemand-web (= 1.0-1)", "ondemand-db (= 16.3-2)")}),
    ("rpm", {"requires": ("ondemand-web >= 1.0-1", "ondemand-db >= 16.3-2", "cocoa"),
             "recommends": ("ondemand-web = 1.0-1", "ondemand-db = 16.3-2")})])
def test_a_stack_depends_on_its_members_and_on_what_it_declares(
    tmp_path: Path, format_name: str, relations: dict[str, tuple[str, ...]],
) -> None:
    stack = packed(tmp_path, CONTAINERS + SHOP + 'depends = { deb = ["tea"], rpm = ["cocoa"] }\n', format_name)[-1]
    assert stack.relations == relations and stack.full_version == "1.0-1" and not stack.scripts


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_declaration_in_a_stack_s_package_declares_the_same(tmp_path: Path, format_name: str) -> None:
    text = CONTAINERS + SHOP + 'description = "Company shop"\nmembers = ["db", "web"]\n'
    stack = packed(tmp_path, text, format_name)[-1]
    files = {entry.path: entry.data.decode() for entry in stack.entries if not entry.path.endswith(".gz")}
    again = site(tmp_path, files["/usr/share/doc/ondemand-shop/declaration.toml"])
    assert again.stacks == site(tmp_path, text).stacks
    assert json.loads(files["/usr/share/ondemand-shop/stack.json"])["members"] == {"db": "16.3-2", "web": "1.0-1"}
    assert "ondemand-pkg status shop" in files["/usr/share/doc/ondemand-shop/README"]


def test_the_time_of_a_stack_is_that_of_its_changelog(tmp_path: Path) -> None:
    text = CONTAINERS + SHOP + 'changelog = [{ date = 2025-03-01, version = "1.0-1", changes = ["First."] }]\n'
    tasks = packing.tasks(site(tmp_path, text).packaged, [DEB], {})
    assert [task.time for task in tasks] == [1577836800, 1577836800, 1740787200]


def test_the_source_tree_of_a_stack_says_what_its_packages_say(tmp_path: Path) -> None:
    write_source(site(tmp_path, CONTAINERS + SHOP).packaged, tmp_path / "out", {})
    tree = tmp_path / "out/ondemand-shop-1.0"
    assert "Recommends: ondemand-web (= 1.0-1), ondemand-db (= 16.3-2)\n" in (tree / "debian/control").read_text()
    assert "Recommends: ondemand-db = 16.3-2\n" in (tree / "ondemand-shop.spec").read_text()
    assert "system-preset" not in (tree / "debian/rules").read_text()
    assert "system-preset" in (tmp_path / "out/ondemand-web-1.0/debian/rules").read_text()


def differences(directory: Path, old: str, new: str) -> dict[str, Difference]:
    return {one.package: one for one in compare(packed(directory, old), packed(directory, new)) if one}


def test_two_stacks_are_compared_by_their_members_and_what_those_do(tmp_path: Path) -> None:
    old = CONTAINERS + SHOP
    new = old.replace("nginx:1.27", "nginx:1.28").replace('version = "1.0"', 'version = "1.1"')
    found = differences(tmp_path, old, new)["ondemand-shop"]
    lines = list(found.lines())
    assert lines[:3] == ["ondemand-shop: 1.0-1 -> 1.1-1", "  the members of the application:", '    web: "1.0-1" -> "1.1-1"']
    assert "downtime: ondemand-web: asleep: none; awake: the service is stopped" in "\n".join(lines)
    assert found.as_json()["changes"]["members"] == [{"what": "web", "old": "1.0-1", "new": "1.1-1"}]


def test_of_two_stacks_alone_the_downtime_is_not_made_up(tmp_path: Path) -> None:
    old, new = (stack_package.package(dataclasses.replace(stack, version=version), RPM, 0)
                for version, text in (("1", CONTAINERS), ("2", CONTAINERS.replace("16.3", "17.0")))
                for stack in site(tmp_path, text + SHOP).stacks)
    (found,) = compare([old], [new])
    assert found.downtime() == "that of its members; compare their packages too"


def test_a_stack_that_changed_under_one_version_is_noted(tmp_path: Path) -> None:
    found = differences(tmp_path, CONTAINERS + SHOP, CONTAINERS.replace("16.3", "17.0") + SHOP)["ondemand-shop"]
    assert found.notes == ("both have the same version, so no package manager upgrades to the new one; raise release",)


def service(name: str, state: str, connections: int = 0) -> Service:
    return Service(name, state, ("[::]:80",), connections)


@pytest.mark.parametrize(("states", "whole"), [
    (("asleep", "asleep"), "asleep"), (("asleep", "awake"), "awake"), (("awake", "failing"), "failing"),
    (("asleep", "closed"), "closed"), (("disabled", "disabled"), "disabled"), ((), "missing"),
    (("starting", "awake"), "starting")])
def test_a_stack_is_in_the_state_that_matters_most_among_its_members(states: tuple[str, ...], whole: str) -> None:
    members = tuple(service(str(number), state) for number, state in enumerate(states))
    assert stacks.Application("shop", members).state == whole


def test_status_shows_a_stack_as_one_and_its_members_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DATA", str(tmp_path))
    for name, text in (("ondemand-shop", '{"members": {"web": "1", "db": "1", "gone": "1"}}'), ("ondemand-broken", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stack.json").write_text(text)
    services = (service("db", "asleep"), service("web", "awake", 3))
    found = Survey(services, (), stacks.applications(places.stacks(), services))
    lines = list(table.lines(found, 0.0, 80, False, lambda text, *_, **__: text))
    assert lines[1].split() == ["shop", "awake", "3", "-", "-", "-", "-", "-", "1", "of", "3", "awake:", "web", "db"]
    assert lines[2].startswith("db") and lines[4] == "shop: not installed: gone"
    assert json.loads(table.as_json(found))["stacks"] == [
        {"name": "shop", "state": "awake", "connections": 3, "awake": 1, "members": ["web", "db"], "missing": ["gone"]}]


@pytest.mark.parametrize("words", [["shop"], ["ondemand-shop"], ["shop", "web"]])
def test_a_command_of_hosts_that_names_a_stack_means_its_members(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("web", "db", "other"):
        (tmp_path / f"ondemand-{name}").mkdir()
        (tmp_path / f"ondemand-{name}/container.json").write_text(f'{{"container": "ondemand-{name}"}}')
    (tmp_path / "ondemand-shop").mkdir()
    (tmp_path / "ondemand-shop/stack.json").write_text('{"members": {"web": "1", "db": "1", "gone": "1"}}')
    monkeypatch.setattr(places, "DATA", str(tmp_path))
    monkeypatch.setattr(places, "LIBEXEC", str(tmp_path))
    packages, applications = places.chosen(words)
    assert [package.name for package in packages] == ["db", "web"] and list(applications) == ["shop"]
