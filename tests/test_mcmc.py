"""Chains keep the law they should, and the diagnostics know how well."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal
from scipy import special
from scipy import stats

from genjax import mcmc
from tests import laws

_KEY = jax.random.key(3)
_MEAN = np.array([1.0, -2.0])
_COV = np.array([[1.0, 0.9], [0.9, 2.0]])
_SIZE, _R_HAT, _CHAIN_MEAN = map(
    jax.jit, (mcmc.effective_sample_size, mcmc.r_hat, mcmc.chain_mean))
_EXACT = {
    'mala': functools.partial(mcmc.mala, step_size=0.8),
    'hmc': functools.partial(mcmc.hmc, step_size=0.8, num_leapfrog=3),
}


def _gaussian(x):
  z = x - jnp.asarray(_MEAN, x.dtype)
  precision = jnp.asarray(np.linalg.inv(_COV), x.dtype)
  return 0.5 * jnp.einsum('ci,ij,cj->c', z, precision, z)


def _logistic(x):
  """Of the scalar distribution whose cdf is a sigmoid; x [C]."""
  return x + 2 * jax.nn.softplus(-x)


def _run(kernel, x, num_steps, **options):
  return jax.jit(lambda x: mcmc.run(_KEY, kernel, x, num_steps, **options))(x)


def _within_four_errors(estimate, truth):
  assert np.all(np.asarray(estimate.standard_error) > 0)
  z = (np.asarray(estimate.value) - truth) / estimate.standard_error
  assert np.max(np.abs(z)) < 4, z


@pytest.mark.parametrize('name', ['langevin', *_EXACT])
def test_run_has_the_moments_of_a_correlated_gaussian(name):
  """Langevin those of its own stationary law, in closed form."""
  cov = _COV
  if name == 'langevin':
    kernel = mcmc.langevin(_gaussian, step_size=0.8)
    bias = np.eye(2) - 0.8**2 / 4 * np.linalg.inv(_COV)
    cov = np.linalg.inv(bias) @ _COV
  else:
    kernel = _EXACT[name](_gaussian)
  noise = np.random.default_rng(0).normal(size=(100, 2))
  x, info = _run(kernel, jnp.asarray(_MEAN + noise, jnp.float32), 1000)
  x = x[100:] - _MEAN  # the slowest mode decays by .9 a step or faster
  assert x.shape == (900, 100, 2) and info.accepted.shape == (1000, 100)
  products = x[..., [0, 0, 1]] * x[..., [0, 1, 1]]
  _within_four_errors(_CHAIN_MEAN(x), 0)
  second = _CHAIN_MEAN(products)
  _within_four_errors(second, cov[[0, 0, 1], [0, 1, 1]])
  if name == 'langevin':  # whose bias is far beyond these errors
    excess = np.diag(cov - _COV)
    assert np.all(excess > 7 * np.asarray(second.standard_error)[[0, 2]])


@pytest.mark.parametrize('make', [
    functools.partial(mcmc.mala, step_size=2.5),
    functools.partial(mcmc.hmc, step_size=2.5, num_leapfrog=3),
])
def test_exact_kernels_keep_exact_draws_and_are_reversible(make):
  """At step sizes where every third proposal is rejected."""
  draws = np.random.default_rng(1).logistic(size=20000).astype(np.float32)
  x, info = _run(make(_logistic), jnp.asarray(draws), 5)
  assert 0.5 < np.mean(info.acceptance) < 0.8
  difference = np.mean(info.accepted - info.acceptance, axis=0)
  assert abs(stats.ttest_1samp(difference, 0).statistic) < 4
  assert stats.kstest(x[-1], 'logistic').pvalue > 1e-3
  # Detailed balance: a pair of neighbours is as likely in the other order.
  before, after = np.tanh(x[:-1]), np.asarray(x[1:])
  flow = np.mean(before * after**3 - np.tanh(after) * x[:-1]**3, axis=0)
  assert abs(stats.ttest_1samp(flow, 0).statistic) < 4


@laws.float64
def test_mala_accepts_by_the_metropolis_hastings_ratio():
  """Of its proposal's own density, at the proposals that were taken."""
  x = jnp.asarray(np.random.default_rng(2).normal(size=(50, 2)))
  (after,), info = _run(mcmc.mala(_gaussian, step_size=1.1), x, 1)

  def log_proposal(to, start):
    gradient = (start - _MEAN) @ np.linalg.inv(_COV)
    return stats.norm.logpdf(to, start - 1.1**2 / 2 * gradient, 1.1).sum(-1)

  ratio = (_gaussian(x) + log_proposal(x, after)
           - _gaussian(after) - log_proposal(after, x))
  taken = np.asarray(info.accepted[0], bool)
  assert 10 < taken.sum() < 50
  np.testing.assert_array_equal(after[~taken], x[~taken])
  np.testing.assert_allclose(info.acceptance[0][taken],
                             np.exp(np.minimum(ratio, 0))[taken], rtol=1e-10)


