"""Jobs: what is read, when, and how a worker process comes to read it.

`DAQJob` and `DAQJobExtern` describe; `reading`, `schedule` and `readers` do it; `nursery` and
`starter` make the processes in which it is done.
"""

from __future__ import annotations

from h5daq.jobs.extern import DAQJobExtern
from h5daq.jobs.job import DAQJob

__all__ = ["DAQJob", "DAQJobExtern"]
