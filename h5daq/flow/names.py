"""Names that can't stand beside each other in a file.

A job is a group, its columns are datasets in it, and jobs nest: ``tank`` and ``tank/inner`` may
both be jobs. What can't be is a path that would have to be a group and a dataset at once, say a
label ``T`` of the job ``tank`` beside a job ``tank/T`` or ``tank/T/inner``. And some names are the
file's own: the dimensions ``dim_<size>`` at its root, and its attributes.

Groups below ``h5daq`` hold what the writer records itself (events, clocks): no worker feeds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from h5daq.errors import ConfigError, JobValueError
from h5daq.flow.schema import TIME, check_group

__all__ = [
    "COMMENTS",
    "GROUP_ATTRIBUTES",
    "OWN_GROUP",
    "PARAMETER",
    "ROOT_ATTRIBUTES",
    "TAGS",
    "TAKEN",
    "check_attrs",
    "check_collision",
    "check_job_group",
    "is_own",
    "is_taken",
    "run_path",
]

OWN_GROUP = "h5daq"
"""The group below which the writer puts rows of its own."""

COMMENTS, TAGS, PARAMETER = "Comments", "Tags", "Param."
"""Attributes of a group for what people note about its job; the last is how names begin."""

TAKEN = ("lost_", PARAMETER, f"{COMMENTS}.")
"""How the names of attributes begin that h5daq sets itself at a job's group."""

ROOT_ATTRIBUTES = frozenset(
    {
        "default",
        "durability",
        "file_end",
        "file_id",
        "file_start",
        "following_file_id",
        "h5daq_version",
        "interrupted",
        "journal_lsn",
        "layout_version",
        "name",
        "previous_file_id",
        "rollover_interval",
        "run_end",
        "run_id",
        "run_start",
        "write_period",
        "write_period_jitter",
    }
)
"""Root attributes that h5daq sets itself."""

GROUP_ATTRIBUTES = frozenset(
    {
        COMMENTS,
        "NX_class",
        TAGS,
        "auxiliary_signals",
        "axes",
        "clock_jumps",
        "default",
        "restart_causes",
        "restart_times",
        "signal",
    }
)
"""Attributes of a job's group that h5daq sets itself, beside ``lost_<cause>``, ``Param.<name>``."""

_DIMENSION = re.compile(r"dim_[0-9]+(_[0-9]+)?")


def is_own(group: str) -> bool:
    """Whether a group, without slashes at its ends, is the writer's own.

    >>> is_own("h5daq/events"), is_own("h5daq2/events")
    (True, False)
    """
    return group == OWN_GROUP or group.startswith(f"{OWN_GROUP}/")


def check_job_group(group: object) -> str:
    """A group path that a job may have; see `check_group`.

    Raises
    ------
    JobTypeError
        If it is no string.
    JobValueError
        If it can't be a path of groups, or is one of the writer's own.
    """
    path = check_group(group)
    if is_own(path):
        raise JobValueError(
            f"group {path!r}: what is below {OWN_GROUP!r} is recorded by the writer itself; "
            "take another name"
        )
    return path


def check_collision(existing: Mapping[str, Iterable[str]], job: str, labels: Iterable[str]) -> None:
    """Refuse a job whose group or labels take the place of another job's.

    Parameters
    ----------
    existing : mapping of str to labels
        Groups of the other jobs, without slashes at their ends, and their labels.
    job, labels : str, iterable of str
        Group and labels of the new one; ``time`` is counted in where it is missing.

    Raises
    ------
    JobValueError
        Naming both jobs and the path that they would share, or the file's own name.
    """
    _check_dimension(job)
    datasets = _datasets(job, labels)
    above_job = set(_with_parents(job))
    for other, other_labels in existing.items():
        if other == job:
            raise JobValueError(f"two jobs have the group {job!r}; each needs one of its own")
        if other.startswith(f"{job}/"):
            _check_paths(datasets, _with_parents(other), job, other)
        elif job.startswith(f"{other}/"):
            _check_paths(_datasets(other, other_labels), above_job, other, job)


def _check_dimension(job: str) -> None:
    first = job.partition("/")[0]
    if _DIMENSION.fullmatch(first):
        raise JobValueError(
            f"group {job!r}: {first!r} is what files call an axis of that size; take another name"
        )


def _datasets(job: str, labels: Iterable[str]) -> set[str]:
    return {f"{job}/{label}" for label in (TIME, *labels)}


def _with_parents(group: str) -> list[str]:
    parts = group.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _check_paths(datasets: set[str], groups: Iterable[str], outer: str, inner: str) -> None:
    for path in datasets.intersection(groups):
        label = path.rpartition("/")[2]
        raise JobValueError(
            f"label {label!r} of job {outer!r} and the group of job {inner!r} would both be "
            f"{path!r} in the file: rename one of them"
        )


def check_attrs(attrs: Mapping[str, object], where: str = "run") -> None:
    """Refuse a user's attributes that would take the names of the file's own.

    Parameters
    ----------
    attrs : mapping
        The user's attributes.
    where : str
        ``"run"`` for those at the root, else the group of the job.

    Raises
    ------
    ConfigError
        Naming the attribute.
    """
    for name in attrs:
        if not isinstance(name, str) or not name or "\0" in name:
            raise ConfigError(f"attrs of {where}: {name!r} is no name: use a non-empty string")
        if name in ROOT_ATTRIBUTES if where == "run" else is_taken(name):
            raise ConfigError(
                f"attrs of {where}: {name!r} is set by h5daq itself; take another name"
            )


def run_path(name: str) -> str:
    """The directory of the vault in which the jobs of a run of that name appear."""
    return name.strip("/") or "run"


def is_taken(name: str) -> bool:
    """Whether an attribute of a job's group is one that h5daq sets itself."""
    return name in GROUP_ATTRIBUTES or name.startswith(TAKEN)
