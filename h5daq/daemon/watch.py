"""What the daemon sees of a worker without its help: whether it is alive, and why it died.

A worker in a call that holds Python's lock, or one that was stopped by a signal, says nothing any
more. The page that it shares (`h5daq.jobs.pulse`) then stands still; that is looked at twice a
second, costs the worker nothing, and needs no message. Asked by a signal, it writes down in which
call it is; where the job has a ``hang_timeout``, it is killed and started again.
"""

from __future__ import annotations

import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from h5daq.daemon.writer_child import cause_of_death
from h5daq.jobs.pulse import LOOK_SIGNAL, PulseReader
from h5daq.jobs.stack import Place, in_words

__all__ = ["Watch"]

log = logging.getLogger("h5daq.daemon")

SILENT_SECONDS = 4.0
"""A worker whose page has not changed for so long is said to be silent. It does so each second."""

LOST_SECONDS = 10.0
"""When everything is to stop, a worker that has been silent for so long is not waited for."""

_ASK_SECONDS = SILENT_SECONDS - 1.0
"""When it is asked for its stack, to have it when it is needed."""

_LOOK_SECONDS = 0.4
_LONGEST_STEP = 1.0
"""So much silence is counted between two looks, however long we were stopped ourselves."""

_STOPPED = ("T", "t")
_CRASHES = {
    int(getattr(signal, f"SIG{name}", 0))
    for name in ("SEGV", "BUS", "FPE", "ILL", "ABRT", "SYS", "TRAP")
}


class Victim(Protocol):
    """A worker process, as far as it is looked at."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def signal(self, number: int) -> None:
        """Send it a signal."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Watch:
    """Watches one worker process.

    Parameters
    ----------
    group : str
        Its job.
    hang_timeout : float or None
        Seconds of silence after which it is killed.
    path : Path
        The file of its pulse; made here.

    Attributes
    ----------
    words : str
        Why it ends, as it said itself.
    over : bool
        Whether it has said its last word: what it does then takes as long as it takes.
    """

    def __init__(self, group: str, hang_timeout: float | None, path: Path) -> None:
        self.pulse = PulseReader(path)
        self.words = ""
        self.over = False
        self._group, self._hang_timeout = group, hang_timeout
        self._looked_at = 0.0
        self._beat = 0.0
        self._silence = 0.0
        self._ask_at = _ASK_SECONDS
        self._said = False

    def look(self, victim: Victim, now: float) -> None:
        """Look at its pulse; kill it when it has been silent for too long."""
        step = now - self._looked_at
        if step < _LOOK_SECONDS:
            return
        step, self._looked_at = min(step, _LONGEST_STEP), now
        before, self._beat = self._beat, self.pulse.beat
        if self._beat != before or not self._beat or self.over:
            self._heard()
            return
        self._silence += step
        if self._silence >= self._ask_at:
            self._ask_at *= 2
            _ask(victim)
        elif self.silent and not self._said:
            self._said = True
            log.warning("job %s: %s", self._group, self.trouble(victim.pid))
        self._judge(victim)

    def _heard(self) -> None:
        if self._said:
            log.info("job %s: its worker is heard again", self._group)
        self._silence, self._ask_at, self._said = 0.0, _ASK_SECONDS, False

    def _judge(self, victim: Victim) -> None:
        limit = self._hang_timeout
        if limit is None or not self.silent or self._silence < limit or self.words:
            return
        # Silent may also be a worker that gets no share of a processor; then it is not the getter.
        if self.pulse.busy_since or _state(victim.pid) in _STOPPED:
            self.words = f"hung for {self._silence:.0f} s: {self._reason(victim.pid)}"
            log.error("job %s: its worker %s: it is killed", self._group, self.words)
            victim.kill()

    @property
    def silent(self) -> bool:
        """Whether nothing has been seen of it for long."""
        return self._silence >= SILENT_SECONDS

    @property
    def lost(self) -> bool:
        """Whether it has been silent for so long that nobody waits for it any more."""
        return self._silence >= LOST_SECONDS

    def trouble(self, pid: int) -> str:
        """For how long it has been silent, and why; empty if it isn't."""
        if not self.silent:
            return ""
        # In steps: each change is told to the writer.
        seconds = self._silence // 5 * 5 or self._silence // 1
        return f"no sign of life for {seconds:.0f} s: {self._reason(pid)}"

    def _reason(self, pid: int) -> str:
        if _state(pid) in _STOPPED:
            return "its process is stopped by a signal"
        where = in_words(self.pulse.stack()) or "in a call"
        return (
            f"{where}, with Python's lock held"
            if self.pulse.busy_since
            else "it gets no share of a processor"
        )

    def cause(self, status: int | None) -> str:
        """Why it died, in words."""
        if self.words:
            return self.words
        cause = cause_of_death(status)
        if self.pulse.closed_foreign:
            return f"{cause}: its getter closed file descriptors that are not its own"
        stack, busy = self.pulse.stack(), self.pulse.busy_since
        if status == -signal.SIGABRT and (_is_zeromq(stack[0]) if stack else busy):
            # Of its sockets' descriptors it takes none to be closed by others.
            where = "ZeroMQ" if stack else "a thread of a library"
            return f"{cause} in {where}: its getter closed file descriptors that are not its own?"
        if not busy or status is None:
            return cause
        if status >= 0:
            return f"exited with code {status} in its getter: by os._exit(), or by a library"
        if -status in _CRASHES:
            return f"{cause} in its getter, {in_words(stack)}".rstrip(", ")
        return cause

    def close(self) -> None:
        """It is gone."""
        self.pulse.close()


def _is_zeromq(place: Place) -> bool:
    return "zmq" in Path(place.file).parts


def _ask(victim: Victim) -> None:
    """Have it write down its stack, if it will not die of that."""
    if LOOK_SIGNAL and _catches(victim.pid, LOOK_SIGNAL):
        victim.signal(LOOK_SIGNAL)


def _status_lines(pid: int) -> dict[str, str]:
    with suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return {}


def _state(pid: int) -> str:
    return _status_lines(pid).get("State", "?")[:1]


def _catches(pid: int, number: int) -> bool:
    caught = int(_status_lines(pid).get("SigCgt", "0"), 16)
    return bool(caught >> (number - 1) & 1)
