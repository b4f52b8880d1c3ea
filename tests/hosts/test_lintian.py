"""Debian 13's lintian, and rpmlint, find no error and no warning in any kind of package; tests/oracle asks this machine's
lintian, of Debian 12."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from pathlib import Path

from requirements import need

from ondemand_pkg.building import packing
from ondemand_pkg.contents import package_of
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import DEB, RPM, Format
from ondemand_pkg.model import CarriedImage, Resolved, Volume
from ondemand_pkg.package import Stored

from . import roots

EXAMPLES = sorted(str(path) for path in (Path(__file__).parents[2] / "examples").glob("*.toml"))
RPMLINT = Path(__file__).parents[1] / "oracle/rpmlint.toml"
# Nothing of the root file system is written to: what is mounted is so for this process alone.
LINTIAN = """mount -t proc proc "$0/proc" && mount --bind "$1" "$0/mnt" && mount -t tmpfs tmpfs "$0/tmp" &&
exec chroot "$0" sh -c 'exec lintian --allow-root --fail-on error,warning --tag-display-limit 0 /mnt/*.deb'"""


def built(directory: Path, format: Format) -> list[Path]:
    """Build the examples, one with every file and script that a package may have, and one in the maintainer's own words."""
    containers = read(EXAMPLES)
    image = directory / "image.tar"
    image.write_bytes(b"a layer" * 1000)
    content = image.read_bytes()
    stored = Stored(image, len(content), hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest())
    rich = dataclasses.replace(containers[0], name="c++.web-1", bundle=True, volumes=(Volume("data", "/data"),),
                               purge_volumes=True)
    own = dataclasses.replace(containers[0], name="own", description="Company web front", license="Apache-2.0",
                              maintainer="Jörg Example <joerg@example.com>", homepage="https://intranet.example/web")
    unpacked = dataclasses.replace(rich, name="unpacked", engine="systemd", outbound=False, volumes=(), purge_volumes=False)
    resolved = [*map(Resolved, [*containers, own]),
                *(Resolved(one, CarriedImage("ondemand/web:1", stored)) for one in (rich, unpacked))]
    dist = directory / "dist"
    dist.mkdir()
    return [dist / name for name in packing.packed(
        [packing.Job(one, format, package_of.timestamp(one.container, {})) for one in resolved], dist)]


def test_lintian_of_debian_13_finds_no_error_and_no_warning(tmp_path: Path) -> None:
    need("mmdebstrap", "unshare", root=True)
    built(tmp_path, DEB)
    done = subprocess.run(["unshare", "--mount", "sh", "-c", LINTIAN, roots.tool("trixie", "lintian"), tmp_path / "dist"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_rpmlint_finds_no_error_and_no_warning(tmp_path: Path) -> None:
    need("rpmlint")
    rpms = built(tmp_path, RPM)
    done = subprocess.run(["rpmlint", "--config", RPMLINT, *rpms], capture_output=True, text=True)
    assert done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout
