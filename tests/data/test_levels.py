import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.data import embedded
from genjax.data import levels
from genjax.data import pipeline


@pytest.mark.parametrize('num', [2, 17, 256])
def test_on_levels_is_the_nearest_of_evenly_spaced_values(num):
  values = np.linspace(-1, 1, num)
  x = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
  found = np.asarray(levels.on_levels(jnp.asarray(x), num))
  nearest = np.abs(x[:, None] - values).min(1)
  # Half-way between two, either may be said.
  np.testing.assert_allclose(np.abs(x - found), nearest, atol=1e-6)
  assert found.min() >= -1 and found.max() <= 1
  np.testing.assert_allclose(
      np.diff(values), levels.level_width(num), rtol=1e-12)


def test_dequantise_is_uniform_within_a_level_and_by_index():
  x = levels.on_levels(jnp.zeros((500, 8)), 17)
  dequantise = jax.jit(levels.dequantise, static_argnums=3)
  key, index = jax.random.key(3), jnp.arange(500)
  noise = np.asarray(dequantise(key, x, index, 17) - x) / (2 / 16)
  assert stats.kstest(noise.ravel() + 0.5, 'uniform').pvalue > 1e-3
  some = dequantise(key, x[100:120], index[100:120], 17)
  np.testing.assert_array_equal(some, dequantise(key, x, index, 17)[100:120])


def test_on_levels_leaves_256_levels_as_they_are():
  x = pipeline.to_model_range(np.arange(256))
  found = np.asarray(levels.on_levels(x, 256))
  np.testing.assert_allclose(found, x, atol=2e-7)
  np.testing.assert_array_equal(pipeline.to_uint8(found), np.arange(256))


def test_levels_are_those_that_images_lie_on():
  digits = pipeline.to_model_range(embedded.digits('test').arrays['image'])
  assert levels.levels_of(digits) == 17
  assert levels.levels_of(digits * .5) == 256
  assert levels.levels_of(np.array([-1., 1.]).reshape(1, 2, 1, 1)) == 2
