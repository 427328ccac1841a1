"""Being told of news in the vault: a function that is called, or signals to iterate.

The writer tells a context of new data once, and again only after the context has looked: `get`,
or `open`. Functions are called in a thread of their own, so they may use the context themselves.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from h5daq.errors import BadArgument, ContextLost, NoAnswer
from h5daq.flow.closing import Closing
from h5daq.flow.requests import Note

__all__ = ["KINDS", "LOST", "SignalStream", "Signals", "VaultSignal"]

KINDS = (
    "new-dir", "new-dataset", "data-available", "new-parameter", "comments-available",
    "tags-updated",
)  # fmt: skip
"""What a context can be told of."""

LOST = "context-lost"
"""What it is told of without the writer: that this has forgotten it."""

_KEPT = 10_000
"""Signals that wait for whoever iterates them; the oldest go."""

_LOGGER = logging.getLogger("h5daq.vault")

Tagged = list[tuple[str, list[str]]]
Callback = Callable[["VaultSignal"], object]


@dataclass(frozen=True, slots=True)
class VaultSignal:
    """News of the vault.

    Attributes
    ----------
    kind : str
        One of `KINDS`, or ``context-lost``.
    name : str
        Of the new directory or dataset, or of the dataset with news.
    path : tuple of str
        The directory of the dataset with news; empty for the other kinds: they are about the
        directory in which the context is.
    directories, datasets : list of (name, tags)
        Whose tags were updated, with all the tags that they have now.
    """

    kind: str
    name: str = ""
    path: tuple[str, ...] = ()
    directories: tuple[tuple[str, tuple[str, ...]], ...] = ()
    datasets: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, note: Note) -> VaultSignal:
        """What a note says; what it should say and doesn't is left empty."""
        said = note.payload
        if isinstance(said, str):
            return cls(note.signal, said)
        if isinstance(said, dict):
            return cls(note.signal, str(said.get("name", "")), tuple(said.get("path") or ()))
        if isinstance(said, list) and len(said) == 2:
            return cls(note.signal, directories=_tagged(said[0]), datasets=_tagged(said[1]))
        return cls(note.signal)


def _tagged(pairs: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((str(name), tuple(tags)) for name, tags in pairs)


class Signals:
    """Who wants to be told of what, in one context.

    Parameters
    ----------
    register : callable
        Tells the writer that a kind of signal is wanted under a number, or no more (None).
    """

    def __init__(self, register: Callable[[str, int | None], None]) -> None:
        self._register = register
        self._lock = threading.Lock()
        self._callbacks: dict[str, list[Callback]] = {}
        self._streams: WeakSet[SignalStream] = WeakSet()
        self._registered: set[str] = set()
        self._queue: queue.SimpleQueue[VaultSignal | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # -- from any thread ---------------------------------------------------------------------------

    def on(self, kind: str, callback: Callback) -> None:
        """Call a function at each signal of a kind."""
        check_kind(kind, (*KINDS, LOST))
        with self._lock:
            self._callbacks.setdefault(kind, []).append(callback)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._call, name="h5daq vault signals", daemon=True
                )
                self._thread.start()
        self._want([kind])

    def off(self, kind: str, callback: Callback | None = None) -> None:
        """Call it no more; without `callback`, none for this kind."""
        check_kind(kind, (*KINDS, LOST))
        with self._lock:
            left = [] if callback is None else self._callbacks.get(kind, [])
            self._callbacks[kind] = [known for known in left if known != callback]
        self._tidy()

    def stream(self, kinds: tuple[str, ...], timeout: float | None) -> SignalStream:
        """Signals of some kinds to iterate."""
        for kind in kinds:
            check_kind(kind, KINDS)
        stream = SignalStream(kinds or KINDS, timeout, self._leave)
        with self._lock:
            self._streams.add(stream)
        self._want(stream.kinds)
        return stream

    def renew(self) -> None:
        """Register with the writer anew what was registered with the one before."""
        with self._lock:
            kinds, self._registered = sorted(self._registered), set()
        self._want(kinds)

    def close(self) -> None:
        """Call and tell nobody any more."""
        with self._lock:
            streams, thread = list(self._streams), self._thread
        for stream in streams:
            stream.take(None)
        self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # -- from the courier's thread -----------------------------------------------------------------

    def hear(self, signal: VaultSignal) -> None:
        """Pass a signal on."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            if signal.kind in (*stream.kinds, LOST):
                stream.take(signal)
        self._queue.put(signal)

    # -- within ------------------------------------------------------------------------------------

    def _want(self, kinds: tuple[str, ...] | list[str]) -> None:
        for kind in kinds:
            if kind not in self._registered and kind != LOST:
                self._register(kind, KINDS.index(kind) + 1)
                self._registered.add(kind)

    def _leave(self, stream: SignalStream) -> None:
        with self._lock:
            self._streams.discard(stream)
        self._tidy()

    def _tidy(self) -> None:
        """Tell the writer what nobody wants any more."""
        with self._lock:
            wanted = {kind for stream in self._streams for kind in stream.kinds}
            wanted |= {kind for kind, callbacks in self._callbacks.items() if callbacks}
            unwanted = self._registered - wanted
            self._registered &= wanted
        for kind in sorted(unwanted):
            self._register(kind, None)

    def _call(self) -> None:
        while (signal := self._queue.get()) is not None:
            with self._lock:
                callbacks = list(self._callbacks.get(signal.kind, ()))
            for callback in callbacks:
                try:
                    callback(signal)
                except Exception:  # the user's own; the next signal must be told all the same
                    _LOGGER.exception("a function that was to be told of %s failed", signal.kind)


class SignalStream(Closing):
    """Signals as they come: an iterator and a context manager. For one thread.

    Its end, and a `close` of the context, ends the iteration.

    Raises
    ------
    NoAnswer
        If none comes within the timeout.
    ContextLost
        Once all that came has been given out, if the writer has forgotten the context. After its
        `restore` the iteration can go on.
    """

    def __init__(
        self,
        kinds: tuple[str, ...],
        timeout: float | None,
        leave: Callable[[SignalStream], None],
    ) -> None:
        self.kinds = kinds
        self._timeout, self._leave = timeout, leave
        self._came: queue.Queue[VaultSignal | None] = queue.Queue(_KEPT)

    def take(self, signal: VaultSignal | None) -> None:
        """A signal for whoever iterates; None ends the iteration."""
        while True:
            try:
                return self._came.put_nowait(signal)
            except queue.Full:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        try:
            self._came.get_nowait()
        except queue.Empty:
            return

    def __iter__(self) -> Iterator[VaultSignal]:
        return self

    def __next__(self) -> VaultSignal:
        try:
            signal = self._came.get(timeout=self._timeout)
        except queue.Empty:
            raise NoAnswer(f"no signal of the vault within {self._timeout:g} s") from None
        if signal is None:
            self.take(None)  # it stays at its end
            raise StopIteration
        if signal.kind == LOST:
            raise ContextLost(
                "the writer has forgotten this context and tells it nothing more: restore() takes "
                "up where it was"
            )
        return signal

    def close(self) -> None:
        """Be told of nothing more."""
        self._leave(self)
        self.take(None)


def check_kind(kind: str, known: tuple[str, ...]) -> None:
    """Refuse an unknown kind.

    Raises
    ------
    BadArgument
        Names those that there are.
    """
    if kind not in known:
        raise BadArgument(f"there is no signal {kind!r}; there are: {', '.join(known)}")
