"""``h5daq recover``: what a writer that died has left is made whole without a new run."""

import fcntl
import json
import os
import signal
from pathlib import Path

import h5py
import pytest

import h5daq
from h5daq import cli
from h5daq.files.mending import mend
from h5daq.storage.superblock import lookup3

pytestmark = pytest.mark.processes


def kill_all(running, data, wait_until):
    """Kill run, writer and workers in mid-run; how many rows of `room` were committed."""
    with h5daq.connect(directory=data) as client:
        status = wait_until(lambda: enough(client.status()))
    pids = [job["pid"] for job in status["jobs"].values()]
    for pid in (running.process.pid, status["writer"]["pid"], *pids):
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    return status["jobs"]["room"]["rows"]


def enough(status):
    return status if status["jobs"]["room"]["rows"] > 20 else None


def recover(command, data, wait_until, *words):
    """The command's end, once the kernel has taken the lock from the killed writer."""

    def freed():
        done = command("recover", data, *words)
        assert done.code == cli.DONE or "has a writer already" in done.err, done.err
        return done if done.code == cli.DONE else None

    return wait_until(freed)


def test_an_interrupted_run_is_sealed_with_every_committed_row(running, command, data, wait_until):
    committed = kill_all(running, data, wait_until)
    answer = json.loads(recover(command, data, wait_until, "--json").out)
    (path,) = data.glob("*.hdf5")
    assert answer["sealed"] == [str(path)]
    assert answer["run"] == "lab"
    with h5py.File(path) as file:
        assert len(file["room/T"]) >= committed
        assert file.attrs["interrupted"] == 1
    assert "nothing was left open" in recover(command, data, wait_until).out


def test_what_was_sealed_is_told(running, command, data, wait_until):
    kill_all(running, data, wait_until)
    told = recover(command, data, wait_until).out
    (path,) = data.glob("*.hdf5")
    assert f"sealed: {path}" in told


def test_a_directory_with_a_writer_is_left_alone(lasting, command):
    busy = command("recover", lasting)
    assert busy.code == cli.FAILED
    assert "has a writer already" in busy.err
    with h5daq.connect(directory=lasting) as client:
        assert client.status()["writer"]["state"] == "running"


def test_a_directory_that_is_none_is_named_and_not_made(command, tmp_path):
    missing = command("recover", tmp_path / "nowhere")
    assert missing.code == cli.FAILED
    assert str(tmp_path / "nowhere") in missing.err
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_without_a_run_has_nothing_to_finish(command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "nothing was left open" in command("recover", tmp_path / "empty").out


def recorded(path):
    with h5py.File(path) as file:
        return len(file["room/T"])


def trace(directory):
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


def freed(data):
    """Whether the killed writer has ended and its lock is free."""
    with open(data / ".h5daq" / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_dry_run_says_what_would_be_done_and_a_status_what_was(
    running, command, data, wait_until
):
    endpoints = json.loads((data / ".h5daq" / "endpoints.json").read_text())
    sockets = Path(endpoints["requests"].removeprefix("ipc://")).parent
    committed = kill_all(running, data, wait_until)
    wait_until(lambda: freed(data))
    before = trace(data)
    asked = command("status", "--directory", data)
    assert asked.code == cli.FAILED
    assert "no run in" in asked.err
    dry = command("recover", data, "--dry-run", "--json")
    assert trace(data) == before
    said = json.loads(dry.out)
    assert said["rows"] >= committed
    assert "would be sealed" in command("recover", data, "--dry-run").out
    # Other starts on this computer may have cleared the sockets away by now; then it is done.
    done = json.loads(command("recover", data, "--json").out)
    assert not sockets.exists()
    kept = ("appended", "sealed", "rows", "run", "left_alone")
    assert {name: said[name] for name in kept} == {name: done[name] for name in kept}
    assert recorded(done["sealed"][0]) == done["rows"] >= committed
    assert "the last one (lab) was interrupted at 20" in command("status", "--directory", data).err


def test_single_files_are_named_one_by_one_and_the_rest_goes_on(command, tmp_path):
    good, left = tmp_path / "good.h5", tmp_path / "left.h5"
    with h5daq.transaction(good) as file:
        file["x"] = [1, 2]
    left.write_bytes(b"\x89HDF\r\n\x1a\n")
    done = command("recover", good, left, tmp_path / "none.h5")
    assert done.code == cli.FAILED
    assert f"{good}: nothing was left unfinished" in done.out
    assert f"{left} (no superblock" in done.out
    assert "none.h5 is no directory and no file" in done.err


def test_what_another_program_left_open_is_salvaged_into_a_copy(command, tmp_path):
    path, copy = tmp_path / "left.h5", tmp_path / "copy.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = [1, 2]
    mended = mend(path)
    raw = bytearray(mended.raw)
    raw[11] = 5
    raw[-4:] = lookup3(bytes(raw[:-4])).to_bytes(4, "little")
    path.write_bytes(bytes(raw) + path.read_bytes()[len(raw) :])
    told = command("recover", path)
    assert (told.code, "--salvage" in told.out) == (cli.FAILED, True)
    done = command("recover", "--salvage", path, "--output", copy)
    assert done.code == cli.DONE
    assert "the mark of a program that writes it was cleared" in done.out
    with h5py.File(copy) as file:
        assert file["x"][:].tolist() == [1, 2]
    again = command("recover", "--salvage", path, "--output", copy)
    assert (again.code, "there already" in again.err) == (cli.FAILED, True)


@pytest.mark.parametrize(
    "words", [["--output", "x.h5"], ["--salvage", "--dry-run"], ["--salvage", "another.h5"]]
)
def test_options_that_make_no_sense_together_are_wrong_usage(command, tmp_path, words):
    assert command("recover", tmp_path, *words).code == cli.WRONG
