"""The one tree of errors that h5daq raises.

Every error says three things in its text: where it happened (job, file, key), what was found, and
what would mend it. Catch ``H5daqError`` to catch all of them; each also derives from the built-in
error that Python users expect (``ValueError``, ``KeyError``, ``OSError`` …), so scripts written
for the H5DAQ lineage keep working.

::

    H5daqError
    ├── JobError                 a job was described wrongly, before anything started
    │   ├── JobValueError        (ValueError) wrong length, duplicate label, bad number
    │   └── JobTypeError         (TypeError)  wrong kind: a getter that can't be called …
    ├── ReadingError             one reading failed: counted, logged, the run goes on
    ├── ConfigError              (ValueError) the configuration file or an argument
    │   └── ConfigKeyError       (KeyError)   an argument's key, as the H5DAQ lineage raises it
    ├── WireError                (ValueError) bytes from a socket that are no message of ours
    ├── RequestError             the writer answered a request with an error (code, name)
    │   ├── NotAllowed           (PermissionError) the key's role does not include that
    │   └── TooManyRequests      one connection asks more than the writer answers
    ├── NoAnswer                 (TimeoutError) nobody answered in time
    ├── MissingExtra             (ImportError) an optional package is not installed: names the extra
    ├── ProcessFailed            (RuntimeError) a writer or worker could not be started or kept up
    ├── VaultError               the Data Vault refused something; ``code`` is its number
    │   ├── NoDataset            2   no dataset is open
    │   ├── DatasetNotFound      3   (LookupError) no dataset of that name or number
    │   ├── DirectoryExists      4   (ValueError)
    │   ├── DirectoryNotFound    5   (LookupError)
    │   ├── EmptyName            6   (ValueError)
    │   ├── ReadOnly             7   the dataset is not open for writing
    │   ├── BadData              8   (ValueError) rows that don't fit the columns
    │   ├── BadParameter         9   (LookupError) no parameter of that name
    │   ├── ParameterInUse       10  (ValueError) a parameter is never overwritten
    │   ├── DataVersionMismatch  11  that kind of dataset can't be read in this way
    │   ├── ContextLost          103 the writer has forgotten this context: ``restore`` goes on
    │   └── BadArgument          102 (ValueError) a name, column or text that can't be stored
    │       └── LabradError      a value that has no LabRAD type, or bytes that are no such value
    └── StorageError             (OSError) files: disk full, locked, damaged, vanished
        ├── FileBusy             another program holds the file or the directory
        ├── FileDamaged          bytes on disk that are not what h5daq wrote
        └── JournalFull          more is waiting for the files than ``journal_bytes`` allows
"""

from __future__ import annotations

__all__ = [
    "BadArgument",
    "BadData",
    "BadParameter",
    "ConfigError",
    "ConfigKeyError",
    "ContextLost",
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
    "VaultError",
    "WireError",
]

_MAX_WIRE_TEXT = 1000


class H5daqError(Exception):
    """Base of all errors of h5daq."""


class JobError(H5daqError):
    """A job is described wrongly; raised before anything has started."""


class JobValueError(JobError, ValueError):
    """A job's argument has a wrong value or length."""


class JobTypeError(JobError, TypeError):
    """A job's argument is of a wrong kind."""


class ReadingError(H5daqError):
    """One reading failed. The row is not taken, the failure is counted by ``cause``.

    Parameters
    ----------
    message : str
        What happened, with the job and the label.
    cause : str
        The short name under which the failure is counted, e.g. ``"shape"``.
    """

    def __init__(self, message: str, cause: str = "getter") -> None:
        super().__init__(message)
        self.cause = cause


class ConfigError(H5daqError, ValueError):
    """The configuration, or an argument, is wrong: names the key and what would be right."""


class ConfigKeyError(ConfigError, KeyError):
    """A key of an argument is missing or unknown."""

    def __str__(self) -> str:
        # KeyError would show the repr of the text, quotes and all.
        return str(self.args[0]) if self.args else ""


class WireError(H5daqError, ValueError):
    """Bytes from a socket that are not a message of this protocol.

    Parameters
    ----------
    message : str
        What was found.
    cause : str
        The short name under which the rejection is counted, e.g. ``"version"``.
    """

    def __init__(self, message: str, cause: str = "malformed") -> None:
        # It goes to logs, statuses and back over sockets, and may quote what a stranger sent.
        super().__init__(message[:_MAX_WIRE_TEXT])
        self.cause = cause


class RequestError(H5daqError):
    """The writer refused a request.

    Parameters
    ----------
    code : int
        The error's number on the wire.
    name : str
        The error's name on the wire.
    message : str
        What was wrong and what would be right.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name


class NotAllowed(RequestError, PermissionError):
    """The role of the key does not include what was asked for; the text names the key."""


class TooManyRequests(RequestError):
    """One connection asks more often than the writer answers; nothing was done."""


class NoAnswer(H5daqError, TimeoutError):
    """Nobody answered within the time given."""


class MissingExtra(H5daqError, ImportError):
    """Something optional is not installed; the text names the extra that brings it."""


class ProcessFailed(H5daqError, RuntimeError):
    """A process of the run could not be started, or died too often."""


class StorageError(H5daqError, OSError):
    """A file or directory can't be read or written."""


class FileBusy(StorageError):
    """Another program holds the file or the directory."""


class FileDamaged(StorageError):
    """Bytes on disk are not what h5daq wrote there."""


class JournalFull(StorageError):
    """More entries wait for the files than ``journal_bytes`` allows."""


class VaultError(H5daqError):
    """The Data Vault refused something.

    Attributes
    ----------
    code : int
        Its number in replies: the Data Vault's own numbers are below 100.
    """

    code = 102


class NoDataset(VaultError):
    """No dataset is open in this context."""

    code = 2


class DatasetNotFound(VaultError, LookupError):
    """There is no dataset of that name or number in the directory."""

    code = 3


class DirectoryExists(VaultError, ValueError):
    """There is a directory of that name already."""

    code = 4


class DirectoryNotFound(VaultError, LookupError):
    """There is no such directory."""

    code = 5


class EmptyName(VaultError, ValueError):
    """A directory needs a name."""

    code = 6


class ReadOnly(VaultError):
    """Rows were added to a dataset that is not open for writing."""

    code = 7


class BadData(VaultError, ValueError):
    """Rows don't fit the columns of the dataset; none of them was taken."""

    code = 8


class BadParameter(VaultError, LookupError):
    """The dataset has no parameter of that name."""

    code = 9


class ParameterInUse(VaultError, ValueError):
    """The dataset has a parameter of that name, and parameters are never overwritten."""

    code = 10


class DataVersionMismatch(VaultError):
    """A dataset of that kind can't be read in this way; the text names the verb that can."""

    code = 11


class ContextLost(VaultError):
    """The writer has forgotten this context: it began anew, or heard nothing for too long.

    What it had answered is kept, and what was asked in vain was not done. The context's `restore`
    takes up where it was.
    """

    code = 103


class BadArgument(VaultError, ValueError):
    """A name, a column or a text can't be stored."""

    code = 102


class LabradError(BadArgument):
    """A value has no LabRAD type or does not fit it, or bytes are no such value."""
