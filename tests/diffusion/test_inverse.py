"""Restoration against the posterior that is known, and solvers' own formulas.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import exact
from genjax.diffusion import exact_posterior
from genjax.diffusion import inverse
from genjax.diffusion import operators
from genjax.diffusion import process
from genjax.diffusion import samplers
from tests import laws
from tests.diffusion.tables import PROCESSES
from tests.diffusion.truths import TRUTHS

_RNG = np.random.default_rng(2)
_A = np.array([[1.0, .5]])
_NAMES = ('vp_linear', 'edm', 'flow_matching')


def _measured(y, noise_std, a=_A):
  return operators.measure('test', operators.matrix(a), np.asarray(y),
                           noise_std)


@pytest.mark.parametrize('name', list(TRUTHS))
@laws.float64
def test_posterior_of_a_mixture_is_bayes_rule(name):
  """p(x | y) p(y) = p(x) p(y | x), each by scipy, at points of the data."""
  truth = TRUTHS[name]
  a, noise_std = _A[:, :truth.means.shape[1]], .3
  y, x = np.array([.7]), truth.draw(50)
  got = exact_posterior.gaussian_mixture(
      np.log(truth.weights), truth.means, truth.covs, a, y, noise_std)
  nats = jax.scipy.special.logsumexp(got.logits + jnp.stack([
      jax.scipy.stats.multivariate_normal.logpdf(x, m, c)
      for m, c in zip(got.means, got.covs)], axis=1), axis=1)
  likely = stats.norm.logpdf(y[0], (x @ a.T)[:, 0], noise_std)
  np.testing.assert_allclose(nats + got.log_evidence,
                             truth.log_prob(x) + likely, rtol=1e-9)
  np.testing.assert_allclose(jnp.sum(jnp.exp(got.logits)), 1, rtol=1e-12)


@laws.float64
def test_posterior_of_points_weighs_their_likelihood():
  data, y = _RNG.normal(size=(40, 2)), _RNG.normal(size=(3, 1))
  got = exact_posterior.finite_dataset(jnp.asarray(data), _measured(y, .3))
  nats = stats.norm.logpdf(y, (data @ _A.T).T, .3) - np.log(40)
  want = np.exp(nats) / np.exp(nats).sum(1, keepdims=True)
  np.testing.assert_allclose(np.exp(got.logits), want, rtol=1e-9)
  np.testing.assert_allclose(got.mean, want @ data, rtol=1e-9)
  np.testing.assert_allclose(got.log_evidence, np.log(np.exp(nats).sum(1)),
                             rtol=1e-9)
  # The denoiser of weighted points is that of the posterior: at much noise it
  # gives the mean.
  p = PROCESSES['edm']
  denoiser = exact.finite_dataset(p, jnp.asarray(data), got.logits[0],
                                  chunk=16).denoiser
  np.testing.assert_allclose(
      denoiser(jnp.zeros((1, 2)), jnp.asarray(1e6))[0], got.mean[0], rtol=1e-6)
  with pytest.raises(ValueError, match=r'logits must be \[40\]'):
    exact.finite_dataset(p, jnp.asarray(data), jnp.zeros(3))


@pytest.mark.parametrize('name', _NAMES)
@laws.float64
def test_pigdm_is_the_posterior_of_isotropic_gaussians(name):
  p, std, noise_std, y = PROCESSES[name], .6, .2, np.array([.9])
  plain = exact.gaussian(p, jnp.zeros(2), std**2 * jnp.eye(2)).denoiser
  post = exact_posterior.gaussian_mixture(
      np.zeros(1), np.zeros((1, 2)), std**2 * np.eye(2), _A, y, noise_std)
  want = exact.gaussian_mixture(p, *post[:3]).denoiser
  x = jnp.asarray(_RNG.normal(size=(4, 2)))
  told = _measured(np.tile(y, (4, 1)), noise_std)
  for share in (.05, .4, .9):
    t = jnp.asarray(share * p.t_max)
    np.testing.assert_allclose(
        inverse.pigdm(p, plain, told, data_std=std)(x, t), want(x, t),
        rtol=1e-7)


@pytest.mark.parametrize('name', _NAMES)
@laws.float64
def test_dps_takes_the_denoised_for_the_truth(name):
  """x_0 + C A^T (y - A x_0) / noise_std^2, C the covariance that is left."""
  p, noise_std, scale = PROCESSES[name], .4, .7
  cov = TRUTHS['gaussian'].covs[0]
  plain = exact.gaussian(p, jnp.zeros(2), jnp.asarray(cov)).denoiser
  x, y = _RNG.normal(size=(4, 2)), _RNG.normal(size=(4, 1))
  t = jnp.asarray(.3 * p.t_max)
  alpha, sigma = float(p.alpha(t)), float(p.sigma(t))
  left = np.linalg.inv(np.linalg.inv(cov) + alpha**2 / sigma**2 * np.eye(2))
  x0 = alpha / sigma**2 * x @ left
  want = x0 + scale * (y - x0 @ _A.T) @ _A @ left / noise_std**2
  got = inverse.dps(p, plain, _measured(y, noise_std), scale=scale)(
      jnp.asarray(x), t)
  np.testing.assert_allclose(got, want, rtol=1e-8)
  with pytest.raises(ValueError, match='dps: noise_std must be positive'):
    inverse.dps(p, plain, _measured(y, 0.0))


@pytest.mark.parametrize('name', ['flow_matching', 'vp_cosine'])
def test_where_alpha_is_zero_a_measurement_is_heeded(name):
  """Of isotropic data PiGDM gives the mean of the posterior there."""
  p, x = PROCESSES[name], jnp.ones((1, 2))
  plain = exact.gaussian(p, jnp.zeros(2), jnp.eye(2)).denoiser
  got = inverse.pigdm(p, plain, _measured([[.5]], .3))(
      x, jnp.asarray(p.t_max))
  want = _A.T[:, 0] * .5 / (1.25 + .09)
  np.testing.assert_allclose(got[0], want, atol=4 / 148)


@pytest.mark.parametrize('name', _NAMES)
def test_replacement_puts_the_measured_with_noise_in_its_place(name):
  """A x_s is alpha y + sigma A z, the rest of x is as it was."""
  p, span = PROCESSES[name], samplers.Span(
      jnp.asarray(.6), jnp.asarray(.3), jnp.asarray(0), 1)
  x, z, y = (jnp.asarray(_RNG.normal(size=(4, n))) for n in (2, 2, 1))
  keep = samplers.Sampler(lambda x: None, lambda noise, carry, x, denoiser,
                          span: (carry, x))
  told = _measured(y, .2)
  _, got = inverse.replacement(p, keep, told).step(
      lambda number=0, shape=None: number * z, None, x, None, span)
  want = p.alpha(.3) * y + p.sigma(.3) * z @ _A.T
  np.testing.assert_allclose(got @ _A.T, want, rtol=1e-4, atol=1e-5)
  across = np.array([[.5], [-1.0]])
  np.testing.assert_allclose(got @ across, x @ across, rtol=1e-4, atol=1e-5)


def _drawn(make, p, denoiser, num, steps=50):
  """Samples [num, 2] with the first entry measured, 1 without noise."""
  told = _measured(np.ones((num, 1)), 0.0, np.array([[1.0, 0.0]]))
  times = p.grid(steps)

  @jax.jit
  def draw(key):
    x = process.prior_sample(key, p, (num, 2), .6, time=times[0])
    sampler = make(p, samplers.ancestral(p), told)
    return samplers.sample(key, sampler, denoiser, x, times).x

  return np.asarray(draw(jax.random.key(0)), np.float64)


@pytest.mark.parametrize('name', _NAMES)
def test_replacement_keeps_what_was_measured_and_repaint_makes_it_fit(name):
  """Of correlated data the rest is drawn too freely by the one: its mean is off
  by more than 10 standard errors, that of the other by less than 4."""
  p, num = PROCESSES[name], 2000
  cov = TRUTHS['gaussian'].covs[0]
  denoiser = exact.gaussian(p, jnp.zeros(2), jnp.asarray(cov)).denoiser
  want = cov[0, 1] / cov[0, 0]
  std = np.sqrt(cov[1, 1] - cov[0, 1]**2 / cov[0, 0])
  plain = _drawn(inverse.replacement, p, denoiser, num)
  again = _drawn(inverse.repaint, p, denoiser, num)
  for x in (plain, again):
    np.testing.assert_allclose(x[:, 0], 1, atol=1e-5)
  off = [abs(x[:, 1].mean() - want) for x in (plain, again)]
  error = std / np.sqrt(num)
  assert off[0] > 10 * error and off[1] < 4 * error


def test_repaint_refuses_no_repeats():
  p = PROCESSES['edm']
  with pytest.raises(ValueError, match='repaint: repeats must be 1 or more'):
    inverse.repaint(p, samplers.ancestral(p), _measured([[1.]], 0.), repeats=0)
