"""Says when the wall clock of this computer was set, with the size of the jump.

A row's time is what that clock showed. Whoever finds rows whose times go back, or leave out an
hour, finds the reason in the log, and in the file as the attribute ``clock_jumps`` of the job.
"""

from __future__ import annotations

import logging
import time

from h5daq.flow.clockwatch import ClockWatch

__all__ = ["WallClock"]


class WallClock:
    """The clock of this process, looked at now and then.

    Parameters
    ----------
    log : logging.Logger
        Where a warning goes.
    whose : str
        How the warning begins.
    """

    def __init__(self, log: logging.Logger, whose: str) -> None:
        self._log, self._whose = log, whose
        self._watch = ClockWatch()
        self.look()

    @property
    def jumps(self) -> list[tuple[float, float]]:
        """When and by how many seconds the clock was set, since this began."""
        return self._watch.jumps

    def look(self) -> list[tuple[float, float]]:
        """Compare; all jumps so far."""
        size = self._watch.look(time.monotonic(), time.time(), time.monotonic())
        if size:
            way = "forth" if size > 0 else "back"
            self._log.warning(
                "%s: the clock of this computer was set %s by %.3f s (or it slept); times of rows "
                "and files follow it", self._whose, way, abs(size),
            )  # fmt: skip
        return self.jumps
