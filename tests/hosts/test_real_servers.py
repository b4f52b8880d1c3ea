"""Servers as Debian ships them, woken and then loaded through the relay by their own clients and benchmarks."""

from __future__ import annotations

import pytest

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.web]
image   = "nginx:1.27"
ports   = ["80:80"]
idle    = "1s"

[container.cache]
image   = "many:1"
ports   = ["6379:6379"]
command = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"]
idle    = "1s"

[container.db]
image   = "many:1"
ports   = ["5432:5432"]
user    = "postgres"
command = ["sh", "-c", '''
echo 'host all all all trust' >/tmp/hba
exec /usr/lib/postgresql/*/bin/postgres -D /var/lib/postgresql/*/main -c config_file=/etc/postgresql/15/main/postgresql.conf \\
    -c hba_file=/tmp/hba -c listen_addresses='*' -c unix_socket_directories= -c ssl=off''']
ready   = { exec = ["pg_isready", "--host=127.0.0.1"] }     # it listens before it lets anyone in
idle    = "1s"
create_args = ["--stop-signal=SIGINT"]      # SIGTERM would wait for the clients

[container.memory]
image   = "many:1"
ports   = ["11211:11211", "/run/memory.sock:11211"]
command = ["memcached", "-u", "nobody", "-l", "0.0.0.0"]
idle    = "1s"

[container.shell]
image   = "many:1"
ports   = ["22:22"]
command = ["sh", "-c", '''
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -o AuthorizedKeysFile=/etc/ssh/ssh_host_ed25519_key.pub -o StrictModes=no -o MaxStartups=200''']
idle    = "1s"

[container.talk]
image   = "many:1"
ports   = ["8765:8765"]
command = ["python3", "-u", "-c", '''
import asyncio, signal, websockets
async def echo(client):
    async for message in client:
        await client.send(message)
async def main():
    async with websockets.serve(echo, "", 8765):
        await stopped.wait()
stopped = asyncio.Event()
loop = asyncio.new_event_loop()
loop.add_signal_handler(signal.SIGTERM, stopped.set)
loop.run_until_complete(main())''']
idle    = "1s"

[container.six]
image       = "many:1"
ports       = ["6380:6379"]
command     = ["redis-server", "--bind", "::", "--protected-mode", "no"]
create_args = ["--network=six"]
idle        = "1s"
"""
SAY = """
import asyncio, websockets
async def say(number):
    async with websockets.connect("ws://127.0.0.1:8765") as server:
        for size in (1, 1000, 100_000):
            message = str(number) * size
            await server.send(message)
            assert await server.recv() == message
async def main():
    await asyncio.gather(*(say(number) for number in range(50)))
asyncio.run(main())
print("all echoed")
"""
SSH = "ssh -q -o StrictHostKeyChecking=no -i /etc/ssh/ssh_host_ed25519_key root@127.0.0.1 "


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    host.import_image("many:1")
    host.run("docker", "network", "create", "--ipv6", "--subnet=fd00:6::/64", "six")
    packages = built(tmp_path_factory.mktemp("real-servers"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    host.run("docker", "run", "--detach", "--name", "clients", "--network=host", "many:1", "sleep", "infinity")
    return host


def client(machine: Machine, script: str) -> str:
    """Run a client beside the host's own programs; return all that it said."""
    return machine.run("docker", "exec", "clients", "sh", "-c", f"exec 2>&1; {script}").stdout


def awake(machine: Machine, name: str) -> bool:
    return bool(machine.inspect(f"ondemand-{name}")["State"]["Running"])


def until_asleep(machine: Machine, name: str) -> None:
    machine.sh(f"until [ $(systemctl is-active ondemand-{name}-container) = inactive ]; do sleep 0.05; done", timeout=60)
    assert not awake(machine, name)


def test_nginx_under_wrk_from_asleep(site: Machine) -> None:
    until_asleep(site, "web")
    said = client(site, "wrk --threads 1 --connections 100 --duration 2s http://127.0.0.1/")
    assert "Requests/sec" in said and "Socket errors" not in said and "Non-2xx" not in said
    until_asleep(site, "web")


def test_redis_under_its_own_benchmark_from_asleep(site: Machine) -> None:
    until_asleep(site, "cache")
    said = client(site, "redis-benchmark --csv -n 2000 -c 50 -t ping,set,get,lpush,lrange_100,mset")
    assert '"GET"' in said and '"LRANGE_100' in said and "rror" not in said
    assert client(site, "redis-cli set here yes") == "OK\n"
    until_asleep(site, "cache")
    assert client(site, "redis-cli get here") == "yes\n", "it was saved by an orderly stop"


def test_postgresql_under_pgbench_from_asleep(site: Machine) -> None:
    until_asleep(site, "db")
    pgbench = "pgbench --host=127.0.0.1 --username=postgres"
    client(site, f"{pgbench} --initialize --quiet postgres")
    until_asleep(site, "db")
    said = client(site, f"{pgbench} --connect --client 10 --transactions 20 --no-vacuum postgres")
    assert "number of transactions actually processed: 200/200" in said
    until_asleep(site, "db")
    answer = client(site, "psql -h 127.0.0.1 -U postgres -At -c 'select count(*) from pgbench_history'")
    assert answer == "200\n"


def test_memcached_under_memcslap_from_asleep(site: Machine) -> None:
    until_asleep(site, "memory")
    said = client(site, "memcslap --servers=127.0.0.1 --concurrency=20 --execute-number=100 --test=set")
    assert "Time to set            2000 keys by   20 threads" in said
    assert client(site, "memccapable -h 127.0.0.1 -a").endswith("All tests passed\n")
    until_asleep(site, "memory")
    assert "STAT pid" in site.sh(r"printf 'stats\r\nquit\r\n' | nc -U /run/memory.sock")


def test_ssh_from_asleep(site: Machine) -> None:
    until_asleep(site, "shell")
    assert client(site, SSH + "hostname").strip() == site.inspect("ondemand-shell")["Config"]["Hostname"]
    until_asleep(site, "shell")
    assert client(site, f"head -c 30000000 /dev/urandom >/tmp/sent; {SSH} sha256sum </tmp/sent").split()[0] == (
        client(site, "sha256sum </tmp/sent").split()[0])


def test_a_websocket_from_asleep(site: Machine) -> None:
    until_asleep(site, "talk")
    assert site.run("docker", "exec", "clients", "python3", "-c", SAY).stdout == "all echoed\n"


def test_a_server_that_listens_on_ipv6_only_from_asleep(site: Machine) -> None:
    until_asleep(site, "six")
    said = client(site, "redis-benchmark --csv -p 6380 -n 2000 -c 50 -t set,get")
    assert '"GET"' in said and "rror" not in said
