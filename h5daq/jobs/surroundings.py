"""What a worker takes over from its parent: where modules are found, directory, environment.

A script may change all three while it runs, so they are handed over with each start, and not
inherited from the day when the nursery began.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ONE_THREAD", "adopt", "bare_environment", "here", "python"]

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Linear algebra in a hundred workers needs no thread per core in each."""


def here() -> dict[str, Any]:
    """The surroundings of this process, for a msgpack map."""
    environment = {**ONE_THREAD, **os.environ}
    return {
        "path": list(sys.path),
        "cwd": _cwd(),
        # An environment need not be UTF-8.
        "env": {os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
    }


def adopt(surroundings: Mapping[str, Any]) -> None:
    """Make them those of this process."""
    sys.path[:] = surroundings["path"]
    os.environ.clear()
    os.environ.update(
        {os.fsdecode(name): os.fsdecode(value) for name, value in surroundings["env"].items()}
    )
    if surroundings["cwd"] is not None:
        with contextlib.suppress(OSError):
            os.chdir(surroundings["cwd"])


def bare_environment() -> dict[str, str]:
    """Ours, with what a bare interpreter needs to find h5daq."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**ONE_THREAD, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def python() -> list[str]:
    """The interpreter, without the working directory among the places of its library."""
    return [sys.executable, "-P"]


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
