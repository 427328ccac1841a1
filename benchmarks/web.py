"""The web page under load: 50 channels at 10 Hz, all plotted, in a real headless Chromium.

Measured for a minute, after ten seconds to settle: how late the page's event loop is (a timer of
20 ms; what is over that is what a click would wait), its frames per second, the bytes it receives
and the memory it holds; the CPU of the server, of the browser and of the writer, and whether the
run lost a row or read late. Beside it the same minute without a page.

Run: python -m benchmarks.web [--channels 50] [--rate 10] [--seconds 60] [--jobs 50]
With --picture FILE it makes the README's picture instead; --dark 1 and --width for others.
"""

from __future__ import annotations

import argparse
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

import h5daq
from benchmarks.browser import Browser
from benchmarks.common import scratch
from h5daq.files.recent import Recent
from h5daq.monitor.web import Gate, Place, new_token, serve

SETTLE_SECONDS = 10.0

LAG = """
window.lags = []; window.frames = 0;
(() => { let due = performance.now() + 20;
  setInterval(() => { const now = performance.now(); lags.push(Math.max(0, now - due)); due = now + 20; }, 20);
  const frame = () => { frames += 1; requestAnimationFrame(frame); }; requestAnimationFrame(frame); })()
"""  # noqa: E501 - JavaScript


def main() -> None:
    """Measure, or make a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=None, help="where to write (a real disk)")
    for name, default in (("channels", 50), ("jobs", 50), ("width", 1280), ("dark", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=10.0, help="rows per second of a channel")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--picture", type=Path, help="write a PNG of the page instead")
    args = parser.parse_args()
    if args.picture is not None:
        make_picture(args)
        return
    measure(args)


# -- the measurement -----------------------------------------------------------------------------


def channels(total: int, jobs: int, rate: float) -> list[h5daq.DAQJob]:
    """So many channels, dealt out to jobs."""
    share = max(1, total // jobs)

    def read() -> tuple[float, ...]:
        return tuple(math.sin(time.time() / 3 + i) for i in range(share))

    labels = [f"c{i}" for i in range(share)]
    return [
        h5daq.DAQJob(f"rack/{number:02}", labels, read, read_period=1 / rate)
        for number in range(min(total, jobs))
    ]


def measure(args: argparse.Namespace) -> None:
    """The run alone, then with the page."""
    jobs = channels(args.channels, args.jobs, args.rate)
    with scratch(args.directory) as folder, h5daq.DAQDaemon(jobs, directory=folder) as daemon:
        writer = psutil.Process(daemon.status()["writer"]["pid"])
        time.sleep(SETTLE_SECONDS)
        alone, late = over(args.seconds, lambda: cpu([writer])), lateness(daemon)
        with page(folder) as (server, browser):
            seen = with_page(args, server, browser, writer)
        told(args, alone, late, seen, daemon)


@contextmanager
def page(folder: Path, token: str | None = None) -> Iterator[tuple[Any, Browser]]:
    """The page's server in this process, and a browser."""
    gate = Gate(token or new_token())
    with (
        serve(lambda: h5daq.connect(directory=folder), Place(), gate, Recent(folder)) as server,
        Browser(1280, 1000) as browser,
    ):
        yield server, browser


def with_page(
    args: argparse.Namespace, server: Any, browser: Browser, writer: psutil.Process
) -> dict[str, float]:
    """What the page and those who serve it cost, while all channels are plotted."""
    browser.open(server.url)
    shown = min(args.channels, args.jobs)
    browser.until(f"document.querySelectorAll('#jobs tr').length === {shown}")
    browser.run(
        "for (const [name, job] of h5daq.jobs.facts) h5daq.plots.add("
        "{of: 'job', path: name.split('/'), labels: Object.keys(job.values), mode: 'curves'})"
    )
    browser.until(f"document.querySelectorAll('.drawing > *').length >= {shown}")
    time.sleep(SETTLE_SECONDS)
    browser.run(LAG)
    received = browser.run("h5daq.link.received")
    mine, theirs = psutil.Process(), psutil.Process(browser.process.pid)

    def spent() -> list[float]:
        return [cpu([mine]), cpu([theirs, *theirs.children(recursive=True)]), cpu([writer])]

    rates = over_all(args.seconds, spent)
    lags = np.array(browser.run("lags"))
    return {
        "lag median": float(np.median(lags)), "lag 99 %": float(np.quantile(lags, 0.99)),
        "lag worst": float(lags.max()), "frames": browser.run("frames") / args.seconds,
        "bytes": (browser.run("h5daq.link.received") - received) / args.seconds,
        "heap": browser.run("performance.memory.usedJSHeapSize"),
        "figures": browser.run("h5daq.plots.all.size"),
        "server": rates[0], "browser": rates[1], "writer": rates[2],
    }  # fmt: skip


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds of CPU that processes have used; nothing of one that has ended."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def over(seconds: float, count: Callable[[], float]) -> float:
    """By how much something grows per second."""
    return over_all(seconds, lambda: [count()])[0]


