import numpy as np
import pytest

from training.evaluation.intervals import bootstrap_interval, compare, intervals

SPREAD = 0.5


def draws(rng, count):
    """Per-image AbsRel as it comes: skewed, a tenth of the images twice as bad as the median."""
    return rng.lognormal(-2, SPREAD, count)


@pytest.mark.parametrize("count", [40, 100])
def test_intervals_hold_the_true_mean_as_often_as_they_say(count):
    rng = np.random.default_rng(count)
    truth = np.exp(-2 + SPREAD**2 / 2)
    held = 0
    for seed in range(1200):
        low, high = bootstrap_interval(draws(rng, count), resamples=400, seed=seed)
        held += low < truth < high
    assert held / 1200 == pytest.approx(0.95, abs=0.02)


def test_intervals_of_differences_hold_the_true_difference():
    rng = np.random.default_rng(7)
    held = 0
    for seed in range(1200):
        hard = draws(rng, 40)  # both models find the same images hard
        first, second = hard * rng.normal(1.0, 0.1, 40), hard * rng.normal(1.1, 0.1, 40)
        low, high = bootstrap_interval(first - second, resamples=400, seed=seed)
        held += low < -0.1 * np.exp(-2 + SPREAD**2 / 2) < high
    assert held / 1200 == pytest.approx(0.95, abs=0.02)


def test_a_paired_comparison_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(0)
    hard = {f"{k}.png": float(value) for k, value in enumerate(draws(rng, 60))}
    better = {name: 0.95 * value for name, value in hard.items()}
    better["alone.png"] = 9.0
    pair = compare(better, hard)
    assert pair["images"] == 60
    assert pair["wins"] == [60, 0]
    assert pair["difference"] == pytest.approx(-0.05 * np.mean(list(hard.values())))
    assert pair["interval"][1] < 0
    ends = [bootstrap_interval(list(values.values())) for values in (hard, {n: better[n] for n in hard})]
    assert ends[1][1] > ends[0][0]  # the two models' own intervals overlap
    assert compare(better, hard, higher_is_better=True)["wins"] == [0, 60]


def test_few_or_equal_images():
    assert bootstrap_interval([0.1, 0.2]) is None
    assert bootstrap_interval([0.5] * 9) == [0.5, 0.5]
    assert intervals([None, None]) is None
    assert intervals([{"delta1": 1.0}] * 5 + [None]) == {"delta1": [1.0, 1.0]}
    assert bootstrap_interval(range(10)) == bootstrap_interval(range(10))
