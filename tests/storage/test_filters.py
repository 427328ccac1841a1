"""Blocks encoded outside HDF5 are what HDF5's own filters read."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from h5daq.errors import ConfigError, ConfigKeyError
from h5daq.storage import fletcher
from h5daq.storage.filters import Filters

DTYPES = st.sampled_from(["<f8", "<f4", "<f2", "<i8", "<i2", "|u1", "|b1", "<c16", "|S3"])
COMPRESSIONS = st.sampled_from(
    [None, {}, {"shuffle": True}, {"fletcher32": False}, {"compression": "gzip"},
     {"compression": "gzip", "compression_opts": 1, "shuffle": True}, {"compression": 9},
     {"compression": "gzip", "compression_opts": 0}, {"compression": 2, "fletcher32": False}]
)  # fmt: skip


def in_memory():
    return h5py.File("filters", "w", driver="core", backing_store=False, libver="v110")


def read_back(block, filters):
    with in_memory() as file:
        dataset = file.create_dataset(
            "x", block.shape, block.dtype, chunks=block.shape, **filters.dataset_options()
        )
        dataset.id.write_direct_chunk((0,) * block.ndim, filters.encode(block))
        return dataset[:]


@given(st.data(), DTYPES, COMPRESSIONS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hdf5_reads_what_was_encoded_outside(data, dtype, compression):
    shape = data.draw(st.sampled_from([(1,), (7,), (64,), (5, 3)]))
    block = data.draw(arrays(dtype, shape))
    np.testing.assert_array_equal(read_back(block, Filters(compression)), block)


@pytest.mark.parametrize("compression", [None, {"compression": "gzip", "compression_opts": 1}])
def test_a_flipped_bit_is_seen_by_hdf5(compression):
    filters, block = Filters(compression), np.arange(100.0)
    chunk = bytearray(filters.encode(block))
    chunk[17] ^= 4
    with in_memory() as file:
        dataset = file.create_dataset("x", (100,), "f8", chunks=(100,), **filters.dataset_options())
        dataset.id.write_direct_chunk((0,), bytes(chunk))
        with pytest.raises(OSError, match="filter"):
            dataset[:]


def test_without_any_filter_the_block_itself_is_written():
    filters, block = Filters({"fletcher32": False}), np.arange(4.0)
    assert np.shares_memory(np.frombuffer(filters.encode(block)), block)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_the_length_is_known_beforehand_where_nothing_is_deflated(shuffle, fletcher32):
    filters = Filters({"shuffle": shuffle, "fletcher32": fletcher32})
    block = np.arange(1000.0)
    buffer = np.empty(filters.stored_bytes(block.nbytes), "u1")
    filters.fill(block, buffer)
    assert bytes(buffer) == bytes(filters.encode(block))
    assert not filters.deflates


def test_the_length_is_not_known_where_it_depends_on_the_data():
    assert Filters({"compression": "gzip"}).stored_bytes(100) == 0
    assert Filters({"compression": "gzip"}).deflates
    assert Filters({"compression": "lzf"}).stored_bytes(100) == 0


@pytest.mark.parametrize("function", [None, fletcher._of_numcodecs])
def test_the_checksum_is_that_of_hdf5(function, monkeypatch):
    if function is not None:
        monkeypatch.setattr(fletcher, "_function", lambda: function)
    for length in (1, 2, 3, 719, 720, 721, 100_001):
        data = np.random.default_rng(length).integers(0, 256, length, "u1")
        buffer = np.empty(length + fletcher.SUM_BYTES, "u1")
        chunk = fletcher.append_sum(data.data, buffer)
        with in_memory() as file:
            file.create_dataset("x", data=data, chunks=(length,), fletcher32=True)
            assert file["x"].id.read_direct_chunk((0,))[1] == bytes(chunk)


@given(
    data=st.one_of(
        st.tuples(st.just(0), st.integers(0, 255)), st.tuples(st.integers(1, 2**32), st.just(0))
    ),
    length=st.sampled_from([131_071, 131_072, 131_073, 262_144, 300_002, 400_001]),
    zeros=st.integers(0, 400_000),
)
@settings(max_examples=60, deadline=None)
def test_the_sum_of_large_data_is_that_of_hdf5(data, length, zeros):
    seed, byte = data
    values = np.full(length, byte, "u1")
    if seed:
        values = np.random.default_rng(seed).integers(0, 256, length, "u1")
    values[:zeros] = 0
    assert fletcher.checksum(values) == fletcher._function()(values)


def test_another_filter_is_left_to_hdf5():
    filters = Filters({"compression": "lzf", "shuffle": True})
    assert not filters.direct
    with in_memory() as file:
        dataset = file.create_dataset("x", (8,), "f8", chunks=(8,), **filters.dataset_options())
        assert (dataset.compression, dataset.shuffle, dataset.fletcher32) == ("lzf", True, True)


@pytest.mark.skipif(not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP), reason="HDF5 without szip")
def test_a_type_that_a_filter_does_not_know_gets_checksums_alone():
    filters = Filters({"compression": "szip"})
    assert not filters.fit(np.dtype("<f8")).direct
    assert filters.fit(np.dtype("<c16")).dataset_options() == {"fletcher32": True, "shuffle": False}


@pytest.mark.parametrize(
    "compression",
    [{"compression": "zip"}, {"compression": "gzip", "compression_opts": 11},
     {"compression": "gzip", "compression_opts": "fast"}, {"compression": 64999},
     {"compression": "gzip", "compression_opts": True},
     {"compression": "lzf", "compression_opts": 3}],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_refused_at_once(compression):
    with pytest.raises(ConfigError, match="compression"):
        Filters(compression)


def test_an_unknown_key_is_a_key_error_with_the_known_ones():
    with pytest.raises(ConfigKeyError, match="compression_opts"):
        Filters({"level": 3})
