"""Couplings are invertible, and know by how much they stretch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax.networks import coupling
from genjax.networks.coupling import SplineCoupling
from tests import laws

_NETWORK = SplineCoupling(features=16, num_layers=5)


def shaken(dim, dtype=jnp.float32):
  """Variables of a network that has learnt something; points in and out."""
  x = 2 * jax.random.normal(jax.random.key(0), (500, dim), dtype)
  shapes = jax.eval_shape(_NETWORK.init, jax.random.key(1), x)
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda s: jnp.asarray(0.12 * rng.normal(size=s.shape), s.dtype),
      shapes), x


@pytest.mark.parametrize('dim', [2, 5])
def test_coupling_is_the_identity_when_new(dim):
  """Up to rounding: every bin is crossed on its diagonal."""
  x = 3 * jax.random.normal(jax.random.key(0), (100, dim))
  variables = jax.jit(_NETWORK.init)(jax.random.key(1), x)
  y, log_det = _NETWORK.apply(variables, x)
  np.testing.assert_allclose(y, x, atol=1e-6)
  np.testing.assert_allclose(log_det, 0, atol=3e-6)


@pytest.mark.parametrize('dim, dtype, atol', [
    (1, 'float64', 1e-10), (2, 'float64', 1e-10), (5, 'float64', 1e-10),
    (2, 'float32', 1e-5)])
def test_coupling_is_undone_by_its_inverse(dim, dtype, atol):
  """Slopes are near 1 here: errors stay near the rounding of the points."""
  with jax.enable_x64(dtype == 'float64'):
    variables, x = shaken(dim, dtype)
    y, log_det = _NETWORK.apply(variables, x)
    back, minus = _NETWORK.apply(variables, y, inverse=True)
    assert y.dtype == log_det.dtype == dtype
    assert jnp.mean(jnp.abs(y - x)) > 0.05
    np.testing.assert_allclose(back, x, atol=atol)
    np.testing.assert_allclose(minus, -log_det, atol=10 * atol)


@pytest.mark.parametrize('dim', [1, 5])
@laws.float64
def test_coupling_log_det_is_that_of_its_jacobian(dim):
  variables, x = shaken(dim, jnp.float64)
  jacobian, log_det = jax.vmap(jax.jacfwd(
      lambda x: _NETWORK.apply(variables, x), has_aux=True))(x)
  np.testing.assert_allclose(
      log_det, np.linalg.slogdet(jacobian)[1], atol=1e-11)
  assert np.std(log_det) > 0.1
  # Every coordinate moves every other.
  assert np.all(np.any(np.abs(jacobian) > 1e-6, 0))


@laws.float64
def test_spline_rises_and_is_smooth_at_the_knots_and_edges():
  raw = 0.5 * jax.random.normal(jax.random.key(0), (20, 1, 23))
  x = jnp.linspace(-4.5, 4.5, 4001)
  y, log_slope = coupling.spline(raw, jnp.broadcast_to(x, (20, 4001)), 4.0,
                                 False)
  assert np.all(np.diff(y, axis=1) > 0)
  # The mean slope over a step of .00225 is the mean of those at its ends, up
  # to the step times the size of a kink.
  slope = np.exp(log_slope)
  np.testing.assert_allclose(np.diff(y, axis=1) / np.diff(x),
                             (slope[:, 1:] + slope[:, :-1]) / 2, rtol=0.02)
  outside = np.abs(x) >= 4
  np.testing.assert_array_equal(y[:, outside], np.tile(x[outside], (20, 1)))
  np.testing.assert_array_equal(log_slope[:, outside], 0)


def test_spline_is_bounded_whatever_decides_it():
  raw = 1e4 * jax.random.normal(jax.random.key(0), (500, 23))
  x = 5 * jax.random.normal(jax.random.key(1), (500,))
  for inverse in (False, True):
    def total(raw, x, inverse=inverse):
      y, log_slope = coupling.spline(raw, x, 4.0, inverse)
      return jnp.sum(y) + jnp.sum(log_slope)

    y, log_slope = coupling.spline(raw, x, 4.0, inverse)
    assert np.all(np.abs(y) <= np.maximum(np.abs(x), 4.001))
    assert np.all(np.isfinite(log_slope))
    for gradient in jax.grad(total, (0, 1))(raw, x):
      assert np.all(np.isfinite(gradient))


def test_spline_is_undone_by_its_inverse_however_sharp_it_is():
  """y is between the spline's values a few roundings of 4 below and above its
  inverse, up to as many of its own: slopes go from e^-9 to e^9."""
  num, rounding = 200_000, 8 * 2.0**-22
  key_raw, key_y = jax.random.split(jax.random.key(0))
  raw = 10 * jax.random.normal(key_raw, (num, 23))
  y = jax.random.uniform(key_y, (num,), minval=-4, maxval=4)

  @jax.jit
  def found(raw, y):
    x, log_slope = coupling.spline(raw, y, 4.0, True)
    ends = [coupling.spline(raw, x + error, 4.0, False)[0] + error
            for error in (-rounding, rounding)]
    return x, log_slope, *ends, coupling.spline(raw, x, 4.0, False)[1]

  x, log_slope, below, above, forward = found(raw, y)
  assert np.all(np.abs(x) <= 4) and np.all(np.isfinite(log_slope))
  assert np.all((below <= y) & (y <= above))
  assert np.abs(forward).max() > 9
  # At x before and after it is rounded; they turn by e^7 within a bin.
  np.testing.assert_allclose(log_slope, -forward, atol=5e-3)


def test_spline_rises_through_its_knots_however_sharp_it_is():
  """And so does its inverse. Edge and size of a bin are rounded, so that a few
  floats on one side of a knot would have a place on the other."""
  num, rounding = 5000, 2.0**-22  # of what is below 4
  raw = 10 * jax.random.normal(jax.random.key(0), (num, 1, 23))
  away = rounding * np.arange(-16, 17)

  def swept(raw):
    """Points at the upper ends of bins: a share of 1 % and a softmax."""
    shares = 0.01 + 0.92 * special.softmax(np.float64(raw), -1)
    knots = 8 * np.cumsum(shares, -1) - 4
    return np.float32((knots[..., None] + away).reshape(num, 8, len(away)))

  points = swept(raw[..., :8]), swept(raw[..., 8:16])

  @jax.jit
  def found(raw, *points):
    return [coupling.spline(raw, x.reshape(num, -1), 4.0, inverse)
            for inverse, x in zip((False, True), points)]

  for at, (y, log_slope) in zip(points, found(raw, *points)):
    y = np.reshape(y, at.shape)
    assert np.all(np.isfinite(y)) and np.all(np.isfinite(log_slope))
    assert np.all(np.diff(y) >= -16 * rounding)
    inside = np.abs(at) < 4
    assert np.all(np.abs(y[inside]) <= 4 + 16 * rounding)


@pytest.mark.parametrize('dtype', ['int32', 'float16', 'bfloat16'])
def test_coupling_of_any_dtype_is_that_of_its_numbers(dtype):
  variables, x = shaken(2)
  x = x.astype(dtype)
  for inverse in (False, True):
    want = _NETWORK.apply(variables, x.astype(jnp.float32), inverse=inverse)
    for got, known in zip(_NETWORK.apply(variables, x, inverse=inverse), want):
      np.testing.assert_array_equal(got, known)


def test_spline_keeps_nan():
  y, _ = coupling.spline(jnp.zeros(23), jnp.asarray(jnp.nan), 4.0, False)
  assert np.isnan(y)


@pytest.mark.parametrize('network, x, message', [
    (SplineCoupling(num_layers=0), np.zeros(2), 'num_layers must be positive'),
    (SplineCoupling(num_bins=1), np.zeros(2), r'num_bins must be in \[2, 100'),
    (SplineCoupling(), np.zeros(()), r'x must be \[..., D\]'),
])
def test_coupling_refuses_what_it_cannot_invert(network, x, message):
  with pytest.raises(ValueError, match='SplineCoupling: ' + message):
    network.init(jax.random.key(0), jnp.asarray(x))
