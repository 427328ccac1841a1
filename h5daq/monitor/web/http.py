"""The server of the web page: Tornado, files of this package and of Bokeh's, one socket per page.

All pages live in one event loop in a thread; what may wait (files, the writer) is done by a few
others. Four times a second each page is sent what is new to it, unless it has not taken the last of
it yet: a slow page gets the sum of the changes later, and costs nobody anything meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any

import tornado.httpserver
import tornado.web
import tornado.websocket

from h5daq.client import Client
from h5daq.errors import H5daqError
from h5daq.flow.closing import Closing
from h5daq.monitor.web.connection import Connection
from h5daq.monitor.web.feed import Feed
from h5daq.monitor.web.gate import Gate
from h5daq.monitor.web.page import Backstage, Page
from h5daq.monitor.web.serving import Place
from h5daq.monitor.web.sources import Archive, Sources
from h5daq.monitor.web.vault import VaultRoom

__all__ = ["Server"]

TICK_SECONDS = 0.25
MOST_PAGES = 50
MOST_SAID = 1 << 16
"""Bytes of a message of a page."""

MOST_ASKED = 500
"""Questions of a page that wait for their answers."""

HELLO_SECONDS = 20.0
WRONG_SECONDS = 1.0
"""How long a wrong token is answered with silence."""

PART_SECONDS = 1.0

BOKEH = ("bokeh.min.js", "bokeh-api.min.js")
OURS = (
    "page.css",
    "page.js",
    "link.js",
    "plots.js",
    "figures.js",
    "lists.js",
    "dataset.js",
    "icon.svg",
)
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

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

_LOGGER = logging.getLogger("h5daq.web")


class _Files(tornado.web.RequestHandler):
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


class _Socket(tornado.websocket.WebSocketHandler):
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


class Server(Closing):
    """The page, served from a thread until it is closed; made by `h5daq.monitor.web.serve`.

    Attributes
    ----------
    port : int
        The real one.
    url : str
        Address of the page.
    """

    def __init__(
        self, connect: Callable[[], Client], place: Place, gate: Gate, archive: Archive | None
    ) -> None:
        context = _tls(place)
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        bound = socket.create_server((place.host, place.port), family=family)
        bound.setblocking(False)
        self.port = int(bound.getsockname()[1])
        self.url = place.url(self.port)
        try:
            self._connection = Connection(connect)
        except H5daqError:
            bound.close()
            raise
        feed = Feed(self._connection)
        sources = Sources(feed, self._connection, archive)
        self.stage = Backstage(feed, sources, VaultRoom(self._connection), self._connection, gate)
        self._pages: set[_Socket] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._others = ThreadPoolExecutor(8, thread_name_prefix="h5daq web")
        self._ended: asyncio.Event | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._live(bound, context)), name="h5daq web", daemon=True
        )
        self._thread.start()
        self._begun.wait()

    async def _live(self, bound: socket.socket, context: ssl.SSLContext | None) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        http = tornado.httpserver.HTTPServer(self._application(), ssl_options=context)
        http.add_socket(bound)
        self._begun.set()
        while not self._ended.is_set():
            await self._tick()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), TICK_SECONDS)
        http.stop()
        await self._part()
        await http.close_all_connections()

    async def _part(self) -> None:
        """Take leave of all pages; of one that does not answer, without its answer."""
        for page in list(self._pages):
            page.close(1001, "the server ends")
        for _ in range(10):
            if self._pages:
                await asyncio.sleep(PART_SECONDS / 10)
        for page in list(self._pages):
            page.abandon()

    def _application(self) -> tornado.web.Application:
        content = _content()
        about = {"gate": self.stage.gate, "content": content}
        return tornado.web.Application(
            [("/socket", _Socket, {"server": self}), ("/(.*)", _Files, about)],
            compress_response=True, websocket_max_message_size=MOST_SAID,
            websocket_ping_interval=20, log_function=lambda _handler: None,
        )  # fmt: skip

    async def _tick(self) -> None:
        if not self._pages:
            return
        self.stage.feed.refresh(time.time())
        for page in list(self._pages):
            self.later(page.tick())

    # -- for its pages, in the loop ----------------------------------------------------------------

    def enter(self, page: _Socket) -> bool:
        """Take a page in; whether there is room."""
        if len(self._pages) >= MOST_PAGES:
            return False
        self._pages.add(page)
        return True

    def leave(self, page: _Socket) -> None:
        """Forget a page."""
        self._pages.discard(page)

    def later(self, work: Any) -> None:
        """Do something beside all else."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aside(self, work: Callable[[], Any]) -> Any:
        """Have something done that may wait."""
        return await self._loop.run_in_executor(self._others, work)

    def close(self) -> None:
        """End the server; pages say that they have lost it, and look for it again."""
        if self._thread.is_alive() and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._others.shutdown(cancel_futures=True)
        self.stage.feed.close()
        self._connection.close()


def _content() -> dict[str, tuple[str, bytes]]:
    """All files that are served, by name."""
    ours, bokeh = files("h5daq.monitor.web") / "static", files("bokeh") / "server/static/js"
    found = {name: (ours / name).read_bytes() for name in OURS}
    found |= {name: (bokeh / name).read_bytes() for name in BOKEH}
    served = {name: (KINDS[name.rpartition(".")[2]], data) for name, data in found.items()}
    return {**served, "": ("text/html", (ours / "index.html").read_bytes())}


def _tls(place: Place) -> ssl.SSLContext | None:
    if place.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place.certificate, place.key)
    return context
