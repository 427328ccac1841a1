"""``h5daq check``: is a configuration right, and what would it do?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from h5daq.cli.parser import Arguments, Subparsers, add_command, add_json
from h5daq.errors import ConfigError

if TYPE_CHECKING:
    from h5daq.config import Config, Mistake
    from h5daq.jobs.job import DAQJob

__all__ = ["add"]


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "check",
        check,
        summary="Check a configuration and show what it would do; nothing is started.",
        details=(
            "All mistakes are told at once, each with its line, its key, what was found and what\n"
            "would be right. Getters of jobs on this machine are imported, and are not called.\n"
            "Exit code 0: right, 2: mistakes."
        ),
        examples=(
            "h5daq check lab.toml\n"
            "h5daq check lab.toml --json\n"
            "h5daq check --example > lab.toml    # a commented one that runs on any computer"
        ),
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("config", nargs="?", metavar="CONFIG", help="the configuration, a TOML file")
    what.add_argument(
        "--example", action="store_true", help="print a commented example of a configuration"
    )
    add_json(parser)


def check(arguments: Arguments) -> int:
    """Judge the file, or print the example."""
    from h5daq.config import example, render

    if arguments.example:
        print(example(), end="")
        return 0
    config, jobs, mistakes = _examine(arguments.config)
    if arguments.json:
        print(json.dumps(_answer(arguments.config, config, jobs, mistakes), indent=2))
        return 2 if mistakes else 0
    if config is None or mistakes:
        raise ConfigError(render(arguments.config, mistakes))
    print("\n".join(_report(arguments.config, config, jobs)))
    return 0


def _examine(path: str) -> tuple[Config | None, list[DAQJob], list[Mistake]]:
    from h5daq.config import examine
    from h5daq.config.build import try_command, try_jobs

    config, mistakes = examine(path)
    if config is None:
        return None, [], mistakes
    jobs, mistakes = try_jobs(config)
    return config, jobs, mistakes + try_command(config)


def _answer(
    path: str, config: Config | None, jobs: list[DAQJob], mistakes: list[Mistake]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"file": path, "ok": not mistakes}
    if mistakes or config is None:
        return answer | {"mistakes": [mistake.as_dict() for mistake in mistakes]}
    elsewhere = [table for table in config.jobs if table.host]
    return answer | {
        "name": config.run.name,
        "directory": str(config.directory),
        "jobs": [_job_answer(job) for job in jobs],
        "elsewhere": [{"group": table.group, "host": table.host} for table in elsewhere],
        "alarms": config.alarm_options(),
    }


def _job_answer(job: DAQJob) -> dict[str, Any]:
    return {
        "group": job.group,
        "labels": list(job.labels),
        "read_mode": job.read_mode,
        "read_period": job.read_period if job.read_mode == "schedule" else None,
        "row_bytes": job.schema.row_bytes,
        "bytes_per_second": _rate(job),
    }


def _rate(job: DAQJob) -> float | None:
    # How many rows a reading gives, or how often it is triggered, is not known beforehand.
    if job.read_mode != "schedule" or job.extend_mode:
        return None
    return job.schema.row_bytes / job.read_period


def _report(path: str, config: Config, jobs: list[DAQJob]) -> list[str]:
    run = config.run
    ((unit, count),) = run.rollover.interval().items()
    rollover = f"{count} {unit}" if count > 1 else f"1 {unit[:-1]}"
    size = f" or {_bytes(run.rollover.size)}" if run.rollover.size else ""
    elsewhere = [table for table in config.jobs if table.host]
    lines = [
        f"{path}: right",
        f"  run        {run.name or '(no name)'}",
        f"  files      {config.directory}/{run.file_format}",
        f"  rollover   {rollover}{size}",
        f"  jobs       {len(jobs)} on this machine"
        + f", {len(elsewhere)} elsewhere" * bool(elsewhere),
    ]
    lines += [f"    {job.group}: {_what(job)}" for job in jobs]
    lines += [f"    {table.group}: on {table.host}, its getter not imported" for table in elsewhere]
    lines += _alarm_lines(config.alarm_options())
    known = [rate for rate in map(_rate, jobs) if rate is not None]
    more = ", and the jobs without a fixed rate" * (len(known) < len(jobs))
    amount = f"{_bytes(sum(known))}/s, {_bytes(86400 * sum(known))} a day before compression"
    return [*lines, f"  amount     {amount}{more}"]


def _alarm_lines(options: dict[str, Any] | None) -> list[str]:
    if options is None:
        return []
    limited = sum(map(len, options["limits"].values()))
    watched = [f"{limited} column{'s' * (limited != 1)} with limits"]
    watched += [kind for kind in ("down", "loss") if options[kind]]
    watched += ["disk"] * any(options["disk"].values())
    told = [name for name in ("command", "webhook") if options[name]]
    return [f"  alarms     {', '.join(watched)}" + f"; told: {', '.join(told)}" * bool(told)]


def _what(job: DAQJob) -> str:
    count = f"{len(job.labels)} column" + "s" * (len(job.labels) != 1)
    if job.read_mode != "schedule":
        return f"{count}, read_mode {job.read_mode}, {_bytes(job.schema.row_bytes)} a row"
    rate = _rate(job)
    amount = f", {_bytes(rate)}/s" if rate is not None else ""
    return f"{count}, every {job.read_period:g} s{amount}"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
