"""What a run over several machines costs: its start, its rows, a long cut, how true clocks are.

The machines are network namespaces with an sshd each (root; see `tests.hosts.lab`), so all of them
share the processors of this one, and their wall clocks are one and the same: what is measured of
their offsets from the writer's is all error.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.common import MIB, arguments, percentile, scratch, show
from benchmarks.fault_site import until
from tests.hosts.lab.site import HostSite, host_site, why_not

JOBS = 30
WIDTH = 32768
"""Elements of a row of 64 KiB."""


def main() -> int:
    """Measure and print."""
    given = arguments(__doc__, seconds=10.0, cut=30.0)
    if why_not():
        print(f"skipped: {why_not()}")
        return 0
    with scratch(given.directory) as folder:
        _start(folder / "start")
        _throughput(folder / "rows", given.seconds)
        _clocks_and_cut(folder / "cut", given.cut)
    return 0


@contextmanager
def _site(folder: Path, count: int, jobs: dict[str, list[dict[str, Any]]]) -> Iterator[HostSite]:
    folder.mkdir()
    with host_site(folder, count, jobs) as site:
        yield site


def _others(site: HostSite) -> list[str]:
    return [host.name for host in site.others]


def _timed(call: Any, *args: object) -> float:
    began = time.perf_counter()
    done = call(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - began


# -- the start -------------------------------------------------------------------------------------


def _start(folder: Path) -> None:
    jobs = {name: [{"group": f"{name}/{n}", "read_period": 1.0} for n in range(JOBS)]
            for name in ("h2", "h3", "h4")}  # fmt: skip
    with _site(folder, 4, jobs) as site:
        raw = min(_raw_ssh(site, ["true"]) for _ in range(3))
        python = min(_raw_ssh(site, [str(folder / "python"), "-c", "0"]) for _ in range(3))
        launch = _timed(site.launch)
        rows = time.perf_counter()
        until(lambda: all(site.rows(group) > 0 for _, group in site.groups), 120.0)
        rows = time.perf_counter() - rows
        again, stop = _timed(site.launch), _timed(site.stop)
    show(f"start: 3 hosts with {JOBS} jobs each, by h5daq launch", [
        ("ssh HOST true, 3 at once", f"{raw:.2f} s"),
        ("ssh HOST python -c 0, 3 at once", f"{python:.2f} s"),
        ("launch, till all have the writer", f"{launch:.2f} s ({launch / raw:.0f} times ssh)"),
        ("then, until all jobs have a row", f"{rows:.2f} s"),
        ("the same command again, all runs", f"{again:.2f} s ({again / raw:.0f} times ssh)"),
        ("stop of everything", f"{stop:.2f} s"),
    ])  # fmt: skip


def _raw_ssh(site: HostSite, words: Sequence[str]) -> float:
    ssh = [*site.ssh.split(), "-T", "-o", "BatchMode=yes"]
    began = time.perf_counter()
    with ThreadPoolExecutor(len(site.others)) as pool:
        done = list(pool.map(lambda name: site.run(site.here, [*ssh, name, *words]), _others(site)))
    assert not any(each.returncode for each in done), done[0].stderr
    return time.perf_counter() - began


# -- rows ------------------------------------------------------------------------------------------


def _throughput(folder: Path, seconds: float) -> None:
    """The same getter as fast as it goes: beside the writer, and on three other machines."""
    job = {"width": WIDTH, "read_mode": "constant", "spool": "never", "overflow": "block"}
    folder.mkdir()
    local = _rate(folder / "local", 2, {"h1": [{**job, "group": "fast/h1"}]}, seconds)
    names = ("h2", "h3", "h4")
    remote = _rate(
        folder / "remote", 4, {n: [{**job, "group": f"fast/{n}"}] for n in names}, seconds
    )
    show(f"rows of 64 KiB as fast as they go, {seconds:g} s", [
        ("one worker beside the writer", f"{local:.0f} MiB/s"),
        ("3 hosts into one writer", f"{remote:.0f} MiB/s ({remote / local:.2f})"),
    ])  # fmt: skip


def _rate(folder: Path, count: int, jobs: dict[str, Any], seconds: float) -> float:
    """MiB per second that are committed."""
    with _site(folder, count, jobs) as site:
        _timed(site.launch)
        until(lambda: all(site.rows(group) > 100 for _, group in site.groups), 120.0)
        before, began = site.ask()["writer"], time.perf_counter()
        threading.Event().wait(seconds)
        after, took = site.ask()["writer"], time.perf_counter() - began
        _timed(site.stop)
    return float(after["bytes"] - before["bytes"]) / MIB / took


# -- clocks, and a cut -----------------------------------------------------------------------------


def _clocks_and_cut(folder: Path, cut: float) -> None:
    jobs = {name: [{"group": f"tower/{name}", "read_period": 0.01, "align": True}]
            for name in ("h2", "h3", "h4")}  # fmt: skip
    with _site(folder, 4, jobs) as site:
        _timed(site.launch)
        idle = _offsets(site, cut)
        h3 = site.others[1]
        site.lab.isolate(h3)
        threading.Event().wait(cut)
        site.lab.heal(h3)
        began, due = time.perf_counter(), site.rows("tower/h2")
        until(lambda: site.rows("tower/h3") >= due, 600.0, "the rows of the cut")
        took = time.perf_counter() - began
        _timed(site.stop)
        fates = {group: site.fate(name, group) for name, group in site.groups}
        apart = _apart(site)
    errors, bounds = zip(*idle, strict=True)
    show("clocks of 3 hosts against the writer's; the true offset is 0", [
        ("offset, median / p95 / largest", _ms(errors)),
        ("the error that it is said to have", _ms(bounds)),
        ("exchanges; off by more than said", f"{len(idle)}; {_beyond(idle)}"),
        ("aligned readings of two hosts, apart", _ms(apart)),
    ])  # fmt: skip
    show(f"a host at 100 rows/s is cut off for {cut:g} s", [
        ("healed, until the writer has its rows", f"{took:.1f} s"),
        ("rows read, in the file, lost", ", ".join(
            f"{f.read} {f.kept} {f.lost.total()}" for f in fates.values())),
        ("each row accounted for", str(all(fate.accounted for fate in fates.values()))),
    ])  # fmt: skip


def _offsets(site: HostSite, seconds: float) -> list[tuple[float, float]]:
    """Offset and error of each exchange that the writer hears of, for so long."""
    seen: dict[tuple[str, float], tuple[float, float]] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for host, clock in site.ask()["clocks"].items():
            seen[host, clock["offset"]] = (abs(clock["offset"]), clock["error"])
        threading.Event().wait(0.5)
    return list(seen.values())


def _beyond(offsets: Sequence[tuple[float, float]]) -> int:
    """How many are further off than the greatest error that was stated with them."""
    return sum(offset > error for offset, error in offsets)


def _apart(site: HostSite) -> list[float]:
    """How far apart the readings of two hosts for the same tick were, by the one true clock."""
    ticks: list[dict[int, float]] = []
    for name in ("h2", "h4"):
        found: dict[int, float] = {}
        for path in site.disk_of("h1").glob("data/*.hdf5"):
            with h5py.File(path) as file:
                times = file[f"tower/{name}/time"][:]
                found |= dict(zip(np.round(times / 0.01).astype(int).tolist(), times, strict=True))
        ticks.append(found)
    both = ticks[0].keys() & ticks[1].keys()
    return [abs(ticks[0][tick] - ticks[1][tick]) for tick in both]


def _ms(values: Sequence[float]) -> str:
    ordered = list(values)
    parts = (statistics.median(ordered), percentile(ordered, 95), max(ordered))
    return " / ".join(f"{1e3 * part:.3g}" for part in parts) + " ms"


if __name__ == "__main__":
    sys.exit(main())
