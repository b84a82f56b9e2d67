"""Families at the ends of float32, against numbers of arbitrary precision.

The numbers are mpmath's, at 60 digits, of the params as float32 rounds them:
`M = lambda v: mpmath.mpf(float(numpy.float32(v)))`. float32 itself costs 2e-5
of what is computed here, or of 1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import bijectors
from genjax.distributions import divergences
from genjax.distributions.bounded import beta
from genjax.distributions.bounded import BetaParams
from genjax.distributions.bounded import exponential
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.bounded import gamma
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import uniform
from genjax.distributions.bounded import UniformParams
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.combinators import transformed
from genjax.distributions.combinators import TransformedParams
from genjax.distributions.continuous import laplace
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import logistic
from genjax.distributions.continuous import LogisticParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.continuous import student_t
from genjax.distributions.continuous import StudentTParams
from genjax.distributions.discrete import bernoulli
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import binomial
from genjax.distributions.discrete import BinomialParams
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.discrete import poisson
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.multivariate import dirichlet
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.multivariate import low_rank_normal
from genjax.distributions.multivariate import LowRankNormalParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from tests import float_laws
from tests import laws

_INF, _NAN = float('inf'), float('nan')


def _are_close(got, want) -> bool:
  """Whether they differ by what float32 costs only."""
  return np.allclose(got, want, rtol=2e-5, atol=2e-5)


# Rows of params, x and log p(x | params). With L = mpmath.loggamma:
LOG_PROBS = {
    # a log(r) - L(a) + (a - 1) log(x) - r x
    'gamma': (gamma, GammaParams, (
        (.01, 1e-3, 1e-36, 77.3955752), (2, 1e20, 1e-20, 45.0517019),
        (.5, 1e-30, 1e-10, -23.5982159), (50, 1e30, 1e-30, -76.4881903),
        (1e4, 1e-20, 1.01e24, -52.0824598), (1e30, 1e30, 1, 33.6198379),
        (1e-30, 1e-30, 1, -69.0775528))),
    # L(a + b) - L(a) - L(b) + (a - 1) log(x) + (b - 1) log(1 - x)
    'beta': (beta, BetaParams, (
        (.01, .01, 1e-37, 79.0455367), (1e-3, 5, 1e-30, 62.1028026),
        (1e-20, 1, .5, -45.3585547), (1e7, 1e7, .5001, 7.77969732),
        (1e10, 1e3, .9999999, 2.09482251), (1e30, 1e30, .5, 34.6595586),
        (1500000.125, 1.1e6, .5782, -1.51598605))),
    # L((v + 1) / 2) - L(v / 2) - log(pi v) / 2 - log(s)
    # - (v + 1) / 2 log(1 + z^2 / v), z = (x - l) / s
    'student_t': (student_t, StudentTParams, (
        (.01, 0, 1, 1e38, -93.7014497), (.01, 0, 1e-20, 1e30, -75.5570792),
        (3, 0, 1e-25, 2e-25, 54.8691427),
        (3, -3e38, 1e38, 3e38, -93.6290212),
        (1e-5, 0, 1, 1e-30, -6.44961686), (1e10, 0, 1, 3, -5.41893853),
        (_INF, 0, 1, 3, -5.41893853))),  # the normal's
}
# x log(r) - r - L(x + 1), of whole x
POISSON = ((9e6, 9000001, -8.925306221), (1e7, 10007001, -11.42846463),
           (1e9, 1000080001, -14.48060612), (2e9, 2000100001, -14.12717837),
           (1e-30, 5, -350.1752557))
# L(n + 1) - L(x + 1) - L(n - x + 1) - x log(1 + e^-l) - (n - x) log(1 + e^l)
BINOMIAL = ((10**7, 3., 9527742, -11.86362776),
            (10**7, .7, 6674877, -19.27394638),
            (16777217, 2., 14776969, -8.145565294),
            (2**31 - 1, .3, 1233629219, -11.4755074),
            (2**31 - 1, -1.7, 332002119, -161.0534076),
            (2**31 - 1, 20., 2**31 - 7, -2.080169331),
            (40, 60.5, 39, -56.81112055))


@pytest.mark.parametrize('name', LOG_PROBS)
def test_log_prob_where_an_intermediate_leaves_the_floats(name):
  """And finite slopes, in x and every param: the terms' own sizes are."""
  dist, make, rows = LOG_PROBS[name]
  *params, x, want = np.float32(rows).T

  def log_prob(*args):
    return dist.log_prob(make(*args[:-1]), args[-1])

  nats, pull = jax.jit(functools.partial(jax.vjp, log_prob))(*params, x)
  assert _are_close(nats, np.array(rows)[:, -1]), nats
  for slope in pull(jnp.ones_like(nats)):
    assert np.isfinite(slope).all()


