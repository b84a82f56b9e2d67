"""Intervals, against what fresh draws do and against scipy."""

import numpy as np
import pytest
import scipy.stats

from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import share


def test_by_halves_covers_the_truth_nineteen_times_in_twenty():
  """Of a difference of means, whose standard error is known."""
  rng = np.random.default_rng(0)
  covered, widths = [], []
  for _ in range(300):
    a, b = rng.normal(1.0, 2.0, 100), rng.normal(0.0, 1.0, 60)
    got = by_halves(lambda i, j: a[i].mean() - b[j].mean(), 100, 60)
    covered.append(got.low < 1.0 < got.high)
    widths.append(got.high - got.low)
  # 95 %, less what 20 halves know too little of the spread: t of 19 degrees
  # gives 93.5 %. 300 trials have a standard error of 1.4 %.
  assert 0.935 - 4 * 0.014 < np.mean(covered) < 0.935 + 4 * 0.014
  want = 2 * 1.96 * np.sqrt(4 / 100 + 1 / 60)
  np.testing.assert_allclose(np.mean(widths), want, rtol=0.05)


def test_by_halves_gives_the_statistic_of_all_rows():
  x = np.arange(10.0)
  got = by_halves(lambda i: x[i].sum(), 10)
  assert got.value == 45 and got.low < 45 < got.high


@pytest.mark.parametrize('sizes, halves, message', [
    ((3,), 20, '4 rows or more, got 3'), ((9,), 1, 'num_halves must be 2'),
])
def test_by_halves_refuses_what_has_no_spread(sizes, halves, message):
  with pytest.raises(ValueError, match=message):
    by_halves(lambda i: 0.0, *sizes, num_halves=halves)


@pytest.mark.parametrize('right, num', [(0, 1), (3, 7), (295, 297), (297, 297)])
def test_share_has_the_interval_of_wilson(right, num):
  """As scipy has it, in float64."""
  found = share(np.arange(num) < right)
  known = scipy.stats.binomtest(right, num).proportion_ci(method='wilson')
  np.testing.assert_allclose(
      found, [right / num, known.low, known.high], rtol=1e-12, atol=1e-15)


def test_share_covers_what_it_estimates():
  """In 95 % of sets, less than 3 standard errors and Wilson's own .01 off."""
  rng = np.random.default_rng(0)
  found = [share(rng.random(100) < 0.9) for _ in range(1000)]
  held = np.mean([e.low <= 0.9 <= e.high for e in found])
  assert abs(held - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1000) + 0.01


def test_share_of_nothing_is_refused():
  with pytest.raises(ValueError, match='must hold an example'):
    share(np.zeros(0, bool))
