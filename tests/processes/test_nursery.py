"""The nursery forks workers that share nothing but its imports, and outlives none but itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from h5daq.errors import ProcessFailed
from h5daq.flow.control import ControlDecoder
from h5daq.jobs.forking import UNKNOWN_EXIT, NurseryLink
from h5daq.jobs.process import WorkerProcess

pytestmark = pytest.mark.processes

ENTRY = """
import atexit, os, random, sys
import numpy.random
from h5daq.flow.control import ControlDecoder, encode_control

def run(control):
    decoder = ControlDecoder()
    while data := control.recv(65536):
        for order in decoder.feed(data):
            answer = obey(order)
            if isinstance(answer, int):
                return answer
            control.sendall(encode_control("answer", value=answer))
    return 7

def obey(order):
    if order["k"] == "exit":
        atexit.register(lambda: open(order["file"], "w").write("bye") if order["file"] else None)
        return order["code"]
    return str(eval(order["code"]))
"""


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NurseryLink]:
    (tmp_path / "entry_of_test.py").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    link = NurseryLink("entry_of_test:run")
    yield link
    link.close()


@contextlib.contextmanager
def worker(nursery: NurseryLink, number: int = 1) -> Iterator[WorkerProcess]:
    process = nursery.start(number)
    try:
        yield process
    finally:
        process.kill()
        process.close()
        process.wait(60.0)


def ask(process: WorkerProcess, code: str) -> str:
    assert process.send("eval", code=code)
    (message,) = process.messages(60.0)
    return str(message["value"])


def end(process: WorkerProcess, code: int, file: str = "") -> int | None:
    process.send("exit", code=code, file=file)
    return process.wait(60.0)


def test_a_worker_has_the_imports_and_nothing_heavy(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        loaded = ask(process, "sorted(m for m in sys.modules if '.' not in m)")
    assert "numpy" in loaded
    assert "'zmq'" in loaded
    assert "'h5py'" not in loaded
    assert "'pydantic'" not in loaded


def test_the_exit_code_is_the_workers(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        assert process.poll() is None
        assert end(process, 3) == 3
        assert process.poll() == 3


def test_a_killed_worker_is_told_by_the_signal(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        process.kill()
        assert process.wait(60.0) == -signal.SIGKILL


def test_exit_handlers_run(nursery: NurseryLink, tmp_path: Path) -> None:
    with worker(nursery) as process:
        end(process, 0, str(tmp_path / "left"))
    assert (tmp_path / "left").read_text() == "bye"


def test_the_end_of_the_parent_is_the_end_of_the_pipe(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        process.close()
        assert process.wait(60.0) == 7


def test_what_the_parent_has_changed_is_handed_over(
    nursery: NurseryLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/late/addition")
    monkeypatch.setenv("LATE", "yes \udcff")
    with worker(nursery) as process:
        assert ask(process, "os.getcwd()") == str(tmp_path)
        assert ask(process, "sys.path[0]") == "/late/addition"
        assert ask(process, "os.environb[b'LATE']") == "b'yes \\xff'"
        assert ask(process, "os.environ['OPENBLAS_NUM_THREADS']") == "1"


def test_two_workers_draw_different_random_numbers(nursery: NurseryLink) -> None:
    draw = "(random.random(), float(numpy.random.random()))"
    with worker(nursery, 1) as one, worker(nursery, 2) as two:
        first, second = eval(ask(one, draw)), eval(ask(two, draw))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_worker_holds_no_pipe_of_another(nursery: NurseryLink) -> None:
    with worker(nursery, 1) as one, worker(nursery, 2):
        one.close()
        assert one.wait(60.0) == 7


def test_a_key_press_in_the_terminal_reaches_no_worker(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        os.kill(process.pid, signal.SIGINT)
        assert ask(process, "1 + 1") == "2"


def test_the_nursery_has_one_thread(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        if not Path("/proc").is_dir():
            pytest.skip("needs /proc")
        assert ask(process, "len(os.listdir(f'/proc/{os.getppid()}/task'))") == "1"


def test_workers_go_on_when_the_nursery_is_killed(nursery: NurseryLink) -> None:
    with worker(nursery) as process:
        nursery._process.kill()
        nursery._process.wait()
        assert ask(process, "1 + 1") == "2"
        assert process.poll() is None
        assert nursery.closed
        process.send("exit", code=0, file="")
        assert process.wait(60.0) == UNKNOWN_EXIT


def test_without_a_nursery_the_error_says_what_to_try(
    nursery: NurseryLink,
) -> None:
    nursery._process.kill()
    nursery._process.wait()
    with pytest.raises(ProcessFailed, match=r"ended with code -9.*import h5daq\.worker"):
        nursery.start(1)


def test_the_nursery_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entry_of_test.py").write_text(ENTRY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    code = (
        "import sys, os, signal\n"
        "from h5daq.jobs.forking import NurseryLink\n"
        "link = NurseryLink('entry_of_test:run')\n"
        "print(link._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert gone(int(run.stdout))


def gone(pid: int, timeout: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        signal.sigtimedwait([], 0.02)
    return False


def test_the_control_messages_survive_being_cut_anywhere() -> None:
    from h5daq.flow.control import encode_control

    ours, theirs = socket.socketpair()
    whole = encode_control("answer", value="x" * 20)
    keeper: Any = None
    process = WorkerProcess(1, os.getpid(), ours, keeper)
    for byte in whole[:-1]:
        theirs.send(bytes([byte]))
    assert process.messages() == []
    theirs.send(whole[-1:])
    assert process.messages(60.0)[0]["value"] == "x" * 20
    assert next(iter(ControlDecoder().feed(whole)))["k"] == "answer"
    ours.close(), theirs.close()
