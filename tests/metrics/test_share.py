"""The interval of a share, by scipy and by counting."""

import numpy as np
import pytest
import scipy.stats

from genjax.metrics.share import share


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