def test_dirichlet_of_two_shares_is_the_beta_at_large_concentrations():
  """To the last digits: x and 1 - x are exact, and so is their excess."""
  rows = [LOG_PROBS['beta'][2][i] for i in (0, 3, 4, 6)]
  a, b, x, want = np.array(rows).T
  a, b, x = np.float32([a, b, x])
  got = jax.jit(dirichlet.log_prob)(DirichletParams(np.stack([a, b], -1)),
                                    np.stack([x, 1 - x], -1))
  assert _are_close(got, want), got


def test_log_prob_of_large_whole_numbers():
  """Of int32, also where float32 has but every second or 128th."""
  rate, x, want = zip(*POISSON)
  got = jax.jit(poisson.log_prob)(PoissonParams(np.float32(rate)), np.int32(x))
  assert _are_close(got, want), got
  n, logits, x, want = zip(*BINOMIAL)
  params = BinomialParams(np.int32(n), np.float32(logits))
  got = jax.jit(binomial.log_prob)(params, np.int32(x))
  assert _are_close(got, want), got


# p p-value below 1e-4 comes of one right sampler in ten thousand.
@pytest.mark.parametrize('dist, params', [
    (poisson, PoissonParams(np.float32([9e6, 1e8, 1e9, 2.1e9]))),
    (binomial, BinomialParams(np.int32([10**7, 10**9, 2**31 - 1, 2**31 - 1]),
                              np.float32([3., -1., 2., 0.]))),
])
def test_draws_have_every_last_digit_where_float32_has_no_fractions(
    dist, params):
  """Uniform to 1e-9 where the law is wide; the mean and the spread, too."""
  float_laws.last_digits_are_uniform(dist, params, 50_000)


def test_draws_at_the_limit_of_int32_are_counts_or_minus_one():
  """Of a mean of 2^31 half are held, above or below of others none or all."""
  rate = np.float32([2**31 - 2**20, 2**31, 2**31 + 2**20, 1e10, _INF])
  draw = functools.partial(jax.jit, static_argnums=2)
  x = draw(poisson.sample)(jax.random.key(0), PoissonParams(rate), (200,))
  held = np.asarray(x) > 2**30
  assert (held | (np.asarray(x) == -1)).all()
  shares = held.mean(0)
  np.testing.assert_array_equal(shares[[0, 2, 3, 4]], [1, 0, 0, 0])
  assert abs(shares[1] - 0.5) < 5 * 0.5 / 200**0.5
  params = BinomialParams(np.float32([3e9, 1e10, 1e10]),
                          np.float32([0., -15., 15.]))
  x = np.asarray(draw(binomial.sample)(jax.random.key(0), params, (200,)))
  away = (x[:, :2] - [1.5e9, 1e10 / (1 + np.exp(15))])
  assert np.abs(away / [27386, 55.3]).max() < 6
  assert (x[:, 2] == -1).all()


# Concentration c, and entropies of gamma(c, 1), beta(c, c), dirichlet(c, c, c)
# and t of c degrees: c + L(c) + (1 - c) psi(c); with A of the sum of K,
# K L(c) - L(A) + (A - K) psi(A) - K (c - 1) psi(c), psi = mpmath.digamma; and
# (c + 1) / 2 (psi((c + 1) / 2) - psi(c / 2)) + log(sqrt(c) B(c / 2, 1 / 2)).
ENTROPIES = ((1e-3, -992.66677, -991.402331, -1983.09562, 1004.45465),
             (3, 1.84757851, -0.267864048, -1.2180185, 1.77347757),
             (14.9, 2.74686922, -0.988810362, -2.64831084, 1.48712621),
             (1e4, 6.02407539, -4.22597742, -9.11904959, 1.41903854),
             (1e6, 8.32669348, -6.52853777, -13.7241648, 1.41893953),
             (1e9, 11.7805715, -9.98241516, -20.6319195, 1.41893853))


