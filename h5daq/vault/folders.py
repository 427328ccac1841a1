"""Directories of the vault as they lie on disk: what is in them, and their ``session.ini``.

A dataset is a file ``<name>.hdf5``, or in old trees two, ``<name>.csv`` and ``<name>.ini``; where
there are both, the old one counts, as in the original. Other files are no affair of the vault's:
one without a number in its name is looked into before it is taken for a dataset.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from h5daq.errors import DirectoryExists, DirectoryNotFound, StorageError
from h5daq.storage.disk import Disk
from h5daq.storage.layouts.datavault_read import holds_dataset
from h5daq.storage.ondisk import naming
from h5daq.vault.names import SUFFIX, VaultPath, decode, directory_file, encode, number_of
from h5daq.vault.session import Session, read_session, write_session

__all__ = ["Folders"]

SESSION = "session.ini"
FILES = (".csv", ".ini", ".hdf5", ".h5")
"""Endings of datasets' files, in the order in which they count."""


class Folders:
    """The directories under a root.

    Parameters
    ----------
    root : Path
        The vault's root, which must be there.
    suffix : str
        What directories' names end with on disk; empty in the trees of one fork.
    durable : bool
        Whether what is written outlives the loss of power.
    """

    def __init__(self, root: Path, suffix: str = SUFFIX, *, durable: bool = True) -> None:
        self.root, self.suffix, self._durable = root, suffix, durable
        self._disk = Disk()
        self._looked: dict[Path, tuple[tuple[int, ...], bool]] = {}

    def folder(self, path: VaultPath) -> Path:
        """Where a directory lies, whether or not it is there."""
        return self.root.joinpath(*(directory_file(name, self.suffix) for name in path[1:]))

    def exists(self, path: VaultPath) -> bool:
        """Whether there is such a directory."""
        with naming(self.root, "can't be looked into"):
            return _is_directory(self.folder(path))

    def make(self, path: VaultPath, now: float) -> None:
        """Make a directory below one that is there.

        Raises
        ------
        DirectoryExists
            If there is one.
        StorageError
            If the disk refuses it; a name may be too long for it.
        """
        folder = self.folder(path)
        with naming(folder, "the directory can't be made"):
            try:
                folder.mkdir()
            except FileExistsError:
                raise DirectoryExists(f"there is a directory {'/'.join(path)} already") from None
            except FileNotFoundError:
                raise DirectoryNotFound(f"there is no directory {'/'.join(path[:-1])}") from None
            try:
                self.remember(path, Session.begun(now))
            except StorageError:
                # What is refused leaves nothing.
                self._disk.unlink(folder / SESSION)
                folder.rmdir()
                raise
            self._sync(folder.parent)

    # -- what is in a directory --------------------------------------------------------------------

    def directories(self, path: VaultPath) -> list[str]:
        """Names of the directories in a directory, in order."""
        names = (entry.name for entry in self._entries(path) if entry.is_dir())
        found = (name.removesuffix(self.suffix) for name in names if self._is_ours(name))
        return sorted(decode(name) for name in found)

    def _is_ours(self, name: str) -> bool:
        if self.suffix:
            return name.endswith(self.suffix) and name != self.suffix
        return not name.startswith(".")

    def datasets(self, path: VaultPath) -> dict[str, Path]:
        """Names of the datasets in a directory, in order, with the file of each that counts."""
        folder, found = self.folder(path), dict[str, dict[str, str]]()
        for entry in self._entries(path):
            stem, suffix = os.path.splitext(entry.name)
            if suffix in FILES and not stem.startswith(".") and entry.is_file():
                found.setdefault(stem, {})[suffix] = entry.name
        chosen = ((decode(stem), self._counting(folder, kinds)) for stem, kinds in found.items())
        return dict(sorted((name, folder / file) for name, file in chosen if file is not None))

    def _counting(self, folder: Path, kinds: dict[str, str]) -> str | None:
        """Which of the files of one name holds the dataset; None if none does."""
        hdf5 = [kinds[kind] for kind in FILES[2:] if kind in kinds]
        # The original lists by the .ini, and a .csv alone is not one of its datasets.
        if kinds.get(".ini", SESSION) != SESSION and (".csv" in kinds or not hdf5):
            return kinds[".ini"]
        return hdf5[0] if hdf5 and self._is_dataset(folder, hdf5[0]) else None

    def _is_dataset(self, folder: Path, name: str) -> bool:
        if number_of(name) is not None and name.endswith(".hdf5"):
            return True
        file = folder / name
        try:
            stat = file.stat()
        except OSError:
            return False
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._looked.get(file, ((), False))[0] != state:
            self._looked[file] = state, holds_dataset(file)
        return self._looked[file][1]

    def dataset(self, path: VaultPath, name: str) -> Path | None:
        """The file of a dataset; None if there is none of that name."""
        if "\0" in name:
            return None
        file = self.folder(path) / f"{encode(name)}.hdf5"
        with naming(file, "can't be looked for"):
            direct = number_of(name) is not None and os.path.lexists(file)
            if direct and not os.path.lexists(file.with_name(f"{encode(name)}.ini")):
                return file
        return self.datasets(path).get(name)

    def new_dataset(self, path: VaultPath, name: str) -> Path:
        """Where the file of a new dataset goes."""
        return self.folder(path) / f"{encode(name)}.hdf5"

    def drop(self, file: Path) -> None:
        """Remove the file of a dataset that could not be made in full."""
        with naming(file, "can't be removed"):
            self._disk.unlink(file)
            self._sync(file.parent)

    def _entries(self, path: VaultPath) -> Iterator[os.DirEntry[str]]:
        folder = self.folder(path)
        with naming(folder, "can't be listed"):
            try:
                with os.scandir(folder) as entries:
                    yield from entries
            except (FileNotFoundError, NotADirectoryError):
                raise DirectoryNotFound(f"there is no directory {'/'.join(path)}") from None

    # -- what it remembers -------------------------------------------------------------------------

    def session(self, path: VaultPath) -> Session:
        """What a directory remembers; as of a new one where nothing is written."""
        file = self.folder(path) / SESSION
        with naming(file, "can't be read"):
            try:
                return read_session(file.read_bytes())
            except FileNotFoundError:
                return Session()

    def remembers(self, path: VaultPath) -> bool:
        """Whether anything is written down of a directory."""
        return (self.folder(path) / SESSION).exists()

    def remember(self, path: VaultPath, session: Session) -> None:
        """Write down what a directory remembers, in one step."""
        file = self.folder(path) / SESSION
        with naming(file, "can't be written"):
            if session.damaged and file.exists():
                # Whatever a person can still make of it stays there for him.
                self._replace(file.with_name(f"{SESSION}.damaged"), file.read_bytes())
            self._replace(file, write_session(session))

    def _replace(self, file: Path, data: bytes) -> None:
        """Write a file; after a crash it is as before, or this."""
        fresh = file.with_name(f".{file.name}.part")
        try:
            self._write(fresh, data)
            self._disk.rename(fresh, file)
        except OSError:
            self._disk.unlink(fresh)
            raise
        self._sync(file.parent)

    def _write(self, file: Path, data: bytes) -> None:
        fd = self._disk.open(file, create=True)
        try:
            self._disk.truncate(fd, 0)
            self._disk.write(fd, 0, data)
            if self._durable:
                self._disk.sync(fd)
        finally:
            self._disk.close(fd)

    def _sync(self, folder: Path) -> None:
        if self._durable:
            self._disk.sync_directory(folder)


def _is_directory(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
