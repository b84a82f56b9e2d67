"""A diffusion model is a distribution: draws, and their density."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import distribution
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion.distribution import as_distribution
from genjax.diffusion.distribution import DiffusionParams
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import init_model
from tests.diffusion import test_learned

_KEY = jax.random.key(3)
_STD = .5


def _network(variables, x, noise, cond, **_):
  """E[x_0 | x_t] of N(mean of the class, std^2), the same for every entry.

  Input is scaled to unit variance of the process's x_t; None tells class 0."""
  means = variables['params']
  label = jnp.zeros(len(x), int) if cond is None else cond['label']
  mean = means[label].reshape(-1, *(1,) * (x.ndim - 1))
  snr = jnp.exp(noise).reshape(-1, *(1,) * (x.ndim - 1))
  unit = jnp.sqrt(1 + snr * _STD**2)  # of x_t / sigma
  z = unit * x / jnp.sqrt(snr)  # x_t / alpha
  gain = snr * _STD**2 / (1 + snr * _STD**2)
  return mean + gain * (z - mean)


MODEL = Diffusion(_network, lambda params: process.vp_linear(), prediction.x0,
                  _STD)
PARAMS = init_model(jnp.array([0., .3, -.2]))


def dist(shape=(2,), **options):
  return as_distribution(MODEL, _KEY, shape=shape, num_steps=12,
                         sampling_steps=24, **options)


def test_log_prob_is_that_of_the_class_of_each_event():
  """A batch of labels, broadcast against x; the same alone, and under vmap.

  2e-3 nats a dimension: m^2 / 2 + m z of the prior with m = .3 alpha = .002."""
  law = dist()
  assert (law.event_ndims, law.density) == (1, 'estimate')
  labels = jnp.array([[0], [1], [2]])
  x = jnp.asarray(np.random.default_rng(0).normal(0, .5, (4, 2)), jnp.float32)
  log_prob = jax.jit(law.log_prob)
  nats = log_prob(DiffusionParams(PARAMS, {'label': labels}), x)
  means = np.asarray(PARAMS['network'])[:, None, None]
  want = stats.norm(means, _STD).logpdf(x).sum(2)
  chex.assert_shape(nats, (3, 4))
  np.testing.assert_allclose(nats, want, atol=2 * .008)
  np.testing.assert_allclose(
      log_prob(DiffusionParams(PARAMS, {'label': 1}), x[2]), nats[1, 2],
      rtol=1e-5)
  np.testing.assert_allclose(log_prob(DiffusionParams(PARAMS), x), nats[0],
                             rtol=1e-4)
  by_vmap = jax.jit(jax.vmap(lambda params, label: law.log_prob(
      DiffusionParams(params, {'label': label}), x[0])))(
          jax.tree.map(lambda p: jnp.stack([p, p[::-1]]), PARAMS),
          jnp.array([1, 1]))
  np.testing.assert_allclose(by_vmap, nats[1, 0], rtol=1e-5)


def test_shares_of_classes_are_mixed():
  """The two largest, as everywhere: of linear denoisers, between their means.
  """
  shares = jnp.array([[.25, .75, 0.], [0., 1., 0.]])
  x = jnp.array([.1, -.4])
  nats = jax.jit(dist().log_prob)(DiffusionParams(PARAMS, {'label': shares}), x)
  want = stats.norm(.3 * np.array([[.75], [1.]]), _STD).logpdf(x).sum(1)
  np.testing.assert_allclose(nats, want, atol=2 * .008)


def test_draws_have_the_law_of_the_density():
  law = dist()
  params = DiffusionParams(PARAMS, {'label': jnp.array([0, 1, 2])})
  x = jax.jit(functools.partial(law.sample, shape=(2000,)))(_KEY, params)
  chex.assert_shape(x, (2000, 3, 2))
  for row, mean in enumerate(PARAMS['network']):
    assert stats.kstest(np.ravel(x[:, row]), stats.norm(mean, _STD).cdf
                        ).pvalue > 1e-3


def test_images_are_scored_by_probes_that_all_share():
  """Of 5x5 the divergence is estimated. That of this model has no error: its
  Jacobian is diagonal. Some at a time is the same as all together."""
  x = jnp.asarray(np.random.default_rng(1).normal(0, .5, (5, 5, 5, 1)),
                  jnp.float32)
  assert x[0].size > distribution.EXACT
  nats = jax.jit(dist((5, 5, 1)).log_prob)(DiffusionParams(PARAMS), x)
  np.testing.assert_allclose(
      nats, stats.norm(0, _STD).logpdf(x).sum((1, 2, 3)), rtol=1e-3)
  few = jax.jit(dist((5, 5, 1), most=2).log_prob)(
      DiffusionParams(PARAMS), x.at[1, 0].set(jnp.nan))
  np.testing.assert_array_equal(np.isnan(few), np.arange(5) == 1)
  np.testing.assert_allclose(few[2:], nats[2:], rtol=1e-4)


def test_a_learned_schedule_is_scored_as_it_came_out():
  """Data N(0, std^2) is known whatever the schedule, but for its ends: noise of
  r = e^-2.5 is left, of which scipy has the density."""
  law = as_distribution(test_learned.MODEL, _KEY, shape=(2,), num_steps=8)
  x = jnp.array([.3, -.9])
  run = jax.jit(lambda params: law.log_prob(DiffusionParams(params), x))
  for high in (5., 8.):
    std = np.hypot(test_learned._STD, np.exp(-high / 2))
    np.testing.assert_allclose(run(test_learned._params(high=high)),
                               stats.norm(0, std).logpdf(x).sum(), rtol=1e-4)


@pytest.mark.parametrize('options, match', [
    ({'most': 0}, 'most must be positive, got 0'),
    ({'num_steps': 0}, 'num_steps must be positive, got 0'),
    ({'sigma_min': 0.}, 'sigma_min must be positive, got 0')])
def test_as_distribution_refuses_what_it_cannot_do(options, match):
  with pytest.raises(ValueError, match=f'as_distribution: {match}'):
    as_distribution(MODEL, _KEY, shape=(2,), **options)


def test_log_prob_refuses_other_events_and_conditions():
  law = dist()
  with pytest.raises(ValueError, match=r'x must be \[..., 2\], got shape'):
    law.log_prob(DiffusionParams(PARAMS), jnp.ones((4, 3)))
  with pytest.raises(ValueError, match="must be one of .*, got 'text'"):
    law.log_prob(DiffusionParams(PARAMS, {'text': jnp.ones(3)}),
                 jnp.ones((3, 2)))
