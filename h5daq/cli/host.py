"""``h5daq host``: the jobs of one host in the foreground, for a writer on another machine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_keys, given_keys
from h5daq.cli.run import stop_on_signals
from h5daq.errors import ConfigError

if TYPE_CHECKING:
    from h5daq.config import Config
    from h5daq.jobs.starter import WorkerStarter
    from h5daq.launcher.agent import HostAgent
    from h5daq.launcher.place import Place
    from h5daq.launcher.tether import Tether

__all__ = ["add"]

_DETAILS = """\
Runs the jobs that have `host = NAME` in the configuration, each in a process of its own, and
starts again what dies. They connect to the writer's endpoints in [writer] (where those say
tcp://*, to writer.host), wait for a writer that isn't there yet, and find one that was started
again. Its log also goes to the writer, and into a file that --where shows.

It stays in the foreground, so that systemd or any other supervisor can keep it. SIGTERM, Ctrl-C
or the end of the run stop the reading; it ends when the writer has all rows, or after
run.drain_timeout. Exit code 1: rows were left, or a job was given up. On one host only one such
process runs by one configuration."""


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers, "host", _host, summary="Run the jobs of one host of a configuration.",
        details=_DETAILS,
        examples="h5daq host --config lab.toml --name pi1\n"
        "h5daq host --config lab.toml            # named as this machine\n"
        "h5daq host --config lab.toml --where    # its log and its record; runs nothing",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, required=True, help="the configuration file (TOML)")
    parser.add_argument("--name", help="the host's name in [hosts]; by default this machine's")
    parser.add_argument("--where", action="store_true", help="show where its log and record are")
    add_keys(parser)


def _host(args: Arguments) -> int:
    from h5daq.config import load
    from h5daq.jobs.starter import WorkerStarter
    from h5daq.launcher.agent import HostAgent
    from h5daq.launcher.place import Place
    from h5daq.launcher.tether import Tether

    with Tether.found() as tether, tether.telling():
        config = load(args.config)
        name = _name(config, args.name)
        if args.where:
            print(Place(config.path, name).path)
            return 0
        with WorkerStarter() as starter:
            if tether and not _may_begin(tether, config, name, given_keys(args), starter):
                return 0
            return _keep(HostAgent(config, name, given_keys(args), tether.say, starter))


def _keep(agent: HostAgent) -> int:
    """Run it to its end."""
    name, stop = agent.name, stop_on_signals()
    with agent:
        _log(agent.config, agent.place)
        print(f"host {name}: {len(agent.crew.jobs)} jobs, log in {agent.place.log}", flush=True)
        whole = agent.run(stop)
    print(f"host {name}: ended" + ("" if whole else "; not all rows were handed over"), flush=True)
    return 0 if whole else 1


def _may_begin(
    tether: Tether, config: Config, name: str, keys: str | None, starter: WorkerStarter
) -> bool:
    """See that all is there, and wait for the launcher's word; False if it never comes."""
    from h5daq.launcher.keycheck import check_keys

    starter.warm()
    jobs = [job.group for job in config.make_jobs(name)]
    check_keys(config, name, keys)
    return tether.may_begin(jobs=jobs)


def _name(config: Config, given: str | None) -> str:
    name = given or socket.gethostname().partition(".")[0]
    if given is None and name not in config.hosts:
        known = ", ".join(config.hosts) or "none"
        raise ConfigError(
            f"{config.path}: this machine is called {name!r}, and there is no table "
            f"[hosts.{name}]; say which it is: --name, one of: {known}"
        )
    return name


def _log(config: Config, place: Place) -> None:
    """Into a file of the place's own: the configuration's belongs to the writer's machine."""
    from h5daq.logs import setup_logging

    setup_logging(
        config.logging.level,
        to_console=config.logging.console,
        file_name=place.log,
        msg_formatter_file=config.logging.format,
        rollover={"size": 10 << 20},
        keep=3,
    )
