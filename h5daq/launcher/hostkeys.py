"""The key that a host is given: of its own, for its own jobs, made when there is none yet.

One key per host, so that what is lost with a host is revoked with it. The writer's directory of
keys is where the writer is; only when that is this machine can keys be made here. Otherwise each
host is expected to have its key already.
"""

from __future__ import annotations

from pathlib import Path

from h5daq.config import Config
from h5daq.errors import ConfigError
from h5daq.flow.roles import Role, exactly, may_send
from h5daq.keys import KeyDirectory
from h5daq.launcher.posts import Post

__all__ = ["host_key"]


def host_key(config: Config, post: Post) -> Path | None:
    """The key file to bring to a host; None if there are no keys here, or it was put away.

    Raises
    ------
    ConfigError
        If the host's key does not let it send the rows of all its jobs.
    """
    if config.keys is None or not config.keys.is_dir() or not post.name:
        return None
    directory = KeyDirectory(config.keys)
    known = {key.name: key for key in directory.load().values()}
    key = known.get(post.name)
    if key is None:
        key = directory.add(post.name, Role.WORKER, exactly(post.jobs))
    refused = [job for job in post.jobs if not may_send(key, job)]
    if refused:
        raise ConfigError(
            f"its key {post.name!r} ({key.role}) does not cover {', '.join(refused)}: add them to "
            f"its jobs in {config.keys / 'allowed.toml'}, or revoke it (h5daq keys revoke "
            f"{post.name}) and launch again, which makes a new one"
        )
    path = config.keys / f"{post.name}.key"
    return path if path.exists() else None
