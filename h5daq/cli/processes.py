"""``h5daq writer`` and ``h5daq worker``: one process of a run in the foreground, without a daemon.

For a system whose processes are started by hand, by systemd, or on several machines from copies
of one configuration. They find each other by the endpoints in it. Nobody starts them again when
they die; the same command does, and what the last writer left is finished first.
"""

from __future__ import annotations

import secrets
import signal
import socket
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_keys
from h5daq.errors import ConfigError

if TYPE_CHECKING:
    from h5daq.config import Config
    from h5daq.jobs.job import DAQJob
    from h5daq.worker import WorkerSpec
    from h5daq.writer.settings import WriterSettings

__all__ = ["add", "worker_spec", "writer_settings"]


def add(subparsers: Subparsers) -> None:
    """Add these commands."""
    writer = add_command(
        subparsers,
        "writer",
        _writer,
        summary="Run the writer of a configuration alone, until stopped.",
        details="Listens at the endpoints in [writer] and records what workers send. Ctrl-C,\n"
        "SIGTERM or `h5daq stop` stops the workers, fetches what they hold and seals the file.\n"
        "After a crash the same command seals the interrupted run and begins another one, in\n"
        "which workers that still run go on.",
        examples="h5daq writer lab.toml\nh5daq writer lab.toml --keys /etc/h5daq/keys",
    )
    worker = add_command(
        subparsers,
        "worker",
        _worker,
        summary="Run the worker of one job of a configuration, until stopped.",
        details="Connects to the writer's endpoints in [writer]; where those say tcp://*, to\n"
        "writer.host, or to this machine if there is none. Waits for a writer that isn't there\n"
        "yet. Ctrl-C, SIGTERM or the end of the run stops the reading; it ends when the writer\n"
        "has all its rows, or after run.drain_timeout. Exit code 1: rows were left.",
        examples="h5daq worker lab.toml --job tank/temperature\n"
        "h5daq worker lab.toml --job tower/wind --host pi1 --keys pi1.key",
    )
    for parser in (writer, worker):
        parser.add_argument("config", type=Path, help="the configuration file (TOML)")
    add_keys(writer, "the directory of the keys, instead of [security] keys")
    add_keys(worker, "a key file, or a directory with one, instead of [security] keys")
    worker.add_argument("--job", required=True, metavar="GROUP", help="the job, by its group")
    worker.add_argument("--host", help="which of [hosts] this machine is; checked if given")


# -- the writer ------------------------------------------------------------------------------------


def _writer(args: Arguments) -> int:
    from h5daq.config import load
    from h5daq.daemon.texts import stopped_text
    from h5daq.logs import setup_logging
    from h5daq.writer.interpreter import begin_writing, writing_begun
    from h5daq.writer.process import Writer

    config = load(args.config)
    settings = writer_settings(config, args.keys)
    setup_logging(**config.logging_arguments())
    begin_writing(settings.durability)
    writer = Writer(settings, parent_gone=lambda: False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: writer.ask_stop())
    writer.open()
    writing_begun()
    if writer.recovered.sealed:
        print("sealed what was interrupted: " + ", ".join(map(str, writer.recovered.sealed)))
    print(f"recording into {writer.parts.desk.file_state()['file']}", flush=True)
    writer.run()
    report = writer.parts.desk.stop_report()
    writer.close()
    print(stopped_text(report))
    return 1 if report.get("left") else 0


def writer_settings(config: Config, keys: str | None = None) -> WriterSettings:
    """What `h5daq writer` is to do by the configuration, or by another directory of `keys`.

    Raises
    ------
    ConfigError
        If an endpoint is missing, or anybody could reach one who should not.
    """
    from h5daq.daemon.checks import check_security
    from h5daq.daemon.described import endpoints_of
    from h5daq.writer.settings import WriterSettings

    run = config.daemon_arguments()
    endpoints = endpoints_of(config)
    options = config.writer_arguments()
    options["keys"] = str(Path(keys).absolute()) if keys else options["keys"]
    check_security(endpoints.values(), config.security.insecure, options["keys"])
    return WriterSettings(
        run_id=secrets.token_hex(8),
        run_name=run["name"],
        directory=run["directory"],
        attrs=run["attrs"],
        write_period=run["write_period"],
        write_period_jitter=run["write_period_jitter"],
        file_format=run["file_format_str"],
        rollover=run["rollover_interval_dict"],
        compression=run["compression_dict"],
        log_level=config.logging.level,
        data=endpoints["data"],
        requests=endpoints["requests"],
        signals=endpoints["signals"],
        **options,
    )


# -- a worker --------------------------------------------------------------------------------------


def _worker(args: Arguments) -> int:
    from h5daq.config import load
    from h5daq.logs import setup_logging
    from h5daq.worker import main

    config = load(args.config)
    spec = worker_spec(config, args.job, args.host, args.keys)
    setup_logging(**config.logging_arguments())
    print(f"reading {spec.job.group} for {spec.data}", flush=True)
    with _timing(config, spec), _reckoner(config, spec):
        return 1 if main(spec.to_bytes()) else 0


def _timing(config: Config, spec: WorkerSpec) -> AbstractContextManager[object]:
    """Compare this machine's clock with the writer's, where that can be another machine."""
    from h5daq.daemon.described import writer_address
    from h5daq.launcher.timing import Timing

    requests, job = writer_address(config, "requests"), spec.job.group
    if not requests.startswith("tcp://"):
        return nullcontext()
    host = next(t.host for t in config.jobs if t.group.strip("/") == job) or socket.gethostname()
    timing = Timing(requests, host, job, spec.keys)
    timing.start()
    return timing


def _reckoner(config: Config, spec: WorkerSpec) -> AbstractContextManager[object]:
    """Tell the writer what workers of this job that were killed had read, if there are such."""
    from h5daq.client import Client
    from h5daq.daemon.described import writer_address
    from h5daq.daemon.reckoner import Reckoner, Reckoning
    from h5daq.jobs.toll import left

    stack = ExitStack()
    if next(left(spec.home, [spec.job.group]), None) is not None:
        client = Client(writer_address(config, "requests"), keys=spec.keys)
        stack.callback(client.close)
        reckoning = Reckoning(spec.home, client.request, [spec.job.group])
        stack.enter_context(Reckoner(reckoning)).start()
    return stack


def worker_spec(
    config: Config, group: str, host: str | None = None, keys: str | None = None
) -> WorkerSpec:
    """What `h5daq worker` is to do by the configuration, or with other `keys`.

    In a directory of keys the one that is named like the host comes first.

    Raises
    ------
    ConfigError
        If there is no such job, on that host, or its getter can't be imported.
    """
    from h5daq.daemon.described import endpoints_of, spec_of

    endpoints_of(config)
    return spec_of(config, _job(config, group.strip("/"), host), keys=keys)


def _job(config: Config, group: str, host: str | None) -> DAQJob:
    tables = {table.group.strip("/"): table for table in config.jobs}
    if group not in tables:
        known = ", ".join(tables) or "none"
        raise ConfigError(f"{config.path}: no job {group!r}; there are: {known}")
    theirs = tables[group].host
    if host is not None and host != theirs:
        place = f"on {theirs}" if theirs else "on the daemon's own host (it has no key host)"
        raise ConfigError(f"{config.path}: job {group!r} runs {place}, not on {host}")
    (job,) = config.make_jobs(theirs, group)
    return job
