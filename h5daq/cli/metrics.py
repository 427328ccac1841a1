"""``h5daq metrics``: a running system in figures for Prometheus."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Subparsers, add_command
from h5daq.cli.run import stop_on_signals
from h5daq.errors import ConfigError

__all__ = ["add"]

DEFAULT_PORT = 9571


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "metrics",
        _metrics,
        summary="Serve metrics for Prometheus, or print them once.",
        details="Rows produced, committed, in the file, held, lost by cause; restarts, lateness,\n"
        "journal, checkpoints, disk. Needs the extra: pip install 'h5daq[metrics]'.\n"
        "h5daq run does the same if its configuration has [metrics] port. deploy/ has a scrape,\n"
        "alerts and a dashboard.",
        examples="h5daq metrics --directory data\n"
        "h5daq metrics --connect tcp://daq0:5570 --port 9571 --host 0.0.0.0\n"
        "h5daq metrics --directory data --once | grep lost\n"
        "h5daq metrics --connect tcp://daq0:5570 --alarms lab.toml   # tells of a dead writer",
    )
    add_connection(parser)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"({DEFAULT_PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    parser.add_argument("--values", action="store_true", help="also the newest value per column")
    parser.add_argument(
        "--alarms", type=Path, metavar="CONFIG",
        help="also tell the command and the webhook in [alarms] of this configuration when the "
        "writer is not heard any more: for one that no `h5daq run` looks after",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="print them and end")


def _metrics(args: Arguments) -> int:
    from h5daq.monitor.metrics import exposition, serve

    with client_of(args) as client:

        def ask(verb: str, arguments: dict[str, object]) -> object:
            return client.request(verb, timeout=5.0, **arguments)

        if args.once:
            print(exposition(ask, values=args.values), end="")
            return 0
        stop = stop_on_signals()
        with _lookout(args):
            port, end = serve(ask, args.port, args.host, values=args.values)
            print(f"metrics: http://{args.host}:{port}/metrics", flush=True)
            stop.wait()
            end()
    return 0


@contextmanager
def _lookout(args: Arguments) -> Iterator[None]:
    """Tell whom the configuration says when the writer is not heard any more, if that is wanted."""
    if args.alarms is None:
        yield
        return
    from h5daq.config import load
    from h5daq.flow.alarm_options import AlarmOptions
    from h5daq.monitor.feed import Feed
    from h5daq.monitor.vigil import Lookout

    config = load(args.alarms)
    options = AlarmOptions.of(config.alarm_options() or {})
    if not (options.command or options.webhook):
        raise ConfigError(f"{args.alarms}: [alarms] has neither a command nor a webhook to tell")
    run = {"name": config.run.name, "directory": str(config.directory)}
    about = {"run": run, "host": socket.gethostname()}
    with Feed(lambda: client_of(args), insist=False) as feed, Lookout(feed, options, about):
        yield