@laws.float64
def test_hmc_follows_the_oscillator():
  """Half a period turns x into -x; the leapfrog errs by its step squared."""
  x = jnp.linspace(-2, 2, 8)
  (after,), info = _run(
      mcmc.hmc(lambda x: 0.5 * jnp.square(x), step_size=np.pi / 100,
               num_leapfrog=100), x, 1)
  assert np.all(np.asarray(info.acceptance) > 0.999)
  np.testing.assert_allclose(after, -x, atol=(np.pi / 100)**2)


@laws.float64
def test_hmc_of_many_step_sizes_is_hmc_in_scaled_coordinates():
  """One for every entry of every chain."""
  rng = np.random.default_rng(10)
  x, width = jnp.asarray(rng.normal(size=(2, 20, 2))) * jnp.array(
      [[[1.0]], [[0.6]]])
  chains, info = _run(mcmc.hmc(
      _gaussian, step_size=0.9 * width, num_leapfrog=3), x, 2)
  scaled, _ = _run(mcmc.hmc(
      lambda y: _gaussian(y * width), step_size=0.9, num_leapfrog=3),
                   x / width, 2)
  np.testing.assert_allclose(chains, scaled * width, rtol=1e-9)
  assert 0.2 < np.mean(info.acceptance) < 0.99


@pytest.mark.parametrize('start, betas', [
    (stats.norm(0, 1), np.linspace(0, 1, 13)),
    (stats.norm(1.6, 0.2**0.5), np.linspace(1, 0, 13))])
def test_anneal_weighs_without_bias_in_both_directions(start, betas):
  """From N(0, 1) to its product with exp(-2 (x - 2)^2), and back.

  The product is N(1.6, 1 / 5) and of mass sqrt(1 / 5) exp(-1.6), by the sum
  of precisions 1 + 4.
  """
  x = jnp.asarray(start.rvs(20000, random_state=11), jnp.float32)[:, None]

  def slope(x):
    return -2 * jnp.square(x[:, 0] - 2)

  def kernel(beta):
    return mcmc.hmc(lambda x: 0.5 * jnp.square(x[:, 0]) - beta * slope(x),
                    step_size=0.6, num_leapfrog=2)

  log_weights, acceptance = jax.jit(
      lambda x: mcmc.anneal(_KEY, kernel, slope, x, jnp.asarray(betas)))(x)
  truth = (0.5 * np.log(1 / 5) - 1.6) * (betas[-1] - betas[0])
  estimate = mcmc.log_mean_of(log_weights)
  _within_four_errors(estimate, truth)
  assert estimate.standard_error < 0.02
  assert acceptance.shape == (20000,) and 0.7 < np.mean(acceptance) < 1
  assert np.mean(log_weights) < truth - 0.01  # Jensen's inequality


