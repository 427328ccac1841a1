"""Who does what where: a configuration as a list of posts, one per host and one for the writer.

A post is all that is needed to go there and begin: how to get there, with which Python, what to
take along. The writer's comes first, since the others look for it.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from h5daq.config import Config
from h5daq.daemon.described import check_reach
from h5daq.errors import ConfigError
from h5daq.launcher.parcel import key_of

__all__ = ["Post", "is_here", "posts_of"]

_WRITER = "writer"


@dataclass(frozen=True, slots=True)
class Post:
    """One host's part of a run.

    Attributes
    ----------
    name : str
        The host's name in the configuration; empty for the writer and the jobs beside it.
    ssh : str
        Where ssh finds it; empty for this machine.
    python : str
        The Python there.
    jobs : tuple of str
        Groups of the jobs there.
    sync : tuple of Path
        Files and directories of Python modules to take along.
    config : Path
        The configuration, here.
    files : str
        The writer's: where the run's files will be there.
    """

    name: str
    ssh: str
    python: str
    jobs: tuple[str, ...]
    sync: tuple[Path, ...]
    config: Path
    files: str = ""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.name or _WRITER

    @property
    def key(self) -> str:
        """Under which name its copy of the configuration is kept there."""
        return key_of(self.config, self.name)


def posts_of(config: Config) -> list[Post]:
    """The posts of a configuration, the writer's first.

    Raises
    ------
    ConfigError
        If nobody could say where the writer is, or what is to be taken along is not there.
    """
    names = _busy(config)
    if _WRITER in names:
        raise ConfigError(f"{config.path}: a host can't be called {_WRITER!r}: that is the writer")
    if names:
        check_reach(config)
    return [_writer(config), *(_host(config, name) for name in names)]


def _busy(config: Config) -> list[str]:
    used = {job.host for job in config.jobs}
    return [name for name in config.hosts if name in used]


def _host(config: Config, name: str) -> Post:
    table = config.hosts[name]
    sync = tuple(_module(config, name, module) for module in table.sync)
    return Post(name, table.ssh, table.python, _groups(config, name), sync, config.path)


def _writer(config: Config) -> Post:
    name, groups = config.writer.host, _groups(config, None)
    if name is None or (name not in config.hosts and is_here(name)):
        here = str(config.directory)
        return Post("", "", sys.executable, groups, (), config.path, here)
    if name not in config.hosts:
        raise ConfigError(
            f"{config.path}: writer.host = {name!r} is not this machine, and there is no table "
            f'[hosts.{name}] with ssh = "…" to get there'
        )
    for key, path in (
        ("run.directory", config.run.directory),
        ("security.keys", config.security.keys),
    ):
        if path is not None and not path.startswith(("/", "~")):
            raise ConfigError(
                f"{config.path}: {key} = {path!r} must be an absolute path (or begin with ~), "
                f"since the writer runs on {name}"
            )
    there = _host(config, name)
    directory = config.run.directory
    return Post("", there.ssh, there.python, groups, there.sync, config.path, directory)


def _groups(config: Config, host: str | None) -> tuple[str, ...]:
    return tuple(job.group for job in config.jobs if job.host == host)


def _module(config: Config, host: str, name: str) -> Path:
    """The file or directory of a module, beside the configuration."""
    base = config.resolve(name)
    for path in (base, base.with_name(base.name + ".py")):
        if path.exists():
            return path
    raise ConfigError(
        f"{config.path}: hosts.{host}.sync: there is no {base} and no {base.name}.py beside it; "
        "right would be a module or package, by its path from the configuration"
    )


def is_here(host: str) -> bool:
    """Whether a host's name means this machine.

    Examples
    --------
    >>> is_here("localhost"), is_here("no-such-host.invalid")
    (True, False)
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_is_own(family, address[0]) for family, _, _, _, address in found)


def _is_own(family: int, address: str | int) -> bool:
    # An address can be bound only where it is one's own.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
        return True
