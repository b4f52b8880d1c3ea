"""The header structure of an .rpm.

Knows the tags that are written, with the numbers and types of rpm's rpmtag.h, and the layout that holds them; hides
the layout behind ``pack``, ``read`` and ``unpack``.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO, TypeAlias, TypeVar

from ondemand_pkg.formats.blocks import Part, blocks


class Type(enum.IntEnum):
    """The types of a tag's value (rpmtag.h, rpmTagType)."""

    CHAR = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    STRING = 6
    BIN = 7
    STRING_ARRAY = 8
    I18NSTRING = 9


Value: TypeAlias = int | str | bytes | Sequence[int] | Sequence[str]


class _AnyTag(enum.Enum):
    def __init__(self, number: int, type_: Type) -> None:
        self.number = number
        self.type = type_


class SignatureTag(_AnyTag):
    """What stands in the signature header: digests and sizes of what follows it."""

    DSA = 267, Type.BIN  # OpenPGP signature of the header, by a key that is no RSA key
    RSA = 268, Type.BIN  # OpenPGP signature of the header
    SHA1 = 269, Type.STRING  # hexadecimal, of the header
    LONGSIZE = 270, Type.INT64  # as SIZE, from 4 GiB on
    LONGARCHIVESIZE = 271, Type.INT64  # as PAYLOADSIZE, from 4 GiB on
    SHA256 = 273, Type.STRING  # hexadecimal, of the header
    SIZE = 1000, Type.INT32  # bytes of the header and the compressed payload
    PGP = 1002, Type.BIN  # OpenPGP signature of header and payload, RSA
    MD5 = 1004, Type.BIN  # of the header and the compressed payload
    GPG = 1005, Type.BIN  # OpenPGP signature of header and payload, not RSA
    PAYLOADSIZE = 1007, Type.INT32  # bytes of the payload before compression
    RESERVEDSPACE = 1008, Type.BIN  # zeros that make way for signatures


class Tag(_AnyTag):
    """What stands in the header proper: the package."""

    HEADERI18NTABLE = 100, Type.STRING_ARRAY
    NAME = 1000, Type.STRING
    VERSION = 1001, Type.STRING
    RELEASE = 1002, Type.STRING
    EPOCH = 1003, Type.INT32
    SUMMARY = 1004, Type.I18NSTRING
    DESCRIPTION = 1005, Type.I18NSTRING
    BUILDTIME = 1006, Type.INT32
    BUILDHOST = 1007, Type.STRING
    SIZE = 1009, Type.INT32
    LICENSE = 1014, Type.STRING
    PACKAGER = 1015, Type.STRING
    GROUP = 1016, Type.I18NSTRING
    URL = 1020, Type.STRING
    OS = 1021, Type.STRING
    ARCH = 1022, Type.STRING
    PREIN = 1023, Type.STRING
    POSTIN = 1024, Type.STRING
    PREUN = 1025, Type.STRING
    POSTUN = 1026, Type.STRING
    FILESIZES = 1028, Type.INT32
    FILEMODES = 1030, Type.INT16
    FILERDEVS = 1033, Type.INT16
    FILEMTIMES = 1034, Type.INT32
    FILEDIGESTS = 1035, Type.STRING_ARRAY
    FILELINKTOS = 1036, Type.STRING_ARRAY
    FILEFLAGS = 1037, Type.INT32
    FILEUSERNAME = 1039, Type.STRING_ARRAY
    FILEGROUPNAME = 1040, Type.STRING_ARRAY
    SOURCERPM = 1044, Type.STRING
    FILEVERIFYFLAGS = 1045, Type.INT32
    PROVIDENAME = 1047, Type.STRING_ARRAY
    REQUIREFLAGS = 1048, Type.INT32
    REQUIRENAME = 1049, Type.STRING_ARRAY
    REQUIREVERSION = 1050, Type.STRING_ARRAY
    CONFLICTFLAGS = 1053, Type.INT32
    CONFLICTNAME = 1054, Type.STRING_ARRAY
    CONFLICTVERSION = 1055, Type.STRING_ARRAY
    RPMVERSION = 1064, Type.STRING
    CHANGELOGTIME = 1080, Type.INT32
    CHANGELOGNAME = 1081, Type.STRING_ARRAY
    CHANGELOGTEXT = 1082, Type.STRING_ARRAY
    PREINPROG = 1085, Type.STRING
    POSTINPROG = 1086, Type.STRING
    PREUNPROG = 1087, Type.STRING
    POSTUNPROG = 1088, Type.STRING
    OBSOLETENAME = 1090, Type.STRING_ARRAY
    FILEDEVICES = 1095, Type.INT32
    FILEINODES = 1096, Type.INT32
    FILELANGS = 1097, Type.STRING_ARRAY
    PROVIDEFLAGS = 1112, Type.INT32
    PROVIDEVERSION = 1113, Type.STRING_ARRAY
    OBSOLETEFLAGS = 1114, Type.INT32
    OBSOLETEVERSION = 1115, Type.STRING_ARRAY
    DIRINDEXES = 1116, Type.INT32
    BASENAMES = 1117, Type.STRING_ARRAY
    DIRNAMES = 1118, Type.STRING_ARRAY
    PAYLOADFORMAT = 1124, Type.STRING
    PAYLOADCOMPRESSOR = 1125, Type.STRING
    PAYLOADFLAGS = 1126, Type.STRING
    PLATFORM = 1132, Type.STRING
    FILECOLORS = 1140, Type.INT32
    PRETRANS = 1151, Type.STRING
    POSTTRANS = 1152, Type.STRING
    PRETRANSPROG = 1153, Type.STRING
    POSTTRANSPROG = 1154, Type.STRING
    DISTTAG = 1155, Type.STRING
    FILEDIGESTALGO = 5011, Type.INT32
    RECOMMENDNAME = 5046, Type.STRING_ARRAY
    RECOMMENDVERSION = 5047, Type.STRING_ARRAY
    RECOMMENDFLAGS = 5048, Type.INT32
    SUGGESTNAME = 5049, Type.STRING_ARRAY
    SUGGESTVERSION = 5050, Type.STRING_ARRAY
    SUGGESTFLAGS = 5051, Type.INT32
    SUPPLEMENTNAME = 5052, Type.STRING_ARRAY
    SUPPLEMENTVERSION = 5053, Type.STRING_ARRAY
    SUPPLEMENTFLAGS = 5054, Type.INT32
    ENHANCENAME = 5055, Type.STRING_ARRAY
    ENHANCEVERSION = 5056, Type.STRING_ARRAY
    ENHANCEFLAGS = 5057, Type.INT32
    ENCODING = 5062, Type.STRING
    TRANSFILETRIGGERSCRIPTS = 5076, Type.STRING_ARRAY
    TRANSFILETRIGGERSCRIPTPROG = 5077, Type.STRING_ARRAY
    TRANSFILETRIGGERNAME = 5079, Type.STRING_ARRAY
    TRANSFILETRIGGERINDEX = 5080, Type.INT32
    TRANSFILETRIGGERVERSION = 5081, Type.STRING_ARRAY
    TRANSFILETRIGGERFLAGS = 5082, Type.INT32
    TRANSFILETRIGGERPRIORITIES = 5085, Type.INT32
    PAYLOADDIGEST = 5092, Type.STRING_ARRAY
    PAYLOADDIGESTALGO = 5093, Type.INT32
    PAYLOADDIGESTALT = 5097, Type.STRING_ARRAY


