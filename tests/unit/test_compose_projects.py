"""Compose files of well-known projects (tests/data/compose: their structure, written for these tests) become declarations.

Each row says what an administrator looks at: which containers come out, what they listen on, what they need, what is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ondemand_pkg.declaration.reader import read
from ondemand_pkg.importing import draft, origins
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.notes import Note
from ondemand_pkg.model import Container

DATA = Path(__file__).parents[1] / "data/compose"


@dataclass
class Expected:
    """``ports`` by container; ``told`` parts of what is told; ``holds`` by container, values that it has among others."""

    ports: dict[str, list[str]]
    requires: dict[str, list[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    holds: dict[str, list[str]] = field(default_factory=dict)


def exposed(port: int) -> list[str]:
    return [f"exposed {port}"]


PROJECTS = {
    "bookstack": Expected({"bookstack": ["6875:80"], "bookstack-db": exposed(3306)}, {"bookstack": ["bookstack-db"]},
                          ["bookstack_db.name"], {"bookstack-db": ["bookstack_db"]}),
    "drupal": Expected({"drupal": ["8080:80"], "postgres": exposed(5432)}, {}, ["named drupal-var-www-html-modules"]),
    "elastic-kibana": Expected({"es01": ["127.0.0.1:9200:9200", *exposed(9200)], "kibana": ["5601:5601"]}, {"kibana": ["es01"]},
                               [":8: es01.healthcheck.interval, retries"],
                               {"es01": ["--ulimit=memlock=-1:-1", "changeme"], "kibana": ["0.5", "1073741824"]}),
    "example-voting-app": Expected({"vote": ["8080:80"], "redis": exposed(6379), "db": exposed(5432), "worker": []},
                                   {"vote": ["redis"], "worker": ["redis", "db"]},
                                   [":2: vote.build: hosts don't build images", ":3: worker.service: nothing connects to it",
                                    ":6: seed.profiles", ":6: seed: left out"]),
    "ghost": Expected({"ghost": ["8080:2368"], "db": exposed(3306)}, {}, [], {"ghost": ["db"]}),
    "gitea": Expected({"server": ["3000:3000", "222:22"], "db": exposed(5432)}, {"server": ["db"]},
                      [":6: server.container_name", ":8: server.networks", ":9: server.volumes ./gitea"]),
    "gitlab": Expected({"gitlab": ["80:80", "443:443", "2424:22"]}, {}, [":10: $GITLAB_HOME: it is not set"],
                       {"gitlab": ["--hostname=gitlab.example.com", "--shm-size=256m"]}),
    "grafana-prometheus": Expected({"prometheus": ["9090:9090"], "grafana": ["3000:3000"]}, {}, [], {
        "grafana": ["472"], "prometheus": ["compose_prom_data", "--config.file=/etc/prometheus/prometheus.yml"]}),
    "home-assistant": Expected({"homeassistant": ["8123:8123"]}, {}, [":8: homeassistant.network_mode host"],
                               {"homeassistant": ["--privileged"]}),
    "immich": Expected({"immich-server": ["2283:3001"], "redis": exposed(6379), "database": exposed(5432)},
                       {"immich-server": ["redis", "database"]}, [":6: $UPLOAD_LOCATION", ":7: immich-server.env_file .env"],
                       {"database": ['search_path="$user", public, vectors']}),
    "influxdb": Expected({"influxdb2": ["8086:8086"]}, {}, [":6: influxdb2.secrets"],
                         {"influxdb2": ["/run/secrets/influxdb2-admin-password"]}),
    "jellyfin": Expected({"jellyfin": ["8096:8096", "7359:7359/udp"]}, {}, [], {
        "jellyfin": ["1000:1000", "--device=/dev/dri/renderD128:/dev/dri/renderD128", "--group-add=122",
                     "--add-host=host.docker.internal:host-gateway", "ro"]}),
    "keycloak": Expected({"postgres": exposed(5432), "keycloak": ["8080:8080"]}, {"keycloak": ["postgres"]}, [],
                         {"postgres": ["keycloak", "password"], "keycloak": ["start-dev"]}),
    "matomo": Expected({"db": exposed(3306), "app": ["8080:80"]}, {}, [":7: db.env_file ./db.env"], {"db": ["Z"]}),
    "mattermost": Expected({"postgres": exposed(5432), "mattermost": ["8065:8065", "8443:8443/udp", "8443:8443"]},
                           {"mattermost": ["postgres"]},
                           [":8: postgres.environment.TZ"],
                           {"postgres": ["/var/run/postgresql", "--pids-limit=100", "True"], "mattermost": ["/tmp"]}),
    "mediawiki": Expected({"mediawiki": ["8080:80"], "database": exposed(3306)}, {"mediawiki": ["database"]}, [],
                          {"database": ["yes"]}),
    "minio": Expected({"minio1": [*exposed(9000), *exposed(9001)], "nginx": ["9000:9000", "9001:9001"]},
                      {"nginx": ["minio1"]}, [],
                      {"minio1": ["--hostname=minio1", "http://minio{1...2}/data{1...2}"]}),
    "mosquitto": Expected({"mosquitto": ["1883:1883", "9001:9001"]}, {}, [], {"mosquitto": ["--interactive", "--tty"]}),
    "n8n": Expected({"n8n": ["5678:5678", *exposed(5678)], "postgres": exposed(5432), "redis": exposed(6379), "n8n-worker": []},
                    {"n8n": ["redis", "postgres"]},
                    [":10: n8n-worker.service: nothing connects to it", ":4: n8n.environment.N8N_ENCRYPTION_KEY"]),
    "nextcloud": Expected({"app": ["127.0.0.1:8080:80"], "db": exposed(3306), "redis": exposed(6379), "cron": []},
                          {"app": ["db", "redis"], "cron": ["db", "redis"]},
                          [":17: cron.service: nothing connects to it"], {"db": ["--log-bin=binlog"]}),
    "nginx-proxy": Expected({"nginx-proxy": ["80:80", "443:443"]}, {}, [":8: acme-companion.volumes_from"]),
    "paperless": Expected({"webserver": ["8000:8000"], "broker": exposed(6379), "db": exposed(5432), "gotenberg": exposed(3000)},
                          {"webserver": ["db", "broker", "gotenberg"]}, []),
    "plausible": Expected(
        {"plausible": ["127.0.0.1:8000:8000"], "plausible-db": exposed(5432), "plausible-events-db": exposed(8123)},
        {"plausible": ["plausible-db", "plausible-events-db"]}, [],
        {"plausible": ["sleep 10 && /entrypoint.sh db createdb && /entrypoint.sh run"]}),
    "portainer": Expected({"portainer": ["8000:8000", "9443:9443"]}, {}, [], {
        "portainer": ["portainer_data", "--security-opt=no-new-privileges:true"]}),
    "postgres-adminer": Expected({"db": exposed(5432), "adminer": ["8080:8080"]}, {"adminer": ["db"]},
                                 [":6: db.healthcheck.interval"], {"db": ["--shm-size=128mb"]}),
    "rabbitmq": Expected({"rabbitmq": ["5672:5672", "15672:15672"]}, {}, [], {"rabbitmq": ["--hostname=rabbit", "90", "3.13"]}),
    "redis": Expected({"cache": ["6379:6379"]}, {}, [":4: cache.restart"], {
        "cache": ["--loglevel", "--ulimit=nofile=65536:65536", "--sysctl=net.core.somaxconn=1024", "compose_cache"]}),
    "registry": Expected({"registry": ["5000:5000"]}, {}, [":6: registry.volumes ./auth"],
                         {"registry": ["--log-opt=max-file=3"]}),
    "traefik": Expected({"reverse-proxy": ["80:80", "8080:8080"]}, {}, [":8: whoami: left out"], {
        "reverse-proxy": ["/var/run/docker.sock"]}),
    "umami": Expected({"umami": ["3000:3000"], "db": exposed(5432)}, {"umami": ["db"]}, [], {"umami": ["--init"]}),
    "vaultwarden": Expected({"vaultwarden": ["11001:80"]}, {}, [], {"vaultwarden": ["/data"]}),
    "wikijs": Expected({"wiki": ["80:3000"], "db": exposed(5432)}, {"wiki": ["db"]}, [],
                       {"wiki": ["5432"], "db": ["--log-driver=none"]}),
    "wordpress": Expected({"wordpress": ["8080:80"], "db": exposed(3306)}, {}, [":4: wordpress.restart"], {
        "wordpress": ["db"], "db": ["compose_db", "8.0"]}),
}


def imported(name: str) -> tuple[list[Draft], list[Note]]:
    return origins.read(str(DATA / f"{name}.yaml"), {})


def told(drafts: list[Draft], notes: list[Note]) -> list[str]:
    return [str(note) for note in [*notes, *(note for one in drafts for note in one.notes)]]


def leaves(value: object) -> set[str]:
    if isinstance(value, dict):
        return {leaf for item in value.values() for leaf in leaves(item)}
    if isinstance(value, tuple | list):
        return {leaf for item in value for leaf in leaves(item)}
    return leaves(vars(value)) if hasattr(value, "__dict__") else {str(value)}


def containers(name: str, tmp_path: Path) -> dict[str, Container]:
    drafts, notes = imported(name)
    path = tmp_path / "imported.toml"
    path.write_text(draft.text(drafts, name, notes), encoding="utf-8")
    return {container.name: container for container in read([str(path)])}


def test_every_project_has_its_row() -> None:
    assert sorted(PROJECTS) == sorted(path.stem for path in DATA.glob("*.yaml")) and len(PROJECTS) >= 30


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_becomes_a_declaration_that_the_reader_takes(name: str, tmp_path: Path) -> None:
    found = containers(name, tmp_path)
    assert {one: sorted([*map(str, container.ports), *(f"exposed {port}" for port in container.expose)])
            for one, container in found.items()} == {
        one: sorted(ports) for one, ports in PROJECTS[name].ports.items()}
    for one, values in PROJECTS[name].holds.items():
        assert set(values) - leaves(found[one]) == set()


@pytest.mark.parametrize("name", PROJECTS)
def test_what_could_not_be_carried_over_is_told_with_its_line(name: str) -> None:
    everything = told(*imported(name))
    for part in PROJECTS[name].told:
        assert [line for line in everything if part in line], (part, everything)


@pytest.mark.parametrize("name", [name for name, expected in PROJECTS.items() if expected.requires])
def test_dependencies_are_carried_over(name: str) -> None:
    for one in imported(name)[0]:
        assert one.values.get("requires", []) == PROJECTS[name].requires.get(one.name, [])
