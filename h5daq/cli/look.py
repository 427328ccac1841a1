"""Commands that look at what was recorded: show, plot. Also while it is being recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.listing import alarms_dict
from h5daq.cli.parser import Arguments, Parser, Subparsers, add_command, add_json
from h5daq.errors import ConfigError
from h5daq.flow.raised import EVENTS

if TYPE_CHECKING:
    from h5daq.files.group import Group
    from h5daq.files.recording import Recording

__all__ = ["add", "add_source", "add_times", "moment", "opened"]

MOST_EVENTS = 20
"""Events that are shown, the newest."""


def add(subparsers: Subparsers) -> None:
    """Add these commands."""
    show = add_command(
        subparsers, "show", _show,
        summary="Show what a recording holds: columns, rates, gaps, losses, rows, events.",
        details="A directory means its newest run, over all its files; a file means that file.\n"
        "Events are alarms, restarts of workers, and clocks that were set: the newest are shown,\n"
        "and below them the alarms that have no end.",
        examples="h5daq show data\nh5daq show data tank/temperature --from 2026-11-21T09:00\n"
        "h5daq show data/DAQ_*.hdf5 --json",
    )  # fmt: skip
    add_source(show)
    show.add_argument("groups", nargs="*", metavar="GROUP", help="only these groups")
    add_times(show)
    add_json(show)
    plot = add_command(
        subparsers, "plot", _plot, summary="Plot a column, in the terminal or as a PNG.",
        details="Numbers are drawn over time, of arrays the newest row. Of very many rows the\n"
        "least and the largest value of each stretch of time is drawn, so no peak is missed.",
        examples="h5daq plot data tank/temperature/T_top\n"
        "h5daq plot data digitizer/wave --png wave.png\n"
        "h5daq plot data tank/temperature/T_top --from 2026-11-21T09:00 --to 2026-11-21T10:00",
    )  # fmt: skip
    add_source(plot)
    plot.add_argument("column", metavar="GROUP/LABEL", help="which column")
    plot.add_argument("--png", type=Path, metavar="FILE", help="write a picture instead")
    add_times(plot)


def add_source(parser: Parser) -> None:
    """Add the argument that says which recording, and which of its runs."""
    parser.add_argument("source", metavar="PATH", help="directory, file or pattern")
    parser.add_argument(
        "--run", help="which run: its name, its id, or -2 for the one before the last"
    )


def add_times(parser: Parser) -> None:
    """Add the options for a stretch of time."""
    text = "only rows from then on: ISO 8601, UTC if no zone is given, or seconds since 1970"
    parser.add_argument("--from", dest="start", metavar="TIME", help=text)
    parser.add_argument("--to", dest="end", metavar="TIME", help="only rows before then")


def opened(args: Arguments) -> Recording:
    """The recording that the arguments mean."""
    from h5daq.files.recording import open_recording

    run: int | str | None = args.run
    if isinstance(run, str) and run.lstrip("-").isdigit():
        run = int(run)
    return open_recording(args.source, run=run)


def moment(text: str | None) -> float | str | None:
    """A time as the user gave it: seconds since 1970, or ISO 8601."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


# -- show -----------------------------------------------------------------------------------------


def _show(args: Arguments) -> int:
    recording = opened(args)
    with recording:
        names = args.groups or recording.groups
        groups = [recording[name].between(moment(args.start), moment(args.end)) for name in names]
        if args.json:
            shown = {group.name: _group_dict(group) for group in groups}
            if not args.groups:
                shown[EVENTS] = alarms_dict(recording.alarms)
            print(json.dumps(shown, default=str))
            return 0
        for path in recording.files:
            print(path)
        for group in groups:
            print("\n" + "\n".join(_group_lines(group)))
        if not args.groups:
            print("\n".join(_event_lines(recording, args)))
    return 0


