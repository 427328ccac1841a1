"""Windows on a slow disk: never wider than asked for, never shut, and wide again in the end."""

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.breadth import LEAST_BYTES, SLOW_SECONDS, Breadth

seconds = st.floats(0.0, 100.0)


@given(st.lists(seconds), st.integers(0, 1 << 26))
def test_a_window_is_neither_widened_nor_shut(syncs, window):
    breadth = Breadth()
    for took in syncs:
        breadth.synced(took)
    assert min(window, LEAST_BYTES) <= breadth.of(window) <= window


@given(st.lists(seconds))
def test_after_enough_quick_syncs_it_is_whole_again(syncs):
    breadth = Breadth()
    for took in [*syncs, *[0.001] * 100]:
        breadth.synced(took)
    assert breadth.of(1 << 26) == 1 << 26


@given(st.floats(1.0, 500.0))
def test_on_a_disk_of_any_speed_syncs_become_short(mib_per_second):
    breadth, window = Breadth(), 64 << 20
    for _ in range(60):
        took = breadth.of(window) / (mib_per_second * (1 << 20))
        breadth.synced(took)
    assert took <= 2 * SLOW_SECONDS
