"""Laws of the samplers, each over the table of processes or samplers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import named
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.numerics import broadcast_right
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES
from tests.diffusion.tables import SAMPLERS

each_process = pytest.mark.parametrize('name', PROCESSES)
_KEY = jax.random.key(0)


@pytest.mark.parametrize('name', [
    'edm', 'vp_cosine', *(pytest.param(name, marks=pytest.mark.slow)
                          for name in ('ve', 'ddpm'))])
@laws.float64
def test_exponential_samplers_are_exact_for_a_single_data_point(name):
  """They land on alpha_s x_0 + sigma_s eps, from t_max, in any steps."""
  p = PROCESSES[name]
  point, eps = jnp.asarray([[.3, -.9]]), jnp.asarray([[1.2, .4]])
  methods = tables.EXPONENTIAL if name == 'vp_cosine' else (
      ('ddim', 'unipc') if name == 'ddpm' else
      ('ddim', 'dpm_solver_2s', 'dpm_solver_3m', 'unipc'))

  @functools.partial(jax.jit, static_argnums=2)
  def run(start, grid, methods):
    return [samplers.sample(_KEY, SAMPLERS[method](p), lambda x, t: point,
                            start, grid).x for method in methods]

  for steps in (1, 7):
    grid = jnp.linspace(p.t_max, 0.1 * p.t_max, steps + 1)
    start, want = (process.perturb(p, point, eps, grid[i]) for i in (0, -1))
    for method, got in zip(methods, run(start, grid, methods)):
      np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11,
                                 err_msg=method)


@pytest.mark.parametrize('name', [
    # Sub-VP begins where vp_linear does, and the shifted where its own does.
    pytest.param(n, marks=[pytest.mark.slow] * (n in (
        'sub_vp', 'shifted_flow')))
    for n in PROCESSES if 'short' not in n])
def test_samplers_are_finite_at_both_ends(name):
  """From t_max (where alpha may be 0) to time 0 (where sigma may be).

  The denoiser is NaN where sigma is 0: evaluated there, it would show. A last
  step to sigma = 0 ends on the denoiser's output, here a function of time.
  """
  p = PROCESSES[name]

  def denoiser(x, t):
    assert x.shape == (3, 2)  # all together: each may have its condition
    level, noisy = (broadcast_right(a, 2) for a in (
        jnp.tanh(p.log_snr(t)), p.sigma(t) > 0))
    return jnp.where(noisy, level + 0 * x, jnp.nan)

  @jax.jit
  def run(x, grid):
    return {sampler: samplers.sample(
        _KEY, SAMPLERS[sampler](p), denoiser, x, grid).x
            for sampler in {'vp_cosine': named.SAMPLERS, 'improved_ddpm': (
                'ddpm', 'unipc')}.get(name, tables.DISTINCT)
            if tables.starts(sampler, name)}

  x = process.prior_sample(_KEY, p, (3, 2), 0.5)
  uneven = p.t_max * jnp.asarray([1.0, .9, .1, .001, 0.])
  for grid in (tables.grid(p, 4), uneven):
    for sampler, out in run(x, grid).items():
      assert np.all(np.isfinite(out)), sampler
      if name in tables.NOISELESS and sampler not in ('heun_churn', 'restart'):
        want = jnp.tanh(p.log_snr(grid[-2]))
        np.testing.assert_allclose(out, want, rtol=1e-5, err_msg=sampler)


_DRAWN = -1.37  # the noise of every step that is looked at alone


def _noise(number=0):
  return jnp.full((1, 1), _DRAWN)


def _span(t, s, count=1):
  return samplers.Span(jnp.asarray(t), jnp.asarray(s), jnp.asarray(0), count)


def _step_many(sampler, x, x0, t, s):
  """One step from each t to each s, of each x, with each x0 as prediction."""

  def step(x, x0, t, s):
    x = x.reshape(1, 1)
    return sampler.step(_noise, sampler.init(x), x,
                        lambda _x, _t: x0.reshape(1, 1), _span(t, s))[1][0, 0]

  return np.asarray(jax.vmap(step)(*map(jnp.asarray, (x, x0, t, s))))


def _levels(p, t):
  return at(p.alpha, t), at(p.sigma, t)


@laws.float64
def test_ancestral_step_has_the_published_variance_of_ddpm():
  """beta-tilde at index 487 of the linear chain."""
  noise = _step_many(samplers.ancestral(PROCESSES['ddpm']),
                     *np.array([[0.], [0.], [.488], [.487]]))
  np.testing.assert_allclose(np.square(noise / _DRAWN), .00979157,
                             rtol=1e-6)


@each_process
@laws.float64
def test_ancestral_step_is_the_posterior_of_ddpm(name):
  """Mean and variance of q(x_s | x_t, x_0): arXiv:2006.11239, eq. 6, 7.

  Written with beta = 1 - (alpha_t / alpha_s)^2 in their variance-preserving
  case, and as a product of two Gaussians in general, which is their proof.
  """
  p = PROCESSES[name]
  t = p.t_max * np.array([.98, .8, .31, .002])
  s = p.t_max * np.array([.7, .799, .1, .001])
  x, x0 = np.random.default_rng(0).normal(size=(2, 4))
  (alpha_t, sigma_t), (alpha_s, sigma_s) = _levels(p, t), _levels(p, s)
  scale = alpha_t / alpha_s
  fresh = sigma_t**2 - scale**2 * sigma_s**2  # of x_t given x_s
  var = 1 / (1 / sigma_s**2 + scale**2 / fresh)
  mean = var * (alpha_s * x0 / sigma_s**2 + scale * x / fresh)
  got = _step_many(samplers.ancestral(p), x, x0, t, s)
  np.testing.assert_allclose(got, mean + np.sqrt(var) * _DRAWN,
                             rtol=1e-8)
  if name in tables.VP:
    beta, bar_t, bar_s = 1 - scale**2, alpha_t**2, alpha_s**2
    eq7 = (alpha_s * beta * x0 + scale * (1 - bar_s) * x) / (1 - bar_t)
    np.testing.assert_allclose(mean, eq7, rtol=1e-6)
    np.testing.assert_allclose(var, (1 - bar_s) / (1 - bar_t) * beta, rtol=1e-6)


@each_process
@pytest.mark.parametrize('eta', [0., .3])
@laws.float64
def test_ddim_step_is_equation_12(name, eta):
  """arXiv:2010.02502, with sigma(eta) of eq. 16."""
  p = PROCESSES[name]
  t = p.t_max * np.array([.9, .8, .31, .002])
  s = p.t_max * np.array([.7, .799, .1, .001])
  x, x0 = np.random.default_rng(0).normal(size=(2, 4))
  (alpha_t, sigma_t), (alpha_s, sigma_s) = _levels(p, t), _levels(p, s)
  std = eta * sigma_s / sigma_t * np.sqrt(
      sigma_t**2 - (alpha_t / alpha_s)**2 * sigma_s**2)
  eps = (x - alpha_t * x0) / sigma_t
  want = alpha_s * x0 + np.sqrt(sigma_s**2 - std**2) * eps
  got = _step_many(samplers.ddim(p, eta=eta), x, x0, t, s)
  np.testing.assert_allclose(got, want + std * _DRAWN, rtol=1e-7)


@pytest.mark.parametrize('name', ['edm', 'flow_matching'])
@laws.float64
def test_euler_is_ddim_where_time_is_its_coordinate(name):
  p = PROCESSES[name]
  t = p.t_max * np.array([1., .8, .31, .002])
  s = p.t_max * np.array([.7, .799, .1, 0.])
  x, x0 = np.random.default_rng(0).normal(size=(2, 4))
  np.testing.assert_allclose(
      _step_many(samplers.euler(p), x, x0, t, s),
      _step_many(samplers.ddim(p), x, x0, t, s), rtol=1e-10)


@laws.float64
def test_euler_and_heun_step_in_the_time_of_the_process():
  """Closed-form slopes of the VP-SDE, where DDIM's step is another one."""
  p, var = PROCESSES['vp_linear'], .25
  denoiser = tables.gaussian(p, var)

  def slope(x, t):
    alpha, sigma = _levels(p, t)
    d_log_alpha = -.5 * (19.9 * t + .1)
    x0 = alpha * var / (alpha**2 * var + sigma**2) * x
    return d_log_alpha * (alpha * x0 - alpha**2 / sigma**2 * (x - alpha * x0))

  x, t, s = 1.3, .8, .5
  euler = x + (s - t) * slope(x, t)
  heun = x + (s - t) * (slope(x, t) + slope(euler, s)) / 2
  for sampler, want in ((samplers.euler(p), euler), (samplers.heun(p), heun)):
    _, got = sampler.step(_noise, None, jnp.full((1, 1), x), denoiser,
                          _span(t, s))
    np.testing.assert_allclose(got, [[want]], rtol=1e-10)