def test_log_mean_of_knows_its_error():
  """Of log-normals: the mean is exp(1/8), the variance (e^(1/4) - 1) e^(1/4).

  The error of 400 draws by the delta method, itself known to a few percent;
  far from 0, where exponentials overflow.
  """
  draws = 0.5 * np.random.default_rng(12).normal(size=(400, 1000))
  value, error = mcmc.log_mean_of(jnp.asarray(draws + 200, jnp.float32))
  want = np.sqrt(np.expm1(0.25) / 400)
  np.testing.assert_allclose(np.mean(error), want, rtol=0.02)
  np.testing.assert_allclose(np.std(value), want, rtol=4 / np.sqrt(2000))
  np.testing.assert_allclose(np.mean(value), 200.125,
                             atol=4 * want / np.sqrt(1000) + want**2 / 2)


def test_sigmoid_betas_are_even_in_their_logit():
  betas = np.asarray(mcmc.sigmoid_betas(10, slope=3.0), np.float64)
  assert betas[0] == 0 and betas[-1] == 1
  least = special.expit(-3)
  np.testing.assert_allclose(
      special.logit(least + (1 - 2 * least) * betas), np.linspace(-3, 3, 11),
      atol=1e-5)


def test_run_thinned_keeps_some_of_the_same_chain():
  x = jnp.asarray(np.random.default_rng(3).normal(size=(4, 2)), jnp.float32)
  kernel = _EXACT['hmc'](_gaussian)
  every, infos = _run(kernel, x, 6)
  some, means = _run(kernel, x, 6, thin=3)
  np.testing.assert_allclose(some, every[2::3], rtol=1e-5)
  np.testing.assert_allclose(
      means.acceptance, infos.acceptance.reshape(2, 3, 4).mean(1), rtol=1e-5)


def test_run_moves_a_chain_alike_in_any_company():
  x = jnp.asarray(np.random.default_rng(4).normal(size=(4, 2)), jnp.float32)
  kernel = mcmc.langevin(_gaussian, step_size=0.8)
  together, _ = _run(kernel, x, 3)
  pair, _ = _run(kernel, x[2:], 3, index=jnp.arange(2, 4))
  np.testing.assert_allclose(pair, together[:, 2:], rtol=1e-5)
  alike, _ = _run(kernel, jnp.zeros((4, 2)), 3)
  assert len(np.unique(alike)) == alike.size  # of noise of their own


@pytest.mark.parametrize('name', _EXACT)
def test_exact_kernels_stay_inside_and_spread_no_nan(name):
  """Infinite energy at x >= 1, NaN at x <= -1 and where one chain starts."""

  def pit(x):
    return jnp.where(x[:, 0] < 1, jnp.arccos(-x[:, 0]), jnp.inf)

  x = jnp.zeros((3, 1)).at[1].set(-2.0)
  chains, info = _run(_EXACT[name](pit), x, 20)
  assert np.all(np.isnan(chains[:, 1]))
  assert np.all(np.abs(chains[:, ::2]) < 1)
  assert 0 < np.mean(info.accepted[:, ::2]) < 1


def test_diagnostics_know_the_time_of_an_autoregression():
  """The effective share of x' = phi x + noise is (1 - phi) / (1 + phi).

  Summing autocorrelations over a window of w lags errs by sqrt(4 w / N): 3 %
  for phi = .9 and w = 50, of which the tolerance is four times as much.
  """
  phis, length, chains = np.array([0.9, 0.5, 0.0, -0.5]), 50_000, 4
  noise = np.random.default_rng(5).normal(size=(length, chains, len(phis)))
  draws = np.stack([signal.lfilter([1], [1, -phi], noise[..., i], axis=0)
                    for i, phi in enumerate(phis)], axis=-1)
  draws = jnp.asarray(draws, jnp.float32)
  share = (1 - phis) / (1 + phis)
  total = length * chains
  np.testing.assert_allclose(
      _SIZE(draws) / total, share, rtol=0.12)
  estimate = _CHAIN_MEAN(draws)
  np.testing.assert_allclose(
      estimate.standard_error, 1 / ((1 - phis) * np.sqrt(total)), rtol=0.06)
  _within_four_errors(estimate, 0)
  assert np.all(np.abs(_R_HAT(draws) - 1) < 1e-3)


