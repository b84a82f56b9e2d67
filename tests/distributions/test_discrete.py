"""The laws over every family of whole numbers, and the rates of rare events."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.distributions import discrete
from genjax.distributions import independent
from genjax.distributions import integer_draws
from tests import laws

_INF, _NAN = float('inf'), float('nan')
_RNG = np.random.default_rng(0)


class Table(NamedTuple):
  """A scipy-like frozen variable on 0 ... K - 1, by sums in float64."""

  p: np.ndarray  # [*batch, K]

  def logpmf(self, x):
    x = np.asarray(x)
    hits = np.arange(self.p.shape[-1]) == x[..., None]
    with np.errstate(divide='ignore'):
      return np.log(np.sum(hits * self.p, -1))

  def cdf(self, x):
    return np.sum(self.p * (np.arange(self.p.shape[-1])
                            <= np.asarray(x)[..., None]), -1)

  def ppf(self, q):
    below = np.cumsum(self.p, -1) < np.asarray(q)[..., None]
    return np.minimum(np.sum(below, -1), self.p.shape[-1] - 1)

  def median(self):
    return self.ppf(0.5)

  def mean(self):
    return self.p @ np.arange(self.p.shape[-1])

  def var(self):
    return self.p @ np.arange(self.p.shape[-1])**2 - self.mean()**2

  def std(self):
    return np.sqrt(self.var())

  def entropy(self):
    return stats.entropy(self.p, axis=-1)


def _family(dist, make, scipy, params, bad, outside, event_shape=()):
  params = tuple(np.asarray(p, np.float64) for p in params)
  return laws.Family(dist, params, make, scipy, event_shape, bad, outside,
                     discrete=True)


def _categorical(logits):
  """Logits [*batch, K], as K params that broadcast like any others."""
  return _family(
      discrete.categorical,
      lambda *p: discrete.CategoricalParams(
          jnp.stack(jnp.broadcast_arrays(*p), -1)),
      lambda *p: Table(special.softmax(np.stack(p, -1), -1)),
      np.moveaxis(logits, -1, 0),
      ((_NAN, 0., 0.), (0., _INF, 0.), (-_INF, -_INF, -_INF)),
      (-1., 0.5, logits.shape[-1], _INF))


def _bernoulli(logits, event_shape=()):
  dist = discrete.bernoulli
  return _family(
      independent(dist, len(event_shape)) if event_shape else dist,
      discrete.BernoulliParams,
      lambda logits: stats.bernoulli(special.expit(logits)), (logits,),
      ((_NAN,),), (-1., 0.5, 2., _INF), event_shape)


def _binomial(n, logits):
  return _family(
      discrete.binomial, discrete.BinomialParams,
      lambda n, logits: stats.binom(n, special.expit(logits)), (n, logits),
      ((-1., 0.), (2.5, 0.), (_INF, 0.), (_NAN, 0.), (3., _NAN)),
      (-1., 0.5, 1e9, _INF))


def _poisson(rate):
  return _family(discrete.poisson, discrete.PoissonParams, stats.poisson,
                 (rate,), ((-1.,), (_INF,), (_NAN,)), (-1., 0.5, _INF))


SCALAR = {
    'bernoulli': _bernoulli(3 * _RNG.normal(size=(2, 3))),
    'categorical': _categorical(2 * _RNG.normal(size=(2, 2, 3))),
    'binomial': _binomial([[1.], [30.]], [-3., 0.5, 2.]),
    'poisson': _poisson([[0.1, 1., 3.], [9.9, 20., 300.]]),
}
FAMILIES = SCALAR | {
    'independent_3 of bernoulli': _bernoulli(
        _RNG.normal(size=(2, 2, 1, 3)), (2, 1, 3)),
}
# Where digits are lost, rates are extreme, or another algorithm sets in.
HARD = {
    'binomial': _binomial([1e3, 1e3, 1e5, 1e5, 1e5, 20.],
                          [-7., 7., -9., 0.3, 4., 12.]),
    'poisson': _poisson([1e-6, 1e3, 1e4, 1e5]),
    'categorical': _categorical(2 * _RNG.normal(size=(2, 40))),
}


@laws.over(FAMILIES)
def test_family_keeps(law, family):
  law(family)


@laws.over(SCALAR, laws.OF_SCALARS)
def test_scalar_family_keeps(law, family):
  law(family)


@laws.over(HARD, [laws.log_prob_matches_scipy_where_digits_are_lost,
                  laws.samples_agree_with_density,
                  laws.moments_match_scipy_in_float32])
def test_family_of_hard_params_keeps(law, family):
  law(family)


@pytest.mark.parametrize('dist, params, slope', [
    (discrete.bernoulli,
     discrete.BernoulliParams(np.array([-70., -59., 0.5, 61.])),
     lambda x, logits: x - special.expit(logits)),
    (discrete.binomial,
     discrete.BinomialParams(np.array([40., 9., 9., 9.]),
                             np.array([0.1, -70., -59., 61.])),
     lambda x, n, logits: x - n * special.expit(logits)),
    (discrete.poisson,
     discrete.PoissonParams(np.array([1e-3, 0.5, 7., 1e4])),
     lambda x, rate: x / rate - 1),
])
@laws.float64
def test_slope_of_log_prob_is_the_closed_form(dist, params, slope):
  """In the last param, summed over what the families can all score."""
  x = np.arange(2.)[:, None]

  def total(last):
    return jnp.sum(dist.log_prob(type(params)(*params[:-1], last), x))

  got = jax.jit(jax.grad(total))(params[-1])
  np.testing.assert_allclose(got, np.sum(slope(x, *params), 0), rtol=1e-9)


@pytest.mark.parametrize('logit', [-1e4, -100., -1., 30., 100., _INF])
def test_log_prob_is_stable_at_any_log_odds(logit):
  """Of one toss: the probabilities of both outcomes may underflow."""
  want = -np.logaddexp(0, [logit, -logit])
  x = np.arange(2)
  score = jax.jit(discrete.bernoulli.log_prob)
  got = score(discrete.BernoulliParams(logit), x)
  np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-37)
  score = jax.jit(discrete.binomial.log_prob)
  got = score(discrete.BinomialParams(1, logit), x)
  np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('dist, params, x', [
    (discrete.bernoulli, discrete.BernoulliParams(_INF), 1),
    (discrete.bernoulli, discrete.BernoulliParams(-_INF), 0),
    (discrete.binomial, discrete.BinomialParams(0, 1.), 0),
    (discrete.binomial, discrete.BinomialParams(5, _INF), 5),
    (discrete.binomial, discrete.BinomialParams(5, -_INF), 0),
    (discrete.poisson, discrete.PoissonParams(0.), 0),
    (discrete.categorical, discrete.CategoricalParams([0.]), 0),
    (discrete.categorical, discrete.CategoricalParams([-_INF, 0., -_INF]), 1),
])
def test_sure_outcome_is_drawn_always_and_scored_zero(dist, params, x):
  params, dist = type(params)(*map(jnp.asarray, params)), laws.compiled(dist)
  assert np.all(dist.sample(jax.random.key(0), params, (1000,)) == x)
  nats = dist.log_prob(params, x + np.arange(2))
  np.testing.assert_allclose(nats, [0, -np.inf], atol=1e-20)
  if dist.entropy is not None:
    assert float(dist.entropy(params)) == 0


def test_sample_is_minus_one_where_int32_does_not_hold_the_count():
  params = discrete.PoissonParams(jnp.array([1e9, 1e10]))
  x = laws.compiled(discrete.poisson).sample(jax.random.key(0), params, (4,))
  assert np.all(x[:, 0] > 0) and np.all(x[:, 1] == -1)


_THRESHOLDS = jax.jit(integer_draws.thresholds)


@pytest.mark.parametrize('num', [2, 8, 32, 33, 131_073])
def test_thresholds_are_the_cumulative_probabilities_to_one_of_2_to_the_32(num):
  """The largest category, which takes the rest, is left out of the sums."""
  p = special.softmax(3 * _RNG.normal(size=num)).astype(np.float32)
  p[:num // 4] = 0.0
  c, largest = map(np.asarray, _THRESHOLDS(p))
  assert largest == p.argmax()
  widths = np.diff(c.astype(np.int64), prepend=0)
  assert np.all(widths >= 0) and not widths[p == 0].any()
  others = np.where(np.arange(num) == largest, 0, p.astype(np.float64))
  np.testing.assert_allclose(c, np.cumsum(others) * 2.0**32, rtol=0,
                             atol=1.01)


@pytest.mark.parametrize('num', [8, 40])
def test_draw_category_gives_each_u_to_the_interval_it_is_in(num, monkeypatch):
  """By comparison and by search; u = 0 is not of an impossible first one."""
  p = special.softmax(_RNG.normal(size=num)).astype(np.float32)
  p[0] = 0.0
  c, largest = map(np.asarray, _THRESHOLDS(p))
  u = np.append(c, [0, 2**32 - 1]).astype(np.uint32)
  u = np.concatenate([u, u[1:] - np.uint32(1)])  # wraps below 0
  monkeypatch.setattr(integer_draws, 'draw_bits', lambda key, shape: u)
  got = integer_draws.draw_category(jax.random.key(0), jnp.asarray(p), u.shape)
  above = u[:, None] < c
  want = np.where(above.any(1), above.argmax(1), largest)
  np.testing.assert_array_equal(got, want)


def test_thresholds_do_not_wrap_where_all_fractions_round_alike():
  """2^32 / K is 32767.75: rounded one by one, K - 1 of them make 2^32."""
  num = 2**17 + 1
  c, _ = _THRESHOLDS(np.full(num, 1 / num, np.float32))
  assert 0 <= 2**32 - int(c[-1]) - 32768 < 2**10  # 2^-22, float32 of p
  assert np.all(np.diff(np.asarray(c).astype(np.int64)) >= 0)


def test_categorical_draws_an_event_of_probability_1e_6_at_its_rate():
  """Last of the CDF, where floats are multiples of 6e-8; 2e7 draws."""
  p = np.array([0.3, 0.25, 0.2, 0.15, 0.1 - 1e-6, 0., 0., 1e-6])
  params = discrete.CategoricalParams(jnp.log(jnp.asarray(p, jnp.float32)))

  @jax.jit
  def count(key):
    def block(key):
      x = discrete.categorical.sample(key, params, (1_000_000,))
      return jnp.array([jnp.sum(x == 7), jnp.sum((x == 5) | (x == 6))])

    return jnp.sum(jax.lax.map(block, jax.random.split(key, 20)), axis=0)

  rare, impossible = map(int, count(jax.random.key(0)))
  assert impossible == 0
  assert stats.binomtest(rare, 2 * 10**7, 1e-6).pvalue > 1e-4
  # And its share of all u is right to the rounding of the log in float32.
  c, _ = _THRESHOLDS(jax.nn.softmax(params.logits))
  assert int(c[4]) == int(c[5]) == int(c[6])
  np.testing.assert_allclose(int(c[7]) - int(c[6]), 1e-6 * 2**32, rtol=2e-3)


def test_bernoulli_draws_an_event_of_probability_1e_6_at_its_rate():
  """Uniform floats, multiples of 2^-23, would draw 1.07e-6 or 0.95e-6."""
  params = discrete.BernoulliParams(special.logit(1e-6))
  keys = jax.random.split(jax.random.key(0), 20)
  count = jax.jit(lambda keys: jnp.sum(jax.lax.map(
      lambda key: jnp.sum(discrete.bernoulli.sample(key, params, (10**6,))),
      keys)))
  assert stats.binomtest(int(count(keys)), 2 * 10**7, 1e-6).pvalue > 1e-4


@laws.float64
def test_log_prob_scores_an_event_of_probability_1e_12():
  logits = jnp.array([0., np.log(1e-12), -_INF])
  nats = jax.jit(discrete.categorical.log_prob)(
      discrete.CategoricalParams(logits), jnp.arange(3))
  want = [-np.log1p(1e-12), np.log(1e-12) - np.log1p(1e-12), -np.inf]
  np.testing.assert_allclose(nats, want, rtol=1e-10, atol=1e-15)


def test_categorical_batch_broadcasts_against_values():
  """Batch [2, 1] of logits and x [3]: no K meets either."""
  logits = jnp.asarray(_RNG.normal(size=(2, 1, 3)), jnp.float32)
  x = jnp.array([2, 0, 1])
  got = jax.jit(discrete.categorical.log_prob)(
      discrete.CategoricalParams(logits), x)
  want = special.log_softmax(np.asarray(logits, np.float64), -1)[:, 0][:, x]
  np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize('shape, message', [
    ((), 'logits must be'), ((3, 0), 'logits must be'),
    ((2**20 + 1,), 'at most')])
def test_categorical_refuses_shapes(shape, message):
  params = discrete.CategoricalParams(jnp.zeros(shape))
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(discrete.categorical.sample, jax.random.key(0), params)


def test_hat_is_above_every_distribution_of_its_standard_deviation():
  """Proposals' density times M, at the points that the algorithm can reach."""
  cases = [(stats.poisson(r), r) for r in (0.01, 0.3, 0.95, 3., 30., 100., 1e4)]
  cases += [(stats.binom(n, p), n * p) for n in (1, 3, 20, 500)
            for p in (0.02, 0.3, 0.5, 0.95)]
  hat, u = jax.jit(integer_draws.hat), np.linspace(-0.5, 0.5, 20_001)[1:-1]
  edge = 0.5 - np.abs(u)
  for frozen, mean in cases:
    a, b, bound = (float(v) for v in hat(frozen.std()))
    k = np.floor((2 * a / edge + b) * u + mean + 0.5)
    assert np.all(frozen.pmf(k) * (a / edge**2 + b) <= bound), frozen.args
