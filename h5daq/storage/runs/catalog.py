"""Which files make up a recording, looked up anew whenever somebody asks.

While a run goes on, files appear at a rollover and get their final name when they are sealed. So a
catalog keeps the question (a path, a pattern, a directory, a list) rather than the answer, knows
files by their ids, and reads again only what has changed on disk.

A file is opened for each look and closed after it, so that a forgotten notebook does not keep the
writer's checkpoints waiting. `Catalog.hold` keeps files open for a while, for a view at rest.
"""

from __future__ import annotations

import errno
import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import h5py

from h5daq.errors import ConfigError, FileDamaged, H5daqError, StorageError
from h5daq.storage.latest import open_latest
from h5daq.storage.opening import open_for_reading
from h5daq.storage.redo import redo_path
from h5daq.storage.runs.contents import FileHead, GroupInfo, group_names, read_group, read_head
from h5daq.storage.runs.order import Run, runs_of

__all__ = ["Catalog", "Source"]

Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""A file, a directory, a pattern with ``*``, or several paths."""

RUN_FILES = "*.h*5"
"""What is looked at in a directory."""

MOST_HELD = 64
"""Files that are held open at the same time; others are opened for each look."""

T = TypeVar("T")


class Catalog:
    """The files of a recording. Not thread-safe.

    Parameters
    ----------
    source : path-like, str or list
        A file, a directory, a pattern, or several paths.
    run : int, str or None
        Which of the runs: an index (``-1`` is the newest), an id or a name, or ``"all"``. None
        means the newest of a directory, and all of what was named file by file.
    patience : float
        Seconds to wait for a file that is busy.
    skip : callable, optional
        Told which file is left out, and why; by default that is a warning.
    latest : bool
        See what is committed to a file, also where it waits for a reader to leave: for the process
        that writes them.
    leave_out : callable, optional
        Says which files of a directory are none of a run, by their names.

    Attributes
    ----------
    patience : float
        As it was given.
    unreadable : set of Path
        Files that could not be read when they were looked at last.
    skipped : dict
        Files that were left out, and why; each was also told by a warning.
    """

    def __init__(
        self,
        source: Source,
        run: int | str | None,
        patience: float,
        *,
        skip: Callable[[Path, str], None] | None = None,
        latest: bool = False,
        leave_out: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self._source: str | list[Path]
        if isinstance(source, str | os.PathLike):
            self._source = os.fspath(source)
        else:
            self._source = [Path(path) for path in source]
        self._run, self.patience = run, patience
        self._tell, self._latest, self._leave_out = skip or _warn, latest, leave_out
        self._known: dict[tuple[Path, str], tuple[tuple[int, ...], Any]] = {}
        self._held: dict[Path, h5py.File] = {}
        self._at_rest: list[Run] | None = None
        self.unreadable: set[Path] = set()
        self.skipped: dict[Path, str] = {}

    # -- which files ---------------------------------------------------------------------------

    def files(self) -> tuple[FileHead, ...]:
        """The chosen files in order."""
        return tuple(head for run in self.chosen() for head in run.files)

    def chosen(self) -> list[Run]:
        """The chosen runs, oldest first.

        Raises
        ------
        StorageError
            If there are no files.
        ConfigError
            If there is no such run.
        """
        if self._at_rest is not None:
            return self._at_rest
        runs = self.runs()
        wanted = self._run
        if wanted is None:
            wanted = -1 if self._is_directory() else "all"
        return runs if wanted == "all" else [_pick(runs, wanted)]

    def runs(self) -> list[Run]:
        """All runs that the source has files of, oldest first."""
        heads = [head for path in self._paths() if (head := self._head(path)) is not None]
        if self._is_directory():
            heads = [head for head in heads if head.file_id is not None]
        if not heads:
            raise StorageError(errno.ENOENT, "no run files here", str(self._source))
        self._note_copies(heads)
        return runs_of(heads)

    def _is_directory(self) -> bool:
        return isinstance(self._source, str) and Path(self._source).is_dir()

    def _paths(self) -> list[Path]:
        if not isinstance(self._source, str):
            return self._source
        path = Path(self._source)
        if path.is_dir():
            return [found for found in sorted(path.glob(RUN_FILES)) if not self._leave_out(found)]
        if glob.has_magic(self._source) and not path.exists():
            return [Path(found) for found in sorted(glob.glob(self._source, recursive=True))]
        return [path]

    def _head(self, path: Path) -> FileHead | None:
        """None for a file that is bad, but was not asked for by name."""
        named = isinstance(self._source, list) or Path(self._source) == path
        try:
            head = self._head_at(path)
        except StorageError as error:
            if error.errno == errno.ENOENT and (path, "head") in self._known:
                return self._moved(self._known[path, "head"][1])
            if named:
                raise
            if error.errno != errno.ENOENT:
                self._skip(path, str(error))
                self.unreadable.add(path)
            return None
        if path in self.unreadable:
            self.unreadable.remove(path)
            del self.skipped[path]
        return head

    def _skip(self, path: Path, reason: str) -> None:
        if path not in self.skipped:
            self.skipped[path] = reason
            self._tell(path, reason)

    def _note_copies(self, heads: list[FileHead]) -> None:
        first: dict[int | Path, Path] = {}
        for head in heads:
            original = first.setdefault(head.key, head.path)
            if original != head.path:
                self._skip(head.path, f"a copy of {original}")

    def _moved(self, head: FileHead) -> FileHead | None:
        """The file under the name that it has by now: sealing renames it."""
        for path in sorted(head.path.parent.glob(RUN_FILES)):
            found = self._head_at(path) if path.is_file() else None
            if found is not None and found.key == head.key:
                return found
        return None

    def _head_at(self, path: Path) -> FileHead:
        return self._look(path, "head", lambda file: read_head(file, path))

    # -- what is in them -----------------------------------------------------------------------

    def names(self, head: FileHead) -> tuple[str, ...]:
        """The groups of a file that have columns."""
        return self._look(self._where(head), "names", lambda file: tuple(group_names(file)))

    def group(self, head: FileHead, name: str) -> GroupInfo | None:
        """A group of a file; None if it has no columns of that name."""
        return self._look(self._where(head), f"group {name}", lambda file: read_group(file, name))

    def look(
        self, head: FileHead, what: str, read: Callable[[h5py.File], T], *, fresh: bool = False
    ) -> T:
        """What `read` finds in a file, under the name `what`; from memory if it is as it was.

        Parameters
        ----------
        fresh : bool
            Look in any case.
        """
        path = self._where(head)
        if fresh:
            self._known.pop((path, what), None)
        return self._look(path, what, read)

    def _look(self, path: Path, what: str, read: Callable[[h5py.File], T]) -> T:
        """What `read` finds in the file; from memory if the file is as it was."""
        signature = _signature(path)
        if self._latest:
            signature += _signature(redo_path(path))
        known = self._known.get((path, what))
        if known is None or known[0] != signature:
            with self._open_path(path) as file:
                known = self._known[path, what] = (signature, read(file))
        return cast(T, known[1])

    # -- opening -------------------------------------------------------------------------------

    @contextmanager
    def open(self, head: FileHead) -> Iterator[h5py.File]:
        """The file, open for reading, also if it was renamed since it was found."""
        with self._open_path(self._where(head)) as file:
            yield file

    def _where(self, head: FileHead) -> Path:
        if head.path.exists():
            return head.path
        moved = self._moved(head)
        if moved is None:
            raise StorageError(errno.ENOENT, "the file is gone", str(head.path))
        return moved.path

    @contextmanager
    def _open_path(self, path: Path) -> Iterator[h5py.File]:
        with _damage_named(path), self._opened(path) as file:
            yield file

    @contextmanager
    def _opened(self, path: Path) -> Iterator[h5py.File]:
        if path in self._held:
            yield self._held[path]
            return
        if self._latest and redo_path(path).exists():
            with open_latest(path, self.patience) as latest:
                yield latest
            return
        # What was waited for in vain once is not waited for at each further look.
        file = open_for_reading(path, 0.0 if path in self.unreadable else self.patience)
        if self._at_rest is not None and len(self._held) < MOST_HELD:
            self._held[path] = file
            yield file
            return
        with file:
            yield file

    def hold(self) -> None:
        """From now on look at one unchanging state: files stay open once they were opened."""
        self._at_rest = self.chosen()

    def release(self) -> None:
        """Close what `hold` kept open."""
        self._at_rest = None
        for file in self._held.values():
            file.close()
        self._held.clear()


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """What HDF5 says of a file that it can't read on, as an error that names the file."""
    try:
        yield
    except H5daqError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        said = str(error.args[0]) if error.args else type(error).__name__
        text = f"it can't be read ({said}); `h5daq verify` tells what is damaged"
        raise FileDamaged(errno.EIO, text, str(path)) from error


def _warn(path: Path, reason: str) -> None:
    warnings.warn(f"left out {path}: {reason}", stacklevel=4)


def _signature(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        # Opening it will say what is wrong, in words.
        return ()
    return (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)


def _pick(runs: list[Run], wanted: int | str) -> Run:
    if isinstance(wanted, int) and -len(runs) <= wanted < len(runs):
        return runs[wanted]
    for run in reversed(runs):
        if wanted in (run.id, run.name):
            return run
    names = ", ".join(repr(run.name or run.id) for run in runs)
    raise ConfigError(f"no run {wanted!r}; there are {len(runs)}: {names}")
