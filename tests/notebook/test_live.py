"""A live plot in a real kernel, of a real run; and what becomes of a daemon whose kernel ends."""

import itertools
import os
import re
import signal

import numpy as np
import pytest

import h5daq

DAEMON = """
import itertools, h5daq
numbers = itertools.count()
job = h5daq.DAQJob("a", "n", lambda: next(numbers), read_period=0.005)
daemon = h5daq.DAQDaemon(job, directory="data", write_period=0.2)
daemon.start()
plot = h5daq.live("a/n", directory="data")
"""


def newest(text):
    """The newest value in a plot's text."""
    found = re.search(r" = (\d+)", text)
    return int(found[1]) if found else -1


def points(drawn):
    """How many points the first curve has."""
    found = re.search(r'points="([^"]*)"', drawn)
    return len(found[1].split()) if found else 0


def test_a_plot_begins_with_the_rows_that_are_there_goes_on_and_ends_with_the_run(
    notebook, tmp_path, wait_until
):
    numbers, place = itertools.count(), f"directory={str(tmp_path)!r}"
    job = h5daq.DAQJob("tank/t", "n", lambda: next(numbers), read_mode="trigger", units=["K"])
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        daemon.job_command("tank/t", "trigger", 20)
        wait_until(lambda: daemon.job_rows("tank/t") == 20)
        daemon.flush()
        notebook.run(f"import h5daq; plot = h5daq.live(['tank/t/n', 'tank/p'], {place})")
        text, _ = notebook.shown(lambda text, drawn: points(drawn) == 20)
        assert text.splitlines()[0] == "tank/t/n [K] = 19"
        assert "waiting for tank/p; jobs that are known: tank/t" in text
        notebook.run(f"other = h5daq.live('tank/t', {place})")
        notebook.shown(lambda text, drawn: text == "tank/t/n [K] = 19\nrun: recording")
        notebook.run("other.stop(); assert plot.running and not other.running")
        notebook.shown(lambda text, drawn: text == "tank/t/n [K] = 19\nstopped")
        job.trigger_read()
        notebook.shown(lambda text, drawn: newest(text) == 20 and points(drawn) == 21)
    notebook.shown(lambda text, drawn: text.endswith("the run has ended") and points(drawn) == 21)
    notebook.run("plot._thread.join(); assert not plot.running")


@pytest.mark.parametrize("how", ["shut down", "killed"])
def test_a_daemon_ends_in_order_with_its_kernel_and_no_committed_row_is_missing(
    notebook, tmp_path, wait_until, how
):
    notebook.run(DAEMON)
    seen = newest(notebook.shown(lambda text, drawn: newest(text) > 20)[0])
    notebook.manager.interrupt_kernel()  # the key beside it: the run goes on
    seen = newest(notebook.shown(lambda text, drawn: newest(text) > seen)[0])
    if how == "killed":
        os.kill(notebook.manager.provisioner.pid, signal.SIGKILL)
    else:
        notebook.manager.shutdown_kernel()
    endpoints = tmp_path / "data" / ".h5daq" / "endpoints.json"
    wait_until(lambda: not endpoints.exists(), what="the writer's end")
    recording = h5daq.open(tmp_path / "data")
    assert np.isfinite(recording.attrs["run_end"])
    np.testing.assert_array_equal(recording["a"]["n"], np.arange(len(recording["a"])))
    assert len(recording["a"]) > seen
