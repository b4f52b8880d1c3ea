"""Names and paths that the builder and the helpers on hosts agree on."""

from __future__ import annotations

import dataclasses

import names
import pytest

from ondemand_pkg import layout
from ondemand_pkg.contents.units import units
from ondemand_pkg.model import Container, Port, TcpAddress, UnixAddress

WEB = Container("c++.web-1", "web:1", "1.0", (Port(TcpAddress(None, 80), 80), Port(UnixAddress("/run/web.sock"), 80)))


@pytest.mark.parametrize("name", ["web", "c++.web-1", "a+"])
def test_builder_and_helpers_give_units_the_same_name(name: str) -> None:
    assert layout.unit_stem(name) == names.units_of(name)


def test_the_addresses_of_a_socket_unit_are_read_back() -> None:
    text = units(WEB)[WEB.socket_unit]
    assert layout.listen_addresses(text) == ["80", "/run/web.sock"]
    assert layout.listen_addresses(units(dataclasses.replace(WEB, ports=WEB.ports[:1]))[WEB.socket_unit]) == ["80"]