def over_all(seconds: float, counts: Callable[[], list[float]]) -> list[float]:
    """The same of several."""
    before, began = counts(), time.perf_counter()
    threading.Event().wait(seconds)
    passed = time.perf_counter() - began
    return [(now - then) / passed for now, then in zip(counts(), before, strict=True)]


def lateness(daemon: h5daq.DAQDaemon) -> float:
    """Of the readings of all jobs: the largest 99th percentile, in ms."""
    return max(job.get("lateness_ms") or 0.0 for job in daemon.status()["jobs"].values())


def told(
    args: argparse.Namespace,
    alone: float,
    late: float,
    seen: dict[str, float],
    daemon: h5daq.DAQDaemon,
) -> None:
    """Print it."""
    status = daemon.status()["jobs"].values()
    print(f"{args.channels} channels at {args.rate:g} Hz, {seen['figures']:.0f} figures, "
          f"{args.seconds:g} s")  # fmt: skip
    print(f"page: event loop late by {seen['lag median']:.1f} ms (median), "
          f"{seen['lag 99 %']:.0f} ms (99 %), {seen['lag worst']:.0f} ms (worst); "
          f"{seen['frames']:.0f} frames/s")  # fmt: skip
    print(f"      {seen['bytes'] / 1e3:.0f} kB/s received, heap {seen['heap'] / 1e6:.0f} MB")
    print(f"CPU:  server {seen['server']:.1%}, browser {seen['browser']:.1%}, writer "
          f"{seen['writer']:.1%} (without a page {alone:.1%})")  # fmt: skip
    lost = sum(sum(job["lost"].values()) for job in status)
    print(f"run:  lost {lost}, readings late by {lateness(daemon):.1f} ms (without a page "
          f"{late:.1f} ms), 99 % of the worst job")  # fmt: skip


# -- the picture ---------------------------------------------------------------------------------


def laboratory() -> list[h5daq.DAQJob]:
    """A cryostat, an oscilloscope, a camera."""
    random = np.random.default_rng(1)

    def tank() -> tuple[float, float, float]:
        now = time.time()
        return 4.2 + 0.1 * math.sin(now / 4), 4.6 + 0.1 * math.sin(now / 4 - 1), random.normal(1013)

    def wave() -> Any:
        x, now = np.arange(1024), time.time()
        return 60 * np.sin(x / 40 + 2 * now) * np.exp(-x / 600) + random.normal(0, 4, 1024)

    def frame() -> Any:
        y, x = np.mgrid[:240, :320]
        spot = (x - 160 - 60 * math.sin(time.time())) ** 2 + (y - 120) ** 2
        return 900 * np.exp(-spot / 2400) + random.normal(0, 12, (240, 320))

    return [
        h5daq.DAQJob("cryostat", ["T_top", "T_bottom", "p"], tank, read_period=0.1,
                     units=["K", "K", "hPa"], limits={"p": {"warn": {"low": 1020, "high": 1030}}}),
        h5daq.DAQJob("scope/ch1", ["wave"], wave, read_period=0.25, shape=(0, 1024), units=["mV"]),
        h5daq.DAQJob("camera", ["frame"], frame, read_period=0.5, shape=(0, 240, 320)),
    ]  # fmt: skip


def make_picture(args: argparse.Namespace) -> None:
    """The page before a small laboratory."""
    token = new_token()
    with (
        scratch(args.directory) as folder,
        h5daq.DAQDaemon(laboratory(), "cooldown-3", directory=folder, write_period=4,
                        write_period_jitter=0, attrs={"operator": "anna"},
                        alarms={"disk": {"warn": 0}, "down": False}),
        h5daq.connect(directory=folder) as client, client.vault() as vault,
    ):  # fmt: skip
        vault.cd(["qubit 3", "T1"], create=True)
        vault.new("decay", ["delay [us]"], ["P1"])
        vault.add([[i, math.exp(-i / 15)] for i in range(60)])
        vault.update_tags("star", datasets="00001 - decay")
        vault.add_comment("T1 is back to 15 µs", "anna")
        with page(folder, token) as (server, browser):
            browser.renew(dark=bool(args.dark))
            browser.resize(args.width, 900, phone=args.width < 600)
            browser.open(f"{server.url}#token={token}")
            show(browser)
            vault.new("ramsey", ["delay [us]"], ["P1"])
            vault.add_comment("after the filter was changed", "anna")
            browser.until("document.querySelectorAll('#log li').length >= 2")
            browser.picture(args.picture)
    # Fewer colours: a third of the bytes, and nobody sees it.
    Image.open(args.picture).convert("RGB").quantize(256).save(args.picture, optimize=True)


def show(browser: Browser) -> None:
    """Open what the picture shows, and let it fill."""
    browser.until("document.querySelectorAll('figure').length >= 4")
    for name in ("qubit 3", "T1", "00001 - decay"):
        buttons = "[...document.querySelectorAll('#tree button')]"
        entry = f"{buttons}.find((button) => button.innerText.includes({name!r}))"
        browser.until(f"!!{entry}")
        browser.run(f"{entry}.click()")
    browser.until("document.querySelector('#comments').innerText.includes('15')")
    time.sleep(40)
    browser.run("document.activeElement.blur(), scrollTo(0, 0)")


if __name__ == "__main__":
    main()
