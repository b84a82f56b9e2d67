"""Divergences against integrals and sums of scipy's densities."""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy import special
from scipy import stats

from genjax.distributions import divergences
from genjax.distributions.bounded import BetaParams
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import UniformParams
from genjax.distributions.continuous import laplace
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import BinomialParams
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.multivariate import MultivariateNormalParams
from tests import laws

_RNG = np.random.default_rng(0)


class Pair(NamedTuple):
  """Two scalar distributions, and scipy's word for them."""

  make: Any  # Params
  p: tuple[float, ...]
  q: tuple[float, ...]
  scipy: Any  # (*fields) -> frozen scipy.stats
  bad: tuple[float, ...] = (-1.0,)  # fields outside of the family


def _gamma(concentration, rate):
  return stats.gamma(concentration, scale=1 / rate)


PAIRS = {
    'normal': Pair(NormalParams, (0.3, 1.5), (-1.0, 0.7), stats.norm,
                   (0.0, 0.0)),
    'laplace': Pair(LaplaceParams, (0.3, 1.5), (-1.0, 0.7), stats.laplace,
                    (0.0, -1.0)),
    'uniform': Pair(UniformParams, (0.2, 0.9), (-1.0, 2.0),
                    lambda low, high: stats.uniform(low, high - low),
                    (2.0, 1.0)),
    'exponential': Pair(ExponentialParams, (0.4,), (3.0,),
                        lambda rate: stats.expon(scale=1 / rate)),
    'gamma': Pair(GammaParams, (2.5, 3.0), (0.8, 0.5), _gamma, (1.0, 0.0)),
    'gamma_large': Pair(GammaParams, (90.0, 3.0), (70.0, 2.0), _gamma,
                        (-1.0, 1.0)),
    'beta': Pair(BetaParams, (2.0, 3.5), (0.6, 20.0), stats.beta, (1.0, 0.0)),
    'bernoulli': Pair(BernoulliParams, (2.0,), (-1.5,),
                      lambda a: stats.bernoulli(special.expit(a)), (np.nan,)),
    'binomial': Pair(BinomialParams, (12.0, 0.4), (12.0, -2.0),
                     lambda n, a: stats.binom(int(n), special.expit(a)),
                     (12.0, np.nan)),
    'poisson': Pair(PoissonParams, (7.0,), (2.0,), stats.poisson),
}
EACH = pytest.mark.parametrize('name', PAIRS)


@functools.cache
def _kl(name):
  return jax.jit(getattr(divergences, 'kl_' + name.removesuffix('_large')))


def _by_scipy(p, q):
  """KL by a sum, or by quadrature between quantiles, of frozen scipy.stats."""
  if hasattr(p.dist, 'pmf'):
    k = np.arange(200)
    k = k[p.pmf(k) > 0]
    return np.sum(p.pmf(k) * (p.logpmf(k) - q.logpmf(k)))
  tails = 10.0**-np.arange(1, 31)
  edges = np.concatenate([p.ppf(tails), p.isf(tails)])
  # A Laplace density has a kink at its median.
  kinks = np.clip([p.median(), q.median()], edges.min(), edges.max())
  edges = np.unique(np.append(edges, kinks))
  nodes, weights = np.polynomial.legendre.leggauss(50)
  half = np.diff(edges) / 2
  x = edges[:-1] + half * (1 + nodes[:, None])
  return np.sum(weights[:, None] * half * p.pdf(x)
                * (p.logpdf(x) - q.logpdf(x)))


@EACH
@laws.float64
def test_kl_is_the_integral(name):
  """Both ways, or inf where q's support is inside of p's; to 1e-10."""
  pair = PAIRS[name]
  p, q = pair.make(*pair.p), pair.make(*pair.q)
  frozen = pair.scipy(*pair.p), pair.scipy(*pair.q)
  np.testing.assert_allclose(_kl(name)(p, q), _by_scipy(*frozen), rtol=1e-10)
  back = np.inf if name == 'uniform' else _by_scipy(*frozen[::-1])
  np.testing.assert_allclose(_kl(name)(q, p), back, rtol=1e-10)


@EACH
@laws.float64
def test_kl_broadcasts_is_nan_of_bad_params_and_zero_of_equal_ones(name):
  pair = PAIRS[name]
  p = pair.make(*np.stack([pair.p, pair.bad, pair.q], 1))
  q = pair.make(*pair.q)
  for got in (_kl(name)(p, q), _kl(name)(q, p)):
    assert got.shape == (3,) and got[0] > 0 and got[2] == 0
    np.testing.assert_array_equal(np.isnan(got), [False, True, False])


