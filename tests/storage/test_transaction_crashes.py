"""After any crash a file is as before the transaction or as after it, and never misread."""

import functools
import io
import random
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5daq.storage.transaction import TransactionFile, recover_directory
from h5daq.testing.disk import SimulatedDisk

PATH = Path("/lab/run.h5")
LIBVERS = ["earliest", "v108", "v110", "v112", "latest"]


@functools.lru_cache(256)
def state(data):
    """Everything that a plain h5py sees; "refused" if it does not open, None without a file."""
    if data is None:
        return None
    try:
        file = h5py.File(io.BytesIO(data), "r")
    except OSError:
        return "refused"
    with file:
        return contents(file)


def contents(file):
    found = [describe("/", file)]
    file.visititems(lambda name, thing: found.append(describe(name, thing)))
    return repr(found)


def describe(name, thing):
    values = thing[()].tolist() if isinstance(thing, h5py.Dataset) else None
    return name, values, {k: np.asarray(v).tolist() for k, v in thing.attrs.items()}


def plain_file(libver, userblock=0):
    image = io.BytesIO()
    with h5py.File(image, "w", libver=libver, userblock_size=userblock) as f:
        f.attrs["made"] = "by hand"
        f.create_dataset("rows", data=np.arange(600.0), maxshape=(None,), chunks=(256,))
        f.create_dataset("words", data=["old"] * 3, dtype=h5py.string_dtype(), maxshape=(None,))
    return image.getvalue()


def change(f, step):
    """A transaction with a bit of everything: new objects, growth, rewriting, deletion."""
    rows, words = f["rows"], f["words"]
    rows.resize((len(rows) + 300,))
    rows[-400:] = step
    words.resize((len(words) + 2,))
    words[-2:] = [f"word {step}", "x" * 300]
    group = f.create_group(f"group{step}")
    group.attrs["note"] = f"step {step}" * 50
    data = np.arange(2000) % (step + 2)
    group.create_dataset("packed", data=data, compression="gzip", shuffle=True, chunks=(500,))
    f.attrs["step"] = step
    if f"group{step - 1}" in f:
        del f[f"group{step - 1}"]


class Story:
    """Transactions on a simulated disk, with the state and the moment of each commit."""

    def __init__(self, files, libver=None, **options):
        self.disk = SimulatedDisk(files)
        self.options = {"libver": libver, **options}
        self.states = [state(self.disk.contents(PATH))]
        self.begun, self.done = [0], [0]

    def open(self, **more):
        return TransactionFile(PATH, disk=self.disk, **self.options, **more)

    def commit(self, target, work=change):
        file = target.begin()
        work(file, len(self.states))
        self.states.append(contents(file))
        self.begun.append(self.disk.events)
        info = target.commit()
        self.done.append(self.disk.events)
        return info

    def states_at(self, moment):
        """The newest state that is safe by then, and the one that may be."""
        safe = sum(done <= moment for done in self.done)
        possible = sum(begun <= moment for begun in self.begun)
        return self.states[safe - 1 : possible]

    def hold_open(self):
        fd = self.disk.open(PATH)
        assert self.disk.lock(fd, exclusive=False)
        return fd


def check_crash(story, moment, dice):
    """A crash, a look with plain h5py, a recovery that crashes too, and the last recovery."""
    found = story.disk.crash(moment, dice)
    assert state(found.contents(PATH)) in {*story.states, "refused"}
    recover_directory(PATH.parent, disk=found)
    again = found.crash(dice.randint(0, found.events), dice)
    assert state(again.contents(PATH)) in {*story.states, "refused"}
    recover_directory(PATH.parent, disk=again)
    for disk in (found, again):
        assert state(disk.contents(PATH)) in story.states_at(moment)
        assert [n for n in disk.names(PATH.parent) if n.startswith(".")] == []


def check_crashes(story, count, seed):
    dice = random.Random(seed)
    for _ in range(count):
        check_crash(story, dice.randint(0, story.disk.events), dice)


