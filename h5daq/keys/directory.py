"""The writer's directory of keys: made once, then keys are added, revoked, and the list is read.

The list is replaced as a whole, so that a writer that looks at it meanwhile reads the one before
or the one after; and by one at a time, so that of two who add a key neither loses the other's.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from h5daq.errors import ConfigError, FileBusy, StorageError
from h5daq.flow.allowlist import (
    WRITER,
    check_key,
    check_key_name,
    check_public,
    format_keys,
    parse_keys,
)
from h5daq.flow.roles import Key, Role
from h5daq.jobs.locks import try_lock
from h5daq.keys.keyfile import (
    OPERATOR,
    SUFFIX,
    check_mode,
    check_private,
    read_fields,
    save_keys,
    text_of,
    write_new,
)
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq_curve import make_pair

__all__ = ["ALLOWED", "KeyDirectory"]

ALLOWED = "allowed.toml"
"""Name of the allow-list."""

_LOCK_SECONDS, _PAUSE_SECONDS = 30.0, 0.01


class KeyDirectory:
    """The writer's keys, and the list of those that it lets in.

    Parameters
    ----------
    path : str or Path
        The directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self._seen: tuple[int, ...] = ()

    # -- making and changing -----------------------------------------------------------------

    def make(self) -> Key:
        """Make the directory with the writer's key, and one for an operator.

        Returns
        -------
        Key
            The operator's.

        Raises
        ------
        ConfigError
            If there are keys, or other things, already.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(f"{self.path} is not empty; name a new directory, or add to it")
        public, secret = make_pair()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        write_new(self._file(WRITER), text_of(WRITER, {"public": public, "secret": secret}))
        self._save([])
        return self.add(OPERATOR, Role.OPERATOR)

    def add(
        self, name: str, role: Role, jobs: Sequence[str] = (), public: str | None = None
    ) -> Key:
        """Put a key on the list; its private half is left here as ``NAME.key``.

        Parameters
        ----------
        name : str
            A new name.
        role : Role
            What it is for.
        jobs : sequence of str
            For a worker: patterns of jobs.
        public : str, optional
            A public key whose private half somebody else has; then there is no file.

        Raises
        ------
        ConfigError
            If the name is taken, or the key can't be.
        """
        check_key_name(name)
        public, secret = make_pair() if public is None else (check_public(name, public), "")
        key = check_key(Key(name, public, role, tuple(jobs)))
        with self._alone():
            keys = self.load()
            if name in keys:
                mend = "take another name, or revoke it"
                raise ConfigError(f"there is a key {name!r} already; {mend}")
            parse_keys(format_keys([*keys.values(), key]))  # the same key under another name?
            if secret:
                save_keys(self._file(name), ClientKeys(name, public, secret, self.public))
            self._save([*keys.values(), key])
        return key

    def revoke(self, name: str) -> Key:
        """Take a key off the list; its private half, if it is still here, is removed.

        Raises
        ------
        ConfigError
            If there is no such key.
        """
        with self._alone():
            keys = self.load()
            if name not in keys:
                known = ", ".join(sorted(keys)) or "none"
                raise ConfigError(f"no key {name!r} in {self.path / ALLOWED}; there are: {known}")
            gone = keys.pop(name)
            self._save(keys.values())
            self._file(name).unlink(missing_ok=True)
        return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the writer's key locked: nobody else changes the list between our two looks at it.

        The kernel lets go of it when a process dies.
        """
        try:
            lock = os.open(self._file(WRITER), os.O_RDWR)
        except OSError as error:
            self.load()  # where there are no keys that is said, and how to make them
            raise StorageError(error.errno, f"{error.strerror}", str(self.path)) from error
        try:
            self._await(lock)
            yield
        finally:
            os.close(lock)

    def _await(self, lock: int) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise FileBusy(f"{self.path}: somebody else has been changing it for a while")
            time.sleep(_PAUSE_SECONDS)

    # -- reading -----------------------------------------------------------------------------

    def load(self) -> dict[str, Key]:
        """The keys on the list, by name.

        Raises
        ------
        ConfigError
            If there is no list, others may change it, or it makes no sense.
        """
        path = self.path / ALLOWED
        if not path.is_file() or not self._file(WRITER).is_file():
            raise ConfigError(f"{self.path} has no writer's keys; make them: {self._init}")
        check_private(self.path, "700")
        check_mode(path, stat.S_IWGRP | stat.S_IWOTH, "be changed by others", "600")
        self._seen = _signature(path)
        try:
            return parse_keys(path.read_text(encoding="utf-8"))
        except (ConfigError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error

    def changed(self) -> dict[str, Key] | None:
        """The keys, if the list is another than when it was last read; else None.

        Raises
        ------
        ConfigError
            As `load`.
        StorageError
            If the list has vanished.
        """
        path = self.path / ALLOWED
        try:
            if _signature(path) == self._seen:
                return None
        except OSError as error:
            raise StorageError(f"{path} can't be read: {error.strerror}") from error
        return self.load()

    @property
    def secret(self) -> str:
        """The writer's secret key."""
        return str(self._writer()["secret"])

    @property
    def public(self) -> str:
        """The writer's public key, which all others have to know."""
        return str(self._writer()["public"])

    def has_private(self, name: str) -> bool:
        """Whether a key's private half is still here."""
        return self._file(name).exists()

    @property
    def _init(self) -> str:
        return f"h5daq keys init {self.path}"

    def _writer(self) -> dict[str, Any]:
        path = self._file(WRITER)
        if not path.is_file():
            raise ConfigError(f"{self.path} has no writer's keys; make them: {self._init}")
        return read_fields(path, ("public", "secret"))

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{SUFFIX}"

    def _save(self, keys: Iterable[Key]) -> None:
        fresh = self.path / f"{ALLOWED}.new"
        fresh.unlink(missing_ok=True)
        write_new(fresh, format_keys(keys))
        fresh.replace(self.path / ALLOWED)


def _signature(path: Path) -> tuple[int, ...]:
    seen = path.stat()
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size)
