"""A campaign of faults: are rows lost, doubled or misordered, whatever dies and when?

A daemon with a job of each kind runs in a process of its own (`fault_system`), a stranger reads
its files all the while (`fault_reader`), and faults (`fault_kills`, `fault_disk`) happen to it at
random and at the worst moments. After each round the system is started again in the same directory.
At the end each row is accounted for (`fault_check`). A third of the time goes to a writer without
sockets that dies, fails or loses power at each change of a file (`fault_programs`).
``python -m benchmarks.faults [--minutes 3] [--seed 1] [--only NAME] [--keep DIRECTORY]``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

import h5daq
from benchmarks import fault_code, fault_disk, fault_kills, fault_net, fault_time
from benchmarks.common import arguments, scratch, show
from benchmarks.fault_check import Findings, Told, verify
from benchmarks.fault_clock import Clock
from benchmarks.fault_disk import Limited, Mount
from benchmarks.fault_kinds import Fault, by_name
from benchmarks.fault_net import Network
from benchmarks.fault_prey import Prey
from benchmarks.fault_programs import run_programs
from benchmarks.fault_reader import BACKWARDS
from benchmarks.fault_vault_client import Adder, Kept, check
from h5daq.errors import FileBusy, NoAnswer
from h5daq.files.recover import recover

ROOT = Path(h5daq.__file__).parents[1]
HOOKS = ROOT / "benchmarks" / "fault_hooks"
PATIENCE = 120.0
DRAIN_SECONDS = 5.0
"""How long workers without a writer wait for one."""

CLEAN_DRAIN_SECONDS = 60.0
"""How long a stop in order may take: on a busy machine no row is to be left for the next start."""

KINDS: dict[str, Fault] = by_name(
    fault_kills.KINDS, fault_disk.KINDS, fault_net.KINDS, fault_time.KINDS, fault_code.KINDS
)
"""Faults after which the run goes on."""

ENDS: dict[str, Fault] = by_name(fault_kills.ENDS)
"""What a round ends with, beside a stop in order."""

CLEAN = "clean"


class Listener(threading.Thread):
    """Hears what the writer of one start tells as committed."""

    def __init__(self, endpoint: str, run: str, told: Told) -> None:
        super().__init__(daemon=True)
        self._endpoint, self._run, self._told = endpoint, run, told
        self.heard = 0
        self.over = False

    def run(self) -> None:
        """Listen until the round is over."""
        with h5daq.subscribe(self._endpoint, ["data-available"], timeout=0.2) as signals:
            while not self.over:
                try:
                    self._note(signals.receive(0.2))
                except NoAnswer:
                    continue

    def _note(self, signals: Sequence[Any]) -> None:
        for signal in signals:
            above, _, job = signal.path.rpartition("/")
            if not above.endswith("/jobs"):
                continue  # the writer's own records
            said = signal.payload
            self._told.totals[self._run, job] = said["total"]
            key = job, said["last"]["birth"]
            newest = max(self._told.newest.get(key, -1), said["last"]["n"])
            self._told.newest[key] = newest
            self.heard += 1


class Campaign:
    """One directory, many starts."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        network: Network | None = None,
        disk: Callable[[Path], Mount] = Mount,
        **options: Any,
    ) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.disk = disk(folder / "disk")
        self.data, self.orders = folder / "disk" / "data", folder / "orders"
        self.faults: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.told, self.wrong = Told(), list[str]()
        self.datasets, self.troubles = dict[str, Kept](), Counter[str]()
        self.prey = Prey()
        self.network, self.clock = network, Clock(folder / "clock")
        self.peak_memory = 0
        self.options = {
            "write_period": 0.3, "rollover_interval_dict": {"seconds": 3}, "rollover_grace": 1.0,
            "drain_timeout": DRAIN_SECONDS, "signal_rate": 200.0,
            "directory": str(self.data), **(network.options if network else {}), **options,
        }  # fmt: skip
        self.data.mkdir()
        for name in ("truth", "state", "tmp"):
            (folder / name).mkdir()
        self.environment = {
            **os.environ, "XDG_STATE_HOME": str(folder / "state"), "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{HOOKS}", "H5DAQ_FAULTS": str(self.data),
            "H5DAQ_FAULT_ORDERS": str(self.orders), **self.clock.environment,
        }  # fmt: skip
        self.requests, self.about = "", dict[str, Any]()
        self._begun: list[subprocess.Popen[str]] = []
        self._reader = self._spawn("fault_reader", str(self.data), str(seed))

    def _spawn(self, module: str, *words: str) -> subprocess.Popen[str]:
        with open(self.folder / "stderr.txt", "a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.{module}", *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=self.environment, cwd=ROOT, start_new_session=True,
            )  # fmt: skip
        self._begun.append(process)
        return process

    # -- one round -----------------------------------------------------------------------------

    def round(self, kinds: Sequence[str], end: str, pause: Callable[[], float]) -> None:
        """Start, do those faults one after the other, and come to an end."""
        daemon, about = self._start(CLEAN_DRAIN_SECONDS if end == CLEAN else None)
        self.requests, self.about = about["requests"], about
        listener = Listener(about["signals"], about["run"], self.told)
        listener.start()
        adder = Adder(about["requests"], self.datasets)
        adder.start()
        self._await_news(listener, "the start")
        for kind in kinds:
            time.sleep(pause())
            self._fault(kind)
            self._await_news(listener, kind)
        time.sleep(pause())
        self._end(daemon, end)
        listener.over = adder.over = True
        listener.join()
        adder.join()
        self.troubles.update(adder.troubles)

    def _start(
        self, drain_timeout: float | None = None
    ) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """Start the system; while workers of the last one still drain it is refused."""
        deadline = time.monotonic() + PATIENCE
        more = {} if drain_timeout is None else {"drain_timeout": drain_timeout}
        options = json.dumps({**self.options, **more})
        while True:
            daemon = self._spawn("fault_system", str(self.folder), options)
            self.prey.root = psutil.Process(daemon.pid)
            line = daemon.stdout.readline() if daemon.stdout else ""
            about = json.loads(line or "{}")
            if "run" in about:
                return daemon, about
            daemon.wait()
            if not about.get("busy") or time.monotonic() > deadline:
                raise RuntimeError(f"could not be started: {line or 'it died'}")
            time.sleep(0.2)

    def _await_news(self, listener: Listener, after: str) -> None:
        """Rows must be committed again soon."""
        heard, deadline = listener.heard, time.monotonic() + PATIENCE
        while listener.heard < heard + 2:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no more rows are committed after {after}")
            time.sleep(0.02)

    def _fault(self, kind: str) -> None:
        self.faults[kind] += 1
        KINDS[kind].act(self)

    def _end(self, daemon: subprocess.Popen[str], end: str) -> None:
        self.faults[f"end: {end}"] += 1
        self.prey.look()
        if end == CLEAN:
            self._stop(daemon)
            return
        ENDS[end].act(self)
        daemon.wait()
        if self.random.random() < 0.5:
            self._recover()

    def _stop(self, daemon: subprocess.Popen[str]) -> None:
        began = time.monotonic()
        out, _ = daemon.communicate("stop\n", timeout=3 * PATIENCE)
        if daemon.returncode or '"stopped"' not in out or "unfinished" in out:
            self.wrong.append(f"stopped with code {daemon.returncode}: {out}")
        # Possible only of a worker that was killed, and not yet started again.
        self.faults["stopped with rows held"] += "held" in out
        if time.monotonic() - began > PATIENCE:
            self.wrong.append(f"a stop took {time.monotonic() - began:.0f} s")

    def _recover(self) -> None:
        """What ``h5daq recover`` does, unless the old writer is still at work."""
        try:
            recover(self.data)
            self.faults["recovered by hand"] += 1
        except FileBusy:
            self.faults["recovery refused"] += 1

    # -- the account ---------------------------------------------------------------------------

    def finish(self) -> Findings:
        """Stop everything in order, and account for all rows."""
        # Twice: what orphans of a killed daemon have put into a spool comes with the next start.
        self.prey.await_end(PATIENCE)
        self.round([], CLEAN, lambda: 0.3)
        # A reader at the very end would leave the last pages to yet another start.
        seen = self.end_reader()
        self.round([], CLEAN, lambda: 0.3)
        self._check_nothing_open()
        self.wrong += check(self.data, self.datasets)
        clock_set = bool(self.clock.sets)
        found = verify(
            self.folder, self.data, self.told, self.prey.killed, clock_set=clock_set,
            failed=sum(self.faults[kind] for kind in fault_code.RAISING),
        )  # fmt: skip
        found.counts.update({f"reader {k}": v for k, v in seen["counts"].items()})
        # Beyond ``overlay_bytes`` a checkpoint does not wait for a reader to leave.
        if "overlay_bytes" not in self.options:
            self.wrong += [
                f"a reader saw: {flaw}"
                for flaw in seen["flaws"]
                if not (clock_set and BACKWARDS in flaw)
            ]
        found.wrong += self.wrong
        return found

    def end_reader(self) -> dict[str, Any]:
        """Have the stranger let go of all files; what it saw."""
        out, _ = self._reader.communicate("stop\n", timeout=PATIENCE)
        seen: dict[str, Any] = json.loads(out)
        return seen

    def _check_nothing_open(self) -> None:
        data = self.data
        before = _digests(data)
        report = recover(data)
        if report.run or report.sealed or report.finished:
            self.wrong.append(f"after a stop in order there was something to recover: {report}")
        if _digests(data) != before:
            self.wrong.append("a recovery after a stop in order changed files")

    def close(self) -> None:
        """End whatever is left."""
        self.prey.kill_rest()
        for process in self._begun:
            process.kill()
            process.communicate()
        self.disk.close()
        if self.network is not None:
            self.network.close()


