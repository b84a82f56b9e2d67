"""Families of whole numbers: bernoulli, categorical, binomial and poisson.

Draws are int32. Params that lie outside of a family give -1, which is outside
of every support, and a log-probability NaN, for that member of a batch only;
a count that int32 does not hold is drawn as -1 too. What is no whole number of
the support has log-probability -inf, and NaN has NaN.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.integer_draws import draw_bits
from genjax.distributions.integer_draws import draw_category
from genjax.distributions.integer_draws import draw_count
from genjax.distributions.integer_draws import nearest_count
from genjax.distributions.integer_draws import parts
from genjax.distributions.params import computed
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import rounded
from genjax.distributions.saddle_point import deviance
from genjax.distributions.saddle_point import less_product
from genjax.distributions.saddle_point import log_stirling
from genjax.distributions.saddle_point import rarer_probability
from genjax.distributions.saddle_point import SURE
from genjax.distributions.special import beta_tails
from genjax.distributions.special import gamma_tails
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


class BernoulliParams(NamedTuple):
  """Log-odds of 1 against 0; infinite ones make it sure."""

  logits: Array


class CategoricalParams(NamedTuple):
  """Log-probabilities of the K categories, up to a constant; -inf is none."""

  logits: Array  # [*batch, K]: the axis of K belongs to the params


class BinomialParams(NamedTuple):
  """Number of tosses, a whole number, and log-odds of each."""

  total_count: Array
  logits: Array


class PoissonParams(NamedTuple):
  """Mean number of events, 0 or more."""

  rate: Array


def _score(
    log_mass: Callable[[Array], Array], x: Array, most: Array | float
) -> Array:
  """log_mass(x), nats, at whole x of 0 ... `most`, and -inf elsewhere."""
  inside = (x == jnp.floor(x)) & (x >= 0) & (x <= most) & (x < jnp.inf)
  nats = jnp.where(jnp.isnan(x), x, log_mass(jnp.where(inside, x, 0)))
  return minus_inf_where(~inside, nats)


def _cumulate(
    cdf: Callable[[Array], Array], x: Array, most: Array | float
) -> Array:
  """cdf(floor(x)) of a whole number in 0 ... `most`, 0 below and 1 above."""
  whole = jnp.floor(x)
  below, reached = whole < 0, whole >= most
  inner = cdf(jnp.where(below | reached, 0, whole))
  value = jnp.where(below, 0 * inner, inner)
  value = jnp.where(reached, 1 + 0 * inner, value)
  return jnp.where(jnp.isnan(x), x, value)


def _bernoulli_sample(
    key: Key, params: BernoulliParams, shape: Shape = ()
) -> Array:
  logits, = params
  share = jnp.round(jax.nn.sigmoid(-jnp.abs(logits)) * 2.0**32)
  rarer = draw_bits(key, (*shape, *logits.shape)) < share.astype(jnp.uint32)
  return jnp.where(jnp.isnan(logits), -1, rarer ^ (logits > 0))


def _bernoulli_log_prob(params: BernoulliParams, x: Array) -> Array:
  return _score(lambda x: -jax.nn.softplus((1 - 2 * x) * params.logits), x, 1)


def _bernoulli_entropy(params: BernoulliParams) -> Array:
  away = jnp.abs(params.logits)
  rest = jnp.where(away == jnp.inf, 0, away)
  return jax.nn.softplus(-away) + rest * jax.nn.sigmoid(-away)


bernoulli = rounded(Distribution(
    sample=_bernoulli_sample,
    log_prob=_bernoulli_log_prob,
    mean=lambda params: jax.nn.sigmoid(params.logits),
    variance=lambda params: (jax.nn.sigmoid(params.logits)
                             * jax.nn.sigmoid(-params.logits)),
    entropy=_bernoulli_entropy,
    cdf=lambda params, x: _cumulate(
        lambda x: jax.nn.sigmoid(-params.logits), x, 1)), draws=jnp.int32)
"""One toss, 1 with log-odds `logits`, else 0; drawn at its rate to 2^-32."""


def _logits(params: CategoricalParams) -> Array:
  """[*batch, K]; normalised they are all NaN where one is bad."""
  logits, = params
  check(logits.ndim >= 1 and logits.shape[-1] >= 1, 'categorical',
        'logits must be [..., K] with K >= 1', f'shape {logits.shape}')
  return logits


def _log_masses(params: CategoricalParams) -> Array:
  return jax.nn.log_softmax(_logits(params))


def _masses(params: CategoricalParams) -> Array:
  return jax.nn.softmax(_logits(params))


def _categorical_sample(
    key: Key, params: CategoricalParams, shape: Shape = ()
) -> Array:
  p = _masses(params)
  check(p.shape[-1] <= 2**20, 'categorical',
        'sample must have at most 2^20 categories', p.shape[-1])
  return jnp.where(jnp.isnan(p[..., 0]), -1, draw_category(key, p, shape))


def _categorical_log_prob(params: CategoricalParams, x: Array) -> Array:
  masses = _log_masses(params)
  members = jnp.indices(masses.shape[:-1], sparse=True)
  return _score(lambda x: masses[(*members, x.astype(jnp.int32))], x,
                masses.shape[-1] - 1)


def _categorical_mean(params: CategoricalParams) -> Array:
  p = _masses(params)
  return jnp.sum(p * jnp.arange(p.shape[-1]), axis=-1)


def _categorical_variance(params: CategoricalParams) -> Array:
  p = _masses(params)
  away = jnp.arange(p.shape[-1]) - _categorical_mean(params)[..., None]
  return jnp.sum(p * jnp.square(away), axis=-1)


def _categorical_entropy(params: CategoricalParams) -> Array:
  masses = _log_masses(params)
  surprise = jnp.where(masses == -jnp.inf, 0, -masses)
  return jnp.sum(jnp.exp(masses) * surprise, axis=-1)


def _categorical_cdf(params: CategoricalParams, x: Array) -> Array:
  p = _masses(params)
  categories = jnp.arange(p.shape[-1])

  def cdf(x):
    return jnp.sum(jnp.where(categories <= x[..., None], p, 0), axis=-1)

  return _cumulate(cdf, x, p.shape[-1] - 1)


categorical = rounded(Distribution(
    sample=_categorical_sample,
    log_prob=_categorical_log_prob,
    mean=_categorical_mean,
    variance=_categorical_variance,
    entropy=_categorical_entropy,
    cdf=_categorical_cdf), draws=jnp.int32)
"""One of the whole numbers 0 ... K - 1, with log-probabilities `logits`.

