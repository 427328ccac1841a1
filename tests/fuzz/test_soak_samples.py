"""What a soak takes for growth: what goes on growing, and not a thread that is needed late."""

import pytest

from benchmarks.soak_samples import Samples


@pytest.fixture
def seen(tmp_path):
    """The flaws of a writer that was looked at for four minutes, by what it had at each second."""

    def flaws(mib, threads):
        samples = Samples(tmp_path)
        samples._lives["writer", 1, 0.0] = [
            (float(t), mib(t), 40.0, threads(t)) for t in range(0, 240, 2)
        ]
        return samples.flaws()

    return flaws


def test_a_step_is_no_growth(seen):
    assert seen(lambda t: 70.0, lambda t: 5.0 if t < 140 else 7.0) == []


def test_what_goes_on_growing_is_named(seen):
    grown = seen(lambda t: 70.0 + t / 60, lambda t: 5.0 + t // 60)
    assert grown[0] == "writer: +1.00 MiB per minute"
    assert grown[1].endswith("threads per minute")
