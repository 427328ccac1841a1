"""From a configuration to what its processes are given: the daemon's arguments, a worker's spec.

Whoever starts a process by a configuration (`h5daq run`, `worker`, `host`) asks here, so that all
of them mean the same by it: above all, where the writer is that a configuration speaks of.
"""

from __future__ import annotations

import socket

from h5daq.config import Config
from h5daq.daemon.daemon import DAQDaemon
from h5daq.errors import ConfigError
from h5daq.jobs.job import DAQJob
from h5daq.keys import find_keys
from h5daq.transports.locks import ClientKeys
from h5daq.worker import WorkerSpec

__all__ = [
    "check_reach",
    "endpoints_of",
    "keys_of",
    "make_daemon",
    "reachable",
    "spec_of",
    "writer_address",
]

_ENDPOINTS = ("data", "requests", "signals")
_WILDCARDS = ("*", "0.0.0.0", "[::]")


def make_daemon(config: Config, keys: str | None = None) -> DAQDaemon:
    """The daemon that a configuration describes: its writer, and the jobs that name no host.

    Parameters
    ----------
    config : Config
        The configuration.
    keys : str, optional
        Another directory of keys than the configuration's.

    Raises
    ------
    ConfigError
        If there is nothing to record, neither here nor on other hosts.
    """
    jobs, writer = config.make_jobs(), config.writer
    if not (jobs or (config.jobs and writer.data)):
        mend = " The jobs of other hosts need data, requests and signals in [writer]."
        raise ConfigError(
            f"{config.path}: no [[jobs]] for this machine: nothing to record."
            + mend * bool(config.jobs)
        )
    return DAQDaemon(
        jobs,
        data=writer.data,
        requests=writer.requests,
        signals=writer.signals,
        log_level=config.logging.level,
        **config.daemon_arguments(),
        **{**config.writer_arguments(), **({"keys": keys} if keys else {})},
    )


def endpoints_of(config: Config) -> dict[str, str]:
    """The writer's endpoints, as it binds them.

    Raises
    ------
    ConfigError
        If one is not in the configuration.
    """
    known = {name: getattr(config.writer, name) for name in _ENDPOINTS}
    missing = [name for name, endpoint in known.items() if not endpoint]
    if missing:
        raise ConfigError(
            f"{config.path}: [writer] has no {', '.join(missing)}: processes that are started "
            "one by one need all three endpoints to find each other, such as "
            'data = "tcp://*:5572" or data = "ipc:///run/user/1000/h5daq/data"'
        )
    return known


def check_reach(config: Config) -> None:
    """Refuse endpoints at which other machines could not find the writer.

    Raises
    ------
    ConfigError
        For a missing endpoint, a port that is not known before, or a wildcard without writer.host.
    """
    for name, endpoint in endpoints_of(config).items():
        what = f"{config.path}: [writer] {name} = {endpoint!r}"
        if endpoint.startswith("tcp://") and endpoint.endswith(":0"):
            raise ConfigError(f"{what}: other hosts can't know this port; name one, such as 5570")
        if reachable(endpoint, "") != endpoint and not config.writer.host:
            raise ConfigError(
                f"{what}: under which name do other hosts find this machine? "
                f'Say it: host = "{socket.gethostname()}" in [writer]'
            )


def writer_address(config: Config, name: str) -> str:
    """Where others connect to one of the writer's sockets: data, requests or signals."""
    return reachable(endpoints_of(config)[name], config.writer.host)


def keys_of(config: Config, host: str | None, keys: str | None = None) -> ClientKeys | None:
    """What processes on a host show to the writer, by the configuration or by other `keys`.

    In a directory of keys the one that is named like the host comes first, then like the machine.

    Raises
    ------
    ConfigError
        If there is none.
    """
    shown = keys or config.keys
    return find_keys(shown, *filter(None, [host, socket.gethostname()])) if shown else None


def spec_of(config: Config, job: DAQJob, cause: str = "", keys: str | None = None) -> WorkerSpec:
    """What the worker of a job is to do by the configuration."""
    host = next(table.host for table in config.jobs if table.group.strip("/") == job.group)
    return WorkerSpec(
        job=job,
        keys=keys_of(config, host, keys),
        data=writer_address(config, "data"),
        signals=writer_address(config, "signals"),
        home=str(config.directory),
        log_level=config.logging.level,
        drain_timeout=config.run.drain_timeout,
        cause=cause,
    )


def reachable(endpoint: str, host: str | None) -> str:
    """An endpoint that the writer binds, as others connect to it.

    Examples
    --------
    >>> reachable("tcp://*:5572", "daq0"), reachable("tcp://10.0.0.1:5572", "daq0")
    ('tcp://daq0:5572', 'tcp://10.0.0.1:5572')
    """
    address, _, port = endpoint.rpartition(":")
    scheme, _, name = address.partition("://")
    if scheme == "tcp" and name in _WILDCARDS:
        return f"tcp://{'127.0.0.1' if host is None else host}:{port}"
    return endpoint
