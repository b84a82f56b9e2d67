"""Orders of convergence against a closed-form probability flow.

On the line the probability flow keeps the cdf: x_s is where the marginal at s
has the value that the marginal at t has at x_t. Root finding in scipy gives it
to 1e-13, with no solver in between.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from scipy import special

from genjax.diffusion import exact
from genjax.diffusion import samplers
from genjax.diffusion import times
from tests import laws
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES
from tests.diffusion.tables import SAMPLERS

_WEIGHTS, _MEANS, _STDS = [.3, .7], [-1., .6], [.2, .4]
_HIGH, _LOW = 10., .02  # sigma / alpha at the ends, both positive


def _flow(p, x, t, s, weights=_WEIGHTS, means=_MEANS, stds=_STDS):
  """The exact probability-flow map of one x from t to s."""

  def tails(x, time):  # each keeps its digits on its own side
    alpha, sigma = float(at(p.alpha, time)), float(at(p.sigma, time))
    z = (x - alpha * np.array(means)) / np.hypot(alpha * np.array(stds), sigma)
    return [np.log(np.dot(weights, special.ndtr(side))) for side in (z, -z)]

  here = tails(x, t)
  side = int(here[1] < here[0])
  return optimize.brentq(lambda y: tails(y, s)[side] - here[side], -6, 6,
                         xtol=1e-15, rtol=1e-14)


@functools.cache
def _problem(name):
  p = PROCESSES[name]
  truth = exact.gaussian_mixture(
      p, jnp.log(jnp.asarray(_WEIGHTS)), jnp.asarray(_MEANS)[:, None],
      jnp.square(jnp.asarray(_STDS))[:, None, None])
  t, s = (float(p.time(-2 * jnp.log(level))) for level in (_HIGH, _LOW))
  std = np.hypot(at(p.alpha, t), at(p.sigma, t))
  x = np.linspace(-2, 2, 17) * std
  return truth.denoiser, jnp.asarray(x)[:, None], np.array(
      [_flow(p, y, t, s) for y in x])


def _grids(p, steps):
  """Karras's and log-uniform, [2, steps + 1]."""
  return jnp.stack([
      times.karras(p, steps + 1, sigma_min=_LOW, sigma_max=_HIGH),
      times.even_log_snr(p, steps, low=-2 * np.log(_HIGH),
                         high=-2 * np.log(_LOW))])


def _errors(name, sampler, steps):
  """Largest error on each of the two grids."""
  denoiser, x, want = _problem(name)
  run = jax.jit(jax.vmap(lambda grid: samplers.sample(
      jax.random.key(0), SAMPLERS[sampler](PROCESSES[name]), denoiser, x,
      grid).x))
  got = run(_grids(PROCESSES[name], steps))[..., 0]
  return np.abs(got - want).max(1)


@pytest.mark.parametrize('name, sampler, order, counts', [
    ('edm', 'ddim', 1, (80, 640)),
    ('edm', 'heun', 2, (80, 640)),
    ('edm', 'dpm_solver_2m', 2, (80, 640)),
    # Where time is neither sigma nor log-SNR. DDIM and 2M do not see time.
    ('vp_linear', 'euler', 1, (640, 1280)),
    ('vp_linear', 'heun', 2, (640, 1280)),
    # Discrete chains, between whose levels the curve must be smooth.
    ('ddpm', 'heun', 2, (640, 1280)),
    ('improved_ddpm', 'heun', 2, (640, 1280)),
])
@laws.float64
def test_sampler_has_its_order(name, sampler, order, counts):
  """Slope of log error over log steps, to .15."""
  errors = np.log([_errors(name, sampler, n) for n in counts])
  slopes = (errors[0] - errors[1]) / np.log(counts[1] / counts[0])
  np.testing.assert_allclose(slopes, order, atol=.15)


@laws.float64
def test_flow_is_the_closed_form_of_one_gaussian():
  """The oracle itself: x sqrt((s^2 + sigma^2) / s^2) of arXiv:2206.00364."""
  p = PROCESSES['edm']
  got = _flow(p, 3.0, 10., .02, [.5, .5], [0., 0.], [.4, .4])
  want = 3.0 * np.sqrt((.16 + .02**2) / (.16 + 10**2))
  np.testing.assert_allclose(got, want, rtol=1e-10)