def _digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in directory.glob("*.hdf5")
    }


def options_of(seed: int) -> dict[str, Any]:
    """What differs from seed to seed."""
    options: dict[str, Any] = {"segment_bytes": 64 << 20 if seed % 7 == 0 else 1 << 18}
    if seed % 2 == 0:
        options["rollover_size"] = 500_000
    if seed % 3 == 0:
        options["durability"] = "os"
    if seed % 4 == 1:
        options["overlay_bytes"] = 1 << 16
    return options


def report(campaign: Campaign, found: Findings) -> None:
    """Print the account."""
    show("faults", [(kind, str(n)) for kind, n in sorted(campaign.faults.items())])
    if campaign.points:
        show("points at which calls failed or the writer died",
             [(point, str(n)) for point, n in sorted(campaign.points.items())])  # fmt: skip
    kills = [(role, str(n)) for role, n in sorted(campaign.prey.kills.items())]
    show("kills", kills or [("", "none")])
    accounts = [(job, "{:,}, {:,}, {:,}".format(*said)) for job, said in found.accounts.items()]
    show("missing rows, rows counted as lost, kills", accounts)
    kept = campaign.datasets.values()
    show(f"the vault: {len(kept)} datasets, {sum(k.rows for k in kept):,} rows answered",
         [(trouble, str(n)) for trouble, n in sorted(campaign.troubles.items())])  # fmt: skip
    rows = [(name, f"{n:,}") for name, n in found.counts.items()]
    if campaign.peak_memory:
        rows.append(("most memory of a worker", f"{campaign.peak_memory / 2**20:.0f} MiB"))
    show("rows", [*rows, ("longest tail of a killed spool", f"{found.longest_tail} rows")])