@EACH
@laws.float64
def test_kl_of_almost_equal_params_is_half_the_information(name):
  """KL(p || p + d) = d^2 I / 2 (1 + O(d)): the ratio to d^2 at two d agrees.

  Each param in turn, by 1e-3 and 1e-6 of its size: a KL of 1e-12, which a
  difference of terms of size one would give to four digits at best, and one
  of 100 to two. (For a uniform q, which must be the wider, it is d I.)
  """
  pair, power = PAIRS[name], 1 if name == 'uniform' else 2
  for i in range(name == 'binomial', len(pair.p)):
    sign = -1 if (name, i) == ('uniform', 0) else 1
    steps = sign * np.array([1e-3, 1e-6]) * max(1, abs(pair.p[i]))
    moved = [np.full(2, value) for value in pair.p]
    moved[i] += steps
    got = _kl(name)(pair.make(*pair.p), pair.make(*moved))
    coarse, fine = got / np.abs(moved[i] - pair.p[i])**power
    np.testing.assert_allclose(fine, coarse, rtol=5e-3)


@pytest.mark.parametrize('name', ['normal', 'laplace', 'exponential', 'gamma',
                                  'beta', 'poisson'])
def test_kl_is_no_less_than_zero_with_finite_slopes(name):
  """Float32 params of e^-8 ... e^8, from one rounding apart to far apart."""
  pair, kl = PAIRS[name], _kl(name)
  logs = np.random.default_rng(1).normal(size=(2, len(pair.p), 4000))
  apart = np.geomspace(1e-8, 3, 4000)
  p = pair.make(*jnp.asarray(np.exp(2 * logs[0]), jnp.float32))
  q = pair.make(*jnp.asarray(
      np.exp(2 * logs[0] + apart * logs[1]), jnp.float32))
  assert float(jnp.min(kl(p, q))) >= 0
  chex.assert_tree_all_finite(jax.jit(jax.grad(
      lambda pair: jnp.sum(kl(*pair))))((p, q)))


@laws.float64
def test_kl_normal_keeps_digits_of_almost_equal_scales():
  """rho = 1 + d: (rho^2 - 1) / 2 - log rho = d^2 - d^3 / 3 + d^4 / 4 - ..."""
  scale = np.array([1e-12, 1.0, 1e12])
  q = scale * (1 + 1e-6)
  d = (scale - q) / q
  got = divergences.kl_normal(NormalParams(5.0, scale), NormalParams(5.0, q))
  np.testing.assert_allclose(got, d**2 - d**3 / 3, rtol=1e-9)


def test_kl_keeps_digits_in_float32():
  """Posteriors of 1e5 counts, 1 % apart; log-gamma there is 1e6 nats."""
  a, b = np.float32([1e5, 1.01e5]).astype(float)
  got = divergences.kl_gamma(GammaParams(a, 1.0), GammaParams(b, 1.0))
  want = ((a - b) * special.digamma(a) - special.gammaln(a)
          + special.gammaln(b))
  np.testing.assert_allclose(got, want, rtol=1e-5)
  d = float(np.float32(1e-3))
  got = divergences.kl_laplace(LaplaceParams(0.0, 1.0), LaplaceParams(d, 1.0))
  np.testing.assert_allclose(got, np.expm1(-d) + d, rtol=1e-5)
  d = float(np.float32(1.001)) - 1
  got = divergences.kl_normal(NormalParams(0.0, 1 + d), NormalParams(0.0, 1.0))
  np.testing.assert_allclose(got, d**2 - d**3 / 3, rtol=1e-5)


@laws.float64
def test_kl_dirichlet_matches_its_closed_form():
  """At concentrations of order one, where log-gamma functions do not cancel."""
  a, b = np.exp(_RNG.normal(size=(2, 4, 5)))
  want = (special.gammaln(a.sum(-1)) - special.gammaln(b.sum(-1))
          + (special.gammaln(b) - special.gammaln(a)).sum(-1)
          + ((a - b) * (special.digamma(a)
                        - special.digamma(a.sum(-1))[:, None])).sum(-1))
  got = _kl('dirichlet')(DirichletParams(a), DirichletParams(b))
  np.testing.assert_allclose(got, want, rtol=1e-10)


