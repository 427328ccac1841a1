"""Every layout and every kind of filter passes the exam of `h5daq.testing.check_layout`."""

from functools import partial

import pytest

from h5daq.storage.layouts.run import FileHead, RunFile
from h5daq.testing.layouts import check_layout

OPTIONS = {
    "plain": {},
    "not durable": {"durable": False},
    "no checksums": {"compression": {"fletcher32": False}},
    "gzip 1": {"compression": {"compression": "gzip", "compression_opts": 1, "shuffle": True}},
    "gzip 6": {"compression": {"compression": "gzip", "compression_opts": 6}},
    "lzf": {"compression": {"compression": "lzf"}},
    "small overlay": {"overlay_bytes": 1 << 16},
}


def head():
    return FileHead(7, 0, 8, 0.0, 0.0, 100.0, "exam", 60.0, 5.0, "1 days")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_run_file_passes_the_exam_of_layouts(tmp_path, options):
    def create(path):
        return RunFile.create(path, head(), **options)

    check_layout(create, partial(RunFile.reopen, **options), tmp_path)


def test_the_exam_notices_a_layout_that_loses_a_row(tmp_path):
    class Forgetful(RunFile):
        def append(self, job, batch, **more):
            super().append(job, batch.tail(1) if batch.n == 7 else batch, **more)

    with pytest.raises(AssertionError, match="/tank/time"):
        check_layout(lambda path: Forgetful.create(path, head()), Forgetful.reopen, tmp_path)
