"""What tests of real processes share: waiting for an event with a deadline, and `h5daq` commands.

A test must not sleep and hope: it waits until something is seen, and fails when that takes longer
than even a loaded machine needs.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import hypothesis
import pytest

import h5daq

ROOT = Path(h5daq.__file__).parents[1]
PATIENCE = 120.0
"""Seconds; far more than anything takes, on a busy machine too. A test that passes waits less."""

# The same examples each time, as slow as the machine is: what fails once fails again.
_PATIENT = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("search", **_PATIENT)
hypothesis.settings.register_profile("suite", derandomize=True, **_PATIENT)
hypothesis.settings.load_profile("suite")


def _wait_until(holds, seconds=PATIENCE, what="it"):
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (seen := holds()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        pause.wait(0.02)
    return seen


@pytest.fixture(scope="session")
def wait_until():
    """`wait_until(holds, seconds=120.0, what="it")`: what `holds()` gives once it is true."""
    return _wait_until


class Command:
    """A running `h5daq` command; what it prints goes to files, so that it never has to wait."""

    def __init__(self, folder, words):
        self._paths = folder / "stdout", folder / "stderr"
        with open(self._paths[0], "wb") as out, open(self._paths[1], "wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "h5daq", *map(str, words)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            )  # fmt: skip

    @property
    def out(self):
        return self._paths[0].read_text()

    @property
    def err(self):
        return self._paths[1].read_text()

    def until_said(self, text):
        """Wait until it has printed `text` on either stream."""

        def said():
            assert self.process.poll() is None or text in self.out + self.err, self.err
            return text in self.out + self.err

        _wait_until(said, what=f"{text!r}")

    def end(self, number=None):
        """The exit code, after sending it a signal."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def _commands(folder):
    begun = []

    def launch(*words):
        place = folder / f"command-{len(begun)}"
        place.mkdir()
        begun.append(Command(place, words))
        return begun[-1]

    try:
        yield launch
    finally:
        _end(begun)


def _end(commands):
    for command in commands:
        if command.process.poll() is None:
            # In order first: its workers and its writer are to end with it.
            command.process.send_signal(signal.SIGTERM)
            try:
                command.process.wait(60)
            except subprocess.TimeoutExpired:
                command.process.kill()
                command.process.wait()


@pytest.fixture
def start(tmp_path):
    """`start(*words)`: an `h5daq` command in the background, ended with the test."""
    with _commands(tmp_path) as launch:
        yield launch


@pytest.fixture(scope="session")
def start_for_all(tmp_path_factory):
    """The same for several tests: ended with the last of them."""
    with _commands(tmp_path_factory.mktemp("commands")) as launch:
        yield launch


@pytest.fixture
def command(start):
    """`command(*words)`: an `h5daq` command that has ended, with `code`, `out` and `err`."""

    def run(*words):
        done = start(*words)
        done.code = done.end()
        return done

    return run


@pytest.fixture(autouse=True, scope="session")
def _state_directory(tmp_path_factory):
    """Workers that are killed leave their spools here, and not with the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
