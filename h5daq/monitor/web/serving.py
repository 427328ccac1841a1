"""Begin and end the web page's server: a thread with an event loop, beside whoever starts it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.client import Client
from h5daq.errors import ConfigError, MissingExtra, StorageError
from h5daq.monitor.archive import Archive
from h5daq.monitor.web.gate import Gate, is_loopback

if TYPE_CHECKING:
    from h5daq.monitor.web.http import Server

__all__ = ["Place", "serve"]

_EXTRA = "the web page needs Bokeh, which is not installed: pip install 'h5daq[web]'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is served, and how.

    Parameters
    ----------
    port : int
        0 takes a free one.
    host : str
        Address to bind.
    names : iterable of str
        Names under which it is asked for, besides ``localhost`` and numeric addresses.
    certificate, key : path-like, optional
        PEM files for TLS.
    insecure : bool
        Whether it may be bound to other addresses than loopback without TLS.

    Raises
    ------
    ConfigError
        If others could reach it, and read along; or of TLS there is only one half.
    """

    port: int = 0
    host: str = "127.0.0.1"
    names: Iterable[str] = ()
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("TLS needs both a certificate and its key (--certificate, --key)")
        if self.is_private or self.certificate is not None or self.insecure:
            return
        raise ConfigError(
            f"{self.host or 'all addresses'} can be reached from elsewhere, and the token and "
            "the data be read on their way: give --certificate and --key, or stay on 127.0.0.1 "
            "and come by ssh -L, or say --insecure"
        )

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    def url(self, port: int) -> str:
        """The address of the page."""
        scheme = "http" if self.certificate is None else "https"
        host = next(iter(self.names), self.host or "localhost")
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(
    connect: Callable[[], Client], place: Place, gate: Gate, archive: Archive | None = None
) -> Server:
    """Serve the page until the server is closed.

    Parameters
    ----------
    connect : callable
        Gives a new client of the running system.
    place : Place
        Where.
    gate : Gate
        Who may look and who may control.
    archive : Archive, optional
        The run's files, where they can be read here.

    Returns
    -------
    Server
        With ``port``, ``url`` and ``close()``; a context manager.

    Raises
    ------
    MissingExtra
        If Bokeh is not installed.
    StorageError
        If the address can't be had, or the certificate can't be read.
    """
    try:
        http = import_module("h5daq.monitor.web.http")
        return http.Server(connect, place, gate, archive)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingExtra(_EXTRA) from error
    except OSError as error:
        text = f"the page can't be served there: {error.strerror or error}"
        raise StorageError(
            error.errno or errno.EADDRINUSE, text, f"{place.host}:{place.port}"
        ) from error
