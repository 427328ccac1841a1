"""Superblocks of every kind: found, understood, marked."""

import io

import h5py
import pytest

from h5daq.storage.superblock import find_superblock, is_marked, lookup3, marked, parse_superblock

LIBVERS = ["earliest", "v108", "v110", "v112", "latest"]


def image(libver, userblock=0):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver, userblock_size=userblock) as f:
        f["x"] = range(100)
    return file.getvalue()


def find(data):
    return find_superblock(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize("userblock", [0, 512, 2048, 8192])
@pytest.mark.parametrize("libver", LIBVERS)
def test_the_superblock_of_any_file_says_its_length(libver, userblock):
    data = image(libver, userblock)
    found = find(data)
    assert (found.offset, found.end) == (userblock, len(data))
    assert not found.open_for_write


@pytest.mark.parametrize("libver", LIBVERS)
def test_a_user_block_that_was_put_in_front_moves_the_end(libver):
    data = bytes(1024) + image(libver)
    assert find(data).end == len(data)


@pytest.mark.parametrize("libver", LIBVERS)
def test_a_marked_file_is_refused_however_it_is_opened(tmp_path, libver):
    data = image(libver)
    found = find(data)
    data = marked(found.raw) + data[len(found.raw) :]
    path = tmp_path / "marked.h5"
    path.write_bytes(data)
    for name in (path, io.BytesIO(data)):
        for mode in ("r", "r+"):
            with pytest.raises(OSError, match="superblock"):
                h5py.File(name, mode)
    assert find(data) is None


@pytest.mark.parametrize("libver", ["v110", "latest"])
def test_a_file_that_hdf5_has_open_for_writing_says_so(tmp_path, libver):
    path = tmp_path / "open.h5"
    with h5py.File(path, "w", libver=libver) as f:
        f["x"] = 1
        f.flush()
        assert find(path.read_bytes()).open_for_write


def test_a_torn_superblock_is_none():
    found = find(image("v110"))
    for cut in range(1, len(found.raw)):
        torn = found.raw[:cut] + bytes(len(found.raw) - cut)
        assert torn == found.raw or parse_superblock(0, torn.ljust(512)) is None


@pytest.mark.parametrize("data", [b"", b"\x89HDF", bytes(10_000), b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_hdf5_file_has_none(data):
    assert find(data) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)],
)
def test_lookup3_gives_the_published_values(text, expected):
    assert lookup3(text) == expected


@pytest.mark.parametrize("libver", LIBVERS)
def test_the_mark_is_told_from_damage(libver):
    data = image(libver)
    head = marked(data[:512])
    assert is_marked(head)
    assert not is_marked(data[:512])
    # A length that can't be, in every version of the superblock.
    assert not is_marked(head[:9] + b"\xff" * 6 + head[15:])
