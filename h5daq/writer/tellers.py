"""Those who are told of alarms outside of h5daq: a command, a webhook.

Each has a thread of its own that waits for it, so that nothing else does: neither the writer nor
the other. What it can't be told is tried again, then given up, logged and counted
(`h5daq.flow.alarm_queue`).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.alarm_queue import AlarmQueue

__all__ = ["Deliver", "Messenger", "messengers"]

log = logging.getLogger("h5daq.writer")

_SAID_BYTES = 400
_END_SECONDS = 1.0


Deliver = Callable[[bytes], str]
"""Gives one alarm, as JSON in UTF-8, to its receiver; what went wrong, or the empty string."""


class Messenger(threading.Thread):
    """Delivers alarms to one receiver.

    Parameters
    ----------
    name : str
        What it is called in status and log.
    deliver : callable
        Does it.
    per_minute : float
        Most deliveries per minute.
    about : mapping
        What is added to each alarm: the run.
    """

    def __init__(
        self, name: str, deliver: Deliver, per_minute: float, about: Mapping[str, Any]
    ) -> None:
        super().__init__(name=f"h5daq-{name}", daemon=True)
        self.receiver = name
        self._deliver, self._about = deliver, dict(about)
        self._queue = AlarmQueue(per_minute)
        self._changed = threading.Condition()
        self._end: float | None = None
        self.trouble = ""

    def tell(self, alarm: Mapping[str, Any]) -> None:
        """Take an alarm, without waiting."""
        with self._changed:
            self._queue.put(alarm)
            self._changed.notify()

    def status(self) -> dict[str, Any]:
        """What became of the alarms so far."""
        queue = self._queue
        return {
            "delivered": queue.delivered, "failed": queue.failed, "dropped": queue.dropped,
            "waiting": len(queue), "trouble": self.trouble,
        }  # fmt: skip

    def ask_end(self, seconds: float) -> None:
        """Deliver what can be delivered in that time, and no more."""
        with self._changed:
            if self._end is None:
                self._end = time.monotonic() + seconds
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Deliver what can be delivered in that time, then end."""
        self.ask_end(seconds)
        if self.is_alive():
            self.join(seconds + _END_SECONDS)
        if len(self._queue):
            log.warning("alarm %s: %d alarms were not delivered", self.receiver, len(self._queue))

    def run(self) -> None:
        """Deliver until closed."""
        while (alarm := self._next()) is not None:
            self._try(alarm)

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._over(now):
                    return None
                if (alarm := self._queue.take(now)) is not None:
                    return alarm
                wait = self._queue.wait(now)
                limit = None if self._end is None else max(0.0, self._end - now)
                self._changed.wait(min((s for s in (wait, limit) if s is not None), default=None))

    def _over(self, now: float) -> bool:
        return self._end is not None and (now >= self._end or not len(self._queue))

    def _try(self, alarm: dict[str, Any]) -> None:
        said = json.dumps({**alarm, **self._about}, ensure_ascii=False).encode()
        trouble = self._deliver(said)
        with self._changed:
            failed = self._queue.failed
            self._queue.done(not trouble, time.monotonic())
            failed = self._queue.failed - failed
        if trouble and (failed or not self.trouble):
            what = "given up" if failed else "tried again"
            log.warning("alarm %s failed, and is %s: %s", self.receiver, what, trouble)
        self.trouble = trouble


def messengers(options: AlarmOptions, about: Mapping[str, Any]) -> list[Messenger]:
    """Those that the options ask for, not yet started.

    Parameters
    ----------
    options : AlarmOptions
        Which command, which webhook.
    about : mapping
        What is added to each alarm.
    """
    found = []
    if options.command:
        command = _Command(options.command, options.timeout)
        found.append(Messenger("command", command, options.per_minute, about))
    if options.webhook:
        webhook = _Webhook(options.webhook, options.timeout)
        found.append(Messenger("webhook", webhook, options.per_minute, about))
    return found


class _Command:
    """Runs a program with the alarm on its standard input."""

    def __init__(self, words: tuple[str, ...], timeout: float) -> None:
        self._words, self._timeout = words, timeout

    def __call__(self, said: bytes) -> str:
        # What it says goes to a file: a pipe might be held open by what it leaves behind.
        with tempfile.TemporaryFile() as output:
            try:
                process = subprocess.Popen(
                    self._words, stdin=subprocess.PIPE, stdout=output, stderr=output,
                    start_new_session=True,
                )  # fmt: skip
            except (OSError, ValueError) as error:
                return f"{self._words[0]}: {error}"
            if trouble := self._give(process, said):
                return trouble
            output.seek(max(0, output.seek(0, os.SEEK_END) - _SAID_BYTES))
            words = output.read().decode("utf-8", "replace").strip()
            code = process.returncode
            return f"{self._words[0]}: exit code {code}: {words}" if code else ""

    def _give(self, process: subprocess.Popen[bytes], said: bytes) -> str:
        try:
            process.communicate(said, timeout=self._timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"{self._words[0]}: not done after {self._timeout:g} s, and killed"
        return ""


class _Webhook:
    """Posts the alarm to an address."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address, self._timeout = address, timeout

    def __call__(self, said: bytes) -> str:
        # They bring what a run without a webhook needs for nothing.
        from http.client import HTTPException
        from urllib.parse import urlsplit
        from urllib.request import Request, urlopen

        headers = {"Content-Type": "application/json", "User-Agent": "h5daq"}
        request = Request(self._address, data=said, headers=headers, method="POST")
        try:
            with urlopen(request, timeout=self._timeout):
                return ""
        except (OSError, HTTPException, ValueError) as error:
            # The rest of an address may be a secret.
            return f"{urlsplit(self._address).hostname}: {error}"
