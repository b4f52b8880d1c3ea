"""What people may rely on of containers that reach each other: how it is declared, what packages hold, what hosts make of it."""

from __future__ import annotations

import json
from pathlib import Path

import linked
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondemand_pkg import layout
from ondemand_pkg.checking.findings import findings
from ondemand_pkg.contents import package_of
from ondemand_pkg.contents.declaration_file import as_toml
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.reader import read, read_declared
from ondemand_pkg.errors import DeclarationError
from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.model import Container, Resolved

DB = '[container.db]\nimage = "postgres:16"\nversion = "16.3"\nexpose = ["5432"]\n'
WEB = '[container.web]\nimage = "nginx:1.27"\nversion = "1.0"\nports = ["80:80"]\n'


def declared(directory: Path, text: str) -> list[Container]:
    (directory / "a.toml").write_text(text)
    return read([str(directory / "a.toml")])


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        declared(directory, text)
    return [str(fault).replace(f"{directory}/", "") for fault in error.value.faults]


@pytest.mark.parametrize(("text", "told"), [
    (WEB.replace('ports = ["80:80"]\n', ""), 'a.toml:1: container.web.ports: missing; write ports = ["80:8080"], '
     'expose = ["8080"] for other containers alone, or companion_of = ["web"] where nothing connects to it'),
    (WEB + "expose = [80]\n", 'a.toml:5: container.web.expose[0]: found 80; expected a string, not an integer; write "80"'),
    (WEB + 'expose = ["80", "80/tcp"]\n', 'a.toml:5: container.web.expose[1]: found "80"; it is exposed already; leave it out'),
    (WEB + 'expose = ["53/sctp"]\n', 'a.toml:5: container.web.expose[0]: found "53/sctp"; allowed: "PORT", such as "8080", or '
     '"PORT/udp": a port of the container'),
    (WEB + 'expose = ["0"]\n', 'a.toml:5: container.web.expose[0]: found "0"; allowed: "PORT", such as "8080", or "PORT/udp": a '
     "port of the container"),
    (WEB + 'aliases = ["w"]\n', 'a.toml:5: container.web.aliases: nothing is exposed to other containers; write expose = '
     '["8080"] too, '
     "or leave aliases out"),
    (WEB + 'address = "198.18.0.5"\n', 'a.toml:5: container.web.address: nothing is exposed to other containers; write '
     'expose = ["8080"] too, or leave address out'),
    (WEB + 'expose = ["80"]\naddress = "10.0.0.1"\n', 'a.toml:6: container.web.address: found "10.0.0.1"; allowed: an address of '
     '198.18.0.0/15, such as "198.18.0.5", but for its first and last one'),
    (WEB + 'links = ["DB"]\n', 'a.toml:5: container.web.links[0]: found "DB"; allowed: "NAME" or "NAME:HOST", the declared '
     'name of a '
     'container and what it is called inside, such as "cache:redis"'),
    (WEB + 'links = ["db", "cache:db"]\n', 'a.toml:5: container.web.links: "db" and "cache:db" have one name inside, db; '
     'give one another '
     'name, as in "cache:redis"'),
    (DB + 'allow = ["10.0.0.0/8"]\n', "a.toml:5: container.db.allow: it is about the clients of 'ports'; clients outside the "
     "host can't reach what is exposed; leave it out"),
    (WEB + 'expose = ["80"]\nproxy = "systemd-socket-proxyd"\n', 'a.toml:6: container.web.proxy: "systemd-socket-proxyd" '
     'does not '
     "support 'expose'; leave one of the two keys out"),
    (WEB + 'links = ["other"]\n' + WEB.replace("web", "other").replace("80:80", "81:80"), 'a.toml:5: container.web.links: '
     'found "other"; '
     "the container 'other' does not expose a port; write expose = [\"PORT\"] into [container.other]"),
    (WEB + 'links = ["shop"]\n[stack.shop]\nversion = "1"\n', 'a.toml:5: container.web.links: "shop" is a stack; name the '
     'members that '
     "are to be woken"),
    (DB.replace("expose", 'address = "198.18.0.9"\nexpose') + DB.replace("db", "d2").replace("expose", 'address = '
     '"198.18.0.9"\nexpose'),
     "a.toml:9: container.d2.address: it has the address 198.18.0.9, as the container 'db'; give one of them another one by "
      "hand: "
     'address = "198.18.0.10"'),
], ids=range(15))
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text) == [told]


def test_cycles_links_to_itself_and_unknown_targets_are_no_errors_but_the_last_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(WEB + 'expose = ["80"]\nlinks = ["web", "db", "nowhere"]\n' + DB + 'links = ["web"]\n')
    found = findings(read_declared([str(path)]))
    assert [(one.rule.name, one.finding) for one in found if one.rule.key == "links"] == [
        ("links-unknown", "none of the files declares 'nowhere'")]


def test_what_is_declared_stands_in_the_package_as_it_was_written(tmp_path: Path) -> None:
    text = WEB + 'expose = ["8080"]\naliases = ["front"]\nlinks = ["db", "web:me"]\naddress = "198.19.0.7"\n' + DB
    found = declared(tmp_path, text)
    assert declared(tmp_path, "\n".join(map(as_toml, found))) == found


