"""Student's t distribution against SciPy's."""

import pytest
from scipy.stats import t as reference

from tfcanary.decide.stats.student import upper_quantile, upper_tail


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 19, 60])
@pytest.mark.parametrize("tail", [0.5, 0.1, 0.02, 0.0017, 1e-5])
def test_the_quantile_is_that_of_scipy(tail, freedom):
    assert upper_quantile(tail, freedom) == pytest.approx(reference.isf(tail, freedom), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 3, 6, 11])
def test_the_tail_is_that_of_scipy(freedom):
    for t in (0.0, 0.3, 1.0, 4.0, 30.0):
        assert upper_tail(t, freedom) == pytest.approx(reference.sf(t, freedom), rel=1e-6)
