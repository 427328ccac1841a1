"""A command under supervision: started, read line by line, stopped with all that it started.

It gets a session of its own, so that stopping reaches the processes that it has started, and a
key press in the terminal does not. Its standard error is drained by a thread into the log, so
that it never stalls; its standard output waits in the pipe until somebody reads it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

from h5daq.errors import ReadingError

__all__ = ["Command"]

log = logging.getLogger("h5daq.jobs")

TERM_SECONDS = 5.0
"""How long a command may take to end after SIGTERM, before SIGKILL."""

MAX_LINES = 100_000
MAX_LINE_BYTES = 64 << 20
_READ_BYTES = 1 << 16
_KEPT_ERRORS = 10


class Command:
    """One command, started again and again.

    Parameters
    ----------
    group : str
        The job, for the log.
    words : sequence of str
        Program and arguments.

    Attributes
    ----------
    ended : bool
        Whether its output has come to an end.
    interrupted : bool
        Whether it was told to end, since it was started.
    """

    def __init__(self, group: str, words: Sequence[str]) -> None:
        self.name = words[0].rsplit("/", 1)[-1]
        self.ended = False
        self._group, self._words = group, list(words)
        self._process: subprocess.Popen[bytes] | None = None
        self._partial = b""
        self._lines: deque[str] = deque()
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._drain: threading.Thread | None = None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self.interrupted = False

    @property
    def waiting(self) -> bool:
        """Whether there is no whole line, but there may be."""
        return not (self._lines or self.ended or self.interrupted)

    @property
    def exhausted(self) -> bool:
        """Whether it has ended and all its lines were taken."""
        return self.running and self.ended and not self._lines

    @property
    def running(self) -> bool:
        """Whether it was started and not yet ended."""
        return self._process is not None

    def start(self) -> None:
        """Start it.

        Raises
        ------
        ReadingError
            If it can't be started.
        """
        try:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise ReadingError(f"{self.name} can't be started: {error}", "command") from error
        self.ended, self._partial, self.interrupted = False, b"", False
        self._forget_interrupts()
        self._errors.clear()
        assert self._process.stderr is not None
        self._drain = threading.Thread(
            target=self._log_errors, args=(self._process.stderr,), name="h5daq-stderr", daemon=True
        )
        self._drain.start()

    def hear(self, timeout: float | None) -> None:
        """Wait for output, the end or an interruption, up to `timeout` seconds; take what came.

        Raises
        ------
        ReadingError
            If a line has no end.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        ready, _, _ = select.select([output, self._woken], [], [], timeout)
        if self._woken in ready:
            self._forget_interrupts()
        if output in ready:
            self._read(output)

    def take(self, at_most: int | None) -> Iterator[str]:
        """The whole lines that are there, up to `at_most`."""
        count = len(self._lines) if at_most is None else min(at_most, len(self._lines))
        for _ in range(count):
            yield self._lines.popleft()

    def all_lines(self) -> Iterator[str]:
        """All lines up to its end, or up to an interruption.

        Raises
        ------
        ReadingError
            If it prints without end.
        """
        while not self.ended and not self.interrupted:
            self.hear(None)
            if len(self._lines) > MAX_LINES:
                self.close()
                raise ReadingError(
                    f"{self.name} printed more than {MAX_LINES} lines for one reading; if it runs "
                    'on by itself, use read_mode="constant"',
                    "size",
                )
        yield from self.take(None)

    def end(self) -> None:
        """Wait for a command whose output has ended.

        Raises
        ------
        ReadingError
            If it failed: with its return code and the end of its standard error.
        """
        asked = self.interrupted
        code = self._finish()
        if code and not asked:
            errors = "; ".join(self._errors) or "nothing on standard error"
            raise ReadingError(f"{self.name} ended with code {code}: {errors}", "command")

    def interrupt(self) -> None:
        """End the wait for a line, and the command; from any thread."""
        self.interrupted = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"!")

    def close(self) -> None:
        """Stop it: SIGTERM to all that it has started, SIGKILL after five seconds."""
        self._finish()
        self._lines.clear()

    # -- inside ------------------------------------------------------------------------------

    def _forget_interrupts(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _read(self, output: int) -> None:
        data = os.read(output, _READ_BYTES)
        *lines, self._partial = (self._partial + data).split(b"\n")
        if not data:
            self.ended = True
            lines, self._partial = ([self._partial] if self._partial else []), b""
        if len(self._partial) > MAX_LINE_BYTES:
            self._partial = b""
            raise ReadingError(f"{self.name}: a line of more than {MAX_LINE_BYTES} bytes", "size")
        self._lines.extend(line.decode("utf-8", "replace").rstrip("\r") for line in lines)

    def _log_errors(self, stderr: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in stderr:
                text = line.decode("utf-8", "replace").rstrip()
                self._errors.append(text)
                log.warning("job %s: %s: %s", self._group, self.name, text)

    def _finish(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if not self.ended:
            _signal_group(process, signal.SIGTERM)
        try:
            code = process.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            code = process.wait()
        if self._drain is not None:
            self._drain.join(1.0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        return code


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
