"""Images, as an engine and its registries have them while packages are built.

Knows when an engine is asked which bytes a tag means and for the bytes themselves, and the archive in which a package
carries them; hides what differs between the archives of engines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import posixpath
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ondemand_pkg.engines import references
from ondemand_pkg.engines.choice import is_unpacked
from ondemand_pkg.engines.docker_sdk import BrokenOff, DockerEngine, NoEngine, Refused
from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats.blocks import Measured
from ondemand_pkg.model import CarriedImage, Container, Resolved
from ondemand_pkg.package import BLOCK, Stored

_SECONDS = 600  # that the engine may be silent, while it packs an image or a registry is slow
_REFUSALS = ("no basic auth credentials", "unauthorized", "access denied", "authentication required", "forbidden")


class Images:
    """The images of some packages, asked of the engine that DOCKER_HOST names, or else of the one of this machine."""

    def __init__(self, directory: Path) -> None:
        """Keep archives in a directory, which has to outlive the containers that carry them."""
        self._directory = directory
        self._engine: DockerEngine | None = None
        self._pinned: dict[str, str] = {}
        self._carried: dict[str, CarriedImage] = {}

    def resolved(self, container: Container) -> Resolved:
        """Return a container with the digest that its tag means, where it is to be pinned, and with the archive of its image,
        where that is to be carried.

        Each image is asked for once.  Raises OndemandError, and OSError where an archive can't be written.
        """
        if container.pin:
            container = dataclasses.replace(container, image=self._pin(container.image, container.name))
        carried = self._carry(container.image, container.name) if container.bundle else None
        if carried is not None and is_unpacked(container) and (path := _unmet(carried, container)):
            raise OndemandError(f"container.{container.name}.volumes: the image {container.image} has a volume at {path}, "
                                f'which has no name; with engine = "systemd", name one: volumes = ["NAME:{path}"]')
        return Resolved(container, carried)

    def _pin(self, image: str, name: str) -> str:
        if references.parsed(image).digest:
            return image
        if image not in self._pinned:
            with self._asked(f"container.{name}.pin", image) as engine:
                self._pinned[image] = f"{image}@{engine.digest(image)}"
        return self._pinned[image]

    def _carry(self, image: str, name: str) -> CarriedImage:
        if image not in self._carried:
            path = self._directory / f"image-{len(self._carried)}.tar"
            unpacked = path.with_suffix(".engine")
            with self._asked(f"container.{name}.bundle", image) as engine, unpacked.open("wb") as stream:
                engine.save(image, stream)
            self._carried[image] = rewritten(unpacked, path, image)
            unpacked.unlink()
        return self._carried[image]

    @contextlib.contextmanager
    def _asked(self, key: str, image: str) -> Iterator[DockerEngine]:
        """Yield the engine; what it refuses becomes an OndemandError that names the key, the image and the remedy."""
        try:
            self._engine = self._engine or DockerEngine(os.environ, _SECONDS)
            yield self._engine
        except NoEngine as error:
            raise OndemandError(f"{key}: no Docker engine answers ({error}); start one, name one in DOCKER_HOST, or "
                                "leave the key out") from None
        except Refused as error:
            if error.status in (401, 403) or any(words in str(error).lower() for words in _REFUSALS):
                remedy = "run 'docker login' as the user who builds"
            elif error.status == 404:
                remedy = "the registry does not have this image; correct its name or tag"
            else:
                remedy = "the engine must be able to reach the registry while the package is built"
            raise OndemandError(f"{key}: the image {image} is unavailable: {error}; {remedy}") from None
        except BrokenOff as error:
            raise OndemandError(f"{key}: lost the connection to the Docker engine while it handled the image {image} "
                                f"({error}); see 'journalctl -u docker'") from None


# --- the archive -------------------------------------------------------------------------------------------------


# What `docker load` takes (Docker's image specification 1.2, "Combined Image JSON + Filesystem Changeset Format"):
#
#   manifest.json       [{"Config": "ID.json", "RepoTags": ["ondemand/web:ID"], "Layers": ["DIGEST.tar", ...]}]
#   ID.json             the image's configuration, whose SHA-256 is the image's ID and which names the digest of each layer
#   DIGEST.tar          each layer, by the SHA-256 of its bytes
#
# Each version of the engine saves other things beside these, in another place and some with the time of the day.
def rewritten(saved: Path, path: Path, image: str) -> CarriedImage:
    """Write what an engine saved of an image as an archive that is the same for the same image, whichever engine saved it.

    The name in it tells which image it is, so that no image on a host has that name but this one.  Raises OndemandError
    where it is no archive of an image, or one of layers that are packed with another program than gzip.
    """
    try:
        with tarfile.open(saved, "r:") as source, path.open("wb") as stream:
            (manifest,) = json.load(_member(source, "manifest.json"))
            configuration = _member(source, manifest["Config"]).read()
            digests = json.loads(configuration)["rootfs"]["diff_ids"]
            layers = dict(zip(digests, manifest["Layers"], strict=True))
            files = {digest: f"{digest.removeprefix('sha256:')}.tar" for digest in digests}
            identity = hashlib.sha256(configuration).hexdigest()
            name = f"ondemand/{references.parsed(image).name}:{identity}"
            listed = [{"Config": f"{identity}.json", "RepoTags": [name], "Layers": [files[digest] for digest in digests]}]
            target = Measured(stream, "md5", "sha256")
            with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
                _add(archive, "manifest.json", io.BytesIO(json.dumps(listed).encode()))
                _add(archive, f"{identity}.json", io.BytesIO(configuration))
                for digest, file in files.items():
                    with _layer(_member(source, layers[digest]), path.with_suffix(".layer")) as layer:
                        _add(archive, file, layer)
    except (tarfile.TarError, AttributeError, KeyError, TypeError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise OndemandError(f"the engine's archive of the image {image} can't be read ({error}); "
                            "try another version of the engine") from None
    return CarriedImage(name, Stored(path, target.size, target.hexdigest("md5"), target.hexdigest("sha256")))


def _unmet(carried: CarriedImage, container: Container) -> str:
    """Return the path of a volume that the image in an archive has and the container declares none for; "" for none."""
    assert carried.archive.path is not None
    with tarfile.open(carried.archive.path, "r:") as archive:
        configuration = json.load(_member(archive, f"{carried.name.rpartition(':')[2]}.json")).get("config") or {}
    declared = {posixpath.normpath(path) for path in
                [*(volume.target for volume in container.volumes), *(mount.partition(":")[0] for mount in container.tmpfs)]}
    return next((path for path in sorted(configuration.get("Volumes") or {}) if posixpath.normpath(path) not in declared), "")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} in it is not a file")
    return stream


@contextlib.contextmanager
def _layer(member: IO[bytes], spool: Path) -> Iterator[IO[bytes]]:
    """Yield a layer as it was before an engine that keeps layers packed has packed it."""
    magic = member.read(4)
    member.seek(0)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("a layer in it is compressed with zstd")
    if not magic.startswith(b"\x1f\x8b"):
        yield member
        return
    with gzip.open(member) as unpacked, spool.open("w+b") as stream:
        shutil.copyfileobj(unpacked, stream, BLOCK)
        yield stream
    spool.unlink()


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    """Add a file of root's, with the time 0; its content is read from the beginning."""
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    archive.addfile(member, content)
