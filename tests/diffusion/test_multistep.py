"""Multistep samplers against what their polynomials make exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import samplers
from genjax.diffusion import times
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import PROCESSES

_COEFFICIENTS = (.3, -.5, .2, .4, -.1)  # of a polynomial, the constant first


def _no_noise(step):
  del step

  def noise(number=0, shape=None):
    raise AssertionError(f'a deterministic sampler drew noise {number}')

  return noise


def _from_history(sampler, denoiser, truth, grid):
  """x at the last time, from starting values that are exact."""
  size = jax.eval_shape(sampler.init, truth(grid[0])).times.shape[0]
  before = [(t, truth(t), denoiser(truth(t), t)) for t in grid[:size]]
  carry = samplers.History(
      *map(jnp.stack, zip(*before[::-1]))) if size else None
  return samplers.solve(_no_noise, sampler, denoiser, truth(grid[size]), grid,
                        carry=carry, first=size).x


def _integral(z, degree):
  """Integral of exp(z) times the polynomial of z, from -infinity to z."""
  poly = np.polynomial.Polynomial(_COEFFICIENTS[:degree + 1])
  total = sum((-1)**k * poly.deriv(k) for k in range(1, degree + 1)) + poly
  return np.exp(z) * total(z)


@pytest.mark.parametrize('make, degree', [
    (samplers.dpm_solver_3m, 2),
    (lambda p: samplers.unipc(p, order=1, corrector=False), 0),
    (lambda p: samplers.unipc(p, order=3, corrector=False), 2),
    (lambda p: samplers.unipc(p, order=1), 0),
    (lambda p: samplers.unipc(p, order=3), 2),
])
@pytest.mark.parametrize('name', ['edm', 'vp_cosine'])
@laws.float64
def test_polynomial_in_log_snr_is_integrated_exactly(name, make, degree):
  """x_0 a polynomial of half the log-SNR, whatever x: x / sigma has the known
  integral, on an uneven grid."""
  p = PROCESSES[name]
  grid = p.time(-2 * jnp.log(jnp.asarray([9., 4., 2.5, .7, .5, .1, .04])))

  def denoiser(x, t):
    half = .5 * p.log_snr(t)
    return sum(c * half**k for k, c in enumerate(
        _COEFFICIENTS[:degree + 1])) + 0 * x

  def truth(t):
    return jnp.full((1, 1), p.sigma(t) * (
        1.7 + _integral(float(.5 * p.log_snr(t)), degree)))

  got = _from_history(make(p), denoiser, truth, grid)
  np.testing.assert_allclose(got, truth(grid[-1]), rtol=1e-10)


@pytest.mark.parametrize('degree', [0, 1, 2, 3])
@pytest.mark.parametrize('name', ['edm', 'vp_cosine'])
@laws.float64
def test_polynomial_in_noise_over_signal_is_integrated_exactly(name, degree):
  """Of DEIS: eps a polynomial of sigma / alpha, of which x / alpha is the
  integral."""
  p = PROCESSES[name]
  grid = p.time(-2 * jnp.log(jnp.asarray([9., 4., 2.5, .7, .5, .1, .04])))
  poly = np.polynomial.Polynomial(_COEFFICIENTS[:degree + 1])

  def denoiser(x, t):
    ratio = jnp.exp(-.5 * p.log_snr(t))
    eps = sum(c * ratio**k for k, c in enumerate(poly.coef))
    return (x - p.sigma(t) * eps) / p.alpha(t)

  def truth(t):
    return jnp.full((1, 1), p.alpha(t) * (
        1.7 + poly.integ()(float(jnp.exp(-.5 * p.log_snr(t))))))

  got = _from_history(samplers.deis(p, degree=degree), denoiser, truth, grid)
  np.testing.assert_allclose(got, truth(grid[-1]), rtol=1e-10)


@laws.float64
def test_2m_is_its_published_step():
  """arXiv:2211.01095, algorithm 2, in its own symbols."""
  p = PROCESSES['vp_linear']
  grid = times.karras(p, 4, sigma_min=.1, sigma_max=5.)
  lam = np.asarray(.5 * p.log_snr(grid))
  alpha, sigma = (np.asarray(f(grid)) for f in (p.alpha, p.sigma))
  level = lambda x, t: jnp.tanh(p.log_snr(t)) + 0 * x
  q = np.tanh(2 * lam)
  x = sigma[1] / sigma[0] * 1.3 - alpha[1] * np.expm1(lam[0] - lam[1]) * q[0]
  for i in (2, 3):
    h, r = lam[i] - lam[i - 1], (lam[i - 1] - lam[i - 2]) / (
        lam[i] - lam[i - 1])
    d = (1 + 1 / (2 * r)) * q[i - 1] - 1 / (2 * r) * q[i - 2]
    x = sigma[i] / sigma[i - 1] * x - alpha[i] * np.expm1(-h) * d
  got = samplers.sample(jax.random.key(0), samplers.dpm_solver_2m(p), level,
                        jnp.full((1, 1), 1.3), grid).x
  np.testing.assert_allclose(got, [[x]], rtol=1e-12)


@laws.float64
def test_methods_with_noise_are_those_without_where_tau_is_0():
  """And with tau = 1 their first step is DDPM's."""
  p, x = PROCESSES['vp_linear'], jnp.asarray([[1.3]])
  grid = times.karras(p, 6, sigma_min=.1, sigma_max=5.)
  denoiser = tables.gaussian(p, .25)
  noise_of = lambda step: lambda number=0: jnp.full((1, 1), .7)

  @jax.jit
  def run(x):
    end = lambda sampler, times: samplers.solve(
        noise_of, sampler, denoiser, x, times).x
    return ([end(method(p), grid) for method in (
        samplers.dpm_solver_2m, samplers.dpm_solver_3m)],
            [end(method(p, tau=0.), grid) for method in (
                samplers.dpm_solver_2m_sde, samplers.dpm_solver_3m_sde)],
            [end(method(p), grid[:2]) for method in (
                samplers.dpm_solver_2m_sde, samplers.dpm_solver_3m_sde,
                samplers.ancestral)])

  without, at_zero, (two, three, ddpm) = run(x)
  np.testing.assert_allclose(at_zero, without, rtol=1e-12)
  np.testing.assert_allclose([two, three], [ddpm, ddpm], rtol=1e-10)


