"""A worker as a process: what stands around its life.

Output and input are made harmless, the parent hears how it ended, and it does end: an interpreter
waits for each thread that is no daemon, and runs what was given to `atexit`, however long that
takes; a worker whose rows are all in safety does so for a moment only.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from h5daq.errors import H5daqError
from h5daq.jobs.allocator import keep_freed_memory
from h5daq.worker.life import FAILED, Worker
from h5daq.worker.machine import harmless_output, no_input
from h5daq.worker.parent import Parent
from h5daq.worker.spec import WorkerSpec

__all__ = ["main", "serve"]

log = logging.getLogger("h5daq.worker")

PARTING_SECONDS = 2.0
"""For exit handlers, and for threads that the getter has begun."""


def main(spec_bytes: bytes, control_socket: socket.socket | None = None) -> int:
    """A worker's whole life.

    Parameters
    ----------
    spec_bytes : bytes
        From `WorkerSpec.to_bytes`.
    control_socket : socket.socket, optional
        The private pipe to the parent.

    Returns
    -------
    int
        Exit code: `DONE`, `FAILED` or `HELD`.
    """
    return _live(spec_bytes, None if control_socket is None else Parent(control_socket))


def serve(control: socket.socket | Parent) -> int:
    """A worker whose description comes as the first order on its private pipe; the exit code."""
    parent = control if isinstance(control, Parent) else Parent(control)
    return _live(parent.expect("spec")["spec"], parent)


def _live(spec_bytes: bytes, parent: Parent | None) -> int:
    harmless_output()
    no_input()
    keep_freed_memory()
    code = FAILED
    try:
        worker = Worker(WorkerSpec.from_bytes(spec_bytes), parent)
        code = worker.say_end(worker.run())
    except H5daqError as error:
        log.error("%s", error)
        if parent is not None:
            parent.tell("failed", text=str(error))
    finally:
        if parent is not None:
            parent.close()
        _end_soon(code)
    return code


def _end_soon(code: int) -> None:
    threading.Thread(target=_end, args=(code,), name="h5daq-parting", daemon=True).start()


def _end(code: int) -> None:
    time.sleep(PARTING_SECONDS)
    os._exit(code)
