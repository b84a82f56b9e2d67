"""The energy network: one smooth, confining number a point."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.energy import EnergyMLP

NETWORK = EnergyMLP(features=16, depth=2)


@functools.cache
def perturbed():
  """Variables far from the initial ones."""
  leaves, treedef = jax.tree.flatten(
      NETWORK.init(jax.random.key(0), jnp.zeros((1, 3))))
  noise = np.random.default_rng(0)
  return treedef.unflatten(
      [p + noise.normal(size=p.shape).astype(np.float32) for p in leaves])


def points(*shape):
  return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def test_energy_mlp_is_a_standard_normal_when_new():
  x = points(5, 3)
  variables = NETWORK.init(jax.random.key(0), x)
  np.testing.assert_allclose(NETWORK.apply(variables, x),
                             0.5 * np.sum(np.square(x), -1), rtol=1e-6)


@pytest.mark.parametrize('dtype', [None, jnp.bfloat16])
@pytest.mark.parametrize('x_dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize('batch', [(), (5,), (2, 5)])
def test_energy_mlp_keeps_shape_and_dtype(batch, dtype, x_dtype):
  out, variables = jax.eval_shape(
      NETWORK.clone(dtype=dtype).init_with_output, jax.random.key(0),
      jnp.zeros((*batch, 3), x_dtype))
  assert out.shape == batch and out.dtype == x_dtype
  assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype('f4')}


def test_energy_mlp_sees_each_point_alone():
  x = points(5, 3)
  out = NETWORK.apply(perturbed(), x)
  assert len(np.unique(out)) == 5
  np.testing.assert_allclose(NETWORK.apply(perturbed(), x[::-1]), out[::-1],
                             rtol=1e-5)


def test_energy_mlp_confines_whatever_its_parameters():
  """What is left of the parabola is within the last layer's weights."""
  params = perturbed()['params']
  bound = np.sum(np.abs(params['dense_out']['kernel']))
  x = points(50, 3) * jnp.logspace(-1, 3, 50)[:, None]
  parabola = 0.5 * np.sum(np.square(x / np.exp(params['log_scale'])), -1)
  rest = NETWORK.apply(perturbed(), x) - parabola
  # Where the parabola is large, so is what rounding leaves of it.
  assert np.all(np.abs(rest) <= bound + 1e-6 * parabola)
  assert np.ptp(rest[:20]) > 0.1  # and there is something left


def test_energy_mlp_has_three_derivatives():
  """Score matching takes the gradient of a second derivative."""

  def along(t):
    return NETWORK.apply(perturbed(), t * jnp.array([1.0, -2.0, 0.5]))

  third = jax.vmap(jax.grad(jax.grad(jax.grad(along))))(jnp.linspace(-2, 2, 9))
  assert np.all(np.isfinite(third)) and np.all(third != 0)


@pytest.mark.parametrize('network, x, match', [
    (NETWORK, 1.0, 'x must be'),
    (EnergyMLP(depth=0), [1.0], 'depth must be positive'),
])
def test_energy_mlp_refuses_what_it_cannot_take(network, x, match):
  with pytest.raises(ValueError, match=match):
    network.init(jax.random.key(0), jnp.asarray(x))
