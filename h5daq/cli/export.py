"""``h5daq export``: rows for other programs, as CSV, Parquet or netCDF."""

from __future__ import annotations

import json
from pathlib import Path

from h5daq.cli.look import add_source, add_times, moment, opened
from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json

__all__ = ["add"]


def add(subparsers: Subparsers) -> None:
    """Add this command."""
    parser = add_command(
        subparsers,
        "export",
        _export,
        summary="Write rows as CSV, Parquet or netCDF.",
        details="The suffix of the target says the format; several groups go to one netCDF file,\n"
        "or to a directory with a file each. Works while the run goes on.",
        examples="h5daq export data tank.csv --group tank/temperature\n"
        "h5daq export data run.nc --from 2026-11-21T09:00 --to 2026-11-21T10:00\n"
        "h5daq export data out --format parquet --every 100\n"
        "h5daq export data T.csv --group tank/temperature --column T_top",
    )
    add_source(parser)
    parser.add_argument("target", type=Path, help="file (.csv, .parquet, .nc) or directory")
    parser.add_argument(
        "--format", choices=("csv", "parquet", "netcdf"), help="instead of a suffix"
    )
    parser.add_argument("--group", action="append", default=[], help="only this group (repeatable)")
    parser.add_argument(
        "--column", action="append", default=[], help="only this column beside time (repeatable)"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th row")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    add_times(parser)
    add_json(parser)


def _export(args: Arguments) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from h5daq.files.export import export

    with opened(args) as recording, Progress(
        console=Console(stderr=True), transient=True, disable=not Console(stderr=True).is_terminal
    ) as progress:  # fmt: skip
        task = progress.add_task("exporting", total=None)
        paths = export(
            recording,
            args.target,
            groups=args.group,
            columns=args.column,
            start=moment(args.start),
            end=moment(args.end),
            every=args.every,
            format=args.format,
            overwrite=args.force,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print(json.dumps([str(p) for p in paths]) if args.json else "\n".join(map(str, paths)))
    return 0
