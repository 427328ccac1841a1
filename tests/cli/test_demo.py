"""``h5daq demo``: what it prints is true, down to the two lines of Python."""

import re
import signal

import numpy as np
import pytest

from h5daq import cli

pytestmark = pytest.mark.processes


def test_tree_plot_and_two_lines_that_open_the_file(command, tmp_path):
    directory = tmp_path / "with space"
    demo = command("demo", "--seconds", "2", "--directory", directory)
    assert demo.code == cli.DONE, demo.err
    (path,) = directory.glob("*.hdf5")
    assert re.search("wave +int16 8 × 1024", demo.out)
    assert "digitizer/wave" in demo.out
    assert "┌──" in demo.out
    lines = [line.strip() for line in demo.out.splitlines() if line.startswith("    ")]
    code = [line for line in lines if line.startswith(("import h5daq", "wave = "))]
    assert len(code) == 2
    names = {}
    exec("\n".join(code), names)
    wave = np.asarray(names["wave"][:])
    assert wave.shape[1:] == (8, 1024)
    assert wave.any()
    assert str(path) in code[1]


def test_a_signal_ends_it_early_and_the_file_is_shown(start, tmp_path):
    demo = start("demo", "--seconds", "600", "--directory", tmp_path / "demo")
    demo.until_said("recording")
    assert demo.end(signal.SIGINT) == cli.DONE, demo.err
    assert "stopped: " in demo.out


def test_seconds_must_be_above_0(command, tmp_path):
    demo = command("demo", "--seconds", "0", "--directory", tmp_path / "demo")
    assert demo.code == cli.WRONG
    assert not (tmp_path / "demo").exists()
