"""What Prometheus may rely on of the metrics that a service writes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import metrics as helper
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(helper, "TOLD", str(tmp_path / "told"))
    return helper


def samples(directory: Path) -> dict[str, float]:
    text = (directory / "ondemand-x.prom").read_text()
    return {sample.name + sample.labels.get("le", ""): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def test_wakes_are_counted_and_sorted_by_how_long_they_took(metrics: ModuleType, tmp_path: Path) -> None:
    for seconds in (0.274, 0.09, 2.0, 100.0):
        metrics.Metrics(str(tmp_path)).woken(seconds)  # each start of the unit begins from the file
    found = samples(tmp_path)
    assert found["ondemand_wakes_total"] == found["ondemand_wake_duration_seconds_count"] == 4
    assert found["ondemand_wake_duration_seconds_sum"] == pytest.approx(102.364)
    assert [found[f"ondemand_wake_duration_seconds_bucket{bound}"] for bound in metrics.BUCKETS] == [1, 1, 2, 2, 3, 3, 3, 3, 3, 4]
    assert found["ondemand_awake"] == 1 and found["ondemand_last_wake_duration_seconds"] == 100


def test_failures_are_counted_and_a_wake_ends_their_row(metrics: ModuleType, tmp_path: Path) -> None:
    metrics.Metrics(str(tmp_path)).ended(1)
    metrics.Metrics(str(tmp_path)).ended(2)
    assert samples(tmp_path)["ondemand_consecutive_wake_failures"] == samples(tmp_path)["ondemand_wake_failures_total"] == 2
    metrics.Metrics(str(tmp_path)).woken(1)
    assert samples(tmp_path)["ondemand_consecutive_wake_failures"] == 0
    metrics.Metrics(str(tmp_path)).ended(0)
    found = samples(tmp_path)
    assert (found["ondemand_awake"], found["ondemand_wakes_total"], found["ondemand_wake_failures_total"]) == (0, 1, 2)


def test_connections_are_told_only_where_they_are_known(metrics: ModuleType, tmp_path: Path) -> None:
    file = metrics.Metrics(str(tmp_path))
    file.woken(1)
    file.ended(0)
    assert "ondemand_connections" not in samples(tmp_path)
    file.connected(3)
    assert samples(tmp_path)["ondemand_connections"] == 3
    file.ended(0)
    assert samples(tmp_path)["ondemand_connections"] == 0


def test_a_service_that_was_never_woken_claims_nothing(metrics: ModuleType, tmp_path: Path) -> None:
    metrics.Metrics(str(tmp_path)).ended(1)
    assert not {"ondemand_last_wake_duration_seconds", "ondemand_last_wake_timestamp_seconds"} & set(samples(tmp_path))


@pytest.mark.parametrize("text", ["", "\0", "rubbish\n", 'ondemand_wakes_total{name="x"} 1.2.3\n',
                                  'ondemand_wakes_total{name="x"} e\n'])
def test_a_file_that_can_not_be_read_is_replaced(metrics: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "ondemand-x.prom").write_text(text)
    metrics.Metrics(str(tmp_path)).woken(1)
    assert samples(tmp_path)["ondemand_wakes_total"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ondemand-x.prom"], "nothing else is left"


def test_the_exporter_may_read_the_file(metrics: ModuleType, tmp_path: Path) -> None:
    metrics.Metrics(str(tmp_path)).woken(1)
    assert (tmp_path / "ondemand-x.prom").stat().st_mode & 0o777 == 0o644


def test_a_directory_that_is_not_there_is_told_once(
    metrics: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(2):
        metrics.Metrics(str(tmp_path / "missing")).woken(1)
    assert capsys.readouterr().err == (
        f"ondemand-x: can't write the metrics: {tmp_path}/missing/ondemand-x.prom: No such file or directory; install the node "
        "exporter's package, which creates the directory, or declare another one with the key 'metrics'\n")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_label_is_read_as_it_was_meant(name: str) -> None:
    text = helper.text(name, helper.Metrics("/nowhere").values)
    read = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert read and {sample.labels["name"] for sample in read} == {name}


_NUMBERS = st.integers(0, 10**9) | st.floats(0, 1e9)


@given(st.lists(_NUMBERS, min_size=5, max_size=5), st.lists(_NUMBERS, min_size=10, max_size=10))
def test_what_is_written_is_read_again(numbers: list[float], buckets: list[float]) -> None:
    values = dict(helper.Metrics("/nowhere").values)
    plain = [key for key in values if isinstance(key, str)]
    values.update(zip(plain, numbers, strict=True))
    values.update(((helper.DURATION + "_bucket", bound), count) for bound, count in zip(helper.BUCKETS, buckets, strict=True))
    again = helper.parsed(helper.text("x", values))
    assert again.keys() == values.keys() and all(math.isclose(again[key], values[key], rel_tol=1e-12) for key in values)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"),
                                  lambda path: path.symlink_to(path), lambda path: path.write_bytes(b"\xff" * 10**6)])
@pytest.mark.parametrize("name", ["ondemand-x.prom", "ondemand-x.prom.new"])
def test_what_the_directorys_owner_puts_there_holds_nothing_up(
    metrics: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], object], name: str,
) -> None:
    place = tmp_path / "metrics"
    place.mkdir()
    make(place / name)
    file = helper.Metrics(str(place))
    file.woken(1)
    if (place / name).is_dir():
        assert "can't write the metrics: " in capfd.readouterr().err
    else:
        assert samples(place)["ondemand_wakes_total"] == 1 and not (place / "ondemand-x.prom.new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user; run as root")
def test_numbers_that_somebody_else_has_written_are_not_ours(metrics: ModuleType, tmp_path: Path) -> None:
    helper.Metrics(str(tmp_path)).woken(1)
    os.chown(tmp_path / "ondemand-x.prom", 65534, -1)
    helper.Metrics(str(tmp_path)).woken(1)
    assert samples(tmp_path)["ondemand_wakes_total"] == 1
