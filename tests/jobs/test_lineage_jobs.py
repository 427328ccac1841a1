"""What users of the public H5DAQ lineage know of its jobs, case by case.

Here stands what no other test says. The rest, by case (tests without a file are in this folder):

- J1 test_job_arguments: test_the_old_order_of_arguments_holds, test_the_defaults_lose…
- J2, J3 test_job_arguments: test_a_wrong_argument_is_refused_at_once, test_lists_tuples…,
  test_one_value_is_for_all_labels…, test_the_callers_lists_stay_as_they_are
- J3b test_job_arguments: test_a_getter_that_is_not_callable…; test_readers:
  test_none_and_an_empty…, test_nothing_is_torn_by_a_bad_reading
- J5 test_schedule: test_quick_readings_begin_on_the_grid, test_a_getter_a_little_slower…
- J6 test_readers: test_constant_mode_waits_after_a_failure_and_after_none
- J7 test_readers: test_a_trigger_is_one_reading_each…, test_a_trigger_in_constant_mode_is_warned_of
- J8 test_locks; across processes: tests/processes/test_lineage_daemon.py
- J9 test_readers: test_the_handler_is_asked_for_from_the_limit_on_until_a_good_reading
- J10 test_readers: test_folding_keeps_the_first…, test_nan_equals_nan…; at a rollover and a stop:
  tests/processes/test_lineage_daemon.py
- J11, J12 test_job_arguments: test_extend_mode…, test_a_read_in_extend_mode_gives_arrays; in the
  file: tests/processes/test_lineage_daemon.py
- J13 test_job_arguments: test_under_a_daemon_the_verbs…, test_without_a_daemon_the_way_out…;
  tests/processes/test_daemon.py: test_pause_and_resume…, test_a_trigger_takes_as_many_readings…
- J14 test_extern
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from typing import Any

import pytest

from h5daq.errors import ReadingError
from h5daq.jobs import DAQJob, DAQJobExtern

LINEAGE = (
    "group label getter read_period thread_id shape dtype chunk_length read_mode "
    "constant_read_error_delay error_count_limit handle_error_function compress "
    "initial_buffer_length provide_time extend_mode attrs"
)


def test_j1_the_arguments_have_the_names_and_the_order_of_the_lineage() -> None:
    parameters = inspect.signature(DAQJob).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == LINEAGE.split()


@pytest.mark.parametrize("dtype", ["f8", float, "int32", "<u2", bool, "S8"])
def test_j3_whatever_numpy_reads_as_a_dtype_is_one(dtype: Any) -> None:
    assert DAQJob("a", "b", lambda: 0, dtype=dtype).schema.columns[1].dtype.itemsize > 0


def test_j3b_with_provide_time_the_time_comes_first() -> None:
    row = DAQJob("a", ["b", "c"], lambda: (12.5, 1, 2), provide_time=True).read()
    assert row == {"time": 12.5, "b": 1.0, "c": 2.0}


@pytest.mark.parametrize("result", [0, 0.0, [0], False], ids=repr)
def test_j3b_a_zero_is_a_reading(result: Any) -> None:
    assert DAQJob("a", "b", lambda: result).read()["b"] == 0.0


def test_j4_the_time_is_taken_just_before_the_getter_is_called() -> None:
    called: list[float] = []
    before = time.time()
    row = DAQJob("a", "b", lambda: called.append(time.time()) or 1).read()
    assert before <= row["time"] <= called[0]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns", "UTC"])
def test_j4_the_time_is_utc_in_every_zone(zone: str) -> None:
    script = "import h5daq; print(h5daq.DAQJob('a', 'b', lambda: 1).read()['time'])"
    before = time.time()
    out = subprocess.run([sys.executable, "-c", script], env=_environment(TZ=zone),
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert before <= float(out.stdout) <= time.time()


def _environment(**more: str) -> dict[str, str]:
    import os
    from pathlib import Path

    import h5daq

    return {**os.environ, "PYTHONPATH": str(Path(h5daq.__file__).parents[1]), **more}


def test_j11_arrays_without_a_common_length_are_refused() -> None:
    job = DAQJob("a", "b", lambda: ([1.0, 2.0], [3.0]), extend_mode=True)
    with pytest.raises(ReadingError):
        job.read()


def test_j13_alone_a_job_reads_once_and_keeps_nothing() -> None:
    count = iter(range(9))
    job = DAQJob("a", "b", lambda: next(count))
    assert [job.read()["b"], job.read()["b"]] == [0.0, 1.0]
    assert not job.is_active


def test_j14_the_delimiter_counts_and_arrays_are_flattened() -> None:
    job = DAQJobExtern("a", ["b", "c"], "echo 1;2;3", ";", "#", shape=[(0, 2), (0,)])
    row = job.read()
    assert (row["b"].tolist(), row["c"]) == ([1.0, 2.0], 3.0)
