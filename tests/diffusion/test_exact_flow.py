"""Laws of the flow maps of known data, on every process by a few models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from scipy import special

from genjax.diffusion import exact
from tests import laws
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES

_LOGITS = np.log([.3, .7])
_MEANS, _STDS = np.array([[-1.], [.6]]), np.array([.2, .4])
_POINTS = np.array([[-1., .5], [.8, -.2], [.1, 1.2]])

# (process -> Exact, dimension, error of its flow)
MODELS = {
    'gaussian': (lambda p: exact.gaussian(
        p, _POINTS[0], np.array([[.5, .3], [.3, .4]])), 2, 1e-13),
    'mixture on the line': (lambda p: exact.gaussian_mixture(
        p, _LOGITS, _MEANS, _STDS[:, None, None]**2), 1, 1e-13),
    'points on the line': (lambda p: exact.finite_dataset(
        p, jnp.asarray(_POINTS[:, :1])), 1, 1e-13),
    # Independent axes: the flow along the first is that on the line.
    'mixture': (lambda p: exact.gaussian_mixture(
        p, _LOGITS, np.pad(_MEANS, ((0, 0), (0, 1))), np.stack(
            [np.diag([s**2, .3]) for s in _STDS])), 2, 1e-8),
    'points': (lambda p: exact.finite_dataset(p, jnp.asarray(_POINTS)), 2,
               1e-8),
}
_STEP = 1e-4


@functools.cache
def _flow(model, name):
  return jax.jit(MODELS[model][0](PROCESSES[name]).flow)


def _by_roots(p, x, t, s, weights=(.3, .7), means=(-1., .6), stds=(.2, .4)):
  """x_s of one x_t on the line, to 1e-13: where the cdf is the same."""

  def tails(x, time):  # each keeps its digits on its own side
    alpha, sigma = float(at(p.alpha, time)), float(at(p.sigma, time))
    z = (x - alpha * np.array(means)) / np.hypot(alpha * np.array(stds), sigma)
    return [np.log(np.dot(weights, special.ndtr(side))) for side in (z, -z)]

  here = tails(x, t)
  side = int(here[1] < here[0])
  return optimize.brentq(lambda y: tails(y, s)[side] - here[side], -6, 6,
                         xtol=1e-15, rtol=1e-14)


def _times(p, *log_snr):
  return [float(at(p.time, x)) for x in log_snr]


@pytest.mark.parametrize('model, name', [
    ('gaussian', 'vp_cosine'), ('points on the line', 'edm'),
    ('mixture', 'flow_matching'),
    # The same by the same, on other data.
    pytest.param('mixture on the line', 'vp_linear', marks=pytest.mark.slow),
    pytest.param('points', 'vp_linear', marks=pytest.mark.slow)])
@laws.float64
def test_a_flow_composes_and_its_slope_is_the_velocity(model, name):
  """phi(t -> s) = phi(r -> s) o phi(t -> r), phi(t -> t) is the identity, and
  d/ds phi(t -> s) at s = t is the velocity, by central differences."""
  p, (make, dim, error) = PROCESSES[name], MODELS[model]
  t, r, s = _times(p, -3., -.5, 2.)
  x = np.random.default_rng(0).normal(size=(4, dim)) * np.hypot(
      at(p.alpha, t), at(p.sigma, t))
  there = np.concatenate([np.repeat(end, 4) for end in (
      s, r, t, t + _STEP, t - _STEP)])
  go = _flow(model, name)
  direct, middle, same, above, below = np.split(np.asarray(go(
      jnp.asarray(np.tile(x, (5, 1))), jnp.full(20, t), jnp.asarray(there))), 5)
  via = go(jnp.asarray(np.tile(middle, (5, 1))), jnp.full(20, r),
           jnp.full(20, s))[:4]
  np.testing.assert_allclose(via, direct, rtol=0, atol=10 * error)
  np.testing.assert_allclose(same, x, rtol=0, atol=10 * error)
  slope = (above - below) / (2 * _STEP)
  got = jax.jit(make(p).velocity)(x, t)
  # Differences err by their square, and by the flow's error over the step.
  np.testing.assert_allclose(got, slope, rtol=1e-5, atol=2 * error / _STEP)


@pytest.mark.parametrize('model, name', [
    ('mixture on the line', 'vp_linear'), ('mixture', 'flow_matching')])
@laws.float64
def test_a_flow_keeps_the_cdf(model, name):
  """By scipy's root finding; an axis that is independent, as a Gaussian."""
  p, (_, dim, error) = PROCESSES[name], MODELS[model]
  t, s = (float(p.time(-2 * jnp.log(level))) for level in (10., .02))
  x = np.linspace(-2, 2, 20) * np.hypot(at(p.alpha, t), at(p.sigma, t))
  want = [_by_roots(p, y, t, s) for y in x]
  start = np.zeros((20, dim))
  start[:, 0], start[:, -1] = x, x
  got = np.asarray(_flow(model, name)(
      jnp.asarray(start), jnp.full(20, t), jnp.full(20, s)))
  np.testing.assert_allclose(got[:, 0], want, rtol=0, atol=5 * error)
  if dim == 2:
    before, after = (at(p.alpha, time)**2 * .3 + at(p.sigma, time)**2
                     for time in (t, s))
    np.testing.assert_allclose(got[:, 1], x * np.sqrt(after / before), rtol=0,
                               atol=5 * error)


@laws.float64
def test_a_flow_begins_where_all_is_noise_and_ends_where_there_is_none():
  """z at t = 1 becomes the quantile of the data at Phi(z), in both tails."""
  z = jnp.asarray([-6., -1., 0., 2., 7.])[:, None]
  weights, means = np.exp(_LOGITS), _MEANS[:, 0]

  def log_tails(x, means, stds):
    return [jax.nn.logsumexp(np.log(weights) + jax.scipy.special.log_ndtr(
        side * (np.asarray(x) - means) / stds), axis=1) for side in (1, -1)]

  x = _flow('mixture on the line', 'flow_matching')(
      z, jnp.asarray(1.), jnp.asarray(0.))
  for got, side in zip(log_tails(x, means, _STDS), (1, -1)):
    np.testing.assert_allclose(
        got, jax.scipy.special.log_ndtr(side * z[:, 0]), rtol=1e-9, atol=1e-15)


@laws.float64
def test_points_attract_what_is_nearest():
  """From where points are apart, to little noise: x - mean scales as sigma."""
  x = jnp.asarray([[-.9], [.3], [1.]])
  got = _flow('points on the line', 'edm')(
      x, jnp.asarray(.02), jnp.asarray(1e-4))
  points = np.array([[-1.], [.1], [.8]])
  np.testing.assert_allclose(got, points + (x - points) * 1e-4 / .02,
                             rtol=1e-9)


@laws.float64
def test_the_oracle_is_the_closed_form_of_one_gaussian():
  """The oracle itself: x sqrt((s^2 + sigma^2) / s^2) of arXiv:2206.00364."""
  p = PROCESSES['edm']
  got = _by_roots(p, 3.0, 10., .02, [.5, .5], [0., 0.], [.4, .4])
  want = 3.0 * np.sqrt((.16 + .02**2) / (.16 + 10**2))
  np.testing.assert_allclose(got, want, rtol=1e-10)
