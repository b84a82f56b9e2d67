"""Bounds of log p(x): tight where q is exact, and below it elsewhere."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.types import Context
from genjax.vae import likelihoods
from genjax.vae import objectives
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.model import make_vae
from tests import laws
from tests.vae import linear


def _data(num, seed=1):
  weight, mean, scale = linear.some_law()
  cov = weight @ weight.T + scale**2 * np.eye(len(mean))
  x = np.random.default_rng(seed).multivariate_normal(mean, cov, num)
  return x, stats.multivariate_normal(mean, cov).logpdf(x)


def _log_weights(vae, num_samples):
  return jax.jit(lambda params, x: objectives.log_weights(
      jax.random.key(0), vae, params, x, num_samples=num_samples))


def _terms(vae, num_samples):
  return jax.jit(lambda key, params, x: objectives.elbo_terms(
      key, vae, params, x, num_samples=num_samples))


def _small(num_classes=None, prior=priors.standard_normal(2)):
  """A model of 3-D data whose posterior is not exact."""
  vae = make_vae(
      partial(MLPEncoder, widths=(8,), num_classes=num_classes),
      partial(MLPDecoder, shape=(3,), widths=(8,), num_classes=num_classes),
      posterior=posteriors.diagonal(2), prior=prior,
      likelihood=likelihoods.gaussian(), event_ndims=1,
      num_classes=num_classes)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
  label = None if num_classes is None else np.arange(6) % num_classes
  return vae, jax.jit(vae.init)(jax.random.key(1), x, label), x, label


@laws.float64
@pytest.mark.parametrize('num_samples', [1, 5, 50])
def test_log_weights_are_the_evidence_under_the_exact_posterior(num_samples):
  """Whatever is drawn: the bound is tight for every number of samples."""
  x, evidence = _data(20)
  nats = _log_weights(linear.linear_vae(2, 5), num_samples)(
      linear.exact_params(*linear.some_law()), jnp.asarray(x))
  np.testing.assert_allclose(nats, np.tile(evidence, (num_samples, 1)),
                             rtol=1e-9)


def test_elbo_of_a_linear_model_reaches_probabilistic_pca():
  """Tipping and Bishop 1999, eq. 8 and 9, to 1e-3 nats an example."""
  x, _ = _data(400)
  cov = np.cov(x.T, ddof=0)
  values = np.linalg.eigvalsh(cov)[::-1]
  noise = values[2:].mean()
  best = -0.5 * (5 * np.log(2 * np.pi) + np.log(values[:2]).sum()
                 + 3 * np.log(noise) + 5)
  vae = linear.linear_vae(2, 5)
  batch = _batch(jnp.asarray(x, jnp.float32))
  params = jax.jit(vae.init)(jax.random.key(0), batch['x'])
  loss_fn = objectives.make_iwae_loss(vae, num_samples=1)
  num_steps = 4000
  tx = optax.adam(optax.cosine_decay_schedule(3e-2, num_steps))

  def step(carry, key):
    params, state = carry
    gradient = jax.grad(lambda p: loss_fn(p, key, batch, Context())[0])(params)
    updates, state = tx.update(gradient, state)
    return (optax.apply_updates(params, updates), state), None

  (params, _), _ = jax.jit(lambda *args: jax.lax.scan(step, *args))(
      (params, tx.init(params)), jax.random.split(jax.random.key(1), num_steps))
  nats = _log_weights(vae, 500)(params, batch['x'])
  # Near the exact posterior weights hardly vary: this mean errs by far less.
  reached = float(jnp.mean(nats))
  assert best - 1e-3 < reached < best + 1e-4


def test_importance_weighted_bound_rises_to_the_evidence():
  """For a posterior that is wrong: 200 bounds each, in 4 standard errors."""
  x, evidence = _data(5)
  params = linear.exact_params(*linear.some_law())
  params['encoder']['out']['bias'] += jnp.array([0.3, -0.3, 0.2, 0.2])
  nats = np.asarray(_log_weights(linear.linear_vae(2, 5), 200 * 50)(
      params, jnp.asarray(x, jnp.float32)), np.float64)
  means, errors = [], []
  for k in (1, 5, 50):
    bounds = np.log(np.exp(nats - evidence).reshape(-1, k, 5).mean(1))
    means.append(bounds.mean(0))
    errors.append(bounds.std(0, ddof=1) / len(bounds)**0.5)
  for i in (0, 1):
    error = np.hypot(errors[i], errors[i + 1])
    assert (means[i + 1] > means[i] - 4 * error).all()
  assert (means[0] < -10 * errors[0]).all()  # it is wrong indeed
  assert (np.abs(means[2]) < 0.01 + 4 * errors[2]).all()


@pytest.mark.parametrize('prior, groups', [
    (priors.standard_normal(2), 2), (priors.vamp(2, 3), 1)],
                         ids=['exact KL', 'KL of draws'])
def test_elbo_terms_add_up_to_the_mean_log_weight(prior, groups):
  vae, params, x, _ = _small(prior=prior)
  num = 20_000
  nats = _log_weights(vae, num)(params, x)
  terms = _terms(vae, num)(jax.random.key(3), params, x)
  assert terms.kl.shape == (6, groups) and (terms.kl > 0).all()
  elbo = -terms.reconstruction - terms.kl.sum(1)
  nats = np.asarray(nats, np.float64)
  error = 2**0.5 * np.std(nats, axis=0) / num**0.5
  np.testing.assert_array_less(np.abs(elbo - nats.mean(0)), 4 * error)


def _batch(x, label=None):
  return {'x': x, 'index': np.arange(len(x)),
          'cond': {} if label is None else {'label': label}}


def test_elbo_loss_weighs_its_terms():
  vae, params, x, _ = _small()
  key = jax.random.key(4)
  terms = _terms(vae, 1)(key, params, x)
  for beta, free in ((1.0, 0.0), (4.0, 0.0), (0.0, 0.0), (1.0, 0.3)):
    loss, metrics = jax.jit(objectives.make_elbo_loss(
        vae, beta=beta, free_bits=free))(params, key, _batch(x), Context())
    kl = np.asarray(terms.kl, np.float64)
    expected = terms.reconstruction + beta * np.maximum(kl, free).sum(1)
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics['kl'], kl.sum(1).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics['reconstruction'],
                               terms.reconstruction.mean(), rtol=1e-5)


def test_elbo_loss_is_a_mean_over_draws():
  vae, params, x, _ = _small()
  key, num = jax.random.key(4), 7
  nats = jax.jit(lambda params: objectives.log_weights(
      key, vae, params, x, num_samples=num))(params)
  terms = _terms(vae, num)(key, params, x)
  loss, _ = jax.jit(objectives.make_elbo_loss(vae, num_samples=num))(
      params, key, _batch(x), Context())
  np.testing.assert_allclose(
      loss, (terms.reconstruction + terms.kl.sum(1)).mean(), rtol=1e-5)
  # Of one draw it is another, by far more than rounding.
  assert abs(loss + nats[0].mean()) > 1e-3


def test_elbo_loss_does_not_depend_on_how_a_batch_is_split():
  vae, params, x, label = _small(num_classes=2)
  loss_fn = jax.jit(objectives.make_elbo_loss(vae, free_bits=0.2))
  batch, key = _batch(x, label), jax.random.key(5)
  whole, _ = loss_fn(params, key, batch, Context())
  halves = [loss_fn(params, key, jax.tree.map(lambda v, i=i: v[i], batch),
                    Context())[0] for i in (slice(0, 3), slice(3, 6))]
  np.testing.assert_allclose(whole, np.mean(halves), rtol=1e-5)
  masked, _ = loss_fn(params, key, {**batch, 'mask': jnp.array(
      [1.0, 1, 1, 0, 0, 0])}, Context())
  np.testing.assert_allclose(masked, halves[0], rtol=1e-5)


@laws.float64
def test_iwae_loss_is_doubly_reparameterized_without_bias():
  """Equal for the decoder; for the encoder in the mean of 2000 gradients.

  Each of its 68 numbers within 4.5 standard errors.
  """
  vae, params, x, _ = _small()
  keys = jax.random.split(jax.random.key(6), 2000)

  def gradients(doubly):
    loss_fn = objectives.make_iwae_loss(vae, num_samples=4,
                                        doubly_reparameterized=doubly)
    loss = lambda p, key: loss_fn(p, key, _batch(x), Context())[0]
    return jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(params, keys)

  (value, double), (plain_value, plain) = gradients(True), gradients(False)
  np.testing.assert_allclose(value, plain_value, rtol=1e-9)
  for a, b in zip(jax.tree.leaves(double['decoder']),
                  jax.tree.leaves(plain['decoder'])):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)

  def flat(tree):
    return np.concatenate([np.reshape(leaf, (len(keys), -1))
                           for leaf in jax.tree.leaves(tree['encoder'])], 1)

  a, b = flat(double), flat(plain)
  error = np.sqrt((a.var(0) + b.var(0)) / len(keys))
  np.testing.assert_array_less(np.abs(a.mean(0) - b.mean(0)),
                               4.5 * error + 1e-12)


@laws.float64
@pytest.mark.parametrize('doubly', [True, False])
def test_iwae_loss_leaves_an_exact_encoder_alone_if_doubly(doubly):
  """All weights are equal there; the plain gradient is noise about zero."""
  x, _ = _data(10)
  loss_fn = objectives.make_iwae_loss(linear.linear_vae(2, 5), num_samples=3,
                                      doubly_reparameterized=doubly)
  gradient = jax.jit(jax.grad(lambda p: loss_fn(
      p, jax.random.key(0), _batch(jnp.asarray(x)), Context())[0]))(
          linear.exact_params(*linear.some_law()))
  noise = max(float(jnp.abs(leaf).max())
              for leaf in jax.tree.leaves(gradient['encoder']))
  assert noise < 1e-9 if doubly else noise > 1e-2
  assert abs(float(gradient['likelihood'])) > 1e-3  # others do learn


def test_active_units_are_those_that_vary():
  means = np.random.default_rng(0).normal(size=(1000, 3)) * [1, 0.05, 0.2]
  assert objectives.active_units(jnp.asarray(means)).tolist() == [
      True, False, True]
  assert not objectives.active_units(jnp.ones((10, 2))).any()


@pytest.mark.parametrize('wrong', [{'beta': -1.0}, {'free_bits': -0.1},
                                   {'num_samples': 0}])
def test_elbo_loss_refuses_what_is_out_of_range(wrong):
  with pytest.raises(ValueError, match=f'make_elbo_loss: {[*wrong][0]} must'):
    objectives.make_elbo_loss(linear.linear_vae(1, 2), **wrong)
