"""``h5daq demo``: ten seconds of real input, and what comes of it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from h5daq.cli.parser import Arguments, Subparsers, add_command
from h5daq.cli.run import look, stop_on_signals
from h5daq.errors import ConfigError

if TYPE_CHECKING:
    from h5daq.daemon import DAQDaemon
    from h5daq.jobs.job import DAQJob

__all__ = ["add", "demo_jobs"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "demo",
        _demo,
        summary="Record this computer's sensors and a simulated digitizer for ten seconds.",
        details="Shows a table of the jobs while it records, then the tree of the file, a plot,\n"
        "and the two lines of Python that open it. Needs no configuration.",
        examples="h5daq demo\nh5daq demo --seconds 60 --directory /tmp/demo",
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (10)")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("h5daq-demo"),
        help="where the file goes (h5daq-demo)",
    )


def _demo(args: Arguments) -> int:
    from h5daq.daemon import DAQDaemon

    if not args.seconds > 0:
        raise ConfigError(f"--seconds {args.seconds:g} must be above 0")
    daemon = DAQDaemon(demo_jobs(args.directory), name="demo", directory=args.directory)
    stop = stop_on_signals()
    print(daemon.start(), flush=True)
    try:
        _watch(daemon, stop, args.seconds)
    finally:
        print(daemon.stop(), flush=True)
    if daemon.file_name is not None and Path(daemon.file_name).exists():
        _show(Path(daemon.file_name))
    return 0


def demo_jobs(directory: Path) -> list[DAQJob]:
    """This computer's own sensors, a digitizer at 100 Hz, and a slow thermometer."""
    import h5daq.instruments.simulated as simulated
    from h5daq.instruments import system
    from h5daq.jobs.job import DAQJob

    directory.mkdir(parents=True, exist_ok=True)
    digitizer = DAQJob(
        "digitizer", "wave", simulated.Digitizer, read_period=0.01, getter_args={},
        shape=(0, 8, 1024), dtype="i2", units="1",
        descriptions="8 channels of 1024 samples, in steps of the ADC (0.25 mV)",
    )  # fmt: skip
    thermometer = DAQJob(
        "thermometer", "T", simulated.Thermometer, read_period=0.5, getter_args={"period": 0.5},
        units="K", descriptions="a slow thermometer with drift",
    )  # fmt: skip
    sensors = system.jobs("computer", read_period=0.25, directory=str(directory))
    return [digitizer, thermometer, *sensors]


def _watch(daemon: DAQDaemon, stop: threading.Event, seconds: float) -> None:
    """A live table until the time is over or somebody stops it; progress stands in its title."""
    from h5daq.monitor.live import LiveTable
    from h5daq.monitor.picture import Picture

    picture, end = Picture(), time.monotonic() + seconds
    with LiveTable(picture, plain_every=5.0) as table:
        while (left := end - time.monotonic()) > 0 and daemon.is_active:
            look(daemon, picture)
            table.progress = 1.0 - left / seconds
            table.update(time.time())
            if stop.wait(min(0.25, left)):
                break


def _show(path: Path) -> None:
    from rich.console import Console

    import h5daq
    from h5daq.files.plot import plot_column
    from h5daq.files.tree import as_tree, describe

    console = Console()
    console.print(as_tree(describe(path)))
    recording = h5daq.open(path)
    width = min(console.width, 100)
    for group, label in (("digitizer", "wave"), ("computer/cpu", "busy")):
        if group in recording.groups:
            color = console.is_terminal
            print(plot_column(recording[group], label, width=width, height=16, color=color))
    console.print("Open it in Python:\n", style="bold")
    print("    import h5daq")
    print(f'    wave = h5daq.open("{path}")["digitizer"]["wave"]')
    print("\nor with xarray, or with any other HDF5 tool.")
