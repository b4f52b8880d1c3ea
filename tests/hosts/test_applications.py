"""Whole applications: containers that reach each other by name, each asleep until somebody connects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from requirements import need

from ondemand_pkg import layout

from .conftest import TOOLS, built
from .machine import Machine, fresh
from .managers import Manager
from .roots import ENDS

# Answers on every port of $PORTS with its name, and in brackets what each NAME:PORT of its arguments answers; on the port $UDP,
# with its name behind the datagram that came.
PROGRAM = r"""
import os, resource, signal, socket, sys, threading
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def ask(place):
    if place.startswith("udp:"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(60)
            _, host, port = place.split(":")
            peer.connect((host, int(port)))
            peer.send(b"for ")
            return peer.recv(512).decode()
    with socket.create_connection(place.split(":"), timeout=60) as peer:
        peer.sendall(b"GET /last HTTP/1.0\r\n\r\n")
        return peer.makefile("rb").read().decode().split("\r\n\r\n")[1]
def answer(connection):
    with connection:
        request = connection.recv(65536)
        asked = [] if b"/last" in request or not request else sys.argv[1:]  # nothing: it was only looked whether it listens
        body = os.environ["NAME"] + ("(" + " ".join(map(ask, asked)) + ")" if asked else "")
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body.encode())
def serve(listener):
    while True:
        threading.Thread(target=answer, args=listener.accept()[:1]).start()
def echo(listener):
    while True:
        data, peer = listener.recvfrom(512)
        listener.sendto(data + os.environ["NAME"].encode(), peer)
pool = os.environ.get("POOL") and socket.create_connection(os.environ["POOL"].split(":"), timeout=60)
for port in os.environ.get("PORTS", "80").split():
    threading.Thread(target=serve, args=(socket.create_server(("", int(port)), backlog=4096),)).start()
if os.environ.get("UDP"):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", int(os.environ["UDP"])))
    threading.Thread(target=echo, args=(listener,)).start()
