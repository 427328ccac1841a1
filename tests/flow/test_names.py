"""Names that can't stand beside each other."""

import pytest

from h5daq.errors import ConfigError, JobValueError
from h5daq.flow.names import check_attrs, check_collision


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
