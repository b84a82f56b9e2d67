"""Bounds of log p(x), each of the images and classes that it is of."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.metrics.estimate import Estimate
from genjax.vae import annealing
from genjax.vae import bounds


def test_bound_judges_each_image_with_its_own_class(monkeypatch):
  """By bounds that are the classes they were given."""

  def weighted(vae):
    del vae
    return lambda key, params, x, label: {'ELBO': label, 'IWAE-1000': label}

  def annealed(key, *, label, **given):
    del key, given
    return Estimate(label, label, label), jnp.ones(())

  monkeypatch.setattr(bounds, 'make_weighted', weighted)
  for name in ('annealed_log_likelihood', 'annealed_upper_bound'):
    monkeypatch.setattr(annealing, name, annealed)
  test, own = jnp.asarray([1., 2.]), jnp.asarray([3., 5.])
  x = jnp.zeros((2, 8, 8, 1))
  for found, want in zip(bounds.bound(
      jax.random.key(0), None, None, (x, test),
      (x, jnp.zeros((2, 3)), own), temperatures=[9], num_chains=2),
                         (test, own)):
    for name, values in found.items():
      np.testing.assert_array_equal(
          values, 0 * want if 'less' in name else want)
