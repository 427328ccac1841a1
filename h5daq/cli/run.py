"""``h5daq run CONFIG``: a run in the foreground, with a live status line and a clean stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_keys
from h5daq.errors import ConfigError, NoAnswer

if TYPE_CHECKING:
    from h5daq.config import Config
    from h5daq.daemon import DAQDaemon
    from h5daq.launcher.place import Place
    from h5daq.launcher.tether import Tether
    from h5daq.monitor.picture import Picture

__all__ = ["add", "look", "stop_on_signals", "until_stopped"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "run",
        _run,
        summary="Record the jobs of a configuration until stopped.",
        details="Runs in the foreground with a status line. Ctrl-C or SIGTERM stops in order: the\n"
        "workers read no more, every row goes into the file, the file gets its last name.",
        examples="h5daq run lab.toml\nh5daq run lab.toml --seconds 60",
    )
    parser.add_argument("config", type=Path, help="the configuration file (TOML)")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--quiet", action="store_true", help="no status line")
    add_keys(parser, "the directory of the keys, instead of [security] keys")


def _run(args: Arguments) -> int:
    from h5daq.config import load
    from h5daq.daemon.described import make_daemon
    from h5daq.launcher.place import Place
    from h5daq.launcher.tether import Tether
    from h5daq.logs import setup_logging

    if args.seconds is not None and not args.seconds > 0:
        raise ConfigError(f"--seconds {args.seconds:g} must be above 0")
    with Tether.found() as tether, tether.telling():
        config = load(args.config)
        daemon = make_daemon(config, args.keys)
        if tether and not _may_begin(tether, config, daemon):
            return 0
        setup_logging(**config.logging_arguments())
        stop = stop_on_signals()  # before the start: what has begun must be ended in order
        with Place(config.path) as place:
            print(daemon.start(), flush=True)
            try:
                _take(place, config, daemon)
                tether.say("runs")
                with _metrics(daemon, config):
                    until_stopped(daemon, stop, args.seconds, quiet=args.quiet)
            finally:
                print(daemon.stop(), flush=True)
            place.note(state="ended")
    return 0


def _may_begin(tether: Tether, config: Config, daemon: DAQDaemon) -> bool:
    """See that the keys are there, and wait for the launcher's word; False if it never comes."""
    from h5daq.launcher.keycheck import check_keys

    daemon.warm()
    check_keys(config, "")
    return tether.may_begin(jobs=[job.group for job in daemon.jobs])


def _take(place: Place, config: Config, daemon: DAQDaemon) -> None:
    place.take(
        config=str(config.path), directory=str(config.directory), state="running",
        writer=daemon.endpoints,
    )  # fmt: skip


@contextmanager
def _metrics(daemon: DAQDaemon, config: Config) -> Iterator[None]:
    """Serve the metrics of the run while it goes on, if the configuration has [metrics]."""
    table = config.metrics
    if table.port is None:
        yield
        return
    from h5daq.client import connect
    from h5daq.monitor.metrics import serve

    with connect(daemon.endpoints["requests"], keys=daemon.keys) as client:
        port, end = serve(
            lambda verb, args: client.request(verb, timeout=5.0, **args),
            table.port, table.host, values=table.values,
        )  # fmt: skip
        print(f"metrics: http://{table.host}:{port}/metrics", flush=True)
        try:
            yield
        finally:
            end()


def until_stopped(
    daemon: DAQDaemon, stop: threading.Event, seconds: float | None, *, quiet: bool
) -> None:
    """Show the status until `stop` is set, the time is over, or it is stopped from elsewhere."""
    from rich.console import Console

    from h5daq.monitor.live import StatusLine
    from h5daq.monitor.picture import Picture

    picture = Picture()
    end = None if seconds is None else time.monotonic() + seconds
    with StatusLine(picture, Console(stderr=True, quiet=quiet)) as line:
        while not stop.wait(0.5 if end is None else max(0.0, min(0.5, end - time.monotonic()))):
            if not daemon.is_active or (end is not None and time.monotonic() >= end):
                break
            look(daemon, picture)
            line.update(time.time())


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set, instead of ending this process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def look(daemon: DAQDaemon, picture: Picture) -> None:
    """Bring the picture up to date; a writer that is being started again is waited for."""
    with suppress(NoAnswer):
        picture.take_status(daemon.status(), time.time())
