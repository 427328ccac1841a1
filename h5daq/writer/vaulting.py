"""The Data Vault inside the writer: requests to it, and what must happen before they are answered.

Whatever is answered is sent when all is committed that the answer may rest on, in the order in
which it was made: notes to contexts first, then the reply. Adds of many clients share a sync in
this way. Now and then a checkpoint brings what waits into the datasets' files.

All of it is the main thread's. The committer wakes that when there is something to send.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from h5daq.errors import ConfigError, RequestError, StorageError, VaultError, WireError
from h5daq.flow.often import NotePacker
from h5daq.flow.packing import Buffer
from h5daq.flow.ratelimit import MAX_KEY_CONTEXTS
from h5daq.flow.records import NoteRecord, PackedAdd, VaultRecord
from h5daq.flow.requests import (
    ErrorCode,
    Request,
    encode_failure,
)
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.transports.base import Asked
from h5daq.vault.bulletin import Told
from h5daq.vault.contexts import check_room
from h5daq.vault.live import Live
from h5daq.vault.names import path_of
from h5daq.vault.reading import PAGED
from h5daq.vault.service import Outcome, Service
from h5daq.vault.tree import Tree
from h5daq.writer.guard import Guard
from h5daq.writer.intake import Intake
from h5daq.writer.owed import Owed
from h5daq.writer.recorded import Recorded

__all__ = ["VaultDesk"]

log = logging.getLogger("h5daq.writer")

_CHECKPOINT_BYTES = 32 << 20
"""Bytes of changes at which a checkpoint comes early."""

_LARGE_BYTES = 256 << 10
"""A frame of an answer that does not wait until other requests are looked at."""

_SLOW_SECONDS, _SLOW_PAUSE = 0.1, 1.0
"""A sync that takes longer is the committer's for a while: the sockets must not wait for it."""


