"""A VAE is a distribution: draws of the law whose density is bounded."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import VAEParams
from genjax.vae.model import make_vae
from tests import laws
from tests.vae import linear

_KEY = jax.random.key(2)


def _law():
  weight, mean, scale = linear.some_law()
  return stats.multivariate_normal(
      mean, weight @ weight.T + scale**2 * np.eye(len(mean)))


@laws.float64
@pytest.mark.parametrize('num_samples', [1, 5, 50])
def test_log_prob_is_the_evidence_under_the_exact_posterior(num_samples):
  dist = as_distribution(linear.linear_vae(2, 5), _KEY,
                         num_samples=num_samples, most=20)
  x = _law().rvs(21, random_state=0).reshape(7, 3, 5)
  nats = jax.jit(dist.log_prob)(
      VAEParams(linear.exact_params(*linear.some_law())), jnp.asarray(x))
  assert dist.density == 'lower bound' and dist.event_ndims == 1
  np.testing.assert_allclose(nats, _law().logpdf(x), rtol=1e-9)


def test_log_prob_rises_with_samples_to_the_evidence():
  """Where the posterior's mean follows x too little.

  A bound of one noise may be above: means over 200 keys, and four standard
  errors of the differences.
  """
  vae, (weight, mean, scale) = linear.linear_vae(2, 5), linear.some_law()
  params = linear.exact_params(weight, mean, scale)
  params['encoder']['out']['kernel'] *= 0.7
  x = jnp.asarray(_law().rvs(10, random_state=1), jnp.float32)

  @functools.partial(jax.jit, static_argnums=1)
  def bounds(keys, num_samples):
    return jax.vmap(lambda key: jnp.mean(as_distribution(
        vae, key, num_samples=num_samples).log_prob(
            VAEParams(params), x)))(keys)

  keys = jax.random.split(_KEY, 200)
  means = [np.asarray(bounds(keys, num)) for num in (1, 5, 50)]
  means.append(np.full(200, _law().logpdf(x).mean()))
  for low, high in zip(means[:-1], means[1:]):
    assert np.mean(high - low) > 4 * np.std(high - low) / np.sqrt(200)


def test_sample_has_the_law_of_the_evidence():
  """Whitened by scipy's covariance, entries are independent standard normals.
  """
  dist = as_distribution(linear.linear_vae(2, 5), _KEY, num_samples=1)
  params = VAEParams(linear.exact_params(*linear.some_law()))
  x = jax.jit(functools.partial(dist.sample, shape=(2, 4000)))(_KEY, params)
  chex.assert_shape(x, (2, 4000, 5))
  white = np.linalg.solve(np.linalg.cholesky(_law().cov),
                          (x.reshape(-1, 5) - _law().mean).T)
  for row in white:
    assert stats.kstest(row, 'norm').pvalue > 1e-3
  # A correlation of N pairs errs by 1 / sqrt(N).
  assert np.abs(np.corrcoef(white) - np.eye(5)).max() < 4 / np.sqrt(8000)


@pytest.fixture(name='conditional', scope='module')
def _conditional():
  """A model of binary pictures of 3 classes, and its params."""
  vae = make_vae(
      functools.partial(MLPEncoder, widths=(4,), num_classes=3),
      functools.partial(MLPDecoder, shape=(2, 2, 1), widths=(4,),
                        num_classes=3),
      posterior=posteriors.diagonal(2), prior=priors.standard_normal(2),
      likelihood=likelihoods.bernoulli(), event_ndims=3, num_classes=3)
  dist = as_distribution(vae, _KEY, num_samples=6, most=5)
  init = jax.jit(vae.init)
  return dist, init(_KEY, jnp.ones((1, 2, 2, 1)), jnp.zeros(1, int))


def test_as_distribution_has_a_batch_of_labels(conditional):
  """Of one image, under every class; the same under jit and vmap."""
  dist, params = conditional
  labels = jnp.array([[0, 1, 2], [2, 0, 1]])
  x = jax.jit(functools.partial(dist.sample, shape=(4,)))(
      _KEY, VAEParams(params, labels))
  chex.assert_shape(x, (4, 2, 3, 2, 2, 1))
  assert dist.event_ndims == 3
  log_prob = jax.jit(dist.log_prob)
  nats = log_prob(VAEParams(params, labels), x)
  chex.assert_shape(nats, (4, 2, 3))
  by_loop = [[log_prob(VAEParams(params, label), x[i, j, k])
              for k, label in enumerate(row)]
             for i in range(4) for j, row in enumerate(labels)]
  np.testing.assert_allclose(nats.reshape(8, 3), by_loop, rtol=1e-5)
  by_vmap = jax.jit(jax.vmap(lambda label: dist.log_prob(
      VAEParams(params, label), x[0, 0, 0])))(labels[0])
  every = log_prob(VAEParams(params, labels[0]), x[0, 0, 0])
  np.testing.assert_allclose(every, by_vmap, rtol=1e-5)
  assert len(np.unique(every)) == 3
  np.testing.assert_allclose(
      dist.log_prob(VAEParams(params, labels[0]), x[0, 0, 0]), every,
      rtol=1e-5)


def test_as_distribution_takes_a_batch_of_params_by_vmap(conditional):
  dist, params = conditional
  both = jax.tree.map(lambda p: jnp.stack([p, -0.5 * p]), params)
  x = jnp.where(jax.random.bernoulli(_KEY, 0.5, (2, 2, 2, 1)), 1.0, -1.0)

  def draw_and_judge(params, x):
    params = VAEParams(params, jnp.array(1))
    return dist.sample(_KEY, params), dist.log_prob(params, x)

  got = jax.jit(jax.vmap(draw_and_judge))(both, x)
  one = jax.jit(draw_and_judge)
  rows = [one(jax.tree.map(lambda p, i=i: p[i], both), x[i]) for i in range(2)]
  chex.assert_trees_all_close(
      got, jax.tree.map(lambda *a: jnp.stack(a), *rows), rtol=1e-5)
  assert got[1][0] != got[1][1]


def test_log_prob_has_a_gradient_and_keeps_nan_to_its_row(conditional):
  dist, params = conditional
  x = jnp.ones((3, 2, 2, 1)).at[1, 0].set(jnp.nan)
  nats, gradient = jax.jit(lambda params: (
      dist.log_prob(VAEParams(params, jnp.arange(3)), x),
      jax.grad(lambda p: dist.log_prob(VAEParams(p, 0), x[0]))(params)))(
          params)
  np.testing.assert_array_equal(np.isnan(nats), [False, True, False])
  chex.assert_tree_all_finite(gradient)
  assert np.any(gradient['encoder']['out']['kernel'])


@pytest.mark.parametrize('options, match', [
    ({'num_samples': 0}, 'num_samples must be positive, got 0'),
    ({'num_samples': 1, 'most': 0}, 'most must be positive, got 0')])
def test_as_distribution_refuses_what_it_cannot_do(options, match):
  with pytest.raises(ValueError, match=match):
    as_distribution(linear.linear_vae(2, 5), _KEY, **options)
