"""The rows of a soak, read with plain h5py: each once, in order, or counted as lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import h5py
import numpy as np

from benchmarks.soak_system import FOLDED

__all__ = ["check"]

Rows = dict[str, dict[int, list[np.ndarray]]]


def _read(data: Path) -> tuple[Rows, Counter[str]]:
    """By job and birth of its getter: the numbers of its rows; and what was counted as lost."""
    files = []
    for path in data.glob("*.hdf5"):
        with h5py.File(path) as file:
            files.append((float(file.attrs["file_start"]), path))
    rows: Rows = defaultdict(lambda: defaultdict(list))
    lost: dict[str, dict[str, int]] = defaultdict(dict)
    for _, path in sorted(files):
        with h5py.File(path) as file:
            for name, group in file["soak"].items():
                for cause in [c for c in group.attrs if c.startswith("lost_")]:
                    # Each file has what was lost in the run so far.
                    lost[name][cause] = int(group.attrs[cause]) * (cause != "lost_late")
                births = group["birth"][:] if "birth" in group else np.empty(0)
                for birth in np.unique(births):
                    rows[name][int(birth)].append(group["n"][:][births == birth])
    return rows, Counter({name: sum(causes.values()) for name, causes in lost.items()})


def check(folder: Path, killed: dict[int, int]) -> tuple[dict[str, int], list[str]]:
    """Counts, and what is wrong.

    Parameters
    ----------
    folder : Path
        With ``data`` and ``truth`` in it.
    killed : dict
        Process ids of what was killed.
    """
    rows, lost = _read(folder / "data")
    counts: Counter[str] = Counter()
    wrong = []
    for job, births in rows.items():
        for birth, parts in births.items():
            numbers = np.concatenate(parts)
            counts["in the files"] += len(numbers)
            steps = np.diff(numbers)
            odd = (steps < 0) | (steps > 1) if job == "fold" else steps != 1
            if odd.any() or numbers[0] != 0:
                at = int(np.flatnonzero(odd)[0]) if odd.any() else 0
                wrong.append(f"{job} of {birth}: {numbers[at : at + 2]} follow each other")
    wrong += _missing(folder / "truth", rows, lost, killed, counts)
    left = [p for p in (folder / "data").iterdir() if p.name.endswith((".redo", ".part"))]
    left += list((folder / "data" / ".h5daq").glob("refused/*"))
    left += list((folder / "state").rglob("*.rows"))
    return dict(counts), wrong + [f"left over: {path}" for path in left]


def _missing(
    truth: Path, rows: Rows, lost: Counter[str], killed: dict[int, int], counts: Counter[str]
) -> list[str]:
    missing, kills = Counter[str](), Counter[str]()
    for path in truth.iterdir():
        job, pid, birth = path.name.rsplit(".", 2)
        made = int.from_bytes(path.read_bytes(), "little")
        made = -(-made // FOLDED) if job == "fold" else made
        parts = rows[job].get(int(birth), [])
        counts["made"] += made
        missing[job] += made - (len(np.unique(np.concatenate(parts))) if parts else 0)
        kills[job] += int(pid) in killed
    counts["counted as lost"] = lost.total()
    # But for the row that a getter had in hand when its worker was killed.
    return [
        f"{job}: {missing[job]} rows are missing, {lost[job]} counted as lost, {kills[job]} kills"
        for job in missing
        if missing[job] > lost[job] + kills[job]
    ]
