"""Upgrading from release 0.1.0 recreates no container: each is still known by the digest that 0.1.0 gave it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Resolved

DATA = Path(__file__).parents[1] / "data/0.1.0"
RECORDED: dict[str, str] = json.loads((DATA / "digests.json").read_text(encoding="utf-8"))
DECLARATIONS = {path.stem: path for path in [DATA / "packages.toml", *sorted((DATA / "declarations").glob("*.toml"))]}


def digest(container: Container, format_name: str) -> str:
    """Return what the label ondemand.spec of a container will say, as its package brings it to the host."""
    # No registry is asked here: the digest of the image is the one that a tag means at that day, and this one stays.
    package = package_of.package(Resolved(dataclasses.replace(container, pin=False)), FORMATS[format_name], 0)
    (content,) = [entry.data for entry in package.entries if entry.path.endswith("/container.json")]
    assert isinstance(content, bytes)
    return str(json.loads(content)["spec"])


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_container_keeps_the_digest_that_the_first_release_gave_it(name: str, format_name: str) -> None:
    now = {f"{name}/{container.name}": digest(container, format_name) for container in read([str(DECLARATIONS[name])])}
    assert now == {key: value for key, value in RECORDED.items() if key.partition("/")[0] == name}


def test_every_recorded_digest_is_compared() -> None:
    assert {key.partition("/")[0] for key in RECORDED} == set(DECLARATIONS)


@pytest.mark.parametrize("path", sorted((DATA.parents[2] / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_of_today_gives_the_digest_of_that_day(path: Path) -> None:
    for container in read([str(path)]):
        recorded = RECORDED.get(f"example-{path.stem}/{container.name}")
        assert recorded in (None, digest(container, "deb")), "None: an example that is newer than that release"
