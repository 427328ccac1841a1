"""The one model of the system that all pages look at, kept up to date by two threads.

One thread takes the writer's signals, as fast as they come and whatever the pages do; the other
asks for the status when the picture wants it. Neither waits for a page, and the writer waits for
neither: a subscriber that falls behind misses signals, and the next status makes up for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from h5daq.client import Signal, Subscription
from h5daq.errors import H5daqError, NoAnswer
from h5daq.flow.closing import Closing
from h5daq.monitor.picture import KINDS, Picture, Remark
from h5daq.monitor.web.connection import Connection
from h5daq.monitor.web.news import Happenings, News
from h5daq.monitor.web.summary import job_facts, run_facts
from h5daq.monitor.web.traces import Tracks

__all__ = ["TOLD", "Feed"]

TOLD = ("new-dir", "new-dataset", "tags-updated", "new-parameter", "comments-available")
"""Signals of the vault that a page is told one by one; of new data it sees the data."""

RECEIVE_SECONDS = 0.5
ASK_SECONDS = 0.25
ANSWER_SECONDS = 3.0


class Feed(Closing):
    """The picture of a system, the newest points, and what happened, for any number of pages.

    Parameters
    ----------
    connection : Connection
        To the running system.

    Attributes
    ----------
    picture : Picture
        The state; looked at under `lock`.
    tracks : Tracks
        The newest points of each job; under `lock` as well.
    news : News
        The state as pages are told it.
    happenings : Happenings
        Log, alarms and signals.
    """

    def __init__(self, connection: Connection) -> None:
        self.lock = threading.Lock()
        self.picture, self.tracks = Picture(), Tracks()
        self.news, self.happenings = News(), Happenings()
        self.trouble = ""
        self._connection = connection
        self._ended = threading.Event()
        self._remark: Remark | None = None
        self._threads = [
            threading.Thread(target=work, name=f"h5daq web {name}", daemon=True)
            for name, work in (("signals", self._listen), ("status", self._ask))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    # -- the threads -----------------------------------------------------------------------------

    def _ask(self) -> None:
        while not self._ended.wait(ASK_SECONDS):
            with self.lock:
                wanted = self.picture.wants_status(time.time())
            if wanted:
                self._ask_once()

    def _ask_once(self) -> None:
        try:
            reply = self._connection.status.request("status", timeout=ANSWER_SECONDS)
        except NoAnswer as error:
            self.trouble = str(error)
            self._search()
            return
        except H5daqError as error:
            self.trouble = str(error)
            return
        with self.lock:
            self.picture.take_status(reply, time.time())
            self._tell_remarks()
            self.tracks.keep(self.picture.jobs)
        self.trouble = ""

    def _search(self) -> None:
        """The next run may have begun somewhere else."""
        try:
            self._connection.look_again()
        except H5daqError as error:
            self.trouble = str(error)

    def _listen(self) -> None:
        while not self._ended.is_set():
            client = self._connection.status
            try:
                endpoint = client.signals_endpoint
            except H5daqError:
                self._ended.wait(ASK_SECONDS)
                continue
            with Subscription(endpoint, (*KINDS, *TOLD), keys=client.keys) as signals:
                while not self._ended.is_set() and self._connection.status is client:
                    self._hear(signals)

    def _hear(self, signals: Subscription) -> None:
        try:
            came = signals.receive(RECEIVE_SECONDS)
        except NoAnswer:
            return
        with self.lock:
            for signal in came:
                self._take(signal, time.time())

    # -- what comes in, under the lock -----------------------------------------------------------

    def _take(self, signal: Signal, now: float) -> None:
        if signal.kind in TOLD:
            self._tell(signal, now)
        if signal.kind not in KINDS:
            return
        self.picture.take(signal.kind, signal.path, signal.payload, now)
        self._tell_remarks()
        if signal.kind == "data-available":
            self._follow(signal.payload)

    def _follow(self, told: Mapping[str, Any]) -> None:
        above = f"{self.picture.writer.run_path}/"
        name = str(told.get("path", "")).strip("/").removeprefix(above)
        job = self.picture.jobs.get(name)
        if job is not None:
            self.tracks.take(name, job.last_time, job.last)

    def _tell_remarks(self) -> None:
        """What the picture has put into its log since the last time."""
        new = list(takewhile(lambda said: said is not self._remark, reversed(self.picture.log)))
        for said in reversed(new):
            self.happenings.add({**asdict(said), "kind": "log"})
            self._remark = said

    def _tell(self, signal: Signal, now: float) -> None:
        name = signal.payload.get("name")
        path = str(signal.payload.get("path", signal.path)).strip("/")
        text = f"{path}/{name}".strip("/") if isinstance(name, str) else path or "/"
        self.happenings.add(
            {"time": now, "kind": signal.kind, "level": "INFO", "source": path, "text": text}
        )

    # -- what pages are told ---------------------------------------------------------------------

    def refresh(self, now: float) -> None:
        """Bring the news up to date with the picture."""
        with self.lock:
            picture = self.picture
            facts = {"run": run_facts(picture, now, self.trouble)}
            facts |= {f"job:{name}": job_facts(job, now) for name, job in picture.jobs.items()}
        for name, value in facts.items():
            self.news.put(name, value)
        self.news.keep(facts)
