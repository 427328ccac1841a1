"""Who tells that a writer is not heard any more, where no daemon looks after it.

A writer under systemd, or one whose whole machine has gone, has nobody at its side. `Lookout` looks
at the picture that a feed keeps of it, from wherever it is, and hands the alarm and its end to the
command and the webhook of a configuration. A run that has ended in order is none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.closing import Closing
from h5daq.flow.vigil import SILENT_SECONDS, Vigil
from h5daq.flow.watched import Change
from h5daq.monitor.feed import Feed
from h5daq.writer.tellers import messengers

__all__ = ["Lookout"]

_LOOK_SECONDS = 0.5
_LAST_SECONDS = 5.0
"""How long the end waits for alarms to be delivered."""


class Lookout(Closing):
    """Looks out for a writer, in a thread, until it is closed.

    Parameters
    ----------
    feed : Feed
        Hears the writer.
    options : AlarmOptions
        Who is told.
    about : mapping
        What is added to each alarm, as its run.
    patience : float
        Seconds without a sign of life that are an alarm.
    """

    def __init__(
        self,
        feed: Feed,
        options: AlarmOptions,
        about: Mapping[str, Any],
        patience: float = SILENT_SECONDS,
    ) -> None:
        self._feed, self._vigil = feed, Vigil(time.monotonic(), patience)
        self._heard: float | None = None
        self._messengers = messengers(options, about)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="h5daq-lookout", daemon=True)
        for thread in (*self._messengers, self._thread):
            thread.start()

    def close(self) -> None:
        """Look no more, and deliver what can be delivered soon."""
        self._end.set()
        self._thread.join()
        for messenger in self._messengers:
            messenger.ask_end(_LAST_SECONDS)
        for messenger in self._messengers:
            messenger.close(_LAST_SECONDS)

    def _watch(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            self._tell(self._look(time.monotonic()))

    def _look(self, now: float) -> Change | None:
        with self._feed.lock:
            heard, ended = self._feed.picture.heard, self._feed.picture.ended
        # Whoever was never heard may come yet, and a run that is over is not waited for.
        there = heard is None or ended or heard != self._heard
        self._heard = heard
        return self._vigil.heard(now) if there else self._vigil.look(now)

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            now = time.time()
            for messenger in self._messengers:
                messenger.tell(change.told(int(now * 1e6), now))
