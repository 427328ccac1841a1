"""``h5daq watch``: what a running system broadcasts, a line each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from h5daq.cli.control import add_connection, client_of
from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import NoAnswer

if TYPE_CHECKING:
    from h5daq.client import Signal, Subscription
    from h5daq.flow.vigil import Vigil

__all__ = ["add"]

_LOOK_SECONDS, _HEAR_SECONDS = 0.5, 0.01


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "watch",
        _watch,
        summary="Print signals as they come.",
        details="New directories and datasets, new data after their commit, and alarms; that\n"
        "the writer is not heard any more is one, too. With\n"
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
    from h5daq.flow.vigil import Vigil

    with client_of(args) as client:
        endpoint, keys = client.signals_endpoint, client.keys
    from h5daq.client import SIGNAL_KINDS, subscribe

    kinds = args.kind or [*SIGNAL_KINDS, "alarm"]
    left = args.count
    with (
        subscribe(endpoint, kinds=kinds, path=args.path, keys=keys) as signals,
        subscribe(endpoint, kinds=["heartbeat"], keys=keys) as beats,
    ):
        ears = Ears(beats, Vigil(time.monotonic())) if "alarm" in kinds and not args.path else None
        try:
            for signal in _told(signals, ears, args.seconds):
                print(_line(signal, args.json), flush=True)
                left = None if left is None else left - 1
                if left == 0:
                    break
        except KeyboardInterrupt:
            return 0
    return 0


class Ears:
    """Hears whether the writer is there: the alarm about that is nobody's but the listener's.

    Parameters
    ----------
    beats : Subscription
        To heartbeats.
    vigil : Vigil
        Says when that changes something.
    """

    def __init__(self, beats: Subscription, vigil: Vigil) -> None:
        self._beats, self._vigil, self._ended = beats, vigil, False

    def listen(self, now: float) -> Iterator[Signal]:
        """The alarm, or its end, as a signal; `now` is monotonic seconds."""
        from h5daq.client import Signal

        came = _came(self._beats, _HEAR_SECONDS)
        self._ended = bool(came[-1].payload.get("ended")) if came else self._ended
        # After the end of a run nobody is waited for.
        there = came or self._ended
        change = self._vigil.heard(now) if there else self._vigil.look(now)
        if change is not None:
            told = time.time()
            yield Signal("alarm", "", change.told(int(told * 1e6), told))


def _told(signals: Subscription, ears: Ears | None, seconds: float | None) -> Iterator[Signal]:
    """Signals as they come, until there was none for so many seconds."""
    last = time.monotonic()
    while True:
        came = _came(signals, _LOOK_SECONDS if seconds is None else min(_LOOK_SECONDS, seconds))
        yield from came
        now = time.monotonic()
        last = now if came else last
        if ears is not None:
            yield from ears.listen(now)
        if seconds is not None and now - last >= seconds:
            return


def _came(signals: Subscription, seconds: float) -> list[Signal]:
    try:
        return signals.receive(seconds)
    except NoAnswer:
        return []


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
