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

from h5daq.errors import H5daqError, ProcessFailed
from h5daq.jobs.surroundings import bare_environment
from h5daq.launcher.parcel import CONFIG, config_in, home_of, unpack_parcel, write_config
from h5daq.launcher.place import Place

__all__ = ["MARK", "VERBS", "main"]

MARK = "h5daq-answer:"
"""Before the answer: what else is printed may come from a login script."""

_LOOK_SECONDS = 0.1


def prepare(key: str, name: str, config: str = "") -> dict[str, Any]:
    """Take in a parcel and see whether the jobs could begin; nothing is touched that runs."""
    place, sent = _place(key, name, config), b"" if config else sys.stdin.buffer.read()
    if place.taken:
        same = config or config_in(sent) == _config(key, config).read_bytes()
        return {"runs": True, "changed": not same, **_state(place)}
    # Imported only here: a small host pays dearly for it, and the other verbs need it not.
    from h5daq.config import load
    from h5daq.launcher.keycheck import check_keys

    found = load(Path(config) if config else unpack_parcel(key, sent) / CONFIG)
    jobs = found.make_jobs(name or None)
    check_keys(found, name, _sent_key(found.path, name, sent=not config))
    return {"runs": False, "jobs": [job.group for job in jobs]}


def begin(
    key: str, name: str, config: str = "", seconds: float = 60.0, meet: float = 20.0
) -> dict[str, Any]:
    """Start a host's process and wait until it runs, and `meet` s for an answer of the writer."""
    place = _place(key, name, config)
    if place.taken:
        _await(lambda: _answered(place), meet if name else 0.0)
        return {"runs": True, "begun": False, **_state(place)}
    process = _detach(place, _command(_config(key, config), name, sent=not config))
    _await(lambda: process.poll() is not None or _runs(place, process.pid), seconds)
    _await(lambda: process.poll() is not None or _answered(place), meet if name else 0.0)
    code = process.poll()
    return {"runs": code is None, "begun": True, "code": code, **_state(place)}


def follow(key: str, name: str, requests: str, config: str = "", seconds: float = 20.0) -> Any:
    """Bring the configuration to a process that runs, and wait until it goes by it.

    It does when its writer is silent, and has the `requests` endpoint of the new one.
    """
    place = _place(key, name, config)
    if not config:
        write_config(key, sys.stdin.buffer.read())
    if not _await(lambda: _writer(place).get("requests") == requests, seconds):
        said = _writer(place)
        raise ProcessFailed(
            f"it stays with the writer at {said.get('requests')}, which "
            f"{'answers' if said.get('answers') else 'is silent'}; its log there: {place.log}"
        )
    _await(lambda: _answered(place), seconds)
    return {"runs": place.taken, **_state(place)}


def state(key: str, name: str, config: str = "") -> dict[str, Any]:
    """How it does."""
    place = _place(key, name, config)
    return {"runs": place.taken, **_state(place)}


def end(key: str, name: str, config: str = "", seconds: float = 60.0) -> dict[str, Any]:
    """Tell it to end in order, and wait for that."""
    place = _place(key, name, config)
    was = place.taken
    if was:
        with suppress(ProcessLookupError, KeyError):
            os.kill(int(place.read()["pid"]), signal.SIGTERM)
    _await(lambda: not place.taken, seconds)
    return {"was": was, "runs": place.taken, **_state(place)}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "prepare": prepare,
    "begin": begin,
    "follow": follow,
    "state": state,
    "end": end,
}


def _config(key: str, config: str) -> Path:
    return Path(config) if config else home_of(key) / CONFIG


def _place(key: str, name: str, config: str) -> Place:
    return Place(_config(key, config), name)


def _await(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until it holds; whether it did in time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return held


def _runs(place: Place, pid: int) -> bool:
    record = place.read()
    return record.get("pid") == pid and record.get("state") == "running"


def _writer(place: Place) -> dict[str, Any]:
    """What a host's process says of its writer."""
    return place.read().get("writer") or {}


def _answered(place: Place) -> bool:
    return bool(_writer(place).get("answers"))


def _state(place: Place) -> dict[str, Any]:
    said = "" if place.taken else place.tail(place.console)
    return {"record": place.read(), "log": str(place.log), "said": said}


def _command(config: Path, name: str, sent: bool) -> list[str]:
    if not name:
        return ["run", str(config), "--quiet"]
    words = ["host", "--config", str(config), "--name", name]
    key = _sent_key(config, name, sent)
    return [*words, "--keys", key] if key else words


def _sent_key(config: Path, name: str, sent: bool) -> str | None:
    """The key that came in the parcel, whatever the configuration says of other machines."""
    key = config.parent / "keys" / f"{name}.key"
    return str(key) if sent and name and key.exists() else None


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
