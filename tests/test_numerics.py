"""Laws of the small numerical building blocks."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax import numerics
from tests import laws

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


@pytest.mark.parametrize('shape, want', [((0, 2), []), ((0,), []),
                                         ((2, 0), [np.nan] * 2)])
def test_mean_per_example_of_nothing_is_a_value(shape, want):
  np.testing.assert_array_equal(
      numerics.mean_per_example(jnp.zeros(shape)), want)


@pytest.mark.parametrize('dtype', [
    jnp.bool_, jnp.uint8, jnp.float16, jnp.bfloat16, jnp.float32])
def test_batch_mean_counts_in_any_dtype(dtype):
  """Of 4003 examples, more than 16 bits can count, half are ones."""
  values, mask = np.arange(4003) % 2, np.arange(4003) != 1
  for batch, want in (({}, 2001 / 4003), ({'mask': mask}, 2000 / 4002)):
    batch = {name: jnp.asarray(m, dtype) for name, m in batch.items()}
    got = numerics.batch_mean(batch, jnp.asarray(values, dtype))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_batch_mean_is_blind_to_what_a_mask_leaves_out():
  values = jnp.asarray([1.0, jnp.nan, 4.0, jnp.inf])
  got = numerics.batch_mean({'mask': jnp.asarray([1., 0., 1., 0.])}, values)
  assert got == 2.5
  assert jnp.isnan(numerics.batch_mean({}, values))


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


@pytest.mark.parametrize('unit', [2.0**-100, 2.0**-66, 2.0**63, 2.0**100])
def test_norms_and_deviations_are_equivariant_to_the_unit(unit):
  """And their slopes do not depend on it. Powers of two are exact."""
  x = jnp.asarray(_X)
  for f, want in (
      (numerics.safe_norm, np.linalg.norm(_X, axis=-1)),
      (lambda x: numerics.safe_norm(x, axis=(0, 2)),
       np.sqrt(np.square(_X).sum((0, 2)))),
      (numerics.standard_deviation, _X.std(0))):
    np.testing.assert_allclose(f(x), want, rtol=1e-6)
    np.testing.assert_array_equal(f(unit * x), unit * f(x))
    slope = jax.grad(lambda x, f=f: f(x).sum())
    np.testing.assert_allclose(slope(unit * x), slope(x), rtol=1e-5, atol=1e-7)


def test_standard_deviation_has_no_slope_where_all_agree():
  slope = jax.grad(lambda x: numerics.standard_deviation(x).sum())
  np.testing.assert_array_equal(slope(jnp.ones((4, 2))), np.zeros((4, 2)))


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


@laws.float64
def test_quadrature_finds_the_moments_of_a_mixture():
  """Not only of one Gaussian: two, of equal weights and standard deviation s.
  """
  scale, apart, size = 0.5, 2.0, 3.0

  def log_density(x):
    z = (x[:, None] - jnp.array([-apart, apart])) / scale
    return (jnp.logaddexp(*(-0.5 * z**2).T) + math.log(size / 2)
            - math.log(scale * math.sqrt(2 * math.pi)))

  found = numerics.quadrature(log_density, 0.3, 1.2)
  np.testing.assert_allclose(
      found, (math.log(size), 0, math.hypot(scale, apart)), atol=1e-12)


@pytest.mark.parametrize('axis', [-1, (0, 1)])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_unit_rms_is_of_mean_square_one_at_any_scale(axis, dtype):
  """To rounding; at 0 it is 0 and its gradient finite."""
  x = jnp.asarray(_X, dtype)
  unit = numerics.unit_rms(x, axis)
  assert unit.dtype == dtype
  tolerance = 4 * float(jnp.finfo(dtype).eps)
  np.testing.assert_allclose(np.mean(np.square(np.float64(unit)), axis), 1,
                             atol=tolerance)
  np.testing.assert_allclose(np.float64(numerics.unit_rms(1024 * x, axis)),
                             np.float64(unit), rtol=tolerance)
  assert np.isfinite(jax.grad(
      lambda x: numerics.unit_rms(x, axis).sum())(0 * _X)).all()
