"""Who looks after a writer: one alarm when it goes, one end when it is back, and no false ones."""

from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.vigil import Vigil

STEPS = st.lists(
    st.tuples(st.sampled_from(["heard", "gone", "look"]), st.floats(0.1, 30.0)), max_size=40
)


@given(STEPS)
def test_alarm_and_end_take_turns_whatever_happens(steps):
    vigil, now, levels = Vigil(0.0, patience=5.0), 0.0, []
    for what, seconds in steps:
        now += seconds
        act = {"heard": vigil.heard, "look": vigil.look}.get(what)
        change = act(now) if act else vigil.gone("killed", now)
        levels += [change.level] if change else []
        assert (vigil.raised is not None) == (len(levels) % 2 == 1)
    assert levels == [("alarm", "ok")[n % 2] for n in range(len(levels))]


@given(st.lists(st.floats(0.1, 4.0), max_size=40))
def test_a_writer_that_beats_is_never_missed(pauses):
    vigil, now = Vigil(0.0, patience=5.0), 0.0
    for pause in pauses:
        now += pause
        assert vigil.look(now) is None
        assert vigil.heard(now) is None


def test_the_sleep_of_who_looks_is_no_silence_of_the_writer():
    vigil = Vigil(0.0, patience=5.0)
    assert vigil.look(3600.0) is None
    assert all(vigil.look(3600.0 + second) is None for second in range(1, 5))
    assert vigil.look(3605.0).text == "writer: not heard for 3605 s"
