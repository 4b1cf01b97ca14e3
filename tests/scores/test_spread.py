import math
import statistics

import pytest
from scipy import stats

import regional_primitives as rp
from regional_primitives.scores.spread import Spread, student_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 19, 20, 99, 100, 1001])
def test_the_quantile_is_that_of_students_t(freedom):
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_the_interval_is_that_of_a_t_test():
    values = [0.3, 0.1, 0.45, 0.2, 0.22]
    found = Spread.over(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.mean - found.half_interval_95 == pytest.approx(low)
    assert found.mean + found.half_interval_95 == pytest.approx(high)
    assert (found.least, found.most, found.pictures) == (0.1, 0.45, 5)


def test_equal_values_have_an_interval_of_no_width():
    assert Spread.over([0.5, 0.5]).half_interval_95 == 0.0


def test_a_single_value_has_no_interval():
    assert Spread.over([0.5]) == Spread(0.5, None, 0.5, 0.5, 1)


def test_nothing_has_no_mean():
    with pytest.raises(rp.InputError, match="at least one value"):
        Spread.over([])


def test_two_values_are_barely_an_interval():
    # One degree of freedom: t = tan(0.475 π) = 12.706…
    half = Spread.over([0.0, 1.0]).half_interval_95
    assert half == pytest.approx(math.tan(0.475 * math.pi) / 2)
