"""A job as a dataset of the vault, with a real daemon, its worker, and a writer that is killed."""

import itertools
import json
import os
import signal

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.cli import main
from h5daq.errors import ContextLost

pytestmark = pytest.mark.processes


def counting():
    """A getter that counts on, with an array and a text beside."""
    numbers = itertools.count()

    def read():
        number = next(numbers)
        return number, np.arange(3) + number, f"row {number}"

    return read


@pytest.fixture
def daemon(tmp_path):
    job = h5daq.DAQJob(
        "tank/top", ["n", "wave", "text"], counting(), read_period=0.01,
        shape=[(0,), (0, 3), (0,)], dtype=["i8", "i2", str], units=["", "mV", ""],
    )  # fmt: skip
    with h5daq.DAQDaemon([job], directory=tmp_path, name="cold", write_period=3600) as daemon:
        yield daemon


@pytest.fixture
def vault(daemon, tmp_path, wait_until):
    with h5daq.connect(directory=tmp_path) as client, client.vault(timeout=60.0) as vault:
        vault.cd("cold")
        wait_until(lambda: vault.dir() == (["tank"], []))
        vault.cd("tank")
        wait_until(lambda: vault.dir() == ([], ["top"]))
        yield vault


def test_what_was_read_and_noted_over_a_kill_is_in_the_file(daemon, vault, tmp_path, wait_until):
    seen = []

    def read(rows):
        seen.append(vault.get_ex())
        return sum(map(len, seen)) >= rows

    vault.open(1)
    wait_until(lambda: read(20))
    daemon.flush()
    wait_until(lambda: read(60))
    vault.add_parameter("p", [1.5, 2.5])
    vault.add_comment("before the kill", user="anna")
    vault.update_tags("star", datasets="top")
    os.kill(daemon.status()["writer"]["pid"], signal.SIGKILL)
    with pytest.raises(ContextLost):
        vault.get_name()
    vault.restore()
    assert [said.comment for said in vault.get_comments()] == ["before the kill"]
    wait_until(lambda: read(120))
    with vault.signals("data-available", timeout=60.0) as signals:
        next(signals)
        read(0)
    daemon.stop()
    check_file(next(tmp_path.glob("*.hdf5")), np.concatenate(seen))


def check_file(path, rows):
    with h5py.File(path) as file:
        top = file["tank/top"]
        assert rows["f1"].tolist() == top["n"][: len(rows)].tolist() == list(range(len(rows)))
        np.testing.assert_array_equal(rows["f2"], top["wave"][: len(rows)])
        assert rows["f3"].tolist() == top["text"].asstr()[: len(rows)].tolist()
        assert rows["f2"].dtype == np.int16
        assert list(top.attrs["Comments"]) == ["before the kill"]
        assert list(top.attrs["Tags"]) == ["star"]
        assert "Param.p" in top.attrs


def test_the_command_line_works_on_jobs(vault, tmp_path, capsys):
    def said(*words):
        assert main(["vault", *words, "--directory", str(tmp_path)]) == 0
        return capsys.readouterr().out

    assert said("ls", "cold/tank").split() == ["top"]
    assert "warm" in said("comment", "cold/tank/top", "warm", "--user", "anna")
    assert said("tag", "cold/tank/1", "star").split() == ["star"]
    said("param", "cold/tank/top", "power", "-20.5", "--unit=dBm")
    shown = json.loads(said("show", "cold/tank/top", "--json"))
    assert shown["parameters"] == {"power": {"value": -20.5, "unit": "dBm"}}
    assert [column["label"] for column in shown["columns"]] == ["time", "n", "wave", "text"]
    lines = said("tail", "cold/tank/top", "--seconds", "0.001", "--json").splitlines()
    assert json.loads(lines[0])[1:] == [0, [0, 1, 2], "row 0"]
    said("export", "cold/tank/top", str(tmp_path / "top.csv"))
    assert (tmp_path / "top.csv").read_text().splitlines()[1].endswith(",0,0,1,2,row 0")