def _event_lines(recording: Recording, args: Arguments) -> list[str]:
    import numpy as np

    from h5daq.files.events import still_raised
    from h5daq.files.times import iso, seconds_of
    from h5daq.monitor.words import clean

    events = recording.events
    for text, keep in ((args.start, np.greater_equal), (args.end, np.less)):
        if (time := moment(text)) is not None:
            events = events[keep(events["time"], seconds_of(time))]
    if not len(events):
        return []
    earlier = [f"  … and {len(events) - MOST_EVENTS:,} before"] * (len(events) > MOST_EVENTS)
    shown = [
        f"  {iso(float(event['time']))}  {event['level']:<5}  {_about(event)}"
        for event in events[-MOST_EVENTS:]
    ]
    raised = [f"  raised  {event['text']}" for event in still_raised(events)[-MOST_EVENTS:]]
    return ["", f"events  {len(events):,}", *earlier, *map(clean, [*shown, *raised])]


def _about(event: Any) -> str:
    """What happened; most texts say of which job by themselves."""
    job = "" if event["text"].startswith(event["job"]) else f"{event['job']}: "
    return f"{job}{event['text']}"


def _group_dict(group: Group) -> dict[str, Any]:
    from dataclasses import asdict

    from h5daq.files.summary import summarise

    columns = {
        column.label: {
            "dtype": "text" if column.is_text else column.dtype.str,
            "shape": list(column.shape),
            "unit": column.unit,
            "description": column.description,
        }
        for column in group.columns.values()
    }
    return {
        **asdict(summarise(group)), "columns": columns, "attrs": group.attrs,
        "lost": group.lost, "late": group.late, "restarts": group.restarts,
    }  # fmt: skip


def _group_lines(group: Group) -> list[str]:
    from h5daq.files.summary import summarise
    from h5daq.files.times import iso
    from h5daq.monitor.words import clean

    found = summarise(group)
    lines = [f"{clean(group.name)}  {found.rows:,} rows" + _rate(found.rate, found.period)]
    for column in group.columns.values():
        shape = " × ".join(map(str, column.shape))
        dtype = "text" if column.is_text else str(column.dtype)
        unit = f"[{clean(column.unit)}]" if column.unit and column.label != "time" else ""
        parts = (f"  {clean(column.label):<16}", dtype, shape, unit, clean(column.description))
        lines.append(" ".join(part for part in parts if part))
    if found.rows:
        ends = group[:1].times[0], group[-1:].times[0]
        lines.append(f"  first  {iso(float(ends[0]))}  {_row(found.first)}")
        lines.append(f"  last   {iso(float(ends[1]))}  {_row(found.last)}")
    return lines + _remarks(group, found)


def _rate(rate: float | None, period: float | None) -> str:
    from h5daq.monitor.words import count

    every = "" if period is None else f", one each {period:.4g} s"
    return "" if rate is None else f"  {count(rate)}/s{every}"


def _row(row: dict[str, Any]) -> str:
    from h5daq.monitor.words import clean, value

    return "  ".join(f"{clean(label, 20)}={value(entry)}" for label, entry in row.items())


def _remarks(group: Group, found: Any) -> list[str]:
    from h5daq.files.times import iso
    from h5daq.monitor.words import clean, duration

    lines = [f"  lost   {n:,} ({clean(cause)})" for cause, n in group.lost.items()]
    if group.late:
        lines.append(f"  late   {group.late:,} rows came after the file of their time was closed")
    if found.gap_count:
        lines.append(f"  gaps   {found.gap_count:,}, the longest:")
        lines += [f"         {iso(at)}  {duration(length)}" for at, length in found.gaps]
    if found.back_count:
        lines.append(f"  time   goes back {found.back_count:,} times")
    return lines + [f"  again  {iso(at)}  {clean(cause)}" for at, cause in group.restarts]


# -- plot -----------------------------------------------------------------------------------------


def _plot(args: Arguments) -> int:
    from h5daq.files.plot import plot_column

    recording = opened(args)
    name, _, label = args.column.strip("/").rpartition("/")
    if not name:
        raise ConfigError(f"{args.column!r}: name group and column, as in tank/temperature/T_top")
    group = recording[name].between(moment(args.start), moment(args.end))
    if args.png is not None:
        from h5daq.files.picture import save_png

        save_png(group, label, args.png)
        print(args.png)
        return 0
    from rich.console import Console

    console = Console()
    width, height = min(console.width, 160), max(12, min(console.height - 4, 30))
    print(plot_column(group, label, width=width, height=height, color=console.is_terminal))
    return 0
