"""Discrete families: bernoulli, categorical, binomial, poisson, elementwise.

Draws are int32. Params that lie outside of a family give -1, which is outside
of every support, and a log-probability NaN, for that member of a batch only.
What is no whole number of the support has log-probability -inf, NaN has NaN.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import rounded
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

# Up to here comparing with every threshold is faster than a binary search.
_FEW = 32
_MANY = 2**20


class BernoulliParams(NamedTuple):
  """Log-odds of 1 against 0; infinite ones make it sure."""

  logits: Array


class CategoricalParams(NamedTuple):
  """Log-probabilities of the K categories, up to a constant; -inf is none."""

  logits: Array  # [*batch, K]: the axis of K belongs to the params


def _whole(dist: Distribution) -> Distribution:
  """`dist`, of arrays of 32 bits or more, for anything; its draws are int32."""

  def sample(key: Key, params, shape: Shape = ()) -> Array:
    dtype = jnp.promote_types(jnp.result_type(*params, float), jnp.float32)
    wide = type(params)(*(jnp.asarray(p, dtype) for p in params))
    return dist.sample(key, wide, shape)

  return rounded(dist)._replace(sample=sample)


def _score(log_mass, x: Array, most: Array | float) -> Array:
  """log_mass(x), nats, at whole x of 0 ... `most`, and -inf elsewhere."""
  inside = (x == jnp.floor(x)) & (x >= 0) & (x <= most) & (x < jnp.inf)
  nats = jnp.where(jnp.isnan(x), x, log_mass(jnp.where(inside, x, 0)))
  return minus_inf_where(~inside, nats)


def _bernoulli_sample(
    key: Key, params: BernoulliParams, shape: Shape = ()
) -> Array:
  logits, = params
  # As in the categorical, to 2^-32: uniform floats are multiples of 2^-23.
  rare = jax.random.bits(key, (*shape, *logits.shape), jnp.uint32) < jnp.round(
      jax.nn.sigmoid(-jnp.abs(logits)) * 2.0**32).astype(jnp.uint32)
  x = (rare ^ (logits > 0)).astype(jnp.int32)
  return jnp.where(jnp.isnan(logits), -1, x)


def _bernoulli_log_prob(params: BernoulliParams, x: Array) -> Array:
  logits, = params
  return _score(lambda x: -jax.nn.softplus((1 - 2 * x) * logits), x, 1)


def _bernoulli_entropy(params: BernoulliParams) -> Array:
  away = jnp.abs(params.logits)
  rest = jnp.where(away == jnp.inf, 0, away)
  return jax.nn.softplus(-away) + rest * jax.nn.sigmoid(-away)


def _bernoulli_cdf(params: BernoulliParams, x: Array) -> Array:
  zero = jax.nn.sigmoid(-params.logits)
  below_one = jnp.where(x < 0, 0 * zero, zero)
  return jnp.where(jnp.isnan(x), x, jnp.where(x < 1, below_one, 1 + 0 * zero))


bernoulli = _whole(Distribution(
    sample=_bernoulli_sample,
    log_prob=_bernoulli_log_prob,
    mean=lambda params: jax.nn.sigmoid(params.logits),
    variance=lambda params: (jax.nn.sigmoid(params.logits)
                             * jax.nn.sigmoid(-params.logits)),
    entropy=_bernoulli_entropy,
    cdf=_bernoulli_cdf))
"""One toss, 1 with log-odds `logits`, else 0; drawn at its rate to 2^-32."""


def _log_masses(params: CategoricalParams) -> Array:
  """Normalised log-probabilities [*batch, K], all NaN where one is bad."""
  logits, = params
  check(logits.ndim >= 1 and logits.shape[-1] >= 1, 'categorical',
        'logits must be [..., K] with K >= 1', f'shape {logits.shape}')
  return jax.nn.log_softmax(logits)


def thresholds(p: Array) -> tuple[Array, Array]:
  """Integer form of an inverse CDF, exact to 2^-32 a category.

  Category k has u in [c_(k-1), c_k) of the 2^32 values of u, but the largest
  has no interval there: it takes all u that no other one has, and with them
  what the probabilities, as rounded floats, lack of one. Of p 2^32 the whole
  and the fractional parts are summed apart, in integers, so that no sum is
  rounded and categories too rare to have a u of their own share one.

  Args:
    p: probabilities [..., K].

  Returns:
    c [..., K] uint32, and the index [...] of the largest category.
  """
  num = p.shape[-1]
  largest = jnp.argmax(p, axis=-1)
  scaled = jnp.where(jnp.arange(num) == largest[..., None], 0, p * 2.0**32)
  bits = 32 - num.bit_length()  # that a sum of `num` fractions can hold
  whole = jnp.floor(scaled)
  part = ((scaled - whole) * 2.0**bits).astype(jnp.uint32)
  total = functools.partial(jnp.cumsum, axis=-1, dtype=jnp.uint32)
  return total(whole.astype(jnp.uint32)) + (total(part) >> bits), largest


def _categorical_sample(
    key: Key, params: CategoricalParams, shape: Shape = ()
) -> Array:
  p = jnp.exp(_log_masses(params))
  batch, num = p.shape[:-1], p.shape[-1]
  check(num <= _MANY, 'categorical.sample',
        f'logits must have at most {_MANY} categories', num)
  bounds, largest = thresholds(p)
  u = jax.random.bits(key, (*shape, *batch), jnp.uint32)
  if num <= _FEW:
    x = jnp.sum(u[..., None] >= bounds, axis=-1, dtype=jnp.int32)
  else:
    search = functools.partial(jnp.searchsorted, side='right')
    x = jnp.vectorize(search, signature='(k),()->()')(bounds, u)
  x = jnp.where(x == num, largest, x).astype(jnp.int32)
  return jnp.where(jnp.isnan(p[..., 0]), -1, x)


def _categorical_log_prob(params: CategoricalParams, x: Array) -> Array:
  masses = _log_masses(params)
  members = jnp.indices(masses.shape[:-1], sparse=True)
  return _score(lambda x: masses[(*members, x.astype(jnp.int32))], x,
                masses.shape[-1] - 1)


def _category_mean(params: CategoricalParams) -> Array:
  p = jnp.exp(_log_masses(params))
  return jnp.sum(p * jnp.arange(p.shape[-1]), axis=-1)


def _category_variance(params: CategoricalParams) -> Array:
  p = jnp.exp(_log_masses(params))
  away = jnp.arange(p.shape[-1]) - _category_mean(params)[..., None]
  return jnp.sum(p * jnp.square(away), axis=-1)


def _categorical_entropy(params: CategoricalParams) -> Array:
  masses = _log_masses(params)
  surprise = jnp.where(masses == -jnp.inf, 0, -masses)
  return jnp.sum(jnp.exp(masses) * surprise, axis=-1)


def _categorical_cdf(params: CategoricalParams, x: Array) -> Array:
  p = jnp.exp(_log_masses(params))
  below = jnp.arange(p.shape[-1]) <= x[..., None]
  return jnp.where(
      jnp.isnan(x), x, jnp.sum(jnp.where(below, p, 0 * p), axis=-1))


categorical = _whole(Distribution(
    sample=_categorical_sample,
    log_prob=_categorical_log_prob,
    mean=_category_mean,
    variance=_category_variance,
    entropy=_categorical_entropy,
    cdf=_categorical_cdf))
"""One of the whole numbers 0 ... K - 1, with log-probabilities `logits`.

Drawn by inverse CDF from 32 random bits: 50 times as fast as the argmax of K
Gumbel draws at K = 8. Every set of categories is drawn at its rate to 2^-32 a
category, but for the largest, which also has what the rounded float
probabilities lack of one, some 2^-23; an event rarer than 2^-32 is scored
right, but not drawn at its rate. Logits that hold NaN or +inf, or are all
-inf, are bad.
"""
