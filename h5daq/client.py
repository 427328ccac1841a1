"""Talking to a running system: `connect` to ask and command, `subscribe` to listen.

A `Client` sends requests to the writer and waits for their answers; a `Subscription` iterates the
signals that the writer broadcasts. Neither is on the way of a row, and neither can slow one.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from h5daq.errors import NoAnswer, StorageError
from h5daq.flow.closing import Closing
from h5daq.flow.requests import (
    Answer,
    ErrorCode,
    Failure,
    Reply,
    Request,
    decode_answer,
    encode_request,
)
from h5daq.flow.topics import parse, prefixes
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq import ClientLink, SubscriberLink

if TYPE_CHECKING:
    from h5daq.vaultclient import Courier, VaultContext

__all__ = ["SIGNAL_KINDS", "Client", "Signal", "Subscription", "connect", "subscribe"]

SIGNAL_KINDS = ("new-dir", "new-dataset", "data-available")
"""What `subscribe` listens for unless it is told otherwise."""


_ONCE = frozenset({"trigger"})
"""Verbs that must not be done twice when only the answer was lost."""

_RESEND_SECONDS = 1.0
_PAUSE_SECONDS = 0.05

Keys = ClientKeys | str | os.PathLike[str]
"""What to show to a writer: keys, or the path of a key file or of a directory with one."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One broadcast message: its kind, the path that it is about, and what it says."""

    kind: str
    path: str
    payload: dict[str, Any]


