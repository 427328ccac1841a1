"""What FILES.md says of reading holds: its Python runs, and its attributes are those of a file."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.storage import layouts

GUIDE = Path(layouts.__file__).parents[1] / "FILES.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("guide")
    job = h5daq.DAQJob(
        "tank/temperature", ["T_top", "wave"], lambda: [20.5, np.zeros(4, "i2")], 0.01,
        dtype=["f8", "i2"], shape=[(0,), (0, 4)], units=["K", ""],
    )  # fmt: skip
    with h5daq.DAQDaemon(job, directory=directory / "data") as daemon:
        while daemon.job_rows("tank/temperature") < 3:
            daemon.flush()
    (directory / "run.hdf5").symlink_to(daemon.file_name)
    return directory


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["h5py", "xarray", "h5daq"])
def test_its_python_reads_a_run(recorded, monkeypatch, snippet):
    monkeypatch.chdir(recorded)
    names = {}
    exec(snippet, names)
    if "data" in names:
        names["data"].close()
        assert names["data"]["T_top"].attrs["units"] == "K"
    elif "hour" not in names:
        assert (names["T"].max(), names["unit"]) == (20.5, "K")


def test_every_attribute_of_a_file_is_explained(recorded):
    text = GUIDE.read_text(encoding="utf-8")
    with h5py.File(recorded / "run.hdf5") as file:
        group = file["tank/temperature"]
        nodes = [file, group, *group.values()]
        names = {name for node in nodes for name in node.attrs}
    scales = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_Netcdf4Dimid"}
    assert [name for name in sorted(names - scales) if f"`{name}`" not in text] == []
