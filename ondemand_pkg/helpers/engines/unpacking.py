"""An image's archive, unpacked into a directory.

Knows the form in which packages carry images, and what their layers may say (image specification of OCI: whiteouts, opaque
directories, hard links); hides tarfile.  What a layer names lies below the directory, whatever symbolic links it has made
there.  Nobody else writes there meanwhile.
"""

import gzip
import hashlib
import json
import os
import shutil
import stat
import tarfile

from process import Failure

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_LINKS = 40  # symbolic links on one path, as the kernel has it
BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
XATTR = "SCHILY.xattr."  # before the name of an extended attribute in a pax header
KEPT_XATTRS = ("security.capability", "user.")
LONGEST_CONFIGURATION = 1 << 24  # bytes


def unpack(archive: "str", root: "str") -> "Dict[str, Any]":
    """Unpack the image of an archive into a new directory; return its configuration.  Raises Failure and OSError."""
    try:
        with tarfile.open(archive, "r:") as source:
            (manifest,) = json.loads(text(source, "manifest.json"))
            said = text(source, manifest["Config"])
            configuration = json.loads(said)
            digests = configuration["rootfs"]["diff_ids"]
            if len(digests) != len(manifest["Layers"]):
                raise ValueError("it has another number of layers than its configuration")
            os.mkdir(root, 0o755)
            for name, digest in zip(manifest["Layers"], digests):  # noqa: B905 # Python 3.6 has no strict=
                Layer(root).apply(source, name, digest)
            return dict(configuration.get("config") or {})
    except (tarfile.TarError, AttributeError, KeyError, TypeError, ValueError, EOFError) as error:
        raise Failure("the image {} can't be unpacked: {}; install the package again".format(archive, error)) from None


def text(source: "tarfile.TarFile", name: "str") -> "str":
    return member(source, name).read(LONGEST_CONFIGURATION).decode("utf-8")


def member(source: "tarfile.TarFile", name: "str") -> "IO[bytes]":
    stream = source.extractfile(name)
    if stream is None:
        raise ValueError("{} in it is not a file".format(name))
    return stream


class Layer:
    """One layer on its way into the directory."""

    def __init__(self, root: "str") -> "None":
        self.root = root
        self.written: "Set[str]" = set()  # paths that this layer has made, and the directories above them
        self.times: "List[Tuple[str, float]]" = []  # of directories, which change as long as something comes into them

    def apply(self, source: "tarfile.TarFile", name: "str", digest: "str") -> "None":
        """Apply a layer that has this digest.  Raises ValueError where it has not."""
        with member(source, name) as packed:
            is_packed = packed.read(2) == GZIP
            packed.seek(0)
            stream: "Any" = gzip.GzipFile(fileobj=packed) if is_packed else packed
            found = hashlib.sha256()
            for block in iter(lambda: stream.read(BLOCK), b""):
                found.update(block)
            if "sha256:" + found.hexdigest() != digest:
                raise ValueError("the layer {} is damaged".format(name))
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r:") as layer:
                for entry in layer:
                    self.add(layer, entry)
                    layer.members = []  # type: ignore[attr-defined] # else it keeps all of them
        for path, time in reversed(self.times):
            if os.path.isdir(path) and not os.path.islink(path):
                os.utime(path, (time, time))

    def add(self, layer: "tarfile.TarFile", entry: "tarfile.TarInfo") -> "None":
        parts = parts_of(entry.name)
        if not parts:
            if entry.isdir():
                self.dress(self.root, entry)
            return
        directory = self.directory(parts[:-1])
        if parts[-1] == OPAQUE:
            self.empty(directory)
            return
        if parts[-1].startswith(WHITEOUT):
            hidden = parts[-1][len(WHITEOUT):]
            if hidden in ("", ".", ".."):
                raise ValueError("it hides {!r}".format(hidden))
            if os.path.join(directory, hidden) not in self.written:
                remove(os.path.join(directory, hidden))
            return
        path = os.path.join(directory, parts[-1])
        if not (entry.isdir() and is_directory(path)):
            remove(path)
        if entry.isdir():
            if not is_directory(path):
                os.mkdir(path, 0o700)
            self.times.append((path, entry.mtime))
        elif entry.isreg():
            self.write(layer, entry, path)
        elif entry.islnk():
            other = parts_of(entry.linkname)
            if not other:
                raise ValueError("{} is a hard link to nothing".format(entry.name))
            os.link(os.path.join(self.directory(other[:-1]), other[-1]), path, follow_symlinks=False)
        elif entry.issym():
            os.symlink(entry.linkname, path)
        elif entry.isfifo():
            os.mkfifo(path, 0o600)
        else:
            return  # a device: the workload has those that systemd gives it
        self.note(path)
        if not entry.islnk():
            self.dress(path, entry)

    def write(self, layer: "tarfile.TarFile", entry: "tarfile.TarInfo", path: "str") -> "None":
        content = layer.extractfile(entry)
        assert content is not None
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as stream:
            shutil.copyfileobj(content, stream, BLOCK)

    def dress(self, path: "str", entry: "tarfile.TarInfo") -> "None":
        """Give a path its owner, mode, extended attributes and time."""
        os.lchown(path, entry.uid, entry.gid)
        if entry.issym():
            return
        os.chmod(path, entry.mode & 0o7777)
        for key, value in entry.pax_headers.items():
            name = key[len(XATTR):]
            if key.startswith(XATTR) and name.startswith(KEPT_XATTRS):
                os.setxattr(path, name, value.encode("utf-8", "surrogateescape"), follow_symlinks=False)
        if not entry.isdir():
            os.utime(path, (entry.mtime, entry.mtime))

    def note(self, path: "str") -> "None":
        while path != self.root and path not in self.written:
            self.written.add(path)
            path = os.path.dirname(path)

    def directory(self, parts: "Sequence[str]") -> "str":
        """Return where a directory of the image lies, through symbolic links in the image; make it if it is not there."""
        return inside(self.root, parts, makes=True)

    def empty(self, directory: "str") -> "None":
        """Remove what the layers below have in a directory."""
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if path not in self.written:
                remove(path)
            elif is_directory(path):
                self.empty(path)
        self.note(directory)


def inside(root: "str", parts: "Sequence[str]", makes: "bool" = False) -> "str":
    """Return where a path of the image lies below ``root``, as a process sees it for which that is the root.

    Raises ValueError where its symbolic links never end, OSError where something on it is no directory.
    """
    left, path, links = list(parts), root, 0
    while left:
        part = left.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            path = os.path.dirname(path) if path != root else root
            continue
        there = os.path.join(path, part)
        if os.path.islink(there):
            links += 1
            if links > MOST_LINKS:
                raise ValueError("too many symbolic links on the path {}".format("/".join(parts)))
            target = os.readlink(there)
            left = target.split("/") + left
            path = root if target.startswith("/") else path
            continue
        if makes and not os.path.lexists(there):
            os.mkdir(there, 0o755)
        path = there
    return path


def parts_of(name: "str") -> "List[str]":
    """Return the parts of a path in a layer.  Raises ValueError where it may lead out of it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise ValueError("it has the path {!r}".format(name))
    return parts


def is_directory(path: "str") -> "bool":
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def remove(path: "str") -> "None":
    if is_directory(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Dict, List, Sequence, Set, Tuple
