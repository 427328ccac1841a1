"""One look at the sockets after the other: messages in, notes to the committer, answers out.

It is what the main thread does most of the time. After a look that brought little the workers'
socket is left alone for a moment, as long as they allow (`h5daq.flow.wishes`); while the files
can't follow it is left alone until they have.
"""

from __future__ import annotations

import threading
import time

from h5daq.flow.wishes import Pause
from h5daq.logs import log_remote
from h5daq.transports.base import Events, Frame
from h5daq.writer.parts import MEMORY_BYTES, Parts

__all__ = ["Reception"]

_LONGEST_SECONDS = 1.0
_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 512, 4 << 20

_LAG_BYTES = 40 << 20
"""Committed entries that the files may be behind, of those that the journal keeps in memory."""

_QUIET_SECONDS = 0.05
"""Without rows for so long, the thread that takes requests syncs the vault's changes itself."""

_NEWS_SECONDS = 0.01
"""Between two times that news of the vault go to the committer, if that has nothing to commit."""

_CATCH_UP_SECONDS = 0.005
"""How long the sockets are left alone at a time while the files catch up."""


class Reception:
    """Reads the sockets of a writer.

    Parameters
    ----------
    parts : Parts
        Of the writer.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts, self._port, self._intake = parts, parts.port, parts.intake
        self._guard, self._vault, self._replies = parts.guard, parts.vault, parts.replies
        settings = parts.settings
        in_memory = settings.durability == "none"
        self._limit_bytes = MEMORY_BYTES if in_memory else settings.journal_bytes
        self._replayed_bytes = parts.builder.bytes_read
        self._caught_up = threading.Event()
        self._rows_at = self._told_at = 0.0
        self._pause = Pause()

    def look(self, until: float) -> None:
        """Wait for messages, and deal with those that have come.

        Parameters
        ----------
        until : float
            When to return at the latest, if there are none; monotonic seconds.
        """
        self._receive(self._poll(until))

    def files_follow(self) -> None:
        """The files have caught up with some of what is committed. From any thread."""
        self._caught_up.set()
        self._port.wake()

    # -- waiting ---------------------------------------------------------------------------------

    def _poll(self, until: float) -> Events:
        """Wait for messages; for those of workers not sooner than the pause is over."""
        wait, left = self._patience(until), self._pause.left(time.monotonic())
        return self._port.poll(min(wait, left) if left else wait, data=not left)

    def _patience(self, until: float) -> float:
        if not self._intake.note.empty:
            until = min(until, self._told_at + _NEWS_SECONDS)
        return max(0.0, min(until - time.monotonic(), _LONGEST_SECONDS))

    def _has_room(self) -> bool:
        """Whether the files keep up. If they don't, the sockets fill up and the workers wait.

        A writer that can't store at all reads on and takes nothing, so as to stay in touch.
        """
        journal = self._parts.journal
        waiting = journal.waiting_bytes
        full = waiting > self._limit_bytes // 2 and waiting + 2 * _BYTES_AT_ONCE > self._limit_bytes
        if full or self._intake.stalled:
            # They might otherwise wait for their time, or for bytes that have no room to come.
            self._vault.checkpoint()
            self._parts.store.flush(journal.last)
        if not (full or self._lagging()) or self._parts.desk.trouble():
            return True
        self._caught_up.clear()
        self._caught_up.wait(_CATCH_UP_SECONDS)
        return False

    def _lagging(self) -> bool:
        """Whether the files are so far behind that entries would have to be read from disk."""
        read = self._parts.builder.bytes_read - self._replayed_bytes
        return self._intake.journaled_bytes - read > _LAG_BYTES

    # -- in --------------------------------------------------------------------------------------

    def _receive(self, events: Events) -> None:
        if events.data and self._has_room():
            self._rows_at = time.monotonic()
            self._take(self._port.receive_data(_MESSAGES_AT_ONCE, _BYTES_AT_ONCE))
        self._remark()
        self._parts.own.flush()
        self._vault.follow()
        if not self._intake.note.only_news:
            self._deliver()
        if events.requests:
            self._answer()
        self._replies.send_ready()
        self._deliver_held()

    def _take(self, frames: list[Frame]) -> None:
        nbytes = sum(len(frame.buffer) for frame in frames)
        self._pause.looked(self._rows_at, len(frames), nbytes, self._intake.wishes.pause)
        if self._guard is None:
            for frame in frames:
                self._intake.take(frame.buffer)
            return
        for frame in frames:
            self._intake.take(frame.buffer, self._port.user_of(frame))
        for job, name, why in self._guard.turned_away():
            self._parts.publisher.send("refused", job, cause=why, key=name)

    def _remark(self) -> None:
        remarks, self._intake.remarks = self._intake.remarks, []
        for kind, job, fields in remarks:
            if kind == "log":
                log_remote({**fields, "job": job})
            else:
                self._parts.desk.order_done(job, int(fields.get("cmd") or 0))
            self._parts.publisher.send(kind, job, **{**fields, "job": job})

    # -- out -------------------------------------------------------------------------------------

    def _answer(self) -> None:
        """Take requests. Where no rows come in, their commit needs no other thread."""
        self._replies.receive()
        now = time.monotonic()
        if now < self._rows_at + _QUIET_SECONDS or not self._vault.commit():
            self._deliver()
        elif not self._intake.note.only_news:
            self._replies.send_ready()
            self._deliver()

    def _deliver(self) -> None:
        note = self._intake.collect()
        if not note.empty:
            self._told_at = time.monotonic()
            self._parts.notes.deliver(note)

    def _deliver_held(self) -> None:
        """Pass on what is committed already and only to be told: soon, but not for each add."""
        if not self._intake.note.empty and time.monotonic() >= self._told_at + _NEWS_SECONDS:
            self._deliver()
