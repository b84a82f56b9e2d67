"""Continuous families whose support has an end, elementwise.

Params that lie outside of a family give NaN, as in `continuous`; what lies
outside of the support has log-density -inf, and NaN has NaN. A gamma or beta
draw is never an end of the support, where the density may be 0 or infinite, but
the number next to it: most of gamma(1e-3, 1) is below all floats.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import special

from genjax.distributions.base import Distribution
from genjax.distributions.gamma_draws import draw_gamma
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import positive
from genjax.distributions.params import quotient
from genjax.distributions.params import rounded
from genjax.distributions.params import size
from genjax.distributions.params import zero
from genjax.distributions.saddle_point import deviance
from genjax.distributions.saddle_point import less_product
from genjax.distributions.saddle_point import log_quotient
from genjax.distributions.saddle_point import log_stirling
from genjax.distributions.saddle_point import unit_entropy
from genjax.distributions.special import beta_tails
from genjax.distributions.special import gamma_tails
from genjax.distributions.special import wide_log
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


class UniformParams(NamedTuple):
  """The ends of the interval, low < high, both in the support."""

  low: Array
  high: Array


class ExponentialParams(NamedTuple):
  """Rate, the inverse of the mean."""

  rate: Array


class GammaParams(NamedTuple):
  """Concentration (shape) and rate (inverse scale)."""

  concentration: Array
  rate: Array


class BetaParams(NamedTuple):
  """Exponents: density proportional to x^(alpha - 1) (1 - x)^(beta - 1)."""

  alpha: Array
  beta: Array


def _interval(params: UniformParams) -> tuple[Array, Array, Array]:
  """Lower end, width and their unit: 1, or 8 where a width of 1 overflows.

  Also an inverse of the width is then an ordinary number. The width is NaN
  where it is none.
  """
  low, high = params
  unit = jnp.where(jnp.isinf(high - low), 8.0, 1.0).astype(low.dtype)
  return low / unit, positive(high / unit - low / unit), unit


def _uniform_sample(
    key: Key, params: UniformParams, shape: Shape = ()
) -> Array:
  low, width, unit = _interval(params)
  share = jax.random.uniform(key, size(shape, (low, width)), low.dtype)
  x = unit * (low + width * share)
  return jnp.where(x >= params.high, params.low, x)  # by rounding, not chance


def _uniform_log_prob(params: UniformParams, x: Array) -> Array:
  nats = jnp.where(jnp.isnan(x), x, -_uniform_entropy(params))
  return minus_inf_where((x < params.low) | (x > params.high), nats)


def _uniform_mean(params: UniformParams) -> Array:
  low, width, unit = _interval(params)
  return unit * (low + width / 2)


def _uniform_variance(params: UniformParams) -> Array:
  _, width, unit = _interval(params)
  return jnp.square(unit * (width / math.sqrt(12)))


def _uniform_entropy(params: UniformParams) -> Array:
  _, width, unit = _interval(params)
  return jnp.log(width) + jnp.log(unit)


def _uniform_cdf(params: UniformParams, x: Array) -> Array:
  low, width, unit = _interval(params)
  return jnp.clip(quotient(x / unit - low, width), 0, 1)


uniform = rounded(Distribution(
    sample=_uniform_sample,
    log_prob=_uniform_log_prob,
    mean=_uniform_mean,
    variance=_uniform_variance,
    entropy=_uniform_entropy,
    cdf=_uniform_cdf))
"""Uniform distribution on the interval from `low` to `high`."""


def _rate(params: ExponentialParams) -> Array:
  return positive(params.rate)


def _exponential_sample(
    key: Key, params: ExponentialParams, shape: Shape = ()
) -> Array:
  rate = _rate(params)
  return jax.random.exponential(key, (*shape, *rate.shape), rate.dtype) / rate


def _exponential_log_prob(params: ExponentialParams, x: Array) -> Array:
  rate = _rate(params)
  inside = jnp.where(x < 0, 0.0, x)
  return minus_inf_where(x < 0, jnp.log(rate) - rate * inside)


exponential = rounded(Distribution(
    sample=_exponential_sample,
    log_prob=_exponential_log_prob,
    mean=lambda params: 1 / _rate(params),
    variance=lambda params: jnp.square(1 / _rate(params)),
    entropy=lambda params: 1 - jnp.log(_rate(params)),
    cdf=lambda params, x: -jnp.expm1(-_rate(params) * jnp.maximum(x, 0))))
"""Exponential distribution on [0, inf)."""


def _both_positive(params):
  """Two params, broadcast: NaN in both where one of them is bad."""
  bad = zero(positive(params[0])) + zero(positive(params[1]))
  return type(params)(*(p + bad for p in params))


def _at_end(exponent: Array, nats: Array) -> Array:
  """Log-density at an end of the support where it is like x^exponent."""
  infinite = jnp.where(exponent < 0, jnp.inf, -jnp.inf)
  return jnp.where(exponent == 0, nats, infinite + 0 * exponent)


def _gamma_sample(key: Key, params: GammaParams, shape: Shape = ()) -> Array:
  a, rate = _both_positive(params)
  g, b = draw_gamma(key, a, (*shape, *a.shape))
  half = jnp.exp(b / 2)  # by halves: e^b alone may be no ordinary number
  return half * g / rate * half


def _gamma_log_prob(params: GammaParams, x: Array) -> Array:
  a, rate = _both_positive(params)
  at_zero = x < jnp.finfo(x.dtype).tiny
  inside = jnp.where(at_zero | (x == jnp.inf), 1.0, x)
  nats = (jnp.log(a) - jnp.log(inside) - log_stirling(a)
          - deviance(a, rate * inside, less_product(a, rate, inside),
                     log_quotient(a, rate, inside)))
  nats = jnp.where(at_zero, _at_end(a - 1, jnp.log(rate)), nats)
  return minus_inf_where((x < 0) | (x == jnp.inf), nats)


def _gamma_entropy(params: GammaParams) -> Array:
  a, rate = _both_positive(params)
  return unit_entropy(a) - jnp.log(rate)


def _gamma_cdf(params: GammaParams, x: Array) -> Array:
  a, rate = _both_positive(params)
  log_t = jnp.log(rate) + wide_log(x)
  x = jnp.maximum(x, 0)
  lower, _ = gamma_tails(
      a, rate * x, log_t, less_product(a, rate, x))
  return lower


def _gamma_mean(params: GammaParams) -> Array:
  a, rate = _both_positive(params)
  return a / rate


def _gamma_variance(params: GammaParams) -> Array:
  a, rate = _both_positive(params)
  # Of a / rate / rate a compiler may make a / rate^2, which may overflow.
  return jnp.square(jnp.sqrt(a) / rate)


gamma = rounded(Distribution(
    sample=_gamma_sample,
    log_prob=_gamma_log_prob,
    mean=_gamma_mean,
    variance=_gamma_variance,
    entropy=_gamma_entropy,
    cdf=_gamma_cdf), ends=(0, jnp.inf))
"""Gamma distribution of mean concentration / rate."""


def _beta_sample(key: Key, params: BetaParams, shape: Shape = ()) -> Array:
  alpha, beta = _both_positive(params)
  key_alpha, key_beta = jax.random.split(key)
  full = (*shape, *alpha.shape)
  g_alpha, b_alpha = draw_gamma(key_alpha, alpha, full)
  g_beta, b_beta = draw_gamma(key_beta, beta, full)
  return 1 / (1 + g_beta / g_alpha * jnp.exp(b_beta - b_alpha))


def _beta_excess(alpha: Array, beta: Array, x: Array) -> Array:
  """alpha - (alpha + beta) x, with all digits."""
  total = alpha + beta
  lost = jnp.minimum(alpha, beta) - (total - jnp.maximum(alpha, beta))
  return less_product(alpha, total, x) - lost * x


def _beta_log_prob(params: BetaParams, x: Array) -> Array:
  alpha, beta = _both_positive(params)
  total = alpha + beta
  at_zero, at_one = x < jnp.finfo(x.dtype).tiny, x >= 1
  inside = jnp.where(at_zero | at_one, 0.5, x)
  excess = _beta_excess(alpha, beta, inside)
  # The binomial probability of alpha successes in `total`, and what it lacks.
  nats = (log_stirling(total) - log_stirling(alpha) - log_stirling(beta)
          - deviance(alpha, total * inside, excess,
                     log_quotient(alpha, total, inside))
          - deviance(beta, total * (1 - inside), -excess,
                     log_quotient(beta, total, 1 - inside))
          + jnp.log(alpha) + jnp.log(beta) - jnp.log(total)
          - jnp.log(inside) - jnp.log1p(-inside))
  nats = jnp.where(at_zero, _at_end(alpha - 1, jnp.log(beta)), nats)
  nats = jnp.where(at_one, _at_end(beta - 1, jnp.log(alpha)), nats)
  return minus_inf_where((x < 0) | (x > 1), nats)


def _beta_mean(params: BetaParams) -> Array:
  alpha, beta = _both_positive(params)
  return alpha / (alpha + beta)


def _beta_variance(params: BetaParams) -> Array:
  alpha, beta = _both_positive(params)
  total = alpha + beta
  return alpha / total * (beta / total) / (total + 1)


def _beta_entropy(params: BetaParams) -> Array:
  alpha, beta = _both_positive(params)
  total = alpha + beta
  # x is a share of a gamma sum of concentration `total`, independent of it.
  return (unit_entropy(alpha) + unit_entropy(beta) - unit_entropy(total)
          - special.digamma(total))


def _beta_cdf(params: BetaParams, x: Array) -> Array:
  alpha, beta = _both_positive(params)
  log_x = jnp.minimum(wide_log(x), 0)
  x = jnp.clip(x, 0, 1)
  lower, _ = beta_tails(
      alpha, beta, x, 1 - x, log_x, jnp.log1p(-x),
      _beta_excess(alpha, beta, x))
  return lower


beta = rounded(Distribution(
    sample=_beta_sample,
    log_prob=_beta_log_prob,
    mean=_beta_mean,
    variance=_beta_variance,
    entropy=_beta_entropy,
    cdf=_beta_cdf), ends=(0, 1))
"""Beta distribution on [0, 1] of mean alpha / (alpha + beta)."""
