"""What a job refuses, and what it says then; what it fills in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from h5daq.errors import JobError, JobTypeError, JobValueError, ReadingError
from h5daq.jobs import DAQJob


def getter() -> float:
    return 1.0


def make(label: Any = "T", **arguments: Any) -> DAQJob:
    return DAQJob("tank/inner", label, getter, **arguments)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"label": []}, ValueError),
        ({"label": 3}, TypeError),
        ({"label": ["a", 3]}, TypeError),
        ({"label": "time"}, ValueError),
        ({"label": ["a", "a"]}, ValueError),
        ({"label": "a/b"}, ValueError),
        ({"label": ["a", "b"], "shape": [(0,)]}, ValueError),
        ({"label": ["a", "b"], "dtype": ["f8"] * 3}, ValueError),
        ({"shape": 0}, TypeError),
        ({"shape": [(0,), 0], "label": ["a", "b"]}, TypeError),
        ({"shape": (2, 2)}, ValueError),
        ({"shape": (0, 0)}, ValueError),
        ({"dtype": "no such type"}, TypeError),
        ({"dtype": None}, TypeError),
        ({"dtype": np.longdouble}, TypeError),
        ({"units": 3}, TypeError),
        ({"units": ["K", "K"]}, ValueError),
        ({"read_period": 0}, ValueError),
        ({"read_period": float("nan")}, ValueError),
        ({"read_period": "1"}, TypeError),
        ({"read_mode": "often"}, ValueError),
        ({"read_mode": 1}, TypeError),
        ({"chunk_length": 0}, ValueError),
        ({"chunk_length": 1.5}, TypeError),
        ({"error_count_limit": -1}, ValueError),
        ({"constant_read_error_delay": -1}, ValueError),
        ({"handle_error_function": 3}, TypeError),
        ({"thread_id": 1.5}, TypeError),
        ({"attrs": [1]}, TypeError),
        ({"attrs": {1: 2}}, TypeError),
        ({"attrs": {"a": ...}}, TypeError),
        ({"attrs": {"a": 1 << 70}}, ValueError),
        ({"time_dtype": "f4"}, ValueError),
        ({"overrun": "panic"}, ValueError),
        ({"overflow": "explode"}, ValueError),
        ({"getter_args": [1]}, TypeError),
        ({"batch_interval": -1}, ValueError),
        ({"hang_timeout": 0}, ValueError),
        ({"hang_timeout": float("inf")}, ValueError),
        ({"hang_timeout": "60"}, TypeError),
        ({"buffer_bytes": 0}, ValueError),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_at_once(
    arguments: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        make(**arguments)
    assert isinstance(caught.value, JobError)
    assert "tank/inner" in str(caught.value)


@pytest.mark.parametrize("group", ["", "/", "a//b", "a/../b", "a\0"])
def test_a_group_that_is_no_path_is_refused(group: str) -> None:
    with pytest.raises(JobValueError):
        DAQJob(group, "T", getter)


def test_a_getter_that_is_not_callable_is_a_type_error() -> None:
    with pytest.raises(JobTypeError, match="uncalled"):
        DAQJob("a", "T", getter())  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [["a", "b"], ("a", "b"), np.array(["a", "b"])], ids=str)
def test_lists_tuples_and_arrays_are_all_labels(labels: Any) -> None:
    assert make(labels).labels == ("a", "b")
    assert make(labels).schema.labels == ("time", "a", "b")


def test_one_value_is_for_all_labels_and_a_list_for_each() -> None:
    job = make(["a", "b"], dtype=[np.dtype(">i2"), str], shape=[(0, 2), (0,)], units="K")
    _, a, b = job.schema.columns
    assert (a.dtype.str, a.shape, a.unit) == ("<i2", (2,), "K")
    assert b.is_text
    assert b.unit == "K"


def test_the_callers_lists_stay_as_they_are() -> None:
    labels, shapes = ["a", "b"], [(0, 2), (0,)]
    make(labels, shape=shapes)
    assert (labels, shapes) == (["a", "b"], [(0, 2), (0,)])


def test_the_defaults_lose_no_precision_and_fold_nothing() -> None:
    job = make()
    assert job.schema.columns[1].dtype == np.float64
    assert not job.compress
    assert (job.read_mode, job.read_period, job.error_count_limit) == ("schedule", 1.0, 2)


def test_the_old_order_of_arguments_holds() -> None:
    job = DAQJob("a", ["b"], getter, 2, "port", (0, 3), "f4", 64, "trigger", 4, 5, getter, True,
                 100, True, False, {"x": 1})  # fmt: skip
    assert (job.read_period, job.thread_id, job.chunk_length) == (2.0, "port", 64)
    assert (job.read_mode, job.constant_read_error_delay, job.error_count_limit) == (
        "trigger",
        4,
        5,
    )
    assert job.handle_error_function is getter
    assert job.compress
    assert job.provide_time
    assert job.attrs == {"x": 1}


def test_extend_mode_provides_time_and_does_not_fold() -> None:
    job = make(extend_mode=True, compress=True)
    assert job.provide_time
    assert not job.compress


@pytest.mark.parametrize("verb", ["start", "stop", "trigger_read", "peek"])
def test_without_a_daemon_the_way_out_is_named(verb: str) -> None:
    job = make()
    assert not job.is_active
    with pytest.raises(JobError, match=r"job\.read\(\)"):
        getattr(job, verb)()


def test_under_a_daemon_the_verbs_are_passed_on() -> None:
    said: list[tuple[str, str]] = []

    class Host:
        def job_command(self, group: str, verb: str) -> None:
            said.append((group, verb))

        def job_peek(self, group: str) -> dict[str, Any]:
            return {"T": 1}

        def job_is_active(self, group: str) -> bool:
            return True

    job = make()
    job._daemon = Host()
    job.start(), job.stop(), job.trigger_read()
    assert [verb for _, verb in said] == ["resume", "pause", "trigger"]
    assert job.peek() == {"T": 1}
    assert job.is_active


@pytest.mark.parametrize(
    ("label", "result", "wanted"),
    [
        ("a", 0, {"a": 0.0}),
        ("a", [3], {"a": 3.0}),
        (["a", "b"], np.array([1, 2]), {"a": 1.0, "b": 2.0}),
        ("a", None, {}),
        ("a", [], {}),
    ],
    ids=str,
)
def test_read_gives_one_checked_row(label: Any, result: Any, wanted: dict[str, float]) -> None:
    row = DAQJob("a", label, lambda: result).read()
    assert {name: value for name, value in row.items() if name != "time"} == wanted


@pytest.mark.parametrize(
    ("result", "cause"), [((1, 2, 3), "count"), ((1, "x"), "value"), (([1, 2], 1), "shape")]
)
def test_read_refuses_what_is_no_row(result: Any, cause: str) -> None:
    with pytest.raises(ReadingError) as caught:
        DAQJob("a", ["a", "b"], lambda: result).read()
    assert caught.value.cause == cause


def test_a_read_in_extend_mode_gives_arrays() -> None:
    row = DAQJob("a", "a", lambda: ([1.0, 2.0], [3, 4]), extend_mode=True).read()
    assert row["a"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("group", ["h5daq", "/h5daq/events/"])
def test_a_group_of_the_writers_own_is_refused(group: str) -> None:
    with pytest.raises(JobValueError, match="writer itself"):
        DAQJob(group, "T", getter)