class Client(Closing):
    """A connection to a writer's requests socket. May be used from several threads.

    Parameters
    ----------
    endpoint : str
        The requests socket, e.g. ``tcp://daq0:5570``.
    signals : str, optional
        The signals socket, where it is known.
    keys : ClientKeys, str or Path, optional
        What to show to a writer that has keys: a key file, or a directory with one.
    """

    def __init__(self, endpoint: str, signals: str | None = None, keys: Keys | None = None) -> None:
        self.endpoint = endpoint
        self.keys = _found(keys)
        self._signals = signals
        self._session = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._link = ClientLink(endpoint, self.keys)
        self._courier: Courier | None = None
        self._vaults: WeakSet[VaultContext] = WeakSet()
        self._given_up = self._closed = False

    def request(self, verb: str, *, timeout: float = 10.0, **args: Any) -> Any:
        """Ask for something and wait for the answer.

        Parameters
        ----------
        verb : str
            ``status``, ``flush``, ``stop``, ``pause``, ``resume``, ``trigger``, ``peek``,
            ``glimpse``, ``ping``.
        timeout : float
            Seconds to wait.
        **args
            The verb's arguments.

        Raises
        ------
        NotAllowed
            If the key's role does not include it.
        RequestError
            If the writer refuses.
        StorageError
            If it can't do so for the state of its disk.
        NoAnswer
            If nothing comes in time, naming the endpoint; or if the client is closed.
        """
        request = Request(next(self._numbers), verb, args, session=self._session)
        patience = timeout if verb in _ONCE else _RESEND_SECONDS
        with self._lock:
            if self._closed:
                raise NoAnswer(f"{verb}: this client is closed; h5daq.connect() gives another")
            answer = self._ask_slowly(request, timeout, patience)
        if isinstance(answer, Failure):
            if answer.code == ErrorCode.STORAGE:
                raise StorageError(f"{verb}: {answer.message}")
            raise answer.error()
        return answer.result if isinstance(answer, Reply) else None

    def _ask_slowly(self, request: Request, timeout: float, patience: float) -> Answer:
        """Ask; when that was too often, wait and ask again: nothing was done."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            answer = self._ask(request, left, patience)
            too_many = isinstance(answer, Failure) and answer.code == ErrorCode.TOO_MANY_REQUESTS
            if not too_many or left <= _PAUSE_SECONDS:
                return answer
            time.sleep(_PAUSE_SECONDS)

    def _ask(self, request: Request, timeout: float, patience: float) -> Answer:
        """Ask, and ask again each `patience` seconds: a writer that died forgot the question."""
        frames, deadline = encode_request(request), time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                return decode_answer(self._link.request(frames, max(0.0, min(patience, left))))
            except NoAnswer as error:
                if left <= patience or self._given_up or self._link.refusal(sure=True):
                    why = self._link.refusal() or "is the writer running there?"
                    raise NoAnswer(
                        f"{request.verb}: no answer from {self.endpoint} within {timeout:.3g} s; "
                        f"{why}"
                    ) from error

    def status(self) -> dict[str, Any]:
        """The state of the run, the writer and each job."""
        status: dict[str, Any] = self.request("status")
        return status

    @property
    def signals_endpoint(self) -> str:
        """Where the writer broadcasts its signals."""
        if self._signals is None:
            endpoint = str(self.request("ping")["signals"])
            self._signals = _reachable(endpoint, self.endpoint)
        return self._signals

    def vault(self, *, timeout: float = 30.0, lease: float | None = None) -> VaultContext:
        """A context of the Data Vault, at its root; see `VaultContext`.

        Parameters
        ----------
        timeout : float
            Seconds that its verbs wait for an answer.
        lease : float, optional
            Seconds after which the writer forgets a context that gives no sign of life; by default
            what the writer has set.

        Raises
        ------
        RequestError
            If the writer has no vault, or this client has too many contexts.
        NoAnswer
            If nothing comes in time.

        Examples
        --------
        >>> import h5daq
        >>> with h5daq.connect(directory="data") as client, client.vault() as vault:
        ...     vault.cd(["qubit 3", "T1"], create=True)
        ...     vault.new("decay", ["delay [us]"], ["P1"])
        ...     vault.add([[0.0, 0.98], [1.0, 0.95]])  # doctest: +SKIP
        """
        from h5daq.vaultclient import Courier, VaultContext

        self.request("ping", timeout=timeout)  # a wrong key is told at once by this
        with self._lock:
            if self._courier is None:
                self._courier = Courier(ClientLink(self.endpoint, self.keys))
        vault = VaultContext(self._courier, self.endpoint, timeout=timeout, lease=lease)
        self._vaults.add(vault)
        return vault

    def give_up(self) -> None:
        """Have whoever waits for an answer get `NoAnswer` at once, before a `close`."""
        self._given_up = True
        self._link.give_up()

    def close(self) -> None:
        """Let go of the connection, and of its contexts of the vault."""
        for vault in list(self._vaults):
            vault.close()
        with self._lock:
            if self._courier is not None:
                self._courier.close()
            self._closed = True
            self._link.close()


def connect(
    endpoint: str | None = None,
    *,
    directory: str | os.PathLike[str] | None = None,
    keys: Keys | None = None,
) -> Client:
    """Connect to a running writer, by its requests endpoint or by the directory it records into.

    Parameters
    ----------
    endpoint : str, optional
        E.g. ``tcp://daq0:5570``.
    directory : str or Path, optional
        Where a local writer runs; looked at if there is no `endpoint` (``.`` by default).
    keys : str or Path, optional
        For a writer with keys: a key file (``pi1.key``) or a directory with one. A writer that is
        found by its directory says where its keys are.

    Raises
    ------
    NoAnswer
        If no writer has left its endpoints in the directory.
    ConfigError
        If `endpoint` is no address, or `keys` no key file that others can't read.
    StorageError
        If the endpoints can't be read.
    """
    if endpoint is not None:
        return Client(endpoint, keys=keys)
    home = Path(directory or ".")
    path = home / ".h5daq" / "endpoints.json"
    try:
        known = json.loads(path.read_text())
        endpoints = _address(known["requests"]), _address(known["signals"])
    except FileNotFoundError as error:
        raise _nobody(home, f"there is no {path}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} can't be read ({error}); a writer that starts in the directory makes it anew"
        ) from error
    if _is_over(home, known):
        raise _nobody(home, "the last one was killed, and `h5daq recover` finishes what it left")
    return Client(*endpoints, keys or known.get("keys"))


def _nobody(home: Path, why: str) -> NoAnswer:
    return NoAnswer(
        f"no writer is running in {home.absolute()}: {why}. "
        "Name its directory (--directory) or its address (--connect tcp://host:5570)."
    )


def _is_over(directory: Path, known: dict[str, Any]) -> bool:
    """Whether the endpoints are those of a dead writer, and nobody starts it again."""
    try:
        from h5daq.storage.lock import DirectoryLock, is_alive
    except ImportError:
        # Where there are no such locks there are no writers either.
        return False
    parent = known.get("parent")
    if isinstance(parent, int) and is_alive(parent):
        return False
    return DirectoryLock(directory).abandoned()


def _address(known: object) -> str:
    if not isinstance(known, str):
        raise TypeError(f"{known!r:.60} is no address")
    # JSON has texts that no other place takes: it is said of this file.
    known.encode()
    return known


class Subscription(Closing):
    """Signals as they come; an iterator and a context manager. For one thread.

    Parameters
    ----------
    endpoint : str
        The signals socket, e.g. ``tcp://daq0:5571``.
    kinds : sequence of str, optional
        Which kinds; new-dir, new-dataset and data-available by default.
    path : str
        Only this path of the vault and what is below it.
    timeout : float, optional
        Seconds after which an iteration that got nothing raises `NoAnswer`; None waits for ever.
    keys : str or Path, optional
        For a writer with keys: a key file or a directory with one.
    """

    def __init__(
        self,
        endpoint: str,
        kinds: Sequence[str] | None = None,
        path: str = "",
        timeout: float | None = None,
        keys: Keys | None = None,
    ) -> None:
        wanted = [kinds] if isinstance(kinds, str) else list(kinds or SIGNAL_KINDS)
        self._link = SubscriberLink(endpoint, prefixes(wanted, path), _found(keys))
        self._endpoint, self._timeout = endpoint, timeout
        self._got: list[Signal] = []

    def __iter__(self) -> Iterator[Signal]:
        return self

    def __next__(self) -> Signal:
        if not self._got:
            self._got = self.receive(self._timeout)[::-1]
        return self._got.pop()

    def receive(self, timeout: float | None) -> list[Signal]:
        """The signals that have come, after waiting up to `timeout` seconds for the first.

        Raises
        ------
        NoAnswer
            If none came in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            if left < 0:
                why = self._link.refusal()
                more = f"; {why}" if why else ""
                raise NoAnswer(f"no signal from {self._endpoint} within {timeout:g} s{more}")
            came = self._link.receive(left)
            if came:
                return [Signal(*parse(topic), payload) for topic, payload in came]

    def close(self) -> None:
        """Let go of the socket."""
        self._link.close()


def subscribe(
    endpoint: str,
    kinds: Sequence[str] | None = None,
    path: str = "",
    timeout: float | None = None,
    keys: Keys | None = None,
) -> Subscription:
    """Iterate the signals of a running system; see `Subscription`.

    Examples
    --------
    >>> import h5daq
    >>> for signal in h5daq.subscribe("tcp://daq0:5571", path="tank-a"):  # doctest: +SKIP
    ...     print(signal.kind, signal.path, signal.payload)
    """
    return Subscription(endpoint, kinds, path, timeout, keys)


def _found(keys: Keys | None) -> ClientKeys | None:
    if keys is None or isinstance(keys, ClientKeys):
        return keys
    # It brings what reads key files, which a run without keys has no use for.
    from h5daq.keys import find_keys

    return find_keys(keys)


def _reachable(endpoint: str, beside: str) -> str:
    """A wildcard address, as the writer binds it, seen from where `beside` is reached."""
    for wildcard in ("tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"):
        if endpoint.startswith(wildcard):
            return f"{beside.rsplit(':', 1)[0]}:{endpoint.rsplit(':', 1)[1]}"
    return endpoint
