"""Malformed input of every kind, for long: does anything crash, leak, or change what it must not?

The sockets of a real writer get mutated messages while an honest worker sends its rows; a real
worker hears mutated signals; every file that is read is read damaged. Where the expectations stand
is said by each target: `fuzz_live`, `fuzz_worker`, `fuzz_files`.
``python -m benchmarks.fuzz [--messages 20000] [--seed 1] [--target data|requests|worker|config|…]``
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import scratch, show
from benchmarks.fuzz_cases import try_out
from benchmarks.fuzz_files import TARGETS
from benchmarks.fuzz_live import Live, WriterDied
from benchmarks.fuzz_worker import fuzz_worker

SHARES = {"data": 1.0, "requests": 0.0, "sockets": 0.7}
"""Of the messages, how many go to the data socket."""

PIECE = 25_000
"""Messages that one writer gets before the next one takes its place."""

SLOPE_MIB = 4.0
"""Growth of memory per 10,000 refused messages that is none."""


class Progress:
    """A line that says how far it is."""

    def __init__(self, name: str, n: int) -> None:
        self._name, self._n, self._said = name, n, 0.0
        self._began = time.monotonic()

    def __call__(self, done: int, more: str = "") -> None:
        now = time.monotonic()
        if now - self._said > 0.5 or done >= self._n:
            self._said = now
            rate = done / max(1e-3, now - self._began)
            end = "\n" if done >= self._n else ""
            line = f"\r{self._name}: {done:,} of {self._n:,}, {rate:,.0f}/s {more}   {end}"
            print(line, end="", file=sys.stderr, flush=True)


def slope(samples: list[tuple[int, float]]) -> float:
    """MiB per 10,000 messages over the second half of the samples."""
    half = np.array(samples[len(samples) // 2 :])
    return float(np.polyfit(half[:, 0], half[:, 1], 1)[0]) * 1e4 if len(half) > 2 else 0.0


def sockets(folder: Path, name: str, n: int, seed: int) -> list[str]:
    """Mutated messages to real writers, one after the other; what was wrong."""
    progress, wrong = Progress(name, n), list[str]()
    sent, refused, done, rows = Counter[str](), Counter[str](), 0, 0
    slopes, peak = [], 0.0
    while done < n and not wrong:
        part = min(PIECE, n - done)
        live = Live(folder / f"{name}-{done}", seed + done)
        try:
            rows += _piece(live, SHARES[name], part, lambda i, d=done: progress(d + i), wrong)
            slopes.append(slope(live.still))
            peak = max(peak, max(mib for _, mib in live.memory))
        except (WriterDied, AssertionError) as error:
            wrong.append(f"piece at {done}, seed {seed + done}: {error}")
        finally:
            live.close()
        done += part
        sent += live.sent
        refused += live.twin.refused
    worst = max(slopes, default=0.0)
    if worst > SLOPE_MIB:
        wrong.append(f"memory grows by {worst:.1f} MiB per 10,000 refused messages")
    show(f"{name}, seed {seed}", [
        *((f"sent: {kind}", f"{count:,}") for kind, count in sent.items()),
        *((f"refused: {cause}", f"{count:,}") for cause, count in refused.most_common()),
        ("refused in all", f"{refused.total():,}, as foretold"),
        ("memory, while all is refused", f"{worst:+.2f} MiB per 10,000 messages at most"),
        ("memory, at most", f"{peak:.0f} MiB"),
        ("rows of the honest worker", f"{rows:,}, each once and in order"),
    ])  # fmt: skip
    return wrong


def _piece(live: Live, share: float, n: int, progress: Any, wrong: list[str]) -> int:
    """One writer's life: everything, nonsense on the ports, and a stretch of refusals."""
    mixed, still = n - n // 3, n // 3
    while live.sent.total() < mixed:
        live.shoot(min(1000, mixed - live.sent.total()), share)
        progress(live.sent.total())
    live.garbage(20, 100)
    if not live.refused_stretch(still, share):
        wrong.append("refused messages have changed a file")
    end = live.finish()
    if end["code"] or not end["whole"] or end["held"] or end["refused by HDF5"]:
        wrong.append(f"the end: {end}")
    return int(end["rows"])


def worker(folder: Path, n: int, seed: int) -> list[str]:
    """Mutated signals to a real worker."""
    place = folder / "worker"
    place.mkdir()
    end = fuzz_worker(place, n, seed, Progress("worker", n))
    memory = end.pop("memory")
    show(f"worker, seed {seed}", [
        *((key, str(value)) for key, value in end.items()),
        ("memory", f"{memory[0]:.1f} to {memory[-1]:.1f} MiB"),
    ])  # fmt: skip
    sound = end["alive"] and end["ended"] and end["whole"] and end["code"] == 0
    return [] if sound else [f"worker: {end}"]


def files(folder: Path, name: str, n: int, seed: int) -> list[str]:
    """Damaged files to those who read them."""
    place = folder / name
    place.mkdir()
    found = try_out(TARGETS[name](), place, n, seed, Progress(name, n))
    show(f"{name}, seed {seed}", [(k, f"{v:,}") for k, v in found.outcomes.most_common()])
    return found.wrong


def main() -> int:
    """Fuzz and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=None, help="where to work")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    names = ["all", *SHARES, "worker", *TARGETS]
    parser.add_argument("--target", choices=names, default="all")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    chosen = ["sockets", "worker", *TARGETS] if args.target == "all" else [args.target]
    wrong = []
    with scratch(args.directory) as folder:
        for name in chosen:
            # A file costs as much as some dozens of messages.
            n = args.messages if name in SHARES or args.target != "all" else args.messages // 40
            if name in SHARES:
                wrong += sockets(folder, name, n, args.seed)
            elif name == "worker":
                wrong += worker(folder, n, args.seed)
            else:
                wrong += files(folder, name, n, args.seed)
    show(f"wrong: {len(wrong)}", [("", text) for text in wrong[:40]] or [("", "nothing")])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
