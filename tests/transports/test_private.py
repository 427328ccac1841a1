"""Private socket directories: those of the dead go, those of the living and of others stay."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from h5daq.transports.private import PrivateSockets, keep_alive, remove_abandoned

LIVING = """
import sys
from h5daq.transports.private import PrivateSockets, keep_alive
held = PrivateSockets() if len(sys.argv) == 1 else keep_alive(sys.argv[1])
print(held.path if len(sys.argv) == 1 else held, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def begin(place):
    begun = []

    def begin(*words):
        command = [sys.executable, "-c", LIVING, *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, "TMPDIR": str(place)})  # fmt: skip
        begun.append(process)
        return process, process.stdout.readline().strip()

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_a_killed_process_left_is_removed_and_nothing_sooner(begin):
    process, path = begin()
    for name in ("data", "requests", "signals", "pulse-0", "pulse-12"):
        Path(path, name).touch()
    assert remove_abandoned() == []
    end(process)
    assert remove_abandoned() == [Path(path)]
    assert not Path(path).exists()


def test_as_long_as_anybody_uses_the_sockets_they_stay(begin):
    process, path = begin()
    writer, _ = begin(f"ipc://{path}/requests")
    end(process)
    assert remove_abandoned() == []
    end(writer)
    assert remove_abandoned() == [Path(path)]


def test_our_own_go_in_order(place):
    sockets = PrivateSockets()
    assert sockets.path.stat().st_mode & 0o777 == 0o700
    assert remove_abandoned() == []
    sockets.remove()
    assert list(place.iterdir()) == []


def test_what_is_not_ours_or_not_sure_to_be_dead_stays(place):
    for name in ("h5daq-abcdefgh", "h5daq-unsigned", "h5daq-root", "other-abcdefgh"):
        (place / name).mkdir()
    (place / "h5daq-unsigned" / "owner").touch()
    (place / "h5daq-root" / "owner").write_text("process 1\n")
    (place / "h5daq-withmore").mkdir()
    (place / "h5daq-withmore" / "owner").write_text("process 1\n")
    (place / "h5daq-withmore" / "thesis.tex").write_text("mine")
    (place / "h5daq-linkedto").symlink_to(place / "h5daq-withmore")
    assert remove_abandoned() == []
    assert {p.name for p in (place / "h5daq-withmore").iterdir()} == {"owner", "thesis.tex"}


def test_other_endpoints_need_nothing_to_be_held():
    assert keep_alive("tcp://127.0.0.1:5570", "ipc:///run/user/0/h5daq/data", "memory://x") is None
