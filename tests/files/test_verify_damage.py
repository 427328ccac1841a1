"""No damage makes `verify` fail, also where it makes HDF5 itself crash or go round in circles."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5daq.files.verify.watching import MOST_CRASHES, check_in_child
from h5daq.testing.runs import make_run

CHILD = """
import json, os, signal, sys, time
asked = json.load(sys.stdin)

def say(**words):
    print(json.dumps(words), flush=True)

for path in asked["paths"]:
    say(file=path)
    for where in ("/a", "/b", "/c"):
        if where in asked["skip"].get(path, ()):
            continue
        say(at=where)
        say(finding=dict(severity="note", kind="seen", text=where))
        if where == "/b" and path.endswith("bad"):
            {end}
    say(done=path)
"""


def play(end, paths, **options):
    """The reports when HDF5 ends so at /b of files whose names end with "bad"."""
    command = (sys.executable, "-c", CHILD.replace("{end}", end))
    paths = [Path(path) for path in paths]
    return check_in_child(paths, quick=False, patience=0.0, command=command, **options)


def lines(report):
    return [finding.text for finding in report.findings]


def test_a_crash_is_a_finding_and_the_rest_is_checked():
    end = "os.kill(os.getpid(), signal.SIGSEGV)"
    good, bad, last = play(end, ["good", "bad", "last"])
    assert lines(good) == lines(last) == ["/a", "/b", "/c"]
    assert lines(bad) == ["/a", "/c", "HDF5 itself crashed (SIGSEGV) while reading /b"]
    assert (bad.ok, bad.findings[-1].where) == (False, "/b")


def test_going_round_in_circles_is_ended():
    bad, last = play("signal.pause()", ["bad", "last"], silence=2.0)
    assert "came to no end" in lines(bad)[-1]
    assert lines(last) == ["/a", "/b", "/c"]


def test_an_error_that_nobody_foresaw_is_told_with_its_text():
    (bad,) = play("raise KeyError('odd')", ["bad"])
    assert lines(bad)[-1] == "HDF5 itself gave up (KeyError: 'odd') while reading /b"


def test_a_file_that_crashes_everywhere_is_given_up():
    code = CHILD.replace('("/a", "/b", "/c")', "map(str, range(100))")
    code = code.replace('where == "/b" and', "").replace("{end}", "os.abort()")
    command = (sys.executable, "-c", code)
    bad, last = check_in_child(
        [Path("bad"), Path("last")], quick=True, patience=0.0, command=command
    )
    assert sum(finding.kind == "crash" for finding in bad.findings) == MOST_CRASHES
    assert last.ok


def test_a_child_that_never_begins_is_told_for_each_file():
    command = (sys.executable, "-c", "raise SystemExit('no h5py here')")
    reports = check_in_child([Path("a"), Path("b")], quick=True, patience=0.0, command=command)
    assert [lines(report) for report in reports] == [
        ["HDF5 itself gave up (no h5py here) while reading its head"]
    ] * 2


# -- real damage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two files as bytes, plain and gzip, each with a map of the bytes that have a checksum."""
    paths = make_run(tmp_path_factory.mktemp("images"), 2)
    return [(path.read_bytes(), covered(path)) for path in paths]


def covered(path):
    found = np.zeros(path.stat().st_size, bool)
    with h5py.File(path) as file:
        for name in ("time", "T", "p", "w"):
            dataset = file["tank/T1"][name]
            for number in range(dataset.id.get_num_chunks()):
                info = dataset.id.get_chunk_info(number)
                found[info.byte_offset : info.byte_offset + info.size] = True
    return found


FLIPS = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
    min_size=10, max_size=10,
)  # fmt: skip


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(FLIPS)
def test_any_flipped_byte_is_survived_and_found_in_a_chunk(images, flips):
    with tempfile.TemporaryDirectory() as folder:
        paths, must = [], []
        for number, (second, where, mask) in enumerate(flips):
            image, sums = images[second]
            data, at = bytearray(image), int(where * len(image))
            data[at] ^= mask
            paths.append(Path(folder, f"{number}.h5"))
            paths[-1].write_bytes(data)
            must.append(bool(sums[at]))
        reports = check_in_child(paths, quick=False, patience=0.0, silence=10.0)
    assert [str(path) for path in paths] == [report.path for report in reports]
    assert all(not report.ok for report, hit in zip(reports, must, strict=True) if hit)
    json.dumps([report.as_dict() for report in reports])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), mask=st.integers(1, 255))
def test_any_change_in_a_chunk_is_found(images, tmp_path, data, mask):
    from h5daq.files.verify.file import Options, check_file
    from h5daq.files.verify.report import FileReport
    from h5daq.files.verify.telling import Collected

    image, sums = images[data.draw(st.integers(0, 1))]
    at = data.draw(st.sampled_from(np.flatnonzero(sums).tolist()))
    path = tmp_path / "flipped.h5"
    path.write_bytes(image[:at] + bytes([image[at] ^ mask]) + image[at + 1 :])
    report = FileReport(str(path))
    check_file(path, Collected(report), Options(patience=0.0))
    assert {finding.kind for finding in report.findings} == {"chunk"}
