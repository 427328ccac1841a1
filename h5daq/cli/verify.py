"""``h5daq verify``: is every byte of these files what was recorded?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.text import Text

    from h5daq.files.verify import FileReport, Finding, Report

__all__ = ["add"]

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "verify",
        _verify,
        summary="Check that files are whole: structure, checksums of all chunks, order of files.",
        details="Says in words what is wrong with which file, and what to do about it:\n"
        "  error    damage: bytes, rows or names are not what was written\n"
        "  warning  may have an innocent reason, e.g. a clock that was set back\n"
        "  note     what the run itself recorded, e.g. lost rows or restarts\n"
        "Never writes, and may be used while the files are being recorded. The chain of files\n"
        "of a run is checked where a directory or several files are given. With a directory go\n"
        "those of the Data Vault below it: their datasets, and whether the numbers and tags\n"
        "that they remember agree with what is there.\n"
        "Exit code 0: no damage, 1: damage, 2: wrong usage, or no such file.",
        examples="h5daq verify data                   # all files of a directory\n"
        "h5daq verify data/DAQ_2026*.hdf5\n"
        "h5daq verify data --quick           # structure only: seconds, whatever the size\n"
        "h5daq verify data --strict          # warnings count as damage, e.g. in a cron job\n"
        "h5daq verify data --json | jq '.files[] | select(.ok | not) | .path'",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file or a directory")
    parser.add_argument("--quick", action="store_true", help="leave the values unread")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    add_json(parser)


def _verify(args: Arguments) -> int:
    from h5daq.files.verify import verify

    with _progress(wanted=not args.json) as progress:
        try:
            report = verify(args.paths, quick=args.quick, progress=progress)
        except StorageError as error:
            # A path that is not there is a mistake in the command, and no damage.
            raise ConfigError(f"{error.filename}: {error.strerror}") from error
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    good = report.clean if args.strict else report.ok
    return 0 if good else 1


@contextmanager
def _progress(*, wanted: bool) -> Iterator[Callable[[str, int, int], object] | None]:
    """A bar on standard error; none where that is no terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not wanted or not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
               TransferSpeedColumn(), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)

        def tell(path: str, done: int, total: int) -> None:
            name = _clean(path.rpartition("/")[2])
            bar.update(task, description=name, completed=done, total=total)

        yield tell


# -- words ---------------------------------------------------------------------------------------


def _print(report: Report) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for file in report.files:
        _print_file(console, file, report.quick)
    if len(report.files) > 1:
        console.print(_sum(report), markup=False)


def _print_file(console: Console, file: FileReport, quick: bool) -> None:
    from rich.text import Text

    word, style = ("DAMAGED", "bold red") if not file.ok else ("whole", "green")
    line = Text(f"{_clean(file.path)}: ", "bold").append(word, style)
    console.print(line.append(_clean(_facts(file, quick)), "dim"))
    for finding in file.findings:
        console.print(_line(finding))


def _facts(file: FileReport, quick: bool) -> str:
    if file.what == "unreadable":
        return ""
    if file.what == "session":
        return ", what a directory of the vault remembers"
    facts = [file.state] if file.state else ["not a file of h5daq"]
    if file.rows:
        facts.append(_many(len(file.rows), "job"))
        facts.append(_many(sum(file.rows.values()), "row"))
    checked = f"{file.checked_bytes / 1e6:,.1f} MB in {_many(file.chunks, 'chunk')} checked"
    facts.append("values not read" if quick else checked)
    return ", " + ", ".join(facts)


def _line(finding: Finding) -> Text:
    from rich.text import Text

    line = Text("  ").append(f"{finding.severity:<8} ", _STYLES.get(finding.severity, ""))
    if finding.where:
        line.append(f"{_clean(finding.where)}: ", "bold")
    line.append(_clean(finding.text))
    if finding.mend:
        line.append(f"\n           → {_clean(finding.mend)}", "dim")
    return line


def _sum(report: Report) -> str:
    damaged = sum(not file.ok for file in report.files)
    counts: dict[str, Any] = dict.fromkeys(_STYLES, 0)
    for _, finding in report.findings():
        counts[finding.severity] += 1
    told = ", ".join(_many(n, severity) for severity, n in counts.items() if n)
    verdict = f"{damaged} of {len(report.files)} files damaged" if damaged else "no damage"
    return f"{_many(len(report.files), 'file')}: {verdict}" + f" ({told})" * bool(told)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + "s" * (count != 1)


def _clean(text: str) -> str:
    # Names are text of other people: they must not move the cursor.
    return "".join(c if c.isprintable() else "·" for c in text)
