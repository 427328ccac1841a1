"""The function that a job names for when its readings fail too often: foreign code, called as such.

Daemon, host agent and a worker that is alone call it alike. Whatever it does wrong costs no row.
"""

from __future__ import annotations

import logging

from h5daq.jobs.job import DAQJob

__all__ = ["call_handler"]

log = logging.getLogger("h5daq.jobs")


def call_handler(job: DAQJob) -> None:
    """Call the job's error handler, if it has one; what it raises is logged."""
    try:
        if job.handle_error_function is not None:
            job.handle_error_function()
    except Exception:
        log.exception("job %s: its error handler failed", job.group)
