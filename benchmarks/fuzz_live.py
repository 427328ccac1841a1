"""A real writer under fire: mutated messages over real sockets, and an honest worker beside them.

A twin of the writer's intake in this process gets the same messages and says what the writer's
counts of refused messages must be. Between the stretches of everything there are some of refused
messages alone, during which no byte of the writer's directory may change.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import zmq

import h5daq
from benchmarks.fuzz_mutate import Mutator, pack
from benchmarks.fuzz_seeds import GROUPS, REQUESTS, WorkerMessages
from benchmarks.fuzz_twin import Twin, is_refused, is_refused_request
from h5daq.daemon.writer_child import WriterChild
from h5daq.errors import NoAnswer, WireError
from h5daq.flow.requests import decode_request
from h5daq.jobs.starter import WorkerStarter
from h5daq.worker import WorkerSpec
from h5daq.writer.settings import WriterSettings

__all__ = ["Live", "WriterDied", "counter"]

PATIENCE = 120.0
HONEST = "honest"
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
_AHEAD = 400
"""Messages or requests that are not yet known to be dealt with."""


class WriterDied(Exception):
    """What must not happen."""


def counter() -> Callable[[], int]:
    """A getter that numbers its rows."""
    return itertools.count().__next__


class Live:
    """One writer, its directory, an honest worker and the sockets of the strangers."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.mutator = Mutator(self.dice)
        self.twin = Twin()
        self.folder = folder
        here = "tcp://127.0.0.1:*"
        settings = WriterSettings(
            str(folder), "fuzz", here, here, here, "fuzz", insecure=True, write_period=1.0,
            segment_bytes=1 << 22, log_level="ERROR", drain_timeout=5.0,
        )  # fmt: skip
        self.child = WriterChild(settings)
        self.ends = self.child.wait_ready()[0]["endpoints"]
        self.process = psutil.Process(self.child.pid)
        self._context = zmq.Context()
        self.data = self._socket(zmq.PUSH, self.ends["data"])
        self.requests = self._socket(zmq.DEALER, self.ends["requests"])
        self.client = h5daq.connect(self.ends["requests"])
        self.messages = WorkerMessages(self.dice, time.time, self.twin.position)
        self._others = [pack(self.messages.any()) for _ in range(20)]
        self._unanswered = 0
        self.sent: Counter[str] = Counter()
        self.said: list[str] = []
        self.memory: list[tuple[int, float]] = []
        self.still: list[tuple[int, float]] = []
        self._starter = WorkerStarter()
        self.worker = self._start_honest()

    def _socket(self, kind: int, endpoint: str) -> Any:
        made = self._context.socket(kind)
        made.linger, made.sndhwm, made.rcvhwm = 0, 1000, 100_000
        made.connect(endpoint)
        return made

    def _start_honest(self) -> Any:
        job = h5daq.DAQJob(HONEST, "n", counter(), read_period=0.01)
        spec = WorkerSpec(job, self.ends["data"], self.ends["signals"], "fuzz", str(self.folder))
        return self._starter.start(spec.to_bytes())

    # -- what is sent ----------------------------------------------------------------------------

    def message(self) -> bytes:
        """One message for the data socket; a tenth of them are right."""
        while True:
            right = self.messages.any()
            made = pack(right) if self.dice.random() < 0.1 else self._mutated(right)
            if not self.twin.takes_new_name(made):
                return made

    def _mutated(self, right: dict[str, Any]) -> bytes:
        return self.mutator.mutate(right, self._others)

    def request(self) -> list[bytes]:
        """One request; nobody is asked to stop, or to make checkpoints without a pause."""
        while True:
            made = [self._mutated(self.dice.choice(REQUESTS))]
            if self.dice.random() < 0.02:
                made += [self.dice.randbytes(3)] * self.dice.choice((1, 3, 256, 257, 300))
            if self._is_harmless(made):
                return made

    def _is_harmless(self, frames: list[bytes]) -> bool:
        try:
            request = decode_request(frames)
        except WireError:
            return True
        if request.verb == "set_write_period":
            period = request.args.get("period")
            return not isinstance(period, int | float) or not 0 < period < 0.5
        ours = (GROUPS, [*GROUPS, HONEST])[request.verb == "trigger"]
        jobs = request.args.get("jobs")
        everybody = request.verb in ("pause", "resume", "trigger") and not (
            isinstance(jobs, list) and jobs and all(job in ours for job in jobs)
        )
        return request.verb != "stop" and not everybody

    def shoot(self, n: int, share: float = 0.7, *, refused_only: bool = False) -> None:
        """Send `n` messages, that share of them to the data socket."""
        for number in range(n):
            if self.dice.random() < share:
                self._send_message(refused_only)
            else:
                self._send_request(refused_only)
            if number % _AHEAD == _AHEAD - 1:
                self.settle()
        self.settle()

    def _send_message(self, refused_only: bool) -> None:
        message = self.message()
        while refused_only and not is_refused(message):
            message = self._mutated(self.messages.any())
        self.twin.take(message)
        self.data.send(message)
        self.sent["data"] += 1

    def _send_request(self, refused_only: bool) -> None:
        frames = self.request()
        while refused_only and not is_refused_request(frames):
            frames = self.request()
        try:
            decode_request(frames)
        except WireError as error:
            self.twin.requests[error.cause] += 1
        self.requests.send_multipart(frames)
        self.sent["requests"] += 1
        self._unanswered += 1

    # -- what comes back -------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until everything that was sent has been dealt with, and compare the counts."""
        deadline = time.monotonic() + PATIENCE
        while self._unanswered or not self._counts_agree():
            self._check_alive()
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{self._unanswered} requests without an answer; refused {self.refused()}, "
                    f"and the twin {self.twin.refused}"
                )
            if self.requests.poll(10):
                self.requests.recv_multipart()
                self._unanswered -= 1
        self.memory.append((self.sent.total(), self.process.memory_info().rss / (1 << 20)))

    def _counts_agree(self) -> bool:
        return not self._unanswered and self.refused() == self.twin.refused

    def refused(self) -> Counter[str]:
        """By cause, as the status says."""
        found = Counter(self.status()["writer"]["refused"])
        # How many of these come too fast is a matter of the clock.
        del found["rate"]
        return found

    def status(self) -> dict[str, Any]:
        """What the writer says; waits for it, but not for a dead one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.client.request("status", timeout=5.0)
            except NoAnswer:
                self._check_alive()
                if time.monotonic() > deadline:
                    raise

    def _check_alive(self) -> None:
        self.said += [m["text"] for m in self.child.messages() if m["k"] in ("log", "failed")]
        if self.child.poll() is not None:
            raise WriterDied(f"status {self.child.poll()}: {self.said[-3:]}")
        if self.worker.poll() is not None:
            raise WriterDied(f"the honest worker ended with {self.worker.poll()}")

    # -- stretches in which nothing may change ---------------------------------------------------

    def refused_stretch(self, n: int, share: float = 0.7) -> bool:
        """Send `n` messages that are all refused; whether all files stayed as they were."""
        self.client.request("pause", jobs=[HONEST])
        self._await(lambda: self.status()["jobs"][HONEST]["state"] == "paused")
        self._await(lambda: self.status()["jobs"][HONEST]["held"] == 0)
        self.client.request("flush", timeout=PATIENCE)
        before = self._quiet_digest()
        mark, large = len(self.memory), self.mutator.large
        # Megabytes that come and go leave gaps in the heap, which would hide what leaks.
        self.mutator.large = 0.0
        self.shoot(n, share, refused_only=True)
        self.mutator.large = large
        self.still = self.memory[mark:]
        same = digest(self.folder) == before
        self.client.request("resume", jobs=[HONEST])
        self._await(lambda: self.status()["jobs"][HONEST]["state"] == "reading")
        return same

    def _quiet_digest(self) -> dict[str, str]:
        """Of all files, once the writer has noted in its journal what the files have."""
        while True:
            before = digest(self.folder)
            time.sleep(2.5)
            if digest(self.folder) == before:
                return before

    def _await(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            self._check_alive()
            if time.monotonic() > deadline:
                raise AssertionError("what was waited for did not happen")
            time.sleep(0.05)

    # -- the port itself -------------------------------------------------------------------------

    def garbage(self, n: int, idle: int) -> None:
        """Bytes that are no ZMTP, handshakes cut short, and connections that say nothing."""
        places = [
            ("127.0.0.1", int(self.ends[name].rpartition(":")[2]))
            for name in ("data", "requests", "signals")
        ]
        quiet = [socket.create_connection(self.dice.choice(places)) for _ in range(idle)]
        for _ in range(n):
            with socket.create_connection(self.dice.choice(places)) as raw, suppress(OSError):
                cut = _GREETING[: self.dice.randint(0, len(_GREETING))]
                raw.sendall(self.dice.choice((cut, _GREETING, b"")) + self.dice.randbytes(200))
            self.sent["raw"] += 1
        for each in quiet:
            each.close()
        self._forgive_raw()

    def _forgive_raw(self) -> None:
        """What has no greeting may be a message of ZMTP 1.0, which nobody can foretell."""
        before, after = None, self.refused()
        while before != after:
            time.sleep(1.0)
            before, after = after, self.refused()
        self.twin.requests += after - self.twin.refused

    # -- the end ---------------------------------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """Stop in order; what the honest worker's rows are, and what is left over."""
        self._await(lambda: self.status()["jobs"][HONEST]["rows"] > 0)
        self.worker.send("stop")
        self._await_end()
        said = self.client.request("stop", drain_timeout=1.0, timeout=PATIENCE)
        code = self.child.wait(PATIENCE)
        values = np.concatenate([_numbers(Path(path)) for path in said["files"]])
        left = list((self.folder / ".h5daq" / "refused").glob("*"))
        return {
            "code": code, "rows": len(values), "held": said["held"].get(HONEST, 0),
            "whole": len(values) > 0 and np.array_equal(values, np.arange(len(values))),
            "refused by HDF5": len(left),
        }  # fmt: skip

    def _await_end(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.worker.poll() is None and time.monotonic() < deadline:
            self.worker.messages(0.1)

    def close(self) -> None:
        """End whatever still runs."""
        for process in (self.worker, self.child):
            if process.poll() is None:
                process.kill()
        self.worker.close()
        self._starter.close()
        self.child.close()
        self.client.close()
        self._context.destroy(linger=0)


def _numbers(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        # A file may know of its late rows only.
        return file[HONEST]["n"][:] if f"{HONEST}/n" in file else np.empty(0)


def digest(folder: Path) -> dict[str, str]:
    """What every file below a directory holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                found[str(path)] = hashlib.blake2b(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                found[str(path)] = "vanished"
    return found