Drawn by inverse CDF from 32 random bits, which takes one pass where the argmax
of Gumbel noise draws K numbers. Every set of categories comes at its rate to
2^-32 a category, but for the largest, which also has what the probabilities, as
rounded floats, lack of one: some 2^-23 in float32. An event rarer than 2^-32 is
scored right, but not drawn at its rate. Logits that hold NaN or +inf, or are
all -inf, are bad.
"""


def _tosses(params: BinomialParams) -> BinomialParams:
  """The params, broadcast: NaN in both where one of them is bad."""
  n, logits = params
  good = (n >= 0) & (n == jnp.floor(n)) & (n < jnp.inf) & ~jnp.isnan(logits)
  return BinomialParams(*(jnp.where(good, p, jnp.nan) for p in params))


def _binomial_log_mass(
    n: Array, logits: Array, rarer: Array, excess: Array
) -> Array:
  """Loader's saddle-point form, nats at whole numbers of 0 ... n.

  Args:
    n: how many tosses.
    logits: of the ones.
    rarer: how many tosses had the rarer outcome.
    excess: that less its mean.
  """
  p, rest = rarer_probability(logits)
  some = jnp.maximum(n, 1)
  nats = (log_stirling(n) - log_stirling(rarer) - log_stirling(n - rarer)
          - deviance(rarer, some * (p + rest), excess)
          - deviance(n - rarer, some * (1 - p - rest), -excess))
  # Where the rarer outcome's probability may underflow, nats are linear in it.
  beyond = jnp.where(rarer == 0, 0, jnp.maximum(jnp.abs(logits) - SURE, 0))
  return jnp.where(n == 0, 0, nats - rarer * beyond)


def _binomial_excess(
    n: Array, n_low: Array, logits: Array, rarer: Array, low: Array | float
) -> Array:
  """A count of the rarer outcome, rarer + low, less its mean of n + n_low."""
  p, rest = rarer_probability(logits)
  return less_product(rarer, n, p) + (low - n_low * p - (n + n_low) * rest)


def _binomial_nats(
    params: BinomialParams, n_low: Array, x: Array, low: Array
) -> Array:
  """Log-probability of x + low ones, where params lack n_low tosses."""
  n, logits = _tosses(params)
  others, others_low = n - x, n_low - low
  inside = ((x == jnp.floor(x)) & (x + low >= 0) & (others + others_low >= 0)
            & (x < jnp.inf))
  ones = logits < 0
  rarer = jnp.where(inside, jnp.where(ones, x, others), 0)
  low = jnp.where(inside, jnp.where(ones, low, others_low), 0)
  nats = _binomial_log_mass(
      n + n_low, logits, rarer + low,
      _binomial_excess(n, n_low, logits, rarer, low))
  return minus_inf_where(~inside, jnp.where(jnp.isnan(x), x, nats))


def _binomial_log_prob(params: BinomialParams, x: Array) -> Array:
  n, n_low = parts(params.total_count)
  return computed(_binomial_nats)(
      BinomialParams(n, params.logits), n_low, *parts(x))


def _binomial_mean(params: BinomialParams) -> Array:
  n, logits = _tosses(params)
  return n * jax.nn.sigmoid(logits)


def _binomial_variance(params: BinomialParams) -> Array:
  return _binomial_mean(params) * jax.nn.sigmoid(-params.logits)


def _binomial_sample(
    key: Key, params: BinomialParams, shape: Shape = ()
) -> Array:
  n, n_low = parts(params.total_count)

  def draw(params: BinomialParams, n_low: Array) -> Array:
    n, logits = _tosses(params)
    tosses = n + n_low
    p, _ = rarer_probability(logits)
    centre = nearest_count(tosses * p)
    rest = -_binomial_excess(n, n_low, logits, centre, 0)

    def log_mass(offset):
      rarer = centre + offset
      inside = (rarer >= 0) & (rarer <= tosses)
      return minus_inf_where(~inside, _binomial_log_mass(
          tosses, logits, jnp.where(inside, rarer, 0), offset - rest))

    std = jnp.sqrt(tosses * p * (1 - p))
    rarer = draw_count(key, log_mass, centre, rest, std, (*shape, *n.shape))
    # Of more than 2^32 tosses half are more than int32 holds.
    some = jnp.where(n < 2.0**32, n, 0).astype(jnp.uint32)
    others = some + n_low.astype(jnp.uint32) - rarer.astype(jnp.uint32)
    held = (n < 2.0**32) & (others < jnp.uint32(2**31)) & (rarer >= 0)
    others = jnp.where(held, others, 0).astype(jnp.int32)
    return jnp.where(logits < 0, rarer, jnp.where(held, others, -1))

  return computed(draw, jnp.int32)(BinomialParams(n, params.logits), n_low)


def _binomial_cdf(params: BinomialParams, x: Array) -> Array:
  n, logits = _tosses(params)

  def cdf(x):
    p, q = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    rarer = jnp.where(logits < 0, x, n - x)
    excess = _binomial_excess(n, jnp.zeros_like(n), logits, rarer, 0)
    lower, _ = beta_tails(
        jnp.maximum(n - x, 1), x + 1, q, p, jax.nn.log_sigmoid(-logits),
        jax.nn.log_sigmoid(logits),
        jnp.where(logits < 0, -excess, excess) - q)
    return lower

  return _cumulate(cdf, x, n)


binomial = rounded(Distribution(
    sample=_binomial_sample,
    log_prob=_binomial_log_prob,
    mean=_binomial_mean,
    variance=_binomial_variance,
    cdf=_binomial_cdf), draws=jnp.int32)._replace(
        sample=_binomial_sample, log_prob=_binomial_log_prob)
"""Number of ones in `total_count` tosses, each 1 with log-odds `logits`."""


def _rate(params: PoissonParams) -> Array:
  rate, = params
  return jnp.where((rate >= 0) & (rate < jnp.inf), rate, jnp.nan)


def _poisson_log_mass(rate: Array, x: Array, excess: Array) -> Array:
  """Loader's saddle-point form, nats at whole x; excess is x - rate."""
  none = x == 0
  events = deviance(*(jnp.where(none, 1, v) for v in (x, rate)),
                    jnp.where(none, 0, excess))
  return -log_stirling(x) - jnp.where(none, rate, events)


