"""The declaration in a package describes its container."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress

EXAMPLES = Path(__file__).parents[2] / "examples"
NGINX = Container("nginx", "nginx:1.27", "1.27.0", (Port(TcpAddress(None, 80), 80),))


def again(container: Container, directory: Path) -> Container:
    path = directory / "again.toml"
    path.write_text(as_toml(container), encoding="utf-8")
    (found,) = read([str(path)])
    return found


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_reads_back_as_it_was(path: Path, tmp_path: Path) -> None:
    for container in read([str(path)]):
        assert again(container, tmp_path) == container


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cn"]))
NAME = st.text("abcXYZ019_.-é#\"'\\", min_size=1)


@given(TEXT, st.dictionaries(NAME, TEXT),
       st.integers(6 * 2**20, 2**40), st.floats(0.01, 4096), st.none() | st.integers(1, 10**6))
def test_any_value_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, argument: str, env: dict[str, str],
                                        memory: int, cpus: float, idle: int | None) -> None:
    container = dataclasses.replace(NGINX, command=(argument,), env=env, memory=memory, cpus=cpus, idle=idle)
    assert again(container, tmp_path_factory.getbasetemp()) == container


def test_the_package_contains_it() -> None:
    for format in FORMATS.values():
        files = {entry.path: entry.data for entry in package_of.package(Resolved(NGINX), format, 0).entries}
        assert files["/usr/share/doc/ondemand-nginx/declaration.toml"].decode() == as_toml(NGINX)