def files(container: Container) -> dict[str, str]:
    return {entry.path: entry.data.decode() for entry in package_of.package(Resolved(container), DEB, 0).entries
            if not entry.path.endswith(".gz")}


def test_a_package_says_how_others_reach_its_container_and_whom_it_reaches(tmp_path: Path) -> None:
    web, db = declared(tmp_path, WEB + 'links = ["db", "db:store"]\n' + DB + 'aliases = ["database"]\n')
    address = layout.shared_address("db")
    assert files(db)["/usr/libexec/ondemand-db/hosts"] == f"{address} db database\n"
    assert files(web)["/usr/libexec/ondemand-web/links"] == "db\ndb:store\n"
    assert "/usr/libexec/ondemand-web/hosts" not in files(web) and "/usr/libexec/ondemand-db/links" not in files(db)
    assert "/usr/libexec/ondemand-db/network" in files(db) and "/usr/libexec/ondemand-web/network" not in files(web)
    relations = [package_of.package(Resolved(db), format, 0).relations[format.depends] for format in (DEB, RPM)]
    assert "iproute2" in relations[0] and "iproute" in relations[1]
    assert not any("ondemand-db" in relation for relation in package_of.package(Resolved(web), DEB, 0).relations["depends"])


def test_the_label_changes_with_links_and_address_and_diff_says_so(tmp_path: Path) -> None:
    from ondemand_pkg.comparing.difference import compare

    old, new = ([package_of.package(Resolved(one), DEB, 0)] for text in (WEB, WEB + 'expose = ["81"]\nlinks = ["db"]\n')
                for one in declared(tmp_path, text))
    (found,) = compare(old, new)
    assert [str(change) for change in found.container] == [
        f'address: new: "{layout.shared_address("web")}"', 'aliases: new: "[]"', 'links: new: "[\\"db\\"]"',
        '--hostname: new: "web"']
    assert found.restarts_socket


@pytest.mark.parametrize(("more", "options"), [
    ("", ["--hostname=db", "--add-host=database:127.0.0.1"]),
    ('create_args = ["--network=backend"]\n', ["--hostname=db", "--add-host=database:127.0.0.1", "--network=backend"]),
    ('create_args = ["-h", "store"]\n', ["--add-host=db:127.0.0.1", "--add-host=database:127.0.0.1", "-h", "store"]),
    ('create_args = ["--network=host"]\n', ["--add-host=db:127.0.0.1", "--add-host=database:127.0.0.1", "--network=host"])])
def test_by_its_own_names_a_container_reaches_itself_not_the_socket_that_wakes_it(
        tmp_path: Path, more: str, options: list[str]) -> None:
    (db,) = declared(tmp_path, DB + 'aliases = ["database"]\n' + more)
    made_with = json.loads(files(db)["/usr/libexec/ondemand-db/container.json"])["options"]
    assert made_with[-len(options):] == options


def test_a_name_that_is_no_host_name_leads_to_the_containers_loopback(tmp_path: Path) -> None:
    (db,) = declared(tmp_path, DB.replace("container.db", 'container."c++"'))
    assert "--add-host=c++:127.0.0.1" in json.loads(files(db)["/usr/libexec/ondemand-c++/container.json"])["options"]


@pytest.mark.parametrize(("text", "sockets"), [
    (DB, {"ondemand-db.socket"}), (WEB, {"ondemand-web.socket"}),
    (WEB + 'expose = ["80"]\n', {"ondemand-web.socket", "ondemand-net@web.socket"})])
def test_what_is_exposed_is_listened_on_in_a_network_of_its_own(tmp_path: Path, text: str, sockets: set[str]) -> None:
    (container,) = declared(tmp_path, text)
    found = units(container)
    assert {name for name in found if name.endswith(".socket")} == sockets | {container.door_unit}
    for name in sockets:
        of_containers = "NetworkNamespacePath=/run/netns/ondemand" in found[name]
        assert of_containers is (f"ListenStream={container.shared_address}:" in found[name])
        assert of_containers is ("IPAddressAllow=169.254.77.1" in found[name])
        assert ("WantedBy=" in found[name]) is (name == container.socket_unit)
    assert (container.network_unit in found) is bool(container.expose)


def test_a_port_of_datagrams_is_exposed_beside_one_of_connections_with_the_same_number(tmp_path: Path) -> None:
    (container,) = declared(tmp_path, DB.replace('expose = ["5432"]', 'expose = ["53", "53/udp"]'))
    found = units(container)[container.socket_unit]
    assert f"ListenStream={container.shared_address}:53\nListenDatagram={container.shared_address}:53\n" in found
    assert "PassPacketInfo=yes" in found and "/usr/libexec/ondemand-db/carriers/datagrams.py" in files(container)
    assert units(container)[container.container_unit].count(" 53 53/udp\n") == 1
    (container,) = declared(tmp_path, DB.replace('expose = ["5432"]', 'expose = ["53/udp"]\nready = "started"'))
    assert "ListenStream" not in units(container)[container.socket_unit]


