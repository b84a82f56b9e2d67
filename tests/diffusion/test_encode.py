"""Codes by the probability-flow ODE, of Gaussian data, in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import exact
from genjax.diffusion import samplers
from genjax.diffusion import times
from tests import laws
from tests.diffusion.tables import PROCESSES
from tests.diffusion.tables import SAMPLERS

_MEAN, _VAR = .3, .25
_HIGH, _LOW = 10., .02  # sigma / alpha at the ends
_ORDERS = {'ddim': 1, 'euler': 1, 'heun': 2, 'dpm_2': 2, 'dpm_solver_2s': 2,
           'dpm_solver_2m': 2}
_CASES = [('edm', name) for name in _ORDERS] + [
    ('vp_linear', name) for name in ('ddim', 'heun')]


def _grid(p, steps):
  return times.karras(p, steps + 1, sigma_min=_LOW, sigma_max=_HIGH)


@functools.cache
def _runs(name, method, steps):
  """x at the low end, its code, what is sampled from it; both by the truth."""
  p = PROCESSES[name]
  sampler = SAMPLERS[method](p)
  mean, cov = jnp.asarray([_MEAN]), jnp.asarray([[_VAR]])
  denoiser = exact.gaussian(p, mean, cov).denoiser
  flow = exact.gaussian(p, mean, cov).flow
  grid = _grid(p, steps)
  x = jnp.linspace(-1., 1.5, 6)[:, None]

  @jax.jit
  def run(x):
    code, want = samplers.encode(sampler, denoiser, x, grid).x, flow(
        x, grid[-1], grid[0])
    decode = lambda z: samplers.sample(
        jax.random.key(1), sampler, denoiser, z, grid).x
    return code, want, decode(code), decode(want)

  return x, *run(x)


def _error(got, want):
  """Of the slope of an affine map, relative to the true slope."""
  return np.ptp(got) / np.ptp(want) - 1


@pytest.mark.parametrize('name, method', _CASES)
@laws.float64
def test_encode_has_the_order_of_its_method(name, method):
  """Twice the steps: half or a quarter of the error of the code, to 15 %."""
  errors = []
  for steps in (160, 320):
    _, code, want, *_ = _runs(name, method, steps)
    errors.append(_error(code, want))
  assert abs(errors[1]) < .03
  ratio = 2**_ORDERS[method]
  np.testing.assert_allclose(errors[0] / errors[1], ratio, rtol=.15)


@pytest.mark.parametrize('name, method', _CASES)
@laws.float64
def test_sample_of_the_code_is_the_data(name, method):
  """Off by no more than the way up and the way down are, together."""
  x, code, want, back, down = _runs(name, method, 160)
  up = abs(_error(code, want))
  assert abs(_error(back, x)) < 1.1 * (up + abs(_error(down, x)))


@laws.float64
def test_code_of_gaussian_data_is_known():
  """x sqrt((s^2 + high^2) / (s^2 + low^2)) of zero-mean data under edm."""
  p = PROCESSES['edm']
  denoiser = exact.gaussian(p, jnp.zeros(1), jnp.full((1, 1), _VAR)).denoiser
  x = jnp.asarray([[-1.], [.2], [2.]])
  code = samplers.encode(samplers.heun(p), denoiser, x, _grid(p, 400)).x
  want = x * np.sqrt((_VAR + _HIGH**2) / (_VAR + _LOW**2))
  np.testing.assert_allclose(code, want, rtol=1e-3)


@pytest.mark.parametrize('method', ['ddim', 'heun', 'unipc', 'adaptive'])
def test_encode_from_no_noise_is_nan(method):
  p = PROCESSES['edm']
  denoiser = exact.gaussian(p, jnp.zeros(1), jnp.eye(1)).denoiser
  code = samplers.encode(SAMPLERS[method](p), denoiser, jnp.ones((1, 1)),
                         jnp.asarray([2., 1., 0.])).x
  assert np.isnan(code).all()
