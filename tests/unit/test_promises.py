"""The page on engines says which promise holds on which engine; each yes is a test on booted hosts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documentation import DOCS

HOSTS = Path(__file__).parents[1] / "hosts"
COLUMNS = ("Docker", "Podman", "systemd", "adopted unit", "adopted container", "adopted Compose project")
LAST = "does not apply"
# By promise, for each column: the test, as FILE:NAME without test_, or why there is none.
PROMISES: dict[str, tuple[str, str, str, str, str, str]] = {
    "a connection wakes it, `idle` puts it to sleep": (
        "relay:without_traffic_the_container_is_put_to_sleep_and_nothing_has_failed",
        "podman:a_connection_wakes_the_container_and_idle_puts_it_to_sleep",
        "systemd:a_connection_starts_the_image_and_idle_stops_it_without_an_engine",
        "adopt:the_first_connection_starts_the_unit_and_without_traffic_it_is_stopped",
        "adopt_container:the_first_connection_starts_it_and_without_traffic_it_is_stopped",
        "adopt_compose:a_connection_starts_everything_in_its_order_with_its_conditions"),
    "clients that come at once during the start are all answered": (
        "relay:a_thousand_clients_and_more_of_a_cold_start_are_all_answered", "podman:a_herd_is_answered",
        "not tested", "adopt:clients_that_come_during_the_start_are_all_answered",
        "adopt_container:clients_that_come_during_the_start_are_all_answered", "not tested"),
    "it sleeps paused, and the next client resumes it": (
        "wake:an_idle_container_is_paused_and_every_client_of_its_wake_is_answered",
        "podman:an_idle_container_is_paused_and_resumed_in_no_time", "systemd:a_paused_image_goes_on_with_the_next_client",
        "adopt:paused_it_sleeps_with_its_memory_and_is_resumed_by_a_client",
        "adopt_container:paused_it_is_resumed_by_a_client_and_by_the_removal",
        "adopt_compose:paused_all_of_it_sleeps_and_is_resumed_by_a_client_and_by_the_removal"),
    "a start that fails rejects its clients and says why": (
        "wake:a_failing_start_turns_500_clients_away_tells_why_and_heals_by_itself",
        "podman:a_failing_container_is_told_with_its_last_words",
        "systemd:a_server_that_ends_at_once_is_a_failed_start_with_its_last_words",
        "adopt:a_unit_that_is_not_there_is_told_at_the_installation_and_at_the_wake",
        "adopt_container:one_that_was_removed_fails_the_wake_and_one_of_that_name_serves_the_next",
        "adopt_compose:a_condition_that_fails_fails_the_wake_with_the_reason"),
    "what was ended, removed or made again behind its back wakes again": (
        "life:a_container_that_was_removed_comes_back_with_its_volumes",
        "podman:a_container_that_was_removed_is_there_again_at_the_next_wake", "not tested",
        "adopt:killed_by_hand_it_is_started_again_by_the_next_client",
        "adopt_container:made_again_behind_the_package_it_is_found_at_the_next_wake",
        "adopt_compose:recreated_by_compose_behind_the_package_it_is_found_asleep_and_awake"),
    "`NAME.env` takes effect at the next wake": (
        "wake:an_edited_environment_takes_effect_at_the_next_wake_and_its_clients_are_held",
        "podman:the_administrators_values_take_effect_at_the_next_wake_and_the_previous_container_is_kept",
        "systemd:the_administrators_variables_come_with_the_next_wake_and_only_root_reads_them", LAST, LAST, LAST),
    "an upgrade brings the new one and keeps the previous one; a downgrade brings that back": (
        "life:going_back_brings_the_container_from_before_back",
        "podman:the_administrators_values_take_effect_at_the_next_wake_and_the_previous_container_is_kept",
        "systemd:an_upgrade_while_awake_brings_the_new_image_and_a_downgrade_the_old_one", LAST, LAST, LAST),
    "an upgrade of the package alone leaves what is awake as it is": (
        "life:an_upgrade_that_changes_nothing_of_the_container_leaves_it_and_refuses_no_client",
        "applications:an_upgrade_that_changes_nothing_leaves_the_sockets_and_what_is_awake", "not tested",
        "adopt:an_upgrade_leaves_it_running_and_a_removal_leaves_it_as_it_is", "not tested", "not tested"),
    "a prune of everything loses no data": (
        "volumes:new_volumes_outlive_a_prune_and_a_removal", "podman:a_prune_of_everything_loses_no_data", LAST, LAST,
        LAST, LAST),
    "the engine's service is stopped, killed or restarted while it is awake": (
        "wake:containers_that_outlive_their_engine_go_on_serving_and_sleep_and_wake_under_the_next_one",
        "podman:a_service_that_is_gone_is_no_reason_to_leave_the_container_running", LAST, LAST, "not tested", "not tested"),
    "it listens and wakes after a reboot": (
        "wake:after_a_reboot_a_container_that_slept_paused_sleeps_again_and_wakes_again",
        "podman:it_listens_and_wakes_after_a_reboot",
        "systemd:a_reboot_and_a_broken_off_installation_do_no_harm_and_a_removal_leaves_nothing", "not tested", "not tested",
        "not tested"),
    "removal and purge leave what the [lifecycle](lifecycle.md) says, and nothing else": (
        "life:a_purge_leaves_no_trace", "podman:a_purge_leaves_the_volumes_and_nothing_else",
        "systemd:a_reboot_and_a_broken_off_installation_do_no_harm_and_a_removal_leaves_nothing",
        "adopt:an_upgrade_leaves_it_running_and_a_removal_leaves_it_as_it_is", "adopt_container:a_removal_leaves_it_as_it_is",
        "adopt_compose:paused_all_of_it_sleeps_and_is_resumed_by_a_client_and_by_the_removal"),
    "the package brings its image (`bundle`)": (
        "images:a_package_that_carries_its_image_needs_no_registry", "podman:declarations_and_bundles_are_made_by_podman_too",
        "systemd:a_connection_starts_the_image_and_idle_stops_it_without_an_engine", LAST, LAST, LAST),
    "datagrams wake it": (
        "datagrams:the_first_datagram_wakes_and_is_answered", "podman:datagrams_wake_and_a_herd_of_them_is_answered",
        "not tested", "not tested", "not tested", "not tested"),
    "`path = \"kernel\"`": (
        "kernel_path:the_server_sees_its_clients_and_the_relay_has_the_first_connection",
        "kernel_beside_others:podman_hosts_serve_it_as_docker_hosts_do", "not supported", "not supported", "not supported",
        "not supported"),
    "containers of an application reach and wake each other": (
        "applications:a_connection_wakes_what_it_reaches_and_nothing_else",
        "applications:a_connection_wakes_what_it_reaches_and_nothing_else", "not supported", LAST, LAST, LAST),
    "companions and tasks": (
        "companions:a_companion_runs_while_one_of_its_services_is_awake",
        "companions:a_companion_runs_while_one_of_its_services_is_awake", "not supported", "not tested", "not tested",
        "not tested"),
    "`network_of`": (
        "network_of:everything_goes_through_the_tunnel_while_the_gateway_runs",
        "network_of:everything_goes_through_the_tunnel_while_the_gateway_runs", "not supported", LAST, LAST, LAST),
    "`excludes`": (
        "excludes:one_in_use_is_waited_for_and_all_clients_are_answered",
        "excludes:one_in_use_is_waited_for_and_all_clients_are_answered", "not supported", "not supported", "not supported",
        "not supported"),
}


def table() -> str:
    """Return the table of the page."""
    rows = [["", *COLUMNS], ["---"] * (1 + len(COLUMNS)),
            *([promise, *("yes" if ":" in cell else cell for cell in cells)] for promise, cells in PROMISES.items())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("|  |", "| |")


def test_the_page_says_what_is_tested() -> None:
    section = (DOCS / "engines.md").read_text(encoding="utf-8").partition("\n## Which promise is tested where\n")[2]
    assert table() in section


@pytest.mark.parametrize("test", sorted({cell for cells in PROMISES.values() for cell in cells if ":" in cell}))
def test_each_yes_is_a_test_on_booted_hosts(test: str) -> None:
    file, _, name = test.partition(":")
    assert re.search(rf"^def test_{name}\(", (HOSTS / f"test_{file}.py").read_text(encoding="utf-8"), re.MULTILINE)


def test_where_one_test_stands_for_two_engines_it_runs_on_hosts_of_both() -> None:
    for cells in PROMISES.values():
        if cells[0] == cells[1]:
            text = (HOSTS / f"test_{cells[0].partition(':')[0]}.py").read_text(encoding="utf-8")
            assert re.search(r'params=\[.*"[a-z]+\+podman"', text), cells[0]
