"""``h5daq launch CONFIG``: a run on all of its machines, over ssh; and what it shares with others.

``h5daq status --config`` and ``h5daq stop --config`` come here, too: they mean the same machines.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.host_table import print_hosts
from h5daq.cli.parser import Arguments, Parser, Subparsers, add_command, add_json
from h5daq.errors import ConfigError

if TYPE_CHECKING:
    from h5daq.launcher.launcher import Launcher, Tell
    from h5daq.launcher.posts import Post

__all__ = ["add", "add_hosts", "ending_hosts", "host_states"]

_DETAILS = """\
Looks at every host of the configuration at once: is it reached, is this h5daq there, can its
getters be imported, are its keys there, is its clock right, is there room on its disk. Then lets
the writer begin (here, or on writer.host) and on each host `h5daq host`, without a terminal and
with a log of its own: they go on when the connection or this command ends. What runs already is
left as it is, so the same command brings back a host that failed. Where writer.host was changed,
hosts whose old writer is silent go to the new one; while it answers nothing is started, and what
to do is said.

ssh is the system's, without passwords: keys, agents, jump hosts and ~/.ssh/config count; there is
one connection per host. A host needs Python with h5daq. The configuration and the modules in
[hosts.X] sync are copied there before a start; large ones (above 1 MiB) by rsync, where both sides
have it. Where logging out ends a user's processes, say there: loginctl enable-linger.

Exit code 1: a host failed. Nothing is started then, unless --keep-going."""


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers, "launch", _launch, summary="Start a run on all machines of a configuration.",
        details=_DETAILS,
        examples="h5daq launch lab.toml --dry-run       # who would do what where\n"
        "h5daq launch lab.toml\n"
        "h5daq launch lab.toml --keep-going    # without the hosts that fail\n"
        "h5daq launch lab.toml --attach        # what runs where; starts nothing\n"
        "h5daq status --config lab.toml        # the jobs, and the hosts\n"
        "h5daq stop --config lab.toml          # everything, everywhere",
    )  # fmt: skip
    parser.add_argument("config", type=Path, help="the configuration file (TOML)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="show the plan; touch nothing")
    what.add_argument("--attach", action="store_true", help="show what runs; start nothing")
    parser.add_argument("--keep-going", action="store_true", help="run what can run")
    _add_ssh(parser)
    add_json(parser)


def add_hosts(parser: Parser, where: argparse._MutuallyExclusiveGroup) -> None:
    """Add the options by which a command means all machines of a configuration."""
    where.add_argument(
        "--config", type=Path, help="the hosts of this configuration as well, over ssh"
    )
    _add_ssh(parser)


def _add_ssh(parser: Parser) -> None:
    parser.add_argument(
        "--ssh", metavar="COMMAND", default="ssh", help='e.g. "ssh -F lab.ssh" (ssh)'
    )


def _launch(args: Arguments) -> int:
    tell = _silent if args.json or args.attach else _say
    with _launcher(args, tell, touch=not args.dry_run) as launcher:
        if args.dry_run:
            return _plan(launcher, args)
        if args.attach:
            return _attach(launcher, args)
        return _start(launcher, args)


def _start(launcher: Launcher, args: Arguments) -> int:
    sound = launcher.check()
    no_writer = launcher.posts[0].label in launcher.failures
    if not sound and (no_writer or launcher.idle or not args.keep_going):
        return _report(launcher, args, "nothing was started")
    launcher.start()
    return _report(launcher, args, "the others run")


def _report(launcher: Launcher, args: Arguments, then: str) -> int:
    failed = launcher.failures
    if args.json:
        print(json.dumps({"failed": failed, "hosts": launcher.states()}))
    elif failed:
        print(f"failed: {', '.join(failed)}; {then}", flush=True)
    else:
        print(f"all run. See: h5daq status --config {args.config}", flush=True)
    return 1 if failed else 0


def _attach(launcher: Launcher, args: Arguments) -> int:
    states = launcher.states()
    if args.json:
        print(json.dumps({"failed": launcher.failures, "hosts": states}))
    else:
        print_hosts(states, launcher.failures)
    return 0 if all(state["runs"] for state in states.values()) and not launcher.failures else 1


# -- the plan --------------------------------------------------------------------------------------


def _plan(launcher: Launcher, args: Arguments) -> int:
    plan = [
        {
            "host": hand.post.label, "ssh": hand.post.ssh, "python": hand.post.python,
            "jobs": [*hand.post.jobs], "sync": [str(path) for path in hand.post.sync],
            "by": hand.shell.shown([hand.post.python, "-m", "h5daq", *_words(hand.post)]),
        }
        for hand in launcher.hands
    ]  # fmt: skip
    if args.json:
        print(json.dumps(plan))
        return 0
    for post in plan:
        print(f"{post['host']}: {post['ssh'] or 'this machine'}, {post['python']}")
        print(f"  jobs: {', '.join(post['jobs']) or 'none'}")
        if post["ssh"]:
            print(f"  copied: {', '.join([str(args.config), *post['sync']])}")
        print(f"  by: {post['by']}")
    return 0


def _words(post: Post) -> list[str]:
    """What runs on a host in the end; the path is that of its own copy."""
    from h5daq.launcher.parcel import CONFIG

    config = f"launch/{post.key}/{CONFIG}" if post.ssh else str(post.config)
    return ["host", "--config", config, "--name", post.name] if post.name else ["run", config]


# -- for status and stop ---------------------------------------------------------------------------


def host_states(args: Arguments) -> tuple[dict[str, Any], dict[str, str]]:
    """What the hosts of ``--config`` say of themselves, and why some do not."""
    with _launcher(args, _silent) as launcher:
        return launcher.states(), launcher.failures


@contextmanager
def ending_hosts(args: Arguments) -> Iterator[Callable[[], bool]]:
    """On the way to all hosts of ``--config``; gives what ends all that still runs there.

    That says whether nothing does any more.
    """
    with _launcher(args, _silent if args.json else _say) as launcher:
        launcher.reach()
        yield launcher.end


@contextmanager
def _launcher(args: Arguments, tell: Tell, touch: bool = True) -> Iterator[Launcher]:
    """The launcher of ``--config``, on the way to its hosts already, unless none is touched."""
    from h5daq.launcher.ahead import Ahead

    words = shlex.split(args.ssh)
    if not words:
        raise ConfigError('--ssh needs a command, such as "ssh -F lab.ssh"')
    with Ahead(args.config, words) if touch else nullcontext() as ahead:
        from h5daq.config import load
        from h5daq.launcher.hand import ssh_shells
        from h5daq.launcher.launcher import Launcher

        with Launcher(load(args.config), ssh_shells(words, ahead), tell) as launcher:
            yield launcher


def _say(label: str, text: str) -> None:
    print(f"{label}: {text}", flush=True)


def _silent(_label: str, _text: str) -> None:
    """A program reads the answer; it wants nothing else."""
