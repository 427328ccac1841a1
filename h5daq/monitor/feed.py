"""What feeds a `Picture`: a thread that hears the signals, and one that asks what they don't tell.

Neither waits for whoever draws, and nothing in a run waits for them: who hears too slowly misses
signals, and the next status makes the picture whole again. A writer that has gone is looked for
again where it was found, so a monitor may stay open from one run to the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from h5daq.client import Client, Signal, Subscription
from h5daq.errors import H5daqError, NoAnswer, RequestError, VaultError, WireError
from h5daq.flow.closing import Closing
from h5daq.flow.glimpse import read_glimpse
from h5daq.monitor.connection import Connection
from h5daq.monitor.picture import KINDS, Picture

if TYPE_CHECKING:
    from h5daq.vaultclient import VaultContext

__all__ = ["Feed", "Listener"]

_ROUND_SECONDS = 0.1
_DIAL_SECONDS = 0.5
_HEAR_SECONDS = 0.2
_ORDER_SECONDS = 10.0


class Listener(Protocol):
    """Who keeps more than the picture does of what comes; called while the lock is held."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of signals that it wants beside those of the picture."""
        ...

    def heard(self, signal: Signal, now: float) -> None:
        """A signal has come; the picture has taken it, if it is one of its own."""
        ...

    def answered(self, now: float) -> None:
        """The picture has taken the answer to a status request."""
        ...


class Feed(Closing):
    """Keeps a picture up to date, until it is closed.

    Parameters
    ----------
    dial : callable
        Gives a `Client` of the running system; called again when it does not answer.
    picture : Picture, optional
        What is fed; made if left out.
    clock : callable
        Gives the time, UTC seconds.
    patience : float
        Seconds after which a writer that doesn't answer is looked for anew.
    listener : Listener, optional
        Who is told of all that comes.
    insist : bool
        Whether somebody must answer at once; else a writer that does not is waited for.

    Attributes
    ----------
    picture : Picture
        To be looked at only while `lock` is held.
    lock : threading.Lock
        Held while the picture is changed: microseconds to a few milliseconds.
    connection : Connection
        The clients by which it asks, for others to ask by as well.
    trouble : str
        Why nothing is answered at present; empty if all is well.

    Raises
    ------
    NoAnswer
        If nobody answers at the first attempt.
    NotAllowed
        If the key may not look.

    Examples
    --------
    ::

        with Feed(lambda: h5daq.connect(directory="data")) as feed, feed.lock:
            print(feed.picture.rows())
    """

    def __init__(
        self,
        dial: Callable[[], Client],
        picture: Picture | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = 3.0,
        listener: Listener | None = None,
        *,
        insist: bool = True,
    ) -> None:
        self.picture = Picture() if picture is None else picture
        self.lock, self.trouble = threading.Lock(), ""
        self._clock, self._patience, self._listener = clock, patience, listener
        self._end = threading.Event()
        self.connection = Connection(dial)
        try:
            if insist:
                self._take_status(self.connection.status.status())
        except H5daqError:
            self.connection.close()
            raise
        self._threads = [
            threading.Thread(target=run, name=f"h5daq-monitor-{name}", daemon=True)
            for name, run in (("hear", self._hear), ("ask", self._ask))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads and let go of the connections."""
        self._end.set()
        for thread in self._threads:
            thread.join()
        self.connection.close()

    # -- orders, from any thread ---------------------------------------------------------------

    def order(self, verb: str, jobs: list[str]) -> None:
        """Tell jobs to ``pause``, ``resume`` or ``trigger``; errors as those of `Client.request`.

        The picture shows what comes of it.
        """
        self.connection.order.request(verb, timeout=_ORDER_SECONDS, jobs=jobs)

    def comment(self, job: str, text: str, user: str) -> None:
        """Add a comment to a job: it goes into the file, with the time.

        Raises
        ------
        VaultError
            If the writer takes no comments on this job, for instance since it has no rows yet.
        """
        with self.connection.order.vault(timeout=_ORDER_SECONDS) as vault:
            self._open(vault, job)
            vault.add_comment(text, user)

    def _open(self, vault: VaultContext, job: str) -> None:
        """Open a job as what it is in the vault: a dataset below the run."""
        with self.lock:
            run = self.picture.writer.run_path or ""
        *above, name = [part for part in (*run.split("/"), *job.split("/")) if part]
        vault.cd(["", *above])
        vault.open(name)

    # -- the thread that hears -----------------------------------------------------------------

    def _hear(self) -> None:
        kinds = KINDS if self._listener is None else (*KINDS, *self._listener.kinds)
        while not self._end.is_set():
            client = self.connection.status
            try:
                address = client.signals_endpoint
            except H5daqError as error:
                self.trouble = str(error)
                self._end.wait(_DIAL_SECONDS)
                continue
            with Subscription(address, kinds, keys=client.keys) as signals:
                while client is self.connection.status and not self._end.is_set():
                    with suppress(NoAnswer, WireError):
                        self._take_signals(signals)

    def _take_signals(self, signals: Subscription) -> None:
        came = signals.receive(_HEAR_SECONDS)
        with self.lock:
            for signal in came:
                now = self._clock()
                if signal.kind in KINDS:
                    self.picture.take(signal.kind, signal.path, signal.payload, now)
                if self._listener is not None:
                    self._listener.heard(signal, now)

    # -- the thread that asks ------------------------------------------------------------------

    def _ask(self) -> None:
        while not self._end.wait(_DIAL_SECONDS if self.trouble else _ROUND_SECONDS):
            try:
                if self.trouble:
                    # The next writer of a directory may have another address.
                    self.connection.look_again()
                self._ask_round()
                self.trouble = ""
            except H5daqError as error:
                self.trouble = str(error)

    def _ask_round(self) -> None:
        with self.lock:
            due = self.trouble or self.picture.wants_status(self._clock())
            names = self.picture.wants_values(self._clock())
            glimpses = self.picture.wants_glimpses(self._clock())
            undescribed = self.picture.wants_units()
        if due:
            self._take_status(self.connection.status.request("status", timeout=self._patience))
        for name in names:
            self._peek(name)
        for name, label in glimpses:
            self._glimpse(name, label)
        if undescribed is not None:
            self._describe(undescribed)

    def _peek(self, name: str) -> None:
        try:
            row = self.connection.status.request("peek", timeout=self._patience, job=name)
        except RequestError:
            row = None  # a job that this writer has not heard of yet
        with self.lock:
            self.picture.take_values(name, row, self._clock())

    def _glimpse(self, name: str, label: str) -> None:
        """See `h5daq.flow.glimpse`; a writer that knows nothing of it shows nothing."""
        try:
            told = self.connection.status.request(
                "glimpse", timeout=self._patience, job=name, column=label
            )
            value = None if told is None else read_glimpse(told)[1]
        except (RequestError, WireError):
            value = None
        with self.lock:
            job = self.picture.jobs.get(name)
            if job is not None and value is not None:
                job.take_glimpse(label, value)

    def _describe(self, name: str) -> None:
        columns: list[tuple[str, tuple[int, ...], str]] = []
        with (
            suppress(VaultError, RequestError),
            self.connection.status.vault(timeout=self._patience) as vault,
        ):
            self._open(vault, name)
            _, dependents = vault.variables_ex()
            columns = [(label, shape, unit) for label, _, shape, _, unit in dependents]
        with self.lock:
            self.picture.job(name).take_columns(columns)

    def _take_status(self, reply: Any) -> None:
        with self.lock:
            now = self._clock()
            self.picture.take_status(reply, now)
            if self._listener is not None:
                self._listener.answered(now)