def has_network(args: argparse.Namespace) -> bool:
    """Whether a network lies between workers and writer: in half of the campaigns."""
    return bool(args.seed % 2) or args.only.startswith("net")


def chosen(only: str, network: bool) -> list[str]:
    """Names of the faults that can be done here; those with `only` in their name."""
    wanted = {name: f for name, f in KINDS.items() if only in name and network >= f.network}
    return [name for name, f in wanted.items() if not f.unfit()]


def run(campaign: Campaign, possible: list[str], seconds: float) -> None:
    """Rounds of faults at random while there is time."""
    dice, until = campaign.random, time.monotonic() + seconds
    while time.monotonic() < until:
        kinds = dice.choices(possible, k=dice.randint(1, 5))
        campaign.round(kinds, dice.choice([*ENDS, CLEAN]), lambda: dice.uniform(0.0, 2.0))


def main() -> int:
    """Tear at it for some minutes."""
    args = arguments(__doc__, minutes=3.0, seed=1, keep="", only="")
    possible, seconds = chosen(args.only, has_network(args)), 60 * args.minutes
    share = seconds / 3 if possible else seconds
    wrong = run_programs(args.only, args.seed, share)
    if possible:
        with scratch(args.directory) as folder:
            wrong += tear(folder, args, possible, seconds - share)
    show(f"wrong: {len(wrong)}", [("", text) for text in wrong[:40]] or [("", "none")])
    return 1 if wrong else 0


def tear(folder: Path, args: argparse.Namespace, possible: list[str], seconds: float) -> list[str]:
    """The campaign on a living system; what was wrong."""
    fixed = {n: f"ipc://{folder}/tmp/{n}" for n in ("data", "requests", "signals")}
    options = options_of(args.seed) | (fixed if args.seed % 5 == 0 else {})
    network = Network() if has_network(args) else None
    options |= {} if network is None else network.options
    disk = Limited if args.seed % 4 == 3 else Mount
    campaign = Campaign(folder, args.seed, network, disk, **options)
    try:
        run(campaign, possible, seconds)
        found = campaign.finish()
        report(campaign, found)
        return found.wrong
    finally:
        campaign.close()
        if args.keep:
            shutil.copytree(folder, args.keep, ignore=shutil.ignore_patterns("tmp"))


if __name__ == "__main__":
    sys.exit(main())
