"""The Data Vault as a server: a client's request in, its answer and what others are told out.

It has no socket, clock or thread: the writer brings the request and the time, and sends what comes
back when it is committed. The verbs are in `reading` and `changing`; here is what they have in
common, and how contexts come, move about and go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from h5daq.errors import BadArgument, NoDataset, RequestError
from h5daq.flow.answered import Answered
from h5daq.flow.latch import Kind
from h5daq.flow.often import Often
from h5daq.flow.packing import Buffer
from h5daq.flow.requests import ErrorCode, Request, encode_reply
from h5daq.vault.arguments import Args, flag, number, seconds, text, texts, whole
from h5daq.vault.bulletin import DIRECTORY_KINDS, Bulletin, Signal, Told
from h5daq.vault.changing import Changing
from h5daq.vault.contexts import LEASE, Context, ContextKey, Contexts, DatasetKey
from h5daq.vault.dataset import Dataset
from h5daq.vault.live import Live
from h5daq.vault.looking import DEFAULT_FILTERS
from h5daq.vault.names import VaultPath
from h5daq.vault.noting import Append
from h5daq.vault.reading import AHEAD, PAGED, Reading
from h5daq.vault.tree import Tree

__all__ = ["Outcome", "Service"]

_SIGNALS = (*DIRECTORY_KINDS, *(kind.value for kind in Kind))


class Outcome(NamedTuple):
    """What a request leads to.

    Attributes
    ----------
    result, frames
        Its answer.
    told : sequence of Told
        Notes to contexts, to be sent before the answer.
    signals : sequence of (kind, path, fields)
        What everybody is told.
    """

    result: Any = None
    frames: Sequence[Buffer] = ()
    told: Sequence[Told] = ()
    signals: Sequence[Signal] = ()

    def reply(self, number: int) -> list[Buffer]:
        """The answer to the request of that number, as frames; raises `WireError`."""
        if isinstance(self.result, Often):
            return self.result.reply(number, self.frames)
        return encode_reply(number, self.result, self.frames)


class Service:
    """Answers the vault's verbs. One thread owns it.

    Parameters
    ----------
    tree : Tree
        The directories.
    live : Live
        The open datasets.
    append : callable
        Journals a `VaultRecord` and remembers its answer; returns its lsn.
    answered : Answered
        What was answered to changes.
    boot : str
        Names this life of the server.
    sync : callable
        Makes safe what is journaled; raises `StorageError` if that can't be done.
    """

    def __init__(
        self,
        tree: Tree,
        live: Live,
        append: Append,
        answered: Answered,
        boot: str = "",
        sync: Callable[[], object] = lambda: None,
    ) -> None:
        self._tree, self._live = tree, live
        self._answered, self._boot = answered, boot
        self.contexts = Contexts()
        self.bulletin = Bulletin(self.contexts)
        self._changing = Changing(tree, live, self.bulletin, append, sync)
        self._reading = Reading(self.bulletin)
        self._own: dict[str, Callable[[Context, Args], Any]] = {
            "context": self._context,
            "forget": self._forget,
            "resume": self._resume,
            "dir": self._dir,
            "open": self._open,
            "get_tags": self._get_tags,
            "signal": self._signal,
            "dump_existing_sessions": lambda _context, _args: self._sessions(),
        }
        self.verbs = frozenset({"cd", *self._own, *self._changing.verbs, *self._reading.verbs})

    def answer(self, request: Request, now: float, tick: float) -> Outcome:
        """What a request leads to. What it changes is journaled, and not yet committed.

        Parameters
        ----------
        request : Request
            With one of `verbs`.
        now, tick : float
            Seconds since 1970-01-01 UTC, and monotonic seconds.

        Raises
        ------
        VaultError, RequestError, StorageError, WireError
            If it is refused.
        """
        known = self._answered.find(request.session, request.id)
        if known is not None:
            self.contexts.find(_key(request), tick)
            return Outcome(known[0])
        context = self._find(request, tick)
        self.bulletin.take()
        result, frames = self._perform(context, request, now)
        return Outcome(result, frames, *self.bulletin.take())

    def expire(self, tick: float) -> None:
        """End the contexts whose clients are gone."""
        for context in self.contexts.expired(tick):
            self._end(context)

    @property
    def waited_for(self) -> bool:
        """Whether a context waits for news of any dataset."""
        return self.bulletin.latch.waited_for

    def job_news(self, key: DatasetKey) -> list[Told]:
        """A worker's rows have come to a job; everybody is told of that elsewhere."""
        self.bulletin.tell(self.bulletin.latch.news(key, Kind.DATA))
        return self.bulletin.take()[0]

    def job_appeared(self, kind: str, path: VaultPath, name: str) -> list[Told]:
        """A run has a directory or a job more; everybody is told of that elsewhere."""
        self.bulletin.tell_directory(kind, path, name)
        return self.bulletin.take()[0]

    def failed(self, told: Told) -> None:
        """A note could not be sent."""
        if told.telling is not None:
            self.bulletin.latch.failed(told.telling)

    def _perform(
        self, context: Context, request: Request, now: float
    ) -> tuple[Any, Sequence[Buffer]]:
        verb = request.verb
        if verb == "cd":
            return self._cd(context, request, now), []
        if verb in self._changing.verbs:
            return self._changing.verbs[verb](context, request, now), []
        if verb in self._own:
            return self._own[verb](context, request.args), []
        found = self._reading.verbs[verb](context, self._dataset(context), request.args)
        return found if verb in PAGED else (found, [])

    # -- contexts --------------------------------------------------------------------------------

    def _find(self, request: Request, tick: float) -> Context:
        key = _key(request)
        context = self.contexts.find(key, tick)
        if request.verb == "context":
            return self.contexts.make(key, tick, seconds(request.args, "lease", LEASE))
        if context is not None:
            return context
        if flag(request.args, "fresh"):
            return self.contexts.make(key, tick)
        code = ErrorCode.CONTEXT_LOST
        raise RequestError(
            code,
            code.wire_name,
            f"{code.wire_name}: context {key[1]} has ended, or the writer has begun anew: say "
            "'context', and open again what was open",
        )

    def _context(self, context: Context, _args: Args) -> dict[str, Any]:
        return {"boot": self._boot, "lease": context.lease, "ahead": AHEAD}

    def _forget(self, context: Context, _args: Args) -> None:
        self._end(context)

    def _end(self, context: Context) -> None:
        self.bulletin.latch.expire(context.key)
        self._changing.look_at(context, None)
        self.contexts.forget(context.key)

    def _resume(self, context: Context, _args: Args) -> None:
        self.bulletin.tell(self.bulletin.latch.resume(context.key))

    def _signal(self, context: Context, args: Args) -> None:
        kind = text(args, "kind")
        if kind not in _SIGNALS:
            raise BadArgument(f"no signal {kind!r:.40}; there are {', '.join(_SIGNALS)}")
        self.bulletin.listen(context, kind, whole(args, "mid"))

    def _sessions(self) -> list[str]:
        paths = {"/".join(context.path) for context in self.contexts}
        return sorted(paths | set(self._live.paths()))

    # -- moving about ----------------------------------------------------------------------------

    def _cd(self, context: Context, request: Request, now: float) -> list[str]:
        target = request.args.get("path")
        if type(target) is int:
            context.path, _ = self._tree.step(context.path, target)
        elif target is not None:
            names = texts(request.args, "path")
            if flag(request.args, "create"):
                path = self._changing.make_directories(context, request, now, names)
                context.path = path
            else:
                context.path, _ = self._tree.step(context.path, names)
        return list(context.path)

    def _dir(self, context: Context, args: Args) -> list[Any]:
        filters = texts(args, "filters", DEFAULT_FILTERS)
        if flag(args, "tags"):
            found = self._tree.dir_tags(context.path, filters)
            return [[list(pair) for pair in side] for side in found]
        return [*self._tree.dir(context.path, filters)]

    def _get_tags(self, context: Context, args: Args) -> list[Any]:
        found = self._tree.get_tags(context.path, texts(args, "dirs"), texts(args, "datasets"))
        return [[list(pair) for pair in side] for side in found]

    # -- datasets --------------------------------------------------------------------------------

    def _open(self, context: Context, args: Args) -> list[Any]:
        given, append = args.get("name"), flag(args, "append")
        if type(given) not in (int, str):
            raise BadArgument(f"a dataset is opened by its full name or number, not {given!r:.60}")
        which = number(args, "name") if type(given) is int else text(args, "name")
        name = self._tree.find(context.path, which)
        key = (context.path, name)
        dataset = self._live.open(key)
        if append:
            dataset.check_rows()
            self._live.prepare(key)
        self._changing.look_at(context, key, writing=append)
        unread = [Kind.DATA] if dataset.rows else []
        unread += [Kind.COMMENTS] if dataset.store.comments else []
        self.bulletin.tell(self.bulletin.latch.open(context.key, key, unread))
        return [list(context.path), name]

    def _dataset(self, context: Context) -> Dataset:
        if context.dataset is None:
            raise NoDataset("no dataset is open in this context: open one by its name or number")
        return self._live.open(context.dataset)


def _key(request: Request) -> ContextKey:
    if not request.session or not request.ctx:
        raise BadArgument(f"{request.verb} is about a context: name a session, and a ctx from 1")
    return request.session, request.ctx
