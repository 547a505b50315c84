import math

import numpy as np
import pytest

from edge.results.statistics import (
    drift,
    quantile_interval_ranks,
    sign_test,
    wilson_interval,
)


@pytest.mark.parametrize("count", [1, 5, 6, 7, 10, 50, 51, 200, 1001])
def test_median_interval_is_the_narrowest_that_covers(count):
    # Exact integers as the oracle: P(X <= k) for X ~ binomial(count, 1/2) is tail(k) / 2^count.
    def missed(rank):
        return 2 * sum(math.comb(count, k) for k in range(rank + 1))

    allowed = 2**count // 20
    ranks = quantile_interval_ranks(count)
    if missed(0) > allowed:
        assert ranks is None
    else:
        low, high = ranks
        assert high == count - 1 - low
        assert missed(low) <= allowed < missed(low + 1)


def test_median_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(3)
    samples = np.sort(rng.exponential(1.0, (4000, 41)), axis=1)
    low, high = quantile_interval_ranks(41)
    covered = np.mean((samples[:, low] <= math.log(2)) & (math.log(2) <= samples[:, high]))
    # At least 95%; the standard error of the share over 4000 trials is 0.0035, 4 of them 0.014.
    assert covered > 0.95 - 0.014


def test_median_interval_is_quick_for_as_many_samples_as_a_row_holds():
    low, high = quantile_interval_ranks(20_000)
    # The normal approximation: 10,000 -+ 1.96 * sqrt(20,000) / 2 = 9,861.4; exact to a few ranks.
    assert abs(low - 9861) <= 2
    assert high == 19_999 - low


def test_drift_compares_the_first_third_with_the_last():
    assert drift([100] * 30 + [150] * 30 + [120] * 30) == pytest.approx(0.2)
    assert drift([1, 2, 3]) == 0


@pytest.mark.parametrize("count", [1, 20, 35, 36, 40, 200])
@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_quantile_interval_is_the_narrowest_that_covers(count, quantile):
    def below(rank):
        """P(B <= rank) for B ~ binomial(count, quantile)."""
        terms = (
            math.comb(count, k) * quantile**k * (1 - quantile) ** (count - k)
            for k in range(rank + 1)
        )
        return math.fsum(terms)

    ranks = quantile_interval_ranks(count, quantile)
    if below(0) > 0.025 or 1 - below(count - 1) > 0.025:
        assert ranks is None
    else:
        low, high = ranks
        assert below(low) <= 0.025 < below(low + 1)
        assert 1 - below(high) <= 0.025 < 1 - below(high - 1)


def test_quantile_interval_covers_p90_as_often_as_it_says():
    rng = np.random.default_rng(4)
    samples = np.sort(rng.exponential(1.0, (4000, 101)), axis=1)
    low, high = quantile_interval_ranks(101, 0.9)
    true = -math.log(0.1)
    covered = np.mean((samples[:, low] <= true) & (true <= samples[:, high]))
    # At least 95%; the standard error of the share over 4000 trials is 0.0035, 4 of them 0.014.
    assert covered > 0.95 - 0.014


@pytest.mark.parametrize(
    ("successes", "count", "probability"), [(0, 10, 2**-10), (5, 5, 1.0), (1, 4, 5 / 16), (0, 0, 1)]
)
def test_sign_test_counts_throws_of_a_coin(successes, count, probability):
    assert sign_test(successes, count) == pytest.approx(probability)


def test_wilson_interval_agrees_with_its_defining_equation():
    # Its ends are the fractions p from which the observed one is 1.96 standard errors away.
    for end in wilson_interval(945, 1000):
        assert abs(0.945 - end) == pytest.approx(1.96 * (end * (1 - end) / 1000) ** 0.5)
    assert wilson_interval(1000, 1000)[1] == pytest.approx(1.0)
