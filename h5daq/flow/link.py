"""How a sender stands to the writer, as a table: (state, event) -> (state, what to do).

Rows wait while it greets; hello goes ahead of them::

              ADVANCE, REPEAT …      SILENCE
    GREET ─────────────────▶ STREAM ───────────▶ PROBE ──┐ SILENCE (back-off doubles)
      ▲                        │ ▲    ADVANCE     │ ▲    │
      │   NEED_HELLO,          │ └────────────────┘ └────┘
      └── STRANGER, RESET ─────┴──────────────────┘

``STREAM`` keeps up to a window of bytes in flight, ``PROBE`` only the oldest message, so that a
writer that is away, slow or out of disk is never met by a storm.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["RULES", "Do", "Event", "State"]


class State(Enum):
    """How the sender stands to the writer."""

    # There is one of each, and to hash its name takes a call of Python's.
    __hash__ = object.__hash__

    GREET = "hello is said or about to be; rows wait"
    STREAM = "up to a window in flight"
    PROBE = "only the oldest message in flight"


class Event(Enum):
    """What the sender hears, or does not hear."""

    __hash__ = object.__hash__

    ADVANCE = "the writer at hand has committed more"
    REPEAT = "it says the same again: what follows was lost, or dropped as too early"
    BEAT = "the same again, by its clock or too soon to mean anything: it lives"
    OPEN = "its window was shut, or it was out of touch, and no longer is"
    NEED_HELLO = "it does not know this incarnation"
    STRANGER = "another writer, or another run of it"
    SILENCE = "nothing has moved for some time"
    RESET = "the socket was replaced"


class Do(Enum):
    """What follows for the messages held."""

    NOTHING = "no change in what is in flight"
    HELLO = "say hello now"
    REWIND = "everything held waits to be sent again"
    REWIND_ONCE = "the same, but once per position"


RULES: dict[tuple[State, Event], tuple[State, Do]] = {
    (State.GREET, Event.ADVANCE): (State.STREAM, Do.REWIND),
    (State.GREET, Event.REPEAT): (State.STREAM, Do.REWIND),
    (State.GREET, Event.BEAT): (State.STREAM, Do.REWIND),
    (State.GREET, Event.OPEN): (State.STREAM, Do.REWIND),
    # Answers to what was sent before the hello are still under way: the timer says it again.
    (State.GREET, Event.NEED_HELLO): (State.GREET, Do.NOTHING),
    (State.GREET, Event.STRANGER): (State.GREET, Do.HELLO),
    (State.GREET, Event.SILENCE): (State.GREET, Do.NOTHING),
    (State.GREET, Event.RESET): (State.GREET, Do.HELLO),
    (State.STREAM, Event.ADVANCE): (State.STREAM, Do.NOTHING),
    (State.STREAM, Event.REPEAT): (State.STREAM, Do.REWIND_ONCE),
    (State.STREAM, Event.BEAT): (State.STREAM, Do.NOTHING),
    (State.STREAM, Event.OPEN): (State.STREAM, Do.REWIND),
    (State.STREAM, Event.NEED_HELLO): (State.GREET, Do.HELLO),
    (State.STREAM, Event.STRANGER): (State.GREET, Do.HELLO),
    (State.STREAM, Event.SILENCE): (State.PROBE, Do.REWIND),
    (State.STREAM, Event.RESET): (State.GREET, Do.HELLO),
    (State.PROBE, Event.ADVANCE): (State.STREAM, Do.REWIND),
    (State.PROBE, Event.REPEAT): (State.PROBE, Do.NOTHING),
    (State.PROBE, Event.BEAT): (State.PROBE, Do.NOTHING),
    (State.PROBE, Event.OPEN): (State.STREAM, Do.REWIND),
    (State.PROBE, Event.NEED_HELLO): (State.GREET, Do.HELLO),
    (State.PROBE, Event.STRANGER): (State.GREET, Do.HELLO),
    (State.PROBE, Event.SILENCE): (State.PROBE, Do.REWIND),
    (State.PROBE, Event.RESET): (State.GREET, Do.HELLO),
}