@laws.float64
def test_kl_gamma_matches_its_closed_form_at_all_sizes():
  """Pairs of 1e-3 ... 1e3: to 1e-10 of the log-gamma terms that cancel."""
  a, b = np.meshgrid(*[np.geomspace(1e-3, 1e3, 9)] * 2)
  terms = ((a - b) * special.digamma(a), -special.gammaln(a),
           special.gammaln(b))
  got = _kl('gamma')(GammaParams(a, 2.0), GammaParams(b, 2.0))
  error = np.abs(got - sum(terms))
  assert np.all(error <= 1e-13 * sum(map(np.abs, terms)) + 1e-10 * got)
  assert np.all(got >= 0)


@laws.float64
def test_kl_categorical_matches_its_sum():
  a, b = _RNG.normal(size=(2, 4, 5)) * 3
  want = stats.entropy(special.softmax(a, -1), special.softmax(b, -1), axis=-1)
  got = _kl('categorical')(CategoricalParams(a), CategoricalParams(b))
  np.testing.assert_allclose(got, want, rtol=1e-10)


def test_kl_categorical_of_impossible_categories():
  """None of p's mass: nothing; none of q's: inf. Far logits do not overflow."""
  inf = np.inf
  p = CategoricalParams(np.array(
      [[0, -inf, 0], [0, -inf, 0], [0, 0, 0], [0, 0, -300], [0, 0, np.nan]]))
  q = CategoricalParams(np.array(
      [[0, -inf, 0], [0, 0, 0], [0, -inf, 0], [0, 0, 300], [0, 0, 0]]))
  got = _kl('categorical')(p, q)
  np.testing.assert_allclose(
      got, [0, np.log(1.5), inf, 300 - np.log(2), np.nan], rtol=1e-6)
  grad = jax.grad(lambda a: divergences.kl_categorical(
      CategoricalParams(a), CategoricalParams(jnp.zeros(3))))
  assert np.isfinite(grad(jnp.asarray([0.0, -300.0, 300.0]))).all()


def test_kl_bernoulli_of_certain_outcomes():
  logits = np.array([-np.inf, -np.inf, 0.0, 100.0])
  other = np.array([-np.inf, 0.0, np.inf, -100.0])
  got = _kl('bernoulli')(
      BernoulliParams(logits), BernoulliParams(other))
  np.testing.assert_allclose(got, [0, np.log(2), np.inf, 100], rtol=1e-6)


def test_kl_binomial_of_different_counts():
  """More trials reach counts that fewer do not; the reverse is not closed."""
  got = _kl('binomial')(
      BinomialParams(np.array([3.0, 2.0, 3.0, -1.0, 0.5]), 0.5),
      BinomialParams(np.array([2.0, 3.0, 2.0, -1.0, 0.5]),
                     np.array([0.5, 0.5, np.nan, 0.4, 0.4])))
  np.testing.assert_array_equal(got, [np.inf] + 4 * [np.nan])


def test_kl_poisson_of_no_events():
  """Without events p is sure of 0, which has probability e^-rate under q."""
  got = _kl('poisson')(PoissonParams(np.array([0.0, 0.0, 2.0])),
                       PoissonParams(np.array([0.0, 2.0, 0.0])))
  np.testing.assert_allclose(got, [0.0, 2.0, np.inf])


@pytest.mark.parametrize('name', ['normal', 'gamma', 'beta'])
def test_kl_of_bfloat16_is_that_of_the_rounded_params(name):
  pair = PAIRS[name]
  p, q = (pair.make(*(jnp.asarray(v, jnp.bfloat16) for v in side))
          for side in (pair.p, pair.q))
  got = _kl(name)(p, q)
  assert got.dtype == jnp.float32
  wide = jax.tree.map(lambda v: v.astype(jnp.float32), (p, q))
  np.testing.assert_array_equal(got, _kl(name)(*wide))


_COVS = np.array([[[2, .3], [.3, .5]], [[1, -.2], [-.2, 1.5]]])
_LOCS = np.array([[1, -.5], [0, 0]])


@laws.float64
def test_kl_multivariate_normal_matches_the_published_figure():
  p, q = (MultivariateNormalParams(loc, np.linalg.cholesky(cov))
          for loc, cov in zip(_LOCS, _COVS))
  got = _kl('multivariate_normal')(p, q)
  np.testing.assert_allclose(got, 1.006921502801, rtol=1e-10)


