"""Whether the keys that a host's processes will need are in place there: said before a start."""

from __future__ import annotations

from h5daq.config import Config
from h5daq.daemon.described import keys_of
from h5daq.errors import ConfigError
from h5daq.keys import KeyDirectory

__all__ = ["check_keys"]


def check_keys(config: Config, name: str, sent: str | None = None) -> None:
    """See whether there is a key to show, or, for the writer (no `name`), its list of keys.

    Parameters
    ----------
    config : Config
        The configuration, as it is on this host.
    name : str
        The host's name in it; empty for the writer.
    sent : str, optional
        A key file that was brought here.

    Raises
    ------
    ConfigError
        If there is none, or others may read it: says how to bring one.
    """
    if config.keys is None:
        return
    try:
        if name:
            keys_of(config, name, sent)
        else:
            KeyDirectory(config.keys).load()
    except ConfigError as error:
        raise ConfigError(f"its keys: {error}. {_mend(name)}") from error


def _mend(name: str) -> str:
    if not name:
        return "To make them here: h5daq keys init; or copy the directory of the last writer."
    return (
        f"Launch on the writer's machine, which brings each host its key, or copy {name}.key here: "
        "see h5daq keys add --help"
    )
