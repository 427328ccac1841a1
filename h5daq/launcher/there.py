"""``python -m h5daq.launcher.there VERB ARGUMENTS``: the launcher's hand on a host.

Each call is one command over ssh: arguments come as JSON on the command line, a parcel on standard
input, the answer goes out as one marked line of JSON. What it starts has a session, a log and no
terminal of its own, so that neither the end of the connection nor of the launcher touches it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from h5daq.errors import H5daqError
from h5daq.jobs.surroundings import bare_environment
from h5daq.launcher.parcel import CONFIG, home_of, unpack_parcel
from h5daq.launcher.place import Place

__all__ = ["MARK", "VERBS", "main"]

MARK = "h5daq-answer:"
"""Before the answer: what else is printed may come from a login script."""

_LOOK_SECONDS = 0.1


def prepare(key: str, name: str, config: str = "") -> dict[str, Any]:
    """Take in a parcel and see whether the jobs could begin; nothing is touched that runs."""
    place = _place(key, name, config)
    if place.taken:
        return {"runs": True, **_state(place)}
    # Not for the other verbs, which are asked for again and again: it takes longer than they do.
    from h5daq.config import load

    path = Path(config) if config else unpack_parcel(key, sys.stdin.buffer.read()) / CONFIG
    jobs = load(path).make_jobs(name or None)
    return {"runs": False, "jobs": [job.group for job in jobs]}


def begin(key: str, name: str, config: str = "", seconds: float = 60.0) -> dict[str, Any]:
    """Start a host's process and wait until it runs."""
    place = _place(key, name, config)
    if place.taken:
        return {"runs": True, "begun": False, **_state(place)}
    process = _detach(place, _command(_config(key, config), name, sent=not config))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        record = place.read()
        if record.get("pid") == process.pid and record.get("state") == "running":
            break
        time.sleep(_LOOK_SECONDS)
    code = process.poll()
    return {"runs": code is None, "begun": True, "code": code, **_state(place)}


def state(key: str, name: str, config: str = "") -> dict[str, Any]:
    """How it does."""
    place = _place(key, name, config)
    return {"runs": place.taken, **_state(place)}


def end(key: str, name: str, config: str = "", seconds: float = 60.0) -> dict[str, Any]:
    """Tell it to end in order, and wait for that."""
    place = _place(key, name, config)
    was, deadline = place.taken, time.monotonic() + seconds
    if was:
        with suppress(ProcessLookupError, KeyError):
            os.kill(int(place.read()["pid"]), signal.SIGTERM)
    while place.taken and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return {"was": was, "runs": place.taken, **_state(place)}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "begin": begin,
    "state": state,
    "end": end,
}


def _config(key: str, config: str) -> Path:
    return Path(config) if config else home_of(key) / CONFIG


def _place(key: str, name: str, config: str) -> Place:
    return Place(_config(key, config), name)


def _state(place: Place) -> dict[str, Any]:
    said = "" if place.taken else place.tail(place.console)
    return {"record": place.read(), "log": str(place.log), "said": said}


def _command(config: Path, name: str, sent: bool) -> list[str]:
    if not name:
        return ["run", str(config), "--quiet"]
    words = ["host", "--config", str(config), "--name", name]
    key = config.parent / "keys" / f"{name}.key"
    # It came in the parcel, whatever the configuration says of places on other machines.
    return [*words, "--keys", str(key)] if sent and key.exists() else words


def _detach(place: Place, words: list[str]) -> subprocess.Popen[bytes]:
    place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with place.console.open("wb") as console:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "h5daq", *words],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            start_new_session=True, env=bare_environment(), cwd=place.path,
        )  # fmt: skip


def main(words: list[str]) -> int:
    """Obey one verb and print its answer; an error of ours is an answer, too."""
    verb, arguments = words
    try:
        answer = VERBS[verb](**json.loads(arguments))
    except (H5daqError, OSError) as error:
        answer = {"error": str(error)}
    print(MARK + json.dumps(answer), flush=True)  # noqa: T201 - this line is the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
