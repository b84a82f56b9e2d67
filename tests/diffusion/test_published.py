"""The sums of other codebases' scheduler tests, of a network made by hand.

The network is x t / (t + 1) on the raw input and the number of the level.
Published in float32, hence 1e-5 relative.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import guidance
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests import laws


def _network(variables, x, level, cond):
  level = level.reshape(-1, 1, 1, 1)
  return x * level / (level + 1)


def _start():
  x = jnp.arange(768.).reshape(3, 8, 8, 4) / 768
  return jnp.transpose(x, (3, 0, 1, 2))


def _denoiser(chain, predicted):
  return make_denoiser(Diffusion(
      _network, fixed(chain), predicted, 1., prediction.raw_input,
      prediction.timestep(1000)))(init_model({}))


def _run(sampler, denoiser, x, grid):
  return samplers.sample(jax.random.key(0), sampler, denoiser, x, grid).x


@pytest.mark.parametrize('first, predicted, total', [
    (1e-4, prediction.eps, 172.0067),
    (1e-4, prediction.v, 52.5302),
    (.01, prediction.eps, 149.8295),
])
@laws.float64
def test_ddim_has_the_published_sum(first, predicted, total):
  """10 steps of the leading grid, then alpha = 1; x_0 clipped to [-1, 1]."""
  chain = process.discretize(process.linear_betas(first=first))
  denoiser = guidance.clip(_denoiser(chain, predicted))
  grid = times.to_zero(jnp.asarray((np.arange(900, -1, -100) + 1) / 1000))
  out = _run(samplers.ddim(chain), denoiser, _start(), grid)
  np.testing.assert_allclose(jnp.sum(jnp.abs(out)), total, rtol=1e-5)


@laws.float64
def test_dpm_solver_2m_has_the_published_mean():
  """Midpoint, 10 steps, to the noise of level 0; given to four digits."""
  chain = process.discretize(process.linear_betas())
  levels = np.append(np.linspace(0, 999, 11).round()[:0:-1], 0)
  out = _run(samplers.dpm_solver_2m(chain), _denoiser(chain, prediction.eps),
             _start(), jnp.asarray((levels + 1) / 1000))
  np.testing.assert_allclose(jnp.mean(jnp.abs(out)), .3301, atol=5e-5)


@laws.float64
def test_edm_euler_has_the_published_sum():
  """c_noise = ln(sigma) / 4 and sigma_data = .5 of arXiv:2206.00364."""
  edm = process.edm()
  denoiser = make_denoiser(Diffusion(
      _network, fixed(edm), prediction.edm(.5), .5,
      embed_noise=lambda _, t: jnp.log(t) / 4))(init_model({}))
  grid = times.to_zero(times.karras(edm, 10))
  out = _run(samplers.euler(edm), denoiser, _start() * np.sqrt(80**2 + 1), grid)
  np.testing.assert_allclose(jnp.sum(jnp.abs(out)), 34.1855, rtol=1e-5)
