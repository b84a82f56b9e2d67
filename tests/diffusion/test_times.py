"""Training times have the law they claim, and grids the spacing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.diffusion import process
from genjax.diffusion import times
from tests import laws
from tests.diffusion import tables
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES

each_process = pytest.mark.parametrize('name', PROCESSES)

# arXiv:2206.00364, eq. 5, with n = 18, sigma from 80 to .002, rho = 7.
KARRAS = [
    80, 57.58598, 40.78557, 28.37458, 19.35245, 12.91008, 8.400935, 5.315195,
    3.256822, 1.923340, 1.088171, .5853481, .2964423, .1395165, .05994731,
    .02293452, .00752802, .002]
_U = (np.arange(99) + 1) / 100


@laws.float64
def test_log_normal_has_the_quantiles_of_its_law():
  want = stats.norm(-0.9, 1.1).ppf(_U)  # of ln(sigma / alpha)
  for name, p in PROCESSES.items():
    t = at(times.log_normal(p, -0.9, 1.1), _U)
    got = np.log(at(p.sigma, t) / at(p.alpha, t))
    # Chains and t in [0, 1] end where they end.
    low, high = (-0.5 * at(p.log_snr, e) for e in (p.t_min, p.t_max))
    np.testing.assert_allclose(got, want if name in ('edm', 've') else
                               np.clip(want, low, high), atol=1e-8)


@laws.float64
def test_logit_normal_has_the_quantiles_of_its_law():
  t = at(times.logit_normal(0.3, 0.8), _U)
  np.testing.assert_allclose(special.logit(t), stats.norm(.3, .8).ppf(_U),
                             rtol=1e-9)


@each_process
@laws.float64
def test_uniform_log_snr_has_the_quantiles_of_its_law(name):
  p = PROCESSES[name]
  low, high = -4.0, 3.0
  t = at(times.uniform_log_snr(p, low, high), _U)
  np.testing.assert_allclose(at(p.log_snr, t), high + (low - high) * _U,
                             atol=1e-8)


@each_process
def test_uniform_has_even_quantiles_short_of_infinite_log_snr(name):
  p = PROCESSES[name]
  u = np.concatenate([[2.0**-24], _U, [1 - 2.0**-24]]).astype(np.float32)
  t = at(times.uniform(p), u)
  np.testing.assert_allclose(
      np.diff(t[1:-1]), (p.t_max - p.t_min) / 100, rtol=2e-3)
  assert np.all((t >= p.t_min) & (t <= p.t_max))
  assert np.abs(at(p.log_snr, t)).max() < 20.1
  np.testing.assert_allclose(t[[0, -1]], [p.t_min, p.t_max],
                             atol=1e-3 * p.t_max)


@pytest.mark.parametrize('make', [
    lambda p: times.uniform(p),
    lambda p: times.uniform_log_snr(p, -8., 8.),
    lambda p: times.log_normal(p),
    lambda p: times.log_normal(p, 0., 20.),  # far beyond what floats tell
    lambda p: times.logit_normal(),
    lambda p: times.logit_normal(0., 20.),
])
def test_quantiles_increase_and_stay_finite(make):
  u = jnp.asarray([2.0**-24, .01, .3, .5, .7, .99, 1 - 2.0**-24])
  for name, p in PROCESSES.items():
    t = at(make(p), u)
    assert np.all(np.isfinite(t)) and np.all(np.diff(t) >= 0), name
    assert np.all(np.isfinite(at(p.log_snr, t))), name


def test_stratified_depends_on_key_and_index_only():
  key = jax.random.key(0)
  whole = times.stratified(key, jnp.arange(64))
  np.testing.assert_array_equal(
      times.stratified(key, jnp.asarray([40, 3])), whole[jnp.asarray([40, 3])])
  other = times.stratified(jax.random.key(1), jnp.arange(64))
  assert not np.any(other == whole)


@pytest.mark.parametrize('index', [0, 7])
def test_stratified_is_uniform_at_each_index(index):
  """Over keys: what makes the loss unbiased."""
  keys = jax.random.split(jax.random.key(0), 2000)
  u = jax.vmap(times.stratified, (0, None))(keys, jnp.asarray([index]))[:, 0]
  assert stats.kstest(u, 'uniform').pvalue > 1e-3
  assert np.all((u > 0) & (u < 1))


@pytest.mark.parametrize('start', [0, 12345])
def test_stratified_is_as_even_as_a_lattice(start):
  """N golden points, N a Fibonacci number, sit within 1/N of a lattice's.

  |1 / golden - F(k-1) / F(k)| < 1 / F(k)^2, so n < N steps drift by less than
  1/N; a lattice of N points, shifted, has star discrepancy 2/N at most, and
  moving points by 1/N adds 2/N (for both ends of the worst interval).
  Independent points would have about .85 / sqrt(N) = 27/N.
  """
  num = 987
  index = start + jnp.arange(num)
  u = np.sort(np.asarray(times.stratified(jax.random.key(3), index), float))
  above = np.arange(1, num + 1) / num - u
  star = max(above.max(), (1 / num - above).max())
  assert star < 4 / num


def test_stratified_wraps_exactly():
  """Against unbounded integers, at indices where 32 bits have long wrapped."""
  index = np.array([0, 1, 2, 10, 2**20 + 1, 2**31 - 1])
  start = int(jax.random.bits(jax.random.key(5), (), jnp.uint32))
  golden = round(2**32 * (5**0.5 - 1) / 2)
  want = [(((start + int(i) * golden) % 2**32 >> 9) + .5) / 2**23
          for i in index]
  got = times.stratified(jax.random.key(5), jnp.asarray(index, jnp.int32))
  np.testing.assert_array_equal(got, np.float32(want))


@laws.float64
def test_karras_has_the_published_levels_on_every_process():
  """Where it reaches them; else it begins and ends with the process."""
  for name, p in PROCESSES.items():
    t = at(lambda _: times.karras(p, 18), 0)
    level = at(lambda t: p.sigma(t) / p.alpha(t), t)
    ends = {'ve': (50., .01), 'vp_cosine_short': (
        at(p.sigma, .98) / at(p.alpha, .98), .002)}.get(name)
    want = KARRAS if ends is None else np.linspace(
        *np.power(ends, 1 / 7), 18)**7  # eq. 5
    np.testing.assert_allclose(level, want, rtol=1e-6, err_msg=name)


@each_process
def test_grids_decrease_strictly_and_have_their_length(name):
  p, steps = PROCESSES[name], 50
  even, in_log_snr, karras = map(np.asarray, jax.jit(lambda: (
      times.even(p, steps),
      times.even_log_snr(p, steps, low=-4., high=6.),
      times.karras(p, steps, sigma_min=.02, sigma_max=30.)))())
  for got, length in (even, steps + 1), (in_log_snr, steps + 1), (
      karras, steps):
    assert got.shape == (length,)
    assert np.all(np.diff(got) < 0)
  np.testing.assert_allclose(even[[0, -1]], [p.t_max, p.t_min])
  np.testing.assert_allclose(at(p.log_snr, in_log_snr[[0, -1]]), [-4, 6],
                             atol=2e-3)


def test_even_begins_where_alpha_is_exactly_zero():
  for name in tables.ZERO_TERMINAL_SNR:
    p = PROCESSES[name]
    grid = times.even(p, 7)
    assert p.alpha(grid)[0] == 0 and p.sigma(grid)[-1] == 0


def test_to_zero_appends_the_noiseless_time():
  grid = times.karras(PROCESSES['edm'], 4)
  got = times.to_zero(grid)
  np.testing.assert_array_equal(got[:-1], grid)
  assert got[-1] == 0
  for name in tables.NOISELESS:
    assert PROCESSES[name].sigma(got)[-1] == 0


@pytest.mark.parametrize('p', [
    process.edm(sigma_max=20.), process.edm(.1), process.vp_cosine(t_max=.9),
    process.ve(), process.discretize(process.linear_betas(100))])
def test_default_grids_are_of_their_process(p):
  """The first time is t_max exactly, where `prior_sample` draws."""
  for grid in (times.karras(p, 10), times.even(p, 10)):
    times.check_grid(p, grid)
    level = at(p.sigma, grid[0]) / at(p.alpha, grid[0])
    assert grid[0] == np.float32(p.t_max) if level < 79.9 else grid[0] <= 80


_SHORT = process.discretize(process.linear_betas(100))  # ends at 1.32


@pytest.mark.parametrize('make, message', [
    (lambda: times.karras(_SHORT, 9, sigma_max=2.),
     r'karras: levels must be within .* sigma / alpha \[0, 1.32308\], got'),
    (lambda: times.karras(process.edm(), 9, sigma_min=.001), 'karras: levels'),
    (lambda: times.karras(process.vp_cosine(t_max=.9), 9, sigma_max=80.),
     'karras: levels'),
    (lambda: times.even_log_snr(_SHORT, 9, low=-1., high=2.),
     'even_log_snr: levels must be'),
    (lambda: times.even_log_snr(process.flow_matching(), 99, low=-34.,
                                high=2.),
     'even_log_snr: times must strictly decrease, got 1, then 1'),
    (lambda: times.uniform_log_snr(_SHORT, -1., 2.),
     'uniform_log_snr: low and high must be log-SNRs that the process has'),
    (lambda: times.uniform_log_snr(process.edm(), -30., 2.), 'within \\+-20'),
    (lambda: times.to_zero(times.even(_SHORT, 3)),
     'to_zero: times must strictly decrease, got 0, then 0'),
])
def test_grids_beyond_their_process_are_refused(make, message):
  with pytest.raises(ValueError, match=message):
    make()


@each_process
def test_every_process_has_times_and_a_grid_of_its_own(name):
  """Levels log-normal, and Karras's that end where `sigma` does, where alpha
  is 1; times uniform, and even, elsewhere."""
  p, u = PROCESSES[name], jnp.asarray(_U)
  grid = p.grid(10)
  assert grid.shape == (11,)
  times.check_grid(p, grid)
  if name in ('edm', 've'):
    wanted, levels = times.log_normal(p), times.karras(p, 10 + (name == 've'))
    want = times.to_zero(levels) if name == 'edm' else levels
    assert p.sigma(grid)[-1] == (0 if name == 'edm' else np.float32(.01))
  else:
    wanted, want = times.uniform(p), times.even(p, 10)
  np.testing.assert_array_equal(grid, want)
  np.testing.assert_array_equal(p.times(u), wanted(u))


def _learned(slope):
  """A process whose schedule is traced where `slope` is: log-SNR -slope t."""
  return process.from_schedules(
      alpha=lambda t: jnp.sqrt(jax.nn.sigmoid(-slope * t)),
      sigma=lambda t: jnp.sqrt(jax.nn.sigmoid(slope * t)),
      log_snr=lambda t: -slope * t, time=lambda log_snr: -log_snr / slope,
      t_min=-1.0, t_max=1.0)


def test_traced_schedules_have_the_times_and_grids_of_known_ones():
  """Nothing asks them for a number; what is wrong of them is NaN."""

  def all_of(slope):
    p = _learned(slope)
    levels = {'sigma_min': .1, 'sigma_max': 10.}
    return (times.uniform(p)(jnp.asarray(_U)),
            times.log_normal(p)(jnp.asarray(_U)),
            times.uniform_log_snr(p, -4., 4.)(jnp.asarray(_U)),
            p.grid(5), times.karras(p, 5, **levels),
            times.even_log_snr(p, 5, low=-4., high=4.),
            times.check_grid(p, p.grid(5)))

  run = jax.jit(all_of)
  for got, want in zip(run(6.), all_of(6.)):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
  # At slope 3 the levels 10 and .1 are beyond both ends.
  assert [bool(np.isnan(part).any()) for part in run(3.)] == [
      False] * 4 + [True] * 2 + [False]
  with pytest.raises(ValueError, match='karras: levels must be within'):
    all_of(3.)
  with pytest.raises(ValueError, match='karras: sigma_min and sigma_max must '):
    jax.jit(lambda slope: times.karras(_learned(slope), 5))(6.)


@laws.float64
def test_invert_finds_where_a_rising_function_is_what():
  y = jnp.asarray([-2., .001, .5, 7., 9.])
  got = times.invert(lambda x: x**3, y, 0., 2.)
  np.testing.assert_allclose(got, np.cbrt([0, .001, .5, 7, 8]), atol=1e-15)


@pytest.mark.parametrize('grid, message', [
    ([.9], r'must be \[T \+ 1\] with T >= 1, got shape \(1,\)'),
    ([.9, .5, .5], 'must strictly decrease, got 0.5, then 0.5'),
    ([.2, .5], 'must strictly decrease'),
    ([.9, np.nan, .1], 'must strictly decrease, got 0.9, then nan'),
    ([.95, .5], r'must be within \[0.05, 0.9\] or end at 0, got 0.95'),
    ([.9, .04, 0], 'must be within .*, got 0.04'),
    ([.9, .04], 'must be within .*, got 0.04'),
    ([.9, .5, -.1], 'must be within .*, got -0.1'),
])
def test_check_grid_says_what_is_wrong(grid, message):
  """NaN says it of times that are traced."""
  p, grid = process.edm(.05, .9), jnp.asarray(grid)
  with pytest.raises(ValueError, match='check_grid: times ' + message):
    times.check_grid(p, grid)
  if len(grid) > 1:
    assert np.all(np.isnan(_checked(grid)))


@jax.jit
def _checked(grid):
  return times.check_grid(process.edm(.05, .9), grid)


def test_check_grid_gives_back_what_is_right():
  for grid in ([.9, .05], [.9, .05, 0.], [.7, .3]):
    np.testing.assert_array_equal(_checked(jnp.asarray(grid)),
                                  np.float32(grid))
  with pytest.raises(ValueError, match='check_grid: .*, got 0'):
    times.check_grid(PROCESSES['ve']._replace(t_min=.1), jnp.array([1., 0.]))


@pytest.mark.parametrize('make, message', [
    (lambda p: times.karras(p, 1), 'karras: num_steps must be 2 or more'),
    (lambda p: times.karras(p, 5, sigma_min=0.), 'karras: 0 < sigma_min'),
    (lambda p: times.karras(p, 5, rho=0.), 'karras: rho must be positive'),
    (lambda p: times.even(p, 0), 'even: num_steps must be 1'),
    (lambda p: times.even_log_snr(p, 0, low=0., high=1.), 'even_log_snr: num'),
    (lambda p: times.even_log_snr(p, 5, low=1., high=1.), 'even_log_snr: low'),
    (lambda p: times.uniform_log_snr(p, 1., 0.), 'uniform_log_snr: low'),
    (lambda p: times.log_normal(p, 0., 0.), 'log_normal: std must be pos'),
    (lambda p: times.logit_normal(0., -1.), 'logit_normal: std must be pos'),
])
def test_times_refuse_bad_numbers(make, message):
  with pytest.raises(ValueError, match=message):
    make(PROCESSES['edm'])


def test_levels_to_no_noise_end_where_there_is_none():
  """Of edm they are the process's own; those of ve end at its least noise."""
  edm, ve, cosine = (PROCESSES[name] for name in ('edm', 've', 'vp_cosine'))
  np.testing.assert_array_equal(times.to_no_noise(edm, 9), edm.grid(9))
  np.testing.assert_array_equal(times.to_no_noise(ve, 9),
                                times.karras(ve, 10))
  for p in (edm, ve, cosine, process.edm(.01, 200.)):
    grid = times.to_no_noise(p, 9, rho=1000.)
    if p is not cosine:  # where noise is infinite
      np.testing.assert_allclose(grid[0], p.t_max, rtol=1e-6)
    assert grid.shape == (10,)
    assert (p.sigma(grid[-1]) == 0) == (p is not ve)
    steps = np.diff(p.log_snr(grid[:-1]))  # all but even
    np.testing.assert_allclose(steps, steps[0], rtol=.02)
