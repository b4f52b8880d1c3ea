"""Images, as an engine and its registries have them while packages are built.

Knows how a Docker engine is asked which bytes a tag means and for the bytes themselves, and the archive in which a package
carries them; hides the SDK and what differs between the archives of engines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.model import CarriedImage, Container
from ondemand_pkg.package import BLOCK, Stored

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from docker import DockerClient

_SECONDS = 600  # that the engine may be silent, while it packs an image or a registry is slow
_REFUSALS = ("no basic auth credentials", "unauthorized", "access denied", "authentication required", "forbidden")


class Images:
    """The images of some packages, asked of the engine that DOCKER_HOST names, or else of the one of this machine."""

    def __init__(self, directory: Path) -> None:
        """Keep archives in a directory, which has to outlive the containers that carry them."""
        self._directory = directory
        self._client: DockerClient | None = None
        self._pinned: dict[str, str] = {}
        self._carried: dict[str, CarriedImage] = {}

    def resolved(self, container: Container) -> Container:
        """Return a container with the digest that its tag means, where it is to be pinned, and with the archive of its image,
        where that is to be carried.

        Each image is asked for once.  Raises OndemandError, and OSError where an archive can't be written.
        """
        if container.pin:
            container = dataclasses.replace(container, image=self._pin(container.image, container.name))
        if container.bundle:
            container = dataclasses.replace(container, carried=self._carry(container.image, container.name))
        return container

    def _pin(self, image: str, name: str) -> str:
        if "@" in image:
            return image
        if image not in self._pinned:
            with self._engine(f"container.{name}.pin", image) as engine:
                self._pinned[image] = f"{image}@{engine.images.get_registry_data(image).id}"
        return self._pinned[image]

    def _carry(self, image: str, name: str) -> CarriedImage:
        if image not in self._carried:
            with self._engine(f"container.{name}.bundle", image) as engine:
                self._carried[image] = self._saved(engine, image)
        return self._carried[image]

    def _saved(self, engine: DockerClient, image: str) -> CarriedImage:
        import docker.errors

        path = self._directory / f"image-{len(self._carried)}.tar"
        unpacked = path.with_suffix(".engine")
        try:
            found = engine.images.get(image)
        except docker.errors.ImageNotFound:
            found = engine.images.pull(*_parts(image))
        with unpacked.open("wb") as stream:
            for block in found.save(chunk_size=BLOCK):
                stream.write(block)
        carried = rewritten(unpacked, path, image)
        unpacked.unlink()
        return carried

    @contextlib.contextmanager
    def _engine(self, key: str, image: str) -> Iterator[DockerClient]:
        """Yield the engine; what it refuses becomes an OndemandError that names the key, the image and the remedy."""
        import docker  # two tenths of a second, which only those pay who ask
        import docker.errors
        import requests

        try:
            if self._client is None:
                self._client = docker.from_env(timeout=_SECONDS)
                self._client.ping()
        except (docker.errors.DockerException, requests.RequestException) as error:
            self._client = None
            raise OndemandError(f"{key}: no Docker engine answers ({_innermost(error)}); start one, name one in DOCKER_HOST, or "
                                "leave the key out") from None
        try:
            yield self._client
        except docker.errors.APIError as error:
            text = str(error.explanation or error)
            if error.status_code in (401, 403) or any(words in text.lower() for words in _REFUSALS):
                remedy = "log in with 'docker login', as the user who builds"
            elif error.status_code == 404:
                remedy = "the registry has no such image; mend its name or its tag"
            else:
                remedy = "its registry has to answer the engine while the package is built"
            raise OndemandError(f"{key}: the image {image} is not to be had: {text}; {remedy}") from None
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise OndemandError(f"{key}: the Docker engine broke off over the image {image} ({_innermost(error)}); "
                                "its journal tells why") from None


def _parts(image: str) -> tuple[str, str]:
    """Return repository, and tag or digest, of an image; a digest leaves a tag without meaning."""
    name, _, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    return repository, digest or tag


def _innermost(error: BaseException) -> str:
    """Return the text of the first cause that the operating system names, or else of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


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
            name = f"ondemand/{_parts(image)[0].rpartition('/')[2]}:{identity}"
            listed = [{"Config": f"{identity}.json", "RepoTags": [name], "Layers": [files[digest] for digest in digests]}]
            target = _Digested(stream)
            with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
                _add(archive, "manifest.json", io.BytesIO(json.dumps(listed).encode()))
                _add(archive, f"{identity}.json", io.BytesIO(configuration))
                for digest, file in files.items():
                    with _layer(_member(source, layers[digest]), path.with_suffix(".layer")) as layer:
                        _add(archive, file, layer)
    except (tarfile.TarError, AttributeError, KeyError, TypeError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise OndemandError(f"the engine's archive of the image {image} can't be read ({error}); "
                            "an engine of another version may save it in another way") from None
    return CarriedImage(name, Stored(path, target.size, target.md5.hexdigest(), target.sha256.hexdigest()))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} in it is no file")
    return stream


@contextlib.contextmanager
def _layer(member: IO[bytes], spool: Path) -> Iterator[IO[bytes]]:
    """Yield a layer as it was before an engine that keeps layers packed has packed it."""
    magic = member.read(4)
    member.seek(0)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise ValueError("a layer in it is packed with zstd")
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


class _Digested(io.RawIOBase):
    """A stream that passes on what is written to it, and knows the digests of that."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: ReadableBuffer, /) -> int:
        self.md5.update(data)
        self.sha256.update(data)
        written = self._stream.write(data)
        self.size += written
        return written

    def tell(self) -> int:
        return self.size
