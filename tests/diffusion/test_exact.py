"""The oracles of the package, against scipy, autodiff and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy import special
from scipy import stats

from genjax.diffusion import exact
from tests import laws
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES

_RNG = np.random.default_rng(0)
_LOGITS = np.log([2., 5., 3.])  # not normalised
_MEANS = np.array([[-1., .5], [.8, -.2], [.1, 1.2]])
_COVS = np.array([[[.5, .3], [.3, .4]], [[.2, -.1], [-.1, .3]],
                  [[.09, 0.], [0., .01]]])
_DATA = _RNG.normal(size=(5, 2))
_X = _RNG.normal(size=(4, 2)) * 1.5

MODELS = {
    'gaussian': lambda p: exact.gaussian(p, _MEANS[0], _COVS[0]),
    'mixture': lambda p: exact.gaussian_mixture(
        p, jnp.asarray(_LOGITS), jnp.asarray(_MEANS), jnp.asarray(_COVS)),
    'finite': lambda p: exact.finite_dataset(p, jnp.asarray(_DATA), chunk=2),
}
each_model = pytest.mark.parametrize('model', MODELS)


@laws.float64
def test_gaussian_mixture_log_prob_is_that_of_scipy():
  p = PROCESSES['vp_linear']
  t = np.array([.05, .2, .5, .9])
  weights = np.exp(_LOGITS) / np.exp(_LOGITS).sum()
  want = [
      np.log(sum(
          w * stats.multivariate_normal(a * m, a**2 * c + s**2 * np.eye(2)
                                        ).pdf(x)
          for w, m, c in zip(weights, _MEANS, _COVS)))
      for x, a, s in zip(_X, at(p.alpha, t), at(p.sigma, t))]
  got = MODELS['mixture'](p).log_prob(jnp.asarray(_X), jnp.asarray(t))
  np.testing.assert_allclose(got, want, rtol=1e-9)


@laws.float64
def test_gaussian_denoiser_is_the_closed_form():
  """alpha s^2 / (alpha^2 s^2 + sigma^2) x, and in general by the gain matrix.
  """
  for name in ('vp_cosine', 'edm'):
    p = PROCESSES[name]
    a, s = at(p.alpha, .5), at(p.sigma, .5)
    truth = exact.gaussian(p, np.zeros(2), .25 * np.eye(2))
    np.testing.assert_allclose(
        truth.denoiser(jnp.asarray(_X), jnp.asarray(.5)),
        a * .25 / (a**2 * .25 + s**2) * _X, rtol=1e-10)
    cov, mean = _COVS[0], _MEANS[0]
    gain = a * cov @ np.linalg.inv(a**2 * cov + s**2 * np.eye(2))
    got = MODELS['gaussian'](p).denoiser(jnp.asarray(_X), jnp.asarray(.5))
    np.testing.assert_allclose(got, mean + (_X - a * mean) @ gain.T, rtol=1e-9)


@laws.float64
def test_finite_dataset_is_a_mixture_of_zero_covariance():
  p = PROCESSES['flow_matching']
  points = exact.gaussian_mixture(
      p, jnp.zeros(5), jnp.asarray(_DATA), jnp.zeros((2, 2)))
  x, t = jnp.asarray(_X), jnp.asarray([.05, .3, .6, .95])
  finite = MODELS['finite'](p)
  np.testing.assert_allclose(finite.denoiser(x, t), points.denoiser(x, t),
                             rtol=1e-9, atol=1e-12)
  np.testing.assert_allclose(finite.log_prob(x, t), points.log_prob(x, t),
                             rtol=1e-9)


@pytest.mark.parametrize('chunk', [1, 3, 5, 128])
def test_finite_dataset_does_not_depend_on_the_chunk(chunk):
  """Images of rank 3, whose number the chunk need not divide."""
  p = PROCESSES['edm']
  data = _RNG.normal(size=(5, 2, 2, 1)).astype(np.float32)
  x = jnp.asarray(_RNG.normal(size=(3, 2, 2, 1)), jnp.float32)
  t = jnp.asarray([.1, .7, 3.])
  got = exact.finite_dataset(p, jnp.asarray(data), chunk=chunk)
  squared = np.sum((np.asarray(x)[:, None] - data)**2, (2, 3, 4))
  nats = -.5 * squared / np.asarray(t)[:, None]**2
  np.testing.assert_allclose(
      got.denoiser(x, t),
      np.einsum('bn,nhwc->bhwc', special.softmax(nats, 1), data),
      rtol=1e-4, atol=1e-5)
  want = (special.logsumexp(nats, 1) - np.log(5)
          - 2 * np.log(2 * np.pi * np.asarray(t)**2))
  np.testing.assert_allclose(got.log_prob(x, t), want, rtol=1e-5, atol=1e-4)


def test_finite_dataset_is_the_nearest_point_in_the_limit_of_no_noise():
  """Also where every weight but one underflows, in float32."""
  p = PROCESSES['edm']
  truth = exact.finite_dataset(p, jnp.asarray(_DATA, jnp.float32), chunk=2)
  x = jnp.asarray(_DATA[::-1] + .01, jnp.float32)
  np.testing.assert_allclose(truth.denoiser(x, jnp.asarray(1e-4)),
                             _DATA[::-1], rtol=1e-6)


@each_model
@laws.float64
def test_log_prob_integrates_to_one(model):
  """On the line, by Simpson's rule over 16 standard deviations."""
  p = PROCESSES['vp_linear']
  truth = {
      'gaussian': lambda: exact.gaussian(p, _MEANS[0, :1], _COVS[0, :1, :1]),
      'mixture': lambda: exact.gaussian_mixture(
          p, jnp.asarray(_LOGITS), jnp.asarray(_MEANS[:, :1]),
          jnp.asarray(_COVS[:, :1, :1])),
      'finite': lambda: exact.finite_dataset(p, jnp.asarray(_DATA[:, :1])),
  }[model]()
  x = np.linspace(-8, 8, 4001)
  for t in (.1, .8):
    density = np.exp(truth.log_prob(jnp.asarray(x)[:, None], jnp.asarray(t)))
    np.testing.assert_allclose(integrate.simpson(density, x=x), 1, rtol=1e-8)


