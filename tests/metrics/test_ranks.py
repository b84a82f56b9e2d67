"""Ranks are uniform of one law, and tell one too narrow from one too wide."""

import numpy as np
import pytest
from scipy import stats

from genjax.metrics import ranks

_RNG = np.random.default_rng(0)


def _found(scale, num=500, draws=31, dims=2):
  truth = _RNG.normal(size=(num, dims))
  return ranks.ranks(truth, scale * _RNG.normal(size=(num, draws, dims)))


def test_of_one_law_they_are_uniform():
  """p-values of 200 sets are uniform themselves, by Kolmogorov and Smirnov."""
  values = [ranks.uniformity(_found(1.0, dims=1)[:, 0], 31) for _ in range(200)]
  assert stats.kstest(values, 'uniform').pvalue > 1e-3
  spread = ranks.spread(_found(1.0, num=4000), 31)
  assert spread.low < 1 < spread.high


@pytest.mark.parametrize('variance', [.5, 2.0])
def test_another_spread_is_seen(variance):
  found = _found(variance**.5)
  assert ranks.uniformity(found[:, 0], 31) < 1e-3
  spread = ranks.spread(found, 31)
  assert (spread.low > 1) == (variance < 1) and not spread.low < 1 < spread.high


def test_equal_samples_are_below_as_often_as_not():
  """Of black pixels under black ones ranks say nothing: they are uniform."""
  found = ranks.ranks(np.zeros((2000, 1)), np.zeros((2000, 31, 1)))
  assert found.min() == 0 and found.max() == 31
  assert ranks.uniformity(found[:, 0], 31) > 1e-3
  np.testing.assert_array_equal(
      ranks.ranks(np.array([[0., 5.]]), np.array([[[-1., 1.], [2., 3.]]])),
      [[1, 2]])


@pytest.mark.parametrize('call, said', [
    (lambda: ranks.ranks(np.ones((2, 1)), np.ones((2, 1))), 'truth and draws'),
    (lambda: ranks.ranks(np.full((2, 1), np.nan), np.ones((2, 3, 1))),
     'must be finite'),
    (lambda: ranks.uniformity(np.zeros(10, int), 31), 'ranks must be 40 or'),
])
def test_what_says_nothing_is_refused(call, said):
  with pytest.raises(ValueError, match=said):
    call()
