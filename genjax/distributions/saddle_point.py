"""Log-densities near their mode without cancellation: Loader's two terms.

Differences of log-gamma functions lose the digits that their sizes share: at
a count of 1e5 in float32, all but two. Loader (2000, Fast and Accurate
Computation of Binomial Probabilities) writes the same densities as small
terms: the error of Stirling's formula, and the deviance from the mean.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from genjax.types import Array

# Stirling's series in 1 / n: B_2k / (2k (2k - 1)).
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)


def _from(n: Array) -> float:
  """From here on the first term left out is below 4e-18, in float32 5e-9."""
  return 3.0 if n.dtype == jnp.float32 else 15.0


SURE = 60  # log-odds at which the rarer outcome has probability 1e-26
# 1 / (2j + 1), j = 1, 2, ...: |v| < 1/4 leaves out 1e-18, and 1e-9 after six.
_ATANH = tuple(1 / (2 * j + 1) for j in range(1, 15))


def stirling_error(n: Array) -> Array:
  """log Gamma(n + 1) - log(sqrt(2 pi n) (n / e)^n), n > 0, in nats."""
  large = n > _from(n)
  safe = jnp.where(large, n, _from(n))
  series = jnp.polyval(_coefficients(_SERIES, n), 1 / jnp.square(safe)) / safe
  small = jnp.where(large, 1.0, n)
  exact = (jax.lax.lgamma(small + 1) - (small + 0.5) * jnp.log(small) + small
           - 0.5 * math.log(2 * math.pi))
  return jnp.where(large, series, exact)


def log_stirling(n: Array) -> Array:
  """log Gamma(n + 1) - n log n + n, n >= 0, in nats.

  What n! has beside e^-n n^n. Gamma, beta, binomial and Poisson
  log-probabilities are differences of these and of deviances.
  """
  large = n > _from(n)
  safe = jnp.where(large, n, _from(n))
  series = stirling_error(safe) + 0.5 * jnp.log(2 * math.pi * safe)
  small = jnp.where((n > 0) & ~large, n, 1.0)
  exact = jax.lax.lgamma(small + 1) - small * jnp.log(small) + small
  nats = jnp.where(large, series, exact)
  return jnp.where(n == 0, 0.0, jnp.where(n > 0, nats, jnp.nan))


@jax.custom_jvp
def log_quotient(x: Array, *ys: Array) -> Array:
  """log of x >= 0 divided by every y > 0, also where no float holds that."""
  ratio = jnp.sqrt(x)
  for y in ys:
    ratio = ratio / jnp.sqrt(y)
  return 2 * jnp.log(jnp.maximum(ratio, jnp.finfo(ratio.dtype).tiny))


@log_quotient.defjvp
def _log_quotient_jvp(primals, tangents):
  dx, *dys = (dy / y for y, dy in zip(primals, tangents))
  return log_quotient(*primals), dx - sum(dys)


@jax.custom_jvp
def deviance(
    x: Array,
    mean: Array,
    excess: Array | None = None,
    log_ratio: Array | None = None,
) -> Array:
  """x log(x / mean) + mean - x, x >= 0 and mean > 0, in nats.

  Exact to rounding near x = mean, where it is a small difference of large
  terms: there by the series of atanh in (x - mean) / (x + mean). A rounding of
  the mean moves it by a rounding of the excess, which grows as sqrt(x).

  Args:
    x, mean: elementwise.
    excess: x - mean, where more of it is known than is left in the mean.
    log_ratio: log(x / mean), x > 0, where the mean may under- or overflow; its
      own slopes then stand for those of the mean.
  """
  excess = x - mean if excess is None else excess
  near, v = _nearness(x, mean, excess)
  small = jnp.square(jnp.where(near, v, 0.0))
  tail = small * _series(_ATANH, small)
  series = excess * v + 2 * x * v * tail
  if log_ratio is None:
    log_ratio = log_quotient(x, jnp.where(near, 1.0, mean))
  # 0 log 0 is 0, and an infinite mean is infinitely far.
  return jnp.where(near, series, x * log_ratio + mean - x)


def _nearness(x: Array, mean: Array, excess: Array) -> tuple[Array, Array]:
  """Whether the series of v = excess / (x + mean) converges, and v."""
  v = excess / (x + mean)  # 0 where a compiler divides by an infinite mean
  return (jnp.abs(v) < 0.25) & (mean <= 2 * x), v


@deviance.defjvp
def _deviance_jvp(primals, tangents):
  # By the rule of quotients 1 / mean^2 would overflow from 1e19 on.
  (x, mean, excess, log_ratio), (dx, dmean, _, dlog_ratio) = primals, tangents
  nats = deviance(x, mean, excess, log_ratio)
  if log_ratio is None:
    away = mean - x if excess is None else -excess
    return nats, log_quotient(x, mean) * dx + away / mean * dmean
  known = x - mean if excess is None else excess
  near, _ = _nearness(x, mean, known)
  away = jnp.where(near, -known, mean - x)
  return nats, (log_ratio + away / x) * dx - away * dlog_ratio


def less_product(a: Array, b: Array, c: Array) -> Array:
  """a - b c, to a rounding of itself also where the two nearly cancel.

  Dekker 1971 (doi:10.1007/BF01397083): products of halves of the digits are
  exact, so that it does not matter which of them the compiler fuses.
  """

  def halves(v):
    info = jnp.finfo(v.dtype)
    high = jax.lax.reduce_precision(v, info.nexp, (info.nmant - 1) // 2)
    return high, v - high

  (b_high, b_low), (c_high, c_low) = halves(b), halves(c)
  return ((a - b_high * c_high) - (b_high * c_low + b_low * c_high)
          - b_low * c_low)


def unit_entropy(a: Array) -> Array:
  """Entropy of the gamma distribution of rate 1 [*a], nats.

  a + log Gamma(a) + (1 - a) digamma(a), by Stirling's formula and its slope.
  """
  error, slope = jax.jvp(stirling_error, (a,), (jnp.ones_like(a),))
  return (error + (1 - a) * slope + 0.5 * jnp.log(2 * math.pi * a)
          + 0.5 - 0.5 / a)


def rarer_probability(logits: Array) -> tuple[Array, Array]:
  """Probability of the rarer outcome of a toss, and what its rounding left.

  A rounding of it moves the mean of n tosses by up to sqrt(n) roundings of the
  standard deviation. With s a number near to |logits| of a table of double
  precision, sigmoid(-|logits|) = p + p (1 - p) d / (1 + p d), p = sigmoid(-s),
  d = e^(s - |logits|) - 1. Beyond log-odds of 60 it is that of 60.
  """
  per_unit = 16
  # With a slope at 0, too.
  away = jnp.minimum(jnp.where(logits < 0, -logits, logits), SURE)
  nearest = jnp.round(away * per_unit)
  exact = 1 / (1 + np.exp(np.arange(SURE * per_unit + 1) / per_unit))
  high = exact.astype(logits.dtype)
  low = (exact - high).astype(logits.dtype)
  index = jnp.where(jnp.isnan(nearest), 0, nearest).astype(jnp.int32)
  p, rest = jnp.asarray(high)[index], jnp.asarray(low)[index]
  d = jnp.expm1(nearest / per_unit - away)
  return p, rest + p * (1 - p) * d / (1 + p * d)


def log_stirling_ratio(a: Array) -> Array:
  """log Gamma(a + 1/2) - log Gamma(a) - 1/2 log a, a > 0, in nats.

  Above 20 by its series, -1/(8a) + 1/(192a^3) - 1/(640a^5) + ...
  """
  large = a > 20.0
  safe = jnp.where(large, a, 20.0)
  terms = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336)
  series = jnp.polyval(_coefficients(terms, a), 1 / jnp.square(safe)) / safe
  small = jnp.where(large, 1.0, a)
  exact = (jax.lax.lgamma(small + 0.5) - jax.lax.lgamma(small)
           - 0.5 * jnp.log(small))
  return jnp.where(large, series, exact)


# e^d - 1 - d = d^2 (1/2! + d/3! + ...): |d| < 0.1 leaves out 1e-17 of it, and
# 4e-9 after six terms.
_EXP = tuple(1 / math.factorial(k) for k in range(2, 11))


def exp_remainder(d: Array) -> Array:
  """e^d - 1 - d, to rounding also near d = 0."""
  near = jnp.abs(d) < 0.1
  small = jnp.where(near, d, 0.0)
  series = jnp.square(small) * _series(_EXP, small)
  return jnp.where(near, series, jnp.expm1(d) - d)


def _series(ascending, x: Array) -> Array:
  """A power series in x; six of its terms are all that float32 sees."""
  if x.dtype == jnp.float32:
    ascending = ascending[:6]
  return jnp.polyval(_coefficients(ascending, x), x)


def _coefficients(ascending, like: Array) -> np.ndarray:
  return np.asarray(ascending[::-1], like.dtype)
