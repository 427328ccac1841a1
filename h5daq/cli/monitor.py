"""``h5daq monitor``: a running system on the whole terminal, with keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Subparsers, add_command
from h5daq.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from h5daq.monitor.terminal.app import MonitorApp

__all__ = ["add"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "monitor",
        _monitor,
        summary="Watch and command a running system on the whole terminal.",
        details="Jobs with state, rate, newest values and losses; the writer, its journal and\n"
        "disk; hosts; a plot of the chosen column; the log with a filter. Arrows choose job\n"
        "and column, Tab the pane; p pauses the chosen job, r resumes it, t triggers a reading,\n"
        "c adds a comment, / filters the log, z zooms, q quits. It may be opened and closed at\n"
        "any time, and slows nothing. A key with the role monitor may look and not command.\n"
        "Needs the extra: pip install 'h5daq[terminal]'.",
        examples="h5daq monitor data\n"
        "h5daq monitor --connect tcp://daq0:5570 --keys ~/anna.key\n"
        "h5daq monitor --config lab.toml\n"
        "h5daq monitor data --screenshot monitor.svg --after 30   # a picture, without a terminal",
    )
    parser.add_argument("place", nargs="?", metavar="DIRECTORY", help="as --directory")
    where = add_connection(parser)
    where.add_argument("--config", type=Path, help="the writer of this configuration")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="save an SVG and end")
    parser.add_argument(
        "--after", type=float, default=10.0, help="seconds to watch before --screenshot (10)"
    )
    parser.add_argument("--size", default="120x40", help="of the --screenshot (120x40)")
    parser.add_argument("--select", metavar="GROUP/LABEL", help="the column to begin with")


def _monitor(args: Arguments) -> int:
    app_class = _app_class()
    if args.place is not None:
        if args.connect or args.config or args.directory != ".":
            raise ConfigError(
                f"{args.place} and another option say which system is meant: one does"
            )
        args.directory = args.place
    from h5daq.monitor.feed import Feed

    size = _size(args.size)
    with Feed(lambda: client_of(args)) as feed:
        app = app_class(feed, select=args.select)
        if args.screenshot is None:
            app.run()
        else:
            _picture(app, args, size)
        return app.return_code or 0


def _app_class() -> type[MonitorApp]:
    try:
        import textual  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "monitor needs textual, which is not installed: pip install 'h5daq[terminal]'; "
            "`h5daq status` and `h5daq watch` need nothing more"
        ) from error
    from h5daq.monitor.terminal.app import MonitorApp

    return MonitorApp


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ConfigError(f"--size {text}: characters across and down, as 120x40")
    return int(width), int(height)


def _picture(app: MonitorApp, args: Arguments, size: tuple[int, int]) -> None:
    async def wait(pilot: Pilot[Any]) -> None:
        await pilot.pause(args.after)
        args.screenshot.write_text(app.picture(), encoding="utf-8")
        app.exit()

    app.run(headless=True, size=size, auto_pilot=wait)
    print(args.screenshot)
