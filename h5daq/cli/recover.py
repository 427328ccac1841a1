"""``h5daq recover``: finish what a writer that died has left; salvage what others left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import ConfigError, H5daqError

if TYPE_CHECKING:
    from h5daq.files.recover import Recovered
    from h5daq.files.salvage import Salvaged

__all__ = ["add"]

_TOLD_SECONDS = 1.0
_PLAIN_SECONDS = 10.0


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "recover",
        _recover,
        summary="Finish what a writer that died has left.",
        details="Brings every committed row of an interrupted run into its files, and every\n"
        "committed change of the Data Vault into its datasets; finishes or forgets a\n"
        "half-applied checkpoint, and gives the files their last names. The next\n"
        "start in the directory does the same by itself. A PATH may also be a single HDF5\n"
        "file, changed by h5daq.transaction(), say.\n\n"
        "--salvage is for files of other programs that died while they wrote them (h5py in\n"
        "SWMR mode, say) and that HDF5 refuses to open: what can be read goes into a copy,\n"
        "what can't is told. The file itself is not touched.\n\n"
        "Exit codes: 0 done, 1 something could not be recovered or was lost, 2 wrong usage.",
        examples="h5daq recover data --dry-run    # say what would be done\n"
        "h5daq recover data\nh5daq recover data --json\nh5daq recover any.h5 other.h5\n"
        "h5daq recover --salvage crashed.h5 --output whole.h5",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", type=Path, help="a run's directory, or an HDF5 file"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be done; change nothing"
    )
    parser.add_argument(
        "--salvage", action="store_true", help="make a readable copy of a file left open"
    )
    parser.add_argument(
        "--output", type=Path, metavar="COPY", help="name of that copy (FILE.salvaged.EXT)"
    )
    add_json(parser)


def _recover(args: Arguments) -> int:
    if args.salvage:
        return _salvage(args)
    if args.output is not None:
        raise ConfigError("--output is the name of a salvaged copy, and needs --salvage")
    answers, code = [], 0
    for path in args.paths:
        try:
            answer, good = _recovered(args, path)
        except (H5daqError, OSError) as error:
            if len(args.paths) == 1:
                raise
            answer, good = {"path": str(path), "error": str(error)}, False
            print(f"h5daq: {error}", file=sys.stderr)
        answers.append(answer)
        code = code if good else 1
    if args.json:
        print(json.dumps(answers[0] if len(answers) == 1 else answers))
    return code


def _recovered(args: Arguments, path: Path) -> tuple[dict[str, Any], bool]:
    from h5daq.files.recover import UNDONE, recover

    with _Progress() as progress:
        found = recover(path, dry_run=args.dry_run, progress=progress.told)
    removed = [] if args.dry_run else _clean_sockets()
    if not args.json:
        for line in _lines(found, path, args.dry_run):
            print(line)
        for place in removed:
            print(f"removed: {place}, the sockets of a run that is dead")
    lost = bool(found.refused or found.vault.aside)
    bad = any(verdict.action in UNDONE for verdict in found.verdicts) or lost
    return _as_dict(found, path, args.dry_run), not bad


def _as_dict(found: Recovered, path: Path, dry_run: bool) -> dict[str, Any]:
    return {
        "path": str(path),
        "dry_run": dry_run,
        "entries": found.entries,
        "run": found.run,
        "rows": found.rows,
        "appended": found.appended,
        "refused": found.refused,
        "sealed": [str(file) for file in found.sealed],
        "renamed": {str(old): str(new) for new, old in found.was.items() if old != new},
        "finished": [str(file) for file in found.finished],
        "verdicts": [
            {"path": str(v.path), "action": v.action, "detail": v.detail} for v in found.verdicts
        ],
        "left_alone": [str(file) for file in found.left_alone],
        "vault": found.vault.brought,
        "vault_refused": found.vault.aside,
    }


_DONE = {
    "applied": ("checkpoint finished", "a finished checkpoint would be brought in"),
    "forgotten": ("unfinished checkpoint forgotten", "an unfinished checkpoint would be forgotten"),
    "pending": ("checkpoint waits for a reader to leave", "a checkpoint waits for a reader"),
    "unborn": ("unfinished file removed", "an unfinished file would be removed"),
    "orphan": ("its file is gone; kept", "its file is gone; would be kept"),
    "busy": ("in use, left as it is", "in use, would be left as it is"),
    "damaged": ("damaged, left as it is", "damaged, would be left as it is"),
    "left open": ("left open by another program", "left open by another program"),
}


def _lines(found: Recovered, path: Path, dry: bool) -> Iterator[str]:
    if path.is_dir():
        yield f"{found.entries} journal entries {'to read' if dry else 'read'} again"
    for verdict in found.verdicts:
        # How far the change of a file had come is for programs: it is whole now.
        more = f" ({verdict.detail})" if verdict.detail and verdict.action != "applied" else ""
        yield f"{_DONE[verdict.action][dry]}: {verdict.path}{more}"
    for job, rows in sorted(found.appended.items()):
        yield f"{rows} rows of job {job} {'would be ' if dry else ''}brought in from the journal"
    for job, rows in sorted(found.refused.items()):
        yield f"{rows} rows of job {job} were refused by HDF5; they are in {path}/.h5daq/refused"
    yield from _vault_lines(found, path, dry)
    for file in found.left_alone:
        yield f"left alone, as it is another file or damaged: {file}"
    for file in found.sealed:
        now = found.was.get(file, file)
        yield f"{'would be sealed' if dry else 'sealed'}: {file}" + (
            f" (now {now.name})" if now != file else ""
        )
    if found.run:
        end = "would be ended" if dry else "was ended"
        yield f"the run {found.run!r}, {found.rows} rows in all, {end} as interrupted"
    vault = found.vault.brought or found.vault.aside
    if not (found.verdicts or found.sealed or found.appended or found.run or vault):
        yield "nothing was left open" if path.is_dir() else f"{path}: nothing was left unfinished"


def _vault_lines(found: Recovered, path: Path, dry: bool) -> Iterator[str]:
    done = "would be brought in" if dry else "brought in"
    for place, counts in found.vault.brought.items():
        yield f"vault: {place}: {', '.join(_counted(*pair) for pair in counts.items())} {done}"
    if found.vault.aside:
        kept = "would be kept" if dry else "are kept"
        yield (
            f"vault: {found.vault.aside} changes whose dataset is gone or damaged {kept} in "
            f"{path}/.h5daq/refused"
        )


def _counted(what: str, count: int) -> str:
    if what in ("dataset", "directory", "tags"):
        return f"the {what}" + " itself" * (what != "tags")
    return f"{count:,} {what}" + "s" * (count != 1)


def _clean_sockets() -> list[Path]:
    from h5daq.transports.private import remove_abandoned

    return remove_abandoned()


class _Progress:
    """How far a long replay is: a line that moves on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._moving = sys.stderr.isatty()
        self._due = time.monotonic() + (_TOLD_SECONDS if self._moving else _PLAIN_SECONDS)
        self._shown = False

    def told(self, done: int, total: int) -> None:
        """The journal is read up to there."""
        from h5daq.monitor.words import size

        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + (_TOLD_SECONDS if self._moving else _PLAIN_SECONDS)
        text = f"reading the journal: {size(done)} of {size(total)} ({done / max(1, total):.0%})"
        print(f"\r{text:<60}" if self._moving else text, file=sys.stderr,
              end="" if self._moving else "\n", flush=True)  # fmt: skip
        self._shown = self._moving

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(f"\r{'':<60}\r", file=sys.stderr, end="", flush=True)


# -- salvage ---------------------------------------------------------------------------------------


def _salvage(args: Arguments) -> int:
    from h5daq.files.salvage import salvage

    if len(args.paths) != 1:
        raise ConfigError("--salvage takes one file at a time")
    if args.dry_run:
        raise ConfigError("--salvage never changes the file; a dry run of it would be no different")
    found = salvage(args.paths[0], args.output)
    print(json.dumps(_salvaged_dict(found)) if args.json else "\n".join(_salvaged_lines(found)))
    return 1 if found.lost else 0


def _salvaged_dict(found: Salvaged) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "output": str(found.output),
        "mended": found.mended,
        "rebuilt": found.rebuilt,
        "groups": found.groups,
        "datasets": found.datasets,
        "lost": [{"object": name, "what": what} for name, what in found.lost],
    }


def _salvaged_lines(found: Salvaged) -> Iterator[str]:
    for mend in found.mended:
        yield f"mended in the copy: {mend}"
    for name, what in found.lost:
        yield f"lost: {name}: {what}"
    if found.rebuilt:
        yield "the copy was built anew from what could be read"
    yield f"{found.groups} groups and {found.datasets} datasets are in {found.output}"
