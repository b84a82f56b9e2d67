"""Training times have the law they claim, and grids the spacing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

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
])
def test_quantiles_increase_and_stay_finite(make):
  u = jnp.asarray([2.0**-24, .01, .3, .5, .7, .99, 1 - 2.0**-24])
  for name, p in PROCESSES.items():
    t = make(p)(u)
    assert np.all(np.isfinite(t)) and np.all(np.diff(t) >= 0), name
    assert np.all(np.isfinite(p.log_snr(t))), name


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
  for name, p in PROCESSES.items():
    t = at(lambda _: times.karras(p, 18), 0)
    level = at(p.sigma, t) / at(p.alpha, t)
    inside = (t > p.t_min * .99) & (t < p.t_max)
    assert inside.sum() > 10
    if name in ('edm', 've', 'vp_linear', 'vp_cosine', 'flow_matching'):
      inside[:] = True  # they go on beyond their ends
    np.testing.assert_allclose(level[inside], np.array(KARRAS)[inside],
                               rtol=1e-6, err_msg=name)


@each_process
def test_grids_decrease_strictly_and_have_their_length(name):
  p, steps = PROCESSES[name], 50
  grids = [
      (times.even(p, steps), steps + 1),
      (times.even_log_snr(p, steps, low=-4., high=6.), steps + 1),
      (times.karras(p, steps, sigma_min=.02, sigma_max=40.), steps)]
  for got, length in grids:
    assert got.shape == (length,)
    assert np.all(np.diff(got) < 0)
  np.testing.assert_allclose(grids[0][0][jnp.asarray([0, -1])],
                             [p.t_max, p.t_min])
  ends = grids[1][0][jnp.asarray([0, -1])]
  np.testing.assert_allclose(p.log_snr(ends), [-4, 6], atol=2e-3)


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


@pytest.mark.parametrize('make, message', [
    (lambda p: times.karras(p, 1), 'karras: num_steps must be 2 or more'),
    (lambda p: times.karras(p, 5, sigma_min=0.), 'karras: 0 < sigma_min'),
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
