"""What xarray and h5dump read of a file that h5py holds open: the same, number for number.

While anybody holds a file, nothing in it may change; so whatever opens it meanwhile, in this
process or in another, must find the state that the holder sees, or be refused in the clean ways.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import xarray as xr

__all__ = ["Columns", "Gone", "h5dump_flaws", "xarray_flaws"]

Columns = dict[str, dict[str, np.ndarray]]
"""Columns by label, by job."""

DUMP_SECONDS = 300.0


class Gone(Exception):
    """The file got another name meanwhile."""


def xarray_flaws(path: Path, held: Columns) -> list[str]:
    """How what xarray reads differs from what is held open."""
    found = []
    for job, columns in held.items():
        try:
            data = xr.open_dataset(path, group=f"jobs/{job}", engine="h5netcdf", decode_times=False)
        except FileNotFoundError as error:
            raise Gone from error
        with data:
            found += [
                f"{job}/{label}: xarray reads something else"
                for label in columns
                if not _same(data[label].values, columns[label])
            ]
    return found


def _same(read: np.ndarray, held: np.ndarray) -> bool:
    if held.dtype != object:
        return np.array_equal(read, held)
    texts = [text.decode() if isinstance(text, bytes) else text for text in held]
    return [text.decode() if isinstance(text, bytes) else text for text in read] == texts


def h5dump_flaws(path: Path, held: Columns) -> list[str]:
    """How what h5dump prints of the numbers differs from what is held open; none without it."""
    if shutil.which("h5dump") is None:
        return []
    found = []
    for job in held:
        command = ["h5dump", "-y", "-w", "0", "-d", f"/jobs/{job}/n", str(path)]
        dump = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_SECONDS)
        if dump.returncode and not path.exists():
            raise Gone
        if dump.returncode:
            found.append(f"{job}: h5dump fails: {dump.stderr.strip()[:200]}")
        elif _numbers(dump.stdout) != held[job]["n"].tolist():
            found.append(f"{job}/n: h5dump prints something else")
    return found


def _numbers(text: str) -> list[int]:
    block = re.search(r"DATA \{(.*?)\}", text, re.DOTALL)
    return [int(number) for number in re.findall(r"-?\d+", block[1])] if block else []