def test_diagnostics_see_chains_apart():
  noise = np.random.default_rng(6).normal(size=(1001, 4))
  cases = np.stack([noise + 3 * np.arange(4),  # about other means
                    noise * (1 + 3 * np.arange(4)),  # of other scales
                    noise + np.linspace(0, 3, 1001)[:, None]],  # drifting
                   axis=-1)
  cases = jnp.asarray(cases, jnp.float32)
  assert np.all(_R_HAT(cases) > 1.1)
  assert np.all(np.asarray(_SIZE(cases))[[0, 2]] < 20)


@laws.float64
def test_r_hat_is_the_published_formula():
  """In numpy, with scipy's ranks: split, folded, with ties in the draws."""
  draws = np.random.default_rng(7).standard_t(3, size=(101, 3))
  draws = np.round(draws * np.array([1, 1, 2]) + np.array([0, 0.3, 0]), 1)

  def of(x):
    scores = stats.norm.ppf((stats.rankdata(x).reshape(x.shape) - 3 / 8)
                            / (x.size + 1 / 4))
    within = scores.var(0, ddof=1).mean()
    between = len(x) * scores.mean(0).var(ddof=1)
    return np.sqrt(((len(x) - 1) * within + between) / len(x) / within)

  split = np.concatenate([draws[:50], draws[51:]], axis=1)
  want = max(of(split), of(np.abs(split - np.median(split))))
  assert want > 1.01
  np.testing.assert_allclose(_R_HAT(jnp.asarray(draws)), want, rtol=1e-12)


@pytest.mark.parametrize('diagnose', [_R_HAT, _SIZE])
def test_diagnostics_give_nan_where_there_is_nothing_to_say(diagnose):
  draws = np.random.default_rng(8).normal(size=(16, 2, 3)).astype(np.float32)
  draws[3, 1, 0] = np.nan
  draws[..., 2] = 1.5
  np.testing.assert_array_equal(np.isnan(diagnose(jnp.asarray(draws))),
                                [True, False, True])


@pytest.mark.parametrize('shift', [0.0, 3e4])
def test_diagnostics_do_not_depend_on_the_unit(shift):
  """Of an autoregression, in units whose squares float32 does not have.

  A rounding of the draws, 3e4 of their scale away from 0, is 2e-3 of it, and
  its variance 1e-6 of theirs; sums of 4000 roundings of 6e-8 are below that.
  """
  noise = np.random.default_rng(13).normal(size=(1000, 4))
  draws = jnp.asarray(signal.lfilter([1], [1, -0.6], noise, axis=0) + shift,
                      jnp.float32)
  size, mean, r = _SIZE(draws), _CHAIN_MEAN(draws), _R_HAT(draws)
  np.testing.assert_allclose(size / 4000, 0.4 / 1.6, rtol=0.12)
  for unit in (1e-30, 1e-20, -1e19, 1e30):
    np.testing.assert_allclose(_SIZE(unit * draws), size, rtol=1e-3)
    np.testing.assert_allclose(_R_HAT(unit * draws), r, rtol=1e-4)
    got = _CHAIN_MEAN(unit * draws)
    np.testing.assert_allclose(got.value / unit, mean.value, rtol=1e-3)
    np.testing.assert_allclose(got.standard_error / abs(unit),
                               mean.standard_error, rtol=1e-3)


