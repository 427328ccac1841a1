"""Where spools lie: in the user's state directory, by run, job and incarnation.

``h5daq/spool/<run>/<job>/<incarnation>/``. What a worker left behind is found by the next one of
the same job that works for the same destination, whatever its run is called: rows of a tank in one
laboratory never get into the files of another job that happens to have the same name.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

__all__ = ["job_places", "place_of", "state_directory"]

_LONGEST_NAME = 120
"""Bytes of a name that are kept as they are; file systems take 255."""


def state_directory() -> Path:
    """The user's directory for what programs keep between two runs."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return _home() / "Library" / "Application Support"
    given = os.environ.get("XDG_STATE_HOME", "")
    # By the standard, a relative one is ignored.
    return Path(given) if given.startswith("/") else _home() / ".local" / "state"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # A user without a name, as in some containers, has none.
        return Path(tempfile.gettempdir())


def place_of(run: str, job: str, inc: int) -> Path:
    """The directory of one incarnation's spool; nothing is made here."""
    return _root() / _name(run or "-") / _name(job) / f"{inc:016x}"


def job_places(job: str) -> Iterator[Path]:
    """Directories of all spools of a job, of whatever run."""
    try:
        runs = sorted(_root().iterdir())
        for run in runs:
            of_job = run / _name(job)
            if of_job.is_dir():
                yield from sorted(of_job.iterdir())
    except OSError:
        # None was made yet, or it can't be read; then there is none for us.
        return


def _root() -> Path:
    return state_directory() / "h5daq" / "spool"


def _name(name: str) -> str:
    plain = quote(name, safe="")
    # A name of dots would lead elsewhere.
    if len(plain) <= _LONGEST_NAME and plain.strip("."):
        return plain
    return f"{plain[:_LONGEST_NAME].strip('.')}-{blake2b(name.encode(), digest_size=8).hexdigest()}"
