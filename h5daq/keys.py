"""Keys on disk: the writer's directory with its list, and the one file that everybody else needs.

In the directory are ``writer.key`` (the writer's own pair), ``allowed.toml`` (who is let in, see
`h5daq.flow.allowlist`) and, until they are moved to their users, the private keys that were made
here. A private key is a small TOML file ``NAME.key`` with the pair and the writer's public key: all
that its user needs. As with ssh, what is private has the mode 0600 in a directory of 0700, and a
private key that others may read is refused.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from h5daq.errors import ConfigError, StorageError
from h5daq.flow.allowlist import (
    WRITER,
    check_key,
    check_key_name,
    check_public,
    format_keys,
    parse_keys,
)
from h5daq.flow.roles import Key, Role
from h5daq.transports.locks import ClientKeys

__all__ = ["ALLOWED", "OPERATOR", "KeyDirectory", "find_keys", "load_keys", "save_keys"]

ALLOWED = "allowed.toml"
"""Name of the allow-list."""

OPERATOR = "operator"
"""Name of the key that is made with the directory, for who made it."""

_SUFFIX = ".key"
_HEAD = "# Private: whoever has this file is {name!r} to the writer. Mode 0600.\n"


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
        from h5daq.transports.zmq_curve import make_pair

        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(f"{self.path} is not empty; name a new directory, or add to it")
        public, secret = make_pair()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        _write_new(self._file(WRITER), _text(WRITER, {"public": public, "secret": secret}))
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
        keys = self.load()
        if name in keys:
            raise ConfigError(f"there is a key {name!r} already; take another name, or revoke it")
        public, secret = _pair(name) if public is None else (check_public(name, public), "")
        key = check_key(Key(name, public, role, tuple(jobs)))
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
        keys = self.load()
        if name not in keys:
            known = ", ".join(sorted(keys)) or "none"
            raise ConfigError(f"no key {name!r} in {self.path / ALLOWED}; there are: {known}")
        gone = keys.pop(name)
        self._save(keys.values())
        self._file(name).unlink(missing_ok=True)
        return gone

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
        _check_private(self.path, "700")
        _check_mode(path, stat.S_IWGRP | stat.S_IWOTH, "be changed by others", "600")
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
        return _read(path, ("public", "secret"))

    def _file(self, name: str) -> Path:
        return self.path / f"{name}{_SUFFIX}"

    def _save(self, keys: Iterable[Key]) -> None:
        fresh = self.path / f"{ALLOWED}.new"
        fresh.unlink(missing_ok=True)
        _write_new(fresh, format_keys(keys))
        fresh.replace(self.path / ALLOWED)


def find_keys(path: str | os.PathLike[str], *prefer: str) -> ClientKeys:
    """The keys to show to a writer.

    Parameters
    ----------
    path : str or Path
        A key file, or a directory: of the key files in it the first one of `prefer` that is
        there, ``operator.key``, or the only one that there is.
    *prefer : str
        Names of keys.

    Raises
    ------
    ConfigError
        If there is none, more than one, or others may read it.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return load_keys(path)
    found = {p.stem: p for p in sorted(path.glob(f"*{_SUFFIX}")) if p.stem != WRITER}
    for name in (*prefer, OPERATOR):
        if name in found:
            return load_keys(found[name])
    if len(found) != 1:
        names = ", ".join(p.name for p in found.values()) or "no key"
        raise ConfigError(f"{path} has {names}: name the file of one, such as {path / 'pi1.key'}")
    return load_keys(next(iter(found.values())))


def load_keys(path: Path) -> ClientKeys:
    """The keys in one file.

    Raises
    ------
    ConfigError
        If it is no key file, or others may read it.
    """
    fields = _read(path, ("name", "public", "secret", "writer"))
    return ClientKeys(*(fields[name] for name in ("name", "public", "secret", "writer")))


def save_keys(path: Path, keys: ClientKeys) -> None:
    """Make a key file, with the mode 0600.

    Raises
    ------
    ConfigError
        If there is such a file.
    """
    fields = {"public": keys.public, "secret": keys.secret, "writer": keys.writer}
    _write_new(path, _text(keys.name, fields))


def _pair(name: str) -> tuple[str, str]:
    from h5daq.transports.zmq_curve import make_pair

    check_key_name(name)
    return make_pair()


def _text(name: str, fields: dict[str, str]) -> str:
    lines = [f'{field} = "{value}"' for field, value in {"name": name, **fields}.items()]
    return _HEAD.format(name=name) + "\n".join(lines) + "\n"


def _read(path: Path, wanted: Sequence[str]) -> dict[str, Any]:
    """The fields of a key file. No message repeats what is in it."""
    try:
        _check_private(path, "600")
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError(f"{path} is no key file of h5daq") from None
    for field in wanted:
        if not isinstance(fields.get(field), str):
            raise ConfigError(f"{path} is no key file of h5daq: it has no {field!r}")
        if field != "name":
            check_public(path.name, fields[field])
    return fields


def _check_private(path: Path, mode: str) -> None:
    _check_mode(path, stat.S_IRWXG | stat.S_IRWXO, "be read by others", mode)


def _check_mode(path: Path, bits: int, what: str, mend: str) -> None:
    found = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and found & bits:
        raise ConfigError(f"{path} may {what} (mode {found:04o}): chmod {mend} {path}")


def _write_new(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists; move it away or take another name") from None
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _signature(path: Path) -> tuple[int, ...]:
    seen = path.stat()
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size)
