"""Workers as plain subprocesses, for systems without fork.

Each imports everything for itself: slower to start and larger, but otherwise the same.
"""

from __future__ import annotations

import subprocess

from h5daq.errors import ProcessFailed
from h5daq.jobs.pipes import bridge
from h5daq.jobs.process import WorkerProcess
from h5daq.jobs.surroundings import bare_environment, here, python

__all__ = ["spawn"]


class _PopenKeeper:
    """Watches a worker that is a child of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def exit_code(self, _process: WorkerProcess, timeout: float, /) -> int | None:
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def signal(self, _process: WorkerProcess, number: int, /) -> None:
        self._process.send_signal(number)


def spawn(number: int, module: str) -> WorkerProcess:
    """Start ``python -m module`` with a private pipe.

    Raises
    ------
    ProcessFailed
        If it can't be started.
    """
    try:
        process = subprocess.Popen(
            [*python(), "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=bare_environment(),
        )
    except OSError as error:
        raise ProcessFailed(f"a worker could not be started: {error}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    control = bridge(process.stdout, process.stdin)
    worker = WorkerProcess(number, process.pid, control, _PopenKeeper(process))
    worker.send("surroundings", **here())
    return worker
