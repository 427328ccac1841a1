"""A real kernel, as JupyterLab and VS Code start one, and what it shows."""

import contextlib
import os
import queue
import shutil
import tempfile
import time
from pathlib import Path

import pytest

import h5daq

ROOT = Path(h5daq.__file__).parents[1]
PATIENCE = 120.0


class Notebook:
    """Runs cells in a kernel, and sees its displays."""

    def __init__(self, manager, client):
        self.manager, self._client = manager, client

    def run(self, code):
        """Run a cell; an error in it is one here."""
        asked = self._client.execute(code, store_history=False)
        reply = {"parent_header": {}}
        while reply["parent_header"].get("msg_id") != asked:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])

    def shown(self, holds):
        """The next display that `holds` likes, by its text and its SVG; these two."""
        deadline, texts = time.monotonic() + PATIENCE, []
        while time.monotonic() < deadline:
            data = self._next()["content"].get("data", {})
            if "image/svg+xml" in data:
                found = data["text/plain"], data["image/svg+xml"]
                if holds(*found):
                    return found
                texts.append(found[0])
        raise AssertionError(f"not shown; the last of {len(texts)}: {texts[-1:]}")

    def _next(self):
        try:
            return self._client.get_iopub_msg(timeout=1.0)
        except queue.Empty:
            return {"content": {}}


@contextlib.contextmanager
def kernel(folder):
    jupyter = pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    # Its sockets are files, whose paths must be short.
    place = tempfile.mkdtemp(prefix="nb")
    manager = jupyter.KernelManager(transport="ipc", connection_file=f"{place}/kernel.json")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    manager.start_kernel(env=environment, cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        shutil.rmtree(place)


@pytest.fixture
def notebook(tmp_path):
    """A notebook in `tmp_path`."""
    with kernel(tmp_path) as notebook:
        yield notebook
