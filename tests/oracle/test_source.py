"""What users may rely on: what a build service makes of `ondemand-pkg source` is what `ondemand-pkg build` makes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.cli.main import cli
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import FORMATS

Run = Callable[..., str]

PLAIN = """
[container.nginx]
image = "nginx:1.27"
version = "1.27.0"
ports = ["80:80"]
"""
HOSTILE = r"""
[container."c++.web-1"]
image = "nginx:1.27"
version = "2.1.0~rc1+git"
release = 3
maintainer = "Jöran %(id) \\Ärlig <joeran@example.org>"
homepage = "https://example.org/?a=%20b#%{name}"
license = "MIT OR Apache-2.0"
description = '%prep `id` $(id) ${HOME} "quoted" %{name} %(id) \ größer; 100% --rm %% # and so on to more than one line'
ports = ["80:80", "[::1]:81:81", "/run/a %n $HOME.sock:80"]
env = { "A" = "%(id) $HOME `id`\n%prep", B = "'\"\\" }
command = ["%{name}", "$(id)", "--", ";"]
depends = { deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }
changelog = [
    { date = 2025-03-01, version = "2.1.0~rc1+git-3", changes = ["%(id) %{name} `id`", "Second."] },
    { date = 2024-12-24, version = "1-1", changes = ["First."] },
]
"""


class Built:
    """The packages of one declaration: ours, and those that the native tools made of its source tree."""

    def __init__(self, directory: Path, text: str, run: Run) -> None:
        declaration = directory / "declaration.toml"
        declaration.write_text(text)
        self.deb, self.rpm = packing.write(packing.tasks(read([str(declaration)]), FORMATS.values(), {}), directory / "dist")
        printed = CliRunner().invoke(cli, ["source", str(declaration), "-o", str(directory / "source")])
        assert printed.exit_code == 0, printed.output
        tree, tarball = map(Path, printed.output.splitlines())
        subprocess.run(["dpkg-buildpackage", "--no-sign"], cwd=tree, check=True, capture_output=True)
        (self.native_deb,) = (directory / "source").glob("*.deb")
        # How the payload is packed is the building distribution's choice.
        run("rpmbuild", "-tb", "--quiet", f"--define=_topdir {directory / 'top'}", "--define=_binary_payload w6.xzdio", tarball)
        (self.native_rpm,) = (directory / "top").glob("RPMS/*/*.rpm")


@pytest.fixture(scope="module", params=[PLAIN, HOSTILE], ids=["plain", "hostile"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Built:
    need("dpkg-buildpackage", "dh", "rpmbuild")
    return Built(tmp_path_factory.mktemp("source"), request.param, run)


def test_the_names_of_the_packages_are_the_same(both: Built) -> None:
    assert (both.native_deb.name, both.native_rpm.name) == (both.deb.name, both.rpm.name)


def test_the_deb_has_the_same_files_with_the_same_modes_and_contents(both: Built, tmp_path: Path, run: Run) -> None:
    listings, trees = [], []
    for name, package in (("ours", both.deb), ("native", both.native_deb)):
        run("dpkg-deb", "--extract", package, tmp_path / name)
        (changelog,) = (tmp_path / name).glob("usr/share/doc/*/changelog.Debian.gz")
        run("gunzip", changelog)
        listing = [line.split() for line in run("dpkg-deb", "--contents", package).splitlines()]
        listings.append(sorted(words[:2] + words[5:] for words in listing))
        trees.append({path.relative_to(tmp_path / name): path.read_bytes()
                      for path in (tmp_path / name).rglob("*") if path.is_file()})
    assert listings[0] == listings[1]
    assert trees[0] == trees[1]


@pytest.mark.parametrize("member", ["control", "conffiles", "postinst", "prerm", "postrm", "triggers"])
def test_the_deb_has_the_same_control_members(both: Built, member: str, run: Run) -> None:
    ours, native = (run("dpkg-deb", "--info", package, member) for package in (both.deb, both.native_deb))
    if member == "control":  # dpkg counts each file system's own blocks
        ours, native = ("\n".join(sorted(line for line in text.splitlines() if not line.startswith("Installed-Size:")))
                        for text in (ours, native))
    assert ours == native


@pytest.mark.parametrize("question", [
    "--requires", "--provides", "--conflicts", "--obsoletes", "--scripts", "--changelog", "--configfiles", "--docfiles",
    "--filetriggers",
    "--qf=%{NAME} %{VERSION} %{RELEASE} %{SUMMARY} %{LICENSE} %{URL} %{PACKAGER}\n",
    "--qf=[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEDIGESTS} %{FILEFLAGS}\n]"])
def test_the_rpm_answers_every_question_alike(both: Built, question: str, run: Run) -> None:
    assert run("rpm", "-qp", question, both.rpm) == run("rpm", "-qp", question, both.native_rpm)


def test_the_rpm_describes_itself_in_the_same_words(both: Built, run: Run) -> None:
    ours, native = (run("rpm", "-qp", "--qf=%{DESCRIPTION}", package).split() for package in (both.rpm, both.native_rpm))
    assert ours == native