"""


def container(name: str, *asks: str, ports: str = "80", rest: str = "", pool: str = "", udp: str = "") -> str:
    command = ", ".join(f'"{place}"' for place in asks)
    return (f'[container.{name}]\nimage = "servers:1"\nenv = {{ NAME = "{name}", PORTS = "{ports}", POOL = "{pool}", '
            f'UDP = "{udp}" }}\n'
            f"command = [\"-c\", '''{PROGRAM}''', {command}]\n{rest}\n")


# The database and the cache have one port inside; the front publishes the port that it exposes, and knows itself by its name.
SHOP = '[package]\nversion = "1"\n' + "".join([
    container("web", "api:80", "store:80", "web:8080", ports="8080",
              rest='ports = ["8080:8080"]\nexpose = ["8080"]\nlinks = ["api", "cache:store"]'),
    container("api", "database:80", rest='expose = ["80"]\nlinks = ["db"]'),
    container("db", rest='expose = ["80"]\naliases = ["database"]\nidle = "2s"'),
    container("cache", rest='expose = ["80"]\nports = ["127.0.0.1:8081:80"]'),
    container("unused", rest='expose = ["80"]\nlinks = ["web"]'),
    container("asks", "udp:names:53", rest='expose = ["80"]\nlinks = ["names"]'),
    container("names", ports="", udp="53", rest='expose = ["53/udp"]\nidle = "2s"\n'
              'ready = { udp = { send = "20", expect = "206e616d6573" } }'),
    container("pools", pool="db:80", rest='expose = ["80"]\nlinks = ["db"]'),
    '[stack.shop]\n'])
NAMES = ("web", "api", "db", "cache", "unused", "asks", "names", "pools")
WHOLE = "web(api cache web)"
LEFT = "ls /run/netns; ip -brief link show type veth; ip route show 198.18.0.0/15"  # what the network consists of


@pytest.fixture(scope="module", params=[*ENDS, "trixie+podman"])
def host(request: pytest.FixtureRequest) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        yield machine


def packages(directory: Path, text: str = SHOP, kind: str = "deb") -> list[Path]:
    directory.mkdir(exist_ok=True)
    return [path for key, path in built(directory, text).items() if key.startswith(f"{kind}/")]


@pytest.fixture(scope="module")
def shop(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    host.apt_install(*packages(tmp_path_factory.mktemp("shop")))
    return host


def awake(machine: Machine) -> set[str]:
    return set(machine.sh("docker ps --format '{{.Names}}'").replace("ondemand-", "").split())


def asleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'")
    assert awake(machine) == set()


def ask(machine: Machine, url: str = "http://127.0.0.1:8080/") -> str:
    return machine.run("curl", "-sS", "--max-time", "60", url).stdout


def test_a_connection_wakes_what_it_reaches_and_nothing_else(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, "http://127.0.0.1:8080/") == WHOLE
    assert awake(shop) == {"web", "api", "cache"}
    asleep(shop)
    assert ask(shop, f"http://{layout.shared_address('api')}/") == "api(db)"
    assert awake(shop) == {"api", "db"}


def test_a_datagram_from_a_container_wakes_what_it_reaches(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, f"http://{layout.shared_address('asks')}/") == "asks(for names)"
    shop.sh("until [ \"$(docker ps --format '{{.Names}}')\" = ondemand-asks ]; do sleep 0.1; done", timeout=60)


def test_what_nobody_uses_sleeps_again(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, f"http://{layout.shared_address('db')}/") == "db"
    shop.sh("for i in $(seq 100); do docker ps --format '{{.Names}}' | grep -q . || exit 0; sleep 0.2; done; exit 1")


def test_a_connection_that_is_held_open_keeps_awake_what_it_leads_to_and_nothing_longer(shop: Machine) -> None:
    asleep(shop)
    assert ask(shop, f"http://{layout.shared_address('pools')}/") == "pools"
    shop.sh("for i in $(seq 200); do systemctl -q is-active ondemand-db-container && break; sleep 0.1; done; sleep 7")
    assert awake(shop) == {"pools", "db"}
    shop.sh("systemctl stop ondemand-pools-container")
    shop.sh("for i in $(seq 100); do docker ps --format '{{.Names}}' | grep -q . || exit 0; sleep 0.2; done; exit 1")


def test_a_thousand_clients_of_a_sleeping_application_are_all_answered(shop: Machine) -> None:
    asleep(shop)
    assert shop.clients(1000, ("127.0.0.1", 8080)) == ["HTTP/1.0 200 OK"] * 1000


def test_nobody_outside_reaches_or_wakes_anything_whatever_is_routed(shop: Machine) -> None:
    asleep(shop)
    shop.sh("""
        ip netns add outside; ip link add to-outside type veth peer name eth0 netns outside
        ip address add 203.0.113.1/24 dev to-outside; ip link set to-outside up
        ip -n outside address add 203.0.113.2/24 dev eth0; ip -n outside link set eth0 up
        ip -n outside route add default via 203.0.113.1
        sysctl -qw net.ipv4.ip_forward=1
        ! iptables -nL DOCKER-USER || { iptables -I FORWARD -j ACCEPT; iptables -I DOCKER-USER -j ACCEPT; }""")
    try:
        for name in NAMES:
            for port in (80, 8080):
                url = f"http://{layout.shared_address(name)}:{port}/"
                done = shop.run("ip", "netns", "exec", "outside", "curl", "-sS", "--max-time", "1", url, check=False)
                assert done.returncode != 0, url
        ask_by_udp = f"echo for | timeout 1 nc -u {layout.shared_address('names')} 53"
        assert shop.run("ip", "netns", "exec", "outside", "sh", "-c", ask_by_udp, check=False).stdout == ""
        assert awake(shop) == set()
        assert shop.run("ip", "netns", "exec", "outside", "curl", "-sS", "http://203.0.113.1:8080/").stdout == WHOLE
    finally:
        shop.sh("ip netns delete outside; ! iptables -D DOCKER-USER -j ACCEPT || iptables -D FORWARD -j ACCEPT")


def test_an_upgrade_that_changes_nothing_leaves_the_sockets_and_what_is_awake(shop: Machine, tmp_path: Path) -> None:
    ask(shop)
    before = shop.sh("docker inspect --format '{{.State.StartedAt}}' ondemand-web ondemand-api")
    shop.apt_install(*packages(tmp_path / "next", SHOP.replace('version = "1"', 'version = "2"')))
    assert shop.sh("docker inspect --format '{{.State.StartedAt}}' ondemand-web ondemand-api") == before


def test_an_address_set_by_hand_reaches_the_clients_at_their_next_wake(shop: Machine, tmp_path: Path) -> None:
    asleep(shop)
    text = SHOP.replace('version = "1"', 'version = "3"').replace('aliases = [', 'address = "198.19.255.7"\naliases = [')
    (db,) = (path for path in packages(tmp_path / "by-hand", text) if "ondemand-db_" in path.name)
    shop.apt_install(db)
    assert ask(shop, f"http://{layout.shared_address('api')}/") == "api(db)"
    assert "198.19.255.7" in shop.sh("docker inspect --format '{{.HostConfig.ExtraHosts}}' ondemand-api")


def test_one_address_for_two_is_told_at_the_installation_with_the_key(shop: Machine, tmp_path: Path) -> None:
    text = container("other", rest=f'version = "1"\nexpose = ["80"]\naddress = "{layout.shared_address("cache")}"')
    said = shop.apt_install(*packages(tmp_path / "clash", text))
    assert "the address at which other containers reach it is that of cache too; declare another 'address'" in said
    assert f"{layout.shared_address('cache')}:80 is in use by ondemand-net@cache.socket; declare another 'address'" in said
    shop.sh("apt-get -y purge ondemand-other")


@pytest.mark.parametrize("is_awake", [False, True], ids=["asleep", "awake"])
def test_what_listens_changes_with_the_versions_of_a_package(shop: Machine, tmp_path: Path, is_awake: bool) -> None:
    """Ports of the host and for other containers, in every order: they are in networks, and so in units, of their own."""
    ports, expose = 'ports = ["8090:80"]', f'expose = ["80"]\naddress = "198.18.7.{7 + is_awake}"'
    shop_address, name = f"http://198.18.7.{7 + is_awake}/", f"changes{int(is_awake)}"
    for number, (of_host, of_containers) in enumerate([(1, 0), (1, 1), (0, 1), (1, 1), (1, 0), (0, 1), (1, 0)]):
        rest = "\n".join([f'version = "{number}"', ports * of_host, expose * of_containers])
        shop.apt_install(*packages(tmp_path / str(number), container(name, rest=rest)))
        for is_there, url in ((of_host, "http://127.0.0.1:8090/"), (of_containers, shop_address)):
            done = shop.run("curl", "-sS", "--max-time", "30", url, check=False)
            assert (done.stdout, done.returncode == 0) == ((name, True) if is_there else ("", False)), (number, url)
            if not is_awake:
                shop.sh(f"systemctl stop ondemand-{name}-container")
    shop.sh(f"apt-get -y purge ondemand-{name}")


def test_after_a_reboot_everything_is_as_before(shop: Machine) -> None:
    shop.reboot()
    assert awake(shop) == set()
    assert ask(shop) == WHOLE


def test_the_network_goes_with_the_last_package(shop: Machine) -> None:
    shop.sh("apt-get -y purge ondemand-web ondemand-api ondemand-db ondemand-unused ondemand-asks ondemand-names ondemand-pools")
    assert ask(shop, f"http://{layout.shared_address('cache')}/") == "cache"
    shop.sh("apt-get -y purge ondemand-cache")
    assert shop.sh(LEFT + "; ls -A /run/ondemand; systemctl list-units --all --plain --no-legend 'ondemand*'", check=False) == ""


@pytest.mark.parametrize("suite", ["trixie"])
def test_an_application_is_installed_and_removed_by_dnf(suite: str, tmp_path: Path) -> None:
    need(*TOOLS, root=True)
    with fresh(suite) as machine:
        manager = Manager(machine, "rpm")
        manager.install(*packages(tmp_path, kind="rpm"))
        assert ask(machine) == WHOLE
        manager.remove(*(f"ondemand-{name}" for name in NAMES))
        assert machine.sh(LEFT) == ""
