"""The state of a run when the writer can't be asked: what it said last, and why it is down.

A status is asked for most urgently when something is wrong, so it has an answer then too: no
longer after than one try, since a writer may die while it is being asked.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from h5daq.daemon.fleet import Fleet
from h5daq.errors import NoAnswer

__all__ = ["ask_status"]

_TRIES, _TRY_SECONDS = 5, 2.0


def ask_status(fleet: Fleet, last: dict[str, Any]) -> dict[str, Any]:
    """The writer's status; while it is down, `last` with the reason.

    Raises
    ------
    NoAnswer
        If it lives and does not answer.
    """
    for _ in range(_TRIES):
        if not fleet.writer.alive:
            return _without_writer(fleet, last)
        with suppress(NoAnswer):
            answer: dict[str, Any] = fleet.request("status", timeout=_TRY_SECONDS)
            return answer
    seconds = _TRIES * _TRY_SECONDS
    raise NoAnswer(f"status: the writer lives, but has not answered for {seconds:g} s")


def _without_writer(fleet: Fleet, last: dict[str, Any]) -> dict[str, Any]:
    run = {"name": fleet.settings.run_name, **last.get("run", {}), "file": fleet.file_name}
    trouble = f"no writer for now ({fleet.writer.cause}); it is started again"
    writer = {**last.get("writer", {}), "state": "down", "trouble": trouble}
    raised = fleet.vigil.raised
    alarms = [*last.get("alarms", []), *([raised] if raised else [])]
    return {"run": run, "writer": writer, "jobs": dict(last.get("jobs", {})), "alarms": alarms}
