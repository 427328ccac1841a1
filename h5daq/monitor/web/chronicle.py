"""What pages are told beyond the picture: the newest points of each job, and what happened when.

It listens to the feed that keeps the picture, under its lock and whatever the pages do; pages take
from it what is new to them since they looked last, as often as they can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from h5daq.client import Signal
from h5daq.monitor.picture import Picture, Remark
from h5daq.monitor.web.news import Happenings, News
from h5daq.monitor.web.summary import job_facts, run_facts
from h5daq.monitor.web.traces import Tracks

__all__ = ["TOLD", "Chronicle"]

TOLD = ("new-dir", "new-dataset", "tags-updated", "new-parameter", "comments-available")
"""Signals of the vault that a page is told one by one; of new data it sees the data."""


class Chronicle:
    """The newest points, and what happened, for any number of pages; a `Listener` of the feed.

    Parameters
    ----------
    picture : Picture
        The state, which the feed keeps.

    Attributes
    ----------
    tracks : Tracks
        The newest points of each job; to be looked at under the feed's lock.
    news : News
        The state as pages are told it.
    happenings : Happenings
        Log, alarms and signals.
    """

    kinds = TOLD

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.tracks, self.news, self.happenings = Tracks(), News(), Happenings()
        self._remark: Remark | None = None

    # -- what the feed tells, under its lock -----------------------------------------------------

    def heard(self, signal: Signal, now: float) -> None:
        """See `Listener`."""
        if signal.kind in TOLD:
            self._tell(signal, now)
        self._tell_remarks()
        if signal.kind == "data-available":
            self._follow(signal.payload)

    def answered(self, now: float) -> None:  # noqa: ARG002
        """See `Listener`."""
        self._tell_remarks()
        self.tracks.keep(self._picture.jobs)

    def _follow(self, told: Mapping[str, Any]) -> None:
        above = f"{self._picture.writer.run_path}/"
        name = str(told.get("path", "")).strip("/").removeprefix(above)
        job = self._picture.jobs.get(name)
        if job is not None:
            self.tracks.take(name, job.last_time, job.last)

    def _tell_remarks(self) -> None:
        """What the picture has put into its log since the last time."""
        log = self._picture.log
        new = list(takewhile(lambda said: said is not self._remark, reversed(log)))
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

    def refresh(self, now: float, trouble: str) -> None:
        """Bring the news up to date with the picture; under the feed's lock.

        Parameters
        ----------
        now : float
            UTC seconds.
        trouble : str
            Why nothing is answered at present, if so.
        """
        picture = self._picture
        facts = {"run": run_facts(picture, now, trouble)}
        facts |= {f"job:{name}": job_facts(job, now) for name, job in picture.jobs.items()}
        for name, value in facts.items():
            self.news.put(name, value)
        self.news.keep(facts)