def test_entropies_at_all_sizes_in_float32():
  c, *want = np.array(ENTROPIES).T
  c = np.float32(c)
  one = np.ones_like(c)
  entropies = jax.jit(lambda c: (
      gamma.entropy(GammaParams(c, one)), beta.entropy(BetaParams(c, c)),
      dirichlet.entropy(DirichletParams(jnp.stack([c, c, c], -1))),
      student_t.entropy(StudentTParams(c, 0 * one, one))))
  for got, nats in zip(entropies(c), want):
    assert _are_close(got, nats), got


def test_student_t_of_infinitely_many_degrees_is_the_normal():
  params = np.float32([1., -3.]), np.float32([2., 1e-25])
  heavy = StudentTParams(np.float32(_INF), *params)
  for name in ('mean', 'variance', 'entropy'):
    np.testing.assert_array_equal(
        jax.jit(getattr(student_t, name))(heavy),
        jax.jit(getattr(normal, name))(NormalParams(*params)))
  x = jax.jit(lambda key: student_t.sample(key, heavy, (2000,)))(
      jax.random.key(0))
  z = (np.asarray(x) - params[0]) / params[1]
  assert np.isfinite(z).all()
  assert abs(z[:, 0].std() - 1) < 5 / 4000**0.5


def test_moments_whose_squares_leave_the_floats():
  """Rational functions of the params, so float64 is the reference."""
  a, r = np.float64(np.float32([1e-10, 1e30, 1e-30])), np.float32(
      [1e-20, 1e20, 1e-30])
  params = GammaParams(np.float32(a), r)
  np.testing.assert_allclose(jax.jit(gamma.variance)(params),
                             a / np.float64(r)**2, rtol=1e-6)
  np.testing.assert_allclose(jax.jit(gamma.mean)(params), a / r, rtol=1e-6)
  rate = np.float64(np.float32(1.05e-19))
  np.testing.assert_allclose(
      jax.jit(exponential.variance)(ExponentialParams(rate)), rate**-2,
      rtol=1e-6)
  np.testing.assert_allclose(
      jax.jit(uniform.variance)(UniformParams(0., 5e19)), 25e38 / 12,
      rtol=1e-6)
  df = np.float64(np.float32(2 + 1e-5))
  np.testing.assert_allclose(
      jax.jit(student_t.variance)(StudentTParams(df, 0., np.float32(1e-19))),
      df / (df - 2) * 1e-38, rtol=1e-5)
  c = np.float64(np.float32([[1e6, 1.], [1e-6, 1e7]]))
  want = c * c[:, ::-1] / c.sum(-1, keepdims=True)**2 / (
      c.sum(-1, keepdims=True) + 1)
  np.testing.assert_allclose(
      jax.jit(dirichlet.variance)(DirichletParams(np.float32(c))), want,
      rtol=1e-6)
  params = MixtureParams(
      np.log(np.float32([1 - 1e-5, 1e-5])),
      NormalParams(np.float32([0., 1e20]), np.ones(2, np.float32)))
  # The weight is the exponential of a float32 of 11.5.
  np.testing.assert_allclose(jax.jit(mixture(normal).variance)(params),
                             1e-5 * (1 - 1e-5) * 1e40, rtol=2e-5)


def test_uniform_of_the_whole_range():
  """3e38 - -3e38 is no float32."""
  params, dist = UniformParams(-3e38, 3e38), laws.compiled(uniform)
  np.testing.assert_allclose(dist.entropy(params), np.log(6) + 38 * np.log(
      10), rtol=1e-6)
  np.testing.assert_allclose(dist.cdf(params, np.float32([0., 1.5e38])),
                             [0.5, 0.75], rtol=1e-6)
  assert dist.mean(params) == 0
  x = np.asarray(dist.sample(jax.random.key(0), params, (2000,))) / 3e38
  assert np.abs(x).max() <= 1 and abs(x.mean()) < 5 / 6000**0.5
  wide = UniformParams(np.float32([-3e38, -1]), np.float32([3e38, 1]))
  narrow = UniformParams(np.float32([-1e38, 0]), np.float32([1e38, 1]))
  np.testing.assert_allclose(jax.jit(divergences.kl_uniform)(narrow, wide),
                             np.log([3., 2.]), rtol=1e-6)


