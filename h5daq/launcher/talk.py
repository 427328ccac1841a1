"""`Talk`: a conversation with a program on a host: a line of JSON there, a marked one back.

All that the launcher has to say to a host goes over one connection, which costs far more than
anything that is said on it. The program may print other lines, say of a login script: they are
passed over. When it ends, what it printed on its standard error tells why.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from h5daq.errors import ProcessFailed
from h5daq.flow.closing import Closing

__all__ = ["MARK", "Done", "Talk"]

MARK = b"h5daq-answer:"
"""Before each answer."""

_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended: its exit code, and what it printed on its standard error."""

    code: int
    err: str

    @property
    def last(self) -> str:
        """The last line of that, or else the code."""
        said = self.err.strip().splitlines()
        return said[-1] if said else f"exit code {self.code}"


class Talk(Closing):
    """One program that answers; for one thread at a time.

    Parameters
    ----------
    words : sequence of str
        Its command. It is started at once, and heard when it is asked.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words, self._err = list(words), tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._err
            )
        except OSError as error:
            self._trouble = f"{words[0]} can't be run: {error.strerror}"

    def ask(self, timeout: float, parcel: bytes = b"", **request: Any) -> dict[str, Any] | None:
        """Say a line, with a parcel behind it, and wait for the answer; None if it has ended.

        Raises
        ------
        ProcessFailed
            If it can't be run, or there is no answer in time: it is ended then.
        """
        line = json.dumps({**request, "size": len(parcel)}).encode()
        with self._in_time(timeout) as process:
            assert process.stdin is not None
            with suppress(OSError):  # that it has ended is seen by its answer
                process.stdin.write(line + b"\n" + parcel)
                process.stdin.flush()
            return self._next(process)

    def hear(self, timeout: float) -> dict[str, Any] | None:
        """What it says unasked, as `ask`."""
        with self._in_time(timeout) as process:
            return self._next(process)

    def _next(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        return None

    @contextmanager
    def _in_time(self, timeout: float) -> Iterator[subprocess.Popen[bytes]]:
        """The process, which is ended when this takes too long: then nobody waits for it."""
        if self._process is None:
            raise ProcessFailed(self._trouble)
        late, process = threading.Event(), self._process

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout, end)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            if late.is_set():
                command = shlex.join(self._words)[:200]
                raise ProcessFailed(f"no answer after {timeout:g} s from: {command}")

    def done(self) -> Done:
        """How it ended, after an answer that was none."""
        assert self._process is not None
        self._end(self._process)
        self._err.seek(0)
        said = self._err.read().decode("utf-8", "replace")
        self.close()
        return Done(self._process.returncode, said)

    def close(self) -> None:
        """Let it end: it sees that nothing more is asked."""
        if self._process is not None:
            self._end(self._process)
        self._err.close()

    def drop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
        self.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
