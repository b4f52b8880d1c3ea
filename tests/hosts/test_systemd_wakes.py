"""What administrators may rely on where an image that systemd runs is woken again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from .conftest import TOOLS
from .machine import fresh
from .managers import Manager
from .test_systemd import Builder

WAKES = 200
# What a wake may leave behind, a line a thing; the kernel numbers what it makes, so that names are without numbers.
LEFT = r"""
ps -e -o comm= | grep -v '^kworker\|^ps$\|^sh$\|^grep$\|^sort$\|^sed$' | sort
grep -v ' /run/host/' /proc/self/mountinfo | sed 's/^[0-9]* [0-9]* [0-9:]*//' | sort
ip -o link | sed 's/^[0-9]*: //' | sort; ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort; ip netns list
find /proc/[0-9]*/ns -printf '%l\n' 2>/dev/null | sort -u | sed 's/:.*//' | uniq -c
find /run /tmp /var/tmp /var/lib/ondemand -not -path '/run/systemd/journal/streams/*' -not -path '/run/log/*' \
    -not -path '*/root/*' 2>/dev/null | sort
ls /proc/1/fd | wc -l
"""


@pytest.fixture
def manager() -> Iterator[Manager]:
    need(*TOOLS, root=True)
    with fresh("trixie") as machine:
        yield Manager(machine, "deb")


# Wakes with a client and puts to sleep, as often as is said.
WAKE = """
for try in $(seq COUNT); do
    [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 60 http://127.0.0.1:8001/)" = 200 ] || exit 1
    systemctl stop ondemand-web-container.service
    while systemctl list-units --no-legend --state=active,activating,deactivating ondemand-web-container.service \\
        ondemand-web.service ondemand-image@web.service | grep -q .; do sleep 0.02; done
done
"""


def test_two_hundred_wakes_and_sleeps_leave_no_more_than_one(manager: Manager, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    machine = manager.machine
    monkeypatch.setenv("DOCKER_HOST", f"unix:///proc/{machine.leader}/root/run/docker.sock")
    manager.install(Builder(tmp_path, "nginx:1.27")('volumes = ["logs:/var/log/nginx"]'))

    machine.sh(WAKE.replace("COUNT", "1"))
    before, errors = machine.sh(LEFT), machine.sh("journalctl --no-pager -o cat -p err | sort")
    machine.sh(WAKE.replace("COUNT", str(WAKES - 1)), timeout=1500)
    assert machine.sh(LEFT) == before
    assert machine.sh("journalctl --no-pager -o cat -p err | sort") == errors
