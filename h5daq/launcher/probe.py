"""The first look at a host, by a few lines that any Python 3 runs: is h5daq there, and which?

It asks nothing of h5daq, since it may not be there. The two clocks can be compared only as well as
the command was fast: what is told is the least by which they differ.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from h5daq.errors import ProcessFailed
from h5daq.launcher.shell import Shell

__all__ = ["Found", "probe"]

_MARK = "h5daq-probe:"

_SCRIPT = """
import json, os, platform, shutil, sys, time
found = {"python": platform.python_version(), "machine": platform.node(), "h5daq": None, "why": ""}
try:
    import h5daq
    found["h5daq"] = h5daq.__version__
except Exception as error:
    found["why"] = "%s: %s" % (type(error).__name__, error)
try:
    places = [os.path.abspath(os.path.expanduser(place)) for place in ("~", *sys.argv[1:])]
    while not os.path.exists(places[-1]):
        places[-1] = os.path.dirname(places[-1])
    found["free"] = min(shutil.disk_usage(place).free for place in places)
except OSError:
    found["free"] = None
found["time"] = time.time()
print("h5daq-probe:" + json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is on a host.

    Attributes
    ----------
    python, h5daq, machine : str
        Versions (h5daq's is empty without it), and what the host calls itself.
    why : str
        Why h5daq can't be imported.
    free : int or None
        Free bytes on the disk of the user's home, or of the files if there are less.
    clock : float
        The least by which its clock differs from ours; seconds, above zero if it is ahead.
    """

    python: str
    h5daq: str
    machine: str
    why: str
    free: int | None
    clock: float


def probe(shell: Shell, python: str, files: str = "", timeout: float = 30.0) -> Found:
    """Look at a host.

    Parameters
    ----------
    shell : Shell
        The way there.
    python : str
        The Python there.
    files : str
        A directory there that files will go into; it need not be there yet.
    timeout : float
        Seconds to wait.

    Raises
    ------
    ProcessFailed
        If it can't be reached, or has no such Python.
    """
    before = time.time()
    done = shell.run([python, "-c", _SCRIPT, *filter(None, [files])], timeout=timeout)
    after = time.time()
    lines = [x for x in done.out.decode("utf-8", "replace").splitlines() if x.startswith(_MARK)]
    if done.code or not lines:
        said = done.err.strip().splitlines()
        raise ProcessFailed(
            f"{python} can't be run there: {said[-1] if said else f'exit code {done.code}'}. "
            'Name the Python with h5daq in it: python = "/path/to/venv/bin/python"'
        )
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(_MARK))
    return Found(
        python=str(found["python"]), h5daq=str(found["h5daq"] or ""), why=str(found["why"]),
        machine=str(found["machine"]), free=found["free"],
        clock=least_difference(before, float(found["time"]), after),
    )  # fmt: skip


def least_difference(before: float, there: float, after: float) -> float:
    """By how much a clock that was read between two looks at ours is off at least.

    Examples
    --------
    >>> least_difference(10.0, 10.4, 11.0), least_difference(10.0, 14.0, 11.0)
    (0.0, 3.0)
    """
    if there > after:
        return there - after
    return min(0.0, there - before)