def _poisson_nats(
    params: PoissonParams, rate_low: Array, x: Array, low: Array
) -> Array:
  """Log-probability of x + low, where the rate lacks rate_low."""
  rate = _rate(params)
  inside = (x == jnp.floor(x)) & (x + low >= 0) & (x < jnp.inf)
  nats = _poisson_log_mass(
      rate + rate_low, jnp.where(inside, x + low, 0),
      jnp.where(inside, (x - rate) + (low - rate_low), 0))
  return minus_inf_where(~inside, jnp.where(jnp.isnan(x), x, nats))


def _poisson_log_prob(params: PoissonParams, x: Array) -> Array:
  rate, rate_low = parts(params.rate)
  return computed(_poisson_nats)(PoissonParams(rate), rate_low, *parts(x))


def _poisson_sample(
    key: Key, params: PoissonParams, shape: Shape = ()
) -> Array:
  rate, rate_low = parts(params.rate)

  def draw(params: PoissonParams, rate_low: Array) -> Array:
    rate = _rate(params)
    mean = rate + rate_low
    centre = nearest_count(mean)
    rest = (rate - centre) + rate_low

    def log_mass(offset):
      inside = centre + offset >= 0
      return minus_inf_where(~inside, _poisson_log_mass(
          mean, jnp.where(inside, centre + offset, 0), offset - rest))

    return draw_count(key, log_mass, centre, rest, jnp.sqrt(mean),
                      (*shape, *mean.shape))

  return computed(draw, jnp.int32)(PoissonParams(rate), rate_low)


def _poisson_cdf(params: PoissonParams, x: Array) -> Array:
  rate = _rate(params)

  def cdf(x):
    _, upper = gamma_tails(
        x + 1, rate, jnp.log(rate), (x - rate) + 1)
    return upper

  return _cumulate(cdf, x, jnp.inf)


poisson = rounded(Distribution(
    sample=_poisson_sample,
    log_prob=_poisson_log_prob,
    mean=_rate,
    variance=_rate,
    cdf=_poisson_cdf), draws=jnp.int32)._replace(
        sample=_poisson_sample, log_prob=_poisson_log_prob)
"""Number of events, of mean `rate`."""
