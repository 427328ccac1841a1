"""What is taken along to a host: the configuration, the user's modules, a key; as one tar.

It is unpacked into a directory of its own there, which takes the place of the one before it: a
module that was removed here is then gone there, too. Python makes and reads the tar on both
sides, so that a host needs no program beside its Python. What is large may be staged by rsync
before, see `h5daq.launcher.sync`.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.jobs.spool_places import state_directory

__all__ = [
    "CONFIG",
    "LEFT_OUT",
    "config_in",
    "home_of",
    "key_of",
    "pack_parcel",
    "stage",
    "unpack_parcel",
    "write_config",
]

CONFIG = "h5daq.toml"
"""What the configuration is called there."""

LEFT_OUT = ("__pycache__", ".git")
"""Names that are not taken along."""


def pack_parcel(config: Path, modules: Iterable[Path], key: Path | None = None) -> bytes:
    """A tar of a configuration, modules beside it, and perhaps a key file.

    Raises
    ------
    StorageError
        If one of them can't be read: names it.
    """
    packed = io.BytesIO()
    try:
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(config, CONFIG, filter=_readable)
            for module in modules:
                tar.add(module, module.name, filter=_readable)
            if key is not None:
                tar.add(key, f"keys/{key.name}", filter=_private)
    except OSError as error:
        raise StorageError(error.errno, f"{error.strerror}", error.filename) from error
    return packed.getvalue()


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if Path(entry.name).name in LEFT_OUT:
        return None
    entry.mode = 0o700 if entry.isdir() else 0o600
    return _nobodys(entry)


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o600
    return _nobodys(entry)


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def key_of(config: Path, name: str) -> str:
    """Under which name this machine's configuration for a host is kept there.

    Parameters
    ----------
    config : Path
        The configuration, as a resolved path.
    name : str
        The host's name in it; empty for the writer.
    """
    where = f"{socket.gethostname()}\0{config}\0{name}"
    return blake2b(where.encode(), digest_size=8).hexdigest()


def home_of(key: str) -> Path:
    """Where the parcel of this key is unpacked on this machine."""
    return state_directory() / "h5daq" / "launch" / key


def stage(key: str) -> tuple[Path, Path]:
    """Make an empty directory for what is to come; it, and the one whose place it will take.

    Raises
    ------
    StorageError
        If it can't be made.
    """
    home = home_of(key)
    fresh = home.with_name(f"{key}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise StorageError(error.errno, f"{error.strerror}", str(fresh)) from error
    return fresh, home


def unpack_parcel(key: str, packed: bytes, staged: bool = False) -> Path:
    """Unpack, perhaps beside what was staged; the directory.

    Raises
    ------
    StorageError
        If it can't be written, or holds what reaches beyond its directory.
    """
    home = home_of(key)
    fresh, old = home.with_name(f"{key}.new"), home.with_name(f"{key}.old")
    if not (staged and fresh.is_dir()):
        stage(key)
    try:
        shutil.rmtree(old, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(fresh, filter="data")
        if (home / "keys").is_dir() and not (fresh / "keys").exists():
            # A key that came once stays: whoever sent it may have put away his copy.
            shutil.copytree(home / "keys", fresh / "keys")
        if home.exists():
            os.rename(home, old)
        os.rename(fresh, home)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, tarfile.TarError) as error:
        raise StorageError(f"{home}: what was sent can't be unpacked: {error}") from error
    return home


def config_in(packed: bytes) -> bytes:
    """The configuration in a parcel.

    Raises
    ------
    StorageError
        If it is none.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            file = tar.extractfile(CONFIG)
            return file.read() if file else b""
    except (KeyError, OSError, tarfile.TarError) as error:
        raise StorageError(f"what was sent has no {CONFIG}: {error}") from error


def write_config(key: str, packed: bytes) -> None:
    """Put a parcel's configuration, and nothing else of it, in the place of the one there."""
    path = home_of(key) / CONFIG
    fresh = path.with_suffix(".new")
    fresh.write_bytes(config_in(packed))
    fresh.replace(path)