def test_a_container_that_exposes_datagrams_alone_says_when_it_is_ready(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="container.db.ready: missing; its default .* all of its ports are of UDP"):
        declared(tmp_path, DB.replace('expose = ["5432"]', 'expose = ["53/udp"]'))


def test_allow_does_not_keep_other_containers_out(tmp_path: Path) -> None:
    (web,) = declared(tmp_path, WEB + 'expose = ["8080"]\nallow = ["10.0.0.0/8"]\n')
    found = units(web)
    assert "IPAddressAllow=10.0.0.0/8\n" in found["ondemand-web.socket"]
    assert "IPAddressAllow=169.254.77.1\n" in found["ondemand-net@web.socket"]
    relay = f"relay --door /run/ondemand.door --allow 10.0.0.0/8 --allow 169.254.77.1 --exposed {web.shared_address} 80\n"
    assert relay in found["ondemand-web.service"]


@given(st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,30}", fullmatch=True))
def test_builder_and_host_agree_on_the_address_that_follows_from_a_name(name: str) -> None:
    assert linked.address_of(name) == layout.shared_address(name)


def test_addresses_do_not_change_from_release_to_release() -> None:
    assert [layout.shared_address(name) for name in ("db", "web", "c++.web-1")] == [
        "198.18.161.174", "198.18.163.85", "198.18.33.46"]


def installed(libexec: Path, name: str, hosts: str = "", links: str = "") -> str:
    directory = libexec / f"ondemand-{name}"
    directory.mkdir()
    for file, text in (("hosts", hosts), ("links", links)):
        if text:
            (directory / file).write_text(text)
    return str(directory)


def test_names_lead_where_the_installed_packages_say_and_else_where_the_name_says(tmp_path: Path) -> None:
    web = installed(tmp_path, "web", "198.18.0.1 web front\n", "db\ndb:store\ngone\nweb\nweb:me\n")
    assert linked.hosts(web) == [f"db:{layout.shared_address('db')}", f"gone:{layout.shared_address('gone')}",
                                 "me:127.0.0.1", f"store:{layout.shared_address('db')}"]
    installed(tmp_path, "db", "198.18.0.2 db database\n")
    assert linked.hosts(web) == ["database:198.18.0.2", "db:198.18.0.2", f"gone:{layout.shared_address('gone')}",
                                 "me:127.0.0.1", "store:198.18.0.2"]
    assert linked.hosts(installed(tmp_path, "plain")) == []


def test_packages_with_one_address_are_found(tmp_path: Path) -> None:
    web = installed(tmp_path, "web", "198.18.0.1 web\n")
    installed(tmp_path, "db", "198.18.0.2 db\n")
    assert linked.clashes(web) == []
    installed(tmp_path, "other", "198.18.0.1 other\n")
    assert linked.clashes(web) == ["other"]


def test_the_shared_range_is_known_alike_on_both_sides() -> None:
    import network

    assert network.RANGE == str(layout.SHARED_RANGE)
    assert (network.PATH, network.HOST) == (layout.SHARED_NAMESPACE, layout.HOST_IN_SHARED)


def test_the_specification_of_old_declarations_has_nothing_of_it(tmp_path: Path) -> None:
    (web,) = declared(tmp_path, WEB)
    assert not {"address", "aliases", "links"} & json.loads(files(web)["/usr/libexec/ondemand-web/container.json"]).keys()


@pytest.mark.parametrize(("address", "is_one"), [
    ("198.18.0.1:80", True), ("198.19.255.254:80", True), ("198.20.0.1:80", False), ("[::]:80", False), ("/run/a:b.sock", False),
    ("@a:1", False), ("", False)])
def test_status_tells_addresses_of_containers_from_those_of_the_host(address: str, is_one: bool) -> None:
    from ondemand_host.sockets import is_of_containers

    assert is_of_containers(address) is is_one


@pytest.mark.parametrize("key", ["pass_socket"])
def test_keys_that_are_not_supported_yet_say_so(tmp_path: Path, key: str) -> None:
    (told,) = faults(tmp_path, f'{WEB}{key} = ["db"]\n')
    assert told.startswith(f"a.toml:5: container.web.{key}: not supported yet; ")


def test_what_is_exposed_is_a_port_of_the_service_in_kubernetes(tmp_path: Path) -> None:
    from ondemand_pkg.exporting import kubernetes

    (tmp_path / "a.toml").write_text(DB + 'aliases = ["database"]\n' + WEB + 'expose = ["80", "81"]\nlinks = ["db"]\n')
    objects, losses = kubernetes.objects(read_declared([str(tmp_path / "a.toml")]), False)
    services = [one for one in objects if one["kind"] == "Service"]
    ports = {one["metadata"]["name"]: [port["port"] for port in one["spec"]["ports"]] for one in services}
    assert ports == {"db": [5432], "web": [80, 81]}
    told = [str(loss) for loss in losses]
    assert any("aliases" in text and "ExternalName" in text for text in told) and any("links" in text for text in told)
