"""A real run with a page before it: curves, a waveform, an image, and a dataset in its vault."""

import itertools
import logging

import numpy as np
import pytest

import h5daq
from benchmarks.browser import Browser, find_chromium
from h5daq.files.recent import Recent
from h5daq.monitor.web import Gate, Place, serve

TOKEN = "a-token-for-the-tests"


def jobs():
    """`tank` counts its rows, so that each value is known; the others are arrays of numbers.

    The camera's are larger than what a peek tells, and their first pixel counts them.
    """
    numbers, turns, frames = itertools.count(), itertools.count(), itertools.count()
    ramp = np.arange(300.0)

    def count():
        number = next(numbers)
        return float(number), 1000.0 - number

    def wave():
        return ramp + next(turns)

    def frame():
        image = np.outer(np.arange(100.0), np.arange(120.0))
        image[0, 0] = next(frames)
        return image

    return [
        h5daq.DAQJob(
            "tank",
            ["T", "p"],
            count,
            read_period=0.1,
            units=["K", "hPa"],
            limits={"p": {"warn": {"low": 999.5}}},
        ),
        h5daq.DAQJob("scope", ["wave"], wave, read_period=0.2, shape=(0, 300)),
        h5daq.DAQJob("camera", ["frame"], frame, read_period=0.5, shape=(0, 100, 120)),
    ]


class Run:
    """A run, the server of its page, and what that has logged."""

    def __init__(self, daemon, folder, server, lines):
        self.daemon, self.folder, self.server, self.lines = daemon, folder, server, lines
        self.control = f"{server.url}#token={TOKEN}"

    def scan(self, name):
        """A new dataset of three rows in the vault's root; its full name."""
        with h5daq.connect(directory=self.folder) as client, client.vault(timeout=60.0) as vault:
            name = vault.new(name, ["delay [us]"], ["P1"])[1]
            vault.add([[0.0, 1.0], [1.0, 0.5], [2.0, 0.25]])
        return name

    def stored(self, name):
        """Path of a dataset's file, with all that was committed in it."""
        with h5daq.connect(directory=self.folder) as client:
            client.request("flush", timeout=60.0)
        (path,) = [path for path in self.folder.glob("*.hdf5") if name in path.name]
        return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("data"), []
    keeper = logging.Handler()
    keeper.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger().addHandler(keeper)
    logging.getLogger("h5daq.web").setLevel(logging.INFO)
    gate = Gate(TOKEN)
    with (
        h5daq.DAQDaemon(
            jobs(),
            "lab",
            directory=folder,
            attrs={"operator": "anna"},
            alarms={"disk": {"warn": 0}},
        ) as daemon,
        serve(lambda: h5daq.connect(directory=folder), Place(), gate, Recent(folder)) as server,
    ):
        yield Run(daemon, folder, server, lines)
    logging.getLogger().removeHandler(keeper)
    logging.getLogger("h5daq.web").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def chromium():
    if find_chromium() is None:
        pytest.skip("no chromium here")
    # High: what is out of sight is not drawn.
    with Browser(1200, 2400) as browser:
        yield browser


@pytest.fixture
def browser(chromium):
    """A browser that has seen nothing yet."""
    chromium.renew()
    return chromium
