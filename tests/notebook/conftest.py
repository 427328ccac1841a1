"""A real kernel, as JupyterLab and VS Code start one, and what it shows."""

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
        reply = self._client.execute_interactive(
            code, store_history=False, timeout=PATIENCE, output_hook=lambda message: None
        )
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])

    def shown(self, holds):
        """The next display whose text `holds` likes: text and SVG."""
        deadline, texts = time.monotonic() + PATIENCE, []
        while time.monotonic() < deadline:
            try:
                message = self._client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                continue
            data = message["content"].get("data", {})
            if "image/svg+xml" in data:
                texts.append(data["text/plain"])
                if holds(texts[-1]):
                    return texts[-1], data["image/svg+xml"]
        raise AssertionError(f"not shown; the last of {len(texts)}: {texts[-1:]}")


@pytest.fixture
def notebook(tmp_path):
    jupyter = pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    # Its sockets are files, whose paths must be short.
    place = tempfile.mkdtemp(prefix="nb")
    manager = jupyter.KernelManager(transport="ipc", connection_file=f"{place}/kernel.json")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "ipython")}
    manager.start_kernel(env=environment, cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        shutil.rmtree(place)
