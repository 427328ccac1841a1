"""Names that can't stand beside each other."""

import msgpack
import pytest

from h5daq.errors import ConfigError, JobValueError, WireError
from h5daq.flow.names import check_attrs, check_collision
from h5daq.flow.schema import check_group
from h5daq.flow.wire import decode_head
from h5daq.jobs.spool_places import place_of


@pytest.mark.parametrize(
    ("job", "labels"),
    [("tank/inner", ["T"]), ("tan", ["tank"]), ("tank2", ["T"]), ("tank/TT", ["x"]), ("T", ["a"])],
)
def test_nested_and_neighbouring_jobs_are_fine(job, labels):
    check_collision({"tank": ["time", "T"], "a/b": ["c"]}, job, labels)


@pytest.mark.parametrize(
    ("job", "labels"),
    [
        ("tank/T", ["x"]),
        ("tank/T/deep/inside", ["x"]),
        ("tank/time", ["x"]),
        ("a", ["b"]),
        ("tank", ["x"]),
    ],
)
def test_a_path_that_would_be_group_and_dataset_is_refused(job, labels):
    with pytest.raises(JobValueError, match=r"tank|'a'"):
        check_collision({"tank": ["T"], "a/b": ["c"]}, job, labels)


def test_the_time_of_an_outer_job_blocks_an_inner_group_of_that_name():
    with pytest.raises(JobValueError, match="label 'time' of job 'a'"):
        check_collision({"a/time/b": ["x"]}, "a", ["y"])


@pytest.mark.parametrize("job", ["dim_3", "dim_1024_1", "dim_3/inner"])
def test_a_job_can_not_have_the_name_of_a_dimension(job):
    check_collision({}, f"a/{job}", ["x"])
    with pytest.raises(JobValueError, match="axis"):
        check_collision({}, job, ["x"])


def test_a_users_attribute_can_not_take_a_name_of_the_file():
    check_attrs({"run": 12, "operator": "x"})
    check_attrs({"name": "probe", "file_id": 1}, "tank")
    for attrs, where in [({"file_id": 1}, "run"), ({"signal": 1}, "tank"), ({"": 1}, "run"),
                         ({"lost_shape": 1}, "tank"), ({3: 1}, "run")]:  # fmt: skip
        with pytest.raises(ConfigError, match="attrs of"):
            check_attrs(attrs, where)


HOSTILE = [
    "", "/", "//", ".", "..", "../x", "x/..", "a/./b", "a//b", "/a", "a/", "a/../../b",
    ".h5daq", ".h5daq/journal", ".H5DAQ/journal", "a/.h5Daq", "\0", "a\0b", "a/\0", "\ud800",
    "x" * 256, "/".join(["y" * 200] * 6),
]  # fmt: skip


def hello(group):
    time = {"label": "time", "dtype": "<f8", "shape": []}
    fields = {"v": 1, "k": "hello", "job": group, "inc": 1, "schema": [time]}
    return msgpack.packb(fields, unicode_errors="surrogatepass")


@pytest.mark.parametrize("group", HOSTILE, ids=ascii)
def test_a_hello_with_a_hostile_group_is_refused(group):
    with pytest.raises(WireError):
        decode_head(hello(group))


@pytest.mark.parametrize(
    "name", ["a\\b", "CON", "C:x", "~", "$HOME", "*", "T ank", "ümlaut", "-rf"]
)
def test_a_strange_but_harmless_group_is_one_plain_name_on_disk(name):
    assert check_group(name) == decode_head(hello(name)).job == name
    assert place_of("run", name, 1).parent.parent.name == "run"
