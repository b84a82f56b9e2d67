"""The instruments of the certificate, and what they find of samplers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax.diffusion import certification
from genjax.diffusion import certified
from genjax.diffusion import certified_laws as found
from genjax.diffusion import named
from genjax.diffusion import samplers
from genjax.diffusion import times as grids
from tests import laws
from tests.diffusion import tables

_NAMES = tuple(certified.PROCESSES)
_FEW = ('vp_cosine', 've', 'edm', 'learned')
_ROWS = 512
_GAUSSIAN = certification.Line(np.zeros(2), np.zeros(2), np.full(2, .25))


@functools.cache
def _processes(names):
  every = certified.processes()
  return tuple(every[name] for name in names)


@functools.cache
def _truth(names):
  return certification.make_truth(_processes(names))


def _instrument(make, names=('edm', 've')):
  """Of few processes: its programs are those of all of them."""
  processes = _processes(names)
  return found.Instrument(make, certification.make_run(make, processes),
                          _truth(names), processes)


@laws.float64
def test_one_program_serves_all_processes():
  """And gives what a program of the process alone gives."""
  instrument = _instrument(samplers.ancestral, _NAMES)
  x = np.linspace(-2, 2, _ROWS)

  @functools.partial(jax.jit, static_argnums=0)
  def alone(index, times, noises):
    return certification.solve(
        samplers.ancestral, instrument.processes[index], found.MIXTURE,
        jnp.asarray(x), times, noises)

  for index, process in enumerate(instrument.processes):
    if _NAMES[index] not in _FEW:
      continue
    times = process.grid(4)
    got = instrument.run(index, found.MIXTURE, x, times,
                         certification.noises(seed=index))
    want = alone(index, times, certification.noises(seed=index))
    np.testing.assert_allclose(got.x, want.x, rtol=1e-9, atol=1e-12)
    assert np.std(np.asarray(got.x - x)) > .1
  for line, noises in ((found.GAUSSIAN, certification.noises()),
                       (found.MIXTURE, certification.noises(seed=1))):
    instrument.run(0, line, x, instrument.processes[0].grid(4), noises)
  assert instrument.run._cache_size() == 1


def test_what_is_certified_is_what_there_is():
  """Every method by name, every process of the tests, claims of methods."""
  methods = certified.methods()
  assert set(named.SAMPLERS) <= set(methods)
  assert set(certified.CLAIMS) <= set(methods)
  assert set(tables.PROCESSES) <= set(certified.PROCESSES)


@pytest.mark.parametrize('make, ratio', [
    (samplers.euler, .716), (samplers.heun, 1.114), (samplers.ancestral, .541)])
@laws.float64
def test_output_laws_are_the_known_ones(make, ratio):
  """18 steps of the EDM grid to 0, data N(0, .25); known to half a unit."""
  instrument = _instrument(make)
  process = instrument.processes[0]
  times = process.grid(18)
  start = found.marginal(process, _GAUSSIAN, times[0])
  law = found.output_law(instrument, 0, _GAUSSIAN, times, start)
  np.testing.assert_allclose(law, [0, .25 * ratio], atol=.25 * 5.1e-4)


@pytest.mark.parametrize('names', [
    ('ddpm',),
    # The others are drawn by the same code.
    pytest.param(('dpm_solver_3m_sde', 'restart', 'euler_maruyama',
                  'heun_churn', 'predictor_corrector'),
                 marks=pytest.mark.slow)], ids=['few', 'more'])
@laws.float64
def test_draws_have_the_law_that_is_computed_of_them(names):
  """Of methods that draw: mean and variance of 20,000 samples of
  Gaussian data from noise, to 4 standard errors."""
  process, num = certified.processes()['vp_linear'], 20_000
  times = grids.karras(process, 6, sigma_min=.03, sigma_max=10.)
  start = found.marginal(process, found.GAUSSIAN, times[0], prior=True)
  truth = certification._truth(process, found.GAUSSIAN)
  methods = {m: tables.SAMPLERS[m] for m in names}

  @jax.jit
  def draw(x):
    return [samplers.sample(jax.random.key(i), make(process), truth.denoiser, x,
                            times).x for i, make in enumerate(methods.values())]

  x = np.sqrt(start.variance) * jax.random.normal(jax.random.key(9), (num, 1))
  for (m, make), x in zip(methods.items(), draw(x)):
    instrument = found.Instrument(
        make, certification.make_run(make, (process,)), None, (process,))
    law = found.output_law(instrument, 0, found.GAUSSIAN, times, start)
    assert abs(x.mean() - law.mean) < 4 * np.sqrt(law.variance / num), m
    assert abs(x.var() / law.variance - 1) < 4 * np.sqrt(2 / num), m


@pytest.mark.parametrize('numbers, variance', [((0, 0), 4), ((0, 1), 2)])
@laws.float64
def test_noise_of_one_number_is_one_noise(numbers, variance):
  """Three steps x + z + z', in which z' may be z, add 3 times 4 or 2."""

  def step(noise, carry, x, denoiser, span):
    return carry, x + sum(noise(number) for number in numbers)

  instrument = _instrument(lambda p: samplers.Sampler(lambda x: None, step))
  law = found.output_law(
      instrument, 0, _GAUSSIAN, jnp.asarray([1., .7, .4, .1]),
      found.Law(2., 1.5))
  np.testing.assert_allclose(law, [2., 1.5 + 3 * variance], rtol=1e-12)


@laws.float64
def test_a_law_of_what_is_not_affine_is_that_of_quadrature():
  """x^2 of a standard normal x has mean 1 and variance 2."""
  instrument = _instrument(lambda p: samplers.Sampler(
      lambda x: None, lambda noise, carry, x, denoiser, span: (carry, x**2)))
  law = found.output_law(instrument, 0, _GAUSSIAN, jnp.asarray([1., .5]),
                         found.Law(0., 1.))
  np.testing.assert_allclose(law, [1, 2], rtol=1e-5)


@pytest.mark.parametrize('name', [
    'heun', pytest.param('restart', marks=pytest.mark.slow),
    pytest.param('predictor_corrector', marks=pytest.mark.slow)])
@laws.float64
def test_evaluations_are_those_that_a_plain_loop_makes(name):
  """To 0 and above it, counted in Python without compilation."""
  instrument = _instrument(certified.methods()[name])
  for index, process in enumerate(instrument.processes):
    asked = []
    times, sampler = process.grid(3), instrument.make(process)

    def denoiser(x, t):
      asked.append(t)
      return 0.1 * x

    with jax.disable_jit():
      carry, x = sampler.init(jnp.ones((1, 1))), jnp.ones((1, 1))
      for step in range(3):
        carry, x = sampler.step(
            lambda number=0: jnp.zeros((1, 1)), carry, x, denoiser,
            samplers.Span(times[step], times[step + 1], jnp.asarray(step), 3))
    assert found.evaluations(instrument, index, times) == len(asked)


@laws.float64
def test_distances_are_those_of_shifts_and_stretches():
  """W2 of the data moved by .1 is .1; stretched by 1.1, .1 root E x^2."""
  z, weights = certification.nodes()
  x = found.quantiles(z)
  mean, variance = found.moments(found.MIXTURE)
  # Of the normal nodes the error is 4e-5.
  np.testing.assert_allclose(found.wasserstein(x, weights), 0, atol=1e-4)
  np.testing.assert_allclose(found.wasserstein(x[::-1] + .1, weights), .1,
                             atol=1e-4)
  np.testing.assert_allclose(
      found.wasserstein(1.1 * x, weights), .1 * np.sqrt(variance + mean**2),
      atol=1e-4)
  std = np.sqrt(found.MIXTURE.variances)
  cdf = special.ndtr((x[:, None] - found.MIXTURE.means) / std) @ [.3, .7]
  np.testing.assert_allclose(cdf, special.ndtr(z), rtol=0, atol=1e-14)


def test_slope_is_the_power():
  np.testing.assert_allclose(
      found.slope([3e-5 * n**-2.5 for n in found.STEPS]), 2.5)
  assert np.isnan(found.slope([1e-13] * 3))


def _check_orders(name, grids, names=_NAMES):
  """To .15; of methods that draw at least, as in the certificate."""
  instrument = _instrument(certified.methods()[name], names)
  claim = certified.CLAIMS[name]
  drawn = found.draws(instrument)
  for (index, at), grid in itertools.product(enumerate(names), grids):
    errors = (found.law_errors(instrument, index, grid) if drawn
              else found.path_errors(instrument, index, grid,
                                     exact_start=True))
    order = found.slope(errors)
    assert claim - .15 <= order <= (np.inf if drawn else claim + .15), (
        name, at, grid, order, errors)


@pytest.mark.parametrize('name', [
    pytest.param('heun', marks=pytest.mark.slow), 'dpm_solver_3m'])
@laws.float64
def test_methods_have_their_order(name, monkeypatch):
  """Between 160 and 320 steps, from exact starting values."""
  monkeypatch.setattr(found, 'STEPS', (160, 320))
  _check_orders(name, ('karras',), _FEW)


@pytest.mark.slow
@pytest.mark.parametrize('name', certified.CLAIMS)
@laws.float64
def test_every_claim_of_order_holds(name):
  """Over two halvings, on both grids."""
  _check_orders(name, ('karras', 'log'))