_T = TypeVar("_T", SignatureTag, Tag)
# The region tag of each structure, which marks what a digest or a signature of it covers.
REGION: Mapping[type[_AnyTag], int] = {SignatureTag: 62, Tag: 63}
_MAGIC = bytes.fromhex("8eade801 00000000")
_INDEX_ENTRY = struct.Struct(">IIiI")
_INTEGERS = {Type.CHAR: "B", Type.INT8: "B", Type.INT16: "H", Type.INT32: "I", Type.INT64: "Q"}
_MOST_ENTRIES, _LARGEST_STORE = 0xFFFF, 256 * 2**20  # rpm's own limits (header.c, hdrchkTags and hdrchkData)
_TEXTS = (Type.STRING, Type.STRING_ARRAY, Type.I18NSTRING)  # rpmbuild writes an array of one as a text, and a text as either
_KINDS: Mapping[int, Mapping[int, Type]] = {region: {tag.number: tag.type for tag in kind} for kind, region in REGION.items()}


# A header structure (rpm's docs/manual/format_header.md), every number big-endian:
#
#   8e ad e8 01 00 00 00 00                             magic, version 1, reserved
#   00 00 00 07  00 00 10 b4                            number of index entries, bytes of the store
#   00 00 00 3e  00 00 00 07  00 00 10 a4  00 00 00 10  index: tag 62 (region), BIN, at 0x10a4 of the store, 16 bytes
#   00 00 01 0d  00 00 00 06  00 00 00 00  00 00 00 01  index: tag 269, STRING, at 0 of the store, one value
#   ...                                                 one index entry a tag, sorted by tag
#   31 30 32 39 33 31 63 64 ...                         store: the values, integers aligned to their own size
#   00 00 00 3e  00 00 00 07  ff ff ff 90  00 00 00 10  store's end: the region's trailer, an index entry whose
#                                                       offset is minus the bytes of the index (7 entries of 16)
def pack(values: Mapping[_T, Value]) -> bytes:
    """Return values as a header structure with its region; a tag whose list is empty is left out.

    Raises ValueError for a NUL in a string and an integer that doesn't fit its type.
    """
    tags = sorted((tag for tag, value in values.items() if value != () and value != []), key=lambda tag: tag.number)
    region = REGION[type(tags[0])]
    index: list[bytes] = []
    store = bytearray()
    for tag in tags:
        data, count = _encode(tag, values[tag])
        if tag.type in _INTEGERS:
            store += bytes(-len(store) % struct.calcsize(_INTEGERS[tag.type]))
        index.append(_INDEX_ENTRY.pack(tag.number, tag.type, len(store), count))
        store += data
    size = _INDEX_ENTRY.size
    index.insert(0, _INDEX_ENTRY.pack(region, Type.BIN, len(store), size))
    store += _INDEX_ENTRY.pack(region, Type.BIN, -len(index) * size, size)
    return b"".join([_MAGIC, struct.pack(">II", len(index), len(store)), *index, store])


