"""How a fix of a helper reaches a site: what an older release built is found in the repository and built again."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from archives import packed
from signing import Signer

from ondemand_pkg import __version__
from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.model import Resolved

TEXT = """# Shop's services
[package]
version = "1.0"
release = 3 # of all

[container.web]  # the front\r
image = 'nginx:1.27'
ports = ["80:80"]
[container.api]
image = "api:1"
release  =  7  # its own
ports = ["81:80"]
[container.new]
image = "new:1"
ports = ["82:80"]
"""


def published(site: Signer, directory: Path, releases: dict[str, str], text: str = TEXT) -> tuple[Path, Path]:
    """Publish the declared containers, each as built by a release; return the repository and the declaration."""
    directory.mkdir(exist_ok=True)
    declaration = directory / "shop.toml"
    declaration.write_bytes(text.encode())
    paths = []
    for container in read([str(declaration)]):
        for format_ in FORMATS.values():
            package = dataclasses.replace(package_of.package(Resolved(container), format_, 0), built_by=releases[container.name])
            paths.append(directory / format_.filename(package))
            paths[-1].write_bytes(packed(format_, package))
    site.publish(directory / "repository", *paths)
    return directory / "repository", declaration


def rebuild(site: Signer, root: Path, declaration: Path, older_than: str = __version__, status: int = 0) -> str:
    done = site.run("rebuild", "--repo", root, "--older-than", older_than, "-o", declaration.parent / "dist", declaration,
                    status=status)
    return done.stdout if status == 0 else done.stderr


def names(said: str) -> list[str]:
    return [Path(line).name for line in said.splitlines()]


def test_what_an_older_release_built_is_raised_in_its_own_line_and_built(site: Signer, tmp_path: Path) -> None:
    root, declaration = published(site, tmp_path, {"web": "", "api": "0.1.5", "new": __version__})
    (other := tmp_path / "other").mkdir()
    shutil.copy(declaration, other)
    said = rebuild(site, root, declaration)
    assert names(said) == ["ondemand-web_1.0-4_all.deb", "ondemand-web-1.0-4.noarch.rpm",
                           "ondemand-api_1.0-8_all.deb", "ondemand-api-1.0-8.noarch.rpm"]
    assert declaration.read_bytes().decode() == TEXT.replace("# the front\r\n", "# the front\r\nrelease = 4\r\n").replace(
        "release  =  7  #", "release  =  8  #")
    rebuild(site, root, other / "shop.toml")
    for line in said.splitlines():
        assert Path(line).read_bytes() == (other / "dist" / Path(line).name).read_bytes(), "on every machine the same bytes"
    after = declaration.read_bytes()
    assert rebuild(site, root, declaration) == said and declaration.read_bytes() == after, "it can be repeated until published"
    site.publish(root, *map(Path, said.splitlines()))
    assert rebuild(site, root, declaration) == "" and declaration.read_bytes() == after
    field = subprocess.run(["dpkg-deb", "--field", said.splitlines()[0], "X-Ondemand-Pkg"], capture_output=True, text=True)
    assert field.stdout == f"{__version__}\n"


def test_a_release_that_all_share_is_raised_where_it_is(site: Signer, tmp_path: Path) -> None:
    root, declaration = published(site, tmp_path, {"web": "", "api": __version__, "new": ""})
    assert len(names(rebuild(site, root, declaration))) == 4
    assert declaration.read_bytes().decode() == TEXT.replace("release = 3 #", "release = 4 #")


def test_an_adopted_service_is_raised_as_a_container_is(site: Signer, tmp_path: Path) -> None:
    text = '[adopt.game]\nversion = "1"\nunit = "game.service"\nports = ["80:81"]\n'
    root, declaration = published(site, tmp_path, {"game": ""}, text)
    assert names(rebuild(site, root, declaration)) == ["ondemand-game_1-2_all.deb", "ondemand-game-1-2.noarch.rpm"]
    assert declaration.read_text() == text.replace("[adopt.game]\n", "[adopt.game]\nrelease = 2\n")


def test_what_cant_be_done_is_said_and_changes_nothing(site: Signer, tmp_path: Path) -> None:
    root, declaration = published(site, tmp_path, {"web": "", "api": "", "new": ""})
    for older_than, part in (("latest", "allowed: a release"), ("99", "upgrade ondemand-pkg")):
        assert part in rebuild(site, root, declaration, older_than, status=1)
    site.run("repo", "remove", "--repo", root, "ondemand-new")
    said = rebuild(site, root, declaration, status=1)
    assert f"{declaration}:" in said and "does not have the package ondemand-new; publish it first" in said
    declaration.write_text(TEXT.replace('"1.0"', '"0.9"'))
    assert "newer version 1.0-3" in rebuild(site, root, declaration, status=1)
    assert declaration.read_text() == TEXT.replace('"1.0"', '"0.9"').replace("\r\n", "\n")


def test_a_declaration_that_has_no_line_for_it_is_named_with_what_to_write(site: Signer, tmp_path: Path) -> None:
    root, declaration = published(site, tmp_path, {"web": "", "api": "", "new": ""})
    text = '[container]\nweb = { image = "nginx:1.27", version = "1.0", ports = ["80:80"] }\n'
    declaration.write_text(text)
    assert "set release = 4 by hand" in rebuild(site, root, declaration, status=1)
    assert declaration.read_text() == text
