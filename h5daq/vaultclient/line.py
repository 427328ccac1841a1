"""One context's conversation with the writer: a request, then its answer or its error.

A request whose answer is overdue stays open: the courier goes on asking under the same number, so
that it is done once at most. As long as it is not known whether a change was made, no other
request is let through, since the user would have to guess; `settle` waits on. Of what only reads,
several requests may be under way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

from h5daq.errors import (
    BadArgument,
    BadData,
    BadParameter,
    ContextLost,
    DatasetNotFound,
    DataVersionMismatch,
    DirectoryExists,
    DirectoryNotFound,
    EmptyName,
    H5daqError,
    NoAnswer,
    NoDataset,
    ParameterInUse,
    ReadOnly,
    StorageError,
    VaultError,
)
from h5daq.flow.packing import Buffer
from h5daq.flow.requests import ErrorCode, Failure, Note
from h5daq.vaultclient.courier import Courier, Hearer

__all__ = ["BEATS", "Answer", "Line"]

BEATS = 6
"""Signs of life in the time of a lease."""

_ERRORS: dict[int, type[VaultError]] = {
    error.code: error
    for error in (
        NoDataset, DatasetNotFound, DirectoryExists, DirectoryNotFound, EmptyName, ReadOnly,
        BadData, BadParameter, ParameterInUse, DataVersionMismatch, BadArgument, ContextLost,
    )
}  # fmt: skip

_READING = frozenset(
    (
        "context", "forget", "resume", "dir", "open", "get", "get_ex", "get_ex_t", "variables",
        "variables_ex", "row_type", "transpose_type", "get_version", "get_name", "parameters",
        "get_parameter", "get_parameters", "get_comments", "get_tags", "dump_existing_sessions",
        "signal",
    )
)  # fmt: skip
"""Verbs of which it does no harm not to know whether they were done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the result, its frames, and whether the request was sent only once."""

    result: Any
    frames: tuple[Buffer, ...]
    once: bool


class Line:
    """Requests in one context, one at a time, but for readings; from any thread.

    Parameters
    ----------
    courier : Courier
        Carries them.
    endpoint : str
        The writer's, for texts.
    contexts : iterator of int
        Numbers of contexts that are not used yet.
    hearer : Hearer
        Gets the notes.
    timeout : float
        Seconds to wait for an answer.

    Attributes
    ----------
    ahead : int
        How many pages of a reading the writer answers ahead; 0 if it knows of no such thing.
    """

    def __init__(
        self,
        courier: Courier,
        endpoint: str,
        contexts: Iterator[int],
        hearer: Hearer,
        timeout: float,
    ) -> None:
        self._lock = threading.RLock()
        self.timeout = timeout
        self.closed = False
        self._lost = 0
        self._courier, self._endpoint = courier, endpoint
        # Weakly: the courier has the line, and a context that nobody uses any more is to end.
        self._contexts, self._hearer = contexts, ref(hearer)
        self._ctx = -1
        self._open: deque[tuple[str, Future[Any]]] = deque()
        self.ahead = 0

    def begin(self, lease: float | None) -> None:
        """Have a new context, and keep it alive; one that was had before is let go."""
        with self.turn():
            self._courier.release(self._ctx)
            self._ctx, self._open = next(self._contexts), deque()
            granted = self.ask("context", {} if lease is None else {"lease": lease}).result
            self.ahead = int(granted.get("ahead") or 0)
            self._courier.hold(self._ctx, self, float(granted["lease"]) / BEATS)

    def ask(
        self,
        verb: str,
        args: dict[str, Any] | None = None,
        frames: Sequence[Buffer] = (),
        *,
        wait: bool = True,
    ) -> Answer:
        """Ask, and wait for the answer: for `timeout` seconds, or without `wait` for ever.

        Raises
        ------
        VaultError
            What the writer refuses, by its code; `ContextLost` if it knows this context no more.
        NotAllowed, RequestError
            What it refuses for other reasons.
        StorageError
            What it can't do for the state of its disk.
        NoAnswer
            If nothing comes in time, or an earlier change has no answer yet.
        """
        with self.turn():
            self._settled(verb)
            self._open.append((verb, self._courier.ask(self._ctx, verb, args or {}, frames)))
            return self._answer(self.timeout if wait else None)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Have the line alone to `put` questions ahead of what is `heard`.

        What is under way at the end is given up.

        Raises
        ------
        NoAnswer
            As `turn`, or if an earlier change has no answer yet.
        """
        with self.turn():
            self._settled("get")
            try:
                yield
            finally:
                self.give_up()

    def put(self, verb: str, several: Sequence[dict[str, Any]], coming: int = 0) -> None:
        """Ask by a verb that only reads, behind what is asked already.

        Parameters
        ----------
        verb : str
            Which.
        several : sequence of dict
            Arguments, for each question.
        coming : int
            Bytes that are to come until their answers are there, as far as is known.

        Raises
        ------
        ContextLost, NoAnswer
            If the writer knows this context no more, or it is closed.
        """
        self._check(verb)
        asked = self._courier.ask_all(self._ctx, verb, several, coming=coming)
        self._open += [(verb, future) for future in asked]

    def heard(self) -> Answer:
        """The answer to the oldest question that was put; raises as `ask`."""
        return self._answer(self.timeout)

    def give_up(self) -> None:
        """Wait for no answer any more."""
        for _, future in list(self._open):
            future.cancel()
        self._open.clear()

    def settle(self, timeout: float | None = None) -> tuple[str, Any] | None:
        """Wait for the answer to the last request, if that is overdue; its verb and result.

        Raises
        ------
        NoAnswer
            If it is not there in time, either.
        VaultError
            If it was refused after all.
        """
        with self.turn():
            if not self._open:
                return None
            verb, _ = self._open[0]
            return verb, self._answer(self.timeout if timeout is None else timeout).result

    def close(self) -> None:
        """Tell the writer that the context is done with; whether it hears of it is no matter."""
        if self.closed:
            return
        self.closed = True
        self._courier.release(self._ctx)
        # Not in turn: a thread that waits for an answer is to wait no more.
        for _, future in list(self._open):
            future.cancel()
        if not self.lost:
            self._courier.ask(self._ctx, "forget", {})

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the line alone; what other threads ask waits.

        Raises
        ------
        NoAnswer
            If another thread has it for too long.
        """
        if not self._lock.acquire(timeout=self.timeout):
            raise NoAnswer(
                f"another thread has waited for an answer from {self._endpoint} in this context "
                f"for {self.timeout:g} s; is the writer running there?"
            )
        try:
            yield
        finally:
            self._lock.release()

    # -- told by the courier -----------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the context's user has let go of it without a `close`."""
        return self._hearer() is None

    @property
    def lost(self) -> bool:
        """Whether the writer is known to have forgotten the context that this line has now."""
        return self._lost == self._ctx

    def hear(self, note: Note) -> None:
        """A note for the context."""
        hearer = self._hearer()
        if hearer is not None:
            hearer.hear(note)

    def lose(self, ctx: int) -> None:
        """The writer knows that context no more; it may be one that this line had before."""
        hearer = self._hearer()
        if ctx == self._ctx and not self.lost and hearer is not None:
            self._lost = ctx
            hearer.lose()

    # -- within ------------------------------------------------------------------------------------

    def _check(self, verb: str) -> None:
        if self.closed:
            raise NoAnswer(f"{verb}: this context of the vault is closed")
        if self.lost:
            raise self._loss()

    def _settled(self, verb: str) -> None:
        """See that nothing is under way of which it must be known what came of it."""
        self._check(verb)
        if not self._open:
            return
        earlier, future = self._open[0]
        if future.done() or earlier in _READING:
            self._answer(self.timeout)
        else:
            raise NoAnswer(
                f"{verb}: whether {earlier} was done is not known yet. settle() waits for its "
                "answer; asking for it again could do it twice"
            )

    def _answer(self, timeout: float | None) -> Answer:
        verb, future = self._open[0]
        try:
            answered = future.result(timeout)
        except TimeoutError:
            raise self._silence(verb, timeout) from None
        except CancelledError:
            raise NoAnswer(f"{verb}: the client or the context is closed") from None
        self._open.popleft()
        if isinstance(answered.answer, Failure):
            raise self._error(verb, answered.answer)
        return Answer(answered.answer.result, answered.answer.frames, answered.sent == 1)

    def _error(self, verb: str, failure: Failure) -> H5daqError:
        kind = _ERRORS.get(failure.code)
        if kind is ContextLost:
            self.lose(self._ctx)
            return self._loss()
        if failure.code == ErrorCode.STORAGE:
            return StorageError(f"{verb}: {failure.message}")
        return failure.error() if kind is None else kind(failure.message)

    def _loss(self) -> ContextLost:
        return ContextLost(
            f"the writer at {self._endpoint} has forgotten this context: it was started anew, or "
            "heard nothing of it for longer than the lease. restore() takes up where it was"
        )

    def _silence(self, verb: str, timeout: float | None) -> NoAnswer:
        text = f"{verb}: no answer from {self._endpoint} within {timeout:g} s"
        if verb in _READING:
            why = self._courier.refusal or "is the writer running there?"
            return NoAnswer(f"{text}; {why}")
        return NoAnswer(
            f"{text}. It may have been done, and goes on being asked for: settle() waits for "
            "the answer; asking again could do it twice"
        )
