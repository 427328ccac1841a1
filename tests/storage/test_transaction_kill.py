"""kill -9 of a real process, at chosen instants and at random ones."""

import random
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5daq.storage.transaction import recover, transaction

pytestmark = pytest.mark.processes

# Stops at a chosen call after the record's header was written: before, in and after the apply.
STOPPING = """
import sys, h5py, numpy as np
from h5daq.storage.disk import Disk
from h5daq.storage.transaction import TransactionFile

class StoppingDisk(Disk):
    left = None
    def count(self):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                print("stopped", flush=True)
                sys.stdin.read()
    def write(self, fd, offset, data):
        self.count()
        super().write(fd, offset, data)
        if len(data) == 512 and offset in (0, 4096):
            self.left = int(sys.argv[2])
    def sync(self, fd):
        self.count()
        super().sync(fd)

target = TransactionFile(sys.argv[1], disk=StoppingDisk())
f = target.begin()
f["rows"][:] = 1
f["new"] = np.ones(5000)
f.attrs["step"] = 1
target.commit()
print("done", flush=True)
"""

RUNNING = """
import sys, numpy as np
from h5daq.storage.transaction import TransactionFile

target = TransactionFile(sys.argv[1])
for step in range(1, 10**6):
    f = target.begin()
    f["rows"][:] = step
    f["more"].resize((100 * step,))
    f["more"][-100:] = step
    f.create_group(f"g{step}").attrs["text"] = "x" * 100
    f.attrs["step"] = step
    target.commit()
    print(step, flush=True)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.h5"
    with transaction(path, "x") as f:
        f["rows"] = np.zeros(5000)
        f.create_dataset("more", (0,), "i4", maxshape=(None,), chunks=(64,))
        f.attrs["step"] = 0
    return path


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill(process):
    process.kill()
    return process.communicate(timeout=60)[0]


def step_of(path):
    """The step that a plain h5py sees everywhere in the file; None if the file is refused."""
    try:
        f = h5py.File(path, "r")
    except OSError:
        return None
    with f:
        step = int(f.attrs["step"])
        assert set(f["rows"][:]) == {step}
        return step


def test_a_process_killed_at_any_instant_of_a_commit_leaves_a_whole_file(path):
    image, seen = path.read_bytes(), []
    for calls in range(40):
        path.write_bytes(image)
        process = start(STOPPING, path, calls)
        answer = process.stdout.readline().strip()
        kill(process)
        seen.append(step_of(path))
        recover(path)
        assert step_of(path) == 1
        if answer == "done":
            break
    assert seen[0] == 0
    assert None in seen
    assert seen[-1] == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_process_killed_at_random_loses_nothing_that_it_had_committed(path, seed):
    dice = random.Random(seed)
    process = start(RUNNING, path)
    for _ in range(dice.randint(1, 150)):
        last = int(process.stdout.readline())
    # Those that it said while it was being killed count as well.
    last = max([last, *map(int, kill(process).split())])
    assert step_of(path) in (None, last, last + 1)
    recover(path)
    assert step_of(path) in (last, last + 1)
    with h5py.File(path) as f:
        step = int(f.attrs["step"])
        assert all(f"g{number}" in f for number in range(1, step + 1))
        assert np.array_equal(f["more"][:], np.repeat(np.arange(1, step + 1), 100))
