"""At most one message between two reads: when a context is told of a dataset's news.

Each context has, for each kind of news of the dataset that it looks at, a latch. News are told to a
context whose latch is armed, and that spends it; more news are not told until the context has read.
Only a message that went to a listener spends the latch.

::

                 arm      news       unread     failed    resume     leave
    IDLE        ARMED    IDLE       *          IDLE      IDLE       IDLE
    ARMED       ARMED    *          *          ARMED     ARMED      IDLE
    TOLD        ARMED    TOLD       *          OWED      *          IDLE
    OWED        ARMED    *          *          OWED      *          IDLE

    *   told: TOLD if the context listens, ARMED if it does not (nothing was sent)

``arm`` is a `connect`, a `create`, and an `open` or `read` that leaves nothing unread; ``unread``
is one that leaves something. Parameters have no position: to read them always arms, and to open a
dataset does neither. A message that could not be sent is owed, and a client that comes back asks
with `resume` for what it may have missed.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Kind", "Latch", "State", "Telling"]


class Kind(Enum):
    """Kinds of news of a dataset, by the names of their signals."""

    DATA = "data-available"
    PARAMETERS = "new-parameter"
    COMMENTS = "comments-available"

    # Each is there once; an enumeration's own hash would be of its name, and slow.
    __hash__ = object.__hash__


class State(Enum):
    """What a latch is in."""

    IDLE = auto()
    ARMED = auto()
    TOLD = auto()
    OWED = auto()

    __hash__ = object.__hash__


class _Event(Enum):
    ARM = auto()
    UNREAD = auto()
    FAILED = auto()
    RESUME = auto()
    LEAVE = auto()


_I, _A, _T, _O = State
_TELL = None
"""In place of the next state: send a message, and see whether there is a listener."""

_TABLE: dict[_Event, dict[State, State | None]] = {
    _Event.ARM: {_I: _A, _A: _A, _T: _A, _O: _A},
    _Event.UNREAD: {_I: _TELL, _A: _TELL, _T: _TELL, _O: _TELL},
    _Event.FAILED: {_I: _I, _A: _A, _T: _O, _O: _O},
    _Event.RESUME: {_I: _I, _A: _A, _T: _TELL, _O: _TELL},
    _Event.LEAVE: {_I: _I, _A: _I, _T: _I, _O: _I},
}

C = TypeVar("C", bound=Hashable)
D = TypeVar("D", bound=Hashable)


class Telling(NamedTuple, Generic[C, D]):
    """A message to send: to `context`, with the id `mid` that it registered, about `dataset`."""

    context: C
    kind: Kind
    mid: int
    dataset: D


@dataclass(slots=True)
class _Context(Generic[D]):
    dataset: D | None = None
    mids: dict[Kind, int] = field(default_factory=dict)
    states: dict[Kind, State] = field(default_factory=lambda: dict.fromkeys(Kind, State.IDLE))


class Latch(Generic[C, D]):
    """The latches of all contexts. `C` names contexts, `D` datasets.

    Methods that return `Telling` objects want them sent before the reply to the request that
    caused them; what can't be sent is to be reported with `failed`.

    Examples
    --------
    >>> latch = Latch()
    >>> latch.connect("anna", Kind.DATA, 7)
    True
    >>> latch.open("anna", "scan", unread=())
    []
    >>> [len(latch.news("scan", Kind.DATA)) for _ in range(3)]
    [1, 0, 0]
    >>> latch.read("anna", Kind.DATA, unread=False)
    []
    >>> len(latch.news("scan", Kind.DATA))
    1
    """

    def __init__(self) -> None:
        self._contexts: dict[C, _Context[D]] = {}
        # Who is to be told of the next news: of a thousand viewers most were told, and have not
        # read since.
        self._ready: dict[tuple[D, Kind], dict[C, None]] = {}

    # -- who listens -----------------------------------------------------------------------------

    def connect(self, context: C, kind: Kind, mid: int) -> bool:
        """Register the context's listener; arms, and never sends.

        Returns
        -------
        bool
            False if it has one already, which stays.
        """
        mids = self._context(context).mids
        if kind in mids:
            return False
        mids[kind] = mid
        if self.dataset(context) is not None:
            self._step(context, kind, _Event.ARM)
        return True

    def disconnect(self, context: C, kind: Kind) -> None:
        """Remove the context's listener, if it has one."""
        self._context(context).mids.pop(kind, None)
        self._sort(context, kind)

    # -- what contexts do ------------------------------------------------------------------------

    def create(self, context: C, dataset: D) -> None:
        """The context has made this dataset, and looks at it: nothing in it is news to it."""
        self._enter(context, dataset)
        for kind in Kind:
            self._step(context, kind, _Event.ARM)

    def open(self, context: C, dataset: D, unread: Collection[Kind]) -> list[Telling[C, D]]:
        """The context has opened this dataset, from its beginning.

        Parameters
        ----------
        context, dataset
            Which.
        unread : collection of Kind
            `Kind.DATA` if it has rows, `Kind.COMMENTS` if it has comments.
        """
        self._enter(context, dataset)
        told = (self.read(context, kind, kind in unread) for kind in (Kind.DATA, Kind.COMMENTS))
        return [telling for tellings in told for telling in tellings]

    def read(self, context: C, kind: Kind, unread: bool) -> list[Telling[C, D]]:
        """The context has read of its dataset; a read that failed is none.

        Parameters
        ----------
        context, kind
            Whose, and what was read.
        unread : bool
            Whether there is more behind the context's position. Means nothing for parameters.
        """
        if self.dataset(context) is None:
            return []
        if kind is Kind.PARAMETERS:
            unread = False
        return list(self._step(context, kind, _Event.UNREAD if unread else _Event.ARM))

    def leave(self, context: C) -> None:
        """The context has no dataset any more."""
        known = self._contexts.get(context)
        if known is None or known.dataset is None:
            return
        for kind in Kind:
            self._step(context, kind, _Event.LEAVE)
        known.dataset = None

    def expire(self, context: C) -> None:
        """The context has ended, with its listeners."""
        self.leave(context)
        self._contexts.pop(context, None)

    def resume(self, context: C) -> list[Telling[C, D]]:
        """The context's client is back: what it was told, or should have been, since it read."""
        if self.dataset(context) is None:
            return []
        return [telling for kind in Kind for telling in self._step(context, kind, _Event.RESUME)]

    # -- what happens ----------------------------------------------------------------------------

    @property
    def waited_for(self) -> bool:
        """Whether anybody waits for news of any dataset."""
        return bool(self._ready)

    def news(self, dataset: D, kind: Kind) -> list[Telling[C, D]]:
        """Something was added to the dataset; in one step, however much it was."""
        # Who waits for news is armed with a listener, or owed; nobody waits on after it.
        ready = self._ready.pop((dataset, kind), ())
        return [t for context in ready for t in self._tell(self._contexts[context], context, kind)]

    def failed(self, telling: Telling[C, D]) -> None:
        """A message could not be sent."""
        # The context may have gone on to another dataset, where this one says nothing.
        if self.dataset(telling.context) == telling.dataset:
            self._step(telling.context, telling.kind, _Event.FAILED)

    # -- what it is ------------------------------------------------------------------------------

    def dataset(self, context: C) -> D | None:
        """What the context looks at; None if it has no dataset."""
        known = self._contexts.get(context)
        return None if known is None else known.dataset

    def state(self, context: C, kind: Kind) -> State:
        """The state of one latch."""
        known = self._contexts.get(context)
        return State.IDLE if known is None else known.states[kind]

    # -- inside ----------------------------------------------------------------------------------

    def _context(self, context: C) -> _Context[D]:
        return self._contexts.setdefault(context, _Context())

    def _enter(self, context: C, dataset: D) -> None:
        if self.dataset(context) != dataset:
            self.leave(context)
            self._context(context).dataset = dataset

    def _step(self, context: C, kind: Kind, event: _Event) -> Sequence[Telling[C, D]]:
        known = self._contexts[context]
        after = _TABLE[event][known.states[kind]]
        if after is not _TELL:
            known.states[kind] = after
            self._sort(context, kind)
            return ()
        told = self._tell(known, context, kind)
        self._sort(context, kind)
        return told

    def _tell(self, known: _Context[D], context: C, kind: Kind) -> Sequence[Telling[C, D]]:
        """The message, if there is a listener; only then it spends the latch."""
        mid, dataset = known.mids.get(kind), known.dataset
        known.states[kind] = State.ARMED if mid is None else State.TOLD
        if mid is None or dataset is None:
            return ()
        return (Telling(context, kind, mid, dataset),)

    def _sort(self, context: C, kind: Kind) -> None:
        """Put the context among those that the next news is for, or take it out."""
        known = self._contexts[context]
        if known.dataset is None:
            return
        state, place = known.states[kind], (known.dataset, kind)
        # Without a listener, news change a latch that is armed in nothing.
        if state is State.OWED or (state is State.ARMED and kind in known.mids):
            self._ready.setdefault(place, {})[context] = None
        elif context in (ready := self._ready.get(place, {})):
            del ready[context]
            if not ready:
                del self._ready[place]
