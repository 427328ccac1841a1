"""Large modules go to a host by rsync, where both sides have it: only what has changed travels.

Small ones go with the parcel, on the connection that is there already; a second one would take
longer than they do. What rsync brings is put beside the copy of the last time and shares its
unchanged files (``--link-dest``); the parcel then takes both into place at once.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from h5daq.errors import ProcessFailed
from h5daq.launcher.parcel import LEFT_OUT

__all__ = ["LARGE", "can_rsync", "rsync_modules", "size_of"]

LARGE = 1 << 20
"""Bytes of modules from which on a second connection is worth its time."""

_SECONDS = 600.0


def can_rsync(destination: str) -> bool:
    """Whether rsync is here, and takes this destination: it knows no ``ssh://`` addresses."""
    return shutil.which("rsync") is not None and "://" not in destination


def size_of(modules: Iterable[Path]) -> int:
    """Bytes of all files that would be taken along."""
    return sum(path.stat().st_size for module in modules for path in _files(module))


def _files(module: Path) -> list[Path]:
    found = [module] if module.is_file() else module.rglob("*")
    return [path for path in found if path.is_file() and not set(path.parts) & {*LEFT_OUT}]


def rsync_modules(
    ssh: Sequence[str], destination: str, modules: Iterable[Path], fresh: str, old: str
) -> None:
    """Copy modules to a directory there.

    Parameters
    ----------
    ssh : sequence of str
        The program with its options.
    destination : str
        As ssh takes it.
    modules : iterable of Path
        Files and directories.
    fresh, old : str
        The new directory there, and the one whose unchanged files it may share.

    Raises
    ------
    ProcessFailed
        With what rsync says.
    """
    words = [
        "rsync", "-rlts", "--safe-links", "--chmod=D700,F600", f"--link-dest={old}",
        *(f"--exclude={name}" for name in LEFT_OUT), "-e", shlex.join(ssh), "--",
        *map(str, modules), f"{destination}:{fresh}/",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessFailed(f"rsync: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProcessFailed(f"rsync: {said[-1] if said else f'exit code {done.returncode}'}")