_UNIT = np.float32([1., 2.])
# Params of unit 1, what of them has the unit u (1), has 1 / u (-1) or none,
# and points.
UNITS = {
    'normal': (normal, NormalParams(_UNIT, _UNIT), (1, 1)),
    'laplace': (laplace, LaplaceParams(_UNIT, _UNIT), (1, 1)),
    'logistic': (logistic, LogisticParams(_UNIT, _UNIT), (1, 1)),
    'student_t': (student_t, StudentTParams(3 * _UNIT, _UNIT, _UNIT),
                  (0, 1, 1)),
    'uniform': (uniform, UniformParams(_UNIT, 9 * _UNIT), (1, 1)),
    'exponential': (exponential, ExponentialParams(_UNIT), (-1,)),
    'gamma': (gamma, GammaParams(20 * _UNIT, _UNIT), (0, -1)),
    'multivariate_normal': (
        multivariate_normal, MultivariateNormalParams(
            _UNIT, np.float32([[1., 0.], [.5, 2.]])), (1, 1)),
    'low_rank_normal': (low_rank_normal, LowRankNormalParams(
        _UNIT, np.ones((2, 1), np.float32), _UNIT), (1, 1, 1)),
    'mixture': (mixture(normal), MixtureParams(
        0 * _UNIT, NormalParams(_UNIT, _UNIT)), (0, 1, 1)),
}


@pytest.mark.parametrize('name', UNITS)
def test_log_prob_does_not_depend_on_the_unit(name):
  dist, params, units = UNITS[name]
  float_laws.equivariant(dist, params, units, np.float32([5., 3.]))


KL = {
    'normal': (NormalParams(_UNIT, _UNIT), (1, 1)),
    'laplace': (LaplaceParams(_UNIT, _UNIT), (1, 1)),
    'uniform': (UniformParams(-_UNIT, _UNIT), (1, 1)),
    'exponential': (ExponentialParams(_UNIT), (1,)),
    'gamma': (GammaParams(3 * _UNIT, _UNIT), (0, 1)),
}


@pytest.mark.parametrize('name', KL)
def test_kl_does_not_depend_on_the_unit(name):
  """Nor does its slope in a param, times the param; units are powers of 2."""
  params, units = KL[name]
  kl = getattr(divergences, 'kl_' + name)
  q = type(params)(*(1.25 * p for p in params))

  @jax.jit
  @jax.vmap
  def judge(unit):
    p, r = (type(params)(*(v * unit**k for v, k in zip(one, units)))
            for one in (params, q))
    slopes = jax.grad(lambda p, r: jnp.sum(kl(p, r)), (0, 1))(p, r)
    return kl(p, r), jax.tree.map(jnp.multiply, slopes, (p, r))

  got = judge(float_laws.UNITS)
  for leaf in jax.tree.leaves(got):
    np.testing.assert_allclose(leaf, np.broadcast_to(leaf[:1], leaf.shape),
                               rtol=1e-4, atol=1e-6)
  assert np.isfinite(got[0]).all() and (got[0] > 1e-3).all()


# Params p, directions e, and KL of p and p (1 + d e) at d = 1e-3, 1e-4, 1e-6,
# both rounded to float32: (a - b) psi(a) - L(a) + L(b) + b log(r / s)
# + a (s - r) / r; L(A) - L(B) + sum of L(b) - L(a) + (a - b) (psi(a) - psi(A));
# and sums of p log(p / q), of softmax(p), or softmax(0, p).
NEAR = {
    'gamma': (GammaParams, (2.5, 3.), (1., -.6),
              (3.482568e-06, 3.484296e-08, 3.41478e-12)),
    'beta': (BetaParams, (.3, 40.), (.8, 1.1),
             (2.711529e-07, 2.710998e-09, 2.730203e-13)),
    'dirichlet': (lambda *c: DirichletParams(jnp.stack(c, -1)),
                  (.7, 9., 120.), (1., -.5, .3),
                  (3.294285e-06, 3.296377e-08, 3.65113e-12)),
    'bernoulli': (BernoulliParams, (4.,), (1.,),
                  (1.411334e-07, 1.413304e-09, 1.285129e-13)),
    'categorical': (lambda *c: CategoricalParams(jnp.stack(c, -1)),
                    (.5, -1.2, 3.), (1., -.7, .4),
                    (1.756875e-08, 1.753009e-10, 1.830748e-14)),
}


