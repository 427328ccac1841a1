"""Measurements from many instruments and machines into HDF5 files, with no row lost.

Everything that happens is an entry in a journal; HDF5 files and signals are made from it, and each
change of an HDF5 file is a transaction. Read from top to bottom, this is the path of a row::

    h5daq
    ├── errors        the error tree
    ├── flow          pure: bytes, arrays and the time come in as arguments
    │   ├── schema      the columns of a job
    │   ├── buffer      rows in, a batch out when full or old
    │   ├── batch       a stretch of numbered rows of one job
    │   ├── wire        messages to bytes and back
    │   ├── delivery    number, window, position, replay
    │   ├── entries     how an entry stands in the journal
    │   ├── chunks      batches to blocks of a dataset
    │   ├── rollover    when a file ends, and the names of files
    │   ├── topics      signals and whom they are for
    │   ├── requests    questions to the writer, and its answers
    │   ├── variables   the columns of a Data Vault dataset
    │   ├── latch       at most one signal between two reads
    │   └── roles       which key may do what
    ├── jobs          DAQJob, DAQJobExtern, and what a worker does with them
    ├── transports    links between processes: ZeroMQ, and memory for tests
    ├── storage       journal, transactions on HDF5, checkpoints, recovery, file layouts
    ├── vault         the Data Vault: directories, datasets, LabRAD's values
    ├── keys          keys on disk, and the list of those that a writer lets in
    ├── config        the configuration file
    ├── worker        the process that reads one job
    ├── writer        the process that commits rows and makes files of them
    ├── canvas        curves drawn with characters
    ├── client        requests to a writer, and its signals
    ├── vaultclient   a context of the Data Vault, from a client's side
    ├── files         for people with files: open a recording, export, verify
    ├── monitor       one picture of a running system, and ways to look at it
    ├── notebook      a live plot in Jupyter
    ├── launcher      several machines by one configuration: hosts, ssh, clocks
    ├── daemon        DAQDaemon: starts, watches and stops writer and workers
    ├── logs          messages of all processes in one place
    ├── instruments   this computer's own sensors, and simulated instruments
    ├── examples      small laboratories to copy, by `h5daq examples` and `h5daq init`
    ├── testing       exams that transports, layouts and jobs of your own can take
    └── cli           the command h5daq

The names below are imported when they are first used, so that ``import h5daq`` costs nothing and a
worker never loads what only a writer needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5daq.client import connect, subscribe
    from h5daq.daemon import DAQDaemon
    from h5daq.errors import (
        BadArgument,
        BadData,
        BadParameter,
        ConfigError,
        ConfigKeyError,
        ContextLost,
        DatasetNotFound,
        DataVersionMismatch,
        DirectoryExists,
        DirectoryNotFound,
        EmptyName,
        FileBusy,
        FileDamaged,
        H5daqError,
        JobError,
        JobTypeError,
        JobValueError,
        JournalFull,
        LabradError,
        MissingExtra,
        NoAnswer,
        NoDataset,
        NotAllowed,
        ParameterInUse,
        ProcessFailed,
        ReadingError,
        ReadOnly,
        RequestError,
        StorageError,
        TooManyRequests,
        VaultError,
        WireError,
    )
    from h5daq.files import open  # noqa: A004
    from h5daq.files.verify import verify
    from h5daq.jobs.extern import DAQJobExtern
    from h5daq.jobs.job import DAQJob
    from h5daq.logs import setup_logging
    from h5daq.notebook import live
    from h5daq.storage.transaction import recover, transaction
    from h5daq.vault.browse import Vault

__version__ = "0.1.0"

__all__ = [
    "BadArgument",
    "BadData",
    "BadParameter",
    "ConfigError",
    "ConfigKeyError",
    "ContextLost",
    "DAQDaemon",
    "DAQJob",
    "DAQJobExtern",
    "DataVersionMismatch",
    "DatasetNotFound",
    "DirectoryExists",
    "DirectoryNotFound",
    "EmptyName",
    "FileBusy",
    "FileDamaged",
    "H5daqError",
    "JobError",
    "JobTypeError",
    "JobValueError",
    "JournalFull",
    "LabradError",
    "MissingExtra",
    "NoAnswer",
    "NoDataset",
    "NotAllowed",
    "ParameterInUse",
    "ProcessFailed",
    "ReadOnly",
    "ReadingError",
    "RequestError",
    "StorageError",
    "TooManyRequests",
    "Vault",
    "VaultError",
    "WireError",
    "__version__",
    "connect",
    "live",
    "open",
    "recover",
    "setup_logging",
    "subscribe",
    "transaction",
    "verify",
]

_HOME = {
    "Vault": "h5daq.vault.browse",
    "DAQDaemon": "h5daq.daemon",
    "DAQJob": "h5daq.jobs.job",
    "DAQJobExtern": "h5daq.jobs.extern",
    "connect": "h5daq.client",
    "live": "h5daq.notebook",
    "open": "h5daq.files",
    "recover": "h5daq.storage.transaction",
    "setup_logging": "h5daq.logs",
    "subscribe": "h5daq.client",
    "transaction": "h5daq.storage.transaction",
    "verify": "h5daq.files.verify",
}
"""The module of each public name; the others are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'h5daq' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME.get(name, "h5daq.errors")), name)
    # From now on it is found without a look here.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
