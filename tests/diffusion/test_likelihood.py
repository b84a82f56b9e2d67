"""The flow's log-density, against scipy's of the same data.

Entropies and means are over data; what a law allows for noise that is left at
the last time, and for data that are left at the first, is said beside it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import adaptive
from genjax.diffusion import likelihood
from genjax.diffusion import times
from tests import laws
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES
from tests.diffusion.truths import TRUTHS

_KEY = jax.random.key(0)


def nats_of(process, truth, x, grid, key=None, **options):
  """Of an exact denoiser: `MonteCarlo`."""
  return jax.jit(lambda key, x, grid: likelihood.log_likelihood(
      key, process, truth.exact(process).denoiser, x, grid,
      data_std=truth.std, **options))(key, jnp.asarray(x), grid)


def blurred(process, truth, x, t):
  """What the flow from t is to find: log-density of data and noise at t."""
  ratio = float(at(process.sigma, t) / at(process.alpha, t))
  size = x.shape[1]
  return truth._replace(
      covs=truth.covs + ratio**2 * np.eye(size)).log_prob(x)


@pytest.mark.parametrize('name', [
    # Their flow is that of another, along the same angle.
    pytest.param(name, marks=[pytest.mark.slow] * (name in (
        'sub_vp', 'shifted_flow', 'improved_ddpm'))) for name in PROCESSES])
@laws.float64
def test_flow_finds_the_log_density_on_every_process(name):
  """Also where alpha ends at 0. To 2e-4 in the mean over data, and 4 of the
  standard deviations by which x at the most noise, which is not drawn from
  N(0, c^2), tells the mean of data: m^2 / 2 + m z with m = mean alpha / c."""
  process, truth = PROCESSES[name], TRUTHS['line']
  x = truth.draw(60)
  grid = likelihood.grid(process, 24, data_std=truth.std, sigma_min=.01)
  assert at(process.sigma, grid[-1]) / at(process.alpha, grid[-1]) == (
      pytest.approx(.01, rel=1e-4))
  times.check_grid(process, grid)
  found = nats_of(process, truth, x, grid)
  error = np.asarray(found.value) - blurred(process, truth, x, grid[-1])
  shift = truth.weights @ truth.means[:, 0] * at(
      process.alpha, grid[0]) / at(process.sigma, grid[0])
  assert np.abs(error).max() < 2e-4 + 4 * abs(shift)
  assert np.abs(error.mean()) < 2e-4 + 4 * abs(shift) / np.sqrt(60)
  np.testing.assert_array_equal(found.standard_error, 0)


@pytest.mark.parametrize('name, data', [
    ('flow_matching', 'gaussian'), ('vp_cosine', 'plane')])
@laws.float64
def test_flow_finds_the_log_density_of_correlated_data(name, data):
  """1e-3 nats a dimension from that of data without noise, of which .002 is
  left: r^2 / 2 times the curvature of log p, 40 at most here, is 8e-5. With
  any data_std, which is no more than a unit."""
  process, truth = PROCESSES[name], TRUTHS[data]
  x = truth.draw(50)
  other = truth.std * 1.3
  grid = likelihood.grid(process, 48, data_std=other)
  run = jax.jit(lambda x, grid: likelihood.log_likelihood(
      None, process, truth.exact(process).denoiser, x, grid, data_std=other))
  np.testing.assert_allclose(run(jnp.asarray(x), grid).value,
                             truth.log_prob(x), atol=2e-3)


@laws.float64
def test_error_of_fixed_steps_falls_with_the_fourth_power():
  process, truth = PROCESSES['vp_cosine'], TRUTHS['line']
  x, errors = truth.draw(40), []
  for num in (24, 48):
    grid = likelihood.grid(process, num, data_std=truth.std, sigma_min=.02)
    found = nats_of(process, truth, x, grid).value
    errors.append(np.abs(found - blurred(process, truth, x, grid[-1])).max())
  assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=.3)


@laws.float64
def test_adaptive_steps_reach_their_tolerance_and_keep_nan_to_its_row():
  """Global errors of a few steps' tolerance; the mean of data is left out at
  alpha = 0, where the first time is."""
  process, truth = PROCESSES['vp_cosine'], TRUTHS['line']
  x = truth.draw(40)
  grid = likelihood.grid(process, 1, data_std=truth.std, sigma_min=.01)
  want = blurred(process, truth, x, grid[-1])
  want[3] = np.nan
  found = nats_of(process, truth, jnp.asarray(x).at[3].set(np.nan), grid,
                  tolerance=1e-6)
  np.testing.assert_allclose(found.value, want, atol=1e-5)


@laws.float64
def test_probes_agree_with_the_exact_trace_within_their_error():
  """An estimate is off by normal errors of the size that it says."""
  process, truth = PROCESSES['flow_matching'], TRUTHS['plane']
  x = truth.draw(100)
  grid = likelihood.grid(process, 8, data_std=truth.std)
  exact = nats_of(process, truth, x, grid).value
  found = nats_of(process, truth, x, grid, _KEY, num_probes=64)
  z = np.asarray((found.value - exact) / found.standard_error)
  # Of 100 squares of Student's t of 63 degrees, 4 standard deviations.
  assert np.abs(z).max() < 4.5 and np.mean(z**2) == pytest.approx(1, abs=.62)
  assert np.abs(z.mean()) < 4 / np.sqrt(100)


def test_an_example_does_not_see_its_neighbours():
  """Its probes are those of its index; one alone has no error to tell."""
  process, truth = PROCESSES['edm'], TRUTHS['plane']
  x = jnp.asarray(truth.draw(5), jnp.float32)
  grid = likelihood.grid(process, 4, data_std=truth.std)
  index = jnp.arange(7, 12)
  run = jax.jit(lambda x, index: likelihood.log_likelihood(
      _KEY, process, truth.exact(process).denoiser, x, grid, num_probes=1,
      data_std=truth.std, index=index))
  whole, part = run(x, index), run(x[2:4], index[2:4])
  np.testing.assert_allclose(part.value, whole.value[2:4], rtol=1e-5)
  assert whole.value.dtype == jnp.float32
  assert np.isnan(whole.standard_error).all()
  other = run(x, index[::-1])
  assert np.abs(other.value - whole.value)[:2].max() > 1e-3


def test_data_of_sixteen_bits_are_followed_in_thirty_two():
  """The denoiser is given their dtype. Gaussian data stand still in the units
  of the flow, so that nothing but its rounding is left: eps / sin a step."""
  process, seen = PROCESSES['edm'], []

  def denoiser(x, t):
    seen.append((x.dtype, t.dtype))
    return .25 / (.25 + t**2) * x

  x = jnp.asarray([[.3, -.7]], jnp.bfloat16)
  grid = likelihood.grid(process, 6, data_std=.5, sigma_min=.1)
  found = likelihood.log_likelihood(None, process, denoiser, x, grid,
                                    data_std=.5)
  assert set(seen) == {(jnp.dtype('bfloat16'), jnp.dtype('float32'))}
  assert found.value.dtype == jnp.float32
  np.testing.assert_allclose(found.value, stats.norm(
      0, np.hypot(.5, .1)).logpdf(np.asarray(x, float)).sum(), atol=.1)


def test_values_that_have_no_density_are_nan():
  process, truth = PROCESSES['edm'], TRUTHS['line']
  x = jnp.asarray(truth.draw(3), jnp.float32)
  run = jax.jit(lambda x, grid: likelihood.log_likelihood(
      None, process, truth.exact(process).denoiser, x, grid).value)
  for grid in ([3., 1., 2.], [3., 1., 0.]):
    assert np.isnan(run(x, jnp.asarray(grid))).all()
  assert np.isfinite(run(x, jnp.asarray([3., 2., 1.]))).all()


@pytest.mark.parametrize('change, message', [
    ({'times': [1.]}, r'times must be \[T \+ 1\] with T >= 1, got shape'),
    ({'times': [1., 2.]}, 'times must strictly decrease, got 1, then 2'),
    ({'data_std': 0.}, 'data_std must be positive, got 0'),
    ({'num_probes': 2, 'key': None}, 'key must be given for probes, got None'),
    ({'num_probes': 0}, 'num_probes must be positive, got 0'),
    ({'num_probes': 2, 'index': np.arange(2)}, r'index must be \[3\]'),
    ({'tolerance': -1.}, 'tolerance must be positive, got -1'),
])
def test_log_likelihood_refuses_what_it_cannot_do(change, message):
  options = {'key': _KEY, 'times': [2., 1.], **change}
  key, grid = options.pop('key'), jnp.asarray(options.pop('times'))
  with pytest.raises(ValueError, match=f'^log_likelihood: {message}'):
    likelihood.log_likelihood(key, PROCESSES['edm'], lambda x, t: x,
                              jnp.ones((3, 2)), grid, **options)


@pytest.mark.parametrize('name', ['num_steps', 'data_std', 'sigma_min', 'rho'])
def test_grid_refuses_numbers_that_are_not_positive(name):
  with pytest.raises(ValueError, match=f'{name} must be positive, got 0'):
    likelihood.grid(PROCESSES['edm'], **{'num_steps': 4, name: 0})


@laws.float64
def test_solver_keeps_every_row_to_its_tolerance():
  """Of the row that is fastest too, to that of a few steps."""
  speed = jnp.asarray([[.1], [1.], [5.]])
  run = jax.jit(lambda tolerance: adaptive.solve(
      lambda y, t: speed * y[:, ::-1] * jnp.array([1, -1]),
      jnp.tile(jnp.array([0., 1.]), (3, 1)), 1., 3., tolerance=tolerance))
  angle = 2 * np.asarray(speed)
  want = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
  errors = [np.abs(run(tolerance) - want).max() for tolerance in (1e-4, 1e-8)]
  assert 1e-7 < errors[0] < 3e-3 and 1e-11 < errors[1] < 3e-7


def test_solver_that_does_not_arrive_gives_nan():
  """1 / (1 - t) has no value at 2; nor has a row a say that is no number."""
  square = lambda y, t: jnp.square(y)
  run = jax.jit(lambda y, end: adaptive.solve(square, y, 0., end,
                                              tolerance=1e-3))
  y = jnp.array([[1.], [.1]])
  assert np.isnan(run(y, 2.)).all()
  found = run(y.at[0].set(jnp.nan), 2.)
  np.testing.assert_allclose(found, [[np.nan], [.125]], rtol=1e-3)
  short = adaptive.solve(square, y, 0., .5, tolerance=1e-3, max_steps=2)
  assert np.isnan(short).all()
