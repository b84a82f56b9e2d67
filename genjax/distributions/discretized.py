"""The discretized logistic: pixels as a logistic variable cut into levels."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.continuous import logistic
from genjax.distributions.continuous import LogisticParams
from genjax.distributions.params import computed
from genjax.distributions.params import finite
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import positive
from genjax.distributions.params import quotient
from genjax.distributions.params import rounded
from genjax.distributions.saddle_point import less_product
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


class DiscretizedLogisticParams(NamedTuple):
  """Location and scale of the logistic, before it is cut; as of the pixels."""

  loc: Array
  scale: Array


def discretized_logistic(num_levels: int = 256) -> Distribution:
  """Distribution of one of `num_levels` values evenly spaced in [-1, 1].

  A value has the mass of a logistic variable in the interval half a step around
  it, and the two ends have the tails (PixelCNN++, arXiv:1701.05517, eq. 2). The
  difference of the two sigmoids is taken in logarithms, s(b) - s(a) =
  s(b) s(-a) (1 - e^(a - b)), so that it is exact as far out as nats go.

  What is further from a level than twice the epsilon of its dtype is outside of
  the support: arithmetic like x / 127.5 - 1 is rounded by less. In bfloat16 it
  is more than half a step of 256 levels, and each x is scored as its nearest.

  Args:
    num_levels: 2 or more.

  Raises:
    ValueError: fewer than two levels.
  """
  check(num_levels >= 2, 'discretized_logistic', 'num_levels must be 2 or more',
        num_levels)
  top = num_levels - 1

  def edge(params, level):
    """(x - loc) / scale at the lower edge of a level."""
    loc, scale = finite(params.loc), positive(params.scale)
    whole = jnp.asarray(2 * level - 1 - top, loc.dtype)
    # The product is rounded by more than a small scale.
    away = less_product(whole, jnp.asarray(top, loc.dtype), loc)
    return quotient(away / top, scale)

  def level_log_mass(params, level):
    low, high = edge(params, level), edge(params, level + 1)
    scale = positive(params.scale)
    width = quotient(jnp.asarray(2 / top, scale.dtype), scale)
    narrow = width < 1e-4  # or even below all floats
    log_share = jnp.where(
        narrow, math.log(2 / top) - jnp.log(scale) - width / 2,
        jnp.log(-jnp.expm1(-jnp.where(narrow, 1, width))))
    first, last = level == 0, level == top
    return (-jnp.where(first, 0, jax.nn.softplus(low))
            - jnp.where(last, 0, jax.nn.softplus(-high))
            + jnp.where(first | last, 0, log_share))

  def position(x):
    """Levels below x, with a fraction, and how far it may be rounded."""
    dtype = jnp.result_type(x, float)
    x = jnp.asarray(x, jnp.promote_types(dtype, jnp.float32))
    return (x + 1) * (top / 2), min(float(jnp.finfo(dtype).eps) * top, 0.5)

  def nearest(x):
    return jnp.clip(jnp.round(position(x)[0]), 0, top)

  def value(level):
    # A compiler may multiply by 1 / top, which makes the last one more than 1.
    return jnp.clip(2 * level / top - 1, -1, 1)

  def expectation(params, of):
    """Of `of` (value, log mass): level by level, as a table would be vast."""

    @jax.checkpoint
    def add(total, level):
      nats = level_log_mass(params, level)
      mass = jnp.exp(nats)
      term = mass * of(value(level), nats)
      return total + jnp.where(mass == 0, 0, term), None

    nothing = jnp.zeros_like(level_log_mass(params, 0))
    return jax.lax.scan(add, nothing, jnp.arange(num_levels))[0]

  def sample(
      key: Key, params: DiscretizedLogisticParams, shape: Shape = ()
  ) -> Array:
    x = logistic.sample(key, LogisticParams(*params), shape)
    return value(nearest(x))

  def mean(params):
    return expectation(params, lambda x, nats: x)

  def variance(params):
    centre = mean(params)
    return expectation(params, lambda x, nats: jnp.square(x - centre))

  def entropy(params):
    return -expectation(params, lambda x, nats: nats)

  at_level = rounded(Distribution(
      sample, lambda params, x: level_log_mass(params, nearest(x)),
      mean=mean, variance=variance, entropy=entropy))

  # Here the value has its own dtype still, which says how far it is rounded.
  def log_prob(params: DiscretizedLogisticParams, x: Array) -> Array:
    level, error = position(x)
    on_level = jnp.abs(level - nearest(x)) <= error
    return minus_inf_where(~on_level, at_level.log_prob(params, x))

  def cdf(params: DiscretizedLogisticParams, x: Array) -> Array:
    level, error = position(x)
    level = jnp.floor(level + error)
    inner = computed(
        lambda p, level: jax.nn.sigmoid(edge(p, level + 1)))(params, level)
    below_top = jnp.where(level < 0, 0 * inner, inner)
    value = jnp.where(level >= top, 1 + 0 * inner, below_top)
    return value.astype(jnp.result_type(*params, x, float))

  return at_level._replace(log_prob=log_prob, cdf=cdf)
