"""The files that h5daq reads, damaged: configuration, redo log, spool, endpoints, HDF5.

What is known of each is whether it was read or refused, and that nothing comes out of it that was
never put in. Journals are in `fuzz_journal`.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np

import h5daq
from benchmarks.fuzz_journal import JournalFiles, RunRecords, refreshed
from benchmarks.fuzz_mutate import HOSTILE, damage, pack
from benchmarks.fuzz_seeds import WorkerMessages
from h5daq.config.load import examine
from h5daq.flow.spooling import Piece
from h5daq.flow.spooling import frame_header as spool_header
from h5daq.jobs.spool import About, Spool
from h5daq.storage.recover import recover
from h5daq.storage.redo import redo_path
from h5daq.storage.transaction import TransactionFile

__all__ = ["TARGETS"]


class ConfigFile:
    """The configuration: the example, with words and bytes of it changed."""

    name, foreign = "config", False

    def make(self, folder: Path) -> None:
        self._path = folder / "config.toml"
        example = Path(h5daq.__file__).parent / "config" / "example.toml"
        self._text = example.read_text()

    def trial(self, dice: random.Random) -> str:
        self._path.write_bytes(self._changed(dice))
        config, mistakes = examine(self._path)
        if config is None and not mistakes:
            raise AssertionError("no configuration, and no mistake")
        return "read" if config is not None else "mistakes told"

    def _changed(self, dice: random.Random) -> bytes:
        lines = self._text.split("\n")
        for _ in range(dice.choice((1, 1, 2, 5))):
            at = dice.randrange(len(lines))
            key, equals, _ = lines[at].partition("=")
            kind = dice.randrange(5)
            if kind == 0 and equals:
                lines[at] = f"{key}= {_toml(dice.choice(HOSTILE))}"
            elif kind == 1:
                del lines[at]
            elif kind == 2:
                lines.insert(dice.randrange(len(lines)), lines[at])
            elif kind == 3:
                lines[at] = lines[at].lstrip("# ")
            else:
                return damage("\n".join(lines).encode(), dice)
        return "\n".join(lines).encode()


def _toml(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bytes) or value is None:
        return repr(value)
    return json.dumps(value)


class RedoFile:
    """A redo log with a finished checkpoint that waits for a reader to leave."""

    name, foreign = "redo", False

    def make(self, folder: Path) -> None:
        self._path = folder / "any.h5"
        with h5py.File(self._path, "w", libver="v110") as file:
            file["x"] = np.arange(1000.0)
        self._before = self._path.read_bytes()
        with h5py.File(self._path, "r"):
            target = TransactionFile(self._path)
            target.begin()["y"] = np.arange(2000)
            target.commit()
            target.close()
            self._grown = self._path.read_bytes()
            self._redo = redo_path(self._path).read_bytes()
        recover(self._path)
        self._after = self._path.read_bytes()

    def trial(self, dice: random.Random) -> str:
        # The log names the file by its inode: it is written anew in place.
        with open(self._path, "r+b") as file:
            file.truncate(0)
            file.write(self._grown)
        redo_path(self._path).write_bytes(damage(self._redo, dice))
        recover(self._path)
        found = self._path.read_bytes()
        if found == self._after:
            return "after"
        if found[: len(self._before)] != self._before:
            raise AssertionError("the file is neither as before nor as after")
        with h5py.File(self._path) as file:
            assert list(file) == ["x"]
        return "before"


class SpoolFiles:
    """What a dead worker left on its disk."""

    name, foreign = "spool", False

    def make(self, folder: Path) -> None:
        dice = random.Random(1)
        messages = WorkerMessages(dice, lambda: 1e9, lambda _job, _inc: 0)
        hello = pack(messages.hello("fuzz/a", 1))
        self._whole = folder / "whole"
        spool = Spool(self._whole, About("fuzz/a", 1, "home", hello), 1 << 20)
        self._pieces = [Piece(10 * i, 10, dice.randbytes(300)) for i in range(50)]
        for piece in self._pieces:
            spool.append(piece)
        spool.close(keep=True)
        self._here = folder / "trial"

    def trial(self, dice: random.Random) -> str:
        shutil.rmtree(self._here, ignore_errors=True)
        shutil.copytree(self._whole, self._here)
        victim = dice.choice([p for p in self._here.iterdir() if p.name != "lock"])
        if victim.name == "about" and dice.random() < 0.5:
            victim.write_bytes(pack(_changed_about(victim.read_bytes(), dice)))
        else:
            victim.write_bytes(damage(victim.read_bytes(), dice))
        if dice.random() < 0.2:
            (self._here / dice.choice(("x.rows", "-1.rows", "١.rows", "00.rows"))).write_bytes(
                spool_header(Piece(0, 1, b"odd")) + b"odd"
            )
        return self._read()

    def _read(self) -> str:
        try:
            spool = Spool.adopt(self._here)
        except (OSError, ValueError, TypeError) as error:
            return f"refused: {type(error).__name__}"
        assert spool is not None
        found = []
        while (piece := spool.read()) is not None:
            found.append(piece)
        spool.close(keep=False)
        odd = [p for p in found if p not in self._pieces and p.message != b"odd"]
        if odd:
            raise AssertionError(f"rows that were never spooled: {odd[0]!r:.100}")
        return "whole" if len(found) == len(self._pieces) else "in part"


def _changed_about(data: bytes, dice: random.Random) -> list[Any]:
    about: list[Any] = msgpack.unpackb(data)
    about[dice.randrange(len(about))] = dice.choice(HOSTILE)
    return about


class EndpointsFile:
    """Where a writer says that it is."""

    name, foreign = "endpoints", False

    def make(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ".h5daq" / "endpoints.json"
        self._path.parent.mkdir()
        self._whole = {
            name: f"ipc://{folder}/{name}" for name in ("data", "requests", "signals")
        } | {"boot": "0123", "run": "4567"}  # fmt: skip

    def trial(self, dice: random.Random) -> str:
        fields: dict[str, Any] = dict(self._whole)
        value = dice.choice([v for v in HOSTILE if not isinstance(v, bytes)])
        fields[dice.choice(sorted(fields))] = value
        data = json.dumps(fields).encode("utf-8", "surrogatepass")
        self._path.write_bytes(data if dice.random() < 0.5 else damage(data, dice))
        h5daq.connect(directory=self._folder).close()
        return "connected"


class RunFiles:
    """A run file that was damaged, given to those who read it."""

    name, foreign = "hdf5", True

    def make(self, folder: Path) -> None:
        self._here = folder / "trial"
        numbers = iter(range(10**9))
        job = h5daq.DAQJob("a/b", ["n", "s"], lambda: (next(numbers), "text"), read_period=0.001,
                           shape=[(0,), (0,)], dtype=[float, str])  # fmt: skip
        with h5daq.DAQDaemon(job, directory=folder / "run") as daemon:
            while daemon.status()["jobs"].get("a/b", {}).get("rows", 0) < 300:
                time.sleep(0.05)
        self._data = Path(daemon.file_name).read_bytes()

    def trial(self, dice: random.Random) -> str:
        path = refreshed(self._here) / "DAQ_x.hdf5"
        data = bytearray(self._data)
        for _ in range(dice.choice((1, 1, 3, 20))):
            # Most of what HDF5 keeps of a file's structure is at its beginning.
            end = len(data) if dice.random() < 0.4 else min(len(data), 16384)
            at = dice.randrange(end)
            data[at : at + 64] = damage(bytes(data[at : at + 64]), dice)[:64].ljust(64, b"\0")
        path.write_bytes(data if dice.random() < 0.9 else data[: dice.randrange(len(data))])
        return self._read(path)

    def _read(self, path: Path) -> str:
        with h5daq.open(path, patience=0.0) as recording:
            for group in recording:
                seen = recording[group]
                seen.read()
                repr((seen, seen.lost, seen.late, seen.restarts))
            repr((recording.attrs, recording.runs))
        return "read"


TARGETS: dict[str, Any] = {
    kind.name: kind
    for kind in (
        ConfigFile, JournalFiles, RunRecords, RedoFile, SpoolFiles, EndpointsFile, RunFiles,
    )
}  # fmt: skip