def _churn_once(p, t, x, **options):
  """(x, t) that the denoiser is first asked about in a churned step."""
  seen = []
  sampler = samplers.heun(p, order=1, **options)
  sampler.step(_noise, None, x, lambda x, t: seen.append((x, t)) or x,
               _span(t, .5 * t, count=10))
  return seen[0]


@pytest.mark.parametrize('name', ['vp_cosine', 'edm', 'flow_matching', 'ddpm'])
@laws.float64
def test_churn_raises_the_noise_and_keeps_the_law(name):
  """arXiv:2206.00364, algorithm 2, lines 4-6: x at t becomes x at the raised
  time, for data of any variance: means scale and variances add up right."""
  p = PROCESSES[name]
  t, zero, one = .4 * p.t_max, jnp.zeros((1, 1)), jnp.ones((1, 1))
  noise, raised = _churn_once(p, t, zero, churn=3.0)
  scale = _churn_once(p, t, one, churn=3.0)[0] - noise
  std = noise / _DRAWN
  np.testing.assert_allclose(p.log_snr(raised) - at(p.log_snr, t),
                             -2 * np.log(1.3), rtol=1e-6)
  np.testing.assert_allclose(scale * at(p.alpha, t), [[p.alpha(raised)]],
                             rtol=1e-9)
  np.testing.assert_allclose(scale**2 * at(p.sigma, t)**2 + std**2,
                             [[p.sigma(raised)**2]], rtol=1e-9)
  louder = _churn_once(p, t, zero, churn=3.0, churn_noise=1.5)[0]
  np.testing.assert_allclose(louder, 1.5 * noise, rtol=1e-12)


