"""The worker: the process that reads one job and hands its rows to the writer.

`life` is its story from start to end. The main thread reads (`h5daq.jobs.readers`), encodes and
sends, so that a row needs no hop between threads; `courier` is the I/O thread that hears
positions and commands and sends again; `parent` is the private pipe to the process that started
it.
"""

from __future__ import annotations

from h5daq.worker.serving import main, serve
from h5daq.worker.spec import WorkerSpec

__all__ = ["WorkerSpec", "main", "serve"]
