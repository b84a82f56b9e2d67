"""Laws of group normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.normalization import GroupNorm
from genjax.networks.normalization import layer_norm


@pytest.mark.parametrize('shape', [(3, 4, 5, 6), (2, 7, 6), (4, 6)])
def test_group_norm_matches_numpy(shape):
  rng = np.random.default_rng(0)
  x = rng.normal(1.0, 2.0, shape)
  scale, bias = rng.normal(size=(2, 6))
  expected = np.empty(shape)
  for i in range(shape[0]):
    for j in range(0, 6, 2):
      part = x[i, ..., j:j + 2]
      expected[i, ..., j:j + 2] = (part - part.mean()) / np.sqrt(
          part.var() + 1e-6)
  expected = expected * scale + bias
  actual = GroupNorm(3).apply(
      {'params': {'scale': scale.astype(np.float32),
                  'bias': bias.astype(np.float32)}}, x.astype(np.float32))
  # With 2 numbers a group the variance may be a hundredth of E[x^2], and
  # E[x^2] - E[x]^2 is off by 2^-23 E[x^2].
  np.testing.assert_allclose(actual, expected, atol=1e-4, rtol=1e-4)


def test_group_norm_keeps_float32_statistics_of_bfloat16():
  # A mean of 8192 equal numbers is lost when summed in 8 bits.
  x = jnp.full((1, 64, 64, 2), 1.5, jnp.bfloat16).at[0, 0, 0, 0].set(5.5)
  module = GroupNorm(1, dtype=jnp.bfloat16)
  y = module.apply(module.init(jax.random.key(0), x), x)
  assert y.dtype == jnp.bfloat16
  # One outlier of n: the rest is -1 / sqrt(n - 1), itself sqrt(n - 1).
  np.testing.assert_allclose(np.float64(y[0, 0, 0, 0]), 8191 ** .5, rtol=.01)
  np.testing.assert_allclose(np.float64(y[0, 1, 1, 1]), -8191 ** -.5,
                             rtol=.05)


def test_group_norm_refuses_groups():
  with pytest.raises(ValueError, match='groups must divide the 6 channels'):
    GroupNorm(4).init(jax.random.key(0), jnp.zeros((1, 2, 2, 6)))


@pytest.mark.parametrize('mean', [0.0, 1e3])
def test_layer_norm_matches_numpy(mean):
  """Far from zero too, where E[x^2] - E[x]^2 would be off by a tenth."""
  x = np.random.default_rng(0).normal(mean, 1.0, (3, 4, 64)).astype(np.float32)
  wide = x.astype(np.float64)
  expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(
      wide.var(-1, keepdims=True) + 1e-6)
  # The mean is rounded by 2^-24 of itself, and divided by one.
  np.testing.assert_allclose(layer_norm(x), expected,
                             atol=1e-5 + mean * 2**-22)


def test_layer_norm_keeps_float32_statistics_of_bfloat16():
  x = jnp.full((8192,), 1.5, jnp.bfloat16).at[0].set(5.5)
  y = layer_norm(x)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.float64(y[0]), 8191 ** .5, rtol=.01)