@laws.float64
def test_kl_multivariate_normal_of_a_batch_matches_its_closed_form():
  """One p against several q: factors with a batch, locations without."""
  roots = _RNG.normal(size=(4, 3, 3))
  covs = roots @ roots.swapaxes(1, 2) + np.eye(3)
  loc = _RNG.normal(size=(2, 3))
  got = _kl('multivariate_normal')(
      MultivariateNormalParams(loc[0], np.linalg.cholesky(covs[0])),
      MultivariateNormalParams(loc[1], np.linalg.cholesky(covs[1:])))
  inverse, away = np.linalg.inv(covs[1:]), loc[0] - loc[1]
  ratio = inverse @ covs[0]
  want = 0.5 * (np.trace(ratio, axis1=1, axis2=2) - 3
                - np.linalg.slogdet(ratio)[1] + away @ inverse @ away)
  np.testing.assert_allclose(got, want, rtol=1e-10)
  diagonal = np.array([0.5, 2.0, 3.0])  # as independent scalars
  got = _kl('multivariate_normal')(
      MultivariateNormalParams(loc[0], np.diag(diagonal)),
      MultivariateNormalParams(loc[1], np.diag(diagonal[::-1])))
  want = divergences.kl_normal(NormalParams(loc[0], diagonal),
                               NormalParams(loc[1], diagonal[::-1])).sum()
  np.testing.assert_allclose(got, want, rtol=1e-10)


P, Q = NormalParams(0.0, 1.0), LaplaceParams(0.5, 1.2)


def _over_seeds(estimate, num_seeds=200):
  return jax.jit(jax.vmap(estimate))(
      jax.random.split(jax.random.key(0), num_seeds))


def _check_calibrated(estimates, truth):
  """z-scores of 200 seeds are standard normal, to 4 of their own errors."""
  z = (np.asarray(estimates.value, float) - truth) / estimates.standard_error
  assert abs(z.mean()) < 4 / np.sqrt(z.size)
  assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)


_NORM, _LAPLACE = stats.norm(0, 1), stats.laplace(0.5, 1.2)


def test_kl_monte_carlo_is_within_its_standard_error():
  got = _over_seeds(lambda key: divergences.kl_monte_carlo(
      key, normal, P, laplace, Q, 2000))
  _check_calibrated(got, _by_scipy(_NORM, _LAPLACE))


def test_jensen_shannon_is_within_its_standard_error():
  def term(x):
    p, q = _NORM.pdf(x), _LAPLACE.pdf(x)
    return 0.5 * (special.rel_entr(p, (p + q) / 2)
                  + special.rel_entr(q, (p + q) / 2))
  truth = sum(integrate.quad(term, a, b, epsrel=1e-10)[0]
              for a, b in ((-30, 0.5), (0.5, 30)))
  _check_calibrated(_over_seeds(lambda key: divergences.jensen_shannon(
      key, normal, P, laplace, Q, 2000)), truth)


def test_entropy_monte_carlo_is_within_its_standard_error():
  got = _over_seeds(lambda key: divergences.entropy_monte_carlo(
      key, laplace, Q, 2000))
  _check_calibrated(got, 1 + np.log(2 * 1.2))


def test_jensen_shannon_is_zero_of_equals_and_log_2_of_strangers():
  loc = jnp.asarray([0.0, 1e4])
  got = divergences.jensen_shannon(
      jax.random.key(0), normal, NormalParams(0.0, 1.0), normal,
      NormalParams(loc, 1.0), 10)
  np.testing.assert_allclose(got.value, [0, np.log(2)], atol=1e-7)
  np.testing.assert_allclose(got.standard_error, 0, atol=1e-7)


def test_kl_monte_carlo_does_not_take_draws_for_a_batch():
  """Two draws, two q: each q sees both draws."""

  def estimate(loc):
    return divergences.kl_monte_carlo(
        jax.random.key(0), normal, P, normal, NormalParams(loc, 1.0), 2)

  locs = jnp.asarray([0.0, 3.0])
  chex.assert_trees_all_close(
      estimate(locs), jax.vmap(estimate)(locs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('call', [
    lambda: divergences.kl_categorical(
        CategoricalParams(np.zeros(3)), CategoricalParams(np.zeros(1))),
    lambda: divergences.kl_dirichlet(
        DirichletParams(np.ones(3)), DirichletParams(np.ones(1))),
    lambda: divergences.kl_multivariate_normal(
        MultivariateNormalParams(np.zeros(1), np.eye(1)),
        MultivariateNormalParams(np.zeros(3), np.eye(3))),
    functools.partial(divergences.kl_monte_carlo, jax.random.key(0), normal, P,
                      laplace, Q, 1),
])
def test_shapes_that_do_not_fit_are_refused(call):
  with pytest.raises(ValueError, match='must'):
    call()
