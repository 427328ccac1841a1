"""What feeds a picture: there again for the next run, and not without a writer."""

import itertools
import threading
from contextlib import ExitStack

import pytest

import h5daq
from h5daq.errors import NoAnswer
from h5daq.monitor.feed import Feed


@pytest.mark.processes
def test_a_monitor_stays_from_one_run_of_a_directory_to_the_next(tmp_path, wait_until):
    job = h5daq.DAQJob("tank/level", "n", itertools.count().__next__, read_period=0.02)
    with ExitStack() as stack:
        with h5daq.DAQDaemon(job, "first", directory=tmp_path):
            here = lambda: h5daq.connect(directory=tmp_path)  # noqa: E731
            feed = stack.enter_context(Feed(here, patience=0.5))
            wait_until(lambda: feed.picture.rows() > 5)
        wait_until(lambda: feed.trouble, what="no answer")
        with h5daq.DAQDaemon(job, "second", directory=tmp_path):
            wait_until(lambda: feed.picture.writer.run_name == "second")
            wait_until(lambda: any(job.last for job in feed.picture.jobs.values()))
            wait_until(lambda: not feed.trouble)


def test_who_finds_no_writer_is_told_at_once(tmp_path):
    with pytest.raises(NoAnswer, match="no writer is running"):
        Feed(lambda: h5daq.connect(directory=tmp_path))
    assert not [t for t in threading.enumerate() if t.name.startswith("h5daq-monitor")]
