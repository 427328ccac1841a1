"""What can be known to be wrong with a daemon's arguments before anything starts."""

from __future__ import annotations

from collections.abc import Iterable

from h5daq.errors import ConfigError, JobTypeError
from h5daq.flow.names import check_collision
from h5daq.jobs.job import DAQJob

__all__ = ["check_security", "checked_jobs", "checked_period"]


def checked_jobs(job_list: DAQJob | Iterable[DAQJob]) -> list[DAQJob]:
    """The jobs as a list, if they can stand in one file."""
    jobs = [job_list] if isinstance(job_list, DAQJob) else list(job_list)
    known: dict[str, list[str]] = {}
    for job in jobs:
        if not isinstance(job, DAQJob):
            raise JobTypeError(f"job_list holds {job!r}, which is no DAQJob")
        if job.group in known:
            raise ConfigError(f"two jobs have the group {job.group!r}; each needs one of its own")
        check_collision(known, job.group, list(job.schema.labels))
        known[job.group] = list(job.schema.labels)
    if not jobs:
        raise ConfigError("job_list is empty: there is nothing to record")
    return jobs


def checked_period(period: float, jitter: float | None) -> tuple[float, float]:
    """Checkpoint period and jitter in seconds, if the period is the greater."""
    jitter = 0.0 if jitter is None else float(jitter)
    if not float(period) > jitter >= 0.0:
        raise ConfigError(
            f"write_period={period} must be above write_period_jitter={jitter}, and that >= 0"
        )
    return float(period), jitter


def check_security(endpoints: Iterable[str | None], insecure: bool) -> None:
    """Refuse sockets that anybody on the network could reach, unless that is wanted."""
    for endpoint in endpoints:
        if endpoint and endpoint.startswith("tcp://") and not insecure:
            raise ConfigError(
                f"{endpoint}: a tcp socket without keys lets anyone on the network in. "
                "Leave the endpoint out (private ipc sockets), or say insecure=True."
            )
