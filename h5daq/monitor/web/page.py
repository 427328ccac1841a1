"""One page in somebody's browser: what it watches, what it was told, what it may do.

Messages are JSON maps with a kind ``k``. A page says ``hello`` first, with the token if it has it,
and is then told the state and each change of it. Of what it asks (`ASKED`) each gets one ``reply``
with its ``id``; what changes something wants the token, whatever the page shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from h5daq.errors import ConfigError, H5daqError, NotAllowed, StorageError
from h5daq.flow.requests import ErrorCode
from h5daq.monitor.connection import Connection
from h5daq.monitor.feed import Feed
from h5daq.monitor.web.chronicle import Chronicle
from h5daq.monitor.web.gate import Gate
from h5daq.monitor.web.sources import Sources
from h5daq.monitor.web.summary import attribute, plain
from h5daq.monitor.web.vault import VaultRoom, VaultView
from h5daq.monitor.web.views import ArrayView, Message, TraceView, View

__all__ = ["Backstage", "Page"]

MOST_VIEWS = 200
"""Plots of one page."""

MOST_TEXT = 20_000
"""Characters of a comment."""

ORDERS = ("pause", "resume", "trigger", "flush")
"""What an operator may ask for in the page. To stop a run takes a command line."""

FLUSH_SECONDS = 30.0
MODES = ("curves", "lines", "waterfall", "image")
SECONDS = (10.0, 7 * 86_400.0)

_LOGGER = logging.getLogger("h5daq.web")


@dataclass(frozen=True, slots=True)
class Backstage:
    """What all pages of a server share.

    Attributes
    ----------
    feed : Feed
        The model of the system.
    chronicle : Chronicle
        What happened in it.
    sources : Sources
        Rows of jobs.
    room : VaultRoom
        The vault.
    connection : Connection
        To the running system.
    gate : Gate
        Who may.
    """

    feed: Feed
    chronicle: Chronicle
    sources: Sources
    room: VaultRoom
    connection: Connection
    gate: Gate


class Page:
    """What the server knows of one page.

    Parameters
    ----------
    stage : Backstage
        What pages share.
    visitor : str
        Who it is, for the log.
    """

    def __init__(self, stage: Backstage, visitor: str) -> None:
        self._stage, self._visitor = stage, visitor
        self.welcome = self.operator = False
        self.views: dict[int, View] = {}
        self._told, self._happened, self._gone = 0, 0, False

    # -- what it is told -------------------------------------------------------------------------

    def is_wrong(self, said: Mapping[str, Any]) -> bool:
        """Whether it shows a token, and that is not it."""
        token = said.get("token")
        wrong = token is not None and not self._stage.gate.opens(token)
        if wrong:
            _LOGGER.warning("a page of %s came with a wrong token", self._visitor)
        return wrong

    def hello(self, said: Mapping[str, Any]) -> Message | None:
        """The answer to its first message; None if it may not look."""
        gate = self._stage.gate
        self.operator = gate.opens(said.get("token"))
        self.welcome = self.operator or not gate.private
        if not self.welcome:
            return None
        return {"k": "welcome", "operator": self.operator}

    def news(self) -> Iterator[Message]:
        """What has changed since it was told last."""
        number, changed = self._stage.chronicle.news.since(self._told)
        if changed:
            self._told = number
            yield {"k": "news", "values": changed}
        happened = self._stage.chronicle.happenings
        if happened.count > self._happened:
            yield {"k": "happened", "what": happened.since(self._happened)}
            self._happened = happened.count

    def close(self) -> None:
        """It is gone; gives back what its views hold. May wait for the writer."""
        self._gone = True
        views, self.views = self.views, {}
        for view in views.values():
            _close(view)

    # -- what it asks; each may wait -------------------------------------------------------------

    def ask(self, said: Mapping[str, Any]) -> Message:
        """The reply to one message."""
        reply: Message = {"k": "reply", "id": said.get("id")}
        try:
            kind = str(said.get("k"))
            asked = ASKED.get(kind)
            if asked is None:
                raise ConfigError(f"a page asked for {kind!r:.40}, which is nothing")
            return {**reply, "ok": True, "result": asked(self, said)}
        except H5daqError as error:
            return {**reply, "ok": False, "error": str(error)}

    def _watch(self, said: Mapping[str, Any]) -> Message | None:
        number = said.get("view")
        if not isinstance(number, int) or len(self.views) >= MOST_VIEWS:
            raise ConfigError(f"a page shows at most {MOST_VIEWS} plots: close some")
        view = self._view(said)
        self._unwatch(said)
        told = view.first()
        self.views[number] = view
        if self._gone:
            self.close()
        return told

    def _view(self, said: Mapping[str, Any]) -> View:
        path, labels, mode = _path(said), _texts(said, "labels"), said.get("mode")
        if mode not in MODES or not labels:
            raise ConfigError(f"a plot has labels, and one of the modes {', '.join(MODES)}")
        if said.get("of") == "vault":
            return VaultView(self._stage.room, path, labels, mode)
        job = "/".join(path)
        if mode != "curves":
            return ArrayView(self._stage.sources, job, labels[0], mode)
        seconds = said.get("seconds")
        if not isinstance(seconds, int | float) or not SECONDS[0] <= seconds <= SECONDS[1]:
            raise ConfigError(f"seconds is a number from {SECONDS[0]:g} to {SECONDS[1]:g}")
        return TraceView(self._stage.sources, job, labels, float(seconds))

    def _unwatch(self, said: Mapping[str, Any]) -> None:
        view = self.views.pop(said.get("view", -1), None)
        if view is not None:
            _close(view)

    def _directory(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return self._stage.room.directory(_path(said))

    def _about(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Of a dataset: columns, attributes, comments."""
        path = _path(said)
        if said.get("of") == "vault":
            return self._stage.room.about(path)
        columns, attrs = self._columns("/".join(path))
        found = {"columns": columns, "attrs": attrs, "comments": [], "tags": []}
        try:
            found["comments"] = self._stage.room.comments(self._in_vault(path))
        except H5daqError as error:
            found["without_comments"] = str(error)
        return found

    def _columns(self, job: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Columns and attributes of a job: from the files, or else from its newest row."""
        archive = self._stage.sources.archive
        columns: list[dict[str, Any]] = []
        attrs: dict[str, Any] = {}
        if archive is not None:
            try:
                columns, attrs = archive.about(job)
            except StorageError as error:
                _LOGGER.debug("job %s: %s", job, error)
        if not columns:
            columns = self._described(job)
        known = {column["label"] for column in columns}
        row = self._stage.sources.peek(job)
        columns += [_guessed(k, v) for k, v in row.items() if k != "time" and k not in known]
        return columns, {key: plain(value) for key, value in attrs.items()}

    def _described(self, job: str) -> list[dict[str, Any]]:
        """Columns as the vault tells them, where no file can be read or none has the job yet."""
        try:
            return self._stage.room.job_columns(self._in_vault(job.split("/")))
        except H5daqError:
            return []

    def _run(self, _said: Mapping[str, Any]) -> dict[str, Any]:
        """The run's attributes."""
        archive = self._stage.sources.archive
        if archive is None:
            return {}
        return {key: attribute(key, value) for key, value in archive.attrs().items()}

    def _comments(self, said: Mapping[str, Any]) -> list[list[Any]]:
        path = _path(said)
        return self._stage.room.comments(
            path if said.get("of") == "vault" else self._in_vault(path)
        )

    # -- what takes the token --------------------------------------------------------------------

    def _comment(self, said: Mapping[str, Any]) -> None:
        self._must_be_operator()
        path, text, user = _path(said), said.get("text"), said.get("user") or "anonymous"
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_TEXT:
            raise ConfigError(f"a comment is a text of at most {MOST_TEXT:,} characters")
        where = path if said.get("of") == "vault" else self._in_vault(path)
        self._stage.room.comment(where, text.strip(), str(user)[:200])

    def _order(self, said: Mapping[str, Any]) -> Any:
        self._must_be_operator()
        verb, jobs, n = said.get("verb"), _texts(said, "jobs"), said.get("n", 1)
        if verb not in ORDERS:
            raise ConfigError(f"the page orders {', '.join(ORDERS)}, and not {verb!r:.40}")
        _LOGGER.info("%s of %s, asked for by a page of %s", verb, jobs or "all", self._visitor)
        if verb == "flush":
            return self._stage.connection.order.request("flush", timeout=FLUSH_SECONDS)
        return self._stage.connection.order.request(verb, jobs=jobs, n=n)

    def _must_be_operator(self) -> None:
        if not self.operator:
            raise NotAllowed(
                ErrorCode.NOT_ALLOWED, "not allowed",
                "this page can only look: open it by the address with #token= that the server "
                "printed, or enter the token",
            )  # fmt: skip

    def _in_vault(self, path: list[str]) -> list[str]:
        """Where a job stands in the vault's tree."""
        above = self._stage.feed.picture.writer.run_path or ""
        return [*filter(None, above.split("/")), *path]


ASKED: Mapping[str, Callable[[Page, Mapping[str, Any]], Any]] = {
    "watch": Page._watch,
    "unwatch": Page._unwatch,
    "directory": Page._directory,
    "about": Page._about,
    "comments": Page._comments,
    "run": Page._run,
    "comment": Page._comment,
    "order": Page._order,
}
"""What a page may say after hello."""


def _close(view: View) -> None:
    if isinstance(view, VaultView):
        view.close()


def _guessed(label: str, value: Any) -> dict[str, Any]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    kind = "object" if isinstance(value, str) else "float64"
    return {"label": label, "dtype": kind, "shape": shape, "unit": "", "description": ""}


def _path(said: Mapping[str, Any]) -> list[str]:
    return _texts(said, "path")


def _texts(said: Mapping[str, Any], name: str) -> list[str]:
    given = said.get(name) or []
    if not isinstance(given, list) or not all(isinstance(part, str) for part in given):
        raise ConfigError(f"{name} is a list of texts")
    return given
