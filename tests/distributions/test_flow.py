"""A flow is a distribution: normalised, drawn as scored, fitted by its loss."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from genjax.distributions import independent
from genjax.distributions import normal
from genjax.distributions import NormalParams
from genjax.distributions.fitting import maximum_likelihood
from genjax.distributions.flow import bijector
from genjax.distributions.flow import flow
from genjax.networks.coupling import SplineCoupling
from tests import laws

NETWORK = SplineCoupling(features=8, depth=1, num_layers=3, num_bins=4)
BASE = independent(normal, 1), NormalParams(jnp.zeros(2), jnp.ones(2))
FLOW = laws.compiled(flow(NETWORK, *BASE))


def _new():
  return jax.jit(NETWORK.init)(jax.random.key(0), jnp.zeros(2))


def _shaken():
  """Parameters far from the identity that a new network is."""
  rng = np.random.default_rng(1)
  return jax.tree.map(
      lambda x: np.float32(x + 0.2 * rng.normal(size=x.shape)), _new())


def test_new_flow_is_its_base():
  x = np.float32(np.random.default_rng(2).normal(size=(50, 2)))
  np.testing.assert_allclose(
      FLOW.log_prob(_new(), x), stats.norm.logpdf(x).sum(1), rtol=1e-4,
      atol=1e-4)


def test_flow_integrates_to_one():
  """On a grid to 6 standard deviations of the base, in steps of .03."""
  line = np.arange(-6, 6, 0.03) + 0.015
  mesh = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
  nats = FLOW.log_prob(_shaken(), jnp.asarray(mesh, jnp.float32))
  total = np.exp(np.asarray(nats, np.float64)).sum() * 0.03**2
  np.testing.assert_allclose(total, 1, atol=1e-4)  # of a density with kinks


def test_flow_draws_what_it_scores():
  """Drawn points, mapped back, are the base's."""
  variables = _shaken()
  x = FLOW.sample(jax.random.key(3), variables, (5000,))
  z = np.asarray(jax.jit(bijector(NETWORK).inverse)(variables, x))
  assert np.abs(np.asarray(x) - z).max() > 0.5  # the map is not the identity
  for column in z.T:
    assert stats.kstest(column, 'norm').pvalue > 1e-4


def test_flow_slopes_of_its_loss_point_to_the_data():
  """A step against the gradient of the mean -log p lowers it."""
  loss_fn = maximum_likelihood(FLOW)
  noise = np.random.default_rng(4).normal(size=(500, 2))
  batch = {'x': np.float32(0.5 * noise + 1.0)}
  variables = _shaken()
  value = jax.jit(jax.value_and_grad(
      lambda v: loss_fn(v, None, batch, None)[0]))
  before, grads = value(variables)
  moved = jax.tree.map(lambda v, g: v - 1e-2 * g, variables, grads)
  assert float(value(moved)[0]) < float(before)
