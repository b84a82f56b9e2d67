"""Bounds of log p(x): below the truth, tight in the limit, of no schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import bounds
from genjax.diffusion import exact
from genjax.diffusion import immse
from genjax.diffusion import likelihood
from genjax.diffusion import process as processes
from tests import laws
from tests.diffusion.tables import at
from tests.diffusion.tables import PROCESSES
from tests.diffusion.truths import TRUTHS

_KEY = jax.random.key(0)
_FLOW = PROCESSES['flow_matching']  # alpha ends at 0
ESTIMATES = {'bound': lambda *args, **options: bounds.continuous(
    *args, **options).log_prob, 'immse': immse.log_likelihood}


def sigma_points(cov, copies):
  """x [copies * 2 D, D] of mean 0 and of covariance exactly `cov`."""
  root = np.linalg.cholesky(cov) * np.sqrt(len(cov))
  return np.tile(np.concatenate([root.T, -root.T]), (copies, 1))


def mean_and_error(found):
  """Mean over examples, and the standard error of it."""
  error = np.asarray(found.standard_error, float)
  return (float(np.mean(np.asarray(found.value, float))),
          float(np.sqrt(np.sum(error**2))) / len(error))


@pytest.mark.parametrize('data', [
    'line', pytest.param('plane', marks=pytest.mark.slow)])
@pytest.mark.parametrize('road', ESTIMATES)
def test_estimates_find_the_log_density(road, data):
  """In the mean over data: in 4 standard errors of at most 5e-3, a dimension of
  which 1e-3 are for the ends, whose noise of .002 costs r^2 / 2 J < 1e-4."""
  truth = TRUTHS[data]
  x = truth.draw(4000)
  grid = likelihood.grid(_FLOW, 1, data_std=truth.std)
  found = jax.jit(lambda x: ESTIMATES[road](
      _KEY, _FLOW, truth.exact(_FLOW).denoiser, x, grid, data_std=truth.std,
      num_times=32, num_samples=8))(jnp.asarray(x, jnp.float32))
  value, error = mean_and_error(found)
  assert error < 5e-3
  assert abs(value - truth.log_prob(x).mean()) < 1e-3 + 4 * error


@pytest.mark.parametrize('levels', [
    'continuous', 'chain',
    pytest.param('part of a chain', marks=pytest.mark.slow)])
def test_bound_of_a_gaussian_is_its_closed_form(levels):
  """In the mean over data, of variances v and with all of x lost at the end:
  the errors are sum v / (1 + SNR v) at every level, over a chain's steps a sum
  and without steps half the integral; log p(x | x_t) has D / 2 log(2 pi e r^2).
  Every one is below the truth, and the finer the steps the nearer to it."""
  truth, means = TRUTHS['gaussian'], []
  v = np.linalg.eigvalsh(truth.covs[0])
  x = sigma_points(truth.covs[0], 200)
  for num in (8, 32):
    grid = likelihood.grid(_FLOW, num, data_std=.4, sigma_min=.1)
    snr = at(lambda t: jnp.exp(_FLOW.log_snr(t)), grid).astype(float)
    error = np.sum(v / (1 + np.multiply.outer(snr, v)), axis=1)
    diffusion = (.5 * np.sum(np.log1p(snr[-1] * v))
                 if levels == 'continuous' else .5 * np.diff(snr) @ error[:-1])
    want = diffusion + np.log(2 * np.pi * np.e / snr[-1])
    make, options = {
        'continuous': (bounds.continuous, {'num_times': 16}),
        'chain': (bounds.discrete, {}),
        'part of a chain': (bounds.discrete, {'num_times': 5})}[levels]
    found = jax.jit(lambda x, grid: make(
        _KEY, _FLOW, truth.exact(_FLOW).denoiser, x, grid, data_std=.4,
        num_samples=8, **options))(jnp.asarray(x, jnp.float32), grid)
    value, error = mean_and_error(found.log_prob)
    assert error < .02
    assert abs(value + want) < 4 * error + 1e-4
    np.testing.assert_allclose(
        found.log_prob.value, -(found.prior + found.diffusion.value
                                + found.reconstruction.value), rtol=1e-5)
    np.testing.assert_array_equal(found.prior, 0)
    means.append(value)
  entropy = stats.multivariate_normal(np.zeros(2), truth.covs[0]).entropy()
  gap = .5 * np.log1p(.01 / v).sum()
  if levels == 'continuous':
    np.testing.assert_allclose(means, -entropy - gap, atol=4 * error + 1e-4)
  else:
    assert means[0] < means[1] < -entropy - gap


@pytest.mark.parametrize('make', [bounds.continuous, bounds.discrete])
@laws.float64
def test_bound_does_not_depend_on_the_schedule(make):
  """Of the same ends, and for a chain the same levels, to rounding."""
  truth = TRUTHS['plane']
  x, found = jnp.asarray(truth.draw(6)), []
  level = jnp.linspace(-8, 9, 4)
  for name in ('flow_matching', 'vp_cosine', 'edm'):
    p = PROCESSES[name]
    found.append(jax.jit(lambda x: make(
        _KEY, p, truth.exact(p).denoiser, x, p.time(level), num_samples=2,
        num_times=3))(x))
  for other in found[1:]:
    for a, b in zip(jax.tree.leaves(found[0]), jax.tree.leaves(other)):
      np.testing.assert_allclose(a, b, rtol=1e-7)


@laws.float64
def test_chain_has_the_terms_of_ddpm():
  """Ho et al., arXiv:2006.11239, eq. 5, 7: KL of q(x_s | x_t, x_0) to the same
  with E[x_0 | x_t] for x_0, and of q(x_T | x_0) to N(0, 1), by numpy and scipy.
  A denoiser that says one point leaves no noise in them, but for that of the
  Gaussian that they are set against, of scale 1e-4 here."""
  betas = np.linspace(1e-3, .3, 12)
  p = processes.discretize(betas)
  bar = np.cumprod(1 - betas)
  x, point = np.array([[.3, -.8], [1., .2]]), .1
  share = np.sqrt(bar[:-1]) * betas[1:] / (1 - bar[1:])
  variance = (1 - bar[:-1]) / (1 - bar[1:]) * betas[1:]
  squared = ((x - point)**2).sum(1)
  found = jax.jit(lambda x, times: bounds.discrete(
      _KEY, p, lambda x, t: jnp.full_like(x, point), x, times, data_std=1e-4,
      num_samples=2))(x, np.arange(12, 0, -1) / 12)
  np.testing.assert_allclose(
      found.diffusion.value, (share**2 / (2 * variance)).sum() * squared,
      rtol=1e-5)
  mean, std, wide = np.sqrt(bar[-1]) * x, np.sqrt(1 - bar[-1]), np.hypot(
      .9 * np.sqrt(bar[-1]), np.sqrt(1 - bar[-1]))
  kl = np.log(wide / std) + (std**2 + mean**2) / (2 * wide**2) - .5
  got = jax.jit(lambda x: bounds.prior(p, x, 1., .9))(x)
  np.testing.assert_allclose(got, kl.sum(1), rtol=1e-7)


def test_mass_of_levels_is_told_from_the_noise_that_is_left():
  """Of one value on 5 levels, by quadrature over the noise of it."""
  sigma, at_level = .3, np.linspace(-1, 1, 5)
  p = PROCESSES['edm']
  z, width = np.linspace(-9, 9, 4001, retstep=True)
  noise = stats.norm.pdf(z) * width
  keys = jax.random.split(_KEY, (4000, 2))
  x = jnp.asarray([[-1.], [.5]])
  got = jax.jit(lambda keys: bounds.reconstruction(
      p, x, jnp.asarray(sigma), keys, num_levels=5))(keys)
  for row, level in enumerate((0, 3)):
    likely = stats.norm.pdf(at_level[level] + sigma * z[:, None], at_level,
                            sigma)
    want = -noise @ np.log(likely[:, level] / likely.sum(1))
    error = np.std(got[:, row]) / np.sqrt(4000)
    assert abs(np.mean(got[:, row]) - want) < 4 * error < .1 * want


def test_mass_of_data_on_levels_is_bounded():
  """Data evenly on the 25 pairs of 5 levels, whose denoiser is known."""
  grid = likelihood.grid(_FLOW, 1, data_std=.7, sigma_min=.05)
  pairs = jnp.stack(jnp.meshgrid(*[jnp.linspace(-1, 1, 5)] * 2), -1)
  x = jnp.tile(pairs.reshape(-1, 2), (20, 1))
  found = jax.jit(lambda x: bounds.continuous(
      _KEY, _FLOW, exact.finite_dataset(_FLOW, x[:25]).denoiser, x, grid,
      data_std=.7, num_times=32, num_samples=8, num_levels=5))(x)
  value, error = mean_and_error(found.log_prob)
  # At .05 two levels .5 apart are told from each other but for 1e-6.
  assert error < .05 and abs(value + np.log(25)) < 4 * error
  assert float(found.reconstruction.value.max()) < 1e-2


@pytest.mark.parametrize('road', ESTIMATES)
def test_an_example_does_not_see_its_neighbours(road):
  truth = TRUTHS['plane']
  x, index = jnp.asarray(truth.draw(5), jnp.float32), jnp.arange(7, 12)
  run = jax.jit(lambda x, index: ESTIMATES[road](
      _KEY, _FLOW, truth.exact(_FLOW).denoiser, x, jnp.array([.9, .1]),
      num_times=2, num_samples=2, index=index))
  whole, part = run(x, index), run(x[2:4], index[2:4])
  np.testing.assert_allclose(part.value, whole.value[2:4], rtol=1e-5)
  other = run(x, index[::-1]).value
  assert np.abs(other - whole.value)[:2].min() > 1e-3
  bad = run(x.at[1].set(jnp.nan), index).value
  np.testing.assert_array_equal(np.isnan(bad), np.arange(5) == 1)
  assert whole.value.dtype == jnp.float32


@pytest.mark.parametrize('road', [bounds.continuous, bounds.discrete,
                                  immse.log_likelihood])
@pytest.mark.parametrize('change, message', [
    ({'times': [1.]}, r'times must be \[T \+ 1\] with T >= 1, got shape'),
    ({'times': [1., 2.]}, 'times must strictly decrease, got 1, then 2'),
    ({'data_std': 0.}, 'data_std must be positive, got 0'),
    ({'num_samples': 0}, 'num_samples must be positive, got 0'),
    ({'num_times': -1}, 'num_times must be positive, got -1'),
    ({'index': np.arange(2)}, r'index must be \[3\]'),
])
def test_estimates_refuse_what_they_cannot_do(road, change, message):
  options = {'times': [2., 1.], **change}
  grid = jnp.asarray(options.pop('times'))
  with pytest.raises(ValueError, match=message):
    road(_KEY, PROCESSES['edm'], lambda x, t: x, jnp.ones((3, 2)), grid,
         **options)


def test_levels_are_two_or_more_and_have_keys():
  for options, message in (({'num_levels': 1}, 'must be 2 or more, got 1'),
                           ({'num_levels': 5}, 'keys must be given')):
    with pytest.raises(ValueError, match=message):
      bounds.reconstruction(PROCESSES['edm'], jnp.ones((3, 2)),
                            jnp.asarray(.1), **options)