@laws.float64
def test_churn_keeps_to_its_bounds():
  """Its interval is one of sigma / alpha; gamma is sqrt(2) - 1 at most; noise
  is never raised above t_max."""
  p, x = PROCESSES['edm'], jnp.ones((1, 1))
  for low, high, inside in ((1., 3., True), (2.1, 9., False), (0., 1.9, False)):
    got, t = _churn_once(p, 2., x, churn=1., churn_min=low, churn_max=high)
    assert (float(t) > 2) == inside
    assert (float(got[0, 0]) != 1) == inside
  np.testing.assert_allclose(_churn_once(p, 2., x, churn=1e3)[1], 2 * 2**.5)
  got, t = _churn_once(p, 75., x, churn=1.)
  np.testing.assert_allclose(t, 80.)
  np.testing.assert_allclose(
      got, 1 + np.sqrt(80**2 - 75**2) * _DRAWN, rtol=1e-9)
  got, t = _churn_once(PROCESSES['flow_matching'], 1., x, churn=1.)
  assert t == 1 and got == 1  # alpha = 0: nothing is left to be raised


@pytest.mark.parametrize('make, message', [
    (lambda p: samplers.ddim(p, eta=1.1), 'ddim: eta must be in'),
    (lambda p: samplers.heun(p, order=3), 'heun: order must be 1 or 2'),
    (lambda p: samplers.heun(p, churn=-1.), 'heun: churn must not be neg'),
    (lambda p: samplers.heun(p, churn_noise=-1.), 'heun: churn_noise must not'),
    (lambda p: samplers.heun(p, churn_min=2., churn_max=1.), 'heun: churn_min'),
])
def test_samplers_refuse_bad_options(make, message):
  with pytest.raises(ValueError, match=message):
    make(PROCESSES['edm'])


def _affine(sampler, p, var, t, s):
  """(factor, std) of steps t to s on data N(0, var): each step is affine."""
  denoiser = tables.gaussian(p, var)

  @jax.jit
  def many(x, t, s):
    def step(x, t, s):
      x = jnp.full((1, 1), x)
      return sampler.step(_noise, sampler.init(x), x, denoiser,
                          _span(t, s))[1][0, 0]

    return jax.vmap(jax.vmap(step, (None, 0, 0)), (0, None, None))(x, t, s)

  offset, moved = many(jnp.asarray([0., 1.]), jnp.asarray(t), jnp.asarray(s))
  return np.asarray(moved - offset), np.asarray(offset / _DRAWN)


def _variance_out(p, var, start, factors, stds):
  total = at(p.alpha, start)**2 * var + at(p.sigma, start)**2
  for factor, std in zip(factors, stds):
    total = factor**2 * total + std**2
  return total


@pytest.mark.parametrize('sampler, ratio', [
    ('euler', .716), ('ddim', .716), ('heun', 1.114), ('ddpm', .541)])
@laws.float64
def test_samplers_have_the_known_variance_on_gaussian_data(sampler, ratio):
  """18 steps of the EDM grid to 0, data N(0, .25); known to half a unit."""
  p = PROCESSES['edm']
  grid = np.asarray(times.to_zero(times.karras(p, 18)))
  steps = _affine(SAMPLERS[sampler](p), p, .25, grid[:-1], grid[1:])
  got = _variance_out(p, .25, grid[0], *steps)
  np.testing.assert_allclose(got / .25, ratio, atol=5.1e-4)


@pytest.mark.parametrize('eta', [0., .5, 1.])
@laws.float64
def test_ddim_keeps_the_marginals_in_the_limit_of_small_steps(eta):
  """First order: twice the steps, half the error of the variance."""
  p, var = PROCESSES['vp_linear'], .25
  fine = np.asarray(times.even_log_snr(p, 800, low=-8., high=8.))
  coarse = fine[::2]
  factors, stds = _affine(
      samplers.ddim(p, eta=eta), p, var,
      np.append(coarse[:-1], fine[:-1]), np.append(coarse[1:], fine[1:]))
  want = at(p.alpha, fine[-1])**2 * var + at(p.sigma, fine[-1])**2
  errors = [
      _variance_out(p, var, fine[0], factors[part], stds[part]) / want - 1
      for part in (slice(400), slice(400, None))]
  assert abs(errors[0]) < .05
  np.testing.assert_allclose(errors[0] / errors[1], 2, rtol=.1)
