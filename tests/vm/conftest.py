"""One fresh virtual machine for each module, and packages for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hosts.conftest import built
from requirements import need

from .machine import QEMU, VirtualMachine
from .roots import thawed


def machine_of(name: str) -> object:
    """Return a fixture: a machine of a flavour, as it was when that was made."""
    @pytest.fixture(scope="module")
    def machine() -> Iterator[VirtualMachine]:
        need(QEMU, "mmdebstrap", "mke2fs", root=True)
        with thawed(name) as found:
            yield found

    return machine


Install = Callable[[VirtualMachine, str], None]


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Build a declaration and install what it declares on a machine."""
    def install(machine: VirtualMachine, text: str) -> None:
        found = built(tmp_path_factory.mktemp("built"), text)
        machine.install(*(path for key, path in found.items() if key.startswith("deb/")))

    return install
