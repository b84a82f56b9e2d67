"""Fields of a denoiser against the truth: autodiff, flows, conservation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import exact
from genjax.diffusion import fields
from tests import laws
from tests.diffusion.tables import gaussian
from tests.diffusion.tables import PROCESSES
from tests.diffusion.test_exact import MODELS

_X = np.random.default_rng(0).normal(size=(4, 2)) * 1.5
_T = np.array([.2, .4, .6, .9])


@pytest.mark.parametrize('model, name', [
    ('gaussian', 'vp_linear'), ('mixture', 'vp_linear'), ('mixture', 'edm'),
    ('finite', 'flow_matching')])
@laws.float64
def test_score_is_the_gradient_of_log_prob(model, name):
  """Tweedie's formula against autodiff, one time an example and one for all."""
  p = PROCESSES[name]
  truth = MODELS[model](p)

  @jax.jit
  def scores(x, t):
    return (fields.score(p, truth.denoiser, x, t),
            jax.grad(lambda x: truth.log_prob(x, t).sum())(x),
            fields.score(p, truth.denoiser, x[2:3], t[2]))

  got, want, alone = scores(_X, _T)
  np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8)
  np.testing.assert_allclose(alone[0], got[2], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize('name', ['vp_linear', 'edm', 'flow_matching'])
@laws.float64
def test_velocity_is_the_slope_of_the_flow_map(name):
  """d x_s / ds at s = t, of the closed form for a Gaussian."""
  p, mean, cov = PROCESSES[name], np.ones(2), np.array([[.5, .3], [.3, .4]])
  truth = exact.gaussian(p, mean, cov)
  x, t = jnp.asarray(_X), jnp.asarray(_T)

  @jax.jit
  def both(x, t):
    slope = jax.jvp(lambda s: truth.flow(x, t, s), (t,), (jnp.ones_like(t),))[1]
    return fields.velocity(p, truth.denoiser, x, t), slope

  got, want = both(x, t)
  np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)
  np.testing.assert_allclose(
      fields.velocity(p, truth.denoiser, x, t[1])[1], want[1], rtol=1e-9)


@pytest.mark.parametrize('model, name', [
    ('mixture', 'vp_linear'), ('mixture', 'edm'), ('finite', 'flow_matching')])
@laws.float64
def test_velocity_carries_the_density_along(model, name):
  """d/dt log p(x_t) along the flow is -div of its velocity: the instantaneous
  change of variables, arXiv:1806.07366, theorem 1."""
  p = PROCESSES[name]
  truth = MODELS[model](p)
  speed = lambda x, t: fields.velocity(p, truth.denoiser, x, t)

  @jax.jit
  def both(x, t):
    _, change = jax.jvp(truth.log_prob, (x, t), (speed(x, t), jnp.ones_like(t)))
    return fields.divergence(speed, x, t), change

  got, want = both(jnp.asarray(_X), jnp.asarray(_T))
  np.testing.assert_allclose(got, -want, rtol=1e-7, atol=1e-8)


@laws.float64
def test_divergence_is_the_trace_of_every_examples_jacobian():
  """Of images, one time for all; each example by itself."""
  weights = jnp.asarray(np.random.default_rng(1).normal(size=(3, 8, 8)))
  x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2, 4, 1)))

  def field(x, t):
    flat = jnp.einsum('bij,bj->bi', weights, x.reshape(3, 8))
    return (t * jnp.square(flat)).reshape(x.shape)

  got = jax.jit(fields.divergence, static_argnums=0)(field, x, jnp.asarray(.5))
  slope = np.einsum('bij,bj->bi', weights, x.reshape(3, 8))
  want = np.einsum('bi,bii->b', slope, weights)
  np.testing.assert_allclose(got, want, rtol=1e-10)
  assert fields.divergence(lambda x, t: x, x[:0], jnp.zeros(0)).shape == (0,)


@pytest.mark.parametrize('name', PROCESSES)
@laws.float64
def test_a_denoiser_of_any_process_is_one_of_any_other(name):
  """E[x_0 | x_t] is the same whatever scale and time x_t is told at."""
  p, x = PROCESSES[name], jnp.asarray(_X[:3])
  ratios = jnp.asarray([.1, 1.0, 5.0])
  t = p.time(-2 * jnp.log(ratios))
  want = gaussian(p, .7)(x, t)
  for other in PROCESSES.values():
    got = fields.on_process(p, other, gaussian(other, .7))(x, t)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_beyond_the_times_of_a_process_its_ends_are_asked():
  p, other = PROCESSES['edm'], PROCESSES['ve']
  denoiser = fields.on_process(p, other, lambda x, t: x + 0 * t + t)
  size = np.hypot(1, 50) / np.hypot(1, 70)
  np.testing.assert_allclose(denoiser(jnp.ones((1, 2)), jnp.asarray(70.0)),
                             np.full((1, 2), size + 1), rtol=1e-5)