@pytest.mark.parametrize('name', NEAR)
def test_kl_of_almost_equal_params_keeps_its_digits_in_float32(name):
  make, at, along, want = NEAR[name]
  apart = np.array([1e-3, 1e-4, 1e-6])
  q = [np.float32(v * (1 + apart * e)) for v, e in zip(at, along)]
  p = [np.full(3, v, np.float32) for v in at]
  got = jax.jit(getattr(divergences, 'kl_' + name))(make(*p), make(*q))
  np.testing.assert_allclose(got, want, rtol=1e-4)


def test_kl_where_zero_meets_infinity():
  """No tosses say nothing, and a quotient of scales may be no float."""
  never, always = np.float32(-_INF), np.float32(_INF)
  n = np.float32([0., 0., 3.])
  got = jax.jit(divergences.kl_binomial)(
      BinomialParams(n, np.float32([never, _NAN, 0.])),
      BinomialParams(n, np.float32([always, 0., always])))
  np.testing.assert_array_equal(got, [0, _NAN, _INF])
  got = jax.jit(divergences.kl_laplace)(LaplaceParams(0., 1e-25),
                                        LaplaceParams(1e15, 1e15))
  np.testing.assert_allclose(got, 40 * np.log(10), rtol=1e-6)


_TINY, _TOP = 1e-37, 1e37
DRAWS = {
    'gamma': (gamma, GammaParams(np.float32([1e-3, .02, 1, 1e10, 20, .1]),
                                 np.float32([1, 1e-4, 1, 1, _TINY, _TOP]))),
    'beta': (beta, BetaParams(np.float32([1e-3, .02, .02, 1e10, _TINY, 2]),
                              np.float32([1e-3, .02, 3, 1e10, _TINY, 1e6]))),
    'dirichlet': (dirichlet, DirichletParams(np.float32(
        [[1e-3] * 3, [_TINY] * 3, [1e10, 1, 1e-3]]))),
    'student_t': (student_t, StudentTParams(
        np.float32([.01, .01, _TINY, 1e30, 3]), np.float32(0),
        np.float32([1, 1e-20, 1, 1, 1e38]))),
    'normal': (normal, NormalParams(np.float32(0), np.float32([_TINY, 1e38]))),
    'exponential': (exponential, ExponentialParams(
        np.float32([_TINY, 1e-38 * 1.2, _TOP]))),
    'bernoulli': (bernoulli, BernoulliParams(np.float32([-30, 0, 30, _INF]))),
} | {
    name: (transformed(normal, getattr(bijectors, name)), TransformedParams(
        NormalParams(np.float32([0, 20, 100, -100]), np.float32(3)), ()))
    for name in ('exp', 'softplus', 'sigmoid')}


@pytest.mark.parametrize('name', DRAWS)
def test_every_draw_has_a_finite_density_under_its_own_law(name):
  float_laws.draws_have_a_finite_density(*DRAWS[name])


def test_draws_of_16_bits_have_a_finite_density_too():
  """Next to 1 bfloat16 has .996, and the greatest float16 is 6e4."""
  for dtype in (jnp.bfloat16, jnp.float16):
    half, wide = (jnp.asarray(v, dtype) for v in (0.02, 6e4))
    for dist, params in ((beta, BetaParams(half, half)),
                         (normal, NormalParams(0 * wide, wide))):
      float_laws.draws_have_a_finite_density(dist, params)


def test_draws_of_large_concentrations_have_their_spread():
  """Variances 1 / (8 a) and 1 / a; the logarithm of a draw has lost it."""
  a = np.float32([1e4, 1e10])
  for dist, params, times in ((beta, BetaParams(a, a), 8),
                              (gamma, GammaParams(a, a), 1)):
    x = jax.jit(lambda key: dist.sample(key, params, (20_000,)))(
        jax.random.key(0))
    spread = times * a * np.var(x, axis=0, dtype=float)
    # A sample variance errs by sqrt(2 / N) of itself.
    np.testing.assert_allclose(spread, 1, atol=5 * (2 / 20_000)**0.5)
