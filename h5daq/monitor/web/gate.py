"""Who may do what: addresses that a page may come from, and the token for control. Pure.

Who can open the page may look; to change something takes the token, which is compared in constant
time, and which travels in the first message of a page's own connection, never in an address, a
cookie or a log. No cookie means that another site can't command in its user's name; and a site that
points its own name at this machine (DNS rebinding) is refused by the name it comes under.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from h5daq.errors import ConfigError

__all__ = ["Gate", "is_loopback", "new_token"]

LEAST_TOKEN = 16
"""Characters of a token of the user's own."""


def new_token() -> str:
    """A token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to that address.

    Examples
    --------
    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "")]
    [True, True, True, False, False]
    """
    return host == "localhost" or ((address := _address(host)) is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Gate:
    """The rules of one page.

    Parameters
    ----------
    token : str or None
        What an operator shows; None lets nobody control anything.
    hosts : iterable of str
        Names under which the page is asked for, besides ``localhost`` and numeric addresses: no
        site can give itself one of these.
    private : bool
        Whether the token is wanted for looking as well.

    Raises
    ------
    ConfigError
        If the token is too short to be one, or none is there for a private page.
    """

    def __init__(
        self, token: str | None, hosts: Iterable[str] = (), *, private: bool = False
    ) -> None:
        if token is not None and len(token) < LEAST_TOKEN:
            raise ConfigError(
                f"a token has at least {LEAST_TOKEN} characters; leave it out for one"
            )
        if private and token is None:
            raise ConfigError("a private page needs a token")
        self._token = None if token is None else token.encode()
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self.private = private

    def opens(self, token: object) -> bool:
        """Whether that is the token."""
        if self._token is None or not isinstance(token, str):
            return False
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def knows_host(self, named: str) -> bool:
        """Whether a Host header names this page, with or without a port.

        Examples
        --------
        >>> gate = Gate(None, ["daq0"])
        >>> [gate.knows_host(name) for name in ("localhost:80", "[::1]:80", "DAQ0", "evil.org")]
        [True, True, True, False]
        """
        try:
            host = urlsplit(f"//{named}").hostname
        except ValueError:
            return False
        return host is not None and (host in self._hosts or _address(host) is not None)

    def knows_origin(self, origin: str | None, host: str) -> bool:
        """Whether a connection was opened by this page itself: its origin is its own address.

        Behind a proxy that ends TLS the scheme differs; the name and the port do not.
        """
        if origin is None or not self.knows_host(host):
            return False
        try:
            return urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False
