"""A key file: small TOML with a pair and the writer's public key, all that its user needs.

What is in it is never repeated by a message. Its mode is looked at each time that it is read.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from h5daq.errors import ConfigError
from h5daq.flow.allowlist import WRITER, check_public
from h5daq.transports.locks import ClientKeys

__all__ = [
    "OPERATOR",
    "SUFFIX",
    "check_mode",
    "check_private",
    "find_keys",
    "load_keys",
    "read_fields",
    "save_keys",
    "text_of",
    "write_new",
]

OPERATOR = "operator"
"""Name of the key that is made with the directory, for who made it."""

SUFFIX = ".key"
"""How the names of key files end."""

_HEAD = "# Private: whoever has this file is {name!r} to the writer. Mode 0600.\n"


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
    found = {p.stem: p for p in sorted(path.glob(f"*{SUFFIX}")) if p.stem != WRITER}
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
    fields = read_fields(path, ("name", "public", "secret", "writer"))
    return ClientKeys(*(fields[name] for name in ("name", "public", "secret", "writer")))


def save_keys(path: Path, keys: ClientKeys) -> None:
    """Make a key file, with the mode 0600.

    Raises
    ------
    ConfigError
        If there is such a file.
    """
    fields = {"public": keys.public, "secret": keys.secret, "writer": keys.writer}
    write_new(path, text_of(keys.name, fields))


def text_of(name: str, fields: dict[str, str]) -> str:
    """The text of a key file."""
    lines = [f'{field} = "{value}"' for field, value in {"name": name, **fields}.items()]
    return _HEAD.format(name=name) + "\n".join(lines) + "\n"


def read_fields(path: Path, wanted: Sequence[str]) -> dict[str, Any]:
    """The fields of a key file. No message repeats what is in it."""
    try:
        check_private(path, "600")
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


def check_private(path: Path, mode: str) -> None:
    """Refuse what others may read."""
    check_mode(path, stat.S_IRWXG | stat.S_IRWXO, "be read by others", mode)


def check_mode(path: Path, bits: int, what: str, mend: str) -> None:
    """Refuse what has one of these bits in its mode; says what that means, and the mend."""
    found = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and found & bits:
        raise ConfigError(f"{path} may {what} (mode {found:04o}): chmod {mend} {path}")


def write_new(path: Path, text: str) -> None:
    """Make a file with the mode 0600, whole on disk; never over another one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists; move it away or take another name") from None
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
