"""The first words on a host, in lines that any Python 3 runs: is h5daq there, and which?

They ask nothing of h5daq, since it may not be there. Where it is the one that is here, the same
process goes on as `h5daq.launcher.there`, so that a host is connected to once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import h5daq
from h5daq.errors import ProcessFailed
from h5daq.launcher.shell import Shell
from h5daq.launcher.talk import Talk

__all__ = ["Found", "greet", "least_difference", "words_of"]

_SCRIPT = """
import json, sys
sys.path[:] = [place for place in sys.path if place]
found = {"python": "%d.%d.%d" % sys.version_info[:3], "h5daq": None, "why": ""}
try:
    import h5daq
    found["h5daq"] = h5daq.__version__
except Exception as error:
    found["why"] = "%s: %s" % (type(error).__name__, error)
print("h5daq-answer:" + json.dumps(found))
sys.stdout.flush()
if found["h5daq"] == sys.argv[1] and sys.version_info >= (3, 11):
    from h5daq.launcher.there import main
    sys.exit(main(json.loads(sys.argv[2])))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The Python of a host, and the h5daq in it.

    Attributes
    ----------
    python, h5daq : str
        Versions; h5daq's is empty without it.
    why : str
        Why h5daq can't be imported.
    """

    python: str
    h5daq: str
    why: str


def words_of(python: str, **who: Any) -> list[str]:
    """The command that greets, and then obeys in the name of a post."""
    return [python, "-c", _SCRIPT, h5daq.__version__, json.dumps(who)]


def greet(shell: Shell, talk: Talk, python: str, timeout: float = 30.0) -> Found:
    """Wait for the first words.

    Parameters
    ----------
    shell, talk : Shell, Talk
        The way there, and the command of `words_of` on it.
    python : str
        The Python there.
    timeout : float
        Seconds to wait.

    Raises
    ------
    ProcessFailed
        If the host can't be reached, or has no such Python.
    """
    said = talk.hear(timeout)
    if said is None:
        done = talk.done()
        shell.check(done)
        raise ProcessFailed(
            f"{python} can't be run there: {done.last}. "
            'Name the Python with h5daq in it: python = "/path/to/venv/bin/python"'
        )
    return Found(str(said["python"]), str(said["h5daq"] or ""), str(said["why"]))


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
