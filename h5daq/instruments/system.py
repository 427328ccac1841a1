"""This computer's own sensors: processor, memory, disks, network, temperatures.

Each class is a getter: built in the worker, called for each row. Counters are given as the system
has them, counted since it was started; rates are for whoever reads the file. What this computer
does not have is NaN in a row of several values, and a skipped row where nothing else is in it.

`jobs` makes the jobs of all of them, with one column per value, its unit and its meaning.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = [
    "CoreTimes",
    "Cpu",
    "Disk",
    "DiskSpace",
    "Memory",
    "Network",
    "Temperatures",
    "jobs",
    "sensor_names",
]

_Columns = Sequence[tuple[str, str, str]]
"""Label, unit and meaning of each entry of a row."""


class Cpu:
    """Share of the processors' time since the last row, and the load.

    A row is ``busy, user, system, idle`` in per cent of all processors together, then the mean
    number of processes that run or want to (``load_1, load_5, load_15``: over 1, 5 and 15
    minutes). ``busy`` is ``100 * (1 - idle / total)`` of the times that went by since the row
    before; in the first row, since the system was started. A reading within which no time was
    counted is skipped: systems count in steps of some 10 ms.
    """

    columns: _Columns = (
        ("busy", "%", "time in which a processor did anything"),
        ("user", "%", "time in programs"),
        ("system", "%", "time in the operating system"),
        ("idle", "%", "time without anything to do"),
        ("load_1", "1", "processes that run or want to, mean of 1 minute"),
        ("load_5", "1", "processes that run or want to, mean of 5 minutes"),
        ("load_15", "1", "processes that run or want to, mean of 15 minutes"),
    )

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def __call__(self) -> list[float] | None:
        now = psutil.cpu_times()._asdict()
        passed = {name: time - self._before.get(name, 0.0) for name, time in now.items()}
        # Guests' time is counted in user already.
        total = sum(time for name, time in passed.items() if not name.startswith("guest"))
        if total <= 0:
            return None
        self._before = now
        shares = [100 * passed[name] / total for name in ("user", "system", "idle")]
        return [100 - shares[2], *shares, *psutil.getloadavg()]

    def close(self) -> None:
        """Nothing is open."""


class CoreTimes:
    """Time that each processor core has spent, in seconds since the system was started.

    A row is ``user, system, idle``, each an array with one entry per core.

    Parameters
    ----------
    cores : int, optional
        Entries of an array; by default the cores that there are now. A core that is switched off
        while the job runs is NaN if it is one of the last.
    """

    columns: _Columns = (
        ("user", "s", "time in programs, per core"),
        ("system", "s", "time in the operating system, per core"),
        ("idle", "s", "time without anything to do, per core"),
    )

    def __init__(self, cores: int | None = None) -> None:
        self.cores = cores or len(psutil.cpu_times(percpu=True))

    def __call__(self) -> list[list[float]]:
        times = psutil.cpu_times(percpu=True)[: self.cores]
        missing = [math.nan] * (self.cores - len(times))
        return [[getattr(core, label) for core in times] + missing for label, _, _ in self.columns]

    def close(self) -> None:
        """Nothing is open."""


class Memory:
    """Memory in use: ``total, available, used, swap_used`` in bytes."""

    columns: _Columns = (
        ("total", "B", "memory of this computer"),
        ("available", "B", "memory that programs can have without swapping"),
        ("used", "B", "memory in use"),
        ("swap_used", "B", "swap space in use"),
    )

    def __call__(self) -> list[int]:
        memory = psutil.virtual_memory()
        return [memory.total, memory.available, memory.used, psutil.swap_memory().used]

    def close(self) -> None:
        """Nothing is open."""


class Disk:
    """Traffic of all disks since the system was started: bytes and operations.

    A row is ``read_bytes, write_bytes, read_count, write_count``; it is skipped where the system
    does not tell them (in some containers).
    """

    columns: _Columns = (
        ("read_bytes", "B", "bytes read from disks since the start of the system"),
        ("write_bytes", "B", "bytes written to disks since the start of the system"),
        ("read_count", "1", "reads from disks since the start of the system"),
        ("write_count", "1", "writes to disks since the start of the system"),
    )

    def __call__(self) -> list[int] | None:
        return _fields(psutil.disk_io_counters(), self.columns)

    def close(self) -> None:
        """Nothing is open."""


class DiskSpace:
    """Space of the file system on which a path lies: ``total, used, free`` in bytes.

    Parameters
    ----------
    path : str
        Any file or directory on it.
    """

    columns: _Columns = (
        ("total", "B", "size of the file system"),
        ("used", "B", "space in use"),
        ("free", "B", "space that a user can have"),
    )

    def __init__(self, path: str = ".") -> None:
        self.path = os.path.abspath(path)

    def __call__(self) -> list[int]:
        space = psutil.disk_usage(self.path)
        return [space.total, space.used, space.free]

    def close(self) -> None:
        """Nothing is open."""


class Network:
    """Traffic of all network interfaces since the system was started.

    A row is ``bytes_sent, bytes_recv, packets_sent, packets_recv, errin, errout, dropin,
    dropout``.
    """

    columns: _Columns = (
        ("bytes_sent", "B", "bytes sent since the start of the system"),
        ("bytes_recv", "B", "bytes received since the start of the system"),
        ("packets_sent", "1", "packets sent since the start of the system"),
        ("packets_recv", "1", "packets received since the start of the system"),
        ("errin", "1", "errors on receiving since the start of the system"),
        ("errout", "1", "errors on sending since the start of the system"),
        ("dropin", "1", "incoming packets that were dropped since the start of the system"),
        ("dropout", "1", "outgoing packets that were dropped since the start of the system"),
    )

    def __call__(self) -> list[int] | None:
        return _fields(psutil.net_io_counters(), self.columns)

    def close(self) -> None:
        """Nothing is open."""


class Temperatures:
    """Temperatures of this computer in degrees Celsius, one per sensor.

    Parameters
    ----------
    sensors : sequence of str, optional
        Names from `sensor_names`, one per column and in their order; by default all that there
        are now. A sensor that has gone is NaN.
    """

    def __init__(self, sensors: Sequence[str] | None = None) -> None:
        self.sensors = sensor_names() if sensors is None else list(sensors)

    def __call__(self) -> list[float]:
        now = _temperatures()
        return [now.get(sensor, math.nan) for sensor in self.sensors]

    def close(self) -> None:
        """Nothing is open."""


def sensor_names() -> list[str]:
    """Names of the temperature sensors that this computer has; often none in a virtual one."""
    return list(_temperatures())


def _temperatures() -> dict[str, float]:
    # psutil has no such function where the system knows no sensors.
    read: Callable[[], Mapping[str, Any]] = getattr(psutil, "sensors_temperatures", dict)
    return {
        f"{chip} {number} {sensor.label}".strip().replace("/", "-"): float(sensor.current)
        for chip, sensors in read().items()
        for number, sensor in enumerate(sensors)
        if sensor.current is not None
    }


def jobs(
    group: str = "computer", *, read_period: float = 1.0, directory: str = "."
) -> list[DAQJob]:
    """Jobs that read all sensors of this computer.

    Parameters
    ----------
    group : str
        Group above the groups of the jobs.
    read_period : float
        Seconds between readings.
    directory : str
        Whose file system's free space is watched.

    Returns
    -------
    list of DAQJob
        ``cpu``, ``cores``, ``memory``, ``disk``, ``space``, ``network``; and ``temperature``
        where there are sensors.
    """
    from h5daq.jobs.job import DAQJob

    def job(name: str, getter: type, args: dict[str, Any] | None = None, **more: Any) -> DAQJob:
        columns: _Columns = more.pop("columns", None) or getattr(getter, "columns")  # noqa: B009
        labels, units, descriptions = (list(texts) for texts in zip(*columns, strict=True))
        return DAQJob(
            f"{group}/{name}", labels, getter, read_period, getter_args=args or {},
            units=units, descriptions=descriptions, **more,
        )  # fmt: skip

    cores = len(psutil.cpu_times(percpu=True))
    made = [
        job("cpu", Cpu),
        job("cores", CoreTimes, {"cores": cores}, shape=(0, cores)),
        job("memory", Memory, dtype="i8"),
        job("disk", Disk, dtype="i8"),
        job("space", DiskSpace, {"path": directory}, dtype="i8"),
        job("network", Network, dtype="i8"),
    ]
    sensors = sensor_names()
    if sensors:
        columns = [(sensor, "degC", f"temperature of {sensor}") for sensor in sensors]
        made.append(job("temperature", Temperatures, {"sensors": sensors}, columns=columns))
    return made


def _fields(counters: object, columns: _Columns) -> list[int] | None:
    if counters is None:
        return None
    return [getattr(counters, label) for label, _, _ in columns]
