"""What a daemon says of a start and of a stop, as its users read it."""

from __future__ import annotations

from typing import Any

__all__ = ["started_text", "stopped_text"]


def started_text(jobs: int, file_name: str | None) -> str:
    """What runs now, and into which file."""
    many = {0: "what other hosts send", 1: "1 job"}.get(jobs, f"{jobs} jobs")
    return f"recording {many} into {file_name}"


def stopped_text(report: dict[str, Any]) -> str:
    """Which files were made, and which rows could not be fetched."""
    held = "".join(f"; job {job}: {n} rows still held" for job, n in report["held"].items())
    if "unfinished" in report:
        return (
            f"stopped without the writer ({report['unfinished']}); what it has committed comes "
            "into the file with the next start, or by: h5daq recover DIRECTORY"
        )
    if report.get("left"):
        return (
            f"stopped, but the files can't be finished ({report['left']}); what is committed comes "
            "into them with the next start, or by: h5daq recover DIRECTORY" + held
        )
    files = ", ".join(report["files"]) or "no file, as there were no rows"
    return f"stopped: {files}{held}"
