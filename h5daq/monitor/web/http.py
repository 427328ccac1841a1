"""The server of the web page: Tornado, files of this package and of Bokeh's, one socket per page.

All pages live in one event loop in a thread; what may wait (files, the writer) is done by a few
others. Four times a second each page is sent what is new to it, unless it has not taken the last of
it yet: a slow page gets the sum of the changes later, and costs nobody anything meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from typing import Any

import tornado.httpserver
import tornado.web

from h5daq.client import Client
from h5daq.errors import H5daqError
from h5daq.flow.closing import Closing
from h5daq.monitor.archive import Archive
from h5daq.monitor.feed import Feed
from h5daq.monitor.picture import Picture
from h5daq.monitor.web.chronicle import Chronicle
from h5daq.monitor.web.gate import Gate
from h5daq.monitor.web.handlers import Files, PageSocket
from h5daq.monitor.web.page import Backstage
from h5daq.monitor.web.serving import Place
from h5daq.monitor.web.sources import Sources
from h5daq.monitor.web.vault import VaultRoom

__all__ = ["Server"]

TICK_SECONDS = 0.25
PART_SECONDS = 1.0

MOST_PAGES = 50
MOST_SAID = 1 << 16
"""Bytes of a message of a page."""

BOKEH = ("bokeh.min.js", "bokeh-api.min.js")
KINDS = {
    "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html",
}  # fmt: skip
"""What is served of `static`, by the ends of names."""


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
        picture = Picture()
        chronicle = Chronicle(picture)
        try:
            feed = Feed(connect, picture, listener=chronicle, insist=False)
        except H5daqError:
            bound.close()
            raise
        sources, room = Sources(feed, chronicle.tracks, archive), VaultRoom(feed.connection)
        self.stage = Backstage(feed, chronicle, sources, room, feed.connection, gate)
        self._pages: set[PageSocket] = set()
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
            [("/socket", PageSocket, {"server": self}), ("/(.*)", Files, about)],
            compress_response=True, websocket_max_message_size=MOST_SAID,
            websocket_ping_interval=20, log_function=lambda _handler: None,
        )  # fmt: skip

    async def _tick(self) -> None:
        if not self._pages:
            return
        feed = self.stage.feed
        with feed.lock:
            self.stage.chronicle.refresh(time.time(), feed.trouble)
        for page in list(self._pages):
            self.later(page.tick())

    # -- for its pages, in the loop ----------------------------------------------------------------

    def enter(self, page: PageSocket) -> bool:
        """Take a page in; whether there is room."""
        if len(self._pages) >= MOST_PAGES:
            return False
        self._pages.add(page)
        return True

    def leave(self, page: PageSocket) -> None:
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


def _content() -> dict[str, tuple[str, bytes]]:
    """All files that are served, by name."""
    ours, bokeh = files("h5daq.monitor.web") / "static", files("bokeh") / "server/static/js"
    found = {file.name: file.read_bytes() for file in ours.iterdir()}
    found |= {name: (bokeh / name).read_bytes() for name in BOKEH}
    ends = {name: name.rpartition(".")[2] for name in found}
    served = {name: (KINDS[end], found[name]) for name, end in ends.items() if end in KINDS}
    return {**served, "": served["index.html"]}


def _tls(place: Place) -> ssl.SSLContext | None:
    if place.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place.certificate, place.key)
    return context
