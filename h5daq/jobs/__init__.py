"""Jobs: what is read, when, and how a worker process comes to read it.

`DAQJob` and `DAQJobExtern` describe; `reading`, `schedule` and `readers` do it; `nursery` and
`starter` make the processes in which it is done. The two are imported when they are asked for:
what a launcher starts on a host needs the places of files from here, and no numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5daq.jobs.extern import DAQJobExtern
    from h5daq.jobs.job import DAQJob

__all__ = ["DAQJob", "DAQJobExtern"]

_HOME = {"DAQJob": "h5daq.jobs.job", "DAQJobExtern": "h5daq.jobs.extern"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'h5daq.jobs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
