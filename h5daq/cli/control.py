"""Commands to a running system: status, stop, pause, resume, trigger, flush.

They find it by ``--connect`` (its requests endpoint) or by ``--directory``, where a running writer
leaves its endpoints.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.host_table import print_hosts
from h5daq.cli.launch import add_hosts, ending_hosts, host_states
from h5daq.cli.parser import (
    Arguments,
    Parser,
    Subparsers,
    add_command,
    add_json,
    add_keys,
    given_keys,
)
from h5daq.errors import NoAnswer

if TYPE_CHECKING:
    from h5daq.client import Client
    from h5daq.storage.last_run import LastRun

__all__ = ["add", "add_connection", "client_of"]


def add(subparsers: Subparsers) -> None:
    """Add these commands."""
    _add(
        subparsers, "status", _status, "Show the run, the writer and each job.",
        "h5daq status\nh5daq status --connect tcp://daq0:5570 --json | jq .jobs\n"
        "h5daq status --connect tcp://daq0:5570 --keys ~/anna.key\n"
        "h5daq status --config lab.toml      # the hosts as well",
        hosts=True,
    )  # fmt: skip
    _add(
        subparsers, "flush", _flush, "Write now; returns when all committed rows are in the file.",
        "h5daq flush --directory data",
    )  # fmt: skip
    stop = _add(
        subparsers, "stop", _stop, "Stop reading, fetch what workers hold, seal the file.",
        "h5daq stop --directory data\nh5daq stop --connect tcp://daq0:5570 --drain-timeout 5\n"
        "h5daq stop --config lab.toml        # also what runs on hosts that the writer can't reach",
        hosts=True,
    )  # fmt: skip
    stop.add_argument(
        "--drain-timeout", type=float, help="seconds to wait for rows held by workers"
    )
    _add_order(subparsers, "pause", "Let jobs rest; their workers stay ready.")
    _add_order(subparsers, "resume", "Let paused jobs go on.")
    trigger = _add_order(subparsers, "trigger", "Take a reading now.")
    trigger.add_argument("--n", type=int, default=1, help="how many readings")


def add_connection(parser: Parser, *, hosts: bool = False) -> argparse._MutuallyExclusiveGroup:
    """Add the options that say which running system is meant; one of them may be given."""
    where = parser.add_mutually_exclusive_group()
    if hosts:
        add_hosts(parser, where)
    where.add_argument("--connect", metavar="ENDPOINT", help="e.g. tcp://daq0:5570")
    where.add_argument("--directory", default=".", help="the directory that it records into")
    add_keys(parser)
    return where


def _add(
    subparsers: Subparsers,
    name: str,
    handler: Callable[[Arguments], int],
    summary: str,
    examples: str,
    *,
    hosts: bool = False,
) -> Parser:
    parser = add_command(subparsers, name, handler, summary=summary, examples=examples)
    add_connection(parser, hosts=hosts)
    add_json(parser)
    return parser


def _add_order(subparsers: Subparsers, verb: str, summary: str) -> Parser:
    examples = f"h5daq {verb} tank/temperature --directory data"
    parser = _add(subparsers, verb, _order, summary, examples)
    parser.add_argument("jobs", nargs="*", help="groups of the jobs (all, if none is named)")
    return parser


def client_of(args: Arguments) -> Client:
    """The running system that the options say, by the keys that they say."""
    from h5daq.client import connect

    if getattr(args, "config", None):
        return _described(args)
    # A writer that is found by its directory says there whether it has keys, and where they are.
    keys = given_keys(args) if args.connect else args.keys
    return connect(args.connect, directory=args.directory, keys=keys)


def _described(args: Arguments) -> Client:
    """The writer that a configuration speaks of."""
    from h5daq.client import connect
    from h5daq.config import load
    from h5daq.daemon.described import writer_address

    config = load(args.config)
    if config.writer.requests is None:
        return connect(directory=config.directory)
    keys = given_keys(args) or config.keys
    return connect(writer_address(config, "requests"), keys=keys)


def _status(args: Arguments) -> int:
    if args.config:
        return _status_of_all(args)
    try:
        with client_of(args) as client:
            status = client.request("status")
    except NoAnswer as error:
        if args.connect is not None:
            raise
        return _no_run(args, error)
    _show(status, args)
    return 0


def _status_of_all(args: Arguments) -> int:
    hosts, failures = host_states(args)
    gone = "writer" in hosts and not hosts["writer"]["runs"]
    try:
        with client_of(args) as client:
            # One that somebody else has started may answer all the same.
            status, trouble = client.request("status", timeout=2.0 if gone else 10.0), ""
    except NoAnswer as error:
        status, trouble = {}, str(error)
    if args.json:
        print(json.dumps({**status, "hosts": hosts, "out_of_reach": failures}))
        return 1 if trouble else 0
    if status:
        _show(status, args)
        print()
    print_hosts(hosts, failures)
    print(trouble, end="\n" * bool(trouble), file=sys.stderr)
    return 1 if trouble else 0


def _show(status: dict[str, Any], args: Arguments) -> None:
    if args.json:
        print(json.dumps(status))
        return
    from h5daq.monitor.live import Summary
    from h5daq.monitor.picture import Picture

    picture = Picture()
    picture.take_status(status, time.time())
    Summary(picture).print(time.time())


def _no_run(args: Arguments, error: NoAnswer) -> int:
    """What there is to say of a directory in which nobody records."""
    from h5daq.storage.last_run import last_run

    directory = Path(args.directory).absolute()
    last = last_run(directory)
    if args.json:
        print(json.dumps({"run": None, "last": _last_dict(last), "error": str(error)}))
        return 1
    if last is not None:
        print(f"no run in {directory}; {_last_text(last)}", file=sys.stderr)
    raise error


def _last_dict(last: LastRun | None) -> dict[str, Any] | None:
    return None if last is None else {**asdict(last), "file": str(last.file)}


def _last_text(last: LastRun) -> str:
    name, at = (f"the last one ({last.name})" if last.name else "the last one"), last.ended
    if at is None:
        when = _clock(last.seen)
        return f"{name} was interrupted about {when}, and its file {last.file} is not sealed yet"
    return f"{name} {'was interrupted' if last.interrupted else 'ended'} at {_clock(at)}"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _flush(args: Arguments) -> int:
    with client_of(args) as client:
        answer = client.request("flush", timeout=600.0)
    print(json.dumps(answer) if args.json else f"written: {answer['file']}")
    return 0


def _stop(args: Arguments) -> int:
    if args.config:
        return _stop_all(args)
    return _stop_writer(args)


def _stop_all(args: Arguments) -> int:
    code = 0
    with ending_hosts(args) as end:
        try:
            with client_of(args) as client:
                client.request("ping", timeout=3.0)
            code = _stop_writer(args)
        except NoAnswer as error:
            print(f"{error} The hosts are ended one by one.", file=sys.stderr)
        return code if end() else 1


def _stop_writer(args: Arguments) -> int:
    with client_of(args) as client:
        answer = client.request("stop", timeout=660.0, drain_timeout=args.drain_timeout)
    if args.json:
        print(json.dumps(answer))
        return 1 if answer.get("left") else 0
    if answer.get("left"):
        print(
            f"the files can't be finished ({answer['left']}): what is not in them yet stays in "
            "the journal for the next start",
            file=sys.stderr,
        )
    print("stopped; files: " + (", ".join(answer["files"]) or "none, as there were no rows"))
    for job, rows in answer["held"].items():
        print(f"job {job}: {rows} rows are still held by its worker")
    return 1 if answer.get("left") else 0


def _order(args: Arguments) -> int:
    with client_of(args) as client:
        answer = client.request(args.command, jobs=args.jobs, n=getattr(args, "n", 1))
    print(json.dumps(answer) if args.json else f"{args.command}: {', '.join(answer['jobs'])}")
    return 0