@pytest.mark.parametrize('name', ['vp_linear', 'edm', 'flow_matching'])
@laws.float64
def test_gaussian_flow_maps_marginals_onto_each_other(name):
  """An affine map that takes N(m_t, C_t) to N(m_s, C_s)."""
  p, t, s = PROCESSES[name], .8, .1
  flow = exact.gaussian(p, _MEANS[0], _COVS[0]).flow
  go = lambda x: np.asarray(flow(jnp.asarray(x), jnp.asarray(t),
                                 jnp.asarray(s)))
  zero = go(np.zeros((1, 2)))
  matrix = (go(np.eye(2)) - zero).T

  def marginal(time):
    a, sigma = at(p.alpha, time), at(p.sigma, time)
    return a * _MEANS[0], a**2 * _COVS[0] + sigma**2 * np.eye(2)

  (mean_t, cov_t), (mean_s, cov_s) = marginal(t), marginal(s)
  np.testing.assert_allclose(matrix @ mean_t + zero[0], mean_s, rtol=1e-9)
  np.testing.assert_allclose(matrix @ cov_t @ matrix.T, cov_s, rtol=1e-9)


@laws.float64
def test_gaussian_flow_is_the_published_map():
  """x sqrt((s^2 + sigma^2) / s^2) under VE: arXiv:2206.00364."""
  flow = exact.gaussian(PROCESSES['edm'], np.zeros(2), .3**2 * np.eye(2)).flow
  got = flow(jnp.asarray(_X), jnp.asarray(0.), jnp.asarray(5.))
  np.testing.assert_allclose(got, _X * np.sqrt((.09 + 25) / .09), rtol=1e-10)


@laws.float64
def test_gaussian_flow_solves_the_probability_flow_ode():
  """dx/dt = alpha' x_0 + sigma' eps, by scipy's solver to 1e-10, and one time
  an example."""
  p = PROCESSES['flow_matching']  # alpha' = -1, sigma' = 1
  truth = MODELS['gaussian'](p)

  @jax.jit
  def velocity(t, x):
    x0 = truth.denoiser(x[None], t)[0]
    return -x0 + (x - (1 - t) * x0) / t

  flow = exact.gaussian(p, _MEANS[0], _COVS[0]).flow
  start = np.array([.9, .7, .5, .3])
  got = flow(jnp.asarray(_X), jnp.asarray(start), jnp.full(4, .1))
  for i in range(2):
    solved = integrate.solve_ivp(
        lambda t, x: np.asarray(velocity(t, jnp.asarray(x))), (start[i], .1),
        _X[i], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(got[i], solved.y[:, -1], rtol=1e-6)


def test_exact_models_allow_singular_covariances():
  """eigh of a singular float32 matrix gives a negative eigenvalue at times."""
  p = PROCESSES['edm']
  direction = _RNG.normal(size=(1, 6))
  cov = jnp.asarray(direction.T @ direction, jnp.float32)
  truth = exact.gaussian(p, jnp.zeros(6), cov)
  x = jnp.asarray(_RNG.normal(size=(4, 6)), jnp.float32)
  for t in (1e-6, .1):
    got = truth.denoiser(x, jnp.asarray(t))
    assert np.all(np.isfinite(got))
    assert np.all(np.isfinite(truth.log_prob(x, jnp.asarray(t))))
  # What is left of the noise is 1e-6 (float32's error of a variance) / .1^2.
  size = np.sum(direction**2)
  want = np.asarray(x) @ direction.T @ direction / (size + .1**2)
  np.testing.assert_allclose(got, want, atol=1e-3)
  flow = exact.gaussian(p, jnp.zeros(6), cov).flow
  for t in (1e-6, .1):
    assert np.all(np.isfinite(flow(x, jnp.asarray(t), jnp.asarray(0.))))


@pytest.mark.parametrize('logits, means, covs, message', [
    (np.zeros(2), np.zeros(2), np.eye(2), 'means must have 2 axes'),
    (np.zeros(3), np.zeros((2, 2)), np.eye(2), r'logits must be \[2\]'),
    (np.zeros(2), np.zeros((2, 2)), np.eye(3), r'covs must be \[2, 2, 2\]'),
])
def test_gaussian_mixture_refuses_shapes_that_do_not_fit(
    logits, means, covs, message):
  with pytest.raises(ValueError, match='gaussian_mixture: ' + message):
    exact.gaussian_mixture(PROCESSES['edm'], logits, means, covs)


def test_finite_dataset_refuses_no_data():
  with pytest.raises(ValueError, match='finite_dataset: data must hold'):
    exact.finite_dataset(PROCESSES['edm'], jnp.zeros((0, 2)))
