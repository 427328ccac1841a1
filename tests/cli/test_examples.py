"""``h5daq init`` and ``h5daq examples``: what they write runs as it stands."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.cli import main
from h5daq.cli.examples import known_examples
from h5daq.config import load

ROOT = Path(h5daq.__file__).parents[1]


def _heed_interrupts():
    # A shell has its background jobs ignore them, and what they start inherits that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def begun(folder, *words):
    """A process in `folder`, as a person would start it there, and end it with Ctrl-C."""
    log = folder / f"{len(list(folder.iterdir()))}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=_heed_interrupts,
        )  # fmt: skip
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def rows(folder, count):
    """Whether each job of the run in `folder` has so many committed rows."""
    try:
        with h5daq.connect(directory=folder / "data") as client:
            jobs = client.request("status", timeout=5.0)["jobs"].values()
    except h5daq.H5daqError:
        return False
    return bool(jobs) and all(job["rows"] >= count for job in jobs)


@pytest.fixture
def copy(tmp_path):
    """`copy(name)`: an example of its own, as the command copies it."""

    def make(name):
        assert main(["examples", name, "--to", str(tmp_path / name)]) == 0
        return tmp_path / name

    return make


@pytest.fixture
def record(wait_until):
    """`record(folder)`: `h5daq run` there until every job has rows; then the file."""

    def run(folder, count=3):
        with begun(folder, "-m", "h5daq", "run", "lab.toml", "--quiet") as process:
            wait_until(lambda: process.poll() is not None or rows(folder, count))
        (path,) = (folder / "data").glob("*.hdf5")
        return h5py.File(path)

    return run


# -- the commands ----------------------------------------------------------------------------------


def test_the_list_says_of_each_example_what_it_shows(capsys):
    assert main(["examples", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == set(known_examples())
    assert len(told) == 8
    assert all(text[0].isupper() and text.endswith(".") for text in told.values())
    assert main(["examples"]) == 0
    assert all(text in capsys.readouterr().out for text in [told["camera"]])


def test_a_copy_says_what_to_do_next(tmp_path, capsys):
    assert main(["examples", "serial", "--to", str(tmp_path / "oven")]) == 0
    said = capsys.readouterr().out
    assert str(tmp_path / "oven" / "thermometer.py") in said
    assert said.rstrip().endswith("h5daq run lab.toml")


def test_nothing_is_written_over_and_nothing_is_written_by_halves(tmp_path, capsys):
    (tmp_path / "mylab.py").write_text("mine")
    assert main(["init", str(tmp_path)]) == 2
    assert "mylab.py" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mylab.py"]
    assert (tmp_path / "mylab.py").read_text() == "mine"


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path, capsys):
    (tmp_path / "lab").write_text("mine")
    assert main(["init", str(tmp_path / "lab")]) == 2
    assert "lab is a file; name a directory" in capsys.readouterr().err


def test_a_mistyped_name_is_answered_with_the_nearest(capsys):
    assert main(["examples", "camra"]) == 2
    assert "did you mean camera?" in capsys.readouterr().err


@pytest.mark.parametrize("name", known_examples())
def test_a_configuration_is_right(name):
    # Getters are imported where they are run: below.
    assert load(known_examples()[name] / "lab.toml").jobs


# -- run for real ----------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.timeout(300)
def test_a_project_runs_at_once_and_its_test_passes(tmp_path, record, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "tank 7"]) == 0
    folder = tmp_path / "tank 7"
    with record(folder) as file:
        assert file.attrs["name"] == "tank 7"
        assert 15 < file["tank/temperature/T_top"][0] < 25
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.processes
def test_a_serial_thermometer_is_asked_and_answers(copy, record, wait_until):
    pytest.importorskip("serial", reason="needs pyserial")
    folder = copy("serial")
    with begun(folder, "pretend.py"):
        wait_until((folder / "port").is_symlink)
        with record(folder) as file:
            found = file["oven/T"][:]
    assert np.all(np.abs(found - 180) <= 5)
    assert not (folder / "port").is_symlink()


@pytest.mark.processes
def test_a_multimeter_is_asked_by_visa(copy, record):
    pytest.importorskip("pyvisa_sim", reason="needs pyvisa and pyvisa-sim")
    with record(copy("scpi")) as file:
        assert np.all(np.abs(file["multimeter/voltage"][:] - 5) <= 0.01)
        assert np.all(np.abs(file["multimeter/current"][:] - 0.1) <= 0.001)


@pytest.mark.processes
def test_lines_of_a_command_are_rows(copy, record):
    with record(copy("command")) as file:
        assert np.all(file["disk/free"][:] > 0)
        assert np.all(np.diff(file["disk/time"][:]) >= 0)


@pytest.mark.processes
def test_pictures_of_a_camera_are_rows(copy, record):
    with record(copy("camera")) as file:
        image = file["beam/image"]
        assert image.shape[1:] == (120, 160)
        assert image.compression == "gzip"
        assert image[0].max() > 5 * np.median(image[0])


@pytest.mark.processes
def test_bursts_of_a_digitizer_are_many_rows_each_with_its_own_time(copy, record):
    with record(copy("burst"), count=4_000) as file:
        burst = file["shots/time"][:2000]
        assert burst.dtype == np.int64
        assert set(np.diff(burst)) == {10_000}
        assert len(file["shots/left"]) % 2000 == 0


@pytest.mark.processes
def test_a_scan_becomes_a_dataset_beside_the_run(copy, wait_until):
    folder = copy("vault-scan")
    with begun(folder, "-m", "h5daq", "run", "lab.toml", "--quiet"):
        wait_until(lambda: rows(folder, 1))
        with begun(folder, "scan.py") as scan:
            scan.wait(60)
    vault = h5daq.Vault(folder / "data")
    vault.cd(["resonator"])
    vault.open(1)
    found = vault.get()
    assert found.shape == (101, 2)
    assert abs(found[found[:, 1].argmax(), 0] - 5.8) < 0.02
    assert "the line is at" in str(vault.comments())
