"""The law of large numbers, and how far off a mean is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import expectation
from genjax.distributions import exponential
from genjax.distributions import ExponentialParams
from genjax.distributions import MonteCarlo
from genjax.distributions import normal
from genjax.distributions import NormalParams
from genjax.distributions.base import mean_of


def test_expectation_is_right_within_its_standard_error():
  """z-scores over 400 keys are standard normal: their spread is 1."""
  params = ExponentialParams(jnp.array([0.5, 4.0]))

  def z_score(key):
    got = expectation(key, exponential, params, lambda x: x, 2000)
    return (got.value - exponential.mean(params)) / got.standard_error

  z = jax.jit(jax.vmap(z_score))(jax.random.split(jax.random.key(0), 400))
  assert z.shape == (400, 2)
  # A mean and a spread of 800 numbers: 1 / sqrt(800) and 1 / sqrt(1600).
  assert abs(float(jnp.mean(z))) < 4 / 800**0.5
  assert abs(float(jnp.std(z)) - 1) < 4 / 1600**0.5


def test_expectation_takes_a_tree_of_functions():
  got = expectation(
      jax.random.key(0), normal, NormalParams(1.0, 2.0),
      lambda x: {'mean': x, 'square': x**2, 'positive': x > 0}, 10_000)
  want = {'mean': 1.0, 'square': 5.0, 'positive': 0.691462461}  # Phi(1/2)
  for name, value in want.items():
    estimate = got[name]
    assert isinstance(estimate, MonteCarlo)
    assert abs(estimate.value - value) < 4 * estimate.standard_error
    assert estimate.standard_error < 0.1


def test_expectation_averages_over_draws_alone():
  """Of a batch and of functions that return more axes than they were given."""
  got = expectation(
      jax.random.key(0), normal, NormalParams(jnp.zeros((3, 2)), 1.0),
      lambda x: jnp.stack([x, -x], -1), 10)
  assert got.value.shape == got.standard_error.shape == (3, 2, 2)
  np.testing.assert_allclose(got.value[..., 0], -got.value[..., 1], rtol=1e-5)


def test_standard_error_has_the_unit_of_the_values():
  """Squares of 1e-25 and of 1e25 are no float32."""
  x = jnp.asarray([1.0, 2.0, 4.0, 5.0])
  estimate = jax.jit(mean_of)
  for unit in (2.0**-80, 1.0, 2.0**80):
    got = estimate(x * unit)
    np.testing.assert_allclose(got, [3 * unit, unit * (10 / 3 / 4)**0.5],
                               rtol=1e-6)
  np.testing.assert_array_equal(estimate(jnp.full(4, 7.0)), [7, 0])


@pytest.mark.parametrize('f, num, message', [
    (lambda x: x, 1, 'num_samples must be 2 or more, got 1'),
    (jnp.mean, 10, r'f must return \[10, ...\], got shape \(\)'),
])
def test_expectation_refuses_what_has_no_standard_error(f, num, message):
  with pytest.raises(ValueError, match='expectation: ' + message):
    expectation(jax.random.key(0), normal, NormalParams(0.0, 1.0), f, num)
