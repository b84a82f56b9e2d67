"""Inputs with noise of many levels, and networks that are told the level."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import noisy_inputs
from genjax.discriminative import Discriminative
from genjax.noisy_inputs import LEAST


@pytest.mark.parametrize('shape', [(3, 2), (3, 4, 4, 1)])
def test_the_level_is_one_more_channel(shape):
  """A quarter of log noise over signal, of what has any; one for all or each.
  """
  x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  for log_noise in (np.float32([1.0, -2.0, -40.0]), np.float32(-math.inf)):
    got = np.asarray(noisy_inputs.with_level(x, jnp.asarray(log_noise)))
    np.testing.assert_array_equal(got[..., :-1], x)
    want = np.maximum(np.broadcast_to(log_noise, 3), math.log(.01)) / 4
    np.testing.assert_allclose(
        got[..., -1], np.broadcast_to(want.reshape(-1, *[1] * (x.ndim - 2)),
                                      shape[:-1]), rtol=1e-6)


def test_noise_is_log_uniform_and_a_tenth_has_none():
  """And x is brought to (x_0 + noise eps) / sqrt(1 + noise^2)."""
  num, most = 20_000, 50.0
  x = np.float32([.5, -1.0])
  keys = jax.random.split(jax.random.key(0), num)
  out = np.asarray(jax.jit(lambda keys: noisy_inputs.add_noise(
      keys, jnp.broadcast_to(x, (num, 2)), most=most))(keys), np.float64)
  log_noise = 4 * out[:, -1]
  none = log_noise <= LEAST + 1e-6
  assert abs(none.mean() - .1) < 4 * math.sqrt(.09 / num)
  np.testing.assert_array_equal(out[none, :2], np.tile(x, (none.sum(), 1)))
  log_noise = log_noise[~none]
  assert stats.kstest(log_noise, stats.uniform(
      LEAST, math.log(most) - LEAST).cdf).pvalue > 1e-3
  noise = np.exp(log_noise)[:, None]
  eps = (out[~none, :2] * np.sqrt(1 + noise**2) - x) / noise
  for found in (eps[:, 0], eps[:, 1], (eps[:, 0] + eps[:, 1]) / math.sqrt(2)):
    assert stats.kstest(found, 'norm').pvalue > 1e-3
  assert abs(np.corrcoef(eps[:, 0], log_noise)[0, 1]) < 4 / math.sqrt(num)


def test_a_network_that_is_told_no_level_is_told_none():
  def seen(params, x, **kwargs):
    return x, params, kwargs

  network = noisy_inputs.told_noise(
      Discriminative(lambda key, x: x, seen, seen), 2)
  x = jnp.ones((3, 2))
  whole = noisy_inputs.with_level(x, jnp.asarray(-math.inf))
  assert whole.shape == (3, 3)
  np.testing.assert_array_equal(network.init(None, x), whole)
  for forward in (network.features, network.logits):
    for given in (x, whole):
      got, params, kwargs = forward(7, given, train=True)
      np.testing.assert_array_equal(got, whole)
      assert (params, kwargs) == (7, {'train': True})