@pytest.mark.parametrize('methods', [
    (samplers.dpm_solver_2m,),
    pytest.param((lambda p: samplers.deis(p, degree=1),),
                 marks=pytest.mark.slow)], ids=['2m', 'deis'])
@laws.float64
def test_samples_have_gradients_in_the_times(methods):
  """From no signal to no noise too: the slope of a finite difference."""
  p = PROCESSES['vp_cosine']
  grid = p.t_max * jnp.asarray([1., .6, .3, .1, .02, 0.])
  denoiser = tables.gaussian(p, .25)

  @jax.jit
  def run(inner):
    grid_of = lambda inner: jnp.concatenate([grid[:1], inner, grid[-1:]])
    f = lambda inner, method: samplers.sample(
        jax.random.key(0), method(p), denoiser, jnp.ones((1, 1)),
        grid_of(inner)).x[0, 0]
    step = 1e-6 * inner
    ends = jnp.stack([inner - step, inner + step])
    return [(jax.grad(f)(inner, method) @ step,
             jnp.diff(jax.vmap(lambda x: f(x, method))(ends))[0] / 2)
            for method in methods]

  for got, want in run(grid[1:-1]):
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize('make, message', [
    (lambda p: samplers.unipc(p, order=4), 'unipc: order must be 1, 2 or 3'),
    (lambda p: samplers.deis(p, degree=4), 'deis: degree must be 0, 1, 2 or 3'),
    (lambda p: samplers.dpm_solver_2m_sde(p, tau=-1.),
     'dpm_solver_2m_sde: tau must not be negative'),
    (lambda p: samplers.dpm_solver_3m_sde(p, tau=-1.),
     'dpm_solver_3m_sde: tau must not be negative'),
])
def test_multistep_samplers_refuse_bad_options(make, message):
  with pytest.raises(ValueError, match=message):
    make(PROCESSES['edm'])
