"""Laws of the small numerical building blocks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax import numerics

_X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)


@pytest.mark.parametrize('a, ndim, shape', [
    (np.float32(2), 3, (1, 1, 1)), (np.ones(3), 1, (3,)),
    (np.ones(3), 4, (3, 1, 1, 1)), (np.ones((3, 4)), 3, (3, 4, 1)),
])
def test_broadcast_right_appends_axes(a, ndim, shape):
  chex.assert_shape(numerics.broadcast_right(a, ndim), shape)


def test_broadcast_right_scales_each_example():
  got = numerics.broadcast_right(jnp.arange(3.), 3) * _X
  for i in range(3):
    np.testing.assert_array_equal(got[i], i * _X[i])


@pytest.mark.parametrize('ndims, axes', [(0, ()), (1, (2,)), (2, (1, 2))])
def test_sum_trailing_equals_numpy(ndims, axes):
  np.testing.assert_allclose(
      numerics.sum_trailing(jnp.asarray(_X), ndims), _X.sum(axes), rtol=1e-5)


@pytest.mark.parametrize('x', [_X, _X[:, 0, 0]])
def test_mean_per_example_equals_numpy(x):
  want = [np.mean(row) for row in x]
  np.testing.assert_allclose(
      numerics.mean_per_example(jnp.asarray(x)), want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('axis, shift', [(0, -500.), (1, 0.), (-1, 500.)])
def test_log_mean_exp_equals_scipy_without_overflow(axis, shift):
  got = numerics.log_mean_exp(jnp.asarray(_X + shift), axis)
  want = special.logsumexp(_X + np.float64(shift), axis) - np.log(
      _X.shape[axis])
  np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_safe_norm_equals_numpy_and_has_no_gradient_at_the_origin():
  np.testing.assert_allclose(
      numerics.safe_norm(jnp.asarray(_X)), np.linalg.norm(_X, axis=-1),
      rtol=1e-6)
  np.testing.assert_array_equal(
      numerics.safe_norm(jnp.asarray([[np.nan, 1.], [np.inf, 1.]])),
      [np.nan, np.inf])
  grad = jax.grad(lambda x: numerics.safe_norm(x).sum())(jnp.zeros((2, 3)))
  np.testing.assert_array_equal(grad, np.zeros((2, 3)))


def test_safe_norm_has_the_unit_vector_as_gradient():
  grad = jax.grad(numerics.safe_norm)(jnp.asarray([3.0, 4.0]))
  np.testing.assert_allclose(grad, [0.6, 0.8], rtol=1e-6)


def test_fold_in_each_depends_on_the_index_only():
  key = jax.random.key(3)
  whole = numerics.normal_each(
      numerics.fold_in_each(key, jnp.arange(6)), (2, 2))
  part = numerics.normal_each(
      numerics.fold_in_each(key, jnp.asarray([4, 1])), (2, 2))
  np.testing.assert_array_equal(part, whole[jnp.asarray([4, 1])])
  assert len(np.unique(np.asarray(whole))) == whole.size


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_normal_each_keeps_dtype_and_row_keys(dtype):
  keys = jax.random.split(jax.random.key(0), 3)
  got = numerics.normal_each(keys, (5,), dtype)
  chex.assert_type(got, dtype)
  np.testing.assert_array_equal(
      got[1].astype(jnp.float32),
      jax.random.normal(keys[1], (5,), dtype).astype(jnp.float32))
