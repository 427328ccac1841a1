"""Small files in the layout of run files, made by plain h5py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

START = 1_800_000_000.0
"""When the runs of these tests began: a round number of seconds."""

MakeFile = Callable[..., Path]


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Makes the file with that id in a chain; `fill` writes its groups."""

    def make(
        number: int,
        fill: Callable[[h5py.File], object] = lambda file: None,
        *,
        run: str = "run-1",
        run_start: float = START,
        name: str | None = None,
        **attrs: Any,
    ) -> Path:
        path = tmp_path / (name or f"DAQ_{number}.hdf5")
        with h5py.File(path, "w", libver="v110", track_order=True) as file:
            file.attrs.update(
                file_id=np.uint64(number),
                previous_file_id=np.uint64(number - 1),
                following_file_id=np.uint64(number + 1),
                run_id=run,
                name="tank",
                run_start=run_start,
                file_start=run_start + 100.0 * number,
                **attrs,
            )
            fill(file)
        return path

    return make
