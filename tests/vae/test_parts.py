"""Posteriors, priors and likelihoods: laws of codes and of what is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.distributions import independent
from genjax.distributions import normal
from genjax.distributions import NormalParams
from genjax.distributions.flow import conditional_bijector
from genjax.distributions.flow import ContextParams
from genjax.distributions.flow import flow
from genjax.networks.coupling import SplineCoupling
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from tests import laws

_COUPLING = SplineCoupling(features=8, depth=1, num_layers=2, num_bins=4)

POSTERIORS = {
    'diagonal': posteriors.diagonal(3),
    'flow': posteriors.flow(3, 4, conditional_bijector(_COUPLING),
                            _COUPLING.init, ContextParams),
}
LIKELIHOODS = {
    'bernoulli': likelihoods.bernoulli(),
    'discretized_logistic': likelihoods.discretized_logistic(17, 'output'),
    'gaussian': likelihoods.gaussian(),
    'gaussian, shared': likelihoods.gaussian('shared'),
    'gaussian, output': likelihoods.gaussian('output'),
}


def _normal(seed, *shape):
  return np.float32(np.random.default_rng(seed).normal(size=shape))


def _shaken(tree, size=0.3):
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda a: a + size * np.asarray(
      rng.normal(size=a.shape), a.dtype), tree)


def _posterior_params(posterior, batch=4, scale=0.5):
  own = _shaken(jax.jit(posterior.init)(jax.random.key(0)))
  outputs = scale * _normal(1, batch, posterior.num_outputs)
  return own, jax.jit(posterior.params)(own, outputs)


@pytest.mark.parametrize('name', POSTERIORS)
def test_posterior_scores_its_draws_from_noise(name):
  """log q(z) = log N(eps) - log |dz/deps|, the Jacobian by autodiff."""
  posterior = POSTERIORS[name]
  own, _ = _posterior_params(posterior)
  outputs = 0.5 * _normal(1, 5, posterior.num_outputs)
  eps = _normal(2, 5, 3)

  @jax.jit
  def both(outputs, eps):
    def z_of(outputs, eps):
      q = posterior.params(own, outputs[None])
      return posterior.reparameterize(q, eps[None])[0]

    stretch = jax.vmap(jax.jacfwd(z_of, argnums=1))(outputs, eps)
    expected = (jax.scipy.stats.norm.logpdf(eps).sum(-1)
                - jnp.linalg.slogdet(stretch)[1])
    q = posterior.params(own, outputs)
    return posterior.dist.log_prob(q, posterior.reparameterize(q, eps)), (
        expected)

  np.testing.assert_allclose(*both(outputs, eps), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', POSTERIORS)
def test_posterior_samples_as_it_reparameterizes(name):
  """Two-sample Kolmogorov-Smirnov of each entry, p > 1e-4 of 24 tests."""
  posterior = POSTERIORS[name]
  _, q = _posterior_params(posterior)
  num = 2000
  sampled = jax.jit(lambda key: posterior.dist.sample(key, q, (num,)))(
      jax.random.key(3))
  eps = _normal(4, num, 4, 3)
  from_noise = jax.jit(lambda eps: posterior.reparameterize(q, eps))(eps)
  assert sampled.shape == from_noise.shape == (num, 4, 3)
  a, b = (np.asarray(x).reshape(num, -1).T for x in (sampled, from_noise))
  for x, y in zip(a, b):
    assert stats.ks_2samp(x, y).pvalue > 1e-4


@pytest.mark.parametrize('name', POSTERIORS)
def test_posterior_is_finite_whatever_the_encoder_says(name):
  posterior = POSTERIORS[name]
  own = jax.jit(posterior.init)(jax.random.key(0))
  outputs = jnp.array([1e6, -1e6])[:, None] * jnp.ones(posterior.num_outputs)

  @jax.jit
  def judge(outputs):
    q = posterior.params(own, outputs)
    z = posterior.reparameterize(q, jnp.ones((2, 3)))
    return z, posterior.dist.log_prob(q, z)

  for value in judge(outputs):
    assert np.isfinite(value).all()


@pytest.mark.parametrize('raw', [-1e30, -50.0, 0.0, 50.0, 1e30])
def test_to_normal_bounds_scales_by_construction(raw):
  params = jax.jit(posteriors.to_normal)(jnp.array([0.0, raw]))
  assert np.exp(-7.001) <= float(params.scale[0]) <= np.exp(3.001)
  if raw == 0.0:  # the bounds are not felt where scales usually are
    np.testing.assert_allclose(params.scale, 1, rtol=0.15)


def test_vamp_prior_is_the_mean_posterior_of_its_inputs():
  posterior, prior = posteriors.diagonal(2), priors.vamp(2, 5)
  x = _normal(0, 3, 4)
  own = jax.jit(prior.init)(jax.random.key(1), x)
  assert own['inputs'].shape == (5, 4)
  assert len(np.unique(own['inputs'], axis=0)) == 5
  own['logits'] = np.arange(5, dtype=np.float32)
  kernel = _normal(2, 4, 4)

  def encode(x):
    return posterior.params((), x @ kernel)

  z = _normal(3, 6, 2)
  q = jax.jit(encode)(own['inputs'])
  each = stats.norm(np.asarray(q.loc), np.asarray(q.scale)).logpdf(
      np.asarray(z)[:, None]).sum(-1)
  weights = np.exp(np.arange(5.0)) / np.exp(np.arange(5.0)).sum()
  np.testing.assert_allclose(
      jax.jit(lambda own, z: prior.dist.log_prob(
          prior.params(own, encode), z))(own, z),
      np.log(np.exp(each) @ weights), rtol=1e-5)


def test_vamp_prior_needs_a_diagonal_posterior():
  with pytest.raises(ValueError, match='vamp: the posterior must be diagonal'):
    priors.vamp(2, 3).params({'inputs': jnp.zeros((3, 4))}, lambda x: (x,))


def test_learned_prior_is_the_distribution_it_is_given():
  law = flow(_COUPLING, independent(normal, 1),
             NormalParams(jnp.zeros(2), jnp.ones(2)))
  prior = priors.learned(2, law, _COUPLING.init)
  z = _normal(1, 4, 2)

  @jax.jit
  def judge(z):
    own = prior.init(jax.random.key(0), jnp.zeros((1, 7)))
    return prior.dist.log_prob(prior.params(own, None), z)

  np.testing.assert_allclose(  # a new flow is the identity
      judge(z), stats.norm.logpdf(np.asarray(z)).sum(-1), rtol=1e-3)
  with pytest.raises(ValueError, match='learned: dist must be of vectors'):
    priors.learned(2, normal, _COUPLING.init)


@pytest.mark.parametrize('name', LIKELIHOODS)
def test_likelihood_is_finite_whatever_the_decoder_says(name):
  likelihood = LIKELIHOODS[name]
  raw = jnp.array([-1e6, 0.0, 1e6])

  @jax.jit
  def judge(size):
    own = jax.tree.map(lambda a: size * jnp.ones_like(a), likelihood.init((3,)))
    params = likelihood.params(own, jnp.tile(raw[:, None],
                                             likelihood.num_outputs))
    x = jnp.array([[-1.0], [1.0]])
    return likelihood.dist.log_prob(params, x), likelihood.dist.mean(params)

  for size in (-1e30, 1e30):
    for value in judge(size):
      assert np.isfinite(value).all()


def test_bernoulli_likelihood_is_a_law_of_black_and_white():
  likelihood = likelihoods.bernoulli()
  logits = jnp.array([-3.0, 0.0, 1.5])
  params = likelihood.params((), logits[:, None])
  x = jnp.array([-1.0, 1.0])[:, None]
  p = 1 / (1 + np.exp(-np.asarray(logits)))
  dist = laws.compiled(likelihood.dist)
  np.testing.assert_allclose(np.exp(dist.log_prob(params, x)), [1 - p, p],
                             rtol=1e-5)
  np.testing.assert_allclose(dist.mean(params), 2 * p - 1, atol=1e-6)
  draws = np.asarray(dist.sample(jax.random.key(0), params, (10_000,)))
  assert set(np.unique(draws)) == {-1.0, 1.0}
  error = 4 * np.sqrt(p * (1 - p) / len(draws))
  np.testing.assert_array_less(np.abs((draws == 1).mean(0) - p), error)
  bad = likelihood.params((), jnp.full((1, 1), jnp.nan))
  assert np.isnan(dist.sample(jax.random.key(0), bad)).all()
  assert dist.log_prob(params, jnp.array(0.5)).tolist() == [-np.inf] * 3


def test_gaussian_likelihood_says_which_scale_is_learned():
  shapes = {scale: jnp.shape(likelihoods.gaussian(scale).init((3, 2)))
            for scale in ('shared', 'each')}
  assert shapes == {'shared': (), 'each': (3, 2)}
  assert likelihoods.gaussian('output').num_outputs == 2
  with pytest.raises(ValueError, match='gaussian: scale must be one of'):
    likelihoods.gaussian('fixed')
