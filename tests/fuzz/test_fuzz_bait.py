"""Nothing is unpickled, evaluated, imported or opened because a socket said so."""

import os
import pickle
import random
import signal
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
import zmq

import h5daq
from benchmarks.fuzz_mutate import Mutator, Raw, pack
from benchmarks.fuzz_seeds import PUBLISHED, REQUESTS, WorkerMessages
from h5daq.daemon import writer_child
from h5daq.daemon.writer_child import WriterChild
from h5daq.writer.settings import WriterSettings

ROOT = Path(h5daq.__file__).parents[1]
WATCHED, DECODING = (Path(__file__).with_name(name) for name in ("watched.py", "decoding.py"))


class Trap:
    """Shows itself when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/h5daq-was-trapped",)


BAIT = [
    pickle.dumps(Trap()), pickle.dumps(Trap(), 0).decode(), "__import__('antigravity')",
    "antigravity", "mylab.sensors:read", "{0.__class__.__mro__}", "%(x)s" * 10, "/etc/passwd",
    "../../etc/passwd", "file:///etc/passwd", "O", "object", "|O", "exec", "lambda: 1",
    "!!python/object/apply:os.system",
    Raw(b"\xc7\x04\x50" + b"cos\n"), Raw(b"\xd4\x01x"), {"__class__": "os.system"},
    {"__reduce__": ["os.system", ["true"]]}, {"py/object": "os.system"},
]  # fmt: skip


def baited():
    """Right messages of every kind with bait in each field, and mutated ones."""
    dice = random.Random(1)
    messages = WorkerMessages(dice, lambda: 1.8e9, lambda _job, _inc: 0)
    kinds = [messages.hello, messages.rows, messages.skip, messages.status, messages.log]
    right = [kind("fuzz/a", 1) for kind in kinds] + list(PUBLISHED) + list(REQUESTS)
    found = [pack(message) for message in right]
    found += [pack({**m, name: bait}) for m in right for name in m for bait in BAIT]
    hello = right[0]
    for bait in BAIT:
        for key in ("label", "dtype", "shape", "unit"):
            column = {"label": "x", "dtype": "<f8", key: bait}
            found.append(pack({**hello, "schema": [hello["schema"][0], column]}))
    mutator = Mutator(dice, large=0.0)
    return found + [mutator.mutate(dice.choice(right)) for _ in range(1000)]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def events(report):
    watching, *rest = report.read_text().splitlines()
    assert watching == "watching"
    return rest


def test_decoding_imports_opens_and_runs_nothing(tmp_path):
    report = tmp_path / "report"
    runner = tmp_path / "decoding_of_bait.py"
    runner.write_text(DECODING.read_text())
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    subprocess.run(
        [sys.executable, WATCHED, report, runner.stem], input=msgpack.packb(baited()), check=True,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert events(report) == []


def test_the_hook_would_have_seen_it(tmp_path):
    report = tmp_path / "report"
    (tmp_path / "careless.py").write_text(
        "import os, pickle, signal, sys\nos.kill(os.getpid(), signal.SIGUSR1)\n"
        "pickle.loads(sys.stdin.buffer.read())\neval('1')\nopen('/etc/hostname').close()\n"
    )
    bait = pickle.dumps(Path("x"))
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    subprocess.run([sys.executable, WATCHED, report, "careless"], input=bait, check=True,
                   env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert {event.split(" ")[0] for event in events(report)} >= {
        "pickle.find_class", "compile", "exec", "open"
    }  # fmt: skip


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """A real writer under the hook, whose directory is `data`."""
    monkeypatch.setattr(
        writer_child, "_popen",
        lambda stdin: subprocess.Popen(
            [sys.executable, WATCHED, tmp_path / "report", "h5daq.writer", tmp_path / "data"],
            stdin=stdin.fileno(), env=environment(),
        ),
    )  # fmt: skip
    here = "tcp://127.0.0.1:*"
    settings = WriterSettings(str(tmp_path / "data"), "bait", here, here, here, insecure=True,
                              write_period=0.2, log_level="CRITICAL")  # fmt: skip
    child = WriterChild(settings)
    yield child
    if child.poll() is None:
        child.kill()
    child.close()


@pytest.mark.processes
def test_a_writer_imports_opens_and_runs_nothing_for_a_message(writer, tmp_path, wait_until):
    ends = writer.wait_ready()[0]["endpoints"]
    messages = WorkerMessages(random.Random(1), lambda: 1.8e9, lambda _job, _inc: 0)
    with zmq.Context() as context, h5daq.connect(ends["requests"]) as client:
        push = context.socket(zmq.PUSH)
        push.linger = 0
        push.connect(ends["data"])
        # Once everything that right messages bring with them.
        for job in ("fuzz/a", "fuzz/b", "fuzz/text"):
            push.send(pack(messages.hello(job, 9)))
            push.send(pack({**messages.rows(job, 9), "first": 0}))
        wait_until(lambda: client.request("status")["writer"]["rows"] >= 3)
        client.request("flush", timeout=60)
        push.send(b"\xc1")
        wait_until(lambda: client.request("status")["writer"]["refused"])
        os.kill(writer.pid, signal.SIGUSR1)
        wait_until(lambda: (tmp_path / "report").read_text().startswith("watching"))
        for message in baited():
            push.send(message)
        push.send(b"\xc1the last one")
        wait_until(lambda: client.request("status")["writer"]["refused"]["malformed"] > 1)
        client.request("flush", timeout=60)
        push.close()
    assert events(tmp_path / "report") == []
    assert not Path("/tmp/h5daq-was-trapped").exists()
