"""The hosts of a configuration as a table, under that of the jobs: what runs where, and how."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["print_hosts"]

_TITLES = ("host", "state", "process", "since", "clock", "log, or why not")


def print_hosts(states: Mapping[str, Any], failures: Mapping[str, str]) -> None:
    """A line per host, and one more per job that is not well.

    Parameters
    ----------
    states : mapping
        By label, what a host says of itself (see `Launcher.states`).
    failures : mapping
        Why others could not be asked.
    """
    rows = {label: _row(label, state) for label, state in states.items()}
    rows |= {label: (label, "out of reach", "", "", "", why) for label, why in failures.items()}
    table = [_TITLES, *rows.values()]
    widths = [max(len(row[n]) for row in table) for n in range(len(_TITLES) - 1)]
    print(_line(_TITLES, widths))
    for label, row in rows.items():
        print(_line(row, widths))
        for text in _remarks(states.get(label, {})):
            print(f"    {text}")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    # The last column is as long as it is: a path that is broken can't be copied.
    padded = [f"{text:<{width}}" for text, width in zip(row, widths, strict=False)]
    return "  ".join([*padded, row[-1]]).rstrip()


def _row(label: str, state: dict[str, Any]) -> tuple[str, ...]:
    record = state["record"]
    if not state["runs"]:
        last = f"last: {record['state']}" if record else "never did"
        return (label, f"does not run ({last})", "", "", "", state["log"])
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.get("started")))
    how = str(record.get("state")) + _writer_silence(record.get("writer") or {})
    pid, clock = str(record.get("pid")), _clock(record.get("clock"))
    return (label, how, pid, since, clock, state["log"])


def _writer_silence(writer: dict[str, Any]) -> str:
    """That this host does not hear the writer, and for how long: the alarm of all monitors."""
    if writer.get("answers") is not False:
        return ""
    seen = writer.get("seen")
    if seen is None:
        return ", alarm: no answer from the writer yet"
    from h5daq.monitor.words import duration

    return f", alarm: writer not heard for {duration(max(0.0, time.time() - seen))}"


def _clock(clock: dict[str, float] | None) -> str:
    if not clock:
        return ""
    from h5daq.monitor.words import clock as text

    return text(clock["offset"], clock["error"])


def _remarks(state: Mapping[str, Any]) -> Iterator[str]:
    jobs = state["record"].get("jobs") if state.get("runs") else None
    for group, job in (jobs or {}).items():
        if job["state"] != "running" or job["restarts"]:
            why = job["message"] or job["last_death"]
            yield f"{group}: {job['state']}, {job['restarts']} restarts: {why}"
