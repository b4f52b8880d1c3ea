"""The formats as objects that the rest of the builder asks."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

from ondemand_pkg.contents import package_of
from ondemand_pkg.formats import FORMATS, LONGEST_MAGIC, Format, of_content
from ondemand_pkg.model import Container, Port, Resolved, TcpAddress

WEB = Container("web", "web:1", "1.0", (Port(TcpAddress(None, 80), 80),))
EACH = pytest.mark.parametrize("format", FORMATS.values(), ids=str)


@EACH
def test_a_format_stays_the_same_object_in_another_process(format: Format) -> None:
    assert pickle.loads(pickle.dumps(format)) is format and copy.deepcopy(format) is format


@EACH
def test_a_package_is_known_by_how_it_begins_and_says_who_built_it(format: Format) -> None:
    package = package_of.package(Resolved(WEB), format, 0)
    stream = io.BytesIO()
    format.write(package, stream)
    assert of_content(stream.getvalue()[:LONGEST_MAGIC]) is format
    stream.seek(0)
    assert format.built_by(stream) == package.built_by


@pytest.mark.parametrize("start", [b"", b"[container.web]\n", b"!<arch>"])
def test_what_is_no_package_has_no_format(start: bytes) -> None:
    assert of_content(start) is None


@EACH
def test_an_epoch_is_no_part_of_a_file_name(format: Format) -> None:
    assert format.file_name("web", "2:1.0-1", "x") == format.file_name("web", "1.0-1", "x")
