"""A writer and workers, each started by its own command as on hosts of their own.

``h5daq writer`` and ``h5daq worker`` get a configuration each; where the worker's names other
endpoints than the writer's, a network lies between them that a test can break. Getters are those
of the fault campaign: every row has a number, and how far each getter has counted outlives it.
What is in the files is read with plain h5py and held against that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil

import h5daq
from benchmarks.fault_check import produced_in
from benchmarks.fault_proxy import free_port
from benchmarks.fault_reader import CLEAN

__all__ = ["Account", "Site", "opened", "until"]

ROOT = Path(h5daq.__file__).parents[1]
_NAMES = ("data", "requests", "signals")
PATIENCE = 120.0


def until(holds: Callable[[], Any], seconds: float = PATIENCE, what: str = "it") -> Any:
    """What `holds()` gives once it is true; an error after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)
    return seen


@dataclass
class Account:
    """What became of one job's rows; `lost` by cause, as the file says it."""

    produced: int = 0
    found: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    disordered: int = 0
    gaps: int = 0

    @property
    def missing(self) -> int:
        """Rows that are neither in the files nor counted."""
        return self.produced - self.found - sum(self.lost.values())

    @property
    def kept(self) -> bool:
        """Whether every row is there once, in order."""
        return self.whole and not self.missing

    @property
    def whole(self) -> bool:
        """Whether every row up to the newest is there once, in order."""
        return not (self.lost or self.gaps or self.doubled or self.disordered)


