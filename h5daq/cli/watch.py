"""``h5daq watch``: what a running system broadcasts, a line each."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import NoAnswer

if TYPE_CHECKING:
    from h5daq.client import Signal

__all__ = ["add"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "watch",
        _watch,
        summary="Print signals as they come.",
        details="New directories and datasets, new data, told after the commit, and alarms. With\n"
        "--kind whatever else is broadcast: position, heartbeat, status, log, refused, command.\n"
        "Of alarms, statuses and logs the path is the job's group.",
        examples="h5daq watch --directory data\n"
        "h5daq watch --kind alarm --path tower/wind\n"
        "h5daq watch --kind data-available --path tank-a/tower\n"
        "h5daq watch --json --count 10 | jq .last_time",
    )
    add_connection(parser)
    parser.add_argument("--kind", action="append", help="only this kind (may be repeated)")
    parser.add_argument("--path", default="", help="only this path of the vault and what is below")
    parser.add_argument("--count", type=int, help="end after so many signals")
    parser.add_argument("--seconds", type=float, help="end after so many seconds without a signal")
    add_json(parser)


def _watch(args: Arguments) -> int:
    with client_of(args) as client:
        endpoint, keys = client.signals_endpoint, client.keys
    from h5daq.client import SIGNAL_KINDS, subscribe

    kinds = args.kind or [*SIGNAL_KINDS, "alarm"]
    left = args.count
    with subscribe(
        endpoint, kinds=kinds, path=args.path, timeout=args.seconds, keys=keys
    ) as signals:
        try:
            for signal in signals:
                print(_line(signal, args.json), flush=True)
                left = None if left is None else left - 1
                if left == 0:
                    break
        except (NoAnswer, KeyboardInterrupt):
            return 0
    return 0


def _line(signal: Signal, as_json: bool) -> str:
    if as_json:
        return json.dumps({"kind": signal.kind, **signal.payload}, default=repr)
    clock = time.strftime("%H:%M:%S")
    fields = {k: v for k, v in signal.payload.items() if k not in ("v", "k", "path")}
    if signal.kind == "alarm":
        text = f"{fields.get('level')}  {fields.get('text')}"
    else:
        text = "  ".join(f"{key}={_short(value)}" for key, value in fields.items())
    return f"{clock}  {signal.kind:<15} {signal.path or '/'}  {text}"


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