@pytest.mark.parametrize("userblock", [0, 512, 4096])
@pytest.mark.parametrize("libver", LIBVERS)
def test_a_crash_leaves_the_state_before_or_after(libver, userblock):
    story = Story({PATH: plain_file(libver, userblock)}, libver)
    target = story.open()
    for _ in range(3):
        story.commit(target)
    target.close()
    check_crashes(story, 50, seed=userblock)


def changing_later(target):
    """A transaction with chunks that get their place first and their bytes later."""

    def work(file, step):
        change(file, step)
        data = file.get("large")
        if data is None:
            shape = {"maxshape": (None, 9000), "chunks": (1, 9000)}
            data = file.create_dataset("large", (0, 9000), "u1", **shape)
        for row in range(3 * step - 3, 3 * step):
            data.id.set_extent((row + 1, 9000))
            with target.later(9000, lambda buffer: buffer.fill(step)) as placeholder:
                data.id.write_direct_chunk((row, 0), placeholder)

    return work


@pytest.mark.parametrize("libver", LIBVERS)
def test_a_crash_with_chunks_that_come_later_leaves_the_state_before_or_after(libver):
    story = Story({PATH: plain_file(libver)}, libver)
    target = story.open()
    for _ in range(3):
        story.commit(target, changing_later(target))
    target.close()
    check_crashes(story, 50, seed=7)


@pytest.mark.parametrize("libver", LIBVERS)
def test_a_crash_with_pending_transactions_keeps_them(libver):
    story = Story({PATH: plain_file(libver)}, libver)
    story.hold_open()
    target = story.open()
    assert [story.commit(target).applied for _ in range(4)] == [False] * 4
    assert state(story.disk.contents(PATH)) == story.states[0]
    check_crashes(story, 60, seed=1)


def test_a_crash_after_the_reader_has_gone_keeps_every_state():
    story = Story({PATH: plain_file("v110")}, "v110")
    target = story.open()
    for reading in (True, False, True, True, False):
        reader = story.hold_open() if reading else None
        story.commit(target)
        if reader is not None:
            story.disk.close(reader)
    assert target.apply_pending()
    target.close()
    check_crashes(story, 200, seed=2)


def test_a_crash_while_pages_spill_into_the_log_loses_nothing():
    story = Story({PATH: plain_file("v110")}, "v110", overlay_bytes=8192)
    target = story.open()
    for _ in range(4):
        story.commit(target, work=rewrite)
    target.close()
    check_crashes(story, 150, seed=3)


def rewrite(f, step):
    """Many pages below the committed length change."""
    if "block" not in f:
        f.create_dataset("block", (40_000,), "u1", chunks=(5000,))
    f["block"][:] = step
    change(f, step)


def test_a_crash_while_a_file_is_made_leaves_none_or_the_whole():
    story = Story({}, "v110")
    target = story.open(create=True)
    story.commit(target, work=lambda f, step: f.create_dataset("rows", data=np.arange(3000)))
    story.commit(target, work=lambda f, step: f.attrs.create("n", step))
    target.close()
    check_crashes(story, 200, seed=4)


def test_a_crash_with_a_shrinking_file_leaves_the_state_before_or_after():
    story = Story({PATH: plain_file("v110")}, "v110")
    target = story.open()
    story.commit(target, work=lambda f, step: f.create_dataset("big", data=np.ones(50_000, "u1")))
    grown = target.committed_bytes
    reader = story.hold_open()
    story.commit(target, work=lambda f, step: f.__delitem__("big"))
    assert target.committed_bytes < grown
    story.commit(target)
    story.disk.close(reader)
    target.close()
    check_crashes(story, 200, seed=5)


def test_a_crash_in_the_middle_of_a_rename_loses_no_pending_transaction():
    new = PATH.with_name("sealed.h5")
    story = Story({PATH: plain_file("v110")}, "v110")
    story.hold_open()
    target = story.open()
    story.commit(target)
    before = story.disk.events
    target.rename(new)
    for moment in range(before, story.disk.events + 1):
        for seed in range(10):
            found = story.disk.crash(moment, random.Random(seed))
            recover_directory(PATH.parent, disk=found)
            data = found.contents(PATH) or found.contents(new)
            assert state(data) == story.states[1]
