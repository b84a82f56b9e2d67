"""Drawing in blocks: how samples begin, of which index and condition."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from genjax.diffusion import drawing
from genjax.diffusion import process as processes
from genjax.diffusion import samplers
from genjax.diffusion.guided import Guidance


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


def test_x_begins_with_the_law_of_the_first_time():
  """Of a grid that begins with less noise than the process has."""
  process = processes.edm(.01, 200.)
  grid = jnp.asarray([30., 5., .5])
  draw = drawing.make_draw(
      lambda params, cond=None: lambda x, t: 0 * x, lambda params: process,
      samplers.ddim, lambda process: grid, (1,), data_std=40.,
      guided=Guidance(1., -1., 1.))
  states = draw.trajectory({}, jax.random.key(0), jnp.arange(4000))
  variance = 30.**2 + 40.**2
  # 4 standard errors of the variance of normal numbers.
  np.testing.assert_allclose(np.mean(states[0]**2), variance,
                             rtol=4 * np.sqrt(2 / 4000))
