"""This computer's sensors give rows that fit their columns, also where some are missing."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest

from h5daq.instruments import system

KINDS = [system.Cpu, system.CoreTimes, system.Memory, system.DiskSpace, system.Network]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_row_has_one_entry_per_column(kind: Any) -> None:
    getter = kind()
    row = getter()
    getter.close()
    assert row is None or len(row) == len(kind.columns)


class Times(NamedTuple):
    """Times of the processors, with one that is counted twice."""

    user: float
    system: float
    idle: float
    iowait: float
    guest: float


def test_shares_of_the_processor_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(1.0, 2.0, 3.0, 0.0, 9.0), (2.0, 3.0, 9.0, 2.0, 99.0)])

    def cpu_times() -> Any:
        return Times(*next(times))

    monkeypatch.setattr(psutil, "cpu_times", cpu_times)
    cpu = system.Cpu()
    cpu()
    row = cpu()
    assert row is not None
    assert row[:4] == pytest.approx([40, 10, 10, 60])


def test_a_row_is_skipped_when_no_processor_time_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: same)
    cpu = system.Cpu()
    assert cpu() is not None
    assert cpu() is None


def test_a_core_that_was_switched_off_is_nan() -> None:
    there = len(psutil.cpu_times(percpu=True))
    user, _, _ = system.CoreTimes(there + 1)()
    assert len(user) == there + 1
    assert math.isnan(user[-1])


def test_a_computer_that_tells_no_disk_traffic_gives_no_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    assert system.Disk()() is None


def test_temperatures_keep_their_order_and_one_that_has_gone_is_nan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sensors = {"k/10": [SimpleNamespace(label="die", current=41.5)]}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors, raising=False)
    assert system.sensor_names() == ["k-10 0 die"]
    gone, die = system.Temperatures(["fan", "k-10 0 die"])()
    assert math.isnan(gone)
    assert die == 41.5


def test_a_system_without_sensors_has_no_temperatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert system.Temperatures()() == []


def test_the_jobs_of_this_computer_read_checked_rows() -> None:
    made = system.jobs("pc", read_period=2)
    assert {"pc/cpu", "pc/cores", "pc/memory", "pc/space"} <= {job.group for job in made}
    for job in made:
        assert set(job.read()) in ({"time", *job.labels}, set())


def test_the_jobs_have_units_and_meanings() -> None:
    cpu = next(job for job in system.jobs() if job.group == "computer/cpu")
    busy = cpu.schema.columns[1]
    assert (busy.label, busy.unit) == ("busy", "%")
    assert "processor" in busy.description
