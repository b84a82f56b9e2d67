"""Cumulative probabilities of every family, at params from 1e-6 to 1e8."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special as scipy_special

from genjax import distributions as d
from genjax.distributions import special
from tests import laws

# Written by cdf_table.py: [500, params, x, probability at these, and at what
# float32 rounds them to].
_TABLE = dict(np.load(pathlib.Path(__file__).with_name('cdf_table.npz')))
_PIXELS = d.discretized_logistic(256)


def _categorical(*logits):
  return d.CategoricalParams(jnp.stack(logits, -1))


# Of each: the distribution, its params, and the column of the number whose
# root its probabilities in float32 may feel, if it has one.
FAMILIES = {
    'normal': (d.normal, d.NormalParams, None),
    'laplace': (d.laplace, d.LaplaceParams, None),
    'logistic': (d.logistic, d.LogisticParams, None),
    'student_t': (d.student_t, d.StudentTParams, 0),
    'uniform': (d.uniform, d.UniformParams, None),
    'exponential': (d.exponential, d.ExponentialParams, None),
    'gamma': (d.gamma, d.GammaParams, 0),
    'beta': (d.beta, d.BetaParams, 0),
    'bernoulli': (d.bernoulli, d.BernoulliParams, None),
    'binomial': (d.binomial, d.BinomialParams, 0),
    'poisson': (d.poisson, d.PoissonParams, 0),
    'categorical': (d.categorical, _categorical, None),
    'discretized_logistic': (_PIXELS, d.DiscretizedLogisticParams, None),
}
each_family = pytest.mark.parametrize('name', FAMILIES)


def _probabilities(name: str, dtype) -> np.ndarray:
  dist, make, _ = FAMILIES[name]
  with np.errstate(over='ignore'):  # to infinity, which is a point too
    columns = [jnp.asarray(v, dtype) for v in _TABLE[name][:, :-2].T]
  # Op by op where that is quick: a compiler may fuse a rounding away.
  compiled = jax.jit if dist.cdf is not _PIXELS.cdf else lambda f: f
  return np.asarray(compiled(lambda *v: dist.cdf(make(*v[:-1]), v[-1]))(
      *columns))


@each_family
def test_cdf_matches_mpmath_in_float32(name):
  """At the rounded numbers, to what rounding once more costs at its steepest.

  A relative rounding of 6e-8 of x moves a variable of concentration a by
  6e-8 sqrt(a) standard deviations, and its probability by 0.4 of that.
  """
  got = _probabilities(name, jnp.float32)
  assert got.dtype == np.float32
  column = FAMILIES[name][-1]
  size = 0 if column is None else _TABLE[name][:, column]
  error = np.abs(got - _TABLE[name][:, -1])
  assert np.all(error <= 1e-5 + 5e-8 * np.sqrt(size)), np.nanmax(error)
  assert np.all((got >= 0) & (got <= 1))


@each_family
@laws.float64
def test_cdf_matches_mpmath_in_float64(name):
  got = _probabilities(name, jnp.float64)
  assert got.dtype == np.float64
  np.testing.assert_allclose(got, _TABLE[name][:, -2], rtol=0, atol=1e-11)
  assert np.all((got >= 0) & (got <= 1))


_STEPS = np.linspace(-5, 5, 301)
# Members of all sizes, and points along five standard deviations either way.
_LINES = {
    'student_t': lambda a: ((a, 0.0, 1.0), 0 * a + _STEPS),
    'gamma': lambda a: ((a, a), np.maximum(1 + _STEPS / np.sqrt(a), 1e-6)),
    'beta': lambda a: ((a, 0.4 * a), np.clip(
        1 / 1.4 + 0.3 * _STEPS / np.sqrt(a), 1e-6, 1 - 1e-6)),
}


@pytest.mark.parametrize('name', _LINES)
def test_cdf_never_falls_and_its_slope_is_the_density(name):
  """Neighbours may differ by what a probability is rounded by, 32 units."""
  dist, make, _ = FAMILIES[name]
  params, x = _LINES[name](np.array([0.02, 0.7, 6.0, 300.0, 1e5, 1e8])[:, None])
  params = make(*(jnp.asarray(p, jnp.float32) for p in params))
  x = jnp.asarray(x, jnp.float32)
  cdf, slope = jax.jit(lambda x: jax.jvp(
      lambda x: dist.cdf(params, x), (x,), (jnp.ones_like(x),)))(x)
  assert np.all(np.diff(cdf) >= -32 * 2.0**-24), np.min(np.diff(cdf))
  assert np.all(np.ptp(cdf, axis=1) > 0.05)
  density = np.exp(dist.log_prob(params, x))
  np.testing.assert_allclose(
      slope, density, rtol=1e-3, atol=1e-5 * np.max(density, axis=1).min())


@laws.float64
def test_tails_keep_their_relative_accuracy():
  """Down to 1e-200, where the other tail is one; against scipy."""
  a = np.array([0.3, 2.0, 30.0, 2000.0])[:, None]
  t = a * np.array([1e-3, 0.1, 0.5, 0.9, 1.1, 2.0, 5.0])
  lower, upper = special.gamma_tails(
      *(jnp.asarray(v) for v in np.broadcast_arrays(a, t, np.log(t), a - t)))
  for got, want, side in (
      (lower, scipy_special.gammainc(a, t), t < a),
      (upper, scipy_special.gammaincc(a, t), t > np.maximum(a, 3))):
    kept = side & (want > 1e-200)
    np.testing.assert_allclose(got[kept], want[kept], rtol=1e-11)
    assert kept.sum() > 5


def test_wide_log_sees_subnormal_numbers():
  x = np.array([0, 2.0**-149, 3e-42, 1.1e-38, 1.3e-38, 1, 2, np.inf],
               np.float32)
  with np.errstate(divide='ignore'):
    want = np.log(x.astype(float))
  np.testing.assert_allclose(jax.jit(special.wide_log)(x), want, rtol=1e-6)


@pytest.mark.parametrize('dist, params', [
    (d.poisson, d.PoissonParams(jnp.array([0., 5., 1e7]))),
    (d.binomial, d.BinomialParams(
        jnp.array([0., 3., 1e7]), jnp.array([0., -np.inf, 2.])))])
def test_cdf_at_infinity_is_one_and_below_zero_none(dist, params):
  np.testing.assert_array_equal(dist.cdf(params, jnp.full(3, np.inf)), 1)
  np.testing.assert_array_equal(dist.cdf(params, jnp.full(3, -np.inf)), 0)
  np.testing.assert_array_equal(dist.cdf(params, jnp.full(3, -0.5)), 0)