class Port(Protocol):
    """The part of the writer's sockets that answers go out by."""

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting."""
        ...


class _Letter(NamedTuple):
    """Frames for one client, to be sent when the journal is synced up to `lsn`."""

    lsn: int
    identity: bytes
    user: str
    frames: list[Buffer]
    told: Told | None = None


class VaultDesk:
    """Serves the vault.

    Parameters
    ----------
    directory : Path
        Its root.
    journal : Journal or MemoryJournal
        Where changes are kept until the files have them.
    intake : Intake
        Appends to it, and passes signals on.
    port : Port
        Where answers go.
    boot : str
        This writer process.
    guard : Guard, optional
        Knows which keys are still good.
    period : float
        Most seconds that a change waits for a checkpoint.
    durable : bool
        Whether files wait for the medium.
    recorded : Recorded, optional
        The run whose jobs are datasets of the vault, too.
    """

    def __init__(
        self,
        directory: Path,
        journal: Journal | MemoryJournal,
        intake: Intake,
        port: Port,
        boot: str,
        guard: Guard | None = None,
        *,
        period: float = 60.0,
        durable: bool = True,
        recorded: Recorded | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal, self._intake, self._port, self._guard = journal, intake, port, guard
        self._clock, self._period = clock, period
        self._recorded = recorded
        self._run_path = recorded.run_path if recorded is not None else ""
        self._tree = tree = Tree(directory, durable=durable, recorder=recorded)
        self._live = Live(tree, lambda: journal.last)
        self._service = Service(
            tree, self._live, self._append, intake.ledger.answered, boot, journal.sync
        )
        self._letters: deque[_Letter] = deque()
        self._owed = Owed()
        self._notes = NotePacker()
        self._routes: dict[str, tuple[bytes, str]] = {}
        self._last, self._bytes = journal.synced, 0
        self._due = self._slow_until = 0.0
        self._open = True
        self._stuck = ""

    def knows(self, request: Request) -> bool:
        """Whether a request is the vault's. Workers are told to resume without a context."""
        if request.verb == "resume":
            return request.ctx > 0
        return request.verb in self._service.verbs

    # -- requests --------------------------------------------------------------------------------

    def take(self, asked: Asked, request: Request) -> None:
        """Do what a request wants; the answer waits for the commit."""
        if request.session:
            self._routes[request.session] = asked.identity, asked.user
        try:
            self._check_share(asked.user, request)
            if request.verb in PAGED:
                self._owed.check(asked.identity, asked.user)
            outcome = self._answer(request)
            reply = outcome.reply(request.id)
            if outcome.frames:
                reply = self._owed.note(asked.identity, asked.user, reply)
        except VaultError as error:
            reply = encode_failure(request.id, ErrorCode(error.code), str(error))
        except RequestError as error:
            reply = encode_failure(request.id, ErrorCode(error.code), str(error))
        except StorageError as error:
            reply = encode_failure(request.id, ErrorCode.STORAGE, str(error))
        except WireError as error:
            reply = encode_failure(request.id, ErrorCode.BAD_ARGUMENT, str(error))
        self._letters.append(_Letter(self._last, asked.identity, asked.user, reply))
        if len(reply[-1]) >= _LARGE_BYTES:
            # While the next request is looked at, this answer is on its way.
            self.send_ready()
        if self._bytes >= _CHECKPOINT_BYTES:
            self.checkpoint()

    def _check_share(self, user: str, request: Request) -> None:
        """Refuse a context more to a key whose sessions have enough of them."""
        contexts, made = self._service.contexts, request.verb == "context"
        if not (user and (made or request.args.get("fresh"))):
            return
        if not contexts.has((request.session, request.ctx)):
            sessions = [session for session, (_, whose) in self._routes.items() if whose == user]
            free = contexts.count(sessions) < MAX_KEY_CONTEXTS
            check_room(free, f"{MAX_KEY_CONTEXTS} contexts of one key")

    def _answer(self, request: Request) -> Outcome:
        if not self._open:
            code = ErrorCode.NOT_RUNNING
            raise RequestError(code, code.wire_name, "the writer is ending: nothing is taken")
        try:
            outcome = self._service.answer(request, self._clock(), time.monotonic())
        finally:
            if self._recorded is not None:
                # Rows that were looked at may not be committed yet.
                self._last = max(self._last, self._recorded.touched)
        self._tell(outcome)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        for told in outcome.told:
            identity, user = self._routes[told.context[0]]
            frames = self._notes.pack(told.note)
            self._letters.append(_Letter(self._last, identity, user, frames, told))
        for kind, path, fields in outcome.signals:
            self._intake.note.tell(kind, path, fields)

    def follow(self) -> None:
        """Tell contexts of what workers have brought, when that is committed."""
        appearing = self._intake.appearing
        if not (appearing.news or self._intake.fed):
            return
        appeared, appearing.news = appearing.news, []
        fed, self._intake.fed = self._intake.fed, {}
        told: list[Told] = []
        for kind, path, name in appeared:
            told += self._service.job_appeared(kind, path_of(path), name)
        if self._service.waited_for:
            for job in fed:
                *above, name = path_of(f"{self._run_path}/{job}")
                told += self._service.job_news((tuple(above), name))
        if told:
            self._last = max(self._last, *fed.values())
            self._tell(Outcome(told=told))

    def check_run(self, path: str) -> None:
        """See that a run may have its directory.

        Raises
        ------
        ConfigError
            If the vault has one of that name.
        """
        if self._tree.folders.exists(path_of(path)):
            raise ConfigError(
                f"the vault has a directory {path!r}, which the run would have, too: give the run "
                "another name, or rename that directory"
            )

    def _append(self, record: VaultRecord | NoteRecord | PackedAdd) -> int:
        self._last = self._intake.change(record)
        if isinstance(record, PackedAdd):
            self._bytes += record.size
        elif isinstance(record, VaultRecord):
            self._bytes += len(record.data) + 1
        return self._last

    # -- answers ---------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether anything is to be sent. Any thread may ask."""
        return bool(self._letters)

    def commit(self) -> bool:
        """Sync the journal in this thread, so that answers need not wait for another one.

        False if there is nothing to sync for, or it is left to the committer: that knows what to
        do on a disk that is full or slow.
        """
        began = time.monotonic()
        if began < self._slow_until or not self._letters or self._last <= self._journal.synced:
            return False
        try:
            self._journal.sync()
        except StorageError:
            self._slow_until = began + _SLOW_PAUSE
            return False
        if time.monotonic() - began > _SLOW_SECONDS:
            self._slow_until = began + _SLOW_PAUSE
        return True

    def send_ready(self) -> None:
        """Send what rests on nothing that is not committed."""
        if not self._letters:
            return
        synced = self._journal.synced
        while self._letters and self._letters[0].lsn <= synced:
            self._send(self._letters.popleft())

    def _send(self, letter: _Letter) -> None:
        # A key that was taken off the list meanwhile gets nothing any more.
        welcome = self._guard is None or self._guard.knows(letter.user)
        if not (welcome and self._port.reply(letter.identity, letter.frames)) and letter.told:
            self._service.failed(letter.told)

    # -- files -----------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """What keeps changes from the files; empty if nothing does."""
        return self._stuck or str(self._live.failure or "")

    def reaches(self) -> int | None:
        """The entry up to which the vault's files have everything; None for all. Any thread."""
        return self._live.reaches

    @property
    def kept(self) -> int:
        """The entry up to which no recovery has to look for the vault's changes."""
        reaches = self._live.reaches
        return self._last if reaches is None else reaches

    def tick(self) -> None:
        """Do what is due; called every second or so."""
        self._service.expire(time.monotonic())
        for session in [s for s in self._routes if not self._service.contexts.holds(s)]:
            del self._routes[session]
        if not self._live.dirty:
            self._due = time.monotonic() + self._period
        elif time.monotonic() >= self._due:
            self.checkpoint()
        self._live.apply_pending()
        if self._recorded is not None:
            self._recorded.reach()

    def checkpoint(self) -> None:
        """Bring what waits into the files."""
        self._bytes = 0
        if not self._live.dirty:
            return
        try:
            # A file must not be ahead of the journal, whose next entries would be taken for old.
            lsn = self._journal.sync()
        except StorageError as error:
            self._stuck = str(error)
            return
        self._stuck = ""
        self._live.checkpoint(self._clock(), lsn)
        self._due = time.monotonic() + self._period

    def close(self) -> None:
        """Take nothing more; bring what waits into the files and let go of them."""
        self._open = False
        self.checkpoint()
        if self.trouble:
            log.warning("vault: %s. The next start brings the rest into the files.", self.trouble)
        self._live.close()