def _encode(tag: _AnyTag, value: Value) -> tuple[bytes, int]:
    """Return a value as the store holds it, and the count that its index entry gives."""
    if isinstance(value, bytes):
        return value, len(value)
    items = [value] if isinstance(value, int | str) else list(value)
    if tag.type in _INTEGERS:
        try:
            return struct.pack(f">{len(items)}{_INTEGERS[tag.type]}", *items), len(items)
        except struct.error as error:
            raise ValueError(f"{tag.name}: {error}") from error
    texts = [str(item).encode() for item in items]
    if any(b"\0" in text for text in texts):
        raise ValueError(f"{tag.name}: {value!r} contains a NUL")
    return b"".join(text + b"\0" for text in texts), len(items)


def read(stream: BinaryIO) -> bytes:
    """Return the header structure that comes next in a stream; raises ValueError where there is none, or it is truncated."""
    intro = stream.read(16)
    count, size = _sizes(intro)
    # In blocks: what is told of the size may be more than the file has.
    return b"".join([intro, *blocks(Part(stream, count * _INDEX_ENTRY.size + size, "its header"))])


def _sizes(intro: bytes) -> tuple[int, int]:
    """Return the number of index entries and the bytes of the store."""
    if len(intro) != 16 or intro[:4] != _MAGIC[:4]:
        raise ValueError("an .rpm header is missing")
    count, size = struct.unpack(">II", intro[8:])
    if count > _MOST_ENTRIES or size > _LARGEST_STORE:
        raise ValueError("its header is truncated")
    return count, size


def unpack(data: bytes, start: int, kind: type[_AnyTag]) -> tuple[dict[int, Value], int]:
    """Return the values of the header structure of some tags at ``start``, by the number of the tag, and where it ends.

    Numbers are always lists, I18NSTRINGs are the untranslated text.  Raises ValueError for what is no header, and for one that
    two readers could read in two ways.
    """
    count, size = _sizes(data[start:start + 16])
    store_start = start + 16 + count * _INDEX_ENTRY.size
    end = store_start + size
    if end > len(data):
        raise ValueError("its header is truncated")
    store = _Store(data[store_start:end])
    types = _KINDS[REGION[kind]]
    values: dict[int, Value] = {}
    for index in range(count):
        tag, type_, offset, length = _INDEX_ENTRY.unpack_from(data, start + 16 + index * _INDEX_ENTRY.size)
        if tag in REGION.values():
            continue
        if tag in values:
            raise ValueError(f"its header is damaged: tag {tag} occurs twice")
        expected = types.get(tag, type_)
        if type_ != expected and not (type_ in _TEXTS and expected in _TEXTS):
            raise ValueError(f"its header is damaged: tag {tag} has the type {type_}, not {expected:d}")
        values[tag] = store.value(type_, offset, length)
    return values, end


class _Store:
    """The values of a header; they may not lie over each other, or a small header would hold a large one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = len(data)

    def value(self, kind: int, offset: int, count: int) -> Value:
        """Return the value at an offset."""
        if not 0 <= offset <= len(self._data) or count > len(self._data):
            raise ValueError("its header is damaged")
        if kind in _INTEGERS:
            letter = _INTEGERS[Type(kind)]
            self._take(count * struct.calcsize(letter))
            try:
                return list(struct.unpack_from(f">{count}{letter}", self._data, offset))
            except struct.error:
                raise ValueError("its header is damaged") from None
        if kind == Type.BIN:
            self._take(count)
            return self._data[offset:offset + count]
        if kind not in (Type.STRING, Type.STRING_ARRAY, Type.I18NSTRING):
            raise ValueError(f"its header contains a value of the unknown type {kind}")
        texts = self._texts(offset, count)
        if kind == Type.STRING_ARRAY:
            return texts
        return texts[0] if texts else ""

    def _texts(self, offset: int, count: int) -> list[str]:
        texts = []
        for _ in range(count):
            end = self._data.find(b"\0", offset)
            if end < 0:
                raise ValueError("its header is damaged")
            self._take(end + 1 - offset)
            texts.append(self._data[offset:end].decode("utf-8", "surrogateescape"))
            offset = end + 1
        return texts

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("its header is damaged: values lie over each other")
