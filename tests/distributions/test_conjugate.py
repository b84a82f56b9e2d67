"""Conjugate Bayes against scipy, quadrature, and its own two other routes.

The evidence is a chain of predictives in the code, so the oracles are the
closed forms in log-gamma functions and the integral over the prior.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy import special
from scipy import stats

from genjax.distributions.bounded import BetaParams
from genjax.distributions.conjugate import beta_bernoulli
from genjax.distributions.conjugate import dirichlet_categorical
from genjax.distributions.conjugate import normal_normal
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import bernoulli
from genjax.distributions.discrete import categorical
from genjax.distributions.multivariate import DirichletParams
from tests import laws

_RNG = np.random.default_rng(0)
NOISE, N = 0.7, 6


# Each function as one program: these tests take the time of compiling.
BETA, DIRICHLET = map(laws.compiled, (beta_bernoulli, dirichlet_categorical))
NORMAL, UNIT = (laws.compiled(normal_normal(scale)) for scale in (NOISE, 1.0))

# A model, a batched prior, data [N, *batch], and the law of one observation.
MODELS = {
    'beta_bernoulli': (
        BETA,
        BetaParams(np.array([0.3, 1.0, 40.0]), np.array([2.0, 1.0, 0.5])),
        _RNG.integers(0, 2, (N, 3)), bernoulli),
    'dirichlet_categorical': (
        DIRICHLET,
        DirichletParams(np.array([[0.5, 2.0, 1.0], [9.0, 0.1, 3.0]])),
        _RNG.integers(0, 3, (N, 2)), categorical),
    'normal_normal': (
        NORMAL,
        NormalParams(np.array([1e3, 0.0]), np.array([0.2, 30.0])),
        _RNG.normal(size=(N, 2)) + np.array([1e3, 0.0]), normal),
}
EACH = pytest.mark.parametrize('name', MODELS)


def _close(got, want):
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@EACH
@laws.float64
def test_posterior_of_batches_in_turn_is_that_of_all(name):
  model, prior, x, _ = MODELS[name]
  step = model.posterior(model.posterior(prior, x[:3]), x[3:])
  _close(step, model.posterior(prior, x))


@EACH
@laws.float64
def test_posterior_of_no_data_is_the_prior(name):
  model, prior, x, _ = MODELS[name]
  for got, want in zip(model.posterior(prior, x[:0]), prior):
    np.testing.assert_array_equal(got, want)
  np.testing.assert_array_equal(model.log_evidence(prior, x[:0]), 0)


@EACH
@laws.float64
def test_log_evidence_adds_over_batches_in_turn(name):
  model, prior, x, _ = MODELS[name]
  middle = model.posterior(prior, x[:3])
  total = model.log_evidence(prior, x[:3]) + model.log_evidence(middle, x[3:])
  _close([model.log_evidence(prior, x)], [total])


@EACH
@laws.float64
def test_log_evidence_of_one_is_its_predictive(name):
  model, prior, x, likelihood = MODELS[name]
  want = jax.jit(likelihood.log_prob)(model.predictive(prior), x[0])
  _close([model.log_evidence(prior, x[:1])], [want])


@EACH
@laws.float64
def test_log_evidence_does_not_depend_on_the_order(name):
  model, prior, x, _ = MODELS[name]
  _close([model.log_evidence(prior, x)], [model.log_evidence(prior, x[::-1])])


@EACH
@laws.float64
def test_data_are_shared_by_a_batch_of_priors(name):
  """Also where there are as many observations as priors."""
  model, prior, x, _ = MODELS[name]
  batch = x.shape[1]
  one = x[:batch, 0]
  every = np.tile(one[:, None], batch)
  _close(model.posterior(prior, one), model.posterior(prior, every))
  _close([model.log_evidence(prior, one)], [model.log_evidence(prior, every)])


@laws.float64
def test_beta_bernoulli_counts():
  model, prior, x, _ = MODELS['beta_bernoulli']
  heads = x.sum(0)
  _close(model.posterior(prior, x),
         (prior.alpha + heads, prior.beta + N - heads))
  # Scipy's is the evidence of the count: of all its binom(N, heads) orders.
  count = stats.betabinom(N, prior.alpha, prior.beta).logpmf(heads)
  _close([model.log_evidence(prior, x)],
         [count - np.log(special.binom(N, heads))])


@laws.float64
def test_beta_bernoulli_log_evidence_is_an_integral():
  model, _, x, _ = MODELS['beta_bernoulli']
  heads = x[:, 0].sum()
  z, _ = integrate.quad(
      lambda t: t**heads * (1 - t)**(N - heads) * stats.beta(2.5, 4).pdf(t),
      0, 1, epsabs=0, epsrel=1e-12)
  got = model.log_evidence(BetaParams(2.5, 4.0), x[:, 0])
  np.testing.assert_allclose(got, np.log(z), rtol=1e-10)


def test_beta_bernoulli_log_evidence_of_the_lecture():
  """HTTHH under a uniform prior: 3! 2! / 6!; and float32 at 1e5 tosses.

  Log-gamma functions of 1e5 are 1e6 nats: one rounding there is 0.06. The
  chain errs by a rounding of each term: 1e5 of up to 3e-7, mostly averaged.
  """
  tosses = jnp.asarray([1, 0, 0, 1, 1])
  got = BETA.log_evidence(BetaParams(1.0, 1.0), tosses)
  np.testing.assert_allclose(got, np.log(12 / 720), rtol=1e-6)
  many = np.random.default_rng(1).integers(0, 2, 100_000)
  got = BETA.log_evidence(BetaParams(1.0, 1.0), many)
  want = special.betaln(1 + many.sum(), 1 + 100_000 - many.sum())
  np.testing.assert_allclose(got, want, rtol=1e-6)


@laws.float64
def test_dirichlet_categorical_counts():
  model, prior, x, _ = MODELS['dirichlet_categorical']
  counts = np.stack([np.bincount(column, minlength=3) for column in x.T])
  c = prior.concentration
  _close(model.posterior(prior, x), (c + counts,))
  want = (special.gammaln(c + counts) - special.gammaln(c)).sum(-1)
  want += special.gammaln(c.sum(-1)) - special.gammaln(c.sum(-1) + N)
  _close([model.log_evidence(prior, x)], [want])


@laws.float64
def test_dirichlet_of_two_categories_is_the_beta():
  _, prior, x, _ = MODELS['beta_bernoulli']
  both = DirichletParams(np.stack([prior.beta, prior.alpha], -1))
  _close([BETA.log_evidence(prior, x)],
         [DIRICHLET.log_evidence(both, x)])


@laws.float64
def test_normal_normal_adds_precisions():
  model, prior, x, _ = MODELS['normal_normal']
  precision = prior.scale**-2 + N / NOISE**2
  loc = (prior.loc / prior.scale**2 + x.sum(0) / NOISE**2) / precision
  _close(model.posterior(prior, x), (loc, precision**-0.5))
  # Observations share the mean, so they are jointly normal and correlated.
  want = [stats.multivariate_normal(
      np.full(N, loc), NOISE**2 * np.eye(N) + scale**2).logpdf(column)
          for loc, scale, column in zip(*prior, x.T)]
  _close([model.log_evidence(prior, x)], [want])


def test_normal_normal_keeps_a_small_spread_about_a_large_mean():
  """A float32 sum of values at 1e6 errs by 0.5; deviations are exact here."""
  x = 1e6 + np.array([0.0, 1.0, 2.0, 1.0], np.float32)
  got = UNIT.posterior(NormalParams(1e6, 1.0), x)
  np.testing.assert_allclose(got.loc - 1e6, 0.8125, rtol=1e-6)
  np.testing.assert_allclose(got.scale, 0.2**0.5, rtol=1e-6)


def test_normal_normal_of_a_vague_prior_is_the_likelihood():
  """The square of 1e25 is no float32; p(x) is that of its precision, 0."""
  x = np.float32([1.0, 3.0, 5.0, 3.0])
  model, prior = UNIT, NormalParams(0.0, 1e25)
  got = model.posterior(prior, x)
  np.testing.assert_allclose(got, [3.0, 0.5], rtol=1e-6)
  want = (-2 * np.log(2 * np.pi) - 0.5 * np.square(x - 3).sum()
          - 0.5 * np.log(4) - 25 * np.log(10))
  np.testing.assert_allclose(model.log_evidence(prior, x), want, rtol=1e-6)


def test_sums_are_not_taken_in_the_dtype_of_the_data():
  """Sums of ones in bfloat16 end at 256."""
  x = jnp.ones(1000, jnp.bfloat16)
  prior = NormalParams(jnp.bfloat16(0), jnp.bfloat16(1))
  got = UNIT.posterior(prior, x)
  assert got.loc.dtype == got.scale.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.float32(got), [1000 / 1001, 1001**-0.5],
                             rtol=2**-8)


def test_log_evidence_of_large_params_keeps_its_digits_in_float32():
  """Log-gamma functions in float64, themselves good to 1e-7 of the result."""
  x = np.arange(1000) % 3 < 1
  a, b = float(np.float32(1e8)), float(np.float32(3e8))
  got = BETA.log_evidence(BetaParams(a, b), x.astype(int))
  want = special.betaln(a + 334, b + 666) - special.betaln(a, b)
  np.testing.assert_allclose(got, want, rtol=2e-6)


@pytest.mark.parametrize('name', ['beta_bernoulli', 'dirichlet_categorical'])
@laws.float64
def test_predictive_is_the_mean_of_the_prior(name):
  model, prior, _, likelihood = MODELS[name]
  weights = (np.stack([prior.beta, prior.alpha], -1)
             if name == 'beta_bernoulli' else prior.concentration)
  for k in range(weights.shape[-1]):
    got = jax.jit(likelihood.log_prob)(model.predictive(prior), jnp.asarray(k))
    _close([np.exp(got)], [weights[:, k] / weights.sum(-1)])


@laws.float64
def test_predictive_of_a_normal_adds_the_noise():
  model, prior, _, _ = MODELS['normal_normal']
  loc, scale = model.predictive(prior)
  _close((loc, scale), (prior.loc, np.sqrt(prior.scale**2 + NOISE**2)))


@pytest.mark.parametrize('model, good, bad, fits, never', [
    (BETA, BetaParams(1.0, 2.0), BetaParams(1.0, -2.0), 1, 2),
    (DIRICHLET, DirichletParams(np.ones(3)),
     DirichletParams(np.array([1.0, 0.0, 1.0])), 2, 3),
    (UNIT, NormalParams(0.0, 1.0), NormalParams(0.0, -1.0), 1,
     np.inf),
])
def test_what_cannot_be_gives_nan(model, good, bad, fits, never):
  """Bad params and NaN data; data out of the support have evidence zero."""
  x = np.array([[fits, fits, fits], [fits, never, np.nan]])
  np.testing.assert_array_equal(
      np.isnan(model.log_evidence(good, x)), [False, False, True])
  assert model.log_evidence(good, x)[1] == -np.inf
  for leaf in model.posterior(good, x):
    np.testing.assert_array_equal(np.isnan(leaf[0]), False)
    np.testing.assert_array_equal(np.isnan(leaf[1:]), True)
  assert np.isnan(model.log_evidence(bad, x[:, :1])).all()
  for leaf in model.posterior(bad, x[:, :1]):
    assert np.isnan(leaf).all()
  assert any(np.isnan(leaf).any() for leaf in model.posterior(bad, x[:0]))


def test_normal_normal_of_bad_noise_gives_nan():
  got = normal_normal(-1.0).posterior(NormalParams(0.0, 1.0), np.ones(2))
  assert np.isnan(got.loc) and np.isnan(got.scale)


@pytest.mark.parametrize('call', [
    lambda: beta_bernoulli.posterior(BetaParams(1.0, 1.0), np.int32(1)),
    lambda: normal_normal(np.ones(2)),
])
def test_shapes_that_do_not_fit_are_refused(call):
  with pytest.raises(ValueError, match='must'):
    call()