def test_diagnostics_take_draws_of_any_dtype():
  """Those of whole numbers and of half precision, as float32."""
  draws = jnp.asarray(np.random.default_rng(14).normal(size=(64, 4)) * 9)
  for dtype in (jnp.bfloat16, jnp.int32):
    narrow = draws.astype(dtype)
    for diagnose in (_SIZE, _R_HAT, lambda x: _CHAIN_MEAN(x).standard_error):
      got = diagnose(narrow)
      assert got.dtype == jnp.float32
      np.testing.assert_array_equal(got, diagnose(narrow.astype(jnp.float32)))


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.int32])
def test_chains_run_in_float32_whatever_they_start_in(dtype):
  """The same chain and weights; only what is given back is rounded, once."""
  x = jnp.asarray(np.arange(12).reshape(6, 2) % 3).astype(dtype)
  kernel = mcmc.hmc(_gaussian, step_size=1e-3, num_leapfrog=2)
  betas = jnp.linspace(0, 1, 400)  # of which bfloat16 has not all

  @jax.jit
  def go(x):
    return *mcmc.run(_KEY, kernel, x, 300, thin=300), *mcmc.anneal(
        _KEY, lambda beta: mcmc.langevin(_gaussian, step_size=1e-3), _gaussian,
        x, betas)

  got, want = go(x), go(x.astype(jnp.float32))
  floating = jnp.result_type(x, float)
  assert [a.dtype for a in jax.tree.leaves(got)] == [
      floating] + 4 * [jnp.float32]
  np.testing.assert_array_equal(got[0], want[0].astype(floating))
  for a, b in zip(jax.tree.leaves(got[1:]), jax.tree.leaves(want[1:])):
    np.testing.assert_array_equal(a, b)
  assert np.all(np.abs(want[0][0] - x.astype(jnp.float32)) > 0)  # they move


def test_log_mean_of_nothing_is_minus_infinity():
  """Weights that are all 0; beside one that is infinite; NaN stays NaN."""
  inf = jnp.inf
  value, error = mcmc.log_mean_of(jnp.array(
      [[-inf, 0., inf, 0.], [-inf, -inf, 0., jnp.nan]]))
  np.testing.assert_allclose(value, [-inf, np.log(.5), inf, np.nan])
  np.testing.assert_array_equal(np.isnan(error), [True, False, True, True])
  assert np.isnan(mcmc.log_mean_of(jnp.zeros((0, 1))).value)  # of no weights


@pytest.mark.parametrize('f, match', [
    (lambda x: mcmc.run(_KEY, _EXACT['mala'](_gaussian), x, 2,
                        index=jnp.arange(1)), r'index must be \[3\]'),
    (lambda x: mcmc.hmc(_gaussian, step_size=jnp.asarray(-1.),
                        num_leapfrog=1), 'step_size'),
    (lambda x: mcmc.langevin(_gaussian, step_size=0), 'step_size'),
    (lambda x: mcmc.hmc(_gaussian, step_size=-1, num_leapfrog=1), 'step_size'),
    (lambda x: mcmc.hmc(_gaussian, step_size=1, num_leapfrog=0),
     'num_leapfrog'),
    (lambda x: mcmc.run(_KEY, _EXACT['mala'](_gaussian), x, 5, thin=2),
     'multiple of thin = 2, got 5'),
    (lambda x: mcmc.run(_KEY, _EXACT['mala'](jnp.square), x, 1),
     r'must be \(3,\)'),
    (lambda x: mcmc.anneal(_KEY, lambda beta: _EXACT['mala'](_gaussian),
                           _gaussian, x, jnp.ones(1)), 'betas'),
    (lambda x: mcmc.sigmoid_betas(0), 'num_steps'),
    (lambda x: mcmc.sigmoid_betas(5, slope=0), 'slope'),
    (mcmc.r_hat, 'T >= 8'),
    (mcmc.effective_sample_size, 'T >= 8'),
    (lambda x: mcmc.r_hat(jnp.zeros((8, 0))), r'C >= 1, got shape \(8, 0\)'),
    (lambda x: mcmc.chain_mean(jnp.zeros((8, 0, 2))), 'C >= 1'),
])
def test_mcmc_refuses_what_it_cannot_do(f, match):
  with pytest.raises(ValueError, match=match):
    f(jnp.zeros((3, 2)))
