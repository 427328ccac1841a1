"""The launcher's hand on a host: one process that obeys until nothing more is asked.

Requests come as lines of JSON on standard input, some with a parcel behind them, and each is
answered by one marked line (`h5daq.launcher.talk`). What it starts is held on a tether until it
runs, and has a session, a log and no terminal of its own, so that then neither the end of the
connection nor of the launcher touches it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from h5daq.errors import H5daqError, ProcessFailed
from h5daq.flow.closing import Closing
from h5daq.launcher.parcel import CONFIG, config_in, home_of, stage, unpack_parcel, write_config
from h5daq.launcher.place import Place
from h5daq.launcher.talk import MARK
from h5daq.launcher.tether import Held

__all__ = ["Session", "main"]

_LOOK_SECONDS = 0.02
_LOAD_SECONDS = 120.0
"""For the interpreter and all that the getters import, on a small and busy machine."""


class Session(Closing):
    """The verbs for one post.

    Parameters
    ----------
    key : str
        Under which name its copy of the configuration is kept here.
    name : str
        The host's name in the configuration; empty for the writer.
    config : str
        The configuration, where this is the launching machine.
    """

    def __init__(self, key: str, name: str, config: str = "") -> None:
        self._key, self._name, self._sent = key, name, not config
        self._config = Path(config) if config else home_of(key) / CONFIG
        self._place = Place(self._config, name)
        self._held: Held | None = None

    def look(self, files: str = "") -> dict[str, Any]:
        """What there is here, before anything is done."""
        return {
            "time": time.time(), "free": _free(files), "runs": self._place.taken,
            "rsync": shutil.which("rsync") is not None,
        }  # fmt: skip

    def stage(self) -> dict[str, Any]:
        """Make room for modules that come by another way, before the parcel."""
        fresh, old = stage(self._key)
        return {"fresh": str(fresh), "old": str(old)}

    def prepare(self, parcel: bytes = b"", staged: bool = False) -> dict[str, Any]:
        """Take in a parcel and load the jobs, ready to begin; nothing is touched that runs."""
        if self._place.taken:
            same = not self._sent or config_in(parcel) == self._config.read_bytes()
            return {"runs": True, "changed": not same, **self._state()}
        if self._sent:
            unpack_parcel(self._key, parcel, staged)
        held = self._start()
        said = held.hear("ready", _LOAD_SECONDS)
        if said is None:
            raise ProcessFailed(self._why_not(held))
        return {"runs": False, "jobs": said["jobs"]}

    def begin(self, seconds: float = 60.0, meet: float = 20.0) -> dict[str, Any]:
        """Let it run, and wait for that, and `meet` s for its first answer of the writer."""
        meet = meet if self._name else 0.0
        if self._place.taken:
            _await(self._answered, meet)
            return {"runs": True, "begun": False, **self._state()}
        held = self._held or self._start()
        held.begin()
        # One that is not heard and lives has much to do first, as a writer that recovers has.
        if held.hear("runs", seconds) is None and held.exit_code() is not None:
            why = self._why_not(held)
            raise ProcessFailed(f"it does not run: {why}\nIts log there: {self._place.log}")
        met = held.hear("meets", meet) if meet else None
        state = self._state()
        state["record"] |= {"pid": held.pid, **({"writer": met["writer"]} if met else {})}
        return {"runs": True, "begun": True, **state}

    def follow(self, parcel: bytes = b"", requests: str = "", seconds: float = 20.0) -> Any:
        """Bring the configuration to a process that runs, and wait until it goes by it.

        It does when its writer is silent, and has the `requests` endpoint of the new one.
        """
        if self._sent:
            write_config(self._key, parcel)
        if not _await(lambda: self._writer().get("requests") == requests, seconds):
            said = self._writer()
            raise ProcessFailed(
                f"it stays with the writer at {said.get('requests')}, which "
                f"{'answers' if said.get('answers') else 'is silent'}; "
                f"its log there: {self._place.log}"
            )
        _await(self._answered, seconds)
        return self.state()

    def state(self) -> dict[str, Any]:
        """How it does."""
        return {"runs": self._place.taken, **self._state()}

    def end(self, seconds: float = 60.0) -> dict[str, Any]:
        """Tell it to end in order, and wait for that."""
        was = self._place.taken
        if was:
            with suppress(ProcessLookupError, KeyError):
                os.kill(int(self._place.read()["pid"]), signal.SIGTERM)
        _await(lambda: not self._place.taken, seconds)
        return {"was": was, **self.state()}

    def close(self) -> None:
        """Let go of what was started."""
        if self._held is not None:
            self._held.close()

    # -- inside ----------------------------------------------------------------------------------

    def _start(self) -> Held:
        self._held = Held(self._place, self._command())
        return self._held

    def _command(self) -> list[str]:
        config, name = str(self._config), self._name
        if not name:
            return ["run", config, "--quiet"]
        # The key that came in the parcel, whatever the configuration says of other machines.
        key = self._config.parent / "keys" / f"{name}.key"
        keys = ["--keys", str(key)] if self._sent and key.exists() else []
        return ["host", "--config", config, "--name", name, *keys]

    def _why_not(self, held: Held) -> str:
        """Why it did not come so far; one that would never begin is ended."""
        if held.failure:
            return held.failure
        said, code = self._place.tail(self._place.console), held.exit_code()
        if code is None:
            held.kill()
            return f"it is not ready after {_LOAD_SECONDS:g} s: does an import hang? {said}"
        return said or f"it ended with exit code {code}"

    def _state(self) -> dict[str, Any]:
        return {"record": self._place.read(), "log": str(self._place.log)}

    def _writer(self) -> dict[str, Any]:
        """What a host's process says of its writer."""
        return self._place.read().get("writer") or {}

    def _answered(self) -> bool:
        return bool(self._writer().get("answers"))


def _free(files: str) -> int | None:
    """Free bytes on the disk of the user's home, or of the files if there are less."""
    places = [Path.home(), *([Path(files).expanduser().absolute()] if files else [])]
    try:
        return min(shutil.disk_usage(_existing(place)).free for place in places)
    except OSError:
        return None


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _await(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until it holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return held


_VERBS = ("look", "stage", "prepare", "begin", "follow", "state", "end")


def _obey(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """Do one verb; an error of ours is an answer, too."""
    verb, size = request.pop("verb"), request.pop("size", 0)
    if size:
        request["parcel"] = sys.stdin.buffer.read(size)
    try:
        answer: dict[str, Any] = getattr(session, verb)(**request) if verb in _VERBS else {}
    except (H5daqError, OSError) as error:
        return {"error": str(error)}
    return answer


def main(who: dict[str, str]) -> int:
    """Obey until standard input ends."""
    with Session(**who) as session:
        for line in iter(sys.stdin.buffer.readline, b""):
            answer = json.dumps(_obey(session, json.loads(line))).encode()
            sys.stdout.buffer.write(MARK + answer + b"\n")
            sys.stdout.buffer.flush()
    return 0
