"""Laws of initialisation."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.init import fan_avg_uniform
from genjax.networks.init import init_params
from genjax.networks.mlp import MLP


@pytest.mark.parametrize('shape', [(40, 60), (3, 3, 20, 50)])
def test_fan_avg_uniform_is_glorot(shape):
  draw = np.asarray(fan_avg_uniform(jax.random.key(0), shape), np.float64)
  area = np.prod(shape[:-2])
  variance = 2 / (area * (shape[-2] + shape[-1]))
  assert np.abs(draw).max() <= np.sqrt(3 * variance) * (1 + 1e-6)
  # A uniform law has kurtosis 9/5: its sampled variance has the relative
  # standard error sqrt(.8 / n). Four of them.
  error = 4 * np.sqrt(.8 / draw.size)
  np.testing.assert_allclose(draw.var(), variance, rtol=error)
  assert abs(draw.mean()) < 4 * np.sqrt(variance / draw.size)


def test_init_params_is_network_init():
  network = MLP(16, 2, num_classes=3)
  key = jax.random.key(3)
  actual = init_params(key, network, (7, 2))
  expected = jax.jit(network.init)(key, jnp.zeros((1, 2)), jnp.zeros(1))
  # Two compilations of one draw: a rounding of a float32 apart.
  chex.assert_trees_all_close(actual, expected, rtol=1e-6, atol=1e-7)
  chex.assert_trees_all_equal_dtypes(actual, expected)
  chex.assert_trees_all_equal(actual, init_params(key, network, (1, 2)))
  layers = actual['params']['blocks']['dense_1']['kernel']
  assert not np.allclose(layers[0], layers[1])
