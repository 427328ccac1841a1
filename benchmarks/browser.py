"""A real headless Chromium for tests, measurements and pictures of the web page.

It is spoken to in the DevTools protocol over two pipes, so it takes no port, no driver program and
no package: a message is JSON with a NUL behind it. Debian's package is ``chromium``. All of its
traffic to the outside is switched off; a page that wants something from there is seen to fail.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from h5daq.flow.closing import Closing

__all__ = ["Browser", "find_chromium"]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio", "--hide-scrollbars",
    "--no-default-browser-check", "--disable-features=Translate,MediaRouter,OptimizationHints",
    "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=127.0.0.1;localhost",
    "--remote-debugging-pipe",
)  # fmt: skip
"""A proxy that nobody is: what is not on this machine can't be reached, and fails at once."""

PAUSE_SECONDS = 0.05


def find_chromium() -> str | None:
    """Path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


class Browser(Closing):
    """One Chromium with one page.

    Parameters
    ----------
    width, height : int
        Of the window, in CSS pixels.
    dark : bool
        Whether the page is told that its user prefers dark colours.
    patience : float
        Seconds that an answer may take: a loaded machine is slow to start a browser.

    Raises
    ------
    FileNotFoundError
        If there is no Chromium.
    """

    def __init__(
        self, width: int = 1200, height: int = 800, *, dark: bool = False, patience: float = 90.0
    ) -> None:
        program = find_chromium()
        if program is None:
            raise FileNotFoundError("no chromium here; Debian has it as the package chromium")
        self._patience, self._numbers = patience, itertools.count(1)
        self._profile = tempfile.mkdtemp(prefix="h5daq-chromium-")
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self.said: list[str] = []
        self._start(program)
        self._session, self._context = "", ""
        self._size = width, height
        self.renew(dark=dark)

    def _start(self, program: str) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # It reads from descriptor 3 and writes to 4: a shell puts our pipes there.
        line = 'exec "$@" 3<&"$H5DAQ_IN" 4>&"$H5DAQ_OUT"'
        self.process = subprocess.Popen(
            ["bash", "-c", line, "chromium", program, *FLAGS,
             f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "H5DAQ_IN": str(theirs_in), "H5DAQ_OUT": str(theirs_out)},
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._reader = threading.Thread(target=self._read, name="chromium", daemon=True)
        self._reader.start()

    def renew(self, *, dark: bool = False) -> None:
        """Go on with a new page that remembers nothing of the ones before."""
        self._session, before = "", self._context
        self._context = str(self.call("Target.createBrowserContext")["browserContextId"])
        page = self.call(
            "Target.createTarget", url="about:blank", browserContextId=self._context
        )["targetId"]  # fmt: skip
        session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        if before:
            self.call("Target.disposeBrowserContext", browserContextId=before)
        self._session = str(session)
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.resize(*self._size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.said.clear()

    # -- the protocol ----------------------------------------------------------------------------

    def _read(self) -> None:
        with os.fdopen(self._in, "rb", buffering=0) as pipe:
            rest = b""
            while came := pipe.read(1 << 20):
                *whole, rest = (rest + came).split(b"\0")
                for message in whole:
                    self._take(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        waiting = self._answers.get(message.get("id", 0))
        if waiting is not None:
            waiting.put(message)
            return
        told, kind = message.get("params", {}), message.get("method")
        if kind == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.said.append(str(details.get("exception", {}).get("description", details)))
        elif kind == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.said.append(" ".join(str(a.get("value", a)) for a in told["args"]))
        elif kind == "Network.loadingFailed" and not told.get("canceled"):
            self.said.append(f"loading failed: {told.get('errorText')}")

    def call(self, method: str, **params: Any) -> Any:
        """One command of the DevTools protocol, and its result."""
        number = next(self._numbers)
        waiting = self._answers[number] = queue.SimpleQueue()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        try:
            answer = waiting.get(timeout=self._patience)
        except queue.Empty:
            raise TimeoutError(f"chromium: no answer to {method}") from None
        finally:
            del self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"chromium: {method}: {answer['error']['message']}")
        return answer["result"]

    # -- what a person does ----------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise RuntimeError(f"{text}\nin: {script}")
        return result["result"].get("value")

    def until(self, script: str, seconds: float | None = None) -> Any:
        """The value of an expression once it is true; a page that is being loaded has none."""
        deadline = time.monotonic() + (seconds or self._patience)
        while not (value := self._tried(script)):
            if time.monotonic() > deadline:
                said = "; ".join(self.said[-5:]) or "nothing"
                raise TimeoutError(f"the page never had: {script} (it said: {said})")
            threading.Event().wait(PAUSE_SECONDS)
        return value

    def _tried(self, script: str) -> Any:
        try:
            return self.run(script)
        except RuntimeError:
            return None

    def click(self, selector: str) -> None:
        """Click on what a selector finds, once it is there."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{found} && !{found}.disabled")
        self.run(f"{found}.click()")

    def write(self, selector: str, text: str) -> None:
        """Type a text into a field, as from a keyboard."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{found}")
        self.run(f"{found}.focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the page another size, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        shot = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(shot))

    def close(self) -> None:
        """End the browser and all its processes; a second time does nothing."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        if self._out >= 0:
            self.process.wait()
            os.close(self._out)
            self._out = -1
            self._reader.join(10)
            shutil.rmtree(self._profile, ignore_errors=True)
