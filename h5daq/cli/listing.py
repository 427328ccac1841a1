"""``h5daq ls``: the runs of a directory, their files, and what alarms they had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json

if TYPE_CHECKING:
    from h5daq.storage.runs.order import Run

__all__ = ["add", "alarms_dict"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    listing = add_command(
        subparsers, "ls", _ls, summary="List the runs of a directory, their files and alarms.",
        details="Events are the alarms of a run and their ends, as its files have them; raised\n"
        "are those without an end. `h5daq show` has their texts.",
        examples="h5daq ls\nh5daq ls data --json | jq '.[-1].files'\n"
        "h5daq ls data --json | jq '.[] | select(.events.raised != [])'",
    )  # fmt: skip
    listing.add_argument("source", nargs="?", default=".", help="directory, file or pattern (.)")
    add_json(listing)


def _ls(args: Arguments) -> int:
    from h5daq.files.recording import open_recording

    recording = open_recording(args.source, run="all")
    runs = [_run_dict(run) for run in recording.runs]
    if args.json:
        print(json.dumps(runs))
        return 0
    from rich.console import Console

    Console().print(_table(runs))
    return 0


def _run_dict(run: Run) -> dict[str, Any]:
    last = run.files[-1].attrs
    end = last.get("run_end")
    known_end = end if isinstance(end, float) and end == end else None
    state = "interrupted" if last.get("interrupted") else "ended" if known_end else "open"
    files = [{"path": str(head.path), "bytes": head.path.stat().st_size} for head in run.files]
    return {
        "run": run.id, "name": run.name, "start": run.start, "end": known_end, "state": state,
        "bytes": sum(file["bytes"] for file in files), "events": _events(run), "files": files,
    }  # fmt: skip


def _events(run: Run) -> dict[str, Any]:
    from h5daq.files.recording import open_recording

    with open_recording([head.path for head in run.files], run="all") as recording:
        return alarms_dict(recording.alarms)


def alarms_dict(alarms: Any) -> dict[str, Any]:
    """How many events, the newest of them, and the alarms that are not over."""
    from h5daq.files.events import still_raised

    newest = [{"time": float(event["time"]), "text": str(event["text"])} for event in alarms[-1:]]
    return {
        "count": len(alarms),
        "newest": newest[0] if newest else None,
        "raised": [str(event["text"]) for event in still_raised(alarms)],
    }


def _table(runs: list[dict[str, Any]]) -> Any:
    from rich.filesize import decimal
    from rich.table import Table

    from h5daq.files.times import iso
    from h5daq.monitor.words import clean, duration

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("run", "begun", "lasted", "state", "size", "events", "files"):
        table.add_column(title, overflow="fold" if title == "files" else "ellipsis")
    for run in runs:
        lasted = "" if run["end"] is None else duration(max(0.0, run["end"] - run["start"]))
        begun = "" if run["start"] is None else iso(run["start"])
        table.add_row(
            clean(run["name"]) or "unnamed",
            begun,
            lasted,
            run["state"],
            decimal(run["bytes"]),
            _events_text(run["events"]),
            "\n".join(clean(Path(file["path"]).name) for file in run["files"]),
        )
    return table


def _events_text(events: dict[str, Any]) -> Any:
    from rich.text import Text

    from h5daq.files.times import iso

    if not events["count"]:
        return Text("0", "dim")
    text = Text(f"{events['count']:,}")
    if events["raised"]:
        text.append(f", {len(events['raised'])} raised", "bold red")
    return text.append(f"\n{iso(events['newest']['time'])[:16]}", "dim")
