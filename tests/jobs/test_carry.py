"""How a job travels to its worker, and what is said when it can't."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from h5daq.errors import JobError
from h5daq.jobs import DAQJob
from h5daq.jobs.carry import changed_variables, pack, unpack


def moved(getter: Callable[..., Any], **arguments: Any) -> DAQJob:
    job = unpack(pack("tank", DAQJob("tank", "x", getter, **arguments)))
    assert isinstance(job, DAQJob)
    return job


def test_lambdas_and_closures_travel() -> None:
    offset = 41
    assert moved(lambda: offset + 1).read()["x"] == 42.0


def test_what_is_called_in_the_daemons_process_stays_there() -> None:
    lock = threading.Lock()
    job = moved(lambda: 1, handle_error_function=lambda: lock.acquire())
    assert job.handle_error_function is None


def test_the_culprit_the_job_and_the_way_out_are_named() -> None:
    port = threading.Lock()
    with pytest.raises(JobError) as caught:
        moved(lambda: port.locked())
    text = str(caught.value)
    assert "job tank: 'port' (_thread.lock) in getter" in text
    assert "getter_args" in text


def test_a_culprit_inside_an_object_is_found() -> None:
    class Instrument:
        def __init__(self) -> None:
            self.connection = socket.socket()

        def read(self) -> int:
            return 1

    instrument = Instrument()
    with instrument.connection, pytest.raises(JobError, match=r"'connection' \(socket.socket\)"):
        moved(instrument.read)


def test_an_open_file_is_refused_though_its_text_could_travel(tmp_path: Path) -> None:
    path = tmp_path / "sensor"
    path.write_text("1.5")
    with path.open() as sensor, pytest.raises(JobError, match=r"'sensor'.* open file"):
        moved(lambda: float(sensor.read()))


def test_a_culprit_among_the_arguments_is_found() -> None:
    with pytest.raises(JobError, match=r"'lock'.* in getter_args"):
        moved(dict, getter_args={"lock": threading.Lock()})


def test_a_job_whose_module_is_missing_there_says_so() -> None:
    with pytest.raises(JobError, match="no_such_module"):
        unpack(b"cno_such_module\nname\n.")


def test_assigning_to_the_scripts_variables_is_seen_and_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    n = 0

    def count() -> int:
        nonlocal n
        n += 1
        return n

    assert changed_variables(count) == ["n"]
    with caplog.at_level(logging.WARNING):
        moved(count)
    assert "its own copy" in caplog.text
    assert changed_variables(lambda: n) == []
