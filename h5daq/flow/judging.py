"""What the writer does with a worker's message, by what it knows of the jobs; nothing is changed.

A message is new, known already, or comes before others that are missing. What can't be stored is
refused here, before it is in the journal: a hello whose columns or names meet those of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from h5daq.errors import ConfigError, JobValueError, WireError
from h5daq.flow.names import check_attrs, check_collision
from h5daq.flow.position import Drop, dropped
from h5daq.flow.schema import Schema, check_group
from h5daq.flow.states import JobState
from h5daq.flow.wire import Head

__all__ = ["MAX_JOBS", "Verdict", "judge"]

MAX_JOBS = 4096
"""Most jobs of one run: each is named in every heartbeat and every status."""


class Verdict(Enum):
    """What the writer does with a worker's message."""

    TAKE = "take"
    KNOWN = "known"
    GAP = "gap"
    NEED_HELLO = "need hello"


def judge(jobs: Mapping[str, JobState], head: Head) -> Verdict:
    """What to do with a worker's message.

    Raises
    ------
    WireError
        If the message must be refused: a hello whose columns or name can't be stored.
    """
    if head.k == "hello":
        return _judge_hello(jobs, head)
    job = jobs.get(head.job)
    if job is None or head.inc not in job.next:
        return Verdict.NEED_HELLO
    if head.k == "status":
        return Verdict.TAKE if _is_news(job, head) else Verdict.KNOWN
    drop = dropped(job.next[head.inc], head.first, head.n)
    if drop is None:
        return Verdict.TAKE
    return Verdict.GAP if drop is Drop.ABOVE else Verdict.KNOWN


def _is_news(job: JobState, head: Head) -> bool:
    """Whether a status tells of losses, or of jumps of the clock, that aren't known yet."""
    counts, jumps = job.counts.get(head.inc, {}), job.jumps.get(head.inc, [])
    said = head.fields
    return bool(said.get("counts", counts) != counts or said.get("jumps", jumps) != jumps)


def _judge_hello(jobs: Mapping[str, JobState], head: Head) -> Verdict:
    job = jobs.get(head.job)
    schema = Schema.from_wire(head.fields.get("schema"))
    if job is not None and job.speaker == head.inc and job.schema == schema:
        return Verdict.KNOWN
    if job is None and len(jobs) >= MAX_JOBS:
        text = f"job {head.job!r}: this run has {MAX_JOBS} jobs, and takes no more"
        raise WireError(text, cause="limit")
    try:
        if check_group(head.job) != head.job:
            raise JobValueError(f"job {head.job!r}: not a normal group path")
        others = {n: j.schema.labels for n, j in jobs.items() if n != head.job}
        check_collision(others, head.job, list(schema.labels))
        check_attrs(head.fields.get("attrs") or {}, head.job)
    except (JobValueError, ConfigError) as error:
        raise WireError(str(error), cause="name") from error
    return Verdict.TAKE
