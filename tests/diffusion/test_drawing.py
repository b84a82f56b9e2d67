"""Drawing in blocks: of which index and condition each sample is."""

import jax
import numpy as np
from scipy import stats

from genjax.diffusion import drawing


def test_without_a_class_labels_are_drawn_from_all_alike():
  """Seen by a draw that returns what it is told."""
  told = drawing.Draw(lambda params, key, index, cond: np.stack(
      [index, cond['label']], 1), None, np.zeros(2))

  def drawn(num, cond=None):
    return drawing.sample(told, {}, jax.random.key(3), (num,), cond, 4).T

  index, label = drawn(2050)
  np.testing.assert_array_equal(index, np.arange(2050))
  assert stats.chisquare(np.bincount(label, minlength=4)).pvalue > 1e-3
  np.testing.assert_array_equal(drawn(7)[1], label[:7])
  given = np.random.default_rng(0).integers(0, 4, 130)
  np.testing.assert_array_equal(drawn(130, {'label': given})[1], given)
