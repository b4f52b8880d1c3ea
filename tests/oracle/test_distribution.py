"""What sites may rely on that take the program as Python packages, or build it with what they have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from requirements import need

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has of the checkout."""
    need("git")
    directory = tmp_path_factory.mktemp("checkout")
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, kept):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, directory / name)
    return directory


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    """The directory of the sdist, and of the wheel that was built from it."""
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check"], cwd=checkout, check=True,
                   capture_output=True)
    return checkout / "dist"


def test_sdist_and_wheel_pass_the_check_of_an_index(built: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *sorted(built.iterdir())], capture_output=True,
                          text=True)
    assert done.returncode == 0 and done.stdout.count("PASSED") == 2, done.stdout + done.stderr


def test_the_wheel_has_both_commands_and_everything_that_packages_are_made_of(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", tmp_path / "here",
                    wheel], check=True)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "here"), "PATH": f"{tmp_path}/here/bin:{os.environ['PATH']}"}
    script = f"ondemand complete st && ondemand-pkg build --output {tmp_path} {TOP}/examples/nginx.toml"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert said.stdout.splitlines()[0] == "status" and len(said.stdout.splitlines()) == 3, said.stdout + said.stderr


def test_stdeb_makes_a_package_that_takes_the_place_of_the_projects_own(built: Path, tmp_path: Path) -> None:
    need("dpkg-buildpackage", "dh", "fakeroot", "dpkg-deb")
    (sdist,) = built.glob("*.tar.gz")
    done = subprocess.run([Path(sys.executable).parent / "py2dsc-deb", "--dist-dir", tmp_path / "deb_dist", "--extra-cfg-file",
                           TOP / "stdeb.cfg", sdist], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (deb,) = (tmp_path / "deb_dist").glob("*.deb")
    fields = {name: subprocess.run(["dpkg-deb", "--field", deb, name], capture_output=True, text=True, check=True).stdout.strip()
              for name in ("Package", "Conflicts", "Replaces", "Provides")}
    assert fields == {"Package": "python3-ondemand-pkg", **dict.fromkeys(
        ("Conflicts", "Replaces", "Provides"), "ondemand-host, ondemand-pkg")}
    subprocess.run(["dpkg-deb", "--extract", deb, tmp_path / "root"], check=True)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "root/usr/lib/python3/dist-packages")}
    for command in ("ondemand", "ondemand-pkg"):
        said = subprocess.run(["/usr/bin/python3", tmp_path / "root/usr/bin" / command, "--version"], capture_output=True,
                              text=True, env=environ)
        assert said.stdout.startswith(f"{command}, version "), said.stderr


@pytest.mark.parametrize(("there", "status", "said"), [
    ((), 1, ["no .deb is built", "no .rpm is built", "dpkg-dev debhelper dh-python", "rpm", "apt-get build-dep ."]),
    (("rpmbuild",), 0, ["no .deb is built; these packages are missing: dpkg-dev debhelper dh-python"])])
def test_make_packages_names_what_is_missing(
    there: tuple[str, ...], status: int, said: list[str], checkout: Path, tmp_path: Path,
) -> None:
    """With few of the machine's commands to be found; the ones that are there write what they were called for."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sed", "mktemp", "rm", "mkdir", "cp", "find", "tar", "xz", "dirname", "python3"):
        (tools / name).symlink_to(Path(shutil.which(name, path="/usr/bin:/bin") or name))
    for name in there:
        (tools / name).write_text('#!/bin/sh\nfor word; do case "$word" in "_rpmdir "*) mkdir -p "${word#_rpmdir }/noarch"; '
                                  '> "${word#_rpmdir }/noarch/x.rpm";; esac; done\n')
        (tools / name).chmod(0o755)
    script = (checkout / "tools/packages").read_text().replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PATH={tools}")
    (checkout / "tools/packages-here").write_text(script)
    done = subprocess.run(["/bin/sh", "tools/packages-here"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == status and all(part in done.stderr for part in said), done.stdout + done.stderr
