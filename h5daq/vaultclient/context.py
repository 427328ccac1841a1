"""A context of the Data Vault: the guide's verbs as methods, numpy in and numpy out.

It stands in a directory and has at most one dataset open, like a shell; several contexts of one
client are independent. It may be used from several threads: they take turns, verb by verb.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from h5daq.errors import BadArgument
from h5daq.flow.closing import Closing
from h5daq.flow.requests import Note
from h5daq.flow.variables import parse_dependent, parse_independent
from h5daq.vaultclient.about import About, Tagged, Texts, as_texts, tagged
from h5daq.vaultclient.courier import Courier
from h5daq.vaultclient.line import Line
from h5daq.vaultclient.moving import Rows
from h5daq.vaultclient.place import Opened, Place
from h5daq.vaultclient.signals import LOST, Callback, Signals, SignalStream, VaultSignal

__all__ = ["VaultContext"]

_CONTEXTS = itertools.count(1)
"""Numbers of contexts; they need to differ only within a client."""

Where = tuple[list[str], str]


class VaultContext(About, Rows, Closing):
    """A context of the Data Vault at a running writer; `Client.vault` makes it.

    Parameters
    ----------
    courier : Courier
        Carries its requests.
    endpoint : str
        The writer's, for texts.
    timeout : float
        Seconds that a verb waits for its answer. It is asked again meanwhile, and done once.
    lease : float, optional
        Seconds without a sign of life after which the writer forgets the context. While this
        object lives in a running process, it gives such signs by itself.

    Raises
    ------
    ContextLost
        By any verb, if the writer has forgotten the context, as one does that was started anew.
        `restore` takes up where it was.
    NoAnswer
        By any verb, if nothing comes in time, see `settle`.
    """

    def __init__(
        self, courier: Courier, endpoint: str, *, timeout: float, lease: float | None = None
    ) -> None:
        self._endpoint, self._lease = endpoint, lease
        self._place = Place()
        self._signals = Signals(self._register)
        self._line = Line(courier, endpoint, _CONTEXTS, self, timeout)
        self._line.begin(lease)

    def __repr__(self) -> str:
        opened = f", {self._place.opened.name!r} open" if self._place.opened else ""
        return f"<vault at {self._endpoint}, {'/'.join(self._place.path) or '/'}{opened}>"

    # -- directories -----------------------------------------------------------------------------

    def cd(
        self, target: str | int | Sequence[str] | None = None, create: bool = False
    ) -> list[str]:
        """Go down by a name or several (``""`` is the root), or up by a number; the path then.

        Parameters
        ----------
        target : str, int or sequence of str, optional
            Where to; without it, the context stays.
        create : bool
            Make directories that are not there.

        Raises
        ------
        DirectoryNotFound
            If one is not there; the context stays where it was.
        """
        with self._line.turn():
            way = None if target is None else self._place.way(target)
            path = self._line.ask("cd", {"path": way, "create": create}).result
            self._place.take("cd", path)
        return list(path)

    def mkdir(self, name: str) -> list[str]:
        """Make a directory here, without going there; its path.

        Raises
        ------
        EmptyName, DirectoryExists
            If it has no name, or is there.
        """
        return list(self._line.ask("mkdir", {"name": name}).result)

    def dir(self, filters: Texts = ("-trash",)) -> tuple[list[str], list[str]]:
        """Names of the directories and datasets here; ``t`` wants a tag, ``-t`` its absence."""
        directories, datasets = self._line.ask("dir", {"filters": as_texts(filters)}).result
        return list(directories), list(datasets)

    def dir_tags(self, filters: Texts = ("-trash",)) -> tuple[Tagged, Tagged]:
        """As `dir`, each name with its tags."""
        args = {"filters": as_texts(filters), "tags": True}
        return tagged(self._line.ask("dir", args).result)

    def dump_existing_sessions(self) -> list[str]:
        """Paths of the directories in which some context is."""
        return list(self._line.ask("dump_existing_sessions").result)

    # -- datasets --------------------------------------------------------------------------------

    def new(self, name: str, independents: Sequence[Any], dependents: Sequence[Any]) -> Where:
        """Make a dataset of floats here, and open it for writing.

        Parameters
        ----------
        name : str
            Its title; the number is put before it.
        independents : sequence of (label, unit), or str
            Or as one text: ``"Frequency [GHz]"``.
        dependents : sequence of (label, legend, unit), or str
            Or as one text: ``"Power (S21) [dB]"``.

        Returns
        -------
        path : list of str
            Of its directory.
        name : str
            Its full name, e.g. ``"00001 - scan"``.

        Raises
        ------
        BadArgument
            If the title or a column can't be stored.
        """
        first = [parse_independent(given) for given in _each(independents)]
        then = [parse_dependent(given) for given in _each(dependents)]
        args = {
            "name": name,
            "independents": [[column.label, column.unit] for column in first],
            "dependents": [[column.label, column.legend, column.unit] for column in then],
        }
        return self._enter("new", args, append=True)

    def new_ex(self, name: str, independents: Sequence[Any], dependents: Sequence[Any]) -> Where:
        """Make a dataset of any columns here, and open it for writing; as `new` otherwise.

        Parameters
        ----------
        name : str
            Its title.
        independents : sequence of (label, shape, type, unit)
            Shape ``[1]`` is a scalar; the type one of ``i`` (int32), ``t`` (int64), ``v``
            (float64), ``c`` (complex128), ``s`` (text).
        dependents : sequence of (label, legend, shape, type, unit)
        """
        args = {
            "name": name,
            "independents": [list(column) for column in _each(independents)],
            "dependents": [list(column) for column in _each(dependents)],
        }
        return self._enter("new_ex", args, append=True)

    def open(self, which: str | int, append: bool = False) -> Where:
        """Open a dataset by its full name or its number; reading begins with the first row.

        Parameters
        ----------
        which : str or int
            In this directory.
        append : bool
            Whether rows may be added. Parameters and comments always may.

        Raises
        ------
        DatasetNotFound
            If there is none; the one that was open stays open.
        """
        return self._enter("open", {"name": which, "append": append}, append=append)

    def _enter(self, verb: str, args: dict[str, Any], append: bool) -> Where:
        with self._line.turn():
            path, name = found = self._line.ask(verb, args).result
            self._place.enter(found, append=append)
        return list(path), str(name)

    # -- signals ---------------------------------------------------------------------------------

    def on(self, kind: str, callback: Callback) -> None:
        """Call a function with each signal of a kind, in a thread of its own.

        Parameters
        ----------
        kind : str
            ``new-dir``, ``new-dataset``, ``data-available``, ``new-parameter``,
            ``comments-available`` or ``tags-updated``; or ``context-lost``.
        callback : callable
            Gets a `VaultSignal`, and may use the context. If it raises, that is logged.
        """
        self._signals.on(kind, callback)

    def off(self, kind: str, callback: Callback | None = None) -> None:
        """Call it no more; without `callback`, none for this kind."""
        self._signals.off(kind, callback)

    def signals(self, *kinds: str, timeout: float | None = None) -> SignalStream:
        """Iterate signals, of all kinds if none is named; those from now on.

        Parameters
        ----------
        *kinds : str
            As for `on`.
        timeout : float, optional
            Seconds after which an iteration that got nothing raises `NoAnswer`.
        """
        return self._signals.stream(kinds, timeout)

    def _register(self, kind: str, mid: int | None) -> None:
        self._line.ask("signal", {"kind": kind, "mid": mid})

    def hear(self, note: Note) -> None:
        """What the writer tells; called by the courier."""
        self._signals.hear(VaultSignal.of(note))

    def lose(self) -> None:
        """The writer has forgotten this context; called by the courier."""
        self._signals.hear(VaultSignal(LOST))

    # -- after trouble ---------------------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """Whether the writer is known to have forgotten this context."""
        return self._line.lost

    def settle(self, timeout: float | None = None) -> None:
        """Wait on for the answer to a verb that ended in `NoAnswer`: when it returns, it was done.

        Until then no other change is let through, as it is not known what came of this one.

        Raises
        ------
        NoAnswer
            If the answer is not there within `timeout` seconds, either.
        VaultError
            If it was refused.
        """
        with self._line.turn():
            settled = self._line.settle(timeout)
            if settled is not None:
                self._place.take(*settled)

    def restore(self) -> None:
        """After `ContextLost`: a new context in the same place.

        In the same directory, with the same dataset open in the same manner and the same signals
        registered, reading on where reading was. What had been answered is stored; what raised
        `ContextLost` was not done.

        Raises
        ------
        DirectoryNotFound, DatasetNotFound
            If they are there no more.
        """
        with self._line.turn():
            self._line.begin(self._lease)
            self._signals.renew()
            if self._place.opened is not None:
                self._reopen(self._place.opened)
            self._line.ask("cd", {"path": list(self._place.path), "create": False})

    def _reopen(self, opened: Opened) -> None:
        self._line.ask("cd", {"path": list(opened.path), "create": False})
        self._line.ask("open", {"name": opened.name, "append": opened.append})
        self._place.rows.astray = self._place.comments.astray = True

    def close(self) -> None:
        """Tell the writer that the context is done with, and end its signals."""
        self._line.close()
        self._signals.close()


def _each(variables: Sequence[Any]) -> Sequence[Any]:
    """The variables, which are in a list also where there is but one."""
    if isinstance(variables, str):
        raise BadArgument(f"variables are a list: [{variables!r}], also where there is but one")
    return variables
