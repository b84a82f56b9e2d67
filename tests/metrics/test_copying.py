"""Copying, on data of which it is known whether they are copies."""

import math

import numpy as np
import pytest
import scipy.stats

from genjax.metrics import copying


def draws(seed, *sizes, dim=2):
  rng = np.random.default_rng(seed)
  return [rng.normal(size=(n, dim)) for n in sizes]


def test_data_copying_of_fresh_draws_is_standard_normal():
  """One cell: C_T is Z. 100 sets, none of which is taken for a copy."""
  found = [copying.data_copying(*draws(seed, 60, 100, 60), num_cells=1)
           for seed in range(100)]
  values = np.array([estimate.value for estimate in found])
  # The law given the training set is what is N(0, 1): Kolmogorov-Smirnov at
  # one in a thousand.
  assert scipy.stats.kstest(values, 'norm').pvalue > 1e-3
  assert values.min() > -4  # of 100, one is below once in 300 times
  for estimate in found:
    np.testing.assert_allclose([estimate.low, estimate.high],
                               estimate.value + np.array([-1, 1]) * 1.96,
                               atol=1e-4)


def test_data_copying_averages_its_cells_by_their_test_points():
  """Against the definition, written out with loops over pairs."""
  samples, train, test = draws(1, 120, 110, 100, dim=1)
  for x in (samples, train, test):  # two cells far apart
    x[:len(x) // 3] += 100
  found = copying.data_copying(samples, train, test, num_cells=2)
  near = lambda x: np.abs(x - train[:, 0]).min(1)
  want, weights = [], []
  for low, high in ((50, 200), (-50, 50)):
    a, b = (near(x[(x[:, 0] > low) & (x[:, 0] < high)])
            for x in (samples, test))
    pairs = sum(float(p > q) for p in a for q in b)
    n, m = len(a), len(b)
    want.append((pairs - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12))
    weights.append(m / len(test))
  np.testing.assert_allclose(found.value, np.dot(want, weights), rtol=1e-9)
  np.testing.assert_allclose(found.high - found.value,
                             1.96 * np.linalg.norm(weights), rtol=1e-4)


def test_data_copying_sees_copies_and_what_is_far():
  train, test = draws(2, 200, 200)
  noise, = draws(3, 200)
  assert copying.data_copying(train + 1e-3 * noise, train, test).high < -3
  assert copying.data_copying(3 * noise, train, test).low > 3
  # All copies are nearer than all fresh points: Z at its least.
  n = m = 200
  found = copying.data_copying(train, train, test, num_cells=1)
  np.testing.assert_allclose(
      found.value, -n * m / 2 / math.sqrt(n * m * (n + m + 1) / 12))


def test_data_copying_of_too_few_or_broken_rows_is_no_number():
  few, train, test = draws(4, 19, 100, 100)
  assert math.isnan(copying.data_copying(few, train, test).value)
  broken = test.copy()
  broken[3, 1] = np.nan
  assert math.isnan(copying.data_copying(broken, train, test).value)
  assert math.isnan(copying.authenticity(broken, train).value)


def test_authenticity_of_copies_is_0_and_of_the_data_their_own():
  train, fresh = draws(5, 150, 400, dim=3)
  assert copying.authenticity(train, train).value == 0
  assert copying.authenticity(train + 1e-6, train).value == 0
  assert copying.authenticity(train + 1e3, train).value == 1
  squared = ((fresh[:, None] - train)**2).sum(-1)
  between = ((train[:, None] - train)**2).sum(-1)
  np.fill_diagonal(between, np.inf)
  want = np.mean([d.min() > between[d.argmin()].min() for d in squared])
  found = copying.authenticity(fresh, train)
  assert found.value == want and found.low < want < found.high


def test_authenticity_of_fresh_normal_points_is_the_published_floor():
  """.39 of 300 points in the plane; 20 sets of 300, with their own error."""
  shares = [copying.authenticity(*draws(seed, 300, 300)).value
            for seed in range(20)]
  error = np.std(shares, ddof=1) / math.sqrt(20)
  assert abs(np.mean(shares) - .39) < 3 * error + .005  # two digits are known


@pytest.mark.parametrize('call', [
    lambda: copying.data_copying(*np.zeros((2, 3, 2)), np.zeros((3, 1))),
    lambda: copying.authenticity(np.zeros((0, 2)), np.zeros((3, 2))),
    lambda: copying.authenticity(np.zeros((2, 2)), np.zeros((1, 2)))])
def test_sets_that_cannot_be_compared_are_refused(call):
  with pytest.raises(ValueError, match='must hold'):
    call()
