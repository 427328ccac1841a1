"""Every row reaches the journal once, in order, over a link that may lose, repeat and delay.

A `Sender` numbers nothing and sends nothing: it is given numbered messages, holds each until the
writer has committed it, and says what to send now. Its counterpart, `Receiver`, keeps the number
of the row that it wants next. One cumulative answer, the *position*, joins the two; it may be
lost, repeated or late, since the next one says all of it again.

What the sender does next is a table of (state, event) in `h5daq.flow.link`; what it holds is an
`h5daq.flow.outbox.Outbox`. Time is an argument, in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from h5daq.flow.link import RULES, Do, Event, State
from h5daq.flow.outbox import Outbox, SkipEncoder
from h5daq.flow.packing import Buffer
from h5daq.flow.position import (
    Drop,
    Position,
    Receiver,
    Take,
    parse_heartbeat,
    parse_position,
)
from h5daq.flow.wire import decode_head, encode

__all__ = ["Drop", "Receiver", "Sender", "Take"]

WINDOW = 32 << 20
"""Bytes in flight, unless the writer asks for fewer."""

HELLO_SECONDS, HELLO_MAX = 0.1, 10.0
"""How long an answer to hello may take before it is said again, at first and at most."""

SILENCE_SECONDS, SILENCE_MAX = 1.0, 16.0
"""How long nothing may move before the oldest message is sent again, at first and at most."""

REPEAT_SECONDS = 0.1
"""A repeated position tells of lost rows only if nothing has moved for so long. Before that it may
answer to something else, even to rows sent twice, and resending would go on for ever."""

AWAY_SECONDS = 3.5
"""A writer not heard for this long (three heartbeats) was out of touch: what was sent is gone."""

BLOCKED_SECONDS, BLOCKED_MAX = 0.005, 0.25
"""How soon a socket that would block is tried again, at first and at most."""


class Sender:
    """What a worker holds of one incarnation, and what of it is to be sent now.

    Not thread-safe: the caller holds a lock. All times are seconds of one monotonic clock.

    Parameters
    ----------
    inc : int
        The incarnation.
    window : int
        Most bytes in flight. One message may always be, however large, unless the writer has
        shut its window.
    hello : bytes
        The encoded hello.
    first : int
        Number of the first row that will be put: 0 unless a spool is read from its middle.
    skip : callable, optional
        Encodes ``(first, n, cause)`` as a skip message; by default for the job that `hello` names.
    rest : float
        For how many seconds a position may wait, by the hello: silence is to last so much longer.
    """

    def __init__(
        self,
        inc: int,
        *,
        window: int = WINDOW,
        hello: bytes,
        first: int = 0,
        skip: SkipEncoder | None = None,
        rest: float = 0.0,
    ) -> None:
        self.inc, self.next = inc, first
        self._hello = hello
        self._box = Outbox(first, skip or _skip_encoder(hello))
        self._own_window = self._window = window
        self._state = State.GREET
        self._writer: tuple[Any, Any] | None = None
        self._heard, self._heard_at = 0, 0.0  # highest position of the writer at hand; when
        self._resent_for: int | None = None
        self._hello_at, self._hello_wait, self._hello_said = 0.0, HELLO_SECONDS, False
        self._quiet_since: float | None = None
        self._unanswered_since: float | None = None
        self._silence = self._least_silence = SILENCE_SECONDS + rest
        self._blocked_until, self._blocked_wait = 0.0, BLOCKED_SECONDS

    # -- what is held ------------------------------------------------------------------------

    @property
    def end(self) -> int:
        """The number that the next row gets."""
        return self._box.end

    @property
    def held_bytes(self) -> int:
        """Bytes of the messages that are not committed yet."""
        return self._box.held_bytes

    @property
    def held_rows(self) -> int:
        """Rows that are not committed yet."""
        return self._box.held_rows

    @property
    def idle(self) -> bool:
        """Whether all that was put is committed (and a bye answered)."""
        return self._box.empty

    @property
    def done(self) -> bool:
        """Whether the bye was answered: nothing is left to do."""
        return self._box.closed and self._box.empty

    @property
    def unanswered_since(self) -> float | None:
        """Since when nothing that was sent has brought an answer; None while all goes well.

        Over a connection that is alive only a writer that commits nothing is silent for long.
        """
        return self._unanswered_since

    def put(self, first: int, n: int, message: Buffer) -> None:
        """Hold an encoded message with rows ``first … first+n-1`` (or a skip over them).

        Raises
        ------
        JobValueError
            If its numbers do not follow those before it, or after `finish`.
        """
        self._box.put(first, n, message)

    def finish(self, bye: bytes) -> None:
        """Send `bye` after the last row, until the writer answers it. Nothing is put any more."""
        self._box.close(bye)

    def jump(self, first: int) -> None:
        """Go on with row `first`; rows before it are committed. Only while nothing is held."""
        self._box.jump(first)

    def skip(self, first: int, cause: str) -> None:
        """Go on with row `first`; rows before it are lost by `cause`, and a skip says so."""
        self._box.skip(first, cause)

    def held(self) -> Iterator[tuple[int, int, Buffer]]:
        """First row, rows and message of all that is held, oldest first, without the bye."""
        return self._box.held()

    def shed(self, keep_bytes: int, cause: str) -> int:
        """Give up the oldest rows not in flight until `keep_bytes` are held; how many they are.

        A skip with `cause` takes their place, by which the writer counts them as lost.
        """
        return self._box.shed(keep_bytes, cause)

    # -- what the writer says -------------------------------------------------------------------

    def on_position(self, pos: Mapping[str, Any], now: float) -> None:
        """Take a position: ``{"boot","run","inc","next","window"}``, ``"need"`` or ``"bye"``.

        Raises
        ------
        WireError
            If it is none.
        """
        if pos.get("inc") == self.inc:
            self._hear(parse_position(pos), now)

    def on_heartbeat(self, beat: Mapping[str, Any], job: str, now: float) -> None:
        """Take a ``heartbeat``: ``{"boot","run","positions": {job: [inc, next]}}``.

        It trims like a position and betrays a new writer; as it comes by the clock, hearing the
        same again says nothing of lost rows.

        Raises
        ------
        WireError
            If it is none.
        """
        self._hear(parse_heartbeat(beat, job, self.inc), now)

    def reset_link(self, now: float) -> None:
        """The socket was replaced: hello again, then all that is held."""
        self._blocked_until = 0.0
        self._apply(Event.RESET, now)

    # -- what to send ---------------------------------------------------------------------------

    def pump(self, send: Callable[[Buffer], bool], now: float) -> int:
        """Hand to `send` what is to be sent now, in order, until it returns False; the count.

        Parameters
        ----------
        send : callable
            Takes a message; False if the socket would block. It is then tried again later.
        """
        self._notice_silence(now)
        sent = 0
        while now >= self._blocked_until and (message := self._upcoming(now)) is not None:
            if not send(message):
                self._blocked_until = now + self._blocked_wait
                self._blocked_wait = min(2 * self._blocked_wait, BLOCKED_MAX)
                break
            self._sent(now)
            sent += 1
        return sent

    def poll(self, now: float) -> list[Buffer]:
        """The messages to send now, in order, taken as sent."""
        messages: list[Buffer] = []

        def collect(message: Buffer) -> bool:
            messages.append(message)
            return True

        self.pump(collect, now)
        return messages

    def next_deadline(self) -> float | None:
        """When `poll` has something to do even if nothing comes; None for never. May be past."""
        times = []
        if self._state is State.GREET:
            times.append(max(self._hello_at, self._blocked_until))
        elif self._upcoming(0.0) is not None:
            times.append(self._blocked_until)
        if self._quiet_since is not None:
            times.append(self._quiet_since + self._silence)
        return min(times, default=None)

    # -- inside ---------------------------------------------------------------------------------

    def _hear(self, pos: Position, now: float) -> None:
        stranger = self._writer is not None and pos.writer != self._writer
        away = now - self._heard_at > AWAY_SECONDS
        self._heard_at = now
        if self._writer != pos.writer:
            self._writer, self._heard, self._resent_for = pos.writer, 0, None
        if stranger or pos.need_hello:
            self._apply(Event.STRANGER if stranger else Event.NEED_HELLO, now)
        elif pos.next is not None and pos.next >= self._heard and self._greeted:
            self._answered(pos, pos.next, now, away=away)

    @property
    def _greeted(self) -> bool:
        # What comes before hello has gone out is no answer to it; it will come again.
        return self._hello_said or self._state is not State.GREET

    def _answered(self, pos: Position, following: int, now: float, *, away: bool) -> None:
        opened = self._set_window(pos.window)
        event = Event.BEAT if pos.beat or self._moved_just(now) else Event.REPEAT
        if following != self.next:
            event = Event.ADVANCE
        self._heard = self.next = following
        self._box.trim(following, bye=pos.bye)
        self._box.bridge(following, "trimmed")
        self._apply(Event.OPEN if opened or away else event, now)

    def _set_window(self, window: int | None) -> bool:
        """Take the writer's window; whether it was shut and no longer is."""
        if window is None:
            return False
        shut, self._window = self._window == 0, min(window, self._own_window)
        return shut and self._window > 0

    def _apply(self, event: Event, now: float) -> None:
        before = self._state
        self._state, action = RULES[before, event]
        if self._state is State.STREAM:
            self._unanswered_since = None
        elif self._unanswered_since is None or event is Event.RESET:
            self._unanswered_since = now
        self._time(event, before, now)
        if action is Do.HELLO:
            self._hello_at, self._hello_wait, self._hello_said = now, HELLO_SECONDS, False
        if action in (Do.HELLO, Do.REWIND):
            self._box.rewind()
        once = action is Do.REWIND_ONCE and self._resent_for != self.next
        if once and self._box.flying_bytes:
            self._resent_for = self.next
            self._box.rewind()
        if before is State.GREET and self._state is State.STREAM:
            self._resent_for = self.next

    def _time(self, event: Event, before: State, now: float) -> None:
        """Silence counts from the last time that anything moved."""
        if event is Event.SILENCE:
            self._quiet_since, self._silence = now, min(2 * self._silence, SILENCE_MAX)
        elif event in (Event.ADVANCE, Event.OPEN) or before is not self._state:
            self._quiet_since = None if self._box.empty else now
            # A writer that is slow for long isn't probed in vain: only a stream in flow counts.
            if before is State.STREAM:
                self._silence = max(self._silence / 2, self._least_silence)

    def _moved_just(self, now: float) -> bool:
        return self._quiet_since is None or now - self._quiet_since < REPEAT_SECONDS

    def _notice_silence(self, now: float) -> None:
        if self._state is State.GREET or self._box.empty:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        elif now >= self._quiet_since + self._silence:
            self._apply(Event.SILENCE, now)

    def _upcoming(self, now: float) -> Buffer | None:
        if self._state is State.GREET:
            return self._hello if now >= self._hello_at else None
        message, flying = self._box.upcoming, self._box.flying_bytes
        if message is None or (self._state is State.PROBE and flying):
            return None
        if self._state is State.STREAM and flying + len(message) > self._window:
            # One message may always be in flight, unless the writer has shut its window.
            return message if self._window and not flying else None
        return message

    def _sent(self, now: float) -> None:
        self._blocked_until, self._blocked_wait = 0.0, BLOCKED_SECONDS
        if self._state is not State.GREET:
            self._box.launch()
            return
        self._hello_said = True
        if self._unanswered_since is None:
            self._unanswered_since = now
        self._hello_at = now + self._hello_wait
        self._hello_wait = min(2 * self._hello_wait, HELLO_MAX)


def _skip_encoder(hello: bytes) -> SkipEncoder:
    def encode_skip(first: int, n: int, cause: str) -> bytes:
        head = decode_head(hello)
        return encode("skip", job=head.job, inc=head.inc, first=first, n=n, cause=cause)

    return encode_skip
