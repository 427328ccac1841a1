"""What the web page's server answers: files by GET, and one socket per page.

Each looks first at who asks: under which name, and from which page.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import tornado.web
import tornado.websocket

from h5daq.errors import H5daqError
from h5daq.monitor.web.gate import Gate
from h5daq.monitor.web.page import Page

if TYPE_CHECKING:
    from h5daq.monitor.web.http import Server

__all__ = ["Files", "PageSocket"]

MOST_ASKED = 500
"""Questions of a page that wait for their answers."""

HELLO_SECONDS = 20.0
WRONG_SECONDS = 1.0
"""How long a wrong token is answered with silence."""

HEADERS = {
    # Bokeh sets styles of its own; nothing else may be in the page that is not from here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Files(tornado.web.RequestHandler):
    """The page, its style and scripts."""

    def initialize(self, gate: Gate, content: dict[str, tuple[str, bytes]]) -> None:
        """What tornado hands over."""
        self._gate, self._content = gate, content

    def set_default_headers(self) -> None:
        """Of all answers."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse whoever comes under a name that is not ours."""
        if not self._gate.knows_host(self.request.host):
            raise tornado.web.HTTPError(403)

    def get(self, name: str) -> None:
        """A file."""
        if name not in self._content:
            raise tornado.web.HTTPError(404)
        kind, content = self._content[name]
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(content)

    head = get


class PageSocket(tornado.websocket.WebSocketHandler):
    """The connection of one page."""

    def initialize(self, server: Server) -> None:
        """What tornado hands over."""
        self._server = server
        self._page = Page(server.stage, self.request.remote_ip or "somebody")
        self._busy, self._asked = False, 0

    def prepare(self) -> None:
        """Let in only pages of ours; Tornado's own check passes a site that took our address."""
        if not self.check_origin(self.request.headers.get("Origin", "")):
            raise tornado.web.HTTPError(403)

    def check_origin(self, origin: str) -> bool:
        """Whether it is a page of ours that connects."""
        return self._server.stage.gate.knows_origin(origin, self.request.host)

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Somebody is there."""
        if not self._server.enter(self):
            self.close(1013, "too many pages are open")
        asyncio.get_running_loop().call_later(HELLO_SECONDS, self._impatient)

    def _impatient(self) -> None:
        if not self._page.welcome:
            self.close(4001, "no hello")

    async def on_message(self, message: str | bytes) -> None:
        """What the page says: hello first, then whatever it likes."""
        try:
            said = json.loads(message)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            self.close(1007, "that is no message")
        elif said.get("k") == "hello":
            await self._greet(said)
        elif self._page.welcome:
            # Not awaited: a plot must not wait for a flush. It is answered by its number.
            self._server.later(self._answer(said))

    async def _greet(self, said: dict[str, Any]) -> None:
        if self._page.is_wrong(said):
            await asyncio.sleep(WRONG_SECONDS)
            await self._send([{"k": "refused"}])
        answer = self._page.hello(said)
        if answer is None:
            self.close(4003, "the token, please")
        else:
            await self._send([answer])

    async def _answer(self, said: dict[str, Any]) -> None:
        self._asked += 1
        if self._asked > MOST_ASKED:
            self.close(1008, "too many questions at once")
            return
        await self._send([await self._server.aside(partial(self._page.ask, said))])
        self._asked -= 1

    async def tick(self) -> None:
        """Send what is new, if the last of it has been taken."""
        if self._busy or not self._page.welcome:
            return
        self._busy = True
        try:
            await self._send([*self._page.news(), *await self._seen()])
        finally:
            self._busy = False

    async def _seen(self) -> list[dict[str, Any]]:
        """What its views have; all in one go to another thread, as they may wait."""
        due = [(number, view) for number, view in list(self._page.views.items())
               if view.due()]  # fmt: skip
        return await self._server.aside(partial(_looked, due)) if due else []

    async def _send(self, messages: list[dict[str, Any]]) -> None:
        try:
            if messages:
                await self.write_message(json.dumps(messages, allow_nan=False))
        except tornado.websocket.WebSocketClosedError:
            return

    def abandon(self) -> None:
        """Let go of a page that says nothing any more."""
        connection = self.ws_connection
        if connection is not None and connection.stream is not None:
            connection.stream.close()

    def on_close(self) -> None:
        """It is gone."""
        self._server.leave(self)
        self._server.later(self._server.aside(self._page.close))


def _looked(due: list[tuple[int, Any]]) -> list[dict[str, Any]]:
    found = []
    for number, view in due:
        try:
            message = view.more()
        except H5daqError as error:
            message = {"k": "trouble", "text": str(error)}
        if message is not None:
            found.append({**message, "view": number})
    return found
