"""log p(x) from below and from above, where it is known and where it is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from genjax.data import embedded
from genjax.mcmc import sigmoid_betas
from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.types import Context
from genjax.vae import annealing
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import VAEParams
from genjax.vae.model import make_vae
from genjax.vae.objectives import make_elbo_loss
from tests.vae import linear

_KEY = jax.random.key(4)


@functools.partial(jax.jit, static_argnums=(4, 5))
def _both_sides(key, params, x, z, num_steps, num_chains):
  """Of the linear model: bounds and acceptances from below and from above."""
  key_low, key_high = jax.random.split(key)
  vae = linear.linear_vae(2, 5)
  options = {'betas': sigmoid_betas(num_steps), 'num_chains': num_chains}
  return (annealing.annealed_log_likelihood(key_low, vae, params, x,
                                            **options),
          annealing.annealed_upper_bound(key_high, vae, params, x, z,
                                         **options))


def _simulated(num):
  """Codes and data of the linear model, and log p(x) by scipy."""
  weight, mean, scale = linear.some_law()
  rng = np.random.default_rng(0)
  z = rng.normal(size=(num, 2))
  x = z @ weight.T + mean + scale * rng.normal(size=(num, 5))
  cov = weight @ weight.T + scale**2 * np.eye(5)
  return (jnp.asarray(x, jnp.float32), jnp.asarray(z, jnp.float32),
          stats.multivariate_normal(mean, cov).logpdf(x))


def _z_score(values):
  return np.mean(values) / (np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize('encoder', ['exact', 'wrong'])
def test_annealed_weights_are_unbiased_from_both_sides(encoder):
  """For p(x) and 1 / p(x), with few temperatures and whatever the encoder.

  So their logs are on average too low and too high, by Jensen's inequality.
  """
  x, z, evidence = _simulated(600)
  params = linear.exact_params(*linear.some_law())
  if encoder == 'wrong':  # in its mean, and in its scale by a factor
    params['encoder']['out']['bias'] += 0.7
  (low, accept_low), (high, accept_high) = _both_sides(
      _KEY, params, x, z, 5, 2)
  below, above = low.value - evidence, high.value - evidence
  for log_ratio in (below, -above):
    assert abs(_z_score(np.exp(log_ratio) - 1)) < 4
    assert _z_score(log_ratio) < -4
  for acceptance in (accept_low, accept_high):
    assert acceptance.shape == (600,)
    assert 0.6 < np.mean(acceptance) < 1
  np.testing.assert_allclose(np.mean(accept_low), np.mean(accept_high),
                             atol=0.05)  # of the same chains, backwards


def test_annealed_bounds_close_on_the_evidence():
  """Each within errors; from above all of an example's chains start alike,
  which their own error does not know: there the mean over examples is.
  """
  x, z, evidence = _simulated(60)
  params = linear.exact_params(*linear.some_law())
  (low, _), (high, _) = _both_sides(_KEY, params, x, z, 60, 16)
  score = (low.value - evidence) / low.standard_error
  assert np.max(np.abs(score)) < 5 and abs(score[0]) < 4
  assert abs(np.std(score) - 1) < 4 / np.sqrt(2 * 60)
  assert abs(_z_score(high.value - evidence)) < 4
  assert np.mean(low.standard_error) < 0.2
  assert np.mean(np.abs(high.value - evidence)) < 0.2


def test_annealed_chains_are_alike_in_any_company():
  """Of NaN too; and examples have chains of their own."""
  x, z, _ = _simulated(60)
  params = linear.exact_params(*linear.some_law())
  together = _both_sides(_KEY, params, x, z, 5, 2)
  some = _both_sides(_KEY, params, x[:3], z[:3], 5, 2)
  for (bound, _), (few, _) in zip(together, some):
    np.testing.assert_allclose(few.value, bound.value[:3], rtol=1e-4)
  bad = _both_sides(_KEY, params, x[:3].at[1, 0].set(jnp.nan), z[:3], 5, 2)
  for bound, _ in bad:
    np.testing.assert_array_equal(np.isnan(bound.value), [False, True, False])
  same = x[:1].repeat(3, 0), z[:1].repeat(3, 0)
  alike = _both_sides(_KEY, params, *same, 5, 2)
  # Of one step no chain moves: all that differs then is where they start.
  for bound, _ in (*alike, _both_sides(_KEY, params, *same, 1, 2)[0]):
    assert len(np.unique(bound.value)) == 3


def _digits(split, num):
  arrays = embedded.digits(split).arrays
  levels = embedded.digits_to_levels(arrays['image'])[:num]
  return jnp.asarray(levels / 8 - 1, jnp.float32), jnp.asarray(
      arrays['label'][:num])


def _trained():
  """A small class-conditional model of digits, and its params."""
  vae = make_vae(
      functools.partial(MLPEncoder, widths=(64,), num_classes=10),
      functools.partial(MLPDecoder, shape=(8, 8, 1), widths=(64,),
                        num_classes=10),
      posterior=posteriors.diagonal(6), prior=priors.standard_normal(6),
      likelihood=likelihoods.discretized_logistic(17), event_ndims=3,
      num_classes=10)
  x, label = _digits('train', None)
  tx = optax.adam(3e-3)
  loss_fn = make_elbo_loss(vae)

  @jax.jit
  def train(params):

    def step(carry, key):
      params, opt_state = carry
      key_index, key_loss = jax.random.split(key)
      index = jax.random.choice(key_index, len(x), (64,))
      gradient, _ = jax.grad(loss_fn, has_aux=True)(
          params, key_loss,
          {'x': x[index], 'cond': {'label': label[index]},
           'index': jnp.arange(64)}, Context())
      updates, opt_state = tx.update(gradient, opt_state)
      return (optax.apply_updates(params, updates), opt_state), None

    return jax.lax.scan(step, (params, tx.init(params)),
                        jax.random.split(_KEY, 500))[0][0]

  return vae, train(jax.jit(vae.init)(_KEY, x[:1], label[:1]))


@pytest.mark.slow
def test_bounds_of_a_trained_model_agree():
  """Within a nat: held-out digits from below by chains and by importance
  sampling, and digits of the model's own from below and from above.
  """
  vae, params = _trained()
  held_out, label = _digits('test', 20)

  @jax.jit
  def bounds(params, x):
    key_z, key_x, key_low, key_drawn, key_high = jax.random.split(_KEY, 5)
    z = vae.prior.sample(key_z, vae.prior_params(params), (20,))
    drawn = vae.likelihood.sample(key_x, vae.decode(params, z, label))
    weighted = as_distribution(vae, _KEY, num_samples=1000)
    options = {'betas': sigmoid_betas(100), 'num_chains': 8}
    (low, _), (low_drawn, _) = (
        annealing.annealed_log_likelihood(key, vae, params, x, label,
                                          **options)
        for key, x in ((key_low, x), (key_drawn, drawn)))
    high, _ = annealing.annealed_upper_bound(
        key_high, vae, params, drawn, z, label, **options)
    return (weighted.log_prob(VAEParams(params, label), x), low.value,
            low_drawn.value, high.value)

  weighted, low, low_drawn, high = map(np.asarray, bounds(params, held_out))
  assert -120 < np.mean(weighted) < -60  # a model of 64 pixels that has learnt
  assert abs(np.mean(low - weighted)) < 1
  gap = high - low_drawn
  assert np.mean(gap) < 1
  assert _z_score(gap) > -4


@pytest.mark.parametrize('change, match', [
    ({'num_chains': 1}, 'num_chains must be 2 or more, got 1'),
    ({'betas': jnp.ones(1)}, r'betas must be \[T \+ 1\]'),
    ({'betas': jnp.linspace(0, .9, 4)}, 'betas must rise from 0 to 1'),
    ({'step_size': 0}, 'step_size'), ({'num_leapfrog': 0}, 'num_leapfrog'),
    ({'z': jnp.zeros((2, 3))}, r'z must be \(2, 2\), got shape \(2, 3\)'),
])
def test_annealed_bounds_refuse_what_they_cannot_do(change, match):
  vae, params = linear.linear_vae(2, 5), linear.exact_params(
      *linear.some_law())
  x, z, _ = _simulated(2)
  options = {'betas': sigmoid_betas(3), **change}
  z = options.pop('z', z)
  with pytest.raises(ValueError, match=match):
    annealing.annealed_upper_bound(_KEY, vae, params, x, z, **options)
  if 'z' not in change:
    with pytest.raises(ValueError, match=match):
      annealing.annealed_log_likelihood(_KEY, vae, params, x, **options)
