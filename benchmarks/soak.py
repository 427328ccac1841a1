"""The long run: does anything grow that should not, while everything comes and goes?

A daemon with every kind of job runs with a rollover each minute. Subscribers and readers come and
go, and in the first quarter (``--killing``) of each three minutes a worker or the writer is killed
every few seconds. Memory, open files and threads of each process, and what lies on the disk, are
sampled; their slopes are taken over each process's life after a warm-up. In the end the rows are
checked.
``python -m benchmarks.soak [--minutes 10] [--seed 1] [--killing 0.25]``
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

import h5daq
from benchmarks.common import arguments, scratch, show
from benchmarks.fault_prey import Prey
from benchmarks.soak_check import check
from benchmarks.soak_samples import Samples
from h5daq.errors import H5daqError

ROOT = Path(h5daq.__file__).parents[1]
CYCLE_SECONDS = 180.0
SAMPLE_SECONDS = 2.0


class Visitor(threading.Thread):
    """Does something short over and over; its errors of ours are counted, others end the soak."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.dice, self.over = random.Random(f"{name}{seed}"), threading.Event()
        self.visits = self.refused = 0
        self.wrong = ""

    def run(self) -> None:
        """Until told that it is over."""
        while not self.over.wait(self.dice.uniform(0.05, 1.0)):
            try:
                self.visit()
                self.visits += 1
            except H5daqError:
                # The writer was killed, or a file is being renamed.
                self.refused += 1
            except Exception as error:  # noqa: BLE001 - it is a finding, whatever it is
                self.wrong = f"{self.name}: {type(error).__name__}: {error}"

    def visit(self) -> None:
        """One thing that people do."""
        raise NotImplementedError


class Subscriber(Visitor):
    """Listens for a moment, and goes without a word."""

    def __init__(self, ends: dict[str, str], number: int) -> None:
        super().__init__(f"subscriber-{number}", number)
        self._ends = ends

    def visit(self) -> None:
        """Hear some signals."""
        kinds = self.dice.choice((["data-available"], ["status"], None))
        with h5daq.subscribe(self._ends["signals"], kinds or (), timeout=0.5) as signals:
            for _ in range(self.dice.randint(0, 5)):
                signals.receive(0.5)


class Reader(Visitor):
    """Opens the recording, reads some of it, and perhaps holds it open."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(f"reader-{number}", number)
        self._directory = directory

    def visit(self) -> None:
        """Look at one job."""
        with h5daq.open(self._directory, patience=1.0) as recording:
            for name in recording:
                if self.dice.random() < 0.3:
                    recording[name][-100:].read()
            time.sleep(self.dice.choice((0.0, 0.0, 0.5, 3.0)))


class Asker(Visitor):
    """Asks and orders, with a client of its own each time."""

    def __init__(self, ends: dict[str, str], number: int) -> None:
        super().__init__(f"asker-{number}", number)
        self._ends = ends

    def visit(self) -> None:
        """Trigger readings, pause and go on, ask for a checkpoint."""
        with h5daq.connect(self._ends["requests"]) as client:
            client.request("trigger", jobs=["soak/trigger"], n=3, timeout=2.0)
            client.request("status", timeout=2.0)
            verb = self.dice.choice(("pause", "resume", "resume", "flush"))
            job = {} if verb == "flush" else {"jobs": ["soak/text"]}
            client.request(verb, timeout=5.0, **job)


class Soak:
    """One daemon for all the time."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.dice = folder, random.Random(seed)
        for name in ("data", "truth", "state"):
            (folder / name).mkdir()
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip
        self._daemon = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak_system", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        assert self._daemon.stdout is not None
        self.ends: dict[str, str] = json.loads(self._daemon.stdout.readline())
        self.prey = Prey()
        self.prey.root = psutil.Process(self._daemon.pid)
        self.samples = Samples(folder)
        self.visitors: list[Visitor] = [
            *(Subscriber(self.ends, n) for n in range(3)),
            *(Reader(folder / "data", n) for n in range(2)),
            Asker(self.ends, 0),
        ]

    def run(self, seconds: float, share: float) -> None:
        """Watch, and kill in that share of the time."""
        for visitor in self.visitors:
            visitor.start()
        began = time.monotonic()
        next_kill = began + 20.0
        while (past := time.monotonic() - began) < seconds:
            self.samples.take(past, self.prey.look())
            killing = past % CYCLE_SECONDS < share * CYCLE_SECONDS
            if killing and time.monotonic() >= next_kill:
                self.prey.kill("writer" if self.dice.random() < 0.3 else "worker", one=self.dice)
                next_kill = time.monotonic() + self.dice.uniform(3.0, 9.0)
            self._say(past, seconds, killing)
            time.sleep(SAMPLE_SECONDS)

    def _say(self, past: float, seconds: float, killing: bool) -> None:
        state = "killing" if killing else "quiet"
        text = f"\r{past:4.0f} of {seconds:.0f} s, {state}: {self.samples.newest()}   "
        print(text, end="", file=sys.stderr, flush=True)

    def stop(self) -> list[str]:
        """End in order; what was wrong."""
        for visitor in self.visitors:
            visitor.over.set()
        for visitor in self.visitors:
            visitor.join(30.0)
        wrong = [visitor.wrong for visitor in self.visitors if visitor.wrong]
        out, _ = self._daemon.communicate("stop\n", timeout=180)
        if self._daemon.returncode or "unfinished" in out:
            wrong.append(f"stopped with {self._daemon.returncode}: {out}")
        return wrong

    def close(self) -> None:
        """End whatever is left."""
        self.prey.kill_rest()
        self._daemon.kill()
        self._daemon.communicate()


def main() -> int:
    """Soak, and report."""
    args = arguments(__doc__, minutes=10.0, seed=1, killing=0.25)
    with scratch(args.directory) as folder:
        soak = Soak(folder, args.seed)
        try:
            soak.run(60 * args.minutes, args.killing)
            wrong = soak.stop()
        finally:
            soak.close()
        counts, flaws = check(folder, soak.prey.killed)
        report(soak, counts)
        wrong += flaws + soak.samples.flaws()
    show(f"wrong: {len(wrong)}", [("", text) for text in wrong[:40]] or [("", "nothing")])
    return 1 if wrong else 0


def report(soak: Soak, counts: dict[str, Any]) -> None:
    """Print what was measured."""
    visits = {v.name: f"{v.visits:,} visits, {v.refused} in vain" for v in soak.visitors}
    show("who came and went", [*visits.items(), *((f"killed: {role}", str(n))
         for role, n in soak.prey.kills.items())])  # fmt: skip
    show("growth after warm-up", soak.samples.table())
    show("on the disk, MiB", soak.samples.disk_table())
    show("rows", [(name, f"{n:,}") for name, n in counts.items()])


if __name__ == "__main__":
    sys.exit(main())
