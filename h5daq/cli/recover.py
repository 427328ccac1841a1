"""``h5daq recover``: finish what a writer that died has left in a directory."""

from __future__ import annotations

import json
from pathlib import Path

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import StorageError

__all__ = ["add"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "recover",
        _recover,
        summary="Finish what a writer that died has left.",
        details="Brings every committed row of an interrupted run into its files, finishes or\n"
        "forgets a half-applied checkpoint, and gives the files their last names. The next\n"
        "start in the directory does the same by itself.",
        examples="h5daq recover data\nh5daq recover data --json",
    )
    parser.add_argument("directory", help="the directory that was recorded into")
    add_json(parser)


def _recover(args: Arguments) -> int:
    from h5daq.storage.recovery import recover_run

    directory = Path(args.directory)
    if not directory.is_dir():
        raise StorageError(f"{directory} is no directory: there is nothing to recover")
    found = recover_run(directory)
    if args.json:
        print(
            json.dumps(
                {
                    "entries": found.entries,
                    "run": found.run,
                    "rows": found.rows,
                    "sealed": [str(path) for path in found.sealed],
                    "finished": [str(path) for path in found.finished],
                }
            )
        )
        return 0
    print(f"{found.entries} journal entries read again")
    for path in found.finished:
        print(f"checkpoint finished: {path}")
    for path in found.sealed:
        print(f"sealed: {path}")
    if not (found.finished or found.sealed):
        print("nothing was left open")
    return 0