class Site:
    """One directory, one writer, and a worker for each job.

    Parameters
    ----------
    folder : Path
        Made here: data, truth, state and a log of each process.
    jobs : mapping of str to mapping
        Name of each job (a kind of `benchmarks.fault_system.Numbered`) to keys of its table.
    host : str
        The address that the writer listens on.
    writer_at, worker_at : sequence of str
        What is put before the commands, such as ``ip netns exec NAME``.
    run : mapping, optional
        More keys of ``[run]``.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Mapping[str, Mapping[str, Any]],
        *,
        host: str = "127.0.0.1",
        writer_at: Sequence[str] = (),
        worker_at: Sequence[str] = (),
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.jobs = folder, dict(jobs)
        self.prefixes = {"writer": list(writer_at), "worker": list(worker_at)}
        self._run = {"write_period": 0.2, "drain_timeout": 60, **(run or {})}
        for name in ("data", "truth", "state"):
            (folder / name).mkdir()
        self.bound = {name: f"tcp://{host}:{free_port()}" for name in _NAMES}
        self.reached = dict(self.bound)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"),
            "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip

    # -- processes ----------------------------------------------------------------------------

    def start_writer(self, timeout: float = PATIENCE) -> None:
        """Start the writer and wait until it listens."""
        place = self.folder / "data" / ".h5daq" / "endpoints.json"
        place.unlink(missing_ok=True)
        self._start("writer", "writer", ["writer", self._config("writer", self.bound)])
        until(place.exists, timeout, "the writer's start")

    def start_worker(self, job: str) -> subprocess.Popen[bytes]:
        """Start the worker of a job; it connects to `reached`."""
        config = self._config("worker", self.reached)
        return self._start("worker", job, ["worker", config, "--job", f"jobs/{job}"])

    def start(self) -> None:
        """Start everything."""
        self.start_writer()
        for job in self.jobs:
            self.start_worker(job)

    def _start(self, role: str, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [*self.prefixes[role], sys.executable, "-m", "h5daq", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.folder,
            )  # fmt: skip
        return self.processes[name]

    def signal(self, name: str, number: int) -> None:
        """Send a signal to ``"writer"`` or to a job's worker; `ip netns exec` becomes it."""
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill, and wait for the end."""
        self.signal(name, signal.SIGKILL)
        self.processes[name].wait()

    def move_writer(self) -> None:
        """From its next start on, the writer listens on other ports."""
        host = self.bound["data"].rpartition(":")[0]
        self.bound = {name: f"{host}:{free_port()}" for name in _NAMES}

    def stop(self, timeout: float = PATIENCE) -> dict[str, int | None]:
        """Stop as Ctrl-C does; exit code of each process."""
        if self.processes["writer"].poll() is None:
            self.signal("writer", signal.SIGINT)
        return {name: process.wait(timeout) for name, process in self.processes.items()}

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- configuration --------------------------------------------------------------------------

    def _config(self, role: str, endpoints: Mapping[str, str]) -> str:
        run = {"name": "run", "directory": "data", **self._run}
        tables = [_table("[run]", run), _table("[writer]", endpoints)]
        tables.append(_table("[security]", {"insecure": True}))
        tables += [_table("[[jobs]]", self._job(name, more)) for name, more in self.jobs.items()]
        path = self.folder / f"{role}.toml"
        path.write_text("\n".join(tables))
        return str(path)

    def _job(self, name: str, more: Mapping[str, Any]) -> dict[str, Any]:
        columns = [{"label": label, "dtype": "i8"} for label in ("birth", "n")]
        if name.startswith("array"):
            columns.append({"label": "x", "dtype": "f8", "shape": [256]})
        args = {"folder": str(self.folder / "truth"), "job": name}
        return {
            "group": f"jobs/{name}", "getter": "benchmarks.fault_system:Numbered", "args": args,
            "columns": columns, "read_period": 0.005, **more,
        }  # fmt: skip

    # -- what became of the rows ------------------------------------------------------------------

    def produced(self, job: str) -> int:
        """How many rows the job's getters have given out."""
        return sum(p.rows for (name, _), p in produced_in(self.folder / "truth").items()
                   if name == job)  # fmt: skip

    def request(self, verb: str, timeout: float = PATIENCE, **args: Any) -> Any:
        """Ask the writer, past all proxies; not where it has a network of its own."""
        with h5daq.connect(self.bound["requests"]) as client:
            return client.request(verb, timeout=timeout, **args)

    def account(self, job: str, *, flush: bool = True) -> Account:
        """Hold the files against what was produced, after a flush where that can be asked for."""
        if flush and self._local:
            self.request("flush")
        found = Account(produced=self.produced(job))
        rows = [self._read(path, job, found) for path in self._files()]
        births, numbers = np.concatenate([np.empty((2, 0), np.int64), *rows], axis=1)
        for birth in np.unique(births):
            mine = numbers[births == birth]
            found.found += len(np.unique(mine))
            found.doubled += len(mine) - len(np.unique(mine))
            found.disordered += int((np.diff(mine) < 0).sum())
            found.gaps += int(mine.max()) + 1 - len(np.unique(mine))
        return found

    def _files(self) -> list[Path]:
        return sorted((self.folder / "data").glob("*.hdf5"), key=_start_of)

    def _read(self, path: Path, job: str, found: Account) -> np.ndarray:
        with opened(path) as file:
            group = file.get(f"jobs/{job}")
            if group is None:
                return np.empty((2, 0), np.int64)
            lost = {k.removeprefix("lost_"): int(v) for k, v in group.attrs.items()
                    if k.startswith("lost_")}  # fmt: skip
            lost.pop("late", None)
            found.lost.update(lost)
            return np.array([group["birth"][:], group["n"][:]] if len(group) else [[], []],
                            np.int64)  # fmt: skip

    @property
    def _local(self) -> bool:
        """Whether the writer can be asked from here."""
        return not self.prefixes["writer"]

    def catch_up(self, job: str, seconds: float = PATIENCE) -> Account:
        """Wait until all that was produced by now is in the files, or counted."""
        want = self.produced(job)
        until(lambda: self._reached(job, want), seconds, f"row {want} of {job}")
        return self.account(job)

    def go_on(self, job: str, rows: int = 100, seconds: float = PATIENCE) -> None:
        """Wait until so many more rows were produced."""
        want = self.produced(job) + rows
        until(lambda: self.produced(job) >= want, seconds, f"row {want} of {job}")

    def _reached(self, job: str, want: int) -> bool:
        account = self.account(job)
        return account.found + sum(account.lost.values()) >= want

    def memory(self, name: str) -> int:
        """Bytes of memory that a process has."""
        return int(psutil.Process(self.processes[name].pid).memory_info().rss)


def opened(path: Path) -> h5py.File:
    """The file for reading; while a checkpoint is applied it is refused, and tried again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return h5py.File(path, "r")
        except OSError as error:
            if time.monotonic() > deadline or not any(said in str(error) for said in CLEAN):
                raise
            time.sleep(0.001)


def _start_of(path: Path) -> tuple[float, float]:
    with opened(path) as file:
        return float(file.attrs["run_start"]), float(file.attrs["file_start"])


def _table(head: str, keys: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {_value(value)}" for key, value in keys.items()), ""])


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
